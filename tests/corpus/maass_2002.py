"""A liquid state machine: a random recurrent circuit whose state is read out.

Paper: Maass, Natschläger & Markram 2002, Neural Comput. 14:2531

A column of leaky integrate-and-fire neurons, connected with a probability that falls off with
distance (C exp(−(D/λ)²)), different delays and background current for each. A synapse of the
input injects a decaying current; inputs and the circuit's synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.2 * ms, 200 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (15 * mV), width=15 * mV)

tau_m, tau_s, V_th, V_r, R, lam = 30 * ms, 3 * ms, 15 * mV, 13.5 * mV, 1 * Mohm, 2.0

equations = """
dv/dt = (-v + R*(I + I_background))/tau_m : volt (unless refractory)
dI/dt = -I/tau_s : amp
I_background : amp (constant)
x : 1 (constant)
y : 1 (constant)
z : 1 (constant)
polarity : 1 (constant)
"""


def network(Trained=Synapses):
    liquid = NeuronGroup(
        45, equations, threshold="v > V_th", reset="v = V_r", refractory=3 * ms, method="exact"
    )
    liquid.x, liquid.y, liquid.z = "i % 3", "(i // 3) % 3", "i // 9"
    liquid.polarity = "1 - 2*int(rand() < 0.2)"
    liquid.v = "13.5*mV + 1.5*mV*rand()"
    liquid.I_background = "13.5*nA + 1*nA*rand()"
    source = PoissonGroup(4, 60 * Hz)
    inputs = Trained(source, liquid, "w : amp", on_pre="I_post += w")
    inputs.connect(p=0.3)
    inputs.w = "18*nA*rand()"
    circuit = Trained(liquid, liquid, "w : amp", on_pre="I_post += w", delay=1 * ms)
    distance = "((x_pre - x_post)**2 + (y_pre - y_post)**2 + (z_pre - z_post)**2)"
    circuit.connect("i != j", p=f"0.3*exp(-{distance}/lam**2)")
    circuit.w = "polarity_pre*30*nA*rand()"
    return Network(collect())
