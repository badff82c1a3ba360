"""How much faster a batch is with several processes, or several threads.

    python benchmarks/workers.py --workers 1 2 --threads 1 2

Evidence accumulation, 100 neurons, batches of 64 trials of 2250 steps. Gradients with each number
of workers, and of threads, are timed in turn; the last line is JSON with medians of seconds per
batch.
"""

import argparse
import json
import statistics
import time

import numpy as np
from brian2 import set_device
from machine import described

from brian_eprop.network.workers import Workers
from brian_eprop.runs.configuration import Configuration


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    set_device("cpp_standalone", build_on_run=False)
    configuration = Configuration.of_task("evidence_accumulation")
    task, network = configuration.make_task(), configuration.make_network()
    inputs, targets = task.sample(np.random.default_rng(0), arguments.batch)
    ways = {f"{count} workers": (count, 1) for count in arguments.workers}
    ways |= {f"{count} threads": (1, count) for count in arguments.threads}
    times = {way: [] for way in ways}
    for _ in range(arguments.repeat + 1):
        for way, counts in ways.items():
            with Workers(network, *counts) as pool:
                # processes that are there already, with their programs
                pool.gradients(inputs, targets, task.learning_window)
                start = time.perf_counter()
                pool.gradients(inputs, targets, task.learning_window)
                times[way].append(time.perf_counter() - start)
    medians = {way: statistics.median(found[1:]) for way, found in times.items()}
    for way, seconds in medians.items():
        print(f"{way}: {seconds:.3f} s, {max(medians.values()) / seconds:.2f} ×")
    print(
        json.dumps({"seconds": medians, "batch": arguments.batch} | described("brian2", "joblib"))
    )


if __name__ == "__main__":
    main()
