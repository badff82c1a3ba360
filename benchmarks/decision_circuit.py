"""Psychometric and chronometric curves of the decision circuit, before and after learning.

    python benchmarks/decision_circuit.py --seed 1

The circuit is that of ``examples/plot_decision_circuit.py``, of which the cells before "Training"
are executed. One compiled program runs everything: trials before learning, the updates, and other
trials after them. What the example draws is added to ``examples/trained/decision_circuit.npz``, or
to ``--out``. With ``--published`` the circuit is that of the paper, of 2000 cells with a structure
put in by hand, in trials of two seconds of motion: what was learned is drawn beside it.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    seed,
    set_device,
)
from gallery import EXAMPLES, set_up
from scipy.optimize import minimize

from brian_eprop import CosineDecay, fast_build
from brian_eprop.files import replacing


def weibull(strength, right):
    """Threshold α and slope β of 1 − ½ exp(−(c/α)^β), by maximum likelihood."""

    def surprise(logarithms):
        alpha, beta = np.exp(logarithms)
        p = np.clip(1 - 0.5 * np.exp(-((strength / alpha) ** beta)), 1e-6, 1 - 1e-6)
        return -(right * np.log(p) + (1 - right) * np.log(1 - p)).sum()

    moving = strength > 0
    strength, right = strength[moving], right[moving]
    return np.exp(minimize(surprise, np.log([0.1, 1.5]), method="Nelder-Mead").x)


def curves(strength, strengths, right, when):
    """Share of right choices and mean time in ms of those made, for every one of ``strengths``."""
    at = [np.isclose(strength, one) for one in strengths]
    times = [when[one][np.isfinite(when[one])] for one in at]
    return (
        np.array([right[one].mean() for one in at]),
        np.array([one.mean() if len(one) else np.nan for one in times]),
    )


def spike_rates(monitor, n, steps, until, trials, dt):
    """Mean rates of a group in the first ``until`` steps of trials : (trials,), in Hz."""
    step = np.rint(np.asarray(monitor.t / dt)).astype(int)
    counts = np.bincount(step[step % steps < until] // steps, minlength=trials)
    return counts / n / (until * float(dt))


def published(parts, coherence, rng):
    """The circuit of Wang 2002: two pools of 240 of 1600 pyramidal cells, and 400 interneurons.

    Synapses within a pool are 1.7 times as strong as others, and those onto a pool from elsewhere
    weaker, so that the sum remains. Every cell of a pool has an input of its own. Without delays.
    """
    pool, strong = 240, 1.7
    weak = 1 - 0.15 * (strong - 1) / (1 - 0.15)
    between = f"{strong}*int(p_pre == p_post) + {weak}*int(p_pre != p_post)"
    between = f"1 + int(p_post < 2)*({between} - 1)"  # p: 0 and 1 for the pools, 2 for the rest
    groups = []
    for name, n, gate in (("cells", 1600, parts["GATE"]), ("inhibition", 400, "")):
        constants = parts["PYRAMIDAL" if gate else "INTERNEURON"]
        of_synapses = {"g_AMPA", "g_NMDA", "g_GABA"}
        group = NeuronGroup(
            n,
            f"{parts['MEMBRANE']}{gate}\np : 1 (constant)",
            threshold="v > V_th",
            reset="v = V_r" + "; x += 1" * bool(gate),
            refractory=(2 if gate else 1) * ms,
            method="euler",
            namespace={
                k: v / parts["SCALE"] if k in of_synapses else v for k, v in constants.items()
            },
            name=name,
        )
        group.p = f"clip(i // {pool}, 0, 2)"
        start = "v = -60*mV + 10*mV*rand(); s_ext = 4.8; s_AMPA = 0; s_GABA = 0"
        group.run_regularly(start + "; s = 0; x = 0" * bool(gate), dt=parts["TRIAL"])
        groups.append(group)
    cells, inhibition = groups
    sums = NeuronGroup(3, "s : 1\np = i : 1", name="sums")
    output = NeuronGroup(
        2, "dy/dt = -y/tau : 1", namespace={"tau": parts["TAU_OUT"]}, name="output"
    )
    output.run_regularly("y = 0", dt=parts["TRIAL"])
    of_motion = TimedArray(parts["motion"](coherence, rng) * Hz, dt=parts["PART"])
    dots = PoissonGroup(
        2 * pool, "of_motion(t, i // pool)", namespace={"of_motion": of_motion, "pool": pool}
    )
    step = 1 / (parts["HZ"] * pool * float(parts["TAU_OUT"]))
    ampa = Synapses(cells, cells, "w : 1 (constant)", "s_AMPA_post += w")
    nmda = Synapses(sums, cells, "w : 1 (constant)\nS_NMDA_post = w*s_pre : 1 (summed)")
    synapses = {
        Synapses(dots, cells, on_pre="s_ext_post += 1"): "i == j",
        ampa: "i != j",
        Synapses(cells, sums, "s_post = s_pre : 1 (summed)"): "p_pre == p_post",
        nmda: True,
        Synapses(sums, inhibition, "S_NMDA_post = s_pre : 1 (summed)"): True,
        Synapses(cells, inhibition, on_pre="s_AMPA_post += 1"): True,
        Synapses(inhibition, cells, on_pre="s_GABA_post += 1"): True,
        Synapses(inhibition, inhibition, on_pre="s_GABA_post += 1"): "i != j",
        Synapses(cells, output, on_pre=f"y_post += {step}"): "p_pre == j",
    }
    for each, condition in synapses.items():
        each.connect(condition)
    ampa.w = nmda.w = between
    background = [PoissonInput(group, "s_ext", 800, 3 * Hz, 1) for group in groups]
    monitors = {
        "output": StateMonitor(output, "y", record=True, dt=5 * ms, when="after_end"),
        "cells": SpikeMonitor(cells),
        "inhibition": SpikeMonitor(inhibition),
    }
    network = Network(*groups, sums, output, dots, *synapses, *background, *monitors.values())
    return network, {}, monitors


def blocks(synapses, n_pre, n_post):
    """Mean weights within the halves that belong together, and across them."""
    same = (synapses.i[:] >= n_pre // 2) == (synapses.j[:] >= n_post // 2)
    return synapses.w[:][same].mean(), synapses.w[:][~same].mean()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--order", type=float, default=1)
    parser.add_argument("--rate", type=float, default=0.03, help="at the start")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--fixed", action="store_true", help="train the motion input only")
    parser.add_argument("--published", action="store_true", help="the circuit of the paper")
    parser.add_argument("--out", type=Path, default=EXAMPLES / "trained" / "decision_circuit.npz")
    options = parser.parse_args(arguments)
    parts = set_up("decision_circuit")
    if options.published:  # it is slower, and its gates are too fast for steps of 0.5 ms
        parts |= {"DT": 0.25 * ms, "TRIAL": 2100 * ms}
    set_device("cpp_standalone", directory=None)
    fast_build()
    defaultclock.dt = step = parts["DT"]
    seed(options.seed)
    rng = np.random.default_rng(options.seed)
    test, trial = parts["test_trials"](options.repeats), parts["TRIAL"]
    training = parts["training_trials"](options.updates, rng)
    n_cells, n_inhibition = parts["N_E"], parts["N_I"]
    if options.published:
        n_cells, n_inhibition = 1600, 400
        coherence, phases = test, {"published": slice(None)}
        network, synapses, monitors = published(parts, coherence, rng)
    else:
        coherence = np.concatenate([test, training, test])
        phases = {"before": slice(len(test)), "after": slice(-len(test), None)}
        begin, end = (float(n * trial) for n in (len(test), len(test) + len(training)))
        learn = f"t >= {begin!r}*second - dt/2 and t < {end!r}*second - dt/2"
        rate = CosineDecay(options.rate, options.rate / 10, options.updates)
        order = np.inf if np.isinf(options.order) else int(options.order)
        network, synapses, monitors = parts["circuit"](
            coherence, rng, learn, order, rate, fixed=options.fixed
        )
    started = time.perf_counter()
    network.run(len(coherence) * trial)
    took = time.perf_counter() - started

    choice, when, rates = parts["decisions"](monitors["output"].y[:], coherence)
    right = parts["right"](choice, coherence)
    steps, n = round(trial / step), len(coherence)
    rest = spike_rates(monitors["cells"], n_cells, steps, round(parts["ONSET"] / step), n, step)
    inhibition = spike_rates(monitors["inhibition"], n_inhibition, steps, steps, n, step)
    last = rates[:, :, -20:].mean(axis=2)  # of the pools, 100 ms
    kept = {"made": " ".join(["python", *sys.argv])}
    print(f"{kept['made']}: {took:.0f} s with building")
    for phase, part in phases.items():
        strength, decided = abs(coherence[part]), choice[part] != 0
        print(f"{phase}: {decided.mean():.1%} decided, {np.mean(choice[part] > 0):.1%} for the 1st")
        at_rest, inhibited = rest[part].mean(), inhibition[part].mean()
        print(f"  at rest {at_rest:.1f} Hz, interneurons {inhibited:.1f} Hz")
        if decided.any():
            low, high = np.sort(last[:, part][:, decided], axis=0).mean(axis=1)
            print(f"  pools after a decision {high:.1f} and {low:.1f} Hz")
            fit = weibull(strength, right[part])
            print("  Weibull threshold {:.1%}, slope {:.2f}".format(*fit))
        found = curves(strength, parts["COHERENCES"], right[part], when[part])
        kept[f"right {phase}"], kept[f"time {phase}"] = found
        for row in zip(parts["COHERENCES"], *found, strict=True):
            print("  coherence {:5.1%}: {:6.1%} right, {:.0f} ms".format(*row))
    if synapses:
        print("inputs {:.2f} and {:.2f}".format(*blocks(synapses["inputs"], 20, 160)), end=", ")
        print("NMDA within pools {:.2f}, across {:.2f}".format(*blocks(synapses["nmda"], 160, 160)))
        learning = right[len(test) : -len(test)].reshape(options.updates, -1).mean(axis=1)
        print("right while learning", learning.round(2))
    whose = "published" if options.published else f"seed {options.seed}"
    kept = {f"{name}, {whose}": values for name, values in kept.items()}
    others = dict(np.load(options.out)) if options.out.exists() else {}
    with replacing(options.out, "the curves") as file:
        np.savez_compressed(file, **others | kept)


if __name__ == "__main__":
    main(sys.argv[1:])
