"""Do memory, operations and time of the rules grow with n as their papers say?

    python benchmarks/reference_rules.py                     # every rule
    python benchmarks/reference_rules.py rtrl 'ok(rank=4)'   # some

A tanh network, dense, with as many inputs as units. Memory: numbers that the rule stores.
Operations: counted while the rule runs. Time: median of repeats, per step. The exponents are
least-squares slopes in the logarithms over the sizes; those of memory and operations are free of
noise, that of time holds where the arithmetic outweighs the calls and the caches. Larger sizes
are used for cheaper rules. The last line is JSON.
"""

import argparse
import json

import numpy as np
from machine import described

from brian_eprop.reference import draw_network
from brian_eprop.reference.comparison import compare, described_rule, example_rules

#: Sizes by the exponent of the time: the largest takes about a second a step.
SIZES = {4: (24, 36, 54, 81), 3: (64, 96, 144, 216, 324), 2: (128, 192, 288, 432, 648)}
COLUMNS = ("memory", "operations", "seconds")


def problem(cell, n, steps):
    rng = np.random.default_rng(0)
    network = draw_network(cell, n, n, 2)
    return network, rng.normal(size=(1, steps, n)), rng.normal(size=(1, steps, 2))


def measure(label, cell, steps, repeats):
    """Costs at every size, and their exponents beside those of the rule."""
    rule = described_rule(label)
    sizes = SIZES[max(2, rule.time[0])]
    rows = []
    for n in sizes:
        (row,) = compare(*problem(cell, n, steps), [label], draws=1, repeats=repeats)
        if row.refusal is not None:
            return {"rule": label, "refusal": row.refusal}
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
    parser.add_argument("--cell", default="elman")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'rule':42} {'memory':>14} {'operations':>18} {'time':>6}   largest n: µs/step")
    rows = []
    for label in arguments.rules or example_rules():
        row = measure(label, arguments.cell, arguments.steps, arguments.repeat)
        rows.append(row)
        if "refusal" in row:
            print(f"{label:42} {row['refusal']}")
            continue
        stated, found = row["stated"], row["exponents"]
        print(
            f"{label:42} {found['memory']:6.2f} (n^{stated['memory']})"
            f" {found['operations']:10.2f} (n^{stated['time']}) {found['seconds']:6.2f}   "
            f"{row['sizes'][-1]}: {1e6 * row['measured']['seconds'][-1]:.0f}",
            flush=True,
        )
    print(json.dumps({"machine": described("brian_eprop", "numpy", "scipy"), "rows": rows}))


if __name__ == "__main__":
    main()
