"""Tables of the speed benchmark."""

from itertools import groupby

import numpy as np

from peers import PEERS
from peers.problem import STEPS, synapses

__all__ = ["growth", "print_gradients", "print_training", "seconds_of"]

COLUMNS = f"{'':30} {'ms':>10} {'cpu ms':>10} {'inside ms':>10}"


def seconds_of(row):
    """Median processor time of one call.

    On one core it is the time on the clock without what other processes of the machine took.
    """
    return float(np.median(row["cpu_seconds"]))


def growth(rows, key, batch):
    """Slope of log time over log n, for the three largest networks; None if there are fewer."""
    own = [row for row in rows if (row["peer"], row["batch"]) == (key, batch) and "seconds" in row]
    own = sorted(own, key=lambda row: row["n"])[-3:]
    if len(own) < 3:
        return None
    n, seconds = np.array([(row["n"], seconds_of(row)) for row in own]).T
    return float(np.polyfit(np.log(n), np.log(seconds), 1)[0])


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
    """Print a table for each batch and size, and how time grows."""
    for (batch, n), block in groupby(rows, lambda row: (row["batch"], row["n"])):
        block = list(block)
        done = [row for row in block if "seconds" in row]
        learning = [row for row in done if row["peer"] != "simulate"]
        rivals = [row for row in learning if not PEERS[row["peer"]].ours]
        credit = [row for row in learning if row["peer"] == "credit"]
        rate = np.mean([row["rate_hz"] for row in done]) if done else np.nan
        print(
            f"\nbatch {batch}, {n} neurons, {synapses(n)} weights, {STEPS} steps, "
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
    batches = sorted({row["batch"] for row in rows})
    print(f"{'':30} " + " ".join(f"{f'batch {batch}':>10}" for batch in batches))
    for key in dict.fromkeys(row["peer"] for row in rows):
        powers = [growth(rows, key, batch) for batch in batches]
        cells = ("–" if power is None else f"{power:.2f}" for power in powers)
        print(f"{PEERS[key].label:30} " + " ".join(f"{cell:>10}" for cell in cells))


def print_training(rows, task):
    """Print time of an iteration, and that the loss moves."""
    print(f"\n{task}: one iteration of training")
    print(f"{COLUMNS} {'first s':>8} {'MB':>6} {'spikes/s':>9}   loss")
    for row in rows:
        label = PEERS[row["peer"]].label
        if "seconds" not in row:
            print(f"{label:30} {row['reason']}")
            continue
        losses = row["losses"]
        losses = "–" if losses is None else f"{losses[0]:.4g} → {losses[-1]:.4g}"
        rest = f"{row['first_s']:8.1f} {row['memory_mb']:6.0f} {row['rate_hz']:9.1f}   {losses}"
        print(f"{label:30} {times(row)} {rest}")
