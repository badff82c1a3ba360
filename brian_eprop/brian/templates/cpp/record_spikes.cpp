{# USES_VARIABLES { t_in_timesteps } #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
#include <algorithm>
{% endblock %}

{% block maincode %}
    const int32_t *_fired = {{get_array_name(spikespace)}};
    const size_t _N = _num{{spikespace.name}} - 1;
    int32_t *_row = {{get_array_name(kept)}} + (size_t)({{t_in_timesteps}} % {{rows}}) * (_N + 1);
    std::copy_n(_fired, _fired[_N], _row);
    _row[_N] = _fired[_N];
{% endblock %}
