"""Do memory, operations and time of the rules grow with n as their papers say?

    python benchmarks/reference_rules.py                     # every rule
    python benchmarks/reference_rules.py rtrl 'ok(rank=4)'   # some

A tanh network (LIF for rules that need spikes), dense, with as many inputs as units. Memory:
numbers that the rule stores. Operations: counted while the rule runs. Time: median of repeats, per
step. The exponents are least-squares slopes in the logarithms over the sizes; those of memory and
operations are free of noise, that of time holds where the arithmetic outweighs the calls and the
caches. Larger sizes are used for cheaper rules. One thread: OPENBLAS_NUM_THREADS=1. The last line
is JSON.
"""

import argparse
import json

import numpy as np
from machine import described

from brian_eprop.reference import draw_network
from brian_eprop.reference.computation import described_rule, example_rules
from brian_eprop.rule_study.comparison import compare

#: Sizes by the exponents of memory and time, so that the largest fits into memory and patience.
SIZES = {(3, 4): (54, 81, 121, 182), (3, 3): (96, 144, 216, 324), (2, 3): (216, 324, 486, 729)}
CHEAP = (192, 288, 432, 648, 972)
COLUMNS = ("memory", "operations", "seconds")


def problem(cell, n, steps):
    rng = np.random.default_rng(0)
    network = draw_network(cell, n, n, 2)
    inputs = rng.random((1, steps, n)) < 0.5
    return network, inputs, rng.normal(size=(1, steps, 2))


def measure(label, cell, steps, repeats):
    """Costs at every size, and their exponents beside the stated ones; None if refused."""
    rule = described_rule(label)
    sizes = SIZES.get((rule.memory[0], rule.time[0]), CHEAP)
    rows = []
    for n in sizes:
        (row,) = compare(*problem(cell, n, steps), [label], draws=1, repeats=repeats)
        if row.refusal is not None:
            return None
        rows.append([getattr(row, name) for name in COLUMNS])
    measured = dict(zip(COLUMNS, np.array(rows).T.tolist(), strict=True))
    exponents = {
        name: round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 2)
        for name, values in measured.items()
    }
    return {
        "rule": label,
        "stated": {"memory": rule.memory[0], "time": rule.time[0]},
        "exponents": exponents,
        "sizes": sizes,
        "measured": measured,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rules", nargs="*", default=None)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'rule':55} {'memory':>14} {'operations':>18} {'time':>6}   largest n: µs/step")
    rows = []
    for label in arguments.rules or example_rules():
        row = measure(label, "elman", arguments.steps, arguments.repeat)
        if row is None:
            row = measure(label, "lif", arguments.steps, arguments.repeat)
        rows.append(row)
        stated, found = row["stated"], row["exponents"]
        print(
            f"{label:55} {found['memory']:6.2f} (n^{stated['memory']})"
            f" {found['operations']:10.2f} (n^{stated['time']}) {found['seconds']:6.2f}   "
            f"{row['sizes'][-1]}: {1e6 * row['measured']['seconds'][-1]:.0f}",
            flush=True,
        )
    print(json.dumps({"machine": described("brian_eprop", "numpy", "scipy"), "rows": rows}))


if __name__ == "__main__":
    main()
