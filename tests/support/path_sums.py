"""Gradients as sums over paths, each path on its own: what truncated rules must give."""

import numpy as np


def _worth(steps, credits, t, k, change, edges, last):
    """What a change of c_k^t pays in the steps up to `last` over at most so many explicit edges.

    change : (S,) ndarray, of one sequence.
    """
    worth = credits[t][:, 0, k] @ change
    if t < last:
        implicit = steps[t + 1].implicit[:, :, 0, k]
        worth += _worth(steps, credits, t + 1, k, implicit @ change, edges, last)
    observed = steps[t].observation[:, 0, k] @ change
    return worth + observed * _onward(steps, credits, t, k, edges, last)


def _onward(steps, credits, t, k, edges, last):
    """What a change of h_k^t by 1 pays through the explicit edges that leave it."""
    if not edges:
        return 0.0
    worth = 0.0
    for lag, mask in steps[t].network.recurrent_lags.items():
        if t + lag > last:
            continue
        step = steps[t + lag]
        gates = step.network.blocks["w_rec"].gates
        for post in range(step.network.n_rec):
            change = np.zeros(len(step.state))
            if mask[k, post]:
                change = step.drive[:, gates, 0, post] @ step.recurrent[lag][:, k, post]
            if lag == 1 and post == k:
                change = change + step.self_edge[:, 0, k]
            if np.any(change):
                worth += _worth(steps, credits, t + lag, post, change, edges - 1, last)
    return worth


def hop_order(steps, credits, order):
    """Σ over the paths of at most order − 1 explicit edges, for a batch of one."""
    worths = []
    for t, step in enumerate(steps):
        states, _, n_rec = step.state.shape
        worths.append(np.zeros((states, 1, n_rec)))
        for s, change in enumerate(np.eye(states)):
            for j in range(n_rec):
                paths = _worth(steps, credits, t, j, change, order - 1, len(steps) - 1)
                worths[t][s, 0, j] = paths
    gradient = [step.gradient(worth) for step, worth in zip(steps, worths, strict=True)]
    return {name: sum(part[name] for part in gradient) for name in gradient[0]}


def horizon_order(steps, signal, order):
    """Σ_s e^s (ℓ^s + paths from h^s to readouts in the order − 1 steps after), for a batch of one.

    steps : of a network whose readout has no memory.
    signal : (T, n_rec) ndarray
        ℓ: what a change of h by 1 pays at the readout.
    """
    credits = [step.observation * of for step, of in zip(steps, signal, strict=True)]
    vectors, gradient = dict.fromkeys(steps[0].network.blocks, 0.0), {}
    for t, step in enumerate(steps):
        last = min(t + order, len(steps)) - 1
        future = [
            signal[t, j] + _onward(steps, credits, t, j, len(steps), last)
            for j in range(step.network.n_rec)
        ]
        for name, before in vectors.items():
            decayed = 0.0
            if t:
                decayed = np.einsum("srbj,rbgij->sbgij", step.implicit, before)
            vectors[name] = decayed + step.immediate(name)
            trace = np.einsum("sbj,sbgij->gij", step.observation, vectors[name])
            gradient[name] = gradient.get(name, 0.0) + future * trace
    return gradient
