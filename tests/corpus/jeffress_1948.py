"""Place theory of sound localization: delay lines and coincidence detectors.

Paper: Jeffress 1948, J. Comp. Physiol. Psychol. 41:35

Two ears hear the same noise with a difference in time; their fibers reach a row of neurons with
opposite gradients of delay. The weights of the fibers learn, the delays stay.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 100 * ms
SURROGATE = PiecewiseLinear(height=0.3, width=1)

n, itd, max_delay = 12, 0.3 * ms, 1.1 * ms
rng = np.random.default_rng(4)
sound = TimedArray(rng.random(2000) ** 2, dt=0.05 * ms)

ear = """
dx/dt = (2.5*sound(t - side*itd) - x)/(2*ms) + 0.1*sqrt(2/(2*ms))*xi : 1 (unless refractory)
side : 1 (constant)
"""


def network(Trained=Synapses):
    ears = NeuronGroup(
        2, ear, threshold="x > 0.6", reset="x = 0", refractory=2.5 * ms, method="euler"
    )
    ears.side = [0, 1]
    detectors = NeuronGroup(
        n, "dv/dt = -v/(1*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
    )
    fibers = Trained(ears, detectors, "w : 1", on_pre="v_post += w")
    fibers.connect()
    fibers.w = "0.6 + 0.1*rand()"
    fibers.delay["i == 0"] = "max_delay*j/(n - 1)"
    fibers.delay["i == 1"] = "max_delay*(n - 1 - j)/(n - 1)"
    return Network(collect())
