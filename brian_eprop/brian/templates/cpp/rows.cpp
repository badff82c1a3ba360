{# The synapses of each source neuron, found once per program and not in each step.

   Import `with context`, in a template that extends by_row.cpp and USES_VARIABLES _synaptic_pre
   and _synaptic_post: find_rows before the first row is asked for, and then for_each_in_row. All
   templates share the rows of a Synapses object. #}

{# Tells the compiler that no turn of the loop that follows reads what another one writes. #}
{% macro independent() %}
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#elif defined(__GNUC__)
#pragma GCC ivdep
#endif
{% endmacro %}

{# Declares _steps, those of the delay _delay, which may not reach further than is kept. #}
{% macro steps_of_delay(synapses, dt, lag, reach) %}
const int _steps = (int)(_delay/{{dt}} + 0.5) + {{lag}};
if (_steps > {{reach}})
{
    std::cerr << "a delay of '{{synapses.name}}' is " << _delay << " s: longer than the "
                 "window of learning, or than it was created with: make delays shorter, or "
                 "create the synapses with the longest" << std::endl;
    std::exit(1);
}
{% endmacro %}

{% macro declare_rows(synapses) %}
namespace brian_eprop {

struct Rows
{
    int64_t n_synapses = -1;
    // Row k has the places first[k] ... first[k+1]-1 in `order`; if that is empty, the synapses
    // are in this order already.
    std::vector<int32_t> first, order;
    // Long runs of synapses onto consecutive targets are a loop without look-ups. Row k has
    // the runs first_run[k] ... first_run[k+1]-1; run r begins at synapse run[r].
    std::vector<int32_t> first_run, run;
    // No run of a row has a target before those of the run before it.
    bool ascending;
    // So many synapses has every row, onto the same targets; 0 if rows differ.
    int32_t alike;

    void find(const int32_t *sources, const int32_t *targets, int64_t n, int32_t start, int32_t stop)
    {
        n_synapses = n;
        order.clear();
        first.assign(stop - start + 1, 0);
        if (std::is_sorted(sources, sources + n))
        {
            for (int32_t k=0; k<=stop-start; k++)
                first[k] = std::lower_bound(sources, sources + n, start + k) - sources;
        }
        else
        {
            for (int64_t i=0; i<n; i++)
                first[sources[i] - start + 1]++;
            std::partial_sum(first.begin(), first.end(), first.begin());
            std::vector<int32_t> next(first);
            order.resize(n);
            for (int64_t i=0; i<n; i++)
                order[next[sources[i] - start]++] = i;
        }
        find_runs(targets);
        alike = order.empty() && first.size() > 1 ? first[1] - first[0] : 0;
        for (size_t k=1; alike && k+1<first.size(); k++)
            if (first[k+1] - first[k] != alike)
                alike = 0;
        for (int64_t i=0; alike && i<n; i++)
            if (targets[i] != targets[i % alike])
                alike = 0;
    }

    // Whether FourRows can be made of them
    bool side_by_side() const { return !first_run.empty() && ascending; }

    void find_runs(const int32_t *targets)
    {
        const size_t few = n_synapses/24;
        first_run.clear();
        run.clear();
        ascending = true;
        for (size_t k=0; order.empty() && k+1<first.size() && run.size()<=few; k++)
        {
            first_run.push_back(run.size());
            for (int32_t i=first[k]; i<first[k+1]; i++)
                if (i == first[k] || targets[i] != targets[i-1] + 1)
                {
                    run.push_back(i);
                    ascending &= i == first[k] || targets[i] > targets[i-1];
                }
        }
        first_run.push_back(run.size());
        run.push_back(n_synapses);
        if (first_run.size() < first.size() || run.size() > few)
            first_run.clear();
    }
};

// The rows of four sources beside each other, piece by piece: in each, a row has all targets from
// `begin` to `stop`-1 or none. Synapse number target + shift[q] of row q is onto a target.
struct FourRows
{
    const Rows &rows;
    const int32_t *targets;
    int32_t run[4], last[4], shift[4], begin = 0, stop = 0;
    bool has[4];

    FourRows(const Rows &rows, const int32_t *targets, const int32_t *sources, int32_t start)
        : rows(rows), targets(targets)
    {
        for (int q=0; q<4; q++)
        {
            run[q] = rows.first_run[sources[q] - start];
            last[q] = rows.first_run[sources[q] - start + 1];
        }
    }

    bool next()
    {
        begin = stop;
        stop = INT32_MAX;
        for (int q=0; q<4; q++)
        {
            has[q] = false;
            if (run[q] < last[q] && end(run[q]) == begin)
                run[q]++;
            if (run[q] == last[q])
                continue;
            const int32_t first = targets[rows.run[run[q]]];
            shift[q] = rows.run[run[q]] - first;
            has[q] = first <= begin;
            stop = std::min(stop, has[q] ? end(run[q]) : first);
        }
        return stop < INT32_MAX;
    }

    // The target after the last one of a run
    int32_t end(int32_t r) const { return targets[rows.run[r]] + rows.run[r+1] - rows.run[r]; }
};

// One object for all files of the program
inline Rows &rows_of_{{synapses.name}}() { static Rows rows; return rows; }

}
{% endmacro %}

{% macro find_rows(synapses) %}
brian_eprop::Rows &_rows = brian_eprop::rows_of_{{synapses.name}}();
if (_rows.n_synapses != (int64_t)_num_synaptic_pre)
    _rows.find({{get_array_name(synapses.variables['_synaptic_pre'])}},
               {{get_array_name(synapses.variables['_synaptic_post'])}},
               _num_synaptic_pre, {{synapses.source.start}}, {{synapses.source.stop}});
{% endmacro %}

{# Runs `code` for a synapse of each neuron `_source` to the same target, number `_k` of each row. #}
{% macro for_each_source(synapses, code) %}
{% set presynaptic = get_array_name(synapses.variables['_synaptic_pre']) ~ '[_idx]' %}
{% set postsynaptic = get_array_name(synapses.variables['_synaptic_post']) ~ '[_idx]' %}
{% set code = code|join('\n')|replace(presynaptic, '_source')|replace(postsynaptic, '_target') %}
const int32_t _target = {{postsynaptic|replace('[_idx]', '[_k]')}};
{{independent()}}
for (int32_t _source={{synapses.source.start}}; _source<{{synapses.source.stop}}; _source++)
{
    const int32_t _idx = (_source - {{synapses.source.start}})*_rows.alike + _k;
    const size_t _vectorisation_idx = _idx;
    {{code|autoindent}}
}
{% endmacro %}

{# Runs `code` for all synapses of the neuron `_source`, which is an index as in _synaptic_pre. #}
{% macro for_each_in_row(synapses, code) %}
{% set presynaptic = get_array_name(synapses.variables['_synaptic_pre']) ~ '[_idx]' %}
{% set postsynaptic = get_array_name(synapses.variables['_synaptic_post']) ~ '[_idx]' %}
{% set code = code|join('\n')|replace(presynaptic, '_source') %}
{
    const int32_t _row = _source - {{synapses.source.start}};
    if (!_rows.first_run.empty())
    {
        for (int32_t _run=_rows.first_run[_row]; _run<_rows.first_run[_row+1]; _run++)
        {
            const int32_t _stop = _rows.run[_run+1];
            const int32_t _idx_to_target = {{postsynaptic|replace('[_idx]', '[_rows.run[_run]]')}} - _rows.run[_run];
            {% if own_targets(code)|trim == 'True' %}
            // Neither a synapse nor a target occurs twice in a run; a source may be a target
            {{independent()}}
            {% endif %}
            for (int32_t _idx=_rows.run[_run]; _idx<_stop; _idx++)
            {
                const size_t _vectorisation_idx = _idx;
                {{code|replace(postsynaptic, '_idx + _idx_to_target')|autoindent}}
            }
        }
    }
    else
    {
        for (int32_t _place=_rows.first[_row]; _place<_rows.first[_row+1]; _place++)
        {
            const int32_t _idx = _rows.order.empty() ? _place : _rows.order[_place];
            const size_t _vectorisation_idx = _idx;
            {{code|autoindent}}
        }
    }
}
{% endmacro %}

{# Whether a turn of a loop over targets writes nothing that another turn reads. #}
{% macro own_targets(code) %}
{% set to_targets = '[_postsynaptic_idx] =' in code and '[_presynaptic_idx]' in code %}
{{ '[_presynaptic_idx] =' not in code and '[0] =' not in code and not to_targets }}
{% endmacro %}

{# Runs `code` for all synapses of the four neurons `_sources[0]` ... `_sources[3]`, which differ; for
   those onto one target one after the other, so that it is read and written once. The rows
   are side_by_side, and code has own_targets. A `_sum_of_row` is `_sum_0` ... `_sum_3`. #}
{% macro for_each_in_four_rows(synapses, code) %}
{% set presynaptic = get_array_name(synapses.variables['_synaptic_pre']) ~ '[_idx]' %}
{% set postsynaptic = get_array_name(synapses.variables['_synaptic_post']) ~ '[_idx]' %}
{% set code = code|join('\n')|replace(postsynaptic, '_target') %}
brian_eprop::FourRows _four(_rows, {{get_array_name(synapses.variables['_synaptic_post'])}}, _sources, {{synapses.source.start}});
while (_four.next())
{
    const int32_t _stop = _four.stop;
    {% for q in range(4) %}
    const int32_t _shift_{{q}} = _four.shift[{{q}}];
    {% endfor %}
    if (_four.has[0] && _four.has[1] && _four.has[2] && _four.has[3])
    {
        {{independent()}}
        for (int32_t _target=_four.begin; _target<_stop; _target++)
        {
            {% for q in range(4) %}
            {
                const int32_t _idx = _target + _shift_{{q}};
                const size_t _vectorisation_idx = _idx;
                {{code|replace(presynaptic, '_sources[' ~ q ~ ']')|replace('_sum_of_row', '_sum_' ~ q)|autoindent}}
            }
            {% endfor %}
        }
        continue;
    }
    {% for q in range(4) %}
    if (_four.has[{{q}}])
    {
        {{independent()}}
        for (int32_t _target=_four.begin; _target<_stop; _target++)
        {
            const int32_t _idx = _target + _shift_{{q}};
            const size_t _vectorisation_idx = _idx;
            {{code|replace(presynaptic, '_sources[' ~ q ~ ']')|replace('_sum_of_row', '_sum_' ~ q)|autoindent}}
        }
    }
    {% endfor %}
}
{% endmacro %}

{# Lets the credit of later steps begin where that of what the replayed step has sent is; with one
   delay for all synapses, where it arrives. #}
{% macro find_later(later, alike) %}
{% for row, reach, n in later %}
{{get_array_name(row)}} += (size_t)({{__replayed_step}} % {{reach}}) * {{n}};
{% if alike %}
{% set delay, lag = alike %}
{{get_array_name(row)}} += (size_t)((int)({{get_array_name(delay, access_data=False)}}[0]/{{dt}} + 0.5) + {{lag}}) * {{n}};
{% endif %}
{% endfor %}
{% endmacro %}
