{# Sums the credit of the arrivals of one step into those in which their neurons fire, and sets a
   variable of the group to what has come together for the replayed step. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{% extends 'common_synapses.cpp' %}

{% block extra_headers %}
{{ super() }}
#include <algorithm>
{% endblock %}

{% block maincode %}
    {% set ring = get_array_name(ring) %}
    {% set steps = get_array_name(variables['__steps']) %}
    {% set source = get_array_name(variables['_synaptic_pre']) %}
    if ({{__replayed_step}} >= {{__window_start}})
    {
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        const int _N = {{constant_or_scalar('N', variables['N'])}};
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            const size_t _row = ({{__replayed_step}} + {{reach + 1}} - {{steps}}[_idx]) % {{reach + 1}};
            {{ring}}[_row * {{n_source}} + {{source}}[_idx]] += _passed;
        }
        const size_t _row = (size_t)({{__replayed_step}} % {{reach + 1}}) * {{n_source}};
        std::copy_n({{ring}} + _row, {{n_source}}, {{get_array_name(target)}});
        std::fill_n({{ring}} + _row, {{n_source}}, 0);
    }
{% endblock %}
