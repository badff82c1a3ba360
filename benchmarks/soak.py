"""Does memory stay flat? A million steps of online learning, and many calls of one network.

    python benchmarks/soak.py [--steps 1000000] [--calls 1000]

Each part runs in a process of its own, prints its resident memory ten times, and fails if the last
three quarters have grown by more than 2 %: what Brian2 and NumPy allocate once is there by then.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from brian2 import (
    BrianLogger,
    Network,
    PoissonGroup,
    defaultclock,
    device,
    kHz,
    ms,
    prefs,
    second,
    seed,
    set_device,
)

from brian_eprop import (
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    RecurrentNetwork,
    TrainableSynapses,
    load_model,
)

PARTS = ("credit", "traces", "runtime", "cpp_standalone")
READINGS = 10
#: Of the memory after a quarter of the time.
GROWTH = 0.02


def resident():
    """Megabytes of memory that this process and the programs that it keeps hold."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in ("self", *children)]
    lines = [line for status in statuses for line in status.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def online(engine, steps):
    """A Learner that changes its weights every 100 steps of one simulation without trials."""
    defaultclock.dt = 1 * ms
    seed(1)
    source = PoissonGroup(20, 0.05 * kHz)
    neurons = load_model("lif").group(20)
    target = np.sin(2 * np.pi * np.arange(1000) / 500)
    readout = LeakyReadout(1, 20 * ms, target=target, period=1 * second)
    learner = Learner(
        readout,
        rule=EProp(engine=engine),
        feedback="random",
        optimizer=Adam(1e-4),
        update_every=100 * ms,
        seed=1,
    )
    about = {"learner": learner, "delay": 0 * ms}
    inputs = TrainableSynapses(source, neurons, on_pre="v_post += w", **about)
    recurrent = TrainableSynapses(neurons, neurons, on_pre="v_post += w", **about)
    outputs = TrainableSynapses(neurons, readout, on_pre="y_post += 0.1*w", **about)
    for synapses in (inputs, recurrent, outputs):
        synapses.connect()
    inputs.w, recurrent.w, outputs.w = "0.3*randn()", "0.1*randn()", "0.1*randn()"
    before = np.array(inputs.w)
    network = Network(source, neurons, readout, inputs, recurrent, outputs)
    for _ in range(READINGS):
        network.run(steps // READINGS * ms)
        yield
    assert np.isfinite(inputs.w).all() and np.abs(inputs.w - before).max() > 0


def many_calls(kind, calls):
    """One network, whose gradients are asked for and applied again and again."""
    if kind == "cpp_standalone":
        set_device("cpp_standalone", build_on_run=False)
    rng = np.random.default_rng(1)
    network = RecurrentNetwork("alif", 20, 20, 1, optimizer=Adam(1e-4), seed=1)
    for _ in range(READINGS):
        for _ in range(calls // READINGS):
            inputs = rng.random((2, 100, 20)) < 0.05
            gradients = network.gradients(inputs, np.zeros((2, 100, 1)))
            network.apply(gradients)
        yield
    assert network.updates == calls // READINGS * READINGS
    if kind == "cpp_standalone":
        device.reinit()


def soak(part, steps, calls):
    """Run one part; whether its memory is flat."""
    prefs.codegen.target = "cython" if part in ("credit", "traces") else "numpy"
    BrianLogger.suppress_hierarchy("brian2")
    running = online(part, steps) if part in ("credit", "traces") else many_calls(part, calls)
    start, readings = time.perf_counter(), []
    for _ in running:
        readings.append(resident())
        print(f"{part:15}{time.perf_counter() - start:8.0f} s {readings[-1]:8.1f} MB", flush=True)
    quarter = readings[READINGS // 4]
    grown = (max(readings[READINGS // 4 :]) - quarter) / quarter
    flat = grown <= GROWTH
    print(f"{part:15} {'flat' if flat else 'GROWS'}: {100 * grown:+.2f} %", flush=True)
    return flat


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", choices=PARTS, help="only this one, in this process")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    if given.part:
        sys.exit(not soak(given.part, given.steps, given.calls))
    sizes = ["--steps", str(given.steps), "--calls", str(given.calls)]
    codes = [
        subprocess.run([sys.executable, __file__, "--part", part, *sizes]).returncode
        for part in PARTS
    ]
    sys.exit(any(codes))
