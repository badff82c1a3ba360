{# USES_VARIABLES { N } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set scalar = cpp_dtype(of_y.dtype) %}
    cdef {{scalar}} _largest = {{get_array_name(of_y)}}[0]
    cdef {{scalar}} _sum = 0
    for _idx in range(N):
        if {{get_array_name(of_y)}}[_idx] > _largest:
            _largest = {{get_array_name(of_y)}}[_idx]
    for _idx in range(N):
        _sum += exp({{get_array_name(of_y)}}[_idx] - _largest)
    {{get_array_name(of_largest)}}[0] = _largest
    {{get_array_name(of_norm)}}[0] = _sum
{% endblock %}
