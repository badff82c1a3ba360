{# Sets a variable of a group to a sum over synapses, for one step of the backward pass. #}
{# USES_VARIABLES { N, __replayed_step, __window_start } #}
{# ITERATE_ALL { _idx } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set sum = get_array_name(target) %}
    if {{__replayed_step}} >= {{__window_start}}:
        {% for row, reach, n in later %}
        {{get_array_name(row)}} = {{get_array_name(row)}} + ({{__replayed_step}} % {{reach}}) * {{n}}
        {% endfor %}
        for _idx in range(_num{{sum}}):
            {{sum}}[_idx] = 0
        _vectorisation_idx = 1
        {{scalar_code|autoindent}}
        for _idx in range({{N}}):
            _vectorisation_idx = _idx
            {{vector_code|autoindent}}
            {{sum}}[{{get_array_name(index)}}[_idx]] += _passed
{% endblock %}
