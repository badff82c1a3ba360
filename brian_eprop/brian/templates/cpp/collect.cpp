{# Sets a variable of a group to a sum over synapses, for one step of the backward pass. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{% extends 'common_synapses.cpp' %}

{% block extra_headers %}
{{ super() }}
#include <algorithm>
{% endblock %}

{% block maincode %}
    if ({{__replayed_step}} >= {{__window_start}})
    {
        {% for row, reach, n in later %}
        {{get_array_name(row)}} += (size_t)({{__replayed_step}} % {{reach}}) * {{n}};
        {% endfor %}
        std::fill_n({{get_array_name(target)}}, {{target.size}}, 0);
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        const int _N = {{constant_or_scalar('N', variables['N'])}};
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            {{get_array_name(target)}}[{{get_array_name(index)}}[_idx]] += _passed;
        }
    }
{% endblock %}
