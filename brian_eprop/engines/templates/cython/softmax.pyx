{# USES_VARIABLES { N } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    cdef double _largest = {{get_array_name(y)}}[0]
    cdef double _sum = 0
    for _idx in range(N):
        if {{get_array_name(y)}}[_idx] > _largest:
            _largest = {{get_array_name(y)}}[_idx]
    for _idx in range(N):
        _sum += exp({{get_array_name(y)}}[_idx] - _largest)
    {{get_array_name(largest)}}[0] = _largest
    {{get_array_name(norm)}}[0] = _sum
{% endblock %}
