"""A recurrent network of lif and alif neurons in the terms of :mod:`brian_eprop.reference`."""

import math
import re

import numpy as np
from attrs import evolve
from scipy.sparse import issparse

from ..checks import fields_of
from ..memory import check_memory
from ..neurons.neuron_model import load_model
from ..quantities import quantity
from ..reference import SpikingNetwork
from ..reference.surrogates import SURROGATES
from .constraints import MATRICES
from .projections import spans
from .structures import with_values
from .trained_delays import matrices_of

#: A weight, a delay and whether there is a synapse.
BYTES_OF_AN_ENTRY = 8 + 8 + 1
#: What says how a model moves: these must be those of lif or alif, the rest is taken over.
DYNAMICS = ("equations", "threshold", "reset", "refractory", "on_pre", "on_input", "initial")


def reference_network(description, weights):
    """The SpikingNetwork with the same dynamics and the same gradients.

    Parameters
    ----------
    description : NetworkDescription
    weights : dict of str to ndarray or csr_array

    Returns
    -------
    SpikingNetwork

    Raises
    ------
    ValueError
        If a population has other dynamics than lif and alif, a surrogate that the reference
        does not know, or the network delays onto the readout or more than one regularizer.
    MemoryError
        If sparse matrices would not fit as dense ones.
    """
    d, n, connected = description, description.n_rec, connections(description, weights)
    names = ("alpha", "rho", "beta", "v_th", "n_ref")
    names += tuple(f"surrogate_{name}" for name in ("height", "width", "h", "s"))
    columns = {name: np.zeros(n) for name in names}
    columns["surrogate_s"] += 1
    kinds, paths = [], {}
    for span, population in zip(spans(d), d.populations, strict=True):
        _check_dynamics(population)
        values = population.parameters
        columns["alpha"][span] = np.exp(-d.dt / values["tau_m"])
        columns["v_th"][span] = values["v_th"]
        # As Brian2 counts steps: a little less than a whole step is one
        columns["n_ref"][span] = np.floor(np.asarray(values["t_ref"] / d.dt) + 1e-3)
        if "tau_a" in values:
            columns["rho"][span] = np.exp(-d.dt / values["tau_a"])
            columns["beta"][span] = values["beta"]
        model = population.learning_with(d.rule)
        for name in ("v", "a") if "tau_a" in values else ("v",):
            path = model.reset_path.get(name, "implicit")
            if paths.setdefault(name, path) != path:
                raise ValueError(
                    f"the reference has one reset path for all neurons, but that of '{name}' is "
                    f"'{path}' in one population and '{paths[name]}' in another"
                )
        kinds += [surrogate_kind(model.surrogate)] * population.count
        for field in fields_of(type(model.surrogate)):
            value = quantity(getattr(model.surrogate, field.name), values)
            columns[f"surrogate_{field.name}"][span] = value
    return SpikingNetwork(**connected, **columns, surrogate=kinds, reset_path=paths)


def connections(description, weights):
    """What a network of any units has: weights, delays, readout, losses.

    Parameters
    ----------
    description, weights
        As for :func:`reference_network`.

    Returns
    -------
    dict of str to object
        The arguments of :class:`brian_eprop.reference.spiking.FiringNetwork`.

    Raises
    ------
    ValueError, MemoryError
        For what is said of these in :func:`reference_network`, but the dynamics.
    """
    d, masks = description, description.connectivity
    if len(d.regularizers) > 1:
        raise ValueError(
            "the reference has one target rate for each neuron, but the network "
            f"{len(d.regularizers)} regularizers; give one"
        )
    if d.delay_steps("w_out").any():
        raise ValueError(
            "the reference has no delays onto the readout, but those of the network, "
            f"delays['w_out'], are up to {d.longest_delay('w_out')!s}"
        )
    check_dense(d, "the reference")
    kappa = float(np.exp(-d.dt / d.tau_out))
    return {
        **{name: dense(weights[name]) for name in MATRICES},
        "rate_target": sum(float(r.target * d.dt) for r in d.regularizers),
        "rate_strength": sum(r.strength for r in d.regularizers),
        "kappa": kappa,
        "feedback": None if d.feedback == "symmetric" else weights["feedback"],
        "mask_in": dense(masks["w_in"]),
        "mask_rec": dense(masks["w_rec"]),
        "mask_out": dense(masks["w_out"]),
        "delay_in": dense(with_values(masks["w_in"], d.delay_steps("w_in"))),
        "delay_rec": dense(with_values(masks["w_rec"], d.delay_steps("w_rec"))),
        "readout_gain": 1 - kappa if d.normalize else 1.0,
        "loss": d.loss,
        "average": d.average,
    }


def with_trained_delays(network, description, parameters):
    """A network of the reference with the trained delays as real numbers, which it rounds.

    Parameters
    ----------
    network : SpikingNetwork
    description : NetworkDescription
    parameters : dict of str to Quantity or csr_array
    """
    trained = set(matrices_of(description)) & {"delay_in", "delay_rec"}
    if not trained:
        return network
    dt = float(description.dt)
    steps = {name: np.asarray(dense(parameters[name]), dtype=float) / dt for name in trained}
    return evolve(network, rounded=True, **steps)


def check_dense(description, what):
    """Raise an error if sparse matrices would not fit into memory as dense ones."""
    sparse = [name for name, mask in description.connectivity.items() if issparse(mask)]
    entries = sum(math.prod(description.shapes[name]) for name in sparse)
    check_memory(
        BYTES_OF_AN_ENTRY * entries,
        f"{what} has dense matrices: {', '.join(map(repr, sparse))}, sparse in the network, "
        "would take",
        "give a smaller network",
    )


def dense(matrix):
    """A weight matrix, or one of masks or delays, as an ndarray."""
    return matrix.toarray() if issparse(matrix) else matrix


def _check_dynamics(population):
    """Raise an error unless the neurons move as lif or alif do."""
    model, method = population.model, population.overrides.get("method", population.model.method)
    for published in map(load_model, ("lif", "alif")):
        same = all(getattr(model, name) == getattr(published, name) for name in DYNAMICS)
        if same and method == published.method:
            return
    raise ValueError(
        f"the reference knows the dynamics of the models lif and alif, not of '{model.name}' with "
        f"the method '{method}'; use 'brian-eprop check' for it"
    )


def surrogate_kind(surrogate):
    """The reference's name of a surrogate: 'piecewise_linear' for one of class PiecewiseLinear."""
    kind = re.sub("(?<!^)([A-Z])", r"_\1", type(surrogate).__name__).lower()
    if kind not in SURROGATES:
        raise ValueError(
            f"the reference does not know the surrogate {surrogate!r}; it has "
            f"{', '.join(SURROGATES)}"
        )
    return kind
