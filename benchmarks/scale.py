"""How time and memory grow with sparse networks: 10³ to 10⁵ neurons with 100 synapses each.

    python benchmarks/scale.py                                  # everything; some hours
    python benchmarks/scale.py --sizes 1000 10000 --models alif --orders 1 --ways arrays brian2

One gradient over a trial of 500 steps of 1 ms with about 15 spikes/s: 90 synapses of each neuron
onto others, 9 from 100 inputs, one onto a readout. ``arrays`` is a RecurrentNetwork of sparse
arrays, ``script`` the same network as TrainableSynapses in a script of Brian2, both compiled;
``brian2`` is the script with Synapses that do not learn, and NEST has its own e-prop. These two
have no order. For `arrays` all calls after the first are counted, by one program that stays; a
program of a script makes its synapses anew, which "inside" leaves out.

Every combination runs in a process of its own. Times are medians by the clock of the processor,
which other processes disturb less. An event is a spike that arrives at a synapse. Memory is the
most that there was at once, of Python beyond its imports, which in Python includes the weights that
are given, and of the program; what both see counts once. The last line is JSON.

For Linux. NEST 3.10: ``pip install -e ".[nest]"``; what is not installed is said to be so.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from machine import described
from peers.sparse_networks import WAYS, Problem, memory

HERE = Path(__file__).parent
#: Ways that have no order.
WITHOUT_ORDER = ("brian2", "nest")


def order_of(text):
    return math.inf if text == "inf" else int(text)


def measured(request):
    """One combination, in this process."""
    before = memory()[1]
    problem = Problem(request["model"], request["n"])
    # from here on, the most that there is
    Path("/proc/self/clear_refs").write_text("5")
    way = WAYS[request["way"]][-1]
    found = way(problem, order_of(request["order"]), request["repeat"] + 1)
    python = memory()[0] - before
    events = problem.events(found.spikes)
    row = {
        "seconds": median(found.seconds[1:]),
        "inside": median(found.inside[1:]) if found.inside else None,
        "spikes_per_second": 1e3 * found.spikes / (problem.n * len(problem.inputs)),
        "events": events,
        "synapses": problem.synapses,
        "python_bytes": python,
        "program_bytes": found.program_bytes,
    }
    row["ns_per_event"] = 1e9 * row["seconds"] / events
    row["bytes_per_synapse"] = (python + found.program_bytes) / problem.synapses
    return row


def launched(request):
    """What a process of its own found, or the reason why there is nothing."""
    path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--one", json.dumps(request)]
    # What a first process compiles is not in the memory of the second.
    for _ in range(2 if request["way"] == "arrays" else 1):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"reason": f"failed: {said[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def table(rows):
    """Print a line for each combination, and how time and memory grow."""
    print(
        f"{'':34} {'neurons':>8} {'s':>9} {'inside s':>9} {'ns/event':>9} {'B/synapse':>10} "
        f"{'Python MB':>10} {'program MB':>11} {'spikes/s':>9}"
    )
    for row in rows:
        if "seconds" not in row:
            print(f"{named(row):34} {row['n']:8} {row['reason']}")
            continue
        inside = "–" if row["inside"] is None else f"{row['inside']:.4f}"
        print(
            f"{named(row):34} {row['n']:8} {row['seconds']:9.4f} {inside:>9} "
            f"{row['ns_per_event']:9.2f} {row['bytes_per_synapse']:10.1f} "
            f"{row['python_bytes'] / 1e6:10.0f} {row['program_bytes'] / 1e6:11.0f} "
            f"{row['spikes_per_second']:9.1f}"
        )
    print("\ngrows as the number of neurons to the power of …   (time, memory)")
    for name in dict.fromkeys(map(named, rows)):
        own = [row for row in rows if named(row) == name and "seconds" in row]
        if len(own) > 1:
            print(f"{name:34} " + "  ".join(f"{power:.2f}" for power in growth(own).values()))


def growth(rows):
    """Slopes of log time and log memory over log n."""
    n = np.log([row["n"] for row in rows])
    quantities = {
        "time": [row["seconds"] for row in rows],
        "memory": [row["python_bytes"] + row["program_bytes"] for row in rows],
    }
    return {name: float(np.polyfit(n, np.log(q), 1)[0]) for name, q in quantities.items()}


def named(row):
    """How a row is called, but for its size."""
    label = WAYS[row["way"]][0]
    order = "" if row["order"] is None else f", order {row['order'].replace('inf', '∞')}"
    return f"{row['model'].upper()}, {label}{order}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sizes = [1000, 3000, 10000, 30000, 100000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    parser.add_argument("--models", nargs="+", choices=["lif", "alif"], default=["lif", "alif"])
    parser.add_argument("--orders", nargs="+", default=["1", "2", "inf"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--repeat", type=int, default=3, help="calls after the first one")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(json.loads(arguments.one))))
        return
    before, rows = described("brian_eprop", "brian2", "numpy", "scipy"), []
    for model in arguments.models:
        for way in arguments.ways:
            for order in [None] if way in WITHOUT_ORDER else arguments.orders:
                for n in sorted(arguments.sizes):
                    row = {"model": model, "way": way, "order": order, "n": n}
                    if find_spec(WAYS[way][1]) is None:
                        rows.append(row | {"reason": "not installed"})
                        continue
                    request = row | {"order": order or "1", "repeat": arguments.repeat}
                    rows.append(row | launched(request))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    table(rows)
    print(json.dumps({"machine": before, "load_after": os.getloadavg(), "rows": rows}))
    failed = [row for row in rows if row.get("reason", "").startswith("failed")]
    if failed:
        raise SystemExit(f"{len(failed)} measurements failed; the table says why")


if __name__ == "__main__":
    main()
