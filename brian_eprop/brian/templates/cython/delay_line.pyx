{# USES_VARIABLES { N, t_in_timesteps, __trial_step } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    _vectorisation_idx = 1
    {{scalar_code|autoindent}}
    cdef size_t _n = {{constant_or_scalar('N', variables['N'])}}
    for _idx in range(_n):
        _vectorisation_idx = _idx
        {{vector_code|autoindent}}
    cdef size_t _row = ({{t_in_timesteps}} % {{steps}}) * _n
    cdef size_t _late = (({{t_in_timesteps}} + 1) % {{steps}}) * _n
    cdef bint _on = {{__trial_step}} + 1 >= {{steps}}
    for _idx in range(_n):
        {{get_array_name(kept)}}[_row + _idx] = {{get_array_name(into)}}[_idx]
        {{get_array_name(late)}}[_idx] = {{get_array_name(kept)}}[_late + _idx] if _on else 0
{% endblock %}
