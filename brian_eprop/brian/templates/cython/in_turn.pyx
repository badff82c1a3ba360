{# Runs the code for the listed synapses, one after the other, in their order or backwards. #}
{# USES_VARIABLES { N, __arriving } #}
{% extends 'common_group.pyx' %}

{% block maincode %}
    {% set arriving = get_array_name(variables['__arriving']) %}
    cdef int32_t _number, _listed = {{arriving}}[{{N}}]
    _vectorisation_idx = 1
    {{scalar_code|autoindent}}
    for _number in range(_listed):
        _idx = {{arriving}}[{{'_listed - 1 - _number' if reverse else '_number'}}]
        _vectorisation_idx = _idx
        {{vector_code|autoindent}}
{% endblock %}
