"""What training costs where every neuron is coupled to every other through NMDA: at most 3.

    python benchmarks/circuit_costs.py --neurons 1000 --trials 4

A trial of 200 steps of leaky integrate-and-fire neurons whose saturating NMDA gates, variables of
the sender, are summed up by all receivers with trained weights, w*s_pre. The same compiled network
once with plain synapses and no learner, and once with order 1 and Adam after every trial. The
numbers are the processor's time within ``run``, and their ratio. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    device,
    ms,
    mV,
    seed,
    set_device,
)
from machine import described

from brian_eprop import (
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
    fast_build,
)

STEPS = 200
EQUATIONS = """
dv/dt = (25*mV*drive - v + 10*mV*S)/(20*ms) : volt (unless refractory)
drive : 1 (constant)
S : 1
ds/dt = -s/(100*ms) + 0.5/ms*x*(1 - s) : 1
dx/dt = -x/(2*ms) : 1
"""


def seconds(neurons, trials, learns):
    """Time of the trials within a compiled program of its own, in s."""
    set_device("cpp_standalone", directory=None)
    fast_build()
    defaultclock.dt = 0.5 * ms
    seed(1)
    trial = STEPS * defaultclock.dt
    cells = NeuronGroup(
        neurons,
        EQUATIONS,
        threshold="v > 20*mV",
        reset="v = 0*mV; x += 1",
        refractory=2 * ms,
        method="euler",
    )
    cells.v, cells.drive = "20*mV*rand()", "0.6 + 0.4*rand()"
    options = {"model": "w : 1\nS_post = w*s_pre : 1 (summed)"}
    readout = LeakyReadout(1, 20 * ms, target=np.ones(STEPS), period=trial)
    objects = [cells]
    if learns:
        learner = Learner(
            readout,
            EProp(surrogate=PiecewiseLinear(0.3 / (20 * mV), 20 * mV)),
            optimizer=Adam(1e-6),
            update_every=trial,
            reset_every=trial,
        )
        nmda = TrainableSynapses(cells, cells, learner=learner, **options)
        outputs = TrainableSynapses(
            cells, readout, on_pre="y_post += w", learner=learner, fixed=True
        )
        outputs.connect()
        outputs.w = "randn()/N_pre"
        objects += [readout, outputs]
    else:
        nmda = Synapses(cells, cells, **options)
    nmda.connect("i != j")
    start = 0.5 / neurons
    nmda.w = start
    spikes = SpikeMonitor(cells, record=False)
    Network(*objects, nmda, spikes).run(trials * trial)
    # neither a silent network nor a learner that does nothing is worth a comparison
    assert spikes.num_spikes > neurons
    assert np.any(nmda.w[:] != start) == learns
    return device._last_run_time


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--only", choices=("forward", "training"))
    options = parser.parse_args()
    if options.only:
        print(seconds(options.neurons, options.trials, options.only == "training"))
        sys.exit()
    found = {}
    for name in ("forward", "training"):
        command = [sys.executable, __file__, f"--neurons={options.neurons}"]
        command += [f"--trials={options.trials}", f"--only={name}"]
        found[name] = float(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
        )
    ratio = found["training"] / found["forward"]
    print(json.dumps(found | {"ratio": round(ratio, 2), "neurons": options.neurons} | described()))
