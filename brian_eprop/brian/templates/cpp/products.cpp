{# Sets variables of synapses to Σ_t x_i^t c_j^t over a window, of what was kept of their sources and
   targets, and runs the code for all synapses. #}
{# USES_VARIABLES { N, _synaptic_pre, _synaptic_post, t_in_timesteps, __window_start } #}
{# ITERATE_ALL { _idx } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_synapses.cpp' %}

{% block extra_headers %}
{{ super() }}
#include <vector>
{% endblock %}

{% block maincode %}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    const int64_t _begin = {{__window_start}}, _steps = {{t_in_timesteps}} - _begin + 1;
    // Rows of steps become rows of neurons, in whole blocks of eight steps
    const int64_t _length = (_steps + 7)/8*8;
    {% for product, x, n_source, c, n_target in products %}
    {
        {% set scalar = c_data_type(product.dtype) %}
        std::vector<{{scalar}}> _sources((size_t){{n_source}}*_length, 0), _targets((size_t){{n_target}}*_length, 0);
        for (int64_t _t=0; _t<_steps; _t++)
        {
            const size_t _row = (_begin + _t) % {{rows}};
            for (size_t _k=0; _k<{{n_source}}; _k++)
                _sources[_k*_length + _t] = {{get_array_name(x)}}[_row*{{n_source}} + _k];
            for (size_t _k=0; _k<{{n_target}}; _k++)
                _targets[_k*_length + _t] = {{get_array_name(c)}}[_row*{{n_target}} + _k];
        }
        for (int _idx=0; _idx<_N; _idx++)
        {
            const {{scalar}} *_x = _sources.data() + (size_t){{get_array_name(variables['_synaptic_pre'])}}[_idx]*_length;
            const {{scalar}} *_c = _targets.data() + (size_t){{get_array_name(variables['_synaptic_post'])}}[_idx]*_length;
            // Eight sums beside each other, for which no compiler has to change the order of a sum
            {{scalar}} _sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            for (int64_t _t=0; _t<_length; _t+=8)
                for (int _k=0; _k<8; _k++)
                    _sums[_k] += _x[_t + _k]*_c[_t + _k];
            {{get_array_name(product)}}[_idx] = ((_sums[0] + _sums[1]) + (_sums[2] + _sums[3]))
                + ((_sums[4] + _sums[5]) + (_sums[6] + _sums[7]));
        }
    }
    {% endfor %}
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    for (int _idx=0; _idx<_N; _idx++)
    {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
