"""What else acts on the neurons, and would have to carry credit: refused, not left out."""

from brian2 import Network, Synapses
from brian2.utils.stringtools import get_identifiers

from ...calculus.one_step import parent_group
from ...calculus.programs import assigned_names


def check_surroundings(engine):
    """Raise an error for synapses that credit would have to flow across but cannot.

    Parameters
    ----------
    engine : Credit
    """
    learner = engine.learner
    learning = {group: p for group, p in learner.populations.items() if p.learns}
    known = {id(pathway.synapses) for pathway in engine.pathways}
    for network in list(Network.__instances__()):
        objects = network().objects if network() is not None else ()
        if not any(obj is learner.readout for obj in objects):
            continue
        for obj in objects:
            if isinstance(obj, Synapses) and id(obj) not in known:
                target = parent_group(obj.target)
                if target in learning:
                    _check(obj, learning[target], parent_group(obj.source) in learning, engine)


def _check(synapses, population, recurrent, engine):
    states = set(population.adjoint.states)
    for pathway in synapses._pathways:
        names = {name.removesuffix("_post") for name in assigned_names(pathway.code)}
        if pathway.prepost == "pre" and engine.crosses_synapses and recurrent and names & states:
            raise ValueError(
                f"EProp.order = {engine.learner.rule.order}: credit flows backwards across "
                f"recurrent synapses, but those of '{synapses.name}' are plain Synapses; make them "
                "TrainableSynapses(..., fixed=True), whose weights stay as they are"
            )
        used = {name.removesuffix("_post") for name in get_identifiers(pathway.code)}
        for parameter in used & set(population.parameters):
            raise ValueError(
                f"the parameter '{parameter}' is trained, and the spikes of '{synapses.name}' act "
                "by an amount that depends on it; make these synapses TrainableSynapses(..., "
                "fixed=True)"
            )
    if synapses.summed_updaters and engine.crosses_synapses and recurrent:
        raise ValueError(
            f"EProp.order = {engine.learner.rule.order}: '{synapses.name}' couples neurons by a "
            "(summed) variable, which credit cannot flow across; choose order=1"
        )
