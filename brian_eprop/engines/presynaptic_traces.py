"""Traces that are kept once per presynaptic neuron, where nothing of the target acts on them."""

from attrs import frozen

from ..brian import schedule
from ..brian.code import declare, internal, on_spike, run_code
from ..brian.internals import parent_group
from ..calculus.printing import printed
from .trials import at_trial_start

#: Shared variables of the readout that the code of the source reads.
SOURCE_SHARED = ("__kappa", "__trial_begins")


@frozen
class PresynapticTraces:
    """Entries of the eligibility vector that are kept per presynaptic neuron.

    In the code, ``{name}`` stands for the variable of the source that belongs to this projection.

    Attributes
    ----------
    variables : tuple of str
        Names by which the synapses see them.
    on_spike : str
        Run for the neurons that fire, when their spikes arrive.
    advance : str
        Run for all neurons in every step, at ``moment``.
    shared : tuple of str
        Shared variables of the target that the code reads.
    moment : Moment
    """

    variables: tuple
    on_spike: str
    advance: str
    shared: tuple
    moment: schedule.Moment


def presynaptic_states(linearization, effects):
    """The largest set of states that nothing of the postsynaptic neuron acts on."""
    entries, clamped = linearization.coefficients, linearization.step.clamped
    shared = {name for phase in entries.phases.values() for name in phase.uniform}
    kept = {n for n in linearization.states if n not in clamped}
    kept -= linearization.arrivals.keys() - effects.keys()

    def depends_on_source_only(row):
        return all(
            column in kept and (rows[row].is_number or str(rows[row]) in shared)
            for matrix in (entries.A, entries.D)
            for column, rows in matrix.items()
            if row in rows
        )

    while not all(map(depends_on_source_only, kept)):
        kept = set(filter(depends_on_source_only, kept))
    return tuple(n for n in linearization.states if n in kept)


def next_value(entries, row, traces, arrived, at, summed=None):
    """Code of a row of A s + D b x + G x, given the names of s and of the two, and the entries."""
    terms = [
        f"{at(matrix[column][row])}*{name}"
        for matrix, names in ((entries.A, traces), (entries.D, arrived), (entries.G, summed or {}))
        for column, name in names.items()
        if row in matrix.get(column, ())
    ]
    return " + ".join(terms) or "0"


def presynaptic_traces(entries, effects, states, early):
    def at_source(entry):
        return printed(entry) if entry.is_number else _of_projection(str(entry))

    b = {name: at_source(effects[name]) for name in states if name in effects}
    eps = {name: _of_projection(f"eps_{name}") for name in states}
    arrived = _of_projection("__arrived")
    driven = {} if early else {name: f"{effect}*{arrived}" for name, effect in b.items()}
    advance = [
        f"_next_{row} = {next_value(entries, row, eps, driven, at_source)}" for row in states
    ]
    advance += [f"{eps[row]} = _next_{row}" for row in states]
    if early:
        on_spike_code = "\n".join(f"{eps[name]} += {effect}" for name, effect in b.items())
    else:
        on_spike_code = f"{arrived} += 1"
        advance.append(f"{arrived} = 0")
    # For LIF neurons, with the names that a projection 'x' gives them in its source:
    #
    # on_spike: __x_arrived += 1
    #
    # advance:  _next_v = __x_A_v_v*__x_eps_v + __x_A_v_v*__x_b_v_0*__x_arrived
    #           __x_eps_v = _next_v
    #           __x_arrived = 0
    columns = (*entries.A.values(), *entries.D.values(), effects)
    used = {str(entry) for column in columns for entry in column.values()}
    code = "\n".join([*advance, on_spike_code])
    return PresynapticTraces(
        variables=(*(f"eps_{name}" for name in states), *(() if early else ("__arrived",))),
        on_spike=on_spike_code,
        advance="\n".join(advance),
        shared=tuple(sorted(name for name in used if _of_projection(name) in code)),
        moment=schedule.PRESYNAPTIC_TRACES,
    )


def _of_projection(name):
    """Where the name of a variable of the source goes, in the code of `PresynapticTraces`."""
    return f"{{{name}}}"


def install_presynaptic(synapses, traces, learner, arrival):
    name = synapses.name
    source, target = parent_group(synapses.source), parent_group(synapses.target)
    names = {v: internal(name, v) for v in (*traces.variables, *traces.shared, *SOURCE_SHARED)}
    for variable in traces.variables:
        declare(source, names[variable])
        index = "_presynaptic_idx"
        synapses.variables.add_reference(variable, source, names[variable], index=index)
    for shared in traces.shared:
        source.variables.add_reference(names[shared], target, shared, index="0")
    # Another learner's traces may be kept in the same source.
    learner.share(source, *SOURCE_SHARED, prefix=name)
    moment = schedule.Moment(arrival, 0)
    on_spike(source, traces.on_spike.format(**names), moment, f"{name}_presynaptic_arrivals")
    advance = traces.advance.format(**names)
    run_code(source, advance, traces.moment, f"{name}_presynaptic_traces")
    if learner.trial is not None:
        cleared = "\n".join(f"{names[variable]} = 0" for variable in traces.variables)
        begins = names["__trial_begins"]
        at_trial_start(source, cleared, f"{name}_presynaptic_trial_start", gate=begins)
