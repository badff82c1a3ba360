{# One step of the backward pass of a group: the code reads what was recorded, and what synapses
   with delays will read is kept. Before the window there is no credit. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}
{% from 'rows.cpp' import independent %}

{% block extra_headers %}
#include <algorithm>
{% endblock %}

{% block maincode %}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    if ({{__replayed_step}} >= {{__window_start}})
    {
        const size_t _row = (size_t)({{__replayed_step}} % {{rows}}) * _N;
        {% for past, kept in replayed %}
        {{get_array_name(past)}} = {{get_array_name(kept)}} + _row;
        {% endfor %}
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        // Each neuron reads and writes its own
        {{independent()}}
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
        }
        {% for output, kept in whole %}
        std::copy_n({{get_array_name(output)}}, _N, {{get_array_name(kept)}} + _row);
        {% endfor %}
    }
    else
    {
        {% for output in outputs %}
        std::fill_n({{get_array_name(output)}}, _N, 0);
        {% endfor %}
    }
    {% for output, kept, reach in later %}
    {
        {{c_data_type(kept.dtype)}} *_later = {{get_array_name(kept)}} + (size_t)({{__replayed_step}} % {{reach}}) * _N;
        std::copy_n({{get_array_name(output)}}, _N, _later);
        std::copy_n({{get_array_name(output)}}, _N, _later + (size_t){{reach}} * _N);
    }
    {% endfor %}
{% endblock %}
