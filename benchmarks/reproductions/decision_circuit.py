"""What the decision circuit of Wang 2002 learns without structure: not yet to decide well.

160 pyramidal cells and 40 interneurons with the equations and conductances of Wang 2002 (Neuron
36:955, after Brunel & Wang 2001, J. Comput. Neurosci. 11:63), a tenth of the published numbers with
conductances of recurrent synapses ten times as large. Recurrent NMDA weights and those of the
motion input, all alike but for noise before, learn by e-prop from the direction of random dots.

    python benchmarks/reproductions/decision_circuit.py --seed 1 --out decision_1.npz

One compiled program runs everything: trials before learning, those of learning, and others after.
After 40 updates at a rate of 0.05 (seeds 1 and 2) the circuit reaches the published threshold of 15
spikes/s in 80 and 73 % of the trials, and in none before, within about 500 to 700 ms. At the
largest coherence 70 and 75 % of 20 trials are right, where one without a decision counts as a half.
For so few trials that is near chance: the published curves are not reached, no result is claimed.
"""

import argparse
import sys
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
    mV,
    nF,
    nS,
    second,
    seed,
    set_device,
)
from scipy.optimize import minimize

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
    fast_build,
)

#: Motion strengths of Roitman & Shadlen 2002 (J. Neurosci. 22:9475), as fractions of the dots.
COHERENCES = np.array([0.0, 0.032, 0.064, 0.128, 0.256, 0.512])
DT, TRIAL, ONSET = 0.5 * ms, 1000 * ms, 100 * ms
N_E, N_I, N_DOTS = 160, 40, 10
SCALE = 10  # cells in the paper for each one here
TAU_OUT, GAIN = 50 * ms, 0.05
#: Rate of a pool in Hz for an output of 1.
HZ = 1 / (GAIN * (N_E // 2) * float(TAU_OUT))
THRESHOLD = 15.0  # Hz; as in Wang 2002

CONSTANTS = {
    "E_L": -70 * mV,
    "E_I": -70 * mV,
    "V_th": -50 * mV,
    "V_r": -55 * mV,
    "tau_AMPA": 2 * ms,
    "tau_GABA": 5 * ms,
    "tau_rise": 2 * ms,
    "tau_NMDA": 100 * ms,
    "alpha": 0.5 / ms,
}
PYRAMIDAL = CONSTANTS | {
    "C": 0.5 * nF,
    "g_L": 25 * nS,
    "g_ext": 2.1 * nS,
    "g_AMPA": 0.05 * SCALE * nS,
    "g_NMDA": 0.165 * SCALE * nS,
    "g_GABA": 1.3 * SCALE * nS,
}
INTERNEURON = CONSTANTS | {
    "C": 0.2 * nF,
    "g_L": 20 * nS,
    "g_ext": 1.62 * nS,
    "g_AMPA": 0.04 * SCALE * nS,
    "g_NMDA": 0.13 * SCALE * nS,
    "g_GABA": 1.0 * SCALE * nS,
}
MEMBRANE = """
dv/dt = (g_L*(E_L - v) - I_AMPA - I_NMDA - g_GABA*s_GABA*(v - E_I))/C : volt (unless refractory)
I_AMPA = (g_ext*s_ext + g_AMPA*s_AMPA)*v : amp
I_NMDA = g_NMDA*S_NMDA*v/(1 + exp(-0.062*v/mV)/3.57) : amp
ds_ext/dt = -s_ext/tau_AMPA : 1
ds_AMPA/dt = -s_AMPA/tau_AMPA : 1
ds_GABA/dt = -s_GABA/tau_GABA : 1
S_NMDA : 1
"""
GATE = """
ds/dt = -s/tau_NMDA + alpha*x*(1 - s) : 1
dx/dt = -x/tau_rise : 1
"""


def motion(coherence, rng):
    """Rates of the two directions in every 50 ms : (trials·20, 2), in Hz, as in Wang 2002.

    40 Hz·(1 ± c), with a standard deviation of 4 Hz, from the onset of the dots on.
    """
    parts = round(float(TRIAL / (50 * ms)))
    mean = 40 * (1 + np.stack([coherence, -coherence], axis=1))
    rates = mean[:, np.newaxis] + 4 * rng.standard_normal((len(coherence), parts, 2))
    rates[:, : round(float(ONSET / (50 * ms)))] = 0
    return rates.reshape(-1, 2).clip(0)


def direction(coherence):
    """The right answers : (trials, 2); without a direction both are as good."""
    right = 0.5 * (1 + np.sign(coherence))
    return np.stack([right, 1 - right], axis=1)


def balanced(repeats):
    """Every coherence equally often in both directions : (trials,)."""
    return np.tile(np.concatenate([COHERENCES, -COHERENCES]), repeats)


def circuit(coherence, rng, order=1, rate=0.02, batch=16, learn="False", strength=3e4):
    """The network, for one trial per coherence, and what is read from it.

    Parameters
    ----------
    coherence : (trials,) ndarray
        Positive: dots move into the response field of the first half of the pyramidal cells.
    rng : numpy.random.Generator
    order, rate, batch, strength
        Of e-prop, of Adam, trials to an update, and of the rate regularizer.
    learn : str
        When, as an expression of t.
    """
    options = {"threshold": "v > V_th", "reset": "v = V_r", "method": "euler"}
    cells = NeuronGroup(
        N_E,
        MEMBRANE + GATE,
        threshold="v > V_th",
        reset="v = V_r; x += 1",
        refractory=2 * ms,
        method="euler",
        namespace=PYRAMIDAL,
        name="cells",
    )
    inhibition = NeuronGroup(
        N_I, MEMBRANE, refractory=1 * ms, namespace=INTERNEURON, name="inhibition", **options
    )
    for group in (cells, inhibition):
        group.v = rng.uniform(-60, -50, len(group)) * mV
        group.s_ext = 2400 * 0.002  # where the background holds it
    background = [PoissonInput(group, "s_ext", 800, 3 * Hz, 1) for group in (cells, inhibition)]
    dots_rates = TimedArray(motion(coherence, rng) * Hz, dt=50 * ms, name="dots_rates")
    dots = PoissonGroup(
        2 * N_DOTS, "dots_rates(t, i // n_dots)", namespace={"n_dots": N_DOTS}, name="dots"
    )
    dots.namespace["dots_rates"] = dots_rates
    steps = round(float(TRIAL / DT))
    target = np.repeat(direction(coherence), steps, axis=0)
    readout = LeakyReadout(2, TAU_OUT, "cross_entropy", target=target, average=True, name="readout")
    learner = Learner(
        readout,
        EProp(order=order, surrogate=PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)),
        optimizer=Adam(rate),
        regularizers=[FiringRateRegularizer(target=10 * Hz, strength=strength)],
        update_every=batch * TRIAL,
        reset_every=TRIAL,
        learning_window=500 * ms,
        reset=[inhibition],
        learn=learn,
    )
    positive = {"bounds": (0, 10)}
    inputs = TrainableSynapses(
        dots, cells, on_pre="s_ext_post += 0.05*w", learner=learner, name="inputs", **positive
    )
    inputs.connect()
    inputs.w = "0.5 + rand()"
    nmda = TrainableSynapses(
        cells,
        cells,
        "w : 1\nS_NMDA_post = w*s_pre : 1 (summed)",
        learner=learner,
        name="nmda",
        **positive,
    )
    nmda.connect("i != j")
    nmda.w = "0.5 + rand()"
    outputs = TrainableSynapses(
        cells, readout, on_pre="y_post += 0.05*w", learner=learner, fixed=True, name="outputs"
    )
    outputs.connect("j == int(i >= N_pre // 2)")
    outputs.w = 1
    ampa = Synapses(cells, cells, on_pre="s_AMPA_post += 1", name="ampa")
    ampa.connect("i != j")
    to_inhibition = Synapses(
        cells, inhibition, "S_NMDA_post = s_pre : 1 (summed)", on_pre="s_AMPA_post += 1"
    )
    to_inhibition.connect()
    from_inhibition = Synapses(inhibition, cells, on_pre="s_GABA_post += 1")
    from_inhibition.connect()
    within_inhibition = Synapses(inhibition, inhibition, on_pre="s_GABA_post += 1")
    within_inhibition.connect("i != j")
    monitors = {
        "output": StateMonitor(readout, "y", record=True, dt=5 * ms, when="after_end"),
        "cells": SpikeMonitor(cells),
        "inhibition": SpikeMonitor(inhibition),
    }
    network = Network(
        cells,
        inhibition,
        *background,
        dots,
        readout,
        inputs,
        nmda,
        outputs,
        ampa,
        to_inhibition,
        from_inhibition,
        within_inhibition,
        *monitors.values(),
    )
    return network, {"inputs": inputs, "nmda": nmda}, monitors


def decisions(output, coherence):
    """Choices and decision times of trials.

    Parameters
    ----------
    output : (2, samples) ndarray
        Of the readout, all trials one after the other.

    Returns
    -------
    choice : (trials,) ndarray
        1 for the first pool, −1 for the second, 0 if none reached the threshold.
    when : (trials,) ndarray
        Time from the onset of the dots to the first pool above the threshold, in ms; NaN without.
    """
    rates = output.reshape(2, len(coherence), -1) * HZ
    start = round(float(ONSET / (5 * ms)))
    above = rates[:, :, start:] >= THRESHOLD
    first = np.where(above.any(axis=2), above.argmax(axis=2), above.shape[2])
    choice = np.sign(first[1] - first[0])
    when = np.where(choice == 0, np.nan, first.min(axis=0) * 5.0)
    return choice, when, rates


def score(choice, coherence):
    """Right choices, counted as a half without a choice and without a direction : (trials,)."""
    return 0.5 * (1 + choice * np.sign(coherence))


def curves(kept, seed):
    """The curves of a seed from what `main` has kept.

    Returns
    -------
    dict
        ``before`` and ``after``: fractions of right choices and mean decision times in ms for
        every one of COHERENCES, then coherences and scores of all trials; ``learning``: the
        fraction of right choices among the trials of each update.
    """
    coherence, choice, when = (
        kept[f"{name}, seed {seed}"] for name in ("coherence", "choice", "when")
    )
    before, trained, batch = kept[f"phases, seed {seed}"]
    right = score(choice, coherence)
    found = {"learning": right[before : before + trained].reshape(-1, batch).mean(axis=1)}
    for phase, part in (("before", slice(0, before)), ("after", slice(before + trained, None))):
        strength = abs(coherence[part])
        at = [np.isclose(strength, one) for one in COHERENCES]
        times = [when[part][one] for one in at]
        means = [np.nanmean(one) if np.isfinite(one).any() else np.nan for one in times]
        found[phase] = (
            np.array([right[part][one].mean() for one in at]),
            np.array(means),
            strength,
            right[part],
        )
    return found


def weibull(strength, right):
    """Threshold α and slope β of 1 − ½ exp(−(c/α)^β), by maximum likelihood."""

    def surprise(logarithms):
        alpha, beta = np.exp(logarithms)
        p = np.clip(1 - 0.5 * np.exp(-((strength / alpha) ** beta)), 1e-6, 1 - 1e-6)
        return -(right * np.log(p) + (1 - right) * np.log(1 - p)).sum()

    moving = strength > 0
    strength, right = strength[moving], right[moving]
    best = minimize(surprise, np.log([0.1, 1.5]), method="Nelder-Mead")
    return np.exp(best.x)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--order", type=float, default=1)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--strength", type=float, default=3e4)
    parser.add_argument("--out", required=True)
    options = parser.parse_args(arguments)
    set_device("cpp_standalone", directory=None)
    fast_build()
    defaultclock.dt = DT
    seed(options.seed)
    rng = np.random.default_rng(options.seed)
    test, trained = balanced(options.repeats), options.updates * options.batch
    before = len(test) // options.batch * options.batch
    # as many to the right as to the left in every batch, or its bias hides what motion tells
    strength = rng.choice(COHERENCES[1:], (options.updates, options.batch // 2))
    training = rng.permuted(np.concatenate([strength, -strength], axis=1), axis=1).ravel()
    coherence = np.concatenate([test[:before], training, test])
    order = np.inf if np.isinf(options.order) else int(options.order)
    begin, end = before * TRIAL, (before + trained) * TRIAL
    learn = f"t >= {float(begin)!r}*second - dt/2 and t < {float(end)!r}*second - dt/2"
    network, synapses, monitors = circuit(
        coherence, rng, order, options.rate, options.batch, learn, options.strength
    )
    network.run(len(coherence) * TRIAL, report="text", report_period=20 * second)
    choice, when, _ = decisions(monitors["output"].y[:], coherence)
    bins = np.arange(len(coherence) + 1) * float(TRIAL)
    kept = {
        "coherence": coherence,
        "choice": choice,
        "when": when,
        "phases": [before, trained, options.batch],
        "w_inputs": synapses["inputs"].w[:].astype("f4"),
        "w_nmda": synapses["nmda"].w[:].astype("f4"),
    }
    for name, size in (("cells", N_E), ("inhibition", N_I)):
        kept[f"rate_{name}"] = np.histogram(monitors[name].t / second, bins)[0] / size
    kept = {f"{name}, seed {options.seed}": values for name, values in kept.items()}
    others = dict(np.load(options.out)) if Path(options.out).exists() else {}
    made = " ".join(["python", *sys.argv])
    np.savez_compressed(options.out, **others | kept | {f"made, seed {options.seed}": made})
    found = curves(kept, options.seed)
    for phase, part in (("before", slice(0, before)), ("after", slice(before + trained, None))):
        right, times, *trials = found[phase]
        cells, inhibition = (
            kept[f"rate_{name}, seed {options.seed}"][part].mean()
            for name in ("cells", "inhibition")
        )
        print(
            f"{phase}: {np.mean(choice[part] != 0):.0%} decided, {np.mean(choice[part] > 0):.0%} "
        )
        print(f"  pyramidal cells {cells:.1f}, interneurons {inhibition:.1f} spikes/s")
        for row in zip(COHERENCES, right, times, strict=True):
            print("  coherence {:5.1%}: {:4.0%} right, {:.0f} ms".format(*row))
        if phase == "after":
            print("  Weibull threshold {:.1%}, slope {:.2f}".format(*weibull(*trials)))


if __name__ == "__main__":
    main(sys.argv[1:])
