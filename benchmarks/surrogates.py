"""Shape and scale of the surrogate on Randman, after Zenke & Vogels 2021.

    python benchmarks/surrogates.py --figure surrogates.png

Networks of LIF neurons learn Randman by BPTT, with a surrogate h of the membrane in thresholds,
u = v/v_th − 1, of a shape and a slope β:

    SuperSpike     h = 1/(1 + β|u|)²
    sigmoid'       h = 4 s (1 − s), s = 1/(1 + exp(−βu))
    Esser          h = max(0, 1 − β|u|)

all of height 1 at the threshold, and SuperSpike again with the height β, whose area does not depend
on β: the nearer to the derivative of a step, the higher. The surrogate of Bellec et al. 2020,
Esser's with β = 1 and the height 0.3, is beside them. The error is that of the last 20 batches,
each of trials that were never seen before, when the learning rate has come down.

The figure shows errors over slopes, and over the areas ∫h du, which are 2/β, 4/β and 1/β. Prints a
Markdown table, mean and range over seeds, and as the last line JSON with every number.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from attrs import evolve
from brian2 import set_device
from machine import described

from brian_eprop import CosineDecay, FastSigmoid, Formula, PiecewiseLinear
from brian_eprop.network.training import TrainingDiverged
from brian_eprop.plotting.style import BLACK, BLUE, DASHES, GREEN, VERMILLION, prepare
from brian_eprop.runs.configuration import Configuration

#: Batches at the end that judge a network.
JUDGED = 20
NEURONS, BATCH = 100, 128


def sigmoid(height, width):
    """The derivative of the logistic function, of this height, as a Formula."""
    # with the magnitude of x nothing overflows
    decay = f"exp(-abs(x)/{width!r})"
    return Formula(f"{4 * height!r}*{decay}/(1 + {decay})**2")


SHAPES = {"SuperSpike": FastSigmoid, "sigmoid'": sigmoid, "Esser": PiecewiseLinear}
RISING = "SuperSpike, height β"
BELLEC = "Bellec 2020"
CURVES = (*SHAPES, RISING)
LOOKS = {
    "SuperSpike": {"color": BLACK, "linestyle": DASHES[0], "marker": "o"},
    "sigmoid'": {"color": BLUE, "linestyle": DASHES[1], "marker": "s"},
    "Esser": {"color": VERMILLION, "linestyle": DASHES[2], "marker": "^"},
    RISING: {"color": "0.55", "linestyle": "-", "marker": "v"},
}
#: ∫h du of a surrogate of height 1 and slope 1.
AREAS = {"SuperSpike": 2.0, "sigmoid'": 4.0, "Esser": 1.0}


def surrogate(name, slope, v_th):
    """A surrogate of the membrane, whose threshold is v_th."""
    if name == BELLEC:
        return PiecewiseLinear(0.3 / v_th, v_th)
    if name == RISING:
        return FastSigmoid(slope / v_th, v_th / slope)
    return SHAPES[name](1 / v_th, v_th / slope)


def area(name, slope):
    """∫h du."""
    if name == BELLEC:
        return 0.3 * AREAS["Esser"]
    return AREAS["SuperSpike"] if name == RISING else AREAS[name] / slope


def measured(name, slope, seed, arguments):
    """The error of a network after training, its rate in Hz, and seconds."""
    options = {k: getattr(arguments, k) for k in ("classes", "dimension", "smoothness")}
    made = Configuration.of_task("randman", seed=seed, **options)
    ((model, _, parameters),) = made.setup.neurons
    parameters = parameters | {"surrogate": surrogate(name, slope, parameters["v_th"])}
    n = arguments.iterations
    setup = evolve(
        made.setup,
        neurons=((model, NEURONS, parameters),),
        order=np.inf,
        learning_rate=CosineDecay(arguments.learning_rate, arguments.learning_rate / 100, n),
    )
    network = evolve(made, setup=setup, seed=seed).make_network()
    before = time.perf_counter()
    try:
        history = network.fit(made.make_task(), n, BATCH, seed=seed)
    except TrainingDiverged as trouble:
        return {"refusal": str(trouble)}
    last = history[-JUDGED:]
    return {
        "error": float(np.mean([entry["metric"] for entry in last])),
        "rate": float(np.mean([entry["rate"] for entry in last])),
        "seconds": round(time.perf_counter() - before, 1),
    }


def rows_of(rows, name, slope):
    """Of all seeds."""
    return [r for r in rows if r["surrogate"] == name and r["slope"] == slope]


def errors_of(rows, name, slope):
    """Of the seeds that got to the end."""
    return np.array([r["error"] for r in rows_of(rows, name, slope) if "error" in r])


def cell(rows, name, slope):
    """Mean and range in percent, and how many seeds did not get to the end."""
    errors = errors_of(rows, name, slope)
    lost = len(rows_of(rows, name, slope)) - len(errors)
    left_out = f"{lost} ran away" if lost else ""
    if not len(errors):
        return left_out or "–"
    low, mean, high = (f"{100 * f(errors):.0f}" for f in (np.min, np.mean, np.max))
    return f"{mean} ({low} – {high})" + (f", {left_out}" if lost else "")


def table(rows, slopes):
    """Lines of Markdown."""
    yield "| wrong classes, % | " + " | ".join(f"β = {slope:g}" for slope in slopes) + " |"
    yield "|---" * (len(slopes) + 1) + "|"
    for name in CURVES:
        cells = [cell(rows, name, slope) for slope in slopes]
        yield f"| {name} | {' | '.join(cells)} |"
    yield f"| {BELLEC} | {cell(rows, BELLEC, 1.0)} |" + " |" * (len(slopes) - 1)


def drawing(rows, slopes, classes):
    """Errors over slopes, and over areas of the same surrogates: means and ranges over seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", sharey=True)
    for name, look in LOOKS.items():
        found = [(slope, errors_of(rows, name, slope)) for slope in slopes]
        x, errors = zip(*((slope, e) for slope, e in found if len(e)), strict=True)
        low, mean, high = ([f(e) for e in errors] for f in (np.min, np.mean, np.max))
        # where the area does not depend on the slope, there is no curve
        for ax, place in zip(axes, (x, [area(name, slope) for slope in x]), strict=True):
            line = dict(look, linestyle="") if len(set(place)) == 1 else look
            ax.plot(place, mean, label=name, ms=4, lw=1.4, **line)
            ax.fill_between(place, low, high, color=look["color"], alpha=0.15, linewidth=0)
    bellec = errors_of(rows, BELLEC, 1.0)
    if len(bellec):
        axes[0].axhline(bellec.mean(), color=GREEN, lw=1.0, zorder=0, label=BELLEC)
        axes[1].plot(area(BELLEC, 1.0), bellec.mean(), "D", color=GREEN, ms=6, zorder=0)
    for ax in axes:
        prepare(ax)
        ax.axhline(1 - 1 / classes, color="0.6", lw=0.9, ls=":", zorder=0, label="chance")
        ax.set_xscale("log")
        ax.minorticks_off()
    axes[0].set(xlabel="Slope β of the surrogate", ylabel="Wrong classes", ylim=(0, 1))
    axes[0].set_xticks(slopes, [f"{slope:g}" for slope in slopes])
    axes[0].yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
    axes[1].legend(
        *axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc=(0.02, 0.02)
    )
    axes[1].set(xlabel="Area ∫h du of the surrogate")
    axes[1].set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--slopes", type=float, nargs="+", default=[1.0, 3.0, 10.0, 30.0, 100.0])
    parser.add_argument("--surrogates", nargs="+", default=[*CURVES, BELLEC])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--dimension", type=int, default=2)
    parser.add_argument("--smoothness", type=float, default=3.0)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--results", type=Path, help="JSON, written after each network")
    parser.add_argument("--drawn-from", type=Path, help="results: nothing is measured")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    rows = json.loads(arguments.drawn_from.read_text()) if arguments.drawn_from else []
    for name in [] if arguments.drawn_from else arguments.surrogates:
        for slope in [1.0] if name == BELLEC else arguments.slopes:
            for seed in arguments.seeds:
                found = measured(name, slope, seed, arguments)
                rows.append({"surrogate": name, "slope": slope, "seed": seed, **found})
                print(rows[-1], flush=True)
                if arguments.results:
                    arguments.results.write_text(json.dumps(rows))
    for line in table(rows, arguments.slopes):
        print(line)
    if arguments.figure:
        drawing(rows, arguments.slopes, arguments.classes).savefig(arguments.figure, dpi=150)
    print(json.dumps({"machine": described("brian_eprop", "brian2"), "rows": rows}))


if __name__ == "__main__":
    main()
