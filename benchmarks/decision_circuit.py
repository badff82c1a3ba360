"""Psychometric and chronometric curves of the decision circuit, before and after learning.

    python benchmarks/decision_circuit.py --seed 1

The circuit is that of ``examples/plot_decision_circuit.py``, of which the cells before "Training"
are executed. One compiled program runs everything: trials before learning, the updates, and other
trials after them. What the example draws is added to ``examples/trained/decision_circuit.npz``, or
to ``--out``.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import defaultclock, seed, set_device
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


def blocks(synapses, n_pre, n_post):
    """Mean weights within the halves that belong together, and across them."""
    same = (synapses.i[:] >= n_pre // 2) == (synapses.j[:] >= n_post // 2)
    return synapses.w[:][same].mean(), synapses.w[:][~same].mean()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.03, help="at the start")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=EXAMPLES / "trained" / "decision_circuit.npz")
    options = parser.parse_args(arguments)
    parts = set_up("decision_circuit")
    set_device("cpp_standalone", directory=None)
    fast_build()
    defaultclock.dt = step = parts["DT"]
    seed(options.seed)
    rng = np.random.default_rng(options.seed)
    test, trial = parts["test_trials"](options.repeats), parts["TRIAL"]
    training = parts["training_trials"](options.updates, rng)
    coherence = np.concatenate([test, training, test])
    begin, end = (float(n * trial) for n in (len(test), len(test) + len(training)))
    learn = f"t >= {begin!r}*second - dt/2 and t < {end!r}*second - dt/2"
    rate = CosineDecay(options.rate, options.rate / 10, options.updates)
    network, synapses, monitors = parts["circuit"](coherence, rng, learn, rate)
    started = time.perf_counter()
    network.run(len(coherence) * trial)
    took = time.perf_counter() - started

    choice, when, rates = parts["decisions"](monitors["output"].y[:], coherence)
    right = parts["right"](choice, coherence)
    steps, n = round(trial / step), len(coherence)
    rest = spike_rates(
        monitors["cells"], parts["N_E"], steps, round(parts["ONSET"] / step), n, step
    )
    inhibition = spike_rates(monitors["inhibition"], parts["N_I"], steps, steps, n, step)
    last = rates[:, :, -20:].mean(axis=2)  # of the pools, 100 ms
    learning = right[len(test) : -len(test)].reshape(options.updates, -1).mean(axis=1)
    kept = {"made": " ".join(["python", *sys.argv])}
    print(f"{kept['made']}: {took:.0f} s with building")
    for phase, part in (("before", slice(len(test))), ("after", slice(-len(test), None))):
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
    print("inputs {:.2f} and {:.2f}".format(*blocks(synapses["inputs"], 20, 160)), end=", ")
    print("NMDA within pools {:.2f}, across {:.2f}".format(*blocks(synapses["nmda"], 160, 160)))
    print("right while learning", learning.round(2))
    kept = {f"{name}, seed {options.seed}": values for name, values in kept.items()}
    others = dict(np.load(options.out)) if options.out.exists() else {}
    with replacing(options.out, "the curves") as file:
        np.savez_compressed(file, **others | kept)


if __name__ == "__main__":
    main(sys.argv[1:])
