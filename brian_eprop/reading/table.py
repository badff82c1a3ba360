"""The network that runs, printed: what `print(learner.network)` shows."""


def as_text(reading):
    """What computes in a network, as a table: slot, object, what it changes, its role.

    Parameters
    ----------
    reading : NetworkReading
    """
    learner, shown = reading.learner, set()
    rule = f"e-prop of order {learner.rule.order}".replace("order inf", "order ∞")
    lines = [f"What the learner of readout '{learner.readout.name}' sees ({rule})"]
    for group in reading.stages:
        lines += ["", f"Group '{group.name}' ({len(group)} neurons). Its step, in order:"]
        lines += _table([_row(reading, action) for action in reading.step_of(group)])
        shown |= {action.name for action in reading.step_of(group)}
    switched_off = [s for s in learner.projections if not s.active]
    onto_readout = [
        a for a in reading.actions if a.kind == "synapses" and a.target is learner.readout
    ]
    lines += ["", f"Readout '{learner.readout.name}':"]
    leak = [a for a in reading.actions if a.runner is learner.readout.state_updater]
    lines += _table([_row(reading, action) for action in (*leak, *onto_readout)])
    shown |= {action.name for action in (*leak, *onto_readout)}
    if switched_off:
        names = ", ".join(f"'{synapses.name}'" for synapses in switched_off)
        lines += ["", f"Switched off, and without credit: {names}"]
    if reading.paths:
        lines += ["", "Paths that this order leaves out:"]
        lines += [f"  {path}" for path in reading.paths]
    rest = [a for a in reading.actions if a.kind != "learning" and a.name not in shown]
    if rest:
        lines += ["", "Runs besides, and counts as given:"]
        lines += _table([_row(reading, action)[:-1] for action in rest])
    return "\n".join(lines)


def _row(reading, action):
    """Slot, what runs, what it changes, what it is for the gradient."""
    runner = action.runner
    name = f" '{runner.name}'"
    role = reading.role(action)
    if action.kind in ("state update", "reset") or (
        action.kind == "threshold" and action.trigger[1] == "spike"
    ):
        name = (
            ""
            if action.owner in (*reading.stages, reading.learner.readout)
            else (f" of '{action.owner.name}'")
        )
    if action.kind == "synapses":
        name = f" '{action.owner.name}' from '{action.trigger[0].name}'"
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
