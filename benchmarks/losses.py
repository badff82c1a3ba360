"""What a loss on the membranes of all neurons costs, beside the same training with a readout.

    python benchmarks/losses.py
    python benchmarks/losses.py --sizes 100 1000 --engine traces --target cython

Two recurrent networks of LIF neurons with the same inputs: one learns from a readout, the other
from the membranes of all neurons. Weights and spikes of both are the same, and hardly change:
updates are made, with a learning rate that is next to nothing. They run in turn, and times are
medians, by the clock of the processor, of trials with an update at their end. The last line is
JSON.
"""

import argparse
import json
import time
from statistics import median

import numpy as np
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    TimedArray,
    defaultclock,
    ms,
    prefs,
)
from machine import described

from brian_eprop import Adam, EProp, LeakyReadout, Learner, Loss, TrainableSynapses, load_model

INPUTS, STEPS = 40, 200


def training(n, engine, on_membranes):
    """A network that learns."""
    rng, of_data = np.random.default_rng(1), np.random.default_rng(2)
    trial = STEPS * ms
    steps, channels = np.nonzero(rng.random((STEPS, INPUTS)) < 0.05)
    source = SpikeGeneratorGroup(INPUTS, channels, steps * ms, period=trial)
    neurons = load_model("lif").group(n)
    readout, losses = None, []
    if on_membranes:
        data = TimedArray(of_data.standard_normal((STEPS, n)), dt=1 * ms)
        names = {"v_data": data}
        losses = [Loss(neurons, "(v - v_data(t, i))**2", period=trial, namespace=names)]
    else:
        target = of_data.standard_normal((STEPS, 1))
        readout = LeakyReadout(1, tau=20 * ms, target=target, period=trial)
    options = {"optimizer": Adam(1e-12), "update_every": trial, "reset_every": trial}
    learner = Learner(readout, EProp(engine=engine), losses=losses, **options)
    on_pre = "v_post += w"
    made = [
        TrainableSynapses(source, neurons, on_pre=on_pre, learner=learner, delay=0 * ms),
        TrainableSynapses(neurons, neurons, on_pre=on_pre, learner=learner, delay=0 * ms),
    ]
    if readout is not None:
        onto = TrainableSynapses(neurons, readout, on_pre="y_post += w", learner=learner)
        made.append(onto)
    for synapses, size in zip(made, (0.3, 1 / n**0.5, 1 / n**0.5), strict=False):
        synapses.connect()
        synapses.w = size * rng.standard_normal(len(synapses))
    return Network(source, neurons, *made, *([readout] if readout else []))


def measured(n, engine, trials, repeats):
    """Medians of the seconds of a trial, and their ratio."""
    networks = {name: training(n, engine, name == "membranes") for name in ("readout", "membranes")}
    seconds = {name: [] for name in networks}
    # the first run generates and compiles all code
    for _ in range(repeats + 1):
        for name, network in networks.items():
            start = time.process_time()
            network.run(trials * STEPS * ms)
            seconds[name].append((time.process_time() - start) / trials)
    medians = {name: median(values[1:]) for name, values in seconds.items()}
    ratio = medians["membranes"] / medians["readout"]
    return {"n": n, "engine": engine, **medians, "ratio": ratio}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--engine", default="credit")
    parser.add_argument("--target", default="numpy")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    defaultclock.dt, prefs.codegen.target = 1 * ms, arguments.target
    rows = [
        measured(n, arguments.engine, arguments.trials, arguments.repeats) for n in arguments.sizes
    ]
    print(json.dumps({"machine": described("brian2", "numpy"), "rows": rows}))


if __name__ == "__main__":
    main()
