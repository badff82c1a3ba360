"""
Rules that learn how to learn: KeRNL, synthetic gradients, e-prop 3
===================================================================

Three rules learn something of the network first. KeRNL learns, from small perturbations, how
strongly a unit acts on the others; DNI and e-prop 3 learn to predict what the present state does
to the future loss. Here they see one batch of sequences again and again, with the weights fixed.
"""

import matplotlib.pyplot as plt
import numpy as np

from brian_eprop.reference import draw_network, gradients

network = draw_network("gru", 3, 10, 2, seed=0)
rng = np.random.default_rng(1)
inputs, targets = rng.normal(size=(4, 30, 3)), rng.normal(size=(4, 30, 2))


def error(rule, **options):
    """Relative error of the recurrent weights' gradient."""
    exact = gradients(network, inputs, targets, "bptt").w_rec
    found = gradients(network, inputs, targets, rule, seed=0, **options).w_rec
    return np.linalg.norm(found - exact) / np.linalg.norm(exact)


# %%
# Error against the number of lessons
# -----------------------------------

lessons = 2 ** np.arange(0, 7)
rules = {
    "kernl": {},
    "dni": {},
    "eprop3": {},
    "eprop3, interval 1": {"interval": 1},
}
errors = {
    name: [error(name.split(",")[0], repetitions=int(k), **options) for k in lessons]
    for name, options in rules.items()
}
symmetric = draw_network("gru", 3, 10, 2, seed=0, feedback=None)
exact = gradients(network, inputs, targets).w_rec
local = gradients(symmetric, inputs, targets, "eprop").w_rec
plain = np.linalg.norm(local - exact) / np.linalg.norm(exact)
for name, values in errors.items():
    print(f"{name:20}", " ".join(f"{value:.3f}" for value in values))
print(f"{'eprop (symmetric)':20} {plain:.3f}")

# %%

figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for (name, values), style in zip(errors.items(), ("o-", "s--", "^-.", "v:"), strict=True):
    ax.loglog(lessons, values, style, markersize=4, label=name)
ax.axhline(plain, color="0.5", lw=0.8)
ax.text(lessons[-1], plain, "e-prop", color="0.4", ha="right", va="bottom")
ax.set(xlabel="Lessons", ylabel="Relative error to BPTT")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
figure.savefig("learned_rules.png", dpi=150)
plt.show()
