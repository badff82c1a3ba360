"""
A spiking agent balances a pole
===============================

Gymnasium's CartPole-v1: push a cart to the left or right so that the pole on it does not fall.
Four numbers become the firing of tuned inputs; the network decides in the same time step, and its
neurons remember the last ones. It learns by e-prop with a TD error, one update per episode (Bellec
et al. 2020, Nat. Commun. 11:3625). The first episodes are played here; the weights of a trained
agent are loaded. Needs Gymnasium: ``python3 -m pip install "brian_eprop[rl]"``.
"""

import json
import sys
from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
from brian2 import Hz, ms, prefs

from brian_eprop import Adam, CosineDecay, EProp, FiringRateRegularizer, RecurrentNetwork
from brian_eprop.plotting import plot_learning_curve
from brian_eprop.reward import Agent, CodedEnvironment

prefs.codegen.target = "numpy"

# %%
# A reward of 0.05 for each step makes values of order 1. The ranges of position, velocity, angle
# and angular velocity are those that are coded; beyond them the tuning curves saturate.
# Credit for an action fades by λ = 0.9 with each that follows, and beyond that the value stands for
# its rewards: with λ = 1 all that comes later is noise in the gradient, and the pole falls early.

reward = 0.05
cart_pole = gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), lambda r: reward * r)
ends = np.array([2.4, 2.5, 0.21, 2.5])
world = CodedEnvironment(cart_pole, low=-ends, high=ends, n=15, peak=1.0)

network = RecurrentNetwork(
    [("lif", 100, {"tau_m": 2 * ms, "t_ref": 2 * ms})],
    world.n_in,
    100,
    world.n_actions + 1,
    tau_out=2 * ms,
    rule=EProp(engine="traces"),
    optimizer=Adam(CosineDecay(5e-3, 5e-4, over=300)),
    regularizers=[FiringRateRegularizer(50 * Hz, 1.0)],
    seed=4,
)
network.weights["w_out"] *= 0.1
network.weights["w_rec"] *= 0.5
agent = Agent(network, world, discount=0.99, trace_decay=0.9, seed=4)

# %%
# Training
# --------

live = agent.learn(12)
print(f"{np.mean([entry['actions'] for entry in live]):.0f} steps until the pole falls")

# %%
# All episodes, of which the first are those above, take minutes. They were played before, and the
# weights that did best in episodes without learning were kept; the command that does it again is
# printed. The trained agent is judged by new episodes, in which it takes the action that it holds
# best. After 500 steps an episode is cut off.

trained = np.load(Path(sys.argv[0]).parent / "trained" / "reward_cart_pole.npz")
history = json.loads(str(trained["history"]))
network.weights.update({name: trained[name] for name in network.weights})
print(f"{len(history)} episodes made by: {trained['made']}")
after = agent.evaluate(3, greedy=True) / reward
print(f"steps until the pole falls, after learning: {', '.join(f'{n:.0f}' for n in after)}")

# %%
# The line is loaded, the dots are the episodes that were played here.

ax = plot_learning_curve(history, quantity="actions")
ax.plot([entry["actions"] for entry in live], "o", color="#D55E00", markersize=3)
ax.set(xlabel="Episode", ylabel="Steps until the pole falls")
ax.figure.savefig("reward_cart_pole.png", dpi=150)
plt.show()
