{# USES_VARIABLES { N } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    if {{get_array_name(gate)}}[0]:
        _vectorisation_idx = 1
        {{scalar_code|autoindent}}
        for _idx in range(N):
            _vectorisation_idx = _idx
            {{vector_code|autoindent}}
{% endblock %}
