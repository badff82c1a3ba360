{# USES_VARIABLES { _synaptic_pre, _synaptic_post, delay } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_rows, for_each_in_row, for_each_in_four_rows, own_targets with context %}

{% block maincode %}
    {% set _events = get_array_name(events) %}
    const int32_t _num_events = {{_events}}[_num{{events.name}}-1];
    if (_num_events > 0)
    {
        if ({{delay}} != 0)
        {
            std::cerr << "a delay of '{{synapses.name}}' was set, but it was created without: leave "
                         "out its argument delay=0*ms" << std::endl;
            std::exit(1);
        }

        // scalar code
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}

        {{find_rows(synapses)}}
        for (int32_t _event=0; _event<_num_events; _event++)
        {
            {% if own_targets(vector_code|join('\n'))|trim == 'True' %}
            const int32_t *_sources = {{_events}} + _event;
            if (_event + 4 <= _num_events && _rows.side_by_side()
                && *std::min_element(_sources, _sources + 4) >= {{synapses.source.start}}
                && *std::max_element(_sources, _sources + 4) < {{synapses.source.stop}})
            {
                {{for_each_in_four_rows(synapses, vector_code)}}
                _event += 3;
                continue;
            }
            {% endif %}
            const int32_t _source = {{_events}}[_event];
            if (_source < {{synapses.source.start}} || _source >= {{synapses.source.stop}})
                continue;
            {{for_each_in_row(synapses, vector_code)}}
        }
    }
{% endblock %}
