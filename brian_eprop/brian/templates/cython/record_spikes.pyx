{# USES_VARIABLES { t_in_timesteps } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set _fired = get_array_name(spikespace) %}
    cdef size_t _last = _num{{_fired}} - 1
    cdef size_t _row = ({{t_in_timesteps}} % {{rows}}) * (_last + 1)
    for _idx in range({{_fired}}[_last]):
        {{get_array_name(kept)}}[_row + _idx] = {{_fired}}[_idx]
    {{get_array_name(kept)}}[_row + _last] = {{_fired}}[_last]
{% endblock %}
