{# Runs the code of several steps at once for all synapses: their numbers are then read and written once
   for all of these steps. What the code reads of neurons is kept, a row for each step, until a block
   is full or the trial ends; or a shared variable changes, of which a block has one value. #}
{# USES_VARIABLES { N, _synaptic_pre, _synaptic_post, __episode_ends } #}
{# ITERATE_ALL { _idx } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_rows with context %}
{% from 'step_blocks.cpp' import for_all, of_block, steps with context %}

{% block maincode %}
    static int32_t _kept = 0;
    {% for variable in shared %}
    static {{c_data_type(variable.dtype)}} _shared_{{loop.index}};
    {% endfor %}
    {% for variable in of_neurons %}
    static {{c_data_type(variable.dtype)}} _rows_{{loop.index}}[{{block*variable.size}}];
    {% endfor %}
    bool _changed = false;
    {% for variable in shared %}
    _changed |= _shared_{{loop.index}} != {{get_array_name(variable)}}[0];
    {% endfor %}
    // First the steps before this one, if they cannot be computed with it
    for (const bool _with_this : {false, true})
    {
        if (_with_this)
        {
            {% for variable in shared %}
            _shared_{{loop.index}} = {{get_array_name(variable)}}[0];
            {% endfor %}
            {% for variable in of_neurons %}
            std::copy_n({{get_array_name(variable)}}, {{variable.size}}, _rows_{{loop.index}} + {{variable.size}}*_kept);
            {% endfor %}
            _kept++;
        }
        if (_with_this ? _kept < {{block}} && !{{__episode_ends}} : !_changed)
            continue;
        const size_t _vectorisation_idx = -1;
        {{of_block(scalar_code)|autoindent}}
        {{find_rows(synapses)}}
        if (_kept == {{block}})
        {
            const int32_t _first = 0;
            {{for_all(steps(block))}}
        }
        else for (int32_t _first=0; _first<_kept; _first++)
        {
            {{for_all(steps(1))}}
        }
        _kept = 0;
    }
{% endblock %}
