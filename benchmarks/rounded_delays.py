"""What it costs that spikes arrive after rounded delays, while delays between steps are trained.

    python benchmarks/rounded_delays.py

Networks of the reference: 10 inputs, 12 recurrent units, 2 outputs, delays of 0 to 8 steps in w_in
and w_rec. Targets are the outputs of the same network with other delays, so that delays alone can
reach them. Two simulations from the same start, each with its own gradient of the delays: *split*,
in which a part of each spike arrives one step later, so that it is exact (but for ψ); and
*rounded*, as in Brian2, in which it is the slope of the split spike along another trajectory.

Prints, as mean (lowest – highest) over seeds: the cosine, and the ratio of norms, of the rounded
gradient to that of the split network before training; and the loss, relative to that of an output
of 0, before and after training the delays by Adam, in the simulation that was trained and, for
split ones, in the one with their delays rounded.
"""

import argparse
import time

import numpy as np
from attrs import evolve
from machine import described

from brian_eprop import Adam
from brian_eprop.reference import draw_network, gradients, simulate

N_IN, N_REC, N_OUT, STEPS, BATCH, LONGEST = 10, 12, 2, 100, 4, 8
NAMES = ("delay_in", "delay_rec")
ORDERS = {"1": ("eprop_reverse", {"order": 1}), "∞": ("bptt", {})}


def problem(cell, seed):
    """A network, its inputs, and the outputs of one with other delays."""
    rng = np.random.default_rng([seed, 7])
    shapes = {"delay_in": (N_IN, N_REC), "delay_rec": (N_REC, N_REC)}
    start, other = (
        {name: rng.uniform(0, LONGEST, shape) for name, shape in shapes.items()} for _ in range(2)
    )
    settings = dict(alpha=np.exp(-1 / 5), kappa=np.exp(-1 / 10), n_ref=2)
    network = draw_network(cell, N_IN, N_REC, N_OUT, seed=seed, **settings, **start)
    network = evolve(network, w_in=1.5 * network.w_in, feedback=None)
    inputs = rng.random((BATCH, STEPS, N_IN)) < 0.1
    nothing = np.zeros((BATCH, STEPS, N_OUT))
    teacher = simulate(evolve(network, **other), inputs, nothing)
    return network, inputs, teacher.readout, teacher.spikes.mean()


def gradient(network, trial, order):
    rule, options = ORDERS[order]
    found = gradients(network, *trial, rule, parameters=NAMES, **options)
    return found.loss, found.parameters


def trained(network, trial, order, iterations):
    """The network after training, of the iteration with the lowest loss."""
    optimizer, moments, best = Adam(0.1), {}, (np.inf, network)
    for step in range(iterations + 1):
        loss, slopes = gradient(network, trial, order)
        if loss < best[0]:
            best = loss, network
        delays = {}
        for name in NAMES:
            first, second = moments.get(name, (0.0, 0.0))
            first = optimizer.beta_1 * first + (1 - optimizer.beta_1) * slopes[name]
            second = optimizer.beta_2 * second + (1 - optimizer.beta_2) * slopes[name] ** 2
            moments[name] = first, second
            corrected = first / (1 - optimizer.beta_1 ** (step + 1))
            scale = np.sqrt(second / (1 - optimizer.beta_2 ** (step + 1))) + optimizer.epsilon
            moved = getattr(network, name) - optimizer.learning_rate * corrected / scale
            delays[name] = np.clip(moved, 0, 2 * LONGEST)
        network = evolve(network, **delays)
    return best


def side_by_side(parameters):
    return np.concatenate([np.ravel(parameters[name]) for name in NAMES])


def written(values):
    values = np.asarray(values)
    return f"{values.mean():.2f} ({values.min():.2f} – {values.max():.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=100)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    print(
        "| | order | cosine | norm | loss at first, split | rounded | after, split | rounded "
        "| split, then rounded |\n" + "|---" * 9 + "|"
    )
    for cell in ("lif", "alif"):
        for order in ORDERS:
            columns = [[] for _ in range(7)]
            for seed in range(arguments.seeds):
                network, inputs, targets, rate = problem(cell, seed)
                assert rate > 0.01
                trial, whole = (inputs, targets), evolve(network, rounded=True)
                (split_loss, split), (whole_loss, rounded) = (
                    gradient(n, trial, order) for n in (network, whole)
                )
                g, b = side_by_side(rounded), side_by_side(split)
                lengths = np.linalg.norm(g), np.linalg.norm(b)
                after, best = trained(network, trial, order, arguments.iterations)
                after_whole, _ = trained(whole, trial, order, arguments.iterations)
                deployed = simulate(evolve(best, rounded=True), *trial).loss
                losses = np.array([split_loss, whole_loss, after, after_whole, deployed])
                losses /= 0.5 * np.sum(targets**2) / BATCH
                alike = g @ b / np.prod(lengths), lengths[0] / lengths[1]
                for column, value in zip(columns, (*alike, *losses), strict=True):
                    column.append(value)
            cells = " | ".join(map(written, columns))
            print(f"| {cell.upper()} | {order} | {cells} |", flush=True)
    print(f"\n{time.perf_counter() - begin:.0f} s; {described('brian_eprop', 'numpy')}")


if __name__ == "__main__":
    main()
