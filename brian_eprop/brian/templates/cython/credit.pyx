{# Runs the code for all synapses of the neurons that fired in the replayed step. #}
{# USES_VARIABLES { __replayed_step, __row_first, __row_order } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set first = get_array_name(variables['__row_first']) %}
    {% set order = get_array_name(variables['__row_order']) %}
    cdef size_t _row = ({{__replayed_step}} % {{rows}}) * ({{n_source}} + 1)
    cdef int32_t _num_fired = {{get_array_name(kept)}}[_row + {{n_source}}]
    cdef int32_t _source
    cdef size_t _spike, _place
    if _num_fired > 0:
        {% for row, reach, n in later %}
        {{get_array_name(row)}} = {{get_array_name(row)}} + ({{__replayed_step}} % {{reach}}) * {{n}}
        {% endfor %}
        _vectorisation_idx = 1
        {{scalar_code|autoindent}}
        for _spike in range(_num_fired):
            _source = {{get_array_name(kept)}}[_row + _spike]
            for _place in range({{first}}[_source], {{first}}[_source + 1]):
                _idx = {{order}}[_place]
                _vectorisation_idx = _idx
                {{vector_code|autoindent}}
{% endblock %}
