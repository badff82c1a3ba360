"""The figure of a network: groups, their steps, synapses, and what each is for the gradient."""

from collections import defaultdict
from typing import Any

import matplotlib.pyplot as plt
from attrs import define, field
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ..brian.code import parent_group
from ..learning.learner import Learner
from .style import BLACK, BLUE, GREEN, ORANGE, PURPLE, STYLE, VERMILLION, plain

GREY = "0.45"
#: Kinds of groups: colour of the frame and of the area.
BOXES: dict[str, tuple[str, str]] = {
    "learns": (BLUE, "#eaf3f9"),
    "followed": (VERMILLION, "#fdf1ea"),
    "readout": (BLACK, "0.95"),
    "given": (GREY, "white"),
}
#: What synapses and code are for the gradient: colour and dashes, told apart in grey too.
ROLES: dict[str, tuple[Any, Any]] = {
    "trained": (BLUE, "-"),
    "fixed": (BLUE, (0, (5, 2))),
    "followed": (VERMILLION, (0, (5, 2, 1, 2))),
    "factor": (PURPLE, (0, (2, 1.5))),
    "given": (GREY, (0, (1, 1.5))),
    "switched off": ("0.75", (0, (1, 3))),
    "differentiated": (GREEN, "-"),
    "watched": (ORANGE, "-"),
}
#: Inches: a line of text, a letter, the room around a box, and that for the names of arrows.
LINE, LETTER, GAP, CORRIDOR = 0.15, 0.062, 0.55, 1.9


@define
class _Box:
    """The box of a group of neurons, and the lines of text in it."""

    group: Any
    kind: str
    lines: list[tuple[str, str]] = field(factory=list)  # text, role
    left: float = 0.0
    bottom: float = 0.0

    @property
    def title(self):
        return f"{self.group.name} ({len(self.group)}): {self.kind}"

    @property
    def width(self):
        longest = max([1.1 * len(self.title), *(len(text) for text, _ in self.lines)])
        return max(1.1 if self.kind == "given" else 2.4, LETTER * longest + 0.2)

    @property
    def height(self):
        return LINE * (len(self.lines) + 1.2) + 0.16


def plot_network(learner: Learner) -> Figure:
    """
    Draw what a learner sees in the network that runs: `Learner.network` as a figure.

    Groups are boxes, and what runs in the step of a group stands in its box, in the order in
    which it runs, with its slot and what it changes. Arrows are synapses, with the variables
    that they change. Colours and dashes say what each is for the gradient, see ``role`` of the
    reading: *differentiated*; *trained*, *fixed* (`TrainableSynapses` with ``fixed=True``) and
    *followed* (plain synapses that credit flows along), *factor* (synapses that scale a state,
    by a factor that is recorded), and *given*, which happens as if it were an input.

    Parameters
    ----------
    learner : Learner
        Whose readout is in a Network.

    Returns
    -------
    Figure
        As large as the network needs.

    Raises
    ------
    TypeError
        If this is no Learner.
    UnreadableNetworkError
        If something in the network cannot be differentiated: see `Learner.network`.
    """
    if not isinstance(learner, Learner):
        raise TypeError(f"plot_network: 'learner' is {learner!r}; give a Learner")
    reading = learner.network
    arrows = _arrows(reading, learner)
    boxes = _boxes(reading, learner, arrows)
    width, height = _place(boxes, arrows)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, width), ylim=(0, height))
        ax.set_axis_off()
        for box in boxes.values():
            _draw_box(ax, box)
        _draw_arrows(ax, boxes, arrows)
        shown = {role for box in boxes.values() for _, role in box.lines}
        shown |= {role for some in arrows.values() for _, role in some}
        handles = [
            plt.Line2D([], [], color=color, linestyle=dashes, label=role)
            for role, (color, dashes) in ROLES.items()
            if role in shown
        ]
        ax.legend(handles=handles, loc="lower left", ncols=4, frameon=False, borderaxespad=0.2)
    return figure


def _arrows(reading, learner):
    """Text and role of the synapses between groups : {(source, target): [(text, role)]}."""
    arrows = defaultdict(list)
    for action in reading.actions:
        if action.kind == "synapses":
            written = ", ".join(dict.fromkeys(e.variable.name for e in action.effects))
            text = f"{action.owner.name} → {written}" if written else action.owner.name
            ends = action.trigger[0], action.target or action.owner.target
            arrows[ends].append((text, reading.role(action)))
    for synapses in learner.projections:
        if not synapses.active:
            ends = parent_group(synapses.source), parent_group(synapses.target)
            arrows[ends].append((synapses.name, "switched off"))
    return dict(arrows)


def _boxes(reading, learner, arrows):
    """The boxes of all groups : dict of group to _Box."""
    groups = dict.fromkeys([*reading.stages, learner.readout])
    groups |= dict.fromkeys(group for ends in arrows for group in ends)
    boxes = {group: _Box(group, _kind(group, reading, learner)) for group in groups}
    for group in dict.fromkeys([*reading.stages, learner.readout]):
        step = reading.step_of(group) if group in reading.stages else ()
        names = {action.name for action in step}
        for action in reading.actions:
            writes = action.owner is group and action.kind != "threshold"
            if action.kind not in ("synapses", "learning") and (action.name in names or writes):
                boxes[group].lines.append(_line(action, reading))
    # Functions of Python have no group: they stand with the readout, whose learner watches them
    for action in reading.actions:
        if action.kind == "Python":
            role = "given" if action.runner in learner.given else "watched"
            text = f"{action.runner.when}: Python '{action.name}'"
            boxes[learner.readout].lines.append((text, role))
    return boxes


def _kind(group, reading, learner):
    """The kind of a group, a key of `BOXES`."""
    if group is learner.readout:
        return "readout"
    if group not in reading.stages:
        return "given"
    trained = any(
        s.active and not s.fixed and parent_group(s.target) is group for s in learner.projections
    )
    trained |= bool(getattr(learner.populations[group], "parameters", ()))
    return "learns" if trained else "followed"


def _line(action, reading):
    """The line of an action in the step of a group: its text and its role."""
    names = ", ".join(dict.fromkeys(effect.name for effect in action.effects))
    # What Brian2 has made itself has a name that says no more than its kind
    named = action.kind in ("code", "input", "event", "summed")
    title = f"{action.kind} '{action.name}'" if named else action.kind
    text = f"{action.runner.when}: {title}{f' → {names}' if names else ''}"
    return (text + (" (ψ)" if action.kind == "threshold" else "")), reading.role(action)


def _column(kind):
    """The number of the column in which boxes of a kind stand."""
    return {"given": 0, "readout": 2}.get(kind, 1)


def _place(boxes, arrows):
    """Put boxes into columns: what is given, what learns, the readout; width and height."""
    columns = [[b for b in boxes.values() if _column(b.kind) == k] for k in range(3)]
    corridor = CORRIDOR
    if arrows:
        longest = max(len(text) for some in arrows.values() for text, _ in some)
        corridor = max(CORRIDOR, LETTER * longest + 0.5)
    between = max([GAP, *(LINE * (len(some) + 4) for some in arrows.values())])
    heights = [sum(b.height for b in c) + between * len(c) for c in columns]
    height, left = max(*heights, 1.2) + 0.7, 0.3
    for column, needed in zip(columns, heights, strict=True):
        if not column:
            continue
        width = max(box.width for box in column)
        top = height - 0.1 - (height - 0.7 - needed) / 2 - between / 2
        for box in column:
            box.left, box.bottom = left + (width - box.width) / 2, top - box.height
            top = box.bottom - between
        left += width + corridor
    return left - corridor + 0.3, height


def _draw_box(ax, box):
    frame, area = BOXES[box.kind]
    ax.add_patch(
        FancyBboxPatch(
            (box.left, box.bottom),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.06",
            edgecolor=frame,
            facecolor=area,
            linewidth=0.6 if box.kind == "given" else 1.3,
        )
    )
    y = box.bottom + box.height - 0.1
    ax.text(box.left + 0.1, y, plain(box.title), weight="bold", va="top", color=frame)
    for number, (text, role) in enumerate(box.lines, start=1):
        height = y - LINE * (number + 0.2)
        ax.text(box.left + 0.1, height, plain(text), va="top", color=ROLES[role][0], size=7)


def _draw_arrows(ax, boxes, arrows):
    """Draw arrows between sides of boxes, spread evenly over each side."""
    single = [(*ends, text, role) for ends, some in arrows.items() for text, role in some]
    sides, loops = defaultdict(list), defaultdict(float)
    for number, (source, target, text, role) in enumerate(single):
        if source is target:
            # Loops stand on the box, from the right to the left
            box, needed = boxes[source], max(0.6, LETTER * len(text) + 0.15)
            top = box.bottom + box.height
            middle = box.left + box.width - loops[source] - needed / 2
            loops[source] += needed
            _draw_arrow(ax, (middle - 0.2, top), (middle + 0.2, top), -1.4, 0.5, text, role)
            continue
        for end, (group, side) in enumerate(_sides(boxes, source, target)):
            other = boxes[source if end else target]
            key = other.left if side in ("top", "bottom") else -other.bottom
            sides[group, side].append((key, number, end))
    places = {}
    for (group, side), ends in sides.items():
        for rank, (_, number, end) in enumerate(sorted(ends)):
            places[number, end] = _port(boxes[group], side, (rank + 1) / (len(ends) + 1))
    for number, (source, target, text, role) in enumerate(single):
        if source is not target:
            a, b = places[number, 0], places[number, 1]
            around = _past_others(boxes, source, target)
            bend = (0.5 if a[1] < b[1] else -0.5) if around else 0
            within = _column(boxes[source].kind) == _column(boxes[target].kind)
            # To and fro between two boxes: names at different heights
            _draw_arrow(ax, a, b, bend, 0.3 if within else 0.5, text, role)


def _past_others(boxes, source, target):
    """Whether a third box stands between two of a column."""
    a, b = sorted((boxes[source].bottom, boxes[target].bottom))
    column = _column(boxes[source].kind)
    same = column == _column(boxes[target].kind)
    return same and any(a < x.bottom < b and _column(x.kind) == column for x in boxes.values())


def _sides(boxes, source, target):
    """The sides on which an arrow leaves and arrives : two of (group, side)."""
    a, b = boxes[source], boxes[target]
    if _past_others(boxes, source, target):
        return (source, "right"), (target, "right")
    if _column(a.kind) == _column(b.kind):
        down = a.bottom > b.bottom
        return (source, "bottom" if down else "top"), (target, "top" if down else "bottom")
    right = _column(a.kind) < _column(b.kind)
    return (source, "right" if right else "left"), (target, "left" if right else "right")


def _port(box, side, fraction):
    """The point on a side of a box where an arrow begins or ends."""
    if side in ("left", "right"):
        x = box.left + (box.width if side == "right" else 0)
        return x, box.bottom + box.height * (1 - fraction)
    # Loops stand on the right
    return box.left + 0.6 * box.width * fraction, box.bottom + (box.height if side == "top" else 0)


def _draw_arrow(ax, start, end, bend, along, text, role):
    """Draw an arrow with its name at a fraction `along`; bend: its height over half its length."""
    color, dashes = ROLES[role]
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=8,
            shrinkA=0,
            shrinkB=0,
            color=color,
            linestyle=dashes,
            linewidth=1.2,
        )
    )
    across = end[0] - start[0], end[1] - start[1]
    away = 2 * along * (1 - along) * bend
    ax.text(
        start[0] + along * across[0] + away * across[1],
        start[1] + along * across[1] - away * across[0],
        plain(text),
        color=color,
        size=7,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )
