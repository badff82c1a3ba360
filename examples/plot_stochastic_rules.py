"""
Right on average: UORO, KF-RTRL and OK
======================================

Real-time recurrent learning carries the influence of every weight on every unit, n³ numbers. Three
families replace it by random products of few numbers, whose mean is exact. What they differ in is
the noise; the optimal Kronecker sum (OK) loses it with the number of its products.
"""

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop.plotting import plot_spread
from brian_eprop.reference import draw_network, gradients
from brian_eprop.rule_study.comparison import compare

# %%
# A tanh network, and one sequence
# --------------------------------

network = draw_network("elman", 4, 12, 2, seed=2)
rng = np.random.default_rng(0)
inputs, targets = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))

DRAWS = 30
rules = ["uoro", "r_kf_rtrl", "kf_rtrl", "kf_rtrl(average=4)"]
rules += [f"ok(rank={rank})" for rank in (1, 2, 4, 8)]
table = compare(network, inputs, targets, rules, draws=DRAWS)
for row in table:
    print(f"{row.label:20} one draw {row.spread:8.3f}   mean of {DRAWS} {row.bias:7.4f}")

# %%
# The mean over draws approaches the exact gradient
# -------------------------------------------------
# A batch of copies of the sequence has that many independent draws.

exact = gradients(network, inputs, targets, "rtrl").w_rec
copies = 2 ** np.arange(0, 10)
errors = {}
for rule, options in (("uoro", {}), ("kf_rtrl", {}), ("ok", {"rank": 4})):
    errors[rule] = []
    for n in copies:
        batch = np.repeat(inputs[np.newaxis], n, axis=0), np.repeat(targets[np.newaxis], n, axis=0)
        mean = gradients(network, *batch, rule, seed=1, **options).w_rec
        errors[rule].append(np.linalg.norm(mean - exact) / np.linalg.norm(exact))

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
labels = [row.label for row in table]
biases, spreads = [row.bias for row in table], [row.spread for row in table]
plot_spread(labels, biases, spreads, draws=DRAWS, ax=left)
for (rule, values), style in zip(errors.items(), ("o-", "s--", "^-."), strict=True):
    right.loglog(copies, values, style, markersize=4, label=rule)
right.loglog(copies, errors["kf_rtrl"][0] / np.sqrt(copies), ":", color="0.5", label="1/√draws")
right.set(xlabel="Draws", ylabel="Relative error of the mean")
right.spines[["top", "right"]].set_visible(False)
right.legend(frameon=False)
figure.savefig("stochastic_rules.png", dpi=150)
plt.show()
