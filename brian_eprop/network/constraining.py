"""All constraints of a network: whether they fit, and the weights that they allow.

An update is: the optimizer's step with WeightDecay, then DeepR, then DaleLaw and Bounds, which
together are an interval for each weight. The order in which constraints are given does not matter.
With adaptive feedback B follows: it decays and is clipped as w_out is.
"""

import numpy as np
from scipy.sparse import issparse

from .constraints import CONSTRAINTS, MATRICES, Bounds, DaleLaw, DeepR
from .structures import first_place, spread, values_of, with_values
from .validation import check_key, check_synapses, checked_weights


def check_constraints(description):
    """Raise an error for constraints that do not fit the network, or each other.

    Raises
    ------
    TypeError, ValueError
        Naming the constraint, its value and the remedy.
    """
    d = description
    if d.feedback == "adaptive" and issparse(d.connectivity["w_out"]):
        raise ValueError(
            "RecurrentNetwork.feedback = 'adaptive' follows the updates of all of 'w_out', which "
            "is sparse here; give weights or connectivity['w_out'] as a dense array, or choose "
            "feedback='symmetric' or 'random'"
        )
    for name in MATRICES:
        for kind in CONSTRAINTS.values():
            alike = [c for c in d.constraints if isinstance(c, kind) and name in c.matrices]
            if len(alike) > 1:
                raise ValueError(
                    f"RecurrentNetwork.constraints: {alike[0]!r} and {alike[1]!r} are both about "
                    f"'{name}'; give one"
                )
        _check_dale(d, name)
        _check_rewiring(d, name)


def _check_dale(description, name):
    dale, bounds = (of_kind(description, name, kind) for kind in (DaleLaw, Bounds))
    if dale is None:
        return
    count = len(description.populations)
    for number in dale.inhibitory:
        if number >= count:
            raise ValueError(
                f"{dale!r}: there is no population {number}, as RecurrentNetwork.neurons has "
                f"{count}, numbered from 0; make the inhibitory neurons a population of their own"
            )
    low, high = limits(description, name)
    wrong = first_place(description.connectivity[name], low >= high)
    if wrong is not None:
        sign = "≥ 0" if dale.interval(description.populations)[0][wrong[0], 0] == 0 else "≤ 0"
        raise ValueError(
            f"{dale!r} makes weights of '{name}' {sign}, but {bounds!r} leaves no such weights; "
            "choose bounds on both sides of 0"
        )


def _check_rewiring(description, name):
    deep_r, bounds = (of_kind(description, name, kind) for kind in (DeepR, Bounds))
    if deep_r is None:
        return
    mask = values_of(description.connectivity[name])
    candidates = int(mask.sum())
    if deep_r.count(mask) < 1:
        raise ValueError(
            f"{deep_r!r}: of the {candidates} synapses that '{name}' may have none is active; "
            "choose a higher density"
        )
    if bounds is not None and not bounds.low <= 0 <= bounds.high:
        raise ValueError(
            f"{deep_r!r} gives dormant synapses of '{name}' the weight 0, which {bounds!r} "
            "excludes; choose bounds with 0 among them"
        )
    if name == "w_out" and description.feedback == "adaptive":
        raise ValueError(
            f"{deep_r!r}: 'w_out' cannot be rewired with feedback='adaptive', as the feedback "
            "follows the updates of synapses that stay; leave 'w_out' out of DeepR.matrices"
        )


def of_kind(description, name, kind):
    """The constraint of a class on a matrix; None if there is none."""
    constraints = (c for c in description.constraints if isinstance(c, kind) and name in c.matrices)
    return next(constraints, None)


def limits(description, name):
    """Lowest and highest value of each weight of a matrix : ndarrays.

    (n_pre, n_post), or, if it is sparse, (n_synapses,).
    """
    mask = description.connectivity[name]
    shape = values_of(mask).shape
    low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
    for constraint in _intervals(description, name):
        lowest, highest = (
            spread(mask, end) if np.ndim(end) else end
            for end in constraint.interval(description.populations)
        )
        low, high = np.maximum(low, lowest), np.minimum(high, highest)
    return low, high


def _intervals(description, name):
    """The constraints that are an interval for the weights of a matrix."""
    return [c for c in description.constraints if hasattr(c, "interval") and name in c.matrices]


def within_limits(description, weights):
    """The weights, clipped by DaleLaw and Bounds : dict of str to array."""
    clipped = dict(weights)
    for name, mask in description.connectivity.items():
        if not _intervals(description, name):
            continue
        low, high = limits(description, name)
        allowed = np.clip(values_of(weights[name]), low, high)
        clipped[name] = with_values(mask, np.where(values_of(mask), allowed, 0.0))
        if name == "w_out" and description.feedback == "adaptive":
            clipped["feedback"] = np.clip(weights["feedback"], low.T, high.T)
    return clipped


def checked_matrices(description, weights):
    """All weight matrices of a network, within its limits : dict of str to array."""
    weights = _checked_shapes(description, weights)
    for name, allowed in within_limits(description, weights).items():
        if allowed is weights[name]:
            continue
        mask = description.connectivity.get(name, True)
        wrong = values_of(mask) & (values_of(weights[name]) != values_of(allowed))
        if (place := first_place(mask, wrong)) is not None:
            i, j = place
            reasons = _intervals(description, "w_out" if name == "feedback" else name)
            raise ValueError(
                f"weights['{name}'][{i}, {j}] = {weights[name][i, j]} is excluded by "
                f"{' and '.join(map(repr, reasons))}; the nearest value is {allowed[i, j]}"
            )
    return weights


def _checked_shapes(description, weights):
    shapes = description.shapes
    for name in weights:
        check_key("weights", name, shapes)
    for name, shape in shapes.items():
        if name not in weights:
            raise ValueError(f"weights['{name}'] is missing; give a matrix of the shape {shape}")
    masks = description.connectivity
    return {
        name: checked_weights(name, weights[name], shape, masks.get(name))
        for name, shape in shapes.items()
    }


def initial_matrices(description, weights, rng):
    """Initial weights that obey all constraints, and which synapses are active.

    What is not in ``weights`` is drawn from N(0, 1/n_pre); the random feedback has 1/n_rec, that of
    ``w_out`` transposed. Weights are 0 where there is no synapse. The second result is, for each
    rewired matrix, what :meth:`~brian_eprop.network.constraints.DeepR.start` returns.
    """
    drawn, wiring = {}, {}
    for name, shape in description.shapes.items():
        n_pre = description.n_rec if name == "feedback" else shape[0]
        mask = description.connectivity.get(name)
        size = mask.nnz if issparse(mask) else shape
        drawn[name] = with_values(mask, rng.standard_normal(size) / np.sqrt(n_pre))
    checked = _checked_shapes(description, drawn | weights)
    weights = {name: with_values(m, values_of(m).copy()) for name, m in checked.items()}
    for name, mask in description.connectivity.items():
        values = values_of(weights[name])
        values[~values_of(mask)] = 0.0
        dale = of_kind(description, name, DaleLaw)
        if dale is not None:
            low, _ = dale.interval(description.populations)
            signs = np.where(low == 0, 1.0, -1.0)
            weights[name] = with_values(mask, spread(mask, signs) * np.abs(values))
            if name == "w_out" and description.feedback == "adaptive":
                weights["feedback"] = signs.T * np.abs(weights["feedback"])
    weights = within_limits(description, weights)
    for name, mask in description.connectivity.items():
        deep_r = of_kind(description, name, DeepR)
        if deep_r is not None:
            low, high = limits(description, name)
            values = values_of(weights[name])
            wiring[name] = deep_r.start(name, values, values_of(mask), low, high)
            weights[name] = with_values(mask, np.where(wiring[name]["active"], values, 0.0))
    return weights, wiring


def check_wiring(description, weights, wiring):
    """Raise an error unless exactly the active synapses have weights, with their signs."""
    for name, mask in description.connectivity.items():
        deep_r = of_kind(description, name, DeepR)
        if deep_r is None:
            continue
        active, signs = wiring[name]["active"], wiring[name]["signs"]
        values, exists = values_of(weights[name]), values_of(mask)
        if active.sum() != deep_r.count(exists) or (active & ~exists).any():
            raise ValueError(
                f"'{name}' has {active.sum()} active synapses, but {deep_r!r} allows "
                f"{deep_r.count(exists)} of {exists.sum()}"
            )
        for wrong, state in (
            (active & (signs * values < 0), "keeps its other sign"),
            (~active & (values != 0), "is dormant"),
        ):
            problem = (
                f", but this synapse {state} ({deep_r!r}); change only the size of weights that "
                "are not 0"
            )
            check_synapses(f"weights['{name}']", mask, values, wrong, problem)
