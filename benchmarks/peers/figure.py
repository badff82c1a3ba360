"""The figure of the speed benchmark: time of a gradient against the number of neurons."""

import matplotlib.pyplot as plt

from brian_eprop.plotting.style import BLACK, BLUE, GREEN, VERMILLION, prepare
from peers import PEERS
from peers.report import seconds_of

__all__ = ["draw"]

COLORS = {
    "brian_eprop": BLUE,
    "jax": VERMILLION,
    "torch": GREEN,
    "nest": BLACK,
}
DASHES = ("-", "--", "-.", ":", (0, (1, 3)))
MARKERS = "osD^v"


def draw(rows, path):
    """Write a figure with one panel for each batch size; a line is a way to the gradient."""
    batches = sorted({row["batch"] for row in rows})
    figure, axes = plt.subplots(
        1, len(batches), figsize=(1.5 + 3.6 * len(batches), 4.2), squeeze=False, sharey=True
    )
    keys = list(dict.fromkeys(row["peer"] for row in rows if "seconds" in row))
    for ax, batch in zip(axes[0], batches, strict=True):
        prepare(ax)
        for key in keys:
            own = [row for row in rows if (row["peer"], row["batch"]) == (key, batch)]
            own = [row for row in own if "seconds" in row]
            same = [k for k in keys if PEERS[k].package == PEERS[key].package]
            ax.loglog(
                [row["n"] for row in own],
                [seconds_of(row) for row in own],
                color=COLORS[PEERS[key].package],
                ls=DASHES[same.index(key)],
                marker=MARKERS[same.index(key)],
                lw=1.8 if key == "credit" else 1,
                ms=4,
                label=PEERS[key].label,
            )
        sizes = sorted({row["n"] for row in rows})
        ax.set_xticks(sizes, map(str, sizes))
        ax.minorticks_off()
        trials = "one trial" if batch == 1 else f"{batch} trials"
        ax.set(xlabel="Recurrent neurons", title=f"Gradient of {trials}")
    axes[0][0].set_ylabel("Processor time (s)")
    axes[0][-1].legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)
