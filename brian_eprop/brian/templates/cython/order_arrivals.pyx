{# Before the backward pass: nothing is on its way back. Python has ordered the synapses already. #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    cdef size_t _place
    {% for ring in rings %}
    for _place in range(_num{{get_array_name(ring)}}):
        {{get_array_name(ring)}}[_place] = 0
    {% endfor %}
{% endblock %}
