{# Runs the code for all synapses of the neurons that fired in the replayed step. #}
{# USES_VARIABLES { dt, __replayed_step, _synaptic_pre, _synaptic_post } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_later, find_rows, for_each_in_row with context %}

{% block maincode %}
    const int32_t *_fired = {{get_array_name(kept)}} + (size_t)({{__replayed_step}} % {{rows}}) * ({{n_source}} + 1);
    const int32_t _num_fired = _fired[{{n_source}}];
    if (_num_fired > 0)
    {
        {{find_later(later, alike)}}
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}

        {{find_rows(synapses)}}
        for (int32_t _spike=0; _spike<_num_fired; _spike++)
        {
            const int32_t _source = _fired[_spike];
            if (_source < {{synapses.source.start}} || _source >= {{synapses.source.stop}})
                continue;
            {{for_each_in_row(synapses, vector_code)}}
        }
    }
{% endblock %}
