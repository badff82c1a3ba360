{# The synapses' code for the spikes that arrive, all after the same delay. #}
{# USES_VARIABLES { _synaptic_pre, _synaptic_post, delay, dt } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_rows, for_each_in_row, for_each_in_four_rows, own_targets with context %}

{% block maincode %}
    {% set _events = get_array_name(events) %}
    {% if delayed %}
    // In Brian2's queue neurons wait in place of their synapses
    auto &_queue = *brian::{{pathway.name}}.queue[0];
    const size_t _delay = (size_t)({{delay}}/{{dt}} + 0.5);
    if (_delay >= _queue.queue.size())
        _queue.expand(_delay + 1);
    auto &_late = _queue.queue[(_queue.offset + _delay) % _queue.queue.size()];
    _late.insert(_late.end(), {{_events}}, {{_events}} + {{_events}}[_num{{events.name}}-1]);
    const auto *_arriving = _queue.peek();
    const int32_t *_spikes = _arriving->data(), _num_spikes = _arriving->size();
    {% else %}
    const int32_t *_spikes = {{_events}}, _num_spikes = _spikes[_num{{events.name}}-1];
    {% endif %}
    if (_num_spikes > 0)
    {
        {% if not delayed %}
        if ({{delay}} != 0)
        {
            std::cerr << "a delay of '{{synapses.name}}' was set, but it was created without: leave "
                         "out its argument delay=0*ms" << std::endl;
            std::exit(1);
        }
        {% endif %}

        // scalar code
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}

        {{find_rows(synapses)}}
        for (int32_t _spike=0; _spike<_num_spikes; _spike++)
        {
            {% if own_targets(vector_code|join('\n'))|trim == 'True' %}
            const int32_t *_sources = _spikes + _spike;
            if (_spike + 4 <= _num_spikes && _rows.side_by_side()
                && *std::min_element(_sources, _sources + 4) >= {{synapses.source.start}}
                && *std::max_element(_sources, _sources + 4) < {{synapses.source.stop}})
            {
                {{for_each_in_four_rows(synapses, vector_code)}}
                _spike += 3;
                continue;
            }
            {% endif %}
            const int32_t _source = _spikes[_spike];
            if (_source < {{synapses.source.start}} || _source >= {{synapses.source.stop}})
                continue;
            {{for_each_in_row(synapses, vector_code)}}
        }
    }
    {% if delayed %}
    _queue.advance();
    {% endif %}
{% endblock %}
