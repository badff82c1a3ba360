"""A hundred thousand neurons with ten million synapses learn a sine: the curve of docs/engines.md.

    python benchmarks/large_network.py                      # about ten minutes
    python benchmarks/large_network.py --neurons 10000      # one

The sparse ALIF network of the benchmark of scale, from arrays: 90 synapses of each neuron onto
others, 9 from 100 inputs, one onto a readout. One trial of 500 steps of 1 ms, the same in every
iteration; e-prop of order 1 trains all weights with Adam. Written are the losses, as JSON in the
last line, and a figure.
"""

import argparse
import json
from statistics import median
from time import perf_counter

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from brian2 import set_device
from machine import described
from peers.sparse_networks import N_IN, STEPS, TAU, Problem, memory

from brian_eprop import Adam, RecurrentNetwork
from brian_eprop.plotting.style import BLACK, BLUE, STYLE, prepare


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", type=int, default=100_000)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--rate", type=float, default=1e-5, help="of Adam")
    parser.add_argument("--figure", default="large_network.png")
    arguments = parser.parse_args()
    print(described())
    set_device("cpp_standalone", build_on_run=False)
    imports = memory()[1]
    problem = Problem("alif", arguments.neurons)
    network = RecurrentNetwork(
        [("alif", problem.n, {"tau_m": TAU})],
        *(N_IN, problem.n, 1),
        tau_out=TAU,
        weights=problem.weights,
        optimizer=Adam(arguments.rate),
    )
    target = np.sin(2 * np.pi * np.arange(STEPS) / 250)[:, np.newaxis]
    losses, seconds = [], []
    for _ in range(arguments.iterations):
        before = perf_counter()
        computed = network.gradients(problem.inputs, target)
        network.apply(computed)
        seconds.append(perf_counter() - before)
        losses.append(computed.loss)
        (compiled,) = network._networks.values()
        program, _, shared = memory(compiled.programs[0].process.pid)
        print(f"{len(losses):4}  loss {losses[-1]:.3f}  {seconds[-1]:.2f} s", flush=True)
    python = memory()[0] - imports
    trial = network.simulate(problem.inputs)

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(7, 2.2), layout="constrained")
        left, right = map(prepare, axes)
        left.semilogy(losses, color=BLUE)
        left.set(xlabel="iteration", ylabel="loss ½ Σ (y − y*)²")
        right.plot(trial.readout, color=BLUE, label="output")
        right.plot(target, color=BLACK, linewidth=0.8, label="target")
        right.set(xlabel="time (ms)")
        right.legend(frameon=False, loc="upper right")
        figure.savefig(arguments.figure, dpi=150)
    print(
        json.dumps(
            {
                "neurons": problem.n,
                "synapses": problem.synapses,
                "seconds_per_iteration": round(median(seconds), 3),
                "python_megabytes": round(python / 1e6),
                "program_megabytes_besides": round((program - shared) / 1e6),
                "spikes_per_second": round(1e3 * float(trial.spikes.mean()), 1),
                "loss": [round(float(loss), 3) for loss in losses],
            }
        )
    )


if __name__ == "__main__":
    main()
