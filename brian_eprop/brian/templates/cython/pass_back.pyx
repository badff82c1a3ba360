{# Sums the credit of the arrivals of one step into those in which their neurons fire, and sets a
   variable of the group to what has come together for the replayed step. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set ring = get_array_name(ring) %}
    {% set steps = get_array_name(variables['__steps']) %}
    {% set source = get_array_name(variables['_synaptic_pre']) %}
    cdef size_t _row, _place
    if {{__replayed_step}} >= {{__window_start}}:
        _vectorisation_idx = 1
        {{scalar_code|autoindent}}
        for _idx in range({{N}}):
            _vectorisation_idx = _idx
            {{vector_code|autoindent}}
            _row = ({{__replayed_step}} + {{reach + 1}} - {{steps}}[_idx]) % {{reach + 1}}
            {{ring}}[_row * {{n_source}} + {{source}}[_idx]] += _passed
        _row = ({{__replayed_step}} % {{reach + 1}}) * {{n_source}}
        for _place in range({{n_source}}):
            {{get_array_name(target)}}[_place] = {{ring}}[_row + _place]
            {{ring}}[_row + _place] = 0
{% endblock %}
