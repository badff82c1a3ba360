"""
Only what can be reached soon: SnAp
===================================

In a sparse network a weight reaches few units in few steps. SnAp-n keeps those entries of the
influence that are not zero n steps after the weight has acted, and the rule becomes exact as soon
as n covers the network. For spiking neurons SnAp-1 is e-prop with the path through the reset.
"""

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop.reference import draw_network, gradients
from brian_eprop.rule_study.comparison import compare

N_REC, STEPS = 40, 100
rng = np.random.default_rng(3)
inputs = rng.random((STEPS, 10)) < 0.05
targets = np.sin(np.arange(STEPS)[:, np.newaxis] / STEPS * 2 * np.pi * np.array([1, 2]))

# %%
# Error and size of the influence, for three densities of the connections
# -----------------------------------------------------------------------

orders, found = np.arange(1, 7), {}
for density in (0.05, 0.1, 0.2):
    network = draw_network("alif", 10, N_REC, 2, density=density, seed=1)
    spikes = gradients(network, inputs, targets).spikes
    rows = compare(network, inputs, targets, [f"snap(n={n})" for n in orders], repeats=1)
    (full,) = compare(network, inputs, targets, ["rtrl"], repeats=1)
    found[density] = [row.error for row in rows], [row.memory / full.memory for row in rows]
    print(
        f"density {density}: {spikes.sum()} spikes; errors "
        + " ".join(f"{row.error:.1e}" for row in rows)
        + "; size "
        + " ".join(f"{size:.3f}" for size in found[density][1])
    )

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for (density, (errors, sizes)), style in zip(found.items(), ("o-", "s--", "^-."), strict=True):
    left.semilogy(orders, np.maximum(errors, 1e-16), style, markersize=4, label=f"{density:g}")
    right.semilogy(orders, sizes, style, markersize=4)
left.set(xlabel="n", ylabel="Relative error of SnAp-n")
right.set(xlabel="n", ylabel="Numbers stored, of those of RTRL")
left.legend(frameon=False, title="Density")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig("sparse_influence.png", dpi=150)
plt.show()
