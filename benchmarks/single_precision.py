"""What Brian2's preference for float32 does to a gradient, and to the time that it takes.

    python benchmarks/single_precision.py
    python benchmarks/single_precision.py --sizes 500 --orders inf --steps 1000 --calls 20

The network of training_speed.py, as one compiled program for each precision, called in turn.
Times are medians, by the clock of the processor: of the simulation with the way back, and of all
that the program does. Errors are largest deviations in units of the largest entry; they say
something of the arithmetic only while both precisions have the same spikes. The last line is JSON.
"""

import argparse
import json
import math
from statistics import median

import numpy as np
from brian2 import prefs, set_device
from machine import described
from peers.problem import N_IN, recurrent_network

from brian_eprop import EProp

PRECISIONS = (np.float64, np.float32)
WEIGHTS = ("w_in", "w_rec", "w_out")


def trial(steps):
    rng = np.random.default_rng(1)
    return rng.random((steps, N_IN)) < 0.05, rng.standard_normal((steps, 1))


def measured(n, order, steps, calls):
    """Errors and medians for one size and order."""
    inputs, targets = trial(steps)
    network = recurrent_network(n, EProp(order=order))
    found, clocks = {}, {precision: [] for precision in PRECISIONS}
    # the first call compiles and starts a program
    for _ in range(calls + 1):
        for precision in PRECISIONS:
            prefs.core.default_float_dtype = precision
            found[precision] = network.gradients(inputs, targets)
            # the programs in the order in which they were first called
            program = list(network._networks.values())[PRECISIONS.index(precision)]
            clocks[precision].append((program.simulation_seconds, program.program_seconds))
    double, single = (found[precision] for precision in PRECISIONS)
    row = {"n": n, "order": str(order), "steps": steps, "rate": float(double.spikes.mean())}
    row["different_spikes"] = int((single.spikes != double.spikes).sum())
    row["errors"] = {
        name: float(np.abs(a - b).max() / np.abs(b).max())
        for name, a, b in ((name, getattr(single, name), getattr(double, name)) for name in WEIGHTS)
    }
    for precision in PRECISIONS:
        columns = zip(*clocks[precision][1:], strict=True)
        row[precision.__name__] = [median(column) for column in columns]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--orders", type=float, nargs="+", default=[1, math.inf])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=10, help="after the first one")
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    rows = []
    for n in arguments.sizes:
        for order in arguments.orders:
            order = order if math.isinf(order) else int(order)
            rows.append(measured(n, order, arguments.steps, arguments.calls))
            print(json.dumps(rows[-1]), flush=True)
    print(json.dumps({"machine": described("brian2", "numpy"), "rows": rows}))


if __name__ == "__main__":
    main()
