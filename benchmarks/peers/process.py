"""One measurement in a process of its own, which prints its result as JSON.

    python -m peers.process '{"module": "jax_networks", "kind": "bptt", "problem": "x.npz", …}'
    python -m peers.process '{"module": "jax_networks", "kind": "bptt", "task": "…", …}'

The first imports nothing but the program that is measured.
"""

import json
import os
import resource
import sys
import time
from importlib import import_module
from types import SimpleNamespace

import numpy as np

#: No more repetitions after so many seconds.
ENOUGH = 20.0


def read(path):
    """The network of a file of :func:`peers.problem.write`, its inputs and targets."""
    with np.load(path) as file:
        arrays = dict(file)
    inputs, targets = arrays.pop("inputs"), arrays.pop("targets")
    arrays = {name: value if value.ndim else value.item() for name, value in arrays.items()}
    n_in, n_rec = arrays["w_in"].shape
    return SimpleNamespace(**arrays, n_in=n_in, n_rec=n_rec, feedback=None), inputs, targets


def peak_memory():
    """Largest resident memory of this process, or of one that it started, in MB."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    try:
        # ru_maxrss of the process itself begins with that of whoever started it
        with open("/proc/self/status") as file:
            own = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, children) / 1024


def clocks():
    """Seconds on the clock, and of the processor for this process and those that have ended."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in used)


def measured(calls, repeat):
    """Times of the first call, with all that it compiles, and of some more.

    Parameters
    ----------
    calls : generator of (loss, rate, simulation_seconds, program_seconds)
        As in `Found`. The next call is made when the next element is asked for.
    """
    start, _ = clocks()
    losses = [next(calls)[0]]
    first = clocks()[0] - start
    seconds, cpu, inside = [], [], []
    while len(seconds) < repeat and (not seconds or sum(seconds) < ENOUGH):
        before = clocks()
        loss, rate, simulation, program = next(calls)
        after = clocks()
        seconds.append(after[0] - before[0])
        cpu.append(after[1] - before[1] + program)
        inside.append(simulation)
        losses.append(loss)
    # A program that stays ends with its network: how much memory it took is known then.
    calls.close()
    return {
        "first_s": first,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "simulation_seconds": None if None in inside else inside,
        "rate_hz": 1000 * float(rate),
        "losses": None if None in losses else losses,
        "memory_mb": peak_memory(),
    }


def gradients(module, kind, problem, repeat):
    """Time the gradient of the network and the trials in a file."""

    def calls():
        network, inputs, targets = read(problem)
        call = module.gradient_of(network, inputs, targets, inputs.shape[1], kind)
        while True:
            found = call()
            loss = None if found.loss is None else float(found.loss)
            yield loss, float(found.rate), found.simulation_seconds, found.program_seconds

    return measured(calls(), repeat)


def training(module, kind, task, repeat):
    """Time iterations of training, with its recommended set-up, on a task."""
    from brian_eprop.runs.configuration import Configuration

    configuration = Configuration.of_task(task)
    network, batch = configuration.make_network(), configuration.setup.batch_size
    calls = module.train(network, configuration.make_task(), batch, repeat + 1, kind)
    return measured(calls, repeat)


def main():
    if hasattr(os, "sched_setaffinity"):
        # one thread, whatever a library thinks of
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    request = json.loads(sys.argv[1])
    measure = training if "task" in request else gradients
    request["module"] = import_module(f"peers.{request['module']}")
    print(json.dumps(measure(**request)))


if __name__ == "__main__":
    main()
