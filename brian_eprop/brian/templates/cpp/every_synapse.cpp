{# Runs the code for all synapses. #}
{# USES_VARIABLES { N, _synaptic_pre, _synaptic_post } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_rows, for_each_in_row with context %}

{% block maincode %}
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    {{find_rows(synapses)}}
    if (_rows.first_run.empty())
    {
        const int _N = {{constant_or_scalar('N', variables['N'])}};
        for (int _idx=0; _idx<_N; _idx++)
        {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
        }
    }
    else
    {
        for (int32_t _source={{synapses.source.start}}; _source<{{synapses.source.stop}}; _source++)
        {
            {{for_each_in_row(synapses, vector_code)}}
        }
    }
{% endblock %}
