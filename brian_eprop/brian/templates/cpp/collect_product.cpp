{# Sets a variable of each source neuron to Σ_j w_ij x_j over its synapses, for one step of the
   backward pass. What reaches a neuron without pseudo-derivative ends there, but for the first step of
   a window: its signal is owed to the spikes of earlier windows as well. #}
{# USES_VARIABLES { dt, t_in_timesteps, __replayed_step, __window_start, _synaptic_pre, _synaptic_post } #}
{# ITERATE_ALL { _idx } #}
{% extends 'by_row.cpp' %}
{% from 'rows.cpp' import find_later, find_rows, for_each_in_row, for_each_source with context %}

{% set _scalar = c_data_type(target.dtype) %}
{% set _sums = get_array_name(target) %}
{% set _w = get_array_name(weight) %}
{% set _x = get_array_name(factor) %}
{% set _product = _w ~ '[_idx]*' ~ _x ~ '[' ~ get_array_name(synapses.variables['_synaptic_post']) ~ '[_idx]];' %}

{% block extra_headers %}
{{ super() }}
namespace {

// Sums of the weights between two neurons, 0 without a synapse, where more than half of the pairs
// have one.
struct WholeRows
{
    static const size_t n_source = {{synapses.source.stop - synapses.source.start}};
    static const size_t n_target = {{synapses.target.stop - synapses.target.start}};
    // Rows and the vector begin at a line of the cache, and fill whole ones
    static const size_t line = 64/sizeof({{_scalar}}), length = (n_target + line - 1)/line*line;
    std::vector<{{_scalar}}> numbers;
    {{_scalar}} *rows, *vector;

    WholeRows() : numbers((n_source + 1)*length + line)
    {
        rows = numbers.data() + (64 - (size_t)numbers.data() % 64)/sizeof({{_scalar}});
        vector = rows + n_source*length;
    }

    {{_scalar}} *row(int32_t source) { return rows + (source - {{synapses.source.start}})*length; }

    template <class W> void copy(const W *w, const int32_t *sources, const int32_t *targets, int32_t n)
    {
        std::fill(numbers.begin(), numbers.end(), 0);
        for (int32_t i=0; i<n; i++)
            row(sources[i])[targets[i] - {{synapses.target.start}}] += w[i];
    }

    // Sets the sums of some sources, four at a time, for which the vector is read once
    template <class X>
    void multiply(const X *x, const int32_t *sources, size_t n, {{_scalar}} *sums)
    {
        std::copy_n(x + {{synapses.target.start}}, n_target, vector);
        for (size_t i=0; i<n; i+=4)
        {
            int32_t source[4];
            for (size_t q=0; q<4; q++)
                source[q] = sources[std::min(i + q, n - 1)];
            const {{_scalar}} *row_0 = row(source[0]), *row_1 = row(source[1]);
            const {{_scalar}} *row_2 = row(source[2]), *row_3 = row(source[3]);
            {{_scalar}} sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;
            for (size_t k=0; k<length; k++)
            {
                sum_0 += row_0[k]*vector[k];
                sum_1 += row_1[k]*vector[k];
                sum_2 += row_2[k]*vector[k];
                sum_3 += row_3[k]*vector[k];
            }
            sums[source[0]] = sum_0;
            sums[source[1]] = sum_1;
            sums[source[2]] = sum_2;
            sums[source[3]] = sum_3;
        }
    }
};

}
{% endblock %}

{% block maincode %}
    if ({{__replayed_step}} >= {{__window_start}})
    {
        {% if gate is not none %}
        const {{c_data_type(gate.dtype)}} *_psi = {{get_array_name(gate)}} + (size_t)({{__replayed_step}} % {{rows}}) * {{target.size}};
        {% endif %}
        {{find_later(later, alike)}}
        {{find_rows(synapses)}}
        std::fill({{_sums}} + {{synapses.source.start}}, {{_sums}} + {{synapses.source.stop}}, 0);
        if (_rows.alike > 0 && _rows.alike <= 8)
        {
            // Of the two loops the one over sources is the long one
            for (int32_t _k=0; _k<_rows.alike; _k++)
            {
                {{for_each_source(synapses, [_sums ~ '[_source] += ' ~ _product])}}
            }
        }
        else
        {
            // Without a branch, which no processor could foresee
            static std::vector<int32_t> _sources(WholeRows::n_source);
            size_t _n = 0;
            for (int32_t _source={{synapses.source.start}}; _source<{{synapses.source.stop}}; _source++)
            {
                _sources[_n] = _source;
                {% if gate is not none %}
                _n += (_psi[_source] != 0) | ({{__replayed_step}} == {{__window_start}});
                {% else %}
                _n++;
                {% endif %}
            }
            if (2*(size_t)_num_synaptic_pre > WholeRows::n_source*WholeRows::n_target)
            {
                static WholeRows _matrix;
                // The weights are those of the end of the window in all of its steps
                if ({{__replayed_step}} == {{t_in_timesteps}})
                    _matrix.copy({{_w}}, {{get_array_name(synapses.variables['_synaptic_pre'])}}, {{get_array_name(synapses.variables['_synaptic_post'])}}, _num_synaptic_pre);
                _matrix.multiply({{_x}}, _sources.data(), _n, {{_sums}});
            }
            else for (size_t _k=0; _k<_n; _k++)
            {
                const int32_t _source = _sources[_k];
                {{_scalar}} _sum = 0;
                {{for_each_in_row(synapses, ['_sum += ' ~ _product])}}
                {{_sums}}[_source] = _sum;
            }
        }
    }
{% endblock %}
