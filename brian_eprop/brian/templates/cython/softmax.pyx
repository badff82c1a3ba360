{# USES_VARIABLES { N } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    cdef double _largest = {{get_array_name(of_y)}}[0]
    cdef double _sum = 0
    for _idx in range(N):
        if {{get_array_name(of_y)}}[_idx] > _largest:
            _largest = {{get_array_name(of_y)}}[_idx]
    for _idx in range(N):
        _sum += exp({{get_array_name(of_y)}}[_idx] - _largest)
    {{get_array_name(of_largest)}}[0] = _largest
    {{get_array_name(of_norm)}}[0] = _sum
{% endblock %}
