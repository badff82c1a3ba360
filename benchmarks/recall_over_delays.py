"""Recall of a bit over the delay, by time constants of adaptation, after Salaj et al. 2021.

    python benchmarks/recall_over_delays.py --figure recall_over_delays.png

Networks of 10 LIF and 10 ALIF neurons learn store and recall by BPTT: with thresholds that remember
for τ_a = 200, 1000 or 4000 ms, with a τ_a and a β of each neuron that are trained from 200 ms on,
and with LIF neurons alone. Delays from the last command to store to the recall, from the beginning
of one to that of the other, are 1 to 15 characters of 200 ms, each as likely as any other one. In
half of the trials there was an earlier command, which has to be forgotten, but for the longest
delay, before which there is no room. Errors are those of new trials, by their delay.

Prints a Markdown table, mean and range over seeds, and as the last line JSON with every number.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from attrs import evolve, frozen
from brian2 import ms, second, set_device
from machine import described

from brian_eprop import Adam, CosineDecay, ParameterTraining
from brian_eprop.network.training import TrainingDiverged
from brian_eprop.plotting.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, prepare
from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks.options import lif_and_alif, published_beta

#: The expected delay of a geometric distribution so flat that all delays are as likely.
FLAT = 1e6
CHARACTER, DT = 200 * ms, 2 * ms
OF_LIF = {"t_ref": 4 * ms}
#: Of each network: τ_a in ms, None for LIF neurons alone, and whether it is trained.
NETWORKS = {
    "LIF alone": (None, False),
    "τ_a = 200 ms": (200, False),
    "τ_a = 1 s": (1000, False),
    "τ_a = 4 s": (4000, False),
    "τ_a trained from 200 ms": (200, True),
}
COLORS = dict(zip(NETWORKS, ("0.6", BLUE, GREEN, ORANGE, VERMILLION), strict=True))
SHORTEST, LONGEST = 50 * ms, 10 * second


@frozen
class Study:
    """One network: how it is made, trained and asked.

    Attributes
    ----------
    name : str
    seed : int
    arguments : argparse.Namespace
    """

    name: str
    seed: int
    arguments: argparse.Namespace

    def configuration(self):
        """The configuration of the run."""
        options = {
            "characters": self.arguments.characters,
            "expected_delay": FLAT,
            "character": CHARACTER,
            "dt": DT,
        }
        made = Configuration.of_task("store_recall", **options)
        tau_a, trained = NETWORKS[self.name]
        beta = published_beta(DT, (tau_a or 200) * ms)
        lif, alif = lif_and_alif(10, (tau_a or 200) * ms, beta, **OF_LIF)
        if tau_a is None:
            neurons = ((lif[0], 20, lif[2]),)
        else:
            neurons = (lif, alif)
        n, rate = self.arguments.iterations, self.arguments.parameter_rate
        optimizer = Adam(CosineDecay(rate, rate / 10, n))
        trainable = {
            "tau_a": ParameterTraining((SHORTEST, LONGEST), optimizer=optimizer),
            "beta": ParameterTraining((0.0, 1.0), optimizer=optimizer),
        }
        setup = evolve(
            made.setup,
            neurons=neurons,
            order=np.inf,
            trainable=trainable if trained else {},
            learning_rate=CosineDecay(1e-2, 1e-3, n),
            iterations=n,
        )
        return evolve(made, setup=setup, seed=self.seed)

    def measured(self):
        """Errors by delay, what τ_a became, rate and seconds."""
        made = self.configuration()
        network, task, before = made.make_network(), made.make_task(), time.perf_counter()
        try:
            history = network.fit(
                task, self.arguments.iterations, self.arguments.batch, seed=self.seed
            )
        except TrainingDiverged as trouble:
            return {"refusal": str(trouble)}
        seconds = time.perf_counter() - before
        found = {
            "errors": self.errors(network, task),
            "rate": float(history[-1]["rate"]),
            "seconds": round(seconds, 1),
        }
        if "tau_a" in network.parameters:
            found["tau_a_ms"] = sorted(_adapting(network.parameters["tau_a"]))
        return found

    def errors(self, network, task):
        """Fraction of wrong recalls by delay in characters, from 1 on."""
        rng = np.random.default_rng([self.seed, 9])
        wrong, delays = [], []
        for _ in range(-(-self.arguments.trials // self.arguments.batch)):
            inputs, targets = task.sample(rng, self.arguments.batch)
            outputs = network.simulate(inputs).readout
            delays.append(delays_of(inputs, task))
            wrong.extend(task.metric(outputs[[k]], targets[[k]]) for k in range(len(inputs)))
        wrong, delays = np.array(wrong), np.concatenate(delays)
        return [float(wrong[delays == d].mean()) for d in range(1, task.characters)]


def _adapting(tau_a):
    """In ms, of the neurons that have it."""
    values = np.asarray(tau_a / ms)
    return [round(float(value)) for value in values[np.isfinite(values)]]


def delays_of(inputs, task):
    """Characters from the last command to store to the recall, as inputs tell them."""
    sizes = list(task.input_groups.values())
    first = sum(sizes[:2])
    store = inputs[..., first : first + sizes[2]].any(axis=-1)
    active = store.reshape(len(inputs), task.characters, -1).any(axis=-1)
    last = task.characters - 1 - active[:, ::-1].argmax(axis=1)
    return task.characters - 1 - last


def errors_of(rows, name):
    """Of all seeds that got to the end: (seeds, delays)."""
    return np.array([r["errors"] for r in rows if r["network"] == name and "errors" in r])


def table(rows, seconds):
    """Lines of Markdown."""
    shown = [k for k in range(len(seconds)) if k % 7 == 0]
    yield "| wrong recalls, % | " + " | ".join(f"{seconds[k]:.1f} s" for k in shown) + " | all |"
    yield "|---" * (len(shown) + 2) + "|"
    for name in NETWORKS:
        errors = errors_of(rows, name)
        if not len(errors):
            continue
        columns = [*(errors[:, k] for k in shown), errors.mean(axis=1)]
        cells = [
            f"{100 * c.mean():.0f} ({100 * c.min():.0f} – {100 * c.max():.0f})" for c in columns
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def typeset(text):
    """With a subscript."""
    return text.replace("τ_a", r"$\tau_a$")


def drawing(rows, seconds):
    """Left: errors over delays. Right: what trained time constants became."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8, 3.4), layout="constrained", width_ratios=[2.2, 1]
    )
    for name, color in COLORS.items():
        errors = errors_of(rows, name)
        if not len(errors):
            continue
        left.plot(seconds, errors.mean(axis=0), "o-", ms=3.5, color=color, label=typeset(name))
        left.fill_between(
            seconds, errors.min(0), errors.max(0), color=color, alpha=0.15, linewidth=0
        )
    left.axhline(0.5, color="0.7", lw=0.8, ls=":", zorder=0)
    left.set(xlabel="Delay from store to recall (s)", ylabel="Wrong recalls", ylim=(0, 0.6))
    left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
    left.legend(frameon=False, fontsize=8)
    for row in rows:
        if "tau_a_ms" in row:
            values = np.array(row["tau_a_ms"]) / 1000
            at = np.full(len(values), row["seed"])
            right.plot(at, values, "o", ms=4, color=VERMILLION, alpha=0.6)
    right.axhline(0.2, color=BLACK, lw=0.8, ls="--", label="before training")
    right.set(yscale="log", xlabel="Seed", ylabel=typeset("Trained τ_a (s)"), ylim=(0.04, 12))
    right.set_xticks(sorted({row["seed"] for row in rows}))
    right.set_xlim(min(r["seed"] for r in rows) - 0.6, max(r["seed"] for r in rows) + 0.6)
    right.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    right.minorticks_off()
    right.legend(frameon=False, fontsize=8)
    for ax in (left, right):
        prepare(ax)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--characters", type=int, default=16)
    parser.add_argument("--parameter-rate", type=float, default=0.05, help="of τ_a and β")
    parser.add_argument("--trials", type=int, default=4096, help="new ones that judge a network")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--results", type=Path, help="JSON, written after each network")
    parser.add_argument("--drawn-from", type=Path, help="results: nothing is measured")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    rows = json.loads(arguments.drawn_from.read_text()) if arguments.drawn_from else []
    for seed in [] if arguments.drawn_from else arguments.seeds:
        for name in arguments.networks:
            found = Study(name, seed, arguments).measured()
            rows.append({"network": name, "seed": seed, **found})
            print(rows[-1], flush=True)
            if arguments.results:
                arguments.results.write_text(json.dumps(rows))
    seconds = np.arange(1, arguments.characters) * float(CHARACTER / second)
    for line in table(rows, seconds):
        print(line)
    if arguments.figure:
        drawing(rows, seconds).savefig(arguments.figure, dpi=150)
    print(json.dumps({"machine": described("brian_eprop", "brian2"), "rows": rows}))


if __name__ == "__main__":
    main()
