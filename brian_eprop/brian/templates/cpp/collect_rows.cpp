{# Sets a variable of each source neuron to a sum over its synapses, for one step of the backward
   pass, where what they pass on is no product as in collect_product.cpp. What reaches a neuron without
   pseudo-derivative ends there, but for the first step of a window: its signal is owed to the
   spikes of earlier windows as well. #}
{# USES_VARIABLES { dt, __replayed_step, __window_start, _synaptic_pre, _synaptic_post } #}
{# ITERATE_ALL { _idx } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_later, find_rows, for_each_in_row, for_each_in_four_rows with context %}

{% block maincode %}
    {% set scalar = c_data_type(target.dtype) %}
    if ({{__replayed_step}} >= {{__window_start}})
    {
        {{find_later(later, alike)}}
        {% if gate is not none %}
        const {{c_data_type(gate.dtype)}} *_psi = {{get_array_name(gate)}} + (size_t)({{__replayed_step}} % {{rows}}) * {{target.size}};
        {% endif %}
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        {{find_rows(synapses)}}
        // Those that are to be summed up together, for which credit is read once
        int32_t _sources[4], _n = 0;
        for (int32_t _next={{synapses.source.start}}; _next<{{synapses.source.stop}}; _next++)
        {
            {{get_array_name(target)}}[_next] = 0;
            {% if gate is not none %}
            if (_psi[_next] != 0 || {{__replayed_step}} == {{__window_start}})
            {% endif %}
                _sources[_n++] = _next;
            if (_n < 4 && _next + 1 < {{synapses.source.stop}})
                continue;
            {{scalar}} _sum_0 = 0, _sum_1 = 0, _sum_2 = 0, _sum_3 = 0;
            if (_n == 4 && _rows.side_by_side())
            {
                {{for_each_in_four_rows(synapses, vector_code + ['_sum_of_row += _passed;'])}}
                {% for q in range(4) %}
                {{get_array_name(target)}}[_sources[{{q}}]] = _sum_{{q}};
                {% endfor %}
            }
            else for (int32_t _place_of=0; _place_of<_n; _place_of++)
            {
                const int32_t _source = _sources[_place_of];
                _sum_0 = 0;
                {{for_each_in_row(synapses, vector_code + ['_sum_0 += _passed;'])}}
                {{get_array_name(target)}}[_source] = _sum_0;
            }
            _n = 0;
        }
    }
{% endblock %}
