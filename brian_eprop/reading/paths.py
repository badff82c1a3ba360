"""Paths by which what a learning group does comes back to a learning group, or to the loss.

Nodes are variables, and the events of groups. Code leads from each variable that it reads to each
that it changes, from an event to what its synapses change, and from what a threshold reads to its
event. What trained projections carry, and what happens within a learning group, is followed by
the learner; everything else is looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..calculus.one_step import parent_group


@dataclass(frozen=True)
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

    def __str__(self):
        stops = [self.start]
        for action in self.actions:
            target = action.target
            if target is not None and target is not stops[-1]:
                stops.append(target)
        if stops[-1] is not self.end or len(stops) == 1:
            stops.append(self.end)
        return " → ".join(f"'{group.name}'" for group in stops)


@dataclass(frozen=True)
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
    found, reached = [], {node: () for node in starts}
    waiting = list(starts)
    while waiting:
        node = waiting.pop(0)
        for edge in edges.get(node, ()):
            way = (*reached[node], edge)
            if edge.end in ends:
                found.append(_path(way, starts, ends))
            elif edge.end not in reached:
                reached[edge.end] = way
                waiting.append(edge.end)
    return found


def _path(way, starts, ends):
    events = any(isinstance(edge.start, tuple) for edge in way)
    actions = tuple(edge.action for edge in way)
    return Path(actions, starts[way[0].start], ends[way[-1].end], events)


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
