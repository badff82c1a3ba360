"""What rules that keep a part of the influence tensor cost in sparse networks.

    python benchmarks/reference_influence.py                                    # half a minute
    python benchmarks/reference_influence.py --rules 'snap(n=2)' --sizes 500 --densities 0.05

Numbers stored, operations counted and time of one step of one sequence, the forward pass left out,
for networks of as many inputs as neurons, half LIF and half ALIF, with a leaky readout. The density
of inputs and recurrent connections is varied at the smallest size, and the size at the first
density of 5 % or more. The exponents are least-squares slopes in the logarithms. RTRL stores
something for all pairs of neurons and weights; it is measured once, if the smallest network has not
more than 100 neurons. The last line is JSON.
"""

import argparse
import json

import numpy as np
from machine import described

from brian_eprop.reference import SpikingNetwork
from brian_eprop.rule_study.comparison import compare

RULES = ("snap(n=1)", "snap(n=2)", "snap(n=3)", "eprop(order=2)", "eprop(order=3)")
QUANTITIES = ("memory", "operations", "seconds")
USUAL_DENSITY = 0.05
LARGEST_RTRL = 100


def problem(n, density, steps):
    """A random network with its inputs and targets."""
    rng = np.random.default_rng(0)
    mask_in, mask_rec = rng.random((2, n, n)) < density
    np.fill_diagonal(mask_rec, False)
    scale = 1 / np.sqrt(max(density * n, 1))
    network = SpikingNetwork(
        w_in=0.8 * scale * rng.standard_normal((n, n)),
        w_rec=0.5 * scale * rng.standard_normal((n, n)),
        w_out=rng.standard_normal((n, 2)) / np.sqrt(n),
        mask_in=mask_in,
        mask_rec=mask_rec,
        alpha=0.95,
        rho=0.99,
        beta=np.where(np.arange(n) < n // 2, 0.0, 0.1),
        v_th=0.6,
        kappa=0.9,
    )
    return network, rng.random((1, steps, n)) < 0.2, rng.standard_normal((1, steps, 2))


def measure(rule, n, density, arguments):
    """One rule on one network."""
    network, *sequences = problem(n, density, arguments.steps)
    (found,) = compare(network, *sequences, [rule], repeats=arguments.repeat)
    row = {"rule": rule, "n_rec": n, "density": density, "error": found.error}
    row |= {name: getattr(found, name) for name in QUANTITIES}
    print(
        f"{rule:15} n {n:4}  density {density:<5} {row['memory']:13,.0f} numbers"
        f" {row['operations']:15,.0f} operations {1e3 * row['seconds']:8.2f} ms"
        f"  error {found.error:.0e}",
        flush=True,
    )
    return row


def exponents(rows, of):
    """Powers of the density or the size with which the quantities grow."""
    fit = {
        name: round(float(np.polyfit(*np.log([[r[of], r[name]] for r in rows]).T, 1)[0]), 2)
        for name in QUANTITIES
    }
    powers = "  ".join(f"{name} {power}" for name, power in fit.items())
    print(f"{rows[0]['rule']:15} powers of {of}: {powers}", flush=True)
    return {"rule": rows[0]["rule"], "of": of, **fit}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rules", nargs="+", default=RULES)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 500])
    parser.add_argument("--densities", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    smallest, *larger = sorted(arguments.sizes)
    densities = sorted(arguments.densities)
    usual = next((d for d in densities if d >= USUAL_DENSITY), densities[-1])
    rows, fits = [], []
    for rule in arguments.rules:
        of_density = [measure(rule, smallest, d, arguments) for d in densities]
        of_larger = [measure(rule, n, usual, arguments) for n in larger]
        rows += of_density + of_larger
        of_size = [of_density[densities.index(usual)], *of_larger]
        for varied, of in ((of_density, "density"), (of_size, "n_rec")):
            if len(varied) > 1:
                fits.append(exponents(varied, of))
    if smallest <= LARGEST_RTRL:
        rows.append(measure("rtrl", smallest, usual, arguments))
    machine = described("brian_eprop", "numpy", "scipy")
    print(json.dumps({"machine": machine, "rows": rows, "exponents": fits}))


if __name__ == "__main__":
    main()
