{# One step of the backward pass of a group: what was recorded is put where the code reads it, and
   what synapses with delays will read is kept. Before the window there is no credit. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    cdef size_t _row
    if {{__replayed_step}} >= {{__window_start}}:
        _row = ({{__replayed_step}} % {{rows}}) * N
        for _idx in range(N):
            pass
            {% for past, kept in replayed %}
            {{get_array_name(past)}}[_idx] = {{get_array_name(kept)}}[_row + _idx]
            {% endfor %}
        _vectorisation_idx = 1
        {{scalar_code|autoindent}}
        for _idx in range(N):
            _vectorisation_idx = _idx
            {{vector_code|autoindent}}
        {% for output, kept in whole %}
        for _idx in range(N):
            {{get_array_name(kept)}}[_row + _idx] = {{get_array_name(output)}}[_idx]
        {% endfor %}
    else:
        for _idx in range(N):
            pass
            {% for output in outputs %}
            {{get_array_name(output)}}[_idx] = 0
            {% endfor %}
    {% for output, kept, reach in later %}
    _row = ({{__replayed_step}} % {{reach}}) * N
    for _idx in range(N):
        {{get_array_name(kept)}}[_row + _idx] = {{get_array_name(output)}}[_idx]
        {{get_array_name(kept)}}[_row + {{reach}}*N + _idx] = {{get_array_name(output)}}[_idx]
    {% endfor %}
{% endblock %}
