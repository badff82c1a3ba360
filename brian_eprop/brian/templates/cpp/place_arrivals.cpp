{# Where each synapse finds the credit of its arrivals, once its delay is known. #}
{# USES_VARIABLES { _synaptic_post, dt } #}
{% extends 'common_synapses.cpp' %}

{% block maincode %}
    {% set delays = get_array_name(delay, access_data=False) %}
    {% set places = get_array_name(place, access_data=False) %}
    const size_t _num_targets = _num_synaptic_post;
    {% if not split %}
    if ({{places}}.size() != _num_targets)
    {% endif %}
    {
        {{places}}.resize(_num_targets);
        {% for each in split %}
        {{get_array_name(each, access_data=False)}}.resize(_num_targets);
        {% endfor %}
        for (size_t _i=0; _i<_num_targets; _i++)
        {
            const double _delay = {{delays}}[{{delays}}.size() == 1 ? 0 : _i];
            const int _steps = (int)(_delay/{{dt}} + 0.5) + {{lag}};
            if (_steps > {{reach}})
            {
                std::cerr << "a delay of '{{synapses.name}}' is " << _delay << " s: longer than the "
                             "window of learning" << std::endl;
                std::exit(1);
            }
            {% for each in split %}
            {{get_array_name(each, access_data=False)}}[_i] =
                ((int)std::floor(_delay/{{dt}} + {{whole_step}}) + {{lag}} + {{loop.index0}})*{{n}} +
                {{get_array_name(synapses.variables['_synaptic_post'])}}[_i];
            {% endfor %}
            {{places}}[_i] = _steps*{{n}} + {{get_array_name(synapses.variables['_synaptic_post'])}}[_i];
        }
    }
{% endblock %}
