"""
Modulation by cell type (MDGL)
==============================

Only the excitatory cells of a network project to the readout, so that e-prop of order 1 has no
learning signal for the inhibitory ones, and is refused there. In MDGL (Liu et al. 2021, PNAS
118(51) e2111821118) a cell also tells those that act on it what its own signal was, by a substance
that the type of the sender releases and the type of the receiver hears. One modulatory weight for
each pair of types, the mean over the synapses between them, takes the place of every single weight.
How far does that lead? The gradient of one trial beside back-propagation, and learning by the
synapses onto inhibitory cells alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    defaultclock,
    ms,
    mV,
    prefs,
    start_scope,
)

from brian_eprop import (
    BPTT,
    MDGL,
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
)

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 1 * ms
n_in, sizes, trial, trials = 30, {"E": 32, "I": 8}, 200, 25
time = np.arange(trial) / trial
target = 1.5 * np.sin(2 * np.pi * time) + 0.75 * np.sin(6 * np.pi * time)
psi = PiecewiseLinear(0.3 / (15 * mV), 15 * mV)
#: Sender, receiver, what a spike does, mean weight
pairs = (
    ("E", "E", "v_post += w*mV", 0.4),
    ("E", "I", "v_post += w*mV", 1.0),
    ("I", "E", "v_post -= w*mV", 2.5),
    ("I", "I", "v_post -= w*mV", 1.0),
)

# %%
# ``m`` is the modulatory weight. A modulation comes back to whoever learns; inputs need none.


def network(rule, seed, learn=("E", "I"), **options):
    """A network of two types, its synapses onto cells by their names, and its loss."""
    start_scope()
    rng = np.random.default_rng(seed)
    steps, channels = np.nonzero(rng.random((trial, n_in)) < 0.05)
    noise = SpikeGeneratorGroup(n_in, channels, steps * ms, period=trial * ms)
    spiking = dict(threshold="v > 15*mV", reset="v = 0*mV", refractory=2 * ms, method="exact")
    cells = {
        name: NeuronGroup(n, "dv/dt = -v/(20*ms) : volt", name=name, **spiking)
        for name, n in sizes.items()
    }
    readout = LeakyReadout(1, 20 * ms, target=target, period=trial * ms)
    learner = Learner(readout, rule, reset_every=trial * ms, **options)
    made = {}
    for pre, post, on_pre, mean in (
        *(("inputs", name, "v_post += w*mV", 2.0) for name in sizes),
        *pairs,
    ):
        S = TrainableSynapses(
            cells.get(pre, noise),
            cells[post],
            "w : 1\nm : 1 (constant)" if pre in cells else "w : 1",
            on_pre=on_pre,
            delay=0 * ms,
            fixed=post not in learn,
            learner=learner,
        )
        S.connect(condition="i != j" if pre == post else None)
        if pre in cells:
            S.w = mean * rng.exponential(size=len(S))
            S.m = np.mean(S.w[:])
        else:
            S.w = mean * (1 + rng.standard_normal(len(S)))
        made[f"{pre} → {post}"] = S
    outputs = TrainableSynapses(
        cells["E"], readout, on_pre="y_post += w", fixed=True, learner=learner
    )
    outputs.connect()
    outputs.w = 0.3 * rng.standard_normal(len(outputs))
    loss = StateMonitor(readout, "loss", record=0, dt=trial * ms)
    return Network(noise, *cells.values(), readout, *made.values(), outputs, loss), made, loss


# %%
# Gradients of one trial: the cosine to back-propagation of the synapses onto each type.

rules = {
    "MDGL, by type": MDGL(surrogate=psi, modulation="m"),
    "MDGL, by synapse": MDGL(surrogate=psi),
    "e-prop of order 2": EProp(order=2, surrogate=psi),
    "BPTT": BPTT(surrogate=psi),
}
seeds = range(3)
cosines = {name: np.zeros((len(seeds), 2)) for name in rules}
for k in seeds:
    gradients = {}
    for name, rule in rules.items():
        net, made, _ = network(rule, k)
        net.run(trial * ms)
        gradients[name] = [
            np.concatenate([np.array(S.grad[:]) for key, S in made.items() if key.endswith(kind)])
            for kind in sizes
        ]
    for name, of_types in gradients.items():
        for column, (g, b) in enumerate(zip(of_types, gradients["BPTT"], strict=True)):
            cosines[name][k, column] = g @ b / np.linalg.norm(g) / np.linalg.norm(b)
for name, values in cosines.items():
    print(f"{name:18} cosine onto E {values[:, 0].round(2)}, onto I {values[:, 1].round(2)}")

# %%
# Learning by the synapses onto inhibitory cells: whatever they do, they do through others.

curves = {}
for name, rule in rules.items():
    losses = []
    for k in seeds:
        learning = dict(optimizer=Adam(0.1), update_every=trial * ms)
        net, _, loss = network(rule, k, learn=("I",), **learning)
        net.run((trials + 1) * trial * ms)
        losses.append(np.diff(loss.loss[0]))
    curves[name] = np.array(losses)
    print(f"{name:18} loss {curves[name][:, 0].mean():.0f} → {curves[name][:, -5:].mean():.0f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
colours = ("#d55e00", "#e69f00", "#56b4e9", "k")
for place, (name, colour) in enumerate(list(zip(rules, colours, strict=True))[:-1]):
    for column in (0, 1):
        x = column + 0.22 * (place - 1)
        left.bar(x, cosines[name][:, column].mean(), 0.2, color=colour)
        left.plot([x] * len(seeds), cosines[name][:, column], ".", color="k", ms=3)
left.axhline(0, color="k", lw=0.6)
left.set_xticks([0, 1], ["onto E cells", "onto I cells"])
left.set(ylabel="Cosine to BPTT, before learning", ylim=(min(0, left.get_ylim()[0]), 1.05))
for (name, curve), colour in zip(curves.items(), colours, strict=True):
    right.plot(np.arange(1, trials + 1), curve.mean(axis=0), color=colour, label=name)
right.set(xlabel="Trial", ylabel="Loss", ylim=(0, None))
right.legend(frameon=False, fontsize=8)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig("cell_types.png", dpi=150)
plt.show()
