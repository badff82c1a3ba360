"""Recurrent networks of any neuron models, with weights that make them fire."""

import numpy as np
from brian2 import ms
from brian2.utils.stringtools import get_identifiers

from brian_eprop import RecurrentNetwork, load_model
from brian_eprop.network.checked_model import firing_scale

N_IN, N_OUT, STEPS = 5, 2, 200
INPUT_PROBABILITY = 0.1
#: Brian2 needs several seconds to solve these exactly; their solution is tested elsewhere.
METHOD = {"cuba_lif": "exponential_euler", "cuba_alif": "euler"}
DT = {"lif": 1 * ms, "alif": 1 * ms, "hodgkin_huxley": 0.05 * ms}


def differentiable(model):
    """Names of the parameters that do not act on refractoriness."""
    refractoriness = get_identifiers(model.refractory or "")
    return [name for name in model.parameters if name not in refractoriness]


def firing_network(
    *models, n=4, recurrent=0.5, density=None, batch=1, varied=False, seed=4, **options
):
    """A network of ``n`` neurons of each model, and trials for it.

    Parameters
    ----------
    *models : str
    n : int
    recurrent : float
        Standard deviation of the recurrent weights, in units of the mean input weight.
    density : float, optional
        Fraction of the recurrent synapses that exist; default all but autapses.
    batch : int
    varied : bool
        Whether all `differentiable` parameters differ from neuron to neuron.
    seed : int
    **options
        Of :class:`RecurrentNetwork`.

    Returns
    -------
    network : RecurrentNetwork
    inputs : (batch, STEPS, N_IN) bool array
    targets : (batch, STEPS, N_OUT) array
        Rows sum up to 1, so that both losses take them.
    """
    rng = np.random.default_rng(seed)
    dt = min(DT.get(name, 0.1 * ms) for name in models)
    inputs = rng.random((batch, STEPS, N_IN)) < INPUT_PROBABILITY
    n_rec = n * len(models)
    w_in, w_rec = rng.exponential(size=(N_IN, n_rec)), rng.normal(size=(n_rec, n_rec))
    neurons, scale = [], []
    for k, name in enumerate(models):
        model, own = load_model(name), slice(k * n, (k + 1) * n)
        method = METHOD.get(name, model.method)
        scale += [firing_scale(model, method, inputs[0], w_in[:, own], dt)] * n
        values = {
            p: model.parameters[p] * rng.uniform(0.99, 1.01, n) for p in differentiable(model)
        }
        neurons.append((name, n, {"method": method} | (values if varied else {})))
    weights = {"w_in": w_in * scale, "w_rec": recurrent * w_rec * scale}
    if density is not None:
        options["connectivity"] = {"w_rec": rng.random((n_rec, n_rec)) < density}
    network = RecurrentNetwork(
        neurons, N_IN, n_rec, N_OUT, dt=dt, tau_out=20 * dt, weights=weights, seed=seed, **options
    )
    return network, inputs, rng.dirichlet(np.ones(N_OUT), (batch, STEPS))
