"""Ways of credit beyond trained weights.

It crosses what is not trained: plain synapses, sums over them, and further groups. And it goes to
states and parameters of presynaptic neurons, where what their spikes do depends on these.
"""

from ..brian.internals import PARAMETER, parent_group, statements_of
from ..calculus.arrivals import OF_ALL_SYNAPSES, OnPre
from ..calculus.derivatives import NoDerivativeError
from ..calculus.one_step import one_step, stored_names
from ..calculus.sums import sum_of
from .continuous import SummedPathway
from .trials import of_this_trial


def cross(engine, reading, reader):
    """Let credit flow along paths of plain synapses and of groups that do not learn.

    Returns
    -------
    bool
        Whether something is followed that was not before.
    """
    learner, new = engine.learner, False
    for group, population in list(learner.populations.items()):
        # Its errors come back along trained synapses onto the readout; no others are on it
        if not population.learns and _own_parameters(group, learner.trainable):
            _derive(engine, group, reader)
            new = True
    for path in reading.paths:
        onto_readout = path.end is learner.readout
        if onto_readout and not learner.feedback_is("symmetric"):
            continue  # errors come back along feedback weights of their own
        if learner.readout in path.senders:
            continue  # check_paths refuses what the output feeds back
        past_spikes = not path.crosses_spikes
        alone = onto_readout and len(path.actions) == 1
        if not (engine.crosses_synapses or alone or past_spikes):
            continue
        senders = path.senders if engine.crosses_synapses else ()
        for group in senders:
            if group not in learner.populations or not learner.populations[group].learns:
                _derive(engine, group, reader)
                new = True
        for action in path.actions:
            if _can_follow_sum(engine, action):
                population = learner.populations[action.target]
                total = population.take_sum(sum_of(action))
                SummedPathway(engine, population, total).install(action.owner, reader.keep)
                new = True
            elif not past_spikes and _can_follow(engine, action):
                _check_clock(engine, action.owner.source)
                _check_clock(engine, action.owner.target)
                _check_clock(engine, action.owner)
                _follow_synapses(engine, action, reading, reader)
                new = True
    return new


def _own_parameters(group, names):
    """Which names are those of parameters of a group."""
    return [
        e.varname for e in group.equations.values() if e.type == PARAMETER and e.varname in names
    ]


def _derive(engine, group, reader):
    """Let a group on the way of credit learn: its trained parameters, or nothing of its own."""
    learner = engine.learner
    _check_clock(engine, group)
    if group not in learner.populations:
        learner.populations[group] = engine.population(group)
    population = learner.populations[group]
    # Brian2 has asked the group already for what it contains
    population.attach = reader.keep
    population.derive(learner.train_parameters(group, reader.keep))


def _can_follow_sum(engine, action):
    """Whether an action is a sum over synapses, onto what credit is for, and not followed."""
    if action.kind != "summed" or action.source is engine.learner.readout:
        return False
    population = engine.learner.populations.get(action.target)
    return action.name not in engine.summed and population is not None and population.learns


def _can_follow(engine, action):
    """Whether an action is a presynaptic pathway of plain synapses, onto what credit is for."""
    if action.kind != "synapses" or action.runner.prepost != "pre":
        return False
    synapses = action.owner
    known = any(pathway.synapses is synapses for pathway in engine.pathways)
    target = parent_group(synapses.target)
    receives = target is engine.learner.readout or target in engine.learner.populations
    of_spikes = action.runner.objname == "pre" and action.runner.event == "spike"
    return not known and receives and of_spikes


def _check_clock(engine, group):
    """Raise an error for neurons or synapses on the way of credit that have another time step."""
    readout = engine.learner.readout
    if group.clock.dt_ != readout.clock.dt_:
        raise ValueError(
            f"EProp(order={engine.learner.rule.order}): credit would have to cross "
            f"'{group.name}', which runs with dt = {group.clock.dt!s}, but readout "
            f"'{readout.name}' with {readout.clock.dt!s}: give them one dt, or choose order=1"
        )


def _follow_synapses(engine, action, reading, reader):
    """Let credit flow along plain synapses, as if they were trained and fixed."""
    synapses, learner = action.owner, engine.learner
    target, readout = parent_group(synapses.target), learner.readout
    owner = engine.readout if target is readout else learner.populations[target]
    step = one_step(target, learner.namespace)
    names = synapses.equations.names if synapses.equations is not None else set()
    statements = of_this_trial(statements_of(action.code))
    synaptic = frozenset(names | OF_ALL_SYNAPSES)
    try:
        on_pre = OnPre(
            action.code,
            statements,
            "",
            target,
            synaptic,
            synapses.source,
            target is not readout,
        )
        jump = on_pre.jumps(step)
    except NoDerivativeError as error:
        raise NoDerivativeError(
            f"{action} is on the way of the credit of order {learner.rule.order}: {error}; or "
            "choose order=1"
        ) from None
    if not jump:
        raise ValueError(
            f"{action} lets spikes of '{synapses.source.name}' change no state of group "
            f"'{target.name}', but a parameter, through which credit of order "
            f"{learner.rule.order} would have to flow: let them change a variable with an "
            "equation of its own, or choose order=1"
        )
    timing = reading.timing_of(synapses, learner)
    pathway = engine.pathway(on_pre, owner, {}, jump, (), timing)
    pathway.install(synapses, reader.keep)
    if target is learner.readout:
        source = learner.populations[parent_group(synapses.source)]
        engine.send_back(pathway, source, None)


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
