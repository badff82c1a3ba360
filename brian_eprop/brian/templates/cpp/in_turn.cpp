{# Runs the code for the listed synapses, one after the other, in their order or backwards. #}
{# USES_VARIABLES { N, __arriving } #}
{% extends 'common_synapses.cpp' %}

{% block maincode %}
    {% set arriving = get_array_name(variables['__arriving']) %}
    const int32_t _listed = {{arriving}}[{{constant_or_scalar('N', variables['N'])}}];
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    for (int32_t _number=0; _number<_listed; _number++)
    {
        const int32_t _idx = {{arriving}}[{{'_listed - 1 - _number' if reverse else '_number'}}];
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
