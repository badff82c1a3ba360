{# USES_VARIABLES { N, t_in_timesteps } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
#include <algorithm>
{% endblock %}

{% block maincode %}
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    for (int _idx=0; _idx<_N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
    const size_t _row = (size_t)({{t_in_timesteps}} % {{rows}}) * _N;
    {% for variable, kept in recorded %}
    std::copy_n({{get_array_name(variable)}}, _N, {{get_array_name(kept)}} + _row);
    {% endfor %}
{% endblock %}
