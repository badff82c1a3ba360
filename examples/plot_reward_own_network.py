"""
Rewards in a Brian2 network of one's own
========================================

Two lights, two buttons: to press the one below the light that is on is rewarded 20 ms later. The
environment is a network operation, which reads the policy of an `ActorCriticReadout` and sets its
rewards. Traces of the synapses keep what the decision depended on until the TD error arrives
(Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 5 and 30–37), and weights change in every time step.
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2 import (
    Hz,
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    StateMonitor,
    defaultclock,
    ms,
    mV,
    prefs,
    second,
    seed,
)

from brian_eprop import Adam, EProp, Learner, PiecewiseLinear, TrainableSynapses
from brian_eprop.reward import ActorCriticReadout

prefs.codegen.target = "numpy"  # short runs, which are not worth compiling
defaultclock.dt = 1 * ms
seed(1)
rng = np.random.default_rng(1)

lights = PoissonGroup(40, rates=0 * Hz, name="lights")
neurons = NeuronGroup(
    40,
    "dv/dt = -v/(10*ms) : volt",
    threshold="v > 15*mV",
    reset="v = 0*mV",
    refractory=2 * ms,
    method="exact",
    name="neurons",
)
readout = ActorCriticReadout(2, tau=10 * ms, discount=0.98, value_weight=0.1, name="readout")

# %%
# A learner as usual: gradients of each step, with traces in which credit waits for its reward.

learner = Learner(
    readout,
    EProp(surrogate=PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV), engine="traces"),
    feedback="random",
    optimizer=Adam(5e-3),
    update_every=1 * ms,
    seed=1,
)
inputs = TrainableSynapses(lights, neurons, on_pre="v_post += w*mV", delay=0 * ms, learner=learner)
inputs.connect()
inputs.w = "3*randn() + 1"
outputs = TrainableSynapses(neurons, readout, on_pre="y_post += 0.05*w", learner=learner)
outputs.connect()
outputs.w = "0.1*randn()"

# %%
# What the environment does in the slot ``before_end``: a decision after 30 ms of light, its reward
# and the end of the episode after 50 ms.

pressed = []


def act():
    global lit
    now = round(readout.t / ms) % 50
    if now == 0:
        lit = rng.integers(2)
        lights.rates = np.repeat(np.eye(2)[lit], 20) * 100 * Hz
    if now == 30:
        readout.action = rng.choice(2, p=readout.policy[:2])
        readout.decides = True
        pressed.append(readout.action[:] == lit)
    if now == 49:
        readout.reward = float(pressed[-1])
        readout.terminal = True


value = StateMonitor(readout, ["value", "td_error"], record=[2], when="after_end")
environment = NetworkOperation(act, when="before_end")
network = Network(lights, neurons, readout, inputs, outputs, environment, value)
network.run(50 * 220 * ms)

# %%
# The right button more and more often. The value is what the agent has come to expect, and the TD
# error its surprise: the peaks are rewards, for which the lights alone were no guarantee.

right = np.array(pressed, dtype=float).ravel()
first, final = right[:50].mean(), right[-50:].mean()
print(f"right: {first:.0%} of the first 50 decisions, {final:.0%} of the last 50")
figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 5), layout="constrained")
top.plot(np.convolve(right, np.ones(20) / 20, "valid"))
top.set(xlabel="Episode", ylabel="Right (mean of 20)", ylim=(0, 1.05))
last = value.t > network.t - 0.25 * second
for name, label in (("value", "Value"), ("td_error", "TD error")):
    bottom.plot(value.t[last] / ms, getattr(value, name)[0, last], label=label)
bottom.set(xlabel="Time (ms)")
bottom.legend(frameon=False)
figure.savefig("reward_own_network.png", dpi=150)
plt.show()
