{# Sets a variable of each source neuron to a sum over its synapses, for one step of the
   backward pass. What reaches a neuron without pseudo-derivative ends there, but for the first step of
   a window: its signal is owed to the spikes of earlier windows as well. #}
{# USES_VARIABLES { __replayed_step, __window_start, _synaptic_pre, _synaptic_post } #}
{# ITERATE_ALL { _idx } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_rows, for_each_in_row, for_each_source with context %}

{% block maincode %}
    {% set scalar = c_data_type(target.dtype) %}
    if ({{__replayed_step}} >= {{__window_start}})
    {
        {% for row, reach, n in later %}
        {{get_array_name(row)}} += (size_t)({{__replayed_step}} % {{reach}}) * {{n}};
        {% endfor %}
        {% if gate %}
        const {{c_data_type(gate.dtype)}} *_psi = {{get_array_name(gate)}} + (size_t)({{__replayed_step}} % {{rows}}) * {{target.size}};
        {% endif %}
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        {{find_rows(synapses)}}
        if (_rows.alike > 0 && _rows.alike <= 8)
        {
            // Of the two loops the one over sources is the long one
            {{scalar}} *_sums = {{get_array_name(target)}};
            std::fill(_sums + {{synapses.source.start}}, _sums + {{synapses.source.stop}}, 0);
            for (int32_t _k=0; _k<_rows.alike; _k++)
            {
                {{for_each_source(synapses, vector_code + ['_sums[_source] += _passed;'])}}
            }
        }
        else for (int32_t _source={{synapses.source.start}}; _source<{{synapses.source.stop}}; _source++)
        {
            {{scalar}} _sum = 0;
            {% if gate %}
            if (_psi[_source] != 0 || {{__replayed_step}} == {{__window_start}})
            {% endif %}
            {{for_each_in_row(synapses, vector_code + ['_sum += _passed;'])}}
            {{get_array_name(target)}}[_source] = _sum;
        }
    }
{% endblock %}
