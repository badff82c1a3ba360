"""What the engine ``traces`` costs: time per synapse and step, beside the network without learning.

    python benchmarks/traces_engine.py                         # all sizes, compiled
    python benchmarks/traces_engine.py --sizes 100 --device cython --repeat 3

One trial of 1000 steps, 100 inputs, all-to-all, about 15 spikes/s, one thread. Medians of
repeated calls in one process; a call includes starting the compiled program, handing it
weights and inputs and reading the results. The last line is JSON.
"""

import argparse
import json
import os
import tempfile
import time

import numpy as np
from brian2 import ms, prefs, set_device
from machine import described

from brian_eprop import RecurrentNetwork

STEPS, N_IN = 1000, 100


def network_and_trial(model, n):
    """A network that fires at about 15 spikes/s, with an input and a target."""
    rng = np.random.default_rng(0)
    weights = {
        "w_in": 0.45 * rng.standard_normal((N_IN, n)) / np.sqrt(N_IN),
        "w_rec": 0.45 * rng.standard_normal((n, n)) / np.sqrt(n),
        "w_out": 0.03 * rng.standard_normal((n, 1)) / np.sqrt(n),
    }
    network = RecurrentNetwork(
        [(model, n, {"tau_m": 30 * ms})], N_IN, n, 1, tau_out=30 * ms, weights=weights
    )
    return network, rng.random((STEPS, N_IN)) < 0.05, rng.standard_normal((STEPS, 1))


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure(model, n, repeat):
    """Medians of one network, and its two starts."""
    network, inputs, targets = network_and_trial(model, n)
    cold, gradients = timed(lambda: network.gradients(inputs, targets))
    again, _, _ = network_and_trial(model, n)
    cached, _ = timed(lambda: again.gradients(inputs, targets))
    network.simulate(inputs)
    learning, without = [], []
    for _ in range(repeat):
        learning.append(timed(lambda: network.gradients(inputs, targets))[0])
        without.append(timed(lambda: network.simulate(inputs))[0])
    synapse_steps = (N_IN * n + n * (n - 1)) * STEPS
    with_learning, plain = np.median(learning), np.median(without)
    return {
        "model": model,
        "n_rec": n,
        "rate_hz": round(float(gradients.spikes.mean() * 1000), 1),
        "start_cold_s": round(cold, 2),
        "start_cached_s": round(cached, 3),
        "learning_ms": round(1e3 * with_learning, 2),
        "without_ms": round(1e3 * plain, 2),
        "ratio": round(with_learning / plain, 2),
        "ns_per_synapse_step": round(1e9 * with_learning / synapse_steps, 3),
        "of_which_learning": round(1e9 * (with_learning - plain) / synapse_steps, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 400, 1000])
    parser.add_argument("--models", nargs="+", default=["lif", "alif"])
    parser.add_argument(
        "--device", choices=["cpp_standalone", "cython", "numpy"], default="cpp_standalone"
    )
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.device == "cpp_standalone":
        # An empty cache, so that the first start is a cold one
        os.environ["BRIAN_EPROP_CACHE"] = tempfile.mkdtemp(prefix="brian_eprop_benchmark_")
        set_device("cpp_standalone", build_on_run=False)
    else:
        prefs.codegen.target = arguments.device
    rows = []
    for model in arguments.models:
        for n in arguments.sizes:
            rows.append(measure(model, n, arguments.repeat))
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    machine = described("brian_eprop", "brian2", "numpy")
    report = {"device": arguments.device, "machine": machine, "rows": rows}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
