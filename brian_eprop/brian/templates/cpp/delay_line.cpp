{# USES_VARIABLES { N, t_in_timesteps, __trial_step } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}

{% block maincode %}
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    for (int _idx=0; _idx<_N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
    {% set ring = get_array_name(kept, access_data=False) %}
    if ({{ring}}.size() != (size_t)_N * {{steps}})
        {{ring}}.resize((size_t)_N * {{steps}});
    const size_t _row = (size_t)({{t_in_timesteps}} % {{steps}}) * _N;
    const size_t _late = (size_t)(({{t_in_timesteps}} + 1) % {{steps}}) * _N;
    const bool _on = {{__trial_step}} + 1 >= {{steps}};
    for (int _idx=0; _idx<_N; _idx++)
    {
        {{ring}}[_row + _idx] = {{get_array_name(into)}}[_idx];
        {{get_array_name(late)}}[_idx] = _on ? {{ring}}[_late + _idx] : 0;
    }
{% endblock %}
