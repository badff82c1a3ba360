"""Tables of the speed benchmark."""

from itertools import groupby
from operator import itemgetter

import numpy as np

from peers import PEERS
from peers.problem import STEPS, synapses

__all__ = ["powers", "print_gradients", "print_training", "seconds_of"]

COLUMNS = f"{'':30} {'ms':>10} {'cpu ms':>10} {'inside ms':>10}"


def seconds_of(row):
    """Median processor time of one call.

    On one core it is the time on the clock without what other processes of the machine took.
    """
    return float(np.median(row["cpu_seconds"]))


def powers(rows):
    """Slopes of log time over log n, of the three largest networks where there are as many."""
    series, found = {}, []
    for row in rows:
        if "seconds" in row:
            key = row["peer"], row["precision"], row["batch"]
            series.setdefault(key, []).append((row["n"], seconds_of(row)))
    for (peer, precision, batch), own in series.items():
        if len(own) >= 3:
            n, seconds = np.log(sorted(own)[-3:]).T
            slope = float(np.polyfit(n, seconds, 1)[0])
            found.append({"peer": peer, "precision": precision, "batch": batch, "power": slope})
    return found


def times(row):
    """Three columns: on the clock, of the processor, inside a simulation of its own."""
    cells = [float(np.median(row["seconds"])), seconds_of(row)]
    text = " ".join(f"{1e3 * seconds:10.2f}" for seconds in cells)
    inside = row["simulation_seconds"]
    return f"{text} {'–' if inside is None else format(1e3 * np.median(inside), '.2f'):>10}"


def ratio(row, others):
    """Time relative to the fastest of others, as text."""
    fastest = min(map(seconds_of, others), default=None)
    return f"{'–' if fastest is None else format(seconds_of(row) / fastest, '.2f'):>10}"


def print_gradients(rows):
    """Print a table for each batch, size and precision, and how time grows."""
    shared = itemgetter("batch", "n", "precision")
    for (batch, n, precision), block in groupby(rows, shared):
        block = list(block)
        done = [row for row in block if "seconds" in row]
        learning = [row for row in done if row["peer"] != "simulate"]
        rivals = [row for row in learning if not PEERS[row["peer"]].ours]
        credit = [row for row in learning if row["peer"] == "credit"]
        rate = np.mean([row["rate_hz"] for row in done]) if done else np.nan
        print(
            f"\nbatch {batch}, {n} neurons, {synapses(n)} weights, {STEPS} steps, {precision}, "
            f"{rate:.1f} spikes/s"
        )
        print(f"{COLUMNS} {'ns/weight/step':>14} {'/ fastest peer':>14} {'/ credit':>10} {'MB':>6}")
        for row in block:
            label = PEERS[row["peer"]].label
            if "seconds" not in row:
                print(f"{label:30} {row['reason']}")
                continue
            each = 1e9 * seconds_of(row) / (batch * STEPS * synapses(n))
            relative = f"{ratio(row, rivals):>14} {ratio(row, credit)}"
            print(f"{label:30} {times(row)} {each:14.4f} {relative} {row['memory_mb']:6.0f}")
    print("\ntime grows as n to the power of … (the three largest networks)")
    for slope in powers(rows):
        which = f"{slope['precision']}, batch {slope['batch']}"
        print(f"{PEERS[slope['peer']].label:30} {which:20} {slope['power']:.2f}")


def print_training(rows, task):
    """Print time of an iteration, and that the loss moves."""
    print(f"\n{task}: one iteration of training")
    print(f"{COLUMNS} {'first s':>8} {'MB':>6} {'spikes/s':>9}   loss")
    for row in rows:
        label = f"{PEERS[row['peer']].label}, {row['precision']}"
        if "seconds" not in row:
            print(f"{label:30} {row['reason']}")
            continue
        losses = row["losses"]
        losses = "–" if losses is None else f"{losses[0]:.4g} → {losses[-1]:.4g}"
        rest = f"{row['first_s']:8.1f} {row['memory_mb']:6.0f} {row['rate_hz']:9.1f}   {losses}"
        print(f"{label:30} {times(row)} {rest}")
