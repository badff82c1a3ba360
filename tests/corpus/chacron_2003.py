"""Firing with a fluctuating dynamic threshold: memory across interspike intervals.

Paper: Chacron, Pakdaman & Longtin 2003, Neural Comput. 15:253

A leaky membrane v and a threshold θ that relaxes to θ₀ and jumps with each spike (Eqs 2.1–2.4), so
that intervals depend on the ones before. An event of its own notes the highest thresholds, which
nothing else reads. Inputs learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 250 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

tau_v, tau_theta, theta_0, theta_r, mu = 10 * ms, 40 * ms, 1, 0.4, 1.2

equations = """
dv/dt = (mu - v)/tau_v : 1 (unless refractory)
dtheta/dt = (theta_0 - theta)/tau_theta : 1
largest : 1
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        10,
        equations,
        threshold="v > theta",
        reset="v = 0; theta += theta_r",
        refractory=1 * ms,
        events={"high": "theta > 1.5"},
        method="euler",
    )
    neurons.theta = "theta_0 + 0.2*rand()"
    neurons.run_on_event("high", "largest = theta")
    source = PoissonGroup(20, 50 * Hz)
    inputs = Trained(source, neurons, "w : 1", on_pre="v_post += w")
    inputs.connect()
    inputs.w = "0.15*rand()"
    return Network(collect())
