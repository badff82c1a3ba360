"""
From e-prop to the exact gradient
=================================

e-prop leaves out that a spike acts on other neurons. Orders of e-prop take more of it back in: of
order m, paths that cross at most m − 1 recurrent synapses (``truncation="hops"``), or the losses
of the m steps from a spike on (``"horizon"``). Both end at the exact gradient, along the spikes
that Brian2 has simulated; on the way the error may rise.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import ms, prefs

from brian_eprop import EProp, PiecewiseLinear, RecurrentNetwork, reference
from brian_eprop.plotting import plot_order, plot_raster

prefs.codegen.target = "numpy"

# %%
# A network of adaptive neurons, run by Brian2
# --------------------------------------------

N_IN, N_REC, STEPS = 20, 20, 60
rng = np.random.default_rng(1)
network = RecurrentNetwork(
    [("alif", N_REC, {"tau_a": 200 * ms})],
    N_IN,
    N_REC,
    2,
    tau_out=20 * ms,
    rule=EProp(surrogate=PiecewiseLinear("0.3/v_th", "v_th")),
    weights={
        "w_in": rng.normal(0, 1.5 / np.sqrt(N_IN), (N_IN, N_REC)),
        "w_rec": rng.normal(0, 0.5 / np.sqrt(N_REC), (N_REC, N_REC)) * ~np.eye(N_REC, dtype=bool),
        "w_out": rng.normal(0, 1 / np.sqrt(N_REC), (N_REC, 2)),
    },
)
inputs = rng.random((STEPS, N_IN)) < 0.05
phase = np.arange(STEPS)[:, np.newaxis] / STEPS * 2 * np.pi
targets = np.sin(phase * [1, 2])
spikes = network.simulate(inputs).spikes
print(f"{spikes.sum()} spikes of {N_REC} neurons in {STEPS} ms")

# %%
# The error of every order
# ------------------------


def gradient(rule, **options):
    """The gradient of the recurrent weights along Brian2's spikes."""
    found = reference.gradients(network, inputs, targets, rule, spikes=spikes, **options)
    return found.w_rec


exact = gradient("bptt")
orders = np.arange(1, 13)
errors = {
    truncation: [
        np.linalg.norm(gradient("eprop", order=int(m), truncation=truncation) - exact)
        / np.linalg.norm(exact)
        for m in orders
    ]
    for truncation in ("hops", "horizon")
}
for truncation, values in errors.items():
    print(truncation, " ".join(f"{value:.1e}" for value in values))

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plot_raster(spikes, dt=1 * ms, ax=left)
plot_order(orders, errors, ax=right)
figure.savefig("order_of_eprop.png", dpi=150)
plt.show()
