"""States of presynaptic neurons that their spikes count by when they arrive, played backwards."""

from ..brian.internals import parent_group
from ..calculus.one_step import stored_names


def hear(engine, pathways, reading):
    """Let credit flow to the states of presynaptic neurons that arrivals depend on.

    Parameters
    ----------
    engine : Credit
    pathways : list of ArrivalsInTurn
    reading : NetworkReading

    Raises
    ------
    ValueError
        For a variable along which credit would have to flow and cannot.
    """
    for pathway in pathways:
        synapses, onto_readout = pathway.synapses, pathway.owner is engine.readout
        source = engine.learner.populations.get(parent_group(synapses.source))
        if source is None or not source.learns or id(synapses) not in engine.running:
            continue
        if not (onto_readout or engine.crosses_synapses):
            continue
        states = [name for name in pathway.seen if name in source.adjoint.states]
        _check(pathway, source, states, engine.learner.feedback_is("symmetric") or not onto_readout)
        source.check_heard(states, synapses, reading.position[synapses.pre.name])
        if pathway.heard:
            continue
        rows = {"credit": "credit"} if onto_readout else engine.rows_with_inflow
        for row, origin in rows.items():
            for state in states:
                pathway.send_back_to(source, state, row, origin)


def _check(pathway, source, states, along_weights):
    """Raise an error for variables that are one step old, or to which no weight leads back."""
    stored = set(pathway.seen) & set(stored_names(source.group, source.step.states))
    if stored:
        name, remedy = min(stored), "it is '(constant over dt)', and one step old; remove the flag"
    elif states and not along_weights:
        name = states[0]
        remedy = "choose Learner(feedback='symmetric'), along whose weights it flows"
    else:
        return
    raise ValueError(
        f"what the spikes of '{pathway.synapses.name}' do depends on '{name}_pre', through which "
        f"credit flows back to group '{source.group.name}': {remedy}"
    )
