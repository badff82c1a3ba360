"""Paths in the computation graph from learning groups back to learning groups, or to the loss.

Nodes are variables, and the events of groups. Code leads from each variable that it reads to each
that it changes, from an event to what its synapses change, and from what a threshold reads to its
event. What trained projections carry, and what happens within a learning group, is followed by
the learner; everything else is looked at here. ``print(learner.network)`` shows the result.
"""

from __future__ import annotations

from attrs import frozen
from brian2 import NeuronGroup

from ..brian.internals import parent_group


@frozen
class Path:
    """A way from a learning group to a learning group or to the readout, through other objects.

    Attributes
    ----------
    actions : tuple of Action
        What runs along the way, in order.
    start, end : Group
    crosses_spikes : bool
        Some of it goes through spikes or other events.
    """

    actions: tuple
    start: object
    end: object
    crosses_spikes: bool

    @property
    def senders(self):
        """The groups that act on others on the way: by spikes, or by a sum over synapses."""
        spiking = [
            a.owner for a in self.actions if a.kind == "threshold" and a.trigger[1] == "spike"
        ]
        summed = [a.source for a in self.actions if a.kind == "summed"]
        return [*spiking, *(group for group in summed if isinstance(group, NeuronGroup))]

    def __str__(self):
        stops = [self.start]
        for action in self.actions:
            target = action.target
            if target is not None and target is not stops[-1]:
                stops.append(target)
        if stops[-1] is not self.end or len(stops) == 1:
            stops.append(self.end)
        return " → ".join(f"'{group.name}'" for group in stops)


@frozen
class _Edge:
    start: object
    end: object
    action: object
    effect: object = None


def paths_to(ends, starts, actions, followed):
    """The paths from learning groups that are not followed.

    Parameters
    ----------
    ends : dict of node to Group
        Variables of learning groups' states and of the readout.
    starts : dict of node to Group
        States and spikes of learning groups.
    actions : list of Action
    followed : callable
        Whether (action, effect, start node) is followed by the learner.

    Returns
    -------
    list of Path
        The shortest one to each end from each action that leads there.
    """
    edges = {}
    for action in actions:
        for edge in _edges(action):
            if not followed(action, edge.effect, edge.start):
                edges.setdefault(edge.start, []).append(edge)
    paths, reached = [], {node: () for node in starts}
    waiting = list(starts)
    while waiting:
        node = waiting.pop(0)
        for edge in edges.get(node, ()):
            way = (*reached[node], edge)
            if edge.end in ends:
                paths.append(_path(way, starts, ends))
            elif edge.end not in reached:
                reached[edge.end] = way
                waiting.append(edge.end)
    return paths


def _path(way, starts, ends):
    events = any(isinstance(edge.start, tuple) or _found_by_spike(edge) for edge in way)
    actions = tuple(edge.action for edge in way)
    return Path(actions, starts[way[0].start], ends[way[-1].end], events)


def _found_by_spike(edge):
    """Whether a variable is what a spike finds at its own neuron when it arrives elsewhere."""
    if edge.action.kind != "synapses" or edge.action.trigger[1] != "spike":
        return False
    owner = getattr(edge.start, "owner", None)
    return getattr(owner, "name", "") == edge.action.trigger[0].name


def _edges(action):
    event = None
    if action.trigger is not None:
        event = (id(action.trigger[0]), action.trigger[1])
    if action.kind == "threshold":
        for variable in action.reads:
            yield _Edge(variable, event, action)
        return
    for effect in action.effects:
        if event is not None:
            yield _Edge(event, effect.variable, action, effect)
        for variable in effect.reads:
            yield _Edge(variable, effect.variable, action, effect)


def spikes_of(group):
    """The node of a group's spikes."""
    return (id(parent_group(group)), "spike")


def as_text(reading):
    """A table of the actions of a network: slot, object, variables it changes, role.

    Parameters
    ----------
    reading : NetworkReading
    """
    learner, readout, shown = reading.learner, reading.learner.readout, set()
    rule = learner.rule.title
    lines = [f"What the learner of readout '{readout.name}' sees ({rule})"]
    leak = [a for a in reading.actions if a.runner is readout.state_updater]
    onto_readout = [a for a in reading.actions if a.kind == "synapses" and a.target is readout]
    steps = {
        f"Group '{group.name}' ({len(group)} neurons). Its step, in order:": reading.step_of(group)
        for group in reading.stages
    }
    for title, actions in {**steps, f"Readout '{readout.name}':": leak + onto_readout}.items():
        lines += ["", title, *_table([_row(reading, action) for action in actions])]
        shown |= {action.name for action in actions}
    switched_off = [s for s in learner.projections if not s.active]
    if switched_off:
        names = ", ".join(f"'{synapses.name}'" for synapses in switched_off)
        lines += ["", f"Switched off, and without credit: {names}"]
    if reading.paths:
        lines += ["", "Paths that this order leaves out:"]
        lines += [f"  {path}" for path in reading.paths]
    rest = [action for action in reading.user_actions if action.name not in shown]
    if rest:
        lines += ["", "Runs besides, and counts as given:"]
        lines += _table([_row(reading, action)[:-1] for action in rest])
    return "\n".join(lines)


def _row(reading, action):
    """Slot, what runs, what it changes, what it is for the gradient."""
    runner = action.runner
    role, at_spikes = reading.role(action), action.trigger and action.trigger[1] == "spike"
    if action.kind == "synapses":
        name = f" '{action.owner.name}' from '{action.trigger[0].name}'"
    elif action.kind in ("state update", "reset") or (action.kind == "threshold" and at_spikes):
        known = action.owner in (*reading.stages, reading.learner.readout)
        name = "" if known else f" of '{action.owner.name}'"
    else:
        name = f" '{runner.name}'"
    if action.kind == "threshold" and role == "differentiated":
        role = "differentiated, with ψ"
    if role == "factor":
        role = "factor, recorded per neuron and step"
    if action.kind == "Python":
        role = "given" if runner in reading.learner.given else "watched: must change no state"
    written = dict.fromkeys(e.name.removesuffix("_post") for e in action.effects)
    slot = runner.when if action.order == 0 else f"{runner.when}, order {action.order:g}"
    return slot, f"{action.kind}{name}", ", ".join(written), role


def _table(rows):
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
