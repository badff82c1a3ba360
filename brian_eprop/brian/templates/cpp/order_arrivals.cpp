{# Before the backward pass: nothing is on its way back. Once in each run(), before which
   delays may have been changed, the synapses are ordered as their spikes arrive, by delay, from the
   longest, and by source. #}
{# USES_VARIABLES { dt } #}
{% extends 'common_synapses.cpp' %}
{% from 'rows.cpp' import steps_of_delay %}

{% block extra_headers %}
{{ super() }}
#include <algorithm>
#include <numeric>
{% endblock %}

{% block maincode %}
    {% set delays = get_array_name(delay, access_data=False) %}
    {% set steps = get_array_name(synapses.variables['__steps'], access_data=False) %}
    {% set first = get_array_name(synapses.variables['__first'], access_data=False) %}
    {% set order = get_array_name(synapses.variables['__order'], access_data=False) %}
    {% set arriving = get_array_name(synapses.variables['__arriving'], access_data=False) %}
    {% set sources = get_array_name(synapses.variables['_synaptic_pre']) %}
    const size_t _num_synapses = _num_synaptic_pre;
    // This code belongs to one run()
    static bool _ordered = false;
    if (!_ordered || {{arriving}}.size() != _num_synapses + 1)
    {
        _ordered = true;
        {{steps}}.resize(_num_synapses);
        {{order}}.resize(_num_synapses);
        {{arriving}}.assign(_num_synapses + 1, 0);
        {{first}}.assign((size_t)({{reach}} + 1) * {{n_source}} + 1, 0);
        {% for variable in per_synapse %}
        {{get_array_name(variable, access_data=False)}}.assign(_num_synapses, 0);
        {% endfor %}
        for (size_t _i=0; _i<_num_synapses; _i++)
        {
            const double _delay = {{delays}}[{{delays}}.size() == 1 ? 0 : _i];
            {{steps_of_delay(synapses, dt, lag, reach)|autoindent}}
            {{steps}}[_i] = _steps;
            {{first}}[(size_t)({{reach}} - _steps) * {{n_source}} + {{sources}}[_i] + 1]++;
        }
        std::partial_sum({{first}}.begin(), {{first}}.end(), {{first}}.begin());
        std::vector<int32_t> _next({{first}}.begin(), {{first}}.end());
        for (size_t _i=0; _i<_num_synapses; _i++)
            {{order}}[_next[(size_t)({{reach}} - {{steps}}[_i]) * {{n_source}} + {{sources}}[_i]]++] = _i;
    }
    {% for ring in rings %}
    {{get_array_name(ring, access_data=False)}}.assign((size_t)({{reach}} + 1) * {{n_source}}, 0);
    {% endfor %}
{% endblock %}
