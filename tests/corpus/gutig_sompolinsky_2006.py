"""The tempotron: decisions by one spike on spatiotemporal patterns.

Paper: Gütig & Sompolinsky 2006, Nat. Neurosci. 9:420

A leaky integrate-and-fire neuron whose postsynaptic potentials are K(t) = V₀ (e^{−t/τ} −
e^{−t/τ_s}), each input firing once per pattern; after its spike all further inputs are shunted.
The synapses learn.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.5 * ms, 200 * ms
ENGINE = "traces"
SURROGATE = PiecewiseLinear(height=0.3, width=1)

n, tau, tau_s, V_0 = 40, 15 * ms, 3.75 * ms, 2.12

equations = """
V = V_0*(slow - fast) : 1
dslow/dt = -slow/tau : 1
dfast/dt = -fast/tau_s : 1
"""


def network(Trained=Synapses):
    tempotrons = NeuronGroup(
        6,
        equations,
        threshold="V > 1",
        reset="slow = 0; fast = 0",
        refractory=200 * ms,
        method="exact",
    )
    times = np.random.default_rng(5).integers(0, 400, n) * DT
    pattern = SpikeGeneratorGroup(n, arange(n), times)
    inputs = Trained(
        pattern,
        tempotrons,
        "w : 1",
        on_pre="slow_post += w*int(not_refractory_post); fast_post += w*int(not_refractory_post)",
    )
    inputs.connect()
    inputs.w = "0.1 + 0.3*randn()"
    return Network(collect())
