{# Keeps the spikes of a group, a row of 0 and 1 for each step of a run. #}
{# USES_VARIABLES { N, t_in_timesteps } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    cdef size_t _row = ({{t_in_timesteps}} % {{rows}}) * N
    {% for spikespace, kept in recorded %}
    {% set _fired = get_array_name(spikespace) %}
    for _idx in range(N):
        {{get_array_name(kept)}}[_row + _idx] = 0
    for _idx in range({{_fired}}[N]):
        {{get_array_name(kept)}}[_row + {{_fired}}[_idx]] = 1
    {% endfor %}
{% endblock %}
