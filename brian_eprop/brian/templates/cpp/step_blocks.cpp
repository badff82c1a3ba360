{# Code of several steps for all synapses, with what it reads of neurons from rows that are kept of it.

   Import `with context`, in a template that extends by_row.cpp. #}

{% from 'rows.cpp' import for_each_in_row with context %}

{# Code that reads shared variables of the block. #}
{% macro of_block(code) %}
{% set block_code = namespace(text=code|join('\n')) %}
{% for variable in shared %}
{% set block_code.text = block_code.text|replace(get_array_name(variable) ~ '[0]', '_shared_' ~ loop.index) %}
{% endfor %}
{{block_code.text}}
{% endmacro %}

{# The code of `count` steps from number `_first` of the block on, for one synapse. #}
{% macro steps(count) %}
{% for variable in of_synapses %}
{{c_data_type(variable.dtype)}} _now_{{loop.index}} = {{get_array_name(variable)}}[_idx];
{% endfor %}
{% for k in range(count) %}
{
    {% set step = namespace(code=of_block(vector_code)) %}
    {% for variable in of_neurons %}
    {% set row = variable.size ~ '*(_first + ' ~ k ~ ') + ' %}
    {% set step.code = step.code|replace(get_array_name(variable) ~ '[', '_rows_' ~ loop.index ~ '[' ~ row) %}
    {% endfor %}
    {% for variable in of_synapses %}
    {% set step.code = step.code|replace(get_array_name(variable) ~ '[_idx]', '_now_' ~ loop.index) %}
    {% endfor %}
    {{step.code}}
}
{% endfor %}
{% for variable in of_synapses %}
{{get_array_name(variable)}}[_idx] = _now_{{loop.index}};
{% endfor %}
{% endmacro %}

{% macro for_all(code) %}
if (_rows.first_run.empty())
{
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    for (int _idx=0; _idx<_N; _idx++)
    {
        {{code|autoindent}}
    }
}
else
{
    for (int32_t _source={{synapses.source.start}}; _source<{{synapses.source.stop}}; _source++)
    {
        {{for_each_in_row(synapses, [code])}}
    }
}
{% endmacro %}
