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
    {% set code = vector_code|join('\n') %}
    {% if recorded and 'not_refractory' in variables %}
    // As wide as what it decides on, so that a compiler takes as many neurons at once as without it
    {% set wide, narrow = c_data_type(recorded[0][0].dtype), get_array_name(variables['not_refractory']) %}
    static {{wide}} _may_fire[{{variables['not_refractory'].size}}];
    std::copy_n({{narrow}}, _N, _may_fire);
    {% set code = code|replace('const char not_refractory = ' ~ narrow, 'const ' ~ wide ~ ' not_refractory = _may_fire') %}
    {% endif %}
    for (int _idx=0; _idx<_N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{code|autoindent}}
    }
    const size_t _row = (size_t)({{t_in_timesteps}} % {{rows}}) * _N;
    {% for variable, kept in recorded %}
    std::copy_n({{get_array_name(variable)}}, _N, {{get_array_name(kept)}} + _row);
    {% endfor %}
{% endblock %}
