"""Sparse readouts on a grid: exact gradient, diffusing errors and hops, after Barretto-Bittar 2026.

    python benchmarks/grid_credit.py --results grid_credit.jsonl --figure grid_credit.png

50 LIF and 50 ALIF neurons on a torus of 10 × 10 places are connected to their neighbours, a tenth
of the possible input synapses and of those onto the readout exist. Symmetric e-prop has a learning
signal for the neurons that project to the readout alone. The others learn if the error diffuses
over the grid, if credit crosses one or two synapses (orders 2 and 3), or by BPTT.

A diffusing error is that of the stationary state, L = K B error with K = (1 − k M)⁻¹, where M
averages over a place and its eight neighbours: in every step a share k of what is there goes on.

A run is written to the results when it ends; one that is there is not repeated. Prints a Markdown
table, means and each seed, and as the last line JSON with the machine and every number.
"""

import argparse
import json
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from attrs import frozen
from brian2 import Hz, ms, set_device
from machine import described

from brian_eprop import Adam, CosineDecay, EProp, RecurrentNetwork
from brian_eprop.network.training import TrainingDiverged
from brian_eprop.plotting.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, prepare
from brian_eprop.tasks import load_task
from brian_eprop.tasks.kinds import Decision
from brian_eprop.tasks.options import spike_probability

#: Iterations of a point in the curves.
AVERAGED = 20
SIDE = 10
N = SIDE**2
#: Width of the local connectivity, and share of the other synapses that exist.
SIGMA, DENSITY = 0.012, 0.1
#: Steps are twice those of the authors.
DT, PUBLISHED_DT, TAU_M = 2 * ms, 1 * ms, 20 * ms
#: Threshold and β of the authors, whose membranes have the gain 1 − α; ours have the gain 1.
V_TH, BETA = 0.03, 1.8
#: Order of each rule, and the share of the error that goes on to neighbours in a step.
RULES = {
    "e-prop": (1, 0.0),
    "error diffusion": (1, 0.75),
    "order 2": (2, 0.0),
    "order 3": (3, 0.0),
    "BPTT": (math.inf, 0.0),
}
COLORS = dict(zip(RULES, (BLUE, VERMILLION, GREEN, ORANGE, BLACK), strict=True))
#: Right decisions, mean and standard deviation of 19 or 20 seeds after 2000 iterations of 64.
PUBLISHED = {
    "cue accumulation": {
        "e-prop": (86.0, 4.0),
        "error diffusion": (92.9, 1.8),
        "BPTT": (98.2, 1.6),
    },
    "delayed match": {
        "e-prop": (74.0, 11.5),
        "error diffusion": (95.1, 3.0),
        "BPTT": (99.7, 0.5),
    },
}
#: τ_a of each task, and gains of the initial weights: published for cues are 1, 1, 1, and for the
#: match 0.5, 0.1, 0.5, with which neurons are silent for the first hundred iterations.
TAU_A = {"cue accumulation": 2000 * ms, "delayed match": 1400 * ms}
ITERATIONS = {"cue accumulation": 400, "delayed match": 600}
GAINS = {"w_in": math.sqrt(10), "w_rec": 1.0, "w_out": math.sqrt(10)}


@frozen(eq=False, slots=False)
class PairMatch(Decision):
    """Was there a stimulus both times or neither time (1), or once (0)?

    Before and after a delay 20 inputs of each time fire with 40 Hz for 150 ms, or not, with equal
    chance; 20 more do while the answer is asked for, 20 have 10 Hz throughout.
    """

    dt = DT
    rate, background_rate = 40 * Hz, 10 * Hz
    fixation, stimulus, delay, answer = 50 * ms, 150 * ms, 700 * ms, 50 * ms
    input_groups = dict.fromkeys(["first", "second", "answer", "background"], 20)
    _phases = ("fixation", "stimulus", "delay", "stimulus", "answer")

    def _decisions(self, rng, batch):
        shown = rng.integers(2, size=(batch, 2))
        probability = np.zeros((batch, len(self._phases), len(self.input_groups)))
        probability[:, 1, 0], probability[:, 3, 1] = shown.T * spike_probability(self, "rate")
        probability[:, -1, 2] = spike_probability(self, "rate")
        probability[..., 3] = spike_probability(self, "background_rate")
        return self._spikes(rng, probability), (shown[:, 0] == shown[:, 1]).astype(int)


def made_task(name):
    """The task of the paper; its seven cues are tosses of a coin."""
    if name == "delayed match":
        return PairMatch()
    return load_task(
        "evidence_accumulation", reliability=0.5, delay=850 * ms, recall=150 * ms, dt=DT
    )


def around(separation, period):
    """The shorter way along a circle."""
    return np.minimum(abs(separation), period - abs(separation))


def local_synapses(places, rng):
    """Which neurons are connected, (N, N) bool: p = 1/(1 + exp(d²/4σ)), without autapses.

    As in the authors' code places are 0, 1/9 … 1 along each side of a square that is closed to a
    torus of period 1: the first and the last row are at the same place.
    """
    x = places / (SIDE - 1)
    apart = around(x[:, np.newaxis] - x, 1)
    p = 1 / (1 + np.exp((apart**2).sum(axis=-1) / (4 * SIGMA)))
    return (rng.random((N, N)) < p) & ~np.eye(N, dtype=bool)


def diffusion(places, share):
    """K = (1 − k M)⁻¹, (N, N): what an error that is made in one place, forever, comes to in each.

    M averages over a place and its eight neighbours on the torus; k is the share that goes on in a
    step, and the sum of a row 1/(1 − k).
    """
    apart = around(places[:, np.newaxis] - places, SIDE)
    near = (apart <= 1).all(axis=-1) / 9
    return np.linalg.inv(np.eye(N) - share * near)


def sparse(n_pre, n_post, rng):
    """A tenth of the synapses, (n_pre, n_post) bool."""
    chosen = rng.permutation(n_pre * n_post) < DENSITY * n_pre * n_post
    return chosen.reshape(n_pre, n_post)


@frozen
class Study:
    """One network: how it is made, trained and judged."""

    task: str
    rule: str
    seed: int
    arguments: argparse.Namespace

    @property
    def iterations(self):
        """How often it is updated."""
        return self.arguments.iterations or ITERATIONS[self.task]

    def network(self, task):
        """The network at its start, and the kernel of diffusion over its neurons."""
        rng = np.random.default_rng([self.seed, 1])
        places = np.stack(np.divmod(rng.permutation(N), SIDE), axis=-1)
        exist = {
            "w_in": sparse(task.n_in, N, rng),
            "w_rec": local_synapses(places, rng),
            "w_out": sparse(N, task.n_out, rng),
        }
        weights = {
            # as He et al. draw them for all synapses, of which most are then left out
            name: GAINS[name] * np.sqrt(2 / len(mask)) * rng.standard_normal(mask.shape) * mask
            for name, mask in exist.items()
        }
        tau_a = TAU_A[self.task]
        gain = 1 - math.exp(-PUBLISHED_DT / TAU_M)
        # a spike is followed by five published steps without
        lif = {"tau_m": TAU_M, "v_th": V_TH / gain, "t_ref": 6 * PUBLISHED_DT}
        beta = BETA * (1 - math.exp(-PUBLISHED_DT / tau_a)) / gain
        alif = lif | {"tau_a": tau_a, "beta": beta}
        order, share = RULES[self.rule]
        kernel = diffusion(places, share)
        rate = self.arguments.rate
        made = RecurrentNetwork(
            [("lif", N // 2, lif), ("alif", N // 2, alif)],
            task.n_in,
            N,
            task.n_out,
            dt=DT,
            tau_out=20 * ms,
            loss="cross_entropy",
            normalize=True,
            average=True,
            weights=weights,
            connectivity=exist,
            # one program for both rules of order 1
            feedback=diffused(kernel, weights) if order == 1 else "symmetric",
            rule=EProp(order=order),
            # with the usual 0.999 one huge gradient moves weights for many iterations
            optimizer=Adam(CosineDecay(rate, rate / 10, self.iterations), beta_2=0.99),
        )
        return made, kernel

    def measured(self):
        """Right decisions while learning and after it, rate and seconds."""
        task = made_task(self.task)
        network, kernel = self.network(task)
        before = time.perf_counter()

        def follow(entry):
            if network.description.feedback == "given":
                network.weights["feedback"] = diffused(kernel, network.weights)

        batch = self.arguments.batch
        try:
            history = network.fit(task, self.iterations, batch, callbacks=[follow], seed=self.seed)
        except TrainingDiverged as trouble:
            return {"refusal": str(trouble)}
        errors = np.array([entry["metric"] for entry in history])
        errors = errors[: len(errors) // AVERAGED * AVERAGED].reshape(-1, AVERAGED).mean(axis=1)
        return {
            "right": 1 - self.errors(network, task),
            "curve": [round(float(1 - error), 4) for error in errors],
            "rate": round(float(history[-1]["rate"]), 1),
            "seconds": round(time.perf_counter() - before, 1),
        }

    def errors(self, network, task):
        """Fraction of wrong decisions in new trials, by the program that has learned."""
        rng, batch = np.random.default_rng([self.seed, 9]), self.arguments.batch
        wrong = []
        for _ in range(-(-self.arguments.trials // batch)):
            inputs, targets = task.sample(rng, batch)
            outputs = network.gradients(inputs, targets, task.learning_window).readout
            wrong.append(task.metric(outputs, targets))
        return float(np.mean(wrong))


def diffused(kernel, weights):
    """Symmetric feedback that has diffused over the grid : (n_out, N)."""
    return (kernel @ weights["w_out"]).T


def of(rows, task, rule):
    """Results of one network that got to the end."""
    return [r for r in rows if (r["task"], r["rule"]) == (task, rule) and "right" in r]


def table(rows):
    """Lines of Markdown."""
    yield "| right decisions, % | " + " | ".join(f"{t} | published" for t in PUBLISHED) + " |"
    yield "|---" * (2 * len(PUBLISHED) + 1) + "|"
    for rule in RULES:
        cells = []
        for task, published in PUBLISHED.items():
            right = [100 * row["right"] for row in of(rows, task, rule)]
            each = ", ".join(f"{value:.1f}" for value in right)
            cells.append(f"{np.mean(right):.1f} ({each})" if right else "")
            cells.append("{} ± {}".format(*published[rule]) if rule in published else "")
        yield f"| {rule} | " + " | ".join(cells) + " |"


def drawing(rows):
    """For each task, left: right decisions while learning; right: after it, beside published."""
    figure, axes = plt.subplots(
        2, 2, figsize=(8, 5.6), layout="constrained", sharey="row", width_ratios=[1.3, 1]
    )
    for (left, right), (task, published) in zip(axes, PUBLISHED.items(), strict=True):
        for place, (rule, color) in enumerate(COLORS.items()):
            found = of(rows, task, rule)
            if found:
                curves = np.array([row["curve"] for row in found])
                x = AVERAGED * (np.arange(curves.shape[1]) + 0.5)
                left.plot(x, curves.mean(axis=0), color=color, label=rule)
                left.fill_between(x, curves.min(0), curves.max(0), color=color, alpha=0.15, lw=0)
                values = np.array([row["right"] for row in found])
                right.plot(np.full(len(values), place), values, "o", ms=4, color=color, alpha=0.6)
                right.plot(place, values.mean(), "_", color=color, ms=20, mew=2)
            if rule in published:
                mean, spread = np.array(published[rule]) / 100
                right.axhline(mean, color=color, lw=0.9, ls="--", zorder=0)
                label = "published, ± s. d." if place == 0 else None
                edges, low, high = [place - 0.4, place + 0.4], mean - spread, min(mean + spread, 1)
                right.fill_between(edges, low, high, color="0.85", zorder=0, lw=0, label=label)
        for ax in (left, right):
            prepare(ax)
        left.set(xlabel="Iteration", ylabel="Right decisions", ylim=(0.45, 1.01))
        left.set_title(task.capitalize(), fontsize=9)
        right.set_title("After training, new trials", fontsize=9)
        left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
        right.set_xticks(range(len(RULES)), [rule.replace(" ", "\n") for rule in RULES], fontsize=8)
    for ax in axes[0]:
        ax.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", nargs="+", choices=PUBLISHED, default=list(PUBLISHED))
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--iterations", type=int, help="default: 400 for cues, 600 for the match")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.01, help="of learning; falls to a tenth")
    parser.add_argument("--trials", type=int, default=1024, help="new ones that judge a network")
    parser.add_argument("--results", type=Path, help="a line of JSON for each run; is continued")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--table", action="store_true", help="of the results; nothing is measured")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    rows, results = [], arguments.results
    if results and results.exists():
        rows = [json.loads(line) for line in results.read_text().splitlines()]
    there = {(row["seed"], row["task"], row["rule"]) for row in rows}
    for seed in [] if arguments.table else arguments.seeds:
        for task in arguments.task:
            for rule in arguments.rules:
                if (seed, task, rule) in there:
                    continue
                found = Study(task, rule, seed, arguments).measured()
                rows.append({"task": task, "rule": rule, "seed": seed, **found})
                print(rows[-1], flush=True)
                if results:
                    with results.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    for line in table(rows):
        print(line)
    if arguments.figure:
        drawing(rows).savefig(arguments.figure, dpi=150)
    print(json.dumps({"machine": described("brian_eprop", "brian2"), "rows": rows}))


if __name__ == "__main__":
    main()
