"""How long a gradient takes, and an iteration of training: brian_eprop beside other programs.

    python benchmarks/training_speed.py                        # everything; some hours
    python benchmarks/training_speed.py --sizes 100 500 --batches 1 --peers credit jax-eprop
    python benchmarks/training_speed.py --task pattern-generation

One gradient of all weights over trials of 1000 steps of 1 ms: 100 inputs, ALIF neurons,
all-to-all, a leaky readout with squared error, about 15 spikes/s. Every combination runs in a
process of its own on one core with one thread. Given are medians of repeated calls after a first
one, on the clock and of the processor: the same on an idle machine. Everything that is computed
from times is computed from the latter, which other processes disturb less.

A call of brian_eprop includes handing the compiled program weights and trials and reading the
results; the first one, which is not counted, starts it. "Inside" is the simulation alone. Peers
are written in benchmarks/peers; before anything is timed, each must give the gradient of
brian_eprop.reference. "One product" is differentiation with respect to the neurons' drive, followed
by one matrix product. All compute with the same precision; NEST has float64 only.

    pip install -e ".[bench]"          # JAX and PyTorch
    pip install -e ".[nest]"           # NEST 3.10: nest-simulator of PyPI or conda-forge

What is not installed is said to be so. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from machine import described
from peers import PEERS
from peers.figure import draw
from peers.problem import synapses, write
from peers.report import powers, print_gradients, print_training, seconds_of

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
HERE = Path(__file__).parent
PACKAGES = ("brian_eprop", "brian2", "numpy", "jax", "jaxlib", "torch", "nest-simulator")
PRECISIONS = ["float64", "float32"]
#: What can train on a task.
TRAINED = ("credit", "traces", "jax-eprop", "jax-eprop-drive", "jax-bptt", "nest")


def launched(module, *arguments, precision, timeout=None):
    """A finished process of Python, with one thread and numbers of one precision."""
    path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path)}
    environment["JAX_ENABLE_X64"] = str(int(precision == "float64"))
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)


def installed(key):
    return find_spec(PEERS[key].package) is not None


def check_agreement(keys):
    """End the benchmark unless every peer has the gradient of the reference."""
    keys = [key for key in keys if not PEERS[key].ours and installed(key)]
    done = launched("peers.agreement", *keys, precision="float64")
    print("".join(line for line in done.stdout.splitlines(True) if "reference" in line), end="")
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nnothing is timed: a peer computes something else")


def measure(key, request, precision, arguments):
    """What a process of its own found, or the reason why there is nothing."""
    peer = PEERS[key]
    if not installed(key):
        return {"reason": "not installed"}
    if peer.package == "nest" and precision != "float64":
        return {"reason": f"has no {precision}"}
    request |= {"module": peer.module, "kind": peer.kind}
    # what is compiled by a first process is not in the memory of the second
    for repeat in (1, arguments.repeat) if peer.ours else (arguments.repeat,):
        text = json.dumps(request | {"repeat": repeat})
        try:
            done = launched(
                "peers.process", text, precision=precision, timeout=600 + 5 * arguments.limit
            )
        except subprocess.TimeoutExpired as late:
            return {"reason": f"stopped after {late.timeout:.0f} s"}
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"reason": f"failed: {said[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def expected_seconds(rows, key, n, batch):
    """Time that a call should take, by the largest problem so far; None before the first."""
    own = [row for row in rows if row["peer"] == key and "seconds" in row]
    if not own:
        return None
    largest = max(own, key=lambda row: row["batch"] * synapses(row["n"]))
    work = batch * synapses(n) / (largest["batch"] * synapses(largest["n"]))
    return work * seconds_of(largest)


def time_gradients(arguments):
    """Rows of all peers, precisions, batches and sizes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for batch, n in product(sorted(arguments.batches), sorted(arguments.sizes)):
            problem = str(Path(folder) / f"{n}_{batch}.npz")
            write(problem, n, batch)
            for precision, key in product(arguments.precisions, arguments.peers):
                row = {"peer": key, "precision": precision, "n": n, "batch": batch}
                seconds = expected_seconds(rows, key, n, batch)
                if seconds is not None and seconds > arguments.limit:
                    row["reason"] = f"not run: would take about {seconds:.0f} s"
                else:
                    row |= measure(key, {"problem": problem}, precision, arguments)
                rows.append(row)
                report_progress(row, f"{precision}, batch {batch}, {n} neurons")
    return rows


def time_training(arguments):
    """Rows of all peers that can train on the task, and precisions."""
    rows = []
    for precision, key in product(arguments.precisions, arguments.peers):
        if key in TRAINED:
            found = measure(key, {"task": arguments.task}, precision, arguments)
            rows.append({"peer": key, "precision": precision} | found)
            report_progress(rows[-1], f"{precision}, {arguments.task}")
    return rows


def report_progress(row, problem):
    found = (
        f"{1e3 * seconds_of(row):.2f} ms of the processor" if "seconds" in row else row["reason"]
    )
    print(f"{problem}: {PEERS[row['peer']].label}: {found}", file=sys.stderr, flush=True)


def machine():
    """Where it ran, with the versions of what is installed."""
    names = {distribution.name.replace("_", "-").lower() for distribution in distributions()}
    return described(*(p for p in PACKAGES if p.replace("_", "-") in names))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--repeat", type=int, default=5, help="calls after the first one")
    parser.add_argument("--limit", type=float, default=60.0, help="s that a call may take")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--figure", type=Path, default=HERE.parent / "docs" / "training_speed.png")
    parser.add_argument("--task", help="time training on this task instead of gradients")
    arguments = parser.parse_args()
    check_agreement(arguments.peers)
    before = machine()
    if arguments.task:
        rows = time_training(arguments)
        print_training(rows, arguments.task)
        report = {"task": arguments.task, "rows": rows}
    else:
        rows = time_gradients(arguments)
        print_gradients(rows)
        first = arguments.precisions[0]
        draw([row for row in rows if row["precision"] == first], arguments.figure)
        report = {"rows": rows, "growth": powers(rows)}
    after = machine()
    print(
        f"\n{after['processor']}, load {before['load'][0]:.1f} before, {after['load'][0]:.1f} after"
    )
    print(json.dumps({"machine": before, "load_after": after["load"]} | report))
    failed = [row for row in rows if row.get("reason", "").startswith(("failed", "stopped"))]
    if failed:
        raise SystemExit(f"{len(failed)} measurements failed; the tables say why")


if __name__ == "__main__":
    main()
