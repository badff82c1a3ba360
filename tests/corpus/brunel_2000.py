"""Sparsely connected excitatory and inhibitory neurons, asynchronous irregular.

Paper: Brunel 2000, J. Comput. Neurosci. 8:183

Leaky integrate-and-fire neurons with δ-synapses of 1.5 ms delay (Eqs 1–3, model A), driven by a
Poisson process per neuron. All recurrent synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.1 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (20 * mV), width=20 * mV)

n_e, n_i, p = 40, 10, 0.25
tau, theta, V_r, tau_rp, D = 20 * ms, 20 * mV, 10 * mV, 2 * ms, 1.5 * ms
J, g = 1 * mV, 5
c_e = int(p * n_e)
rate_threshold = theta / (J * c_e * tau)


def network(Trained=Synapses):
    neurons = NeuronGroup(
        n_e + n_i,
        "dv/dt = -v/tau : volt (unless refractory)",
        threshold="v > theta",
        reset="v = V_r",
        refractory=tau_rp,
        method="exact",
    )
    neurons.v = "rand()*theta"
    external = PoissonInput(neurons, "v", N=c_e, rate=2 * rate_threshold, weight=J)
    from_e = Trained(neurons[:n_e], neurons, "w : volt", on_pre="v_post += w", delay=D)
    from_e.connect(p=p)
    from_e.w = J
    from_i = Trained(neurons[n_e:], neurons, "w : volt", on_pre="v_post += w", delay=D)
    from_i.connect(p=p)
    from_i.w = -g * J
    return Network(collect())
