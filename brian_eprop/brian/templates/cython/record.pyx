{# USES_VARIABLES { N, t_in_timesteps } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    _vectorisation_idx = 1
    {{scalar_code|autoindent}}
    for _idx in range(N):
        _vectorisation_idx = _idx
        {{vector_code|autoindent}}
    cdef size_t _row = ({{t_in_timesteps}} % {{rows}}) * N
    for _idx in range(N):
        pass
        {% for variable, kept in recorded %}
        {{get_array_name(kept)}}[_row + _idx] = {{get_array_name(variable)}}[_idx]
        {% endfor %}
{% endblock %}
