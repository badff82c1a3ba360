"""
Errors that diffuse over a grid
===============================

On a 10 × 10 grid of spiking neurons with local connections only one in ten neurons projects to the
readout. Symmetric e-prop gives the others no learning signal at all. If the error diffuses to
neighbours, as nitric oxide or a neuropeptide would, they learn as well (the set-up of
Barretto-Bittar et al. 2026, arXiv 2603.08949: 50 LIF and 50 ALIF neurons there, LIF neurons here).
How good is what they learn? Gradients of one and the same trial, beside back-propagation, and for
the synapses onto those that do not project by themselves.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Network, SpikeGeneratorGroup, SpikeMonitor, defaultclock, ms, prefs, start_scope

from brian_eprop import EProp, LeakyReadout, Learner, Signal, TrainableSynapses, load_model

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 1 * ms
side, n_in, n_out, steps = 10, 40, 2, 200
n = side**2
column, row = np.arange(n) % side, np.arange(n) // side
apart = np.hypot(column[:, None] - column, row[:, None] - row)

# %%
# ``laplacian(c)`` in the equations is the sum of what the neighbours have more, with no flux over
# the border. The learning signal is the concentration.

laplacian = (apart == 1) - np.diag((apart == 1).sum(axis=0)).astype(float)
diffusing = Signal(
    """
    dc/dt = (error - c + 3*laplacian(c)/4)/(5*ms) : 1
    L = c : 1
    """,
    matrices={"laplacian": laplacian},
)

rng = np.random.default_rng(3)
spikes_in = rng.random((steps, n_in)) < 0.04
local = (apart > 0) & (rng.random((n, n)) < np.exp(-(apart**2) / 4))
projects = rng.permutation(n)[: n // 10]
weights = {
    "inputs": rng.standard_normal((n_in, n)) * 0.3 * (rng.random((n_in, n)) < 0.5),
    "recurrent": 0.2 * rng.standard_normal((n, n)) * local / math.sqrt(local.sum(axis=0).mean()),
    "outputs": rng.standard_normal((len(projects), n_out)) * 0.5,
}
targets = np.sin(2 * np.pi * np.arange(steps)[:, None] * [1, 2] / steps)


def gradient(rule, signal=None):
    """dE/dW of the recurrent synapses in one trial : (synapses,), their targets, and the spikes."""
    start_scope()
    step, channel = np.nonzero(spikes_in)
    inputs = SpikeGeneratorGroup(n_in, channel, step * ms)
    neurons = load_model("lif").group(n, tau_m=20 * ms, v_th=0.6, t_ref=3 * ms)
    readout = LeakyReadout(n_out, 20 * ms, target=targets)
    learner = Learner(readout, rule, signal=signal, reset_every=steps * ms)
    made = []
    onto = "v_post += w*exp(dt_post/tau_m_post)"
    for source, target, on_pre, values, exist in (
        (inputs, neurons, onto, weights["inputs"], weights["inputs"] != 0),
        (neurons, neurons, onto, weights["recurrent"], local),
        (neurons, readout, "y_post += w", None, None),
    ):
        synapses = TrainableSynapses(
            source, target, on_pre=on_pre, delay=0 * ms, learner=learner, fixed=target is readout
        )
        if exist is not None:
            pre, post = np.nonzero(exist)
            synapses.connect(i=pre, j=post)
            synapses.w = values[pre, post]
        else:
            synapses.connect(i=np.repeat(projects, n_out), j=np.tile(range(n_out), len(projects)))
            synapses.w = weights["outputs"].ravel()
        made.append(synapses)
    fired = SpikeMonitor(neurons)
    Network(inputs, neurons, readout, *made, fired).run(steps * ms)
    return made[1].grad[:].copy(), made[1].j[:].copy(), fired.count[:].copy()


# %%
# The reset is a part of the neuron here, so that orders count synapses alone.


def rule(order, engine="credit"):
    return EProp(order=order, engine=engine, reset_path={"v": "implicit"})


def per_neuron(grad, target_of):
    """Norm of the gradient of each neuron's incoming synapses."""
    return np.sqrt(np.bincount(target_of, weights=grad**2, minlength=n))


def cosine(grad, exact):
    """0 where nothing learns."""
    return grad @ exact / max(np.linalg.norm(grad), 1e-300) / np.linalg.norm(exact)


# %%
# The exact gradient of the surrogate, orders of e-prop, and e-prop with errors that diffuse: for
# the synapses onto neurons that do not project to the readout themselves. What reaches these by
# diffusion has the sign of their neighbours' error. If they excite their neighbours, that is right;
# through weights of any sign it is not.

random_signs = weights["recurrent"]
cosines, maps = {}, {}
for kind, recurrent in (
    ("excitatory", 0.6 * abs(random_signs)),
    ("of both signs", random_signs),
):
    weights["recurrent"] = recurrent
    exact, target_of, count = gradient(rule(math.inf))
    found = {
        "e-prop": gradient(rule(1, "traces"))[0],
        "diffusion": gradient(rule(1, "traces"), diffusing)[0],
        "order 2": gradient(rule(2))[0],
    }
    others = ~np.isin(target_of, projects)
    cosines[kind] = [cosine(grad[others], exact[others]) for grad in found.values()]
    maps.setdefault("e-prop", per_neuron(found["e-prop"], target_of))
    maps.setdefault("diffusion", per_neuron(found["diffusion"], target_of))
    maps.setdefault("exact", per_neuron(exact, target_of))
    print(f"recurrent synapses {kind}: {1000 * count.mean() / steps:.0f} spikes/s")
    for name, grad in found.items():
        reached = 100 * (per_neuron(grad, target_of) > 0).mean()
        there = cosine(grad[others], exact[others])
        print(f"  {name}: {reached:.0f} % of the neurons learn; cosine of the others {there:.2f}")

figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
for axis, (name, norms) in zip(axes, maps.items(), strict=False):
    image = axis.imshow((norms / norms.max()).reshape(side, side), cmap="magma", vmin=0, vmax=1)
    axis.scatter(column[projects], row[projects], s=14, facecolors="none", edgecolors="w", lw=0.8)
    axis.set(title=name, xticks=[], yticks=[])
bar = figure.colorbar(image, ax=axes[2], shrink=0.8)
bar.set_label("Norm of the gradient")
places = np.arange(len(found))
for shift, (kind, values), colour in zip((-0.2, 0.2), cosines.items(), ("C3", "0.6"), strict=True):
    axes[3].bar(places + shift, values, 0.36, color=colour, label=kind)
axes[3].set(ylabel="Cosine to the exact gradient", ylim=(-0.1, 1.05))
axes[3].set_xticks(places, list(found))
axes[3].legend(title="Recurrent synapses", frameon=False, fontsize=8, loc="upper left")
axes[3].axhline(0, color="k", lw=0.8)
axes[3].spines[["top", "right"]].set_visible(False)
figure.savefig("diffusion.png", dpi=150)
plt.show()
