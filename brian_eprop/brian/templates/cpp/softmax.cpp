{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}

{% block extra_headers %}
#include <algorithm>
{% endblock %}

{% block maincode %}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    const auto *_y = {{get_array_name(of_y)}};
    const auto _largest = *std::max_element(_y, _y + _N);
    {{c_data_type(of_y.dtype)}} _sum = 0;
    for (int _idx=0; _idx<_N; _idx++)
        _sum += exp(_y[_idx] - _largest);
    {{get_array_name(of_largest)}}[0] = _largest;
    {{get_array_name(of_norm)}}[0] = _sum;
{% endblock %}
