{# USES_VARIABLES { N } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}

{% block maincode %}
    if ({{get_array_name(gate)}}[0])
    {
        const size_t _vectorisation_idx = -1;
        {{scalar_code|autoindent}}
        const int _N = {{constant_or_scalar('N', variables['N'])}};
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
        }
    }
{% endblock %}
