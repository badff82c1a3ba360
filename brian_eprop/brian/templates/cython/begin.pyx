{# Before the backward pass: no credit has arrived yet. #}
{# USES_VARIABLES { N } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    _vectorisation_idx = 1
    {{scalar_code|autoindent}}
    for _idx in range(N):
        _vectorisation_idx = _idx
        {{vector_code|autoindent}}
    {% for kept in later %}
    for _idx in range(_num{{get_array_name(kept)}}):
        {{get_array_name(kept)}}[_idx] = 0
    {% endfor %}
{% endblock %}
