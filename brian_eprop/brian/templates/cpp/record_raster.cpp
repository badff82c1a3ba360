{# Keeps the spikes of a group, a row of 0 and 1 for each step of a run. #}
{# USES_VARIABLES { N, t_in_timesteps } #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
#include <algorithm>
{% endblock %}

{% block maincode %}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    {% for spikespace, kept in recorded %}
    const int32_t *_fired = {{get_array_name(spikespace)}};
    char *_row = {{get_array_name(kept)}} + (size_t)({{t_in_timesteps}} % {{rows}}) * _N;
    std::fill_n(_row, _N, 0);
    for (int32_t _spike=0; _spike<_fired[_N]; _spike++)
        _row[_fired[_spike]] = 1;
    {% endfor %}
{% endblock %}
