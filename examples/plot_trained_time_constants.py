"""
Time constants that learn
=========================

Which of two sides had more cues? The answer is due half a second after the last one, but the
thresholds of the adaptive neurons forget within 200 ms. Weights alone have little to work with,
and learn slowly. With trained time constants, one per neuron and by the same gradient of e-prop,
the neurons come to remember for as long as the task needs (compare Bellec et al. 2020, Nat.
Commun. 11:3625, Fig. 4, where time constants are chosen by hand, and Perez-Nieves et al. 2021,
Nat. Commun. 12:5791, where back-propagation trains those of membranes and synapses). The first
iterations of training are run here; what 400 of them come to is loaded.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, second, set_device

from brian_eprop import Adam, FiringRateRegularizer, RecurrentNetwork, tasks
from brian_eprop.plotting import plot_rule_learning

set_device("cpp_standalone", build_on_run=False)

SEEDS = (1, 2)
START = 200 * ms
TRAINABLE = {"weights": {}, "weights and τ_a": {"tau_a": (20 * ms, 2 * second)}}
task = tasks.load_task(
    "evidence_accumulation", n_cues=3, cue=50 * ms, gap=30 * ms, delay=500 * ms, recall=100 * ms
)

# %%
# The same weights and the same trials for both; in one, the time constants learn too.


def new_network(name, seed):
    """A network before training."""
    return RecurrentNetwork(
        [("lif", 30, {}), ("alif", 30, {"tau_a": START, "beta": 0.17})],
        n_in=task.n_in,
        n_rec=60,
        n_out=task.n_out,
        loss="cross_entropy",
        normalize=True,
        average=True,
        optimizer=Adam(5e-3),
        regularizers=[FiringRateRegularizer(target=10 * Hz, strength=2 * task.learning_window)],
        trainable=TRAINABLE[name],
        seed=seed,
    )


# %%
# Training
# --------
# Trials are new in every iteration, and are judged before the network learns from them.

live = new_network("weights and τ_a", seed=1).fit(task, 8, batch_size=32, seed=1)

# %%
# All iterations, of both networks and with another seed as well, take some minutes. They were run
# before, from the same weights and with the same trials; the command that does it again is printed.

trained = np.load(Path(sys.argv[0]).parent / "trained" / "trained_time_constants.npz")
histories = {
    name: [json.loads(str(trained[f"{name}, seed {seed}"])) for seed in SEEDS] for name in TRAINABLE
}
for name, found in histories.items():
    wrong = [np.mean([entry["metric"] for entry in history[-10:]]) for history in found]
    print(f"{name:16} {', '.join(f'{one:.1%}' for one in wrong)} of the last 320 trials wrong")
print(f"made by: {trained['made']}")

# %%
# The loss while learning, as mean and range over the seeds; dotted is that of a guess. The lines
# are loaded, the dots are the iterations that were run here. Right, the time constants, which were
# all the same before.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
losses = {
    name: [[entry["loss"] for entry in history] for history in found]
    for name, found in histories.items()
}
plot_rule_learning(losses, label="Loss", smooth=20, ax=left)
left.plot([entry["loss"] for entry in live], "o", color="#D55E00", markersize=2.5)
left.axhline(np.log(2), color="0.6", linewidth=0.8, linestyle=":")
left.set_ylim(bottom=0)
left.legend(frameon=False, fontsize="small", loc="lower left")
tau_a = np.concatenate([trained[f"tau_a, seed {seed}"] for seed in SEEDS]) * second / ms
tau_a = tau_a[~np.isnan(tau_a)]
print(f"τ_a: {START / ms:.0f} ms before, {np.percentile(tau_a, [10, 50, 90]).round()} ms after")
right.hist(tau_a, bins=np.geomspace(50, 1000, 25), color="#D55E00", label="after")
right.axvline(START / ms, color="#0072B2", linewidth=1.2, label="before")
right.set(xscale="log", xlabel="Time constant τ_a (ms)", ylabel="Neurons")
right.set_xticks([50, 100, 200, 500, 1000], [50, 100, 200, 500, 1000])
right.minorticks_off()
right.yaxis.get_major_locator().set_params(integer=True)
right.spines[["top", "right"]].set_visible(False)
right.legend(frameon=False, fontsize="small", loc="upper left")
figure.savefig("trained_time_constants.png", dpi=150)
plt.show()
