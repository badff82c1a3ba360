"""Draws timing.svg: what happens in which slot of a Brian2 step, and what acts on what when.

python docs/figures/timing.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
BLACK, GREY, LIGHT = "#222222", "#666666", "#eef1f4"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
#: slot, what Brian2 does in it, what learning adds.
SLOTS = (
    (
        "start",
        "monitors\n(default)",
        "before it: a trial that\nbegins gets the state\nof the first one",
    ),
    (
        "groups",
        "state update\n$h \\leftarrow F(h)$",
        "after it: inputs that\nact in this step,\n$h \\leftarrow h + b\\,w\\,x^t$",
    ),
    (
        "thresholds",
        "spikes $z^t$",
        "before it: $\\psi^t$, $c^t$\nfrom the membrane\nthat is compared",
    ),
    (
        "synapses",
        "arrivals: inputs,\nrecurrent $z^t$",
        "readout:\n$y^t \\leftarrow y^t + w\\,z^t$\n(same step)",
    ),
    (
        "resets",
        "$h \\leftarrow R(h)$\nwhere $z^t = 1$",
        "before it: what the\nreset is about to do",
    ),
    (
        "end",
        "",
        "error$^t$, $L^t$\ntraces: $e^t$, F$_\\kappa(e)^t$, grad\n"
        "credit: the step is kept\nthen the optimizer",
    ),
)


def box(ax, x, y, width, height, colour):
    ax.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=colour,
            edgecolor="none",
        )
    )


def one_step(ax):
    """The slots of a step from left to right."""
    width, gap = 1.74, 0.1
    for k, (slot, brian, added) in enumerate(SLOTS):
        x = k * (width + gap)
        box(ax, x, 2.25, width, 0.45, BLUE)
        ax.text(
            x + width / 2, 2.475, slot, color="white", ha="center", va="center", family="monospace"
        )
        box(ax, x, 1.4, width, 0.75, LIGHT)
        ax.text(x + width / 2, 1.775, brian, color=BLACK, ha="center", va="center", size=8.5)
        box(ax, x, 0.0, width, 1.3, "#fdf0e6")
        ax.text(x + width / 2, 0.65, added, color=VERMILLION, ha="center", va="center", size=8)
    for y, name, colour in ((1.775, "Brian2", BLACK), (0.65, "learning", VERMILLION)):
        ax.text(-0.12, y, name, color=colour, ha="right", va="center", size=9)
    ax.set(xlim=(-0.95, len(SLOTS) * (width + gap)), ylim=(-0.05, 2.8))
    ax.set_title("One time step $t$ of Brian2, from left to right", loc="left", size=10)


def steps(ax):
    """Three steps of one synapse's neurons: what acts on what."""
    rows = {
        "input  $x$": 5,
        "membrane  $v$": 4,
        "pseudo-derivative  $\\psi$": 3,
        "spike  $z$": 2,
        "trace  $e$, filtered  F$_\\kappa(e)$": 1,
        "output  $y$, error, $L$": 0,
    }
    columns = {"t - 1": 0.0, "t": 3.0, "t + 1": 6.0}
    for name, y in rows.items():
        ax.text(-0.75, y, name, ha="right", va="center", size=9, color=BLACK)
        ax.plot([-0.6, 7.4], [y, y], color="0.88", linewidth=0.8, zorder=0)
    for name, x in columns.items():
        ax.text(x, 5.75, f"step ${name}$", ha="center", va="center", size=9, color=GREY)
        for y in rows.values():
            ax.plot(x, y, "o", color=BLACK, markersize=5)

    def arrow(start, end, colour, bend=0.0):
        ax.annotate(
            "",
            end,
            start,
            arrowprops={
                "arrowstyle": "-|>",
                "color": colour,
                "linewidth": 1.4,
                "shrinkA": 5,
                "shrinkB": 5,
                "connectionstyle": f"arc3,rad={bend}",
            },
        )

    for x in columns.values():
        arrow((x, 5), (x, 4), BLUE)
        arrow((x, 4), (x, 3), BLACK)
        arrow((x, 4), (x, 2), BLACK, 0.45)
        arrow((x, 3), (x, 1), GREEN, -0.4)
        arrow((x, 2), (x, 0), BLUE, 0.45)
    for x in (0.0, 3.0):
        arrow((x, 2), (x + 3, 4), VERMILLION)
        arrow((x, 1), (x + 3, 1), GREEN)
        arrow((x, 0), (x + 3, 0), GREY)
    for x, y, text, colour in (
        (3.12, 4.55, "inputs[t] act in step t", BLUE),
        (4.3, 2.5, "recurrent spikes\nand the reset act\nin step t + 1", VERMILLION),
        (4.0, 1.22, "$s^{t+1} = A\\,s^t + D\\,b\\,x^t$", GREEN),
        (3.55, 0.3, "the readout has no delay", BLUE),
    ):
        ax.text(x, y, text, color=colour, size=8.5, va="center")
    ax.set(xlim=(-3.6, 7.6), ylim=(-0.5, 6.1))
    ax.set_title("What acts on what", loc="left", size=10)


def main():
    plt.rcParams |= {"svg.hashsalt": "timing", "font.size": 10}
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9.2, 6.8), height_ratios=[2.85, 4.2], layout="constrained"
    )
    figure.patch.set_facecolor("white")
    for ax, draw in ((above, one_step), (below, steps)):
        draw(ax)
        ax.axis("off")
    figure.savefig(HERE / "timing.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
