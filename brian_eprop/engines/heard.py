"""States and parameters of presynaptic neurons that their spikes count by when they arrive."""

from ..brian.internals import parent_group
from ..calculus.one_step import stored_names

#: What errors on their way to the presynaptic neurons need.
ALONG_WEIGHTS = "choose Learner(feedback='symmetric'), along whose weights it flows"


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
        source.check_heard(states, synapses, reading.position)
        if pathway.heard:
            continue
        rows = {"credit": "credit"} if onto_readout else engine.rows_with_inflow
        for row, origin in rows.items():
            for state in states:
                pathway.send_back_to(source, state, row, origin)


def hear_parameters(engine, pathways):
    """Let credit flow to trained parameters of presynaptic neurons that arrivals depend on.

    Parameters
    ----------
    engine : Credit
    pathways : list of Pathway
        Whose spikes arrive.

    Raises
    ------
    ValueError
        For a parameter to which no weight leads back.
    """
    for pathway in pathways:
        source = engine.learner.populations.get(parent_group(pathway.synapses.source))
        onto_readout = pathway.owner is engine.readout
        if source is None or not source.learns or pathway.heard_parameters:
            continue
        if not (onto_readout or engine.crosses_synapses):
            continue
        names = [n for n in source.parameters if pathway.changes_along(f"{n}_pre")]
        if names and onto_readout and not engine.learner.feedback_is("symmetric"):
            raise _no_way_back(pathway, source, names[0], ALONG_WEIGHTS)
        rows = ("credit",) if onto_readout else tuple(engine.rows_with_inflow.values())
        pathway.send_back_to_parameters(names, rows)


def _check(pathway, source, states, along_weights):
    """Raise an error for variables that are one step old, or to which no weight leads back."""
    stored = set(pathway.seen) & set(stored_names(source.group, source.step.states))
    if stored:
        name, remedy = min(stored), "it is '(constant over dt)', and one step old; remove the flag"
    elif states and not along_weights:
        name, remedy = states[0], ALONG_WEIGHTS
    else:
        return
    raise _no_way_back(pathway, source, name, remedy)


def _no_way_back(pathway, source, name, remedy):
    return ValueError(
        f"what the spikes of '{pathway.synapses.name}' do depends on '{name}_pre', through which "
        f"credit flows back to group '{source.group.name}': {remedy}"
    )
