{# Where each synapse finds the credit of its arrivals, looked up once in each run(), before which
   delays may have been changed; with one delay for all the place is that of its target, and only the
   delay is looked at. #}
{# USES_VARIABLES { _synaptic_post, dt } #}
{% extends 'common_synapses.cpp' %}
{% from 'rows.cpp' import steps_of_delay %}

{% block maincode %}
    {% set delays = get_array_name(delay, access_data=False) %}
    {% if place is not none %}
    {% set places = get_array_name(place, access_data=False) %}
    const size_t _num_delays = _num_synaptic_post;
    {% else %}
    const size_t _num_delays = 1;
    {% endif %}
    {% if place is not none and not split %}
    // This code belongs to one run()
    static bool _placed = false;
    if (!_placed || {{places}}.size() != _num_delays)
    {% endif %}
    {
        {% if place is not none and not split %}
        _placed = true;
        {% endif %}
        {% if place is not none %}
        {{places}}.resize(_num_delays);
        {% endif %}
        {% for each in split %}
        {{get_array_name(each, access_data=False)}}.resize(_num_delays);
        {% endfor %}
        for (size_t _i=0; _i<_num_delays; _i++)
        {
            const double _delay = {{delays}}[_i];
            {{steps_of_delay(synapses, dt, lag, reach)|autoindent}}
            {% for each in split %}
            {{get_array_name(each, access_data=False)}}[_i] =
                ((int)std::floor(_delay/{{dt}} + {{whole_step}}) + {{lag}} + {{loop.index0}})*{{n}} +
                {{get_array_name(synapses.variables['_synaptic_post'])}}[_i];
            {% endfor %}
            {% if place is not none %}
            {{places}}[_i] = _steps*{{n}} + {{get_array_name(synapses.variables['_synaptic_post'])}}[_i];
            {% endif %}
        }
    }
{% endblock %}
