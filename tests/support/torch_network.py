"""The surrogate gradient of a recurrent network of any neuron model, by torch's autograd.

The text of the code that Brian2 compiles is executed, step by step and in the order of Brian2's
schedule; see :mod:`torch_neurons`. Nothing here knows of eligibility traces.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch_neurons import Population, tensor, torch

from brian_eprop.network.description import MATRICES
from brian_eprop.network.projections import spans
from brian_eprop.quantities import quantity

#: When the spikes of a projection act: those of a RecurrentNetwork.
ARRIVAL = {"w_in": "after_groups", "w_rec": "synapses"}


@dataclass(frozen=True, eq=False)
class Run:
    """What :func:`run` computed; ``loss`` (the average over trials, with all penalties) has a
    graph, ``spikes`` (batch, T, n_rec) and ``readout`` (batch, T, n_out) have none."""

    loss: torch.Tensor
    spikes: np.ndarray
    readout: np.ndarray


@dataclass(frozen=True, eq=False)
class TorchGradients:
    """Gradients of the loss, averaged over trials, with respect to the weights in the unit of
    the model, and to parameters (n_rec,) in SI units; and what the network did."""

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    parameters: dict
    loss: float
    spikes: np.ndarray
    readout: np.ndarray


def torch_gradients(
    network, inputs, targets, learning_window=None, *, parameters=(), order=math.inf, **timing
):
    """The surrogate gradient of a network, or what e-prop of an order keeps of it.

    Parameters
    ----------
    network : RecurrentNetwork
        Taken as plain data; its rule's order is not looked at.
    inputs : (batch, T, n_in) bool array
    targets : (batch, T, n_out) array
    learning_window : int, optional
        Only the last so many steps count.
    parameters : sequence of str
        Parameters whose gradients are wanted too, a value for each neuron. The surrogate and
        the initial state are not differentiated.
    order : int or math.inf
        m: all paths that cross at most m − 1 recurrent synapses and explicit resets.
    **timing
        ``delays`` and ``arrival`` of :func:`run`.

    Returns
    -------
    TorchGradients
    """
    leaves = leaves_of(network, parameters)
    done = run(network, leaves, inputs, targets, learning_window, order=order, **timing)
    found = torch.autograd.grad(
        done.loss, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    gradient = {name: values.numpy() for name, values in zip(leaves, found, strict=True)}
    return TorchGradients(
        **{name: gradient.pop(name) for name in MATRICES},
        parameters=gradient,
        loss=done.loss.item(),
        spikes=done.spikes,
        readout=done.readout,
    )


def leaves_of(network, parameters=()):
    """Weights, and parameters (n_rec,) with 0 where a model has none : dict of str to tensor."""
    d = network.description
    leaves = {name: tensor(network.weights[name], requires_grad=True) for name in MATRICES}
    for name in parameters:
        values, known = np.zeros(d.n_rec), False
        for own, population in zip(spans(d), d.populations, strict=True):
            if name in population.parameters:
                values[own], known = np.asarray(population.parameters[name]), True
        if not known:
            raise ValueError(f"no population has a parameter '{name}'")
        leaves[name] = tensor(values, requires_grad=True)
    return leaves


def run(
    network,
    leaves,
    inputs,
    targets,
    learning_window=None,
    *,
    order=math.inf,
    delays=None,
    arrival=ARRIVAL,
    smooth=False,
):
    """The network along its trials, in the order of Brian2's schedule.

    Parameters
    ----------
    network, inputs, targets, learning_window, order
        As for :func:`torch_gradients`.
    leaves : dict of str to tensor
        As from :func:`leaves_of`.
    delays : dict of str to int array, optional
        Steps that the spikes of ``w_in`` and ``w_rec`` take, in the shape of the weights.
    arrival : dict of str to {"after_groups", "synapses"}
        The slots in which they act: the model's ``on_input`` or ``on_pre``.
    smooth : bool
        As for :class:`torch_neurons.Population`; the gradient is then a true one.

    Returns
    -------
    Run
    """
    d, (batch, steps, _), dt = network.description, inputs.shape, network.description.dt
    # Copies of the same neurons: a path that crosses an edge goes on in the next copy, and only
    # the last one is seen by the loss.
    copies = 1 if order == math.inf else order
    where, populations = spans(d), []
    for own, population in zip(where, d.populations, strict=True):
        shape = (copies, batch, population.count)
        known = leaves.keys() & population.parameters.keys()
        parameters = {name: leaves[name][own] for name in known}
        populations.append(Population(population, d.rule, dt, shape, parameters, smooth))
    weights = {name: _by_delay(d, leaves, name, delays or {}) for name in ARRIVAL}
    # What has been emitted, the latest last: inputs from the beginning of a step, spikes from
    # the threshold on.
    emitted = {name: [] for name in ARRIVAL}

    def deliver(slot):
        for name in ARRIVAL:
            if arrival[name] == slot:
                spikes, arrived = emitted[name], tensor(np.zeros((copies, batch, d.n_rec)))
                for lag, w in weights[name].items():
                    if lag < len(spikes):
                        arrived = arrived + spikes[-1 - lag] @ w
                for own, population in zip(where, populations, strict=True):
                    population.arrive(slot, arrived[..., own])

    x, seen = tensor(inputs), []
    for t in range(steps):
        emitted["w_in"].append(x[:, t])
        for population in populations:
            population.update(t)
        deliver("after_groups")
        z = torch.cat([population.fire() for population in populations], dim=-1)
        sent = z if order == math.inf else torch.cat([z[:1].detach(), z[:-1]])
        emitted["w_rec"].append(sent)
        seen.append(z[-1])
        deliver("synapses")
        for own, population in zip(where, populations, strict=True):
            population.reset(z[..., own], sent[..., own])
    spikes = torch.stack(seen, dim=1)
    y = _readout(network, leaves, spikes)
    loss = _loss(d, spikes, y, tensor(targets), learning_window or steps)
    return Run(loss / batch, spikes.detach().numpy() > 0.5, y.detach().numpy())


def _by_delay(description, leaves, name, delays):
    """lag → the weights, in SI units, of the synapses that have this delay."""
    d = description
    delay = np.broadcast_to(delays.get(name, 0), d.shapes[name])
    unit = [float(quantity(p.model.weight_unit)) for p in d.populations for _ in range(p.count)]
    return {
        lag: leaves[name] * tensor(unit * (d.connectivity[name] & (delay == lag)))
        for lag in np.unique(delay)
    }


def _readout(network, leaves, spikes):
    """y (batch, T, n_out); the neurons hear of its error through the feedback."""
    d = network.description
    w_out = leaves["w_out"] * tensor(d.connectivity["w_out"])
    symmetric = d.feedback == "symmetric"
    feedback = w_out.detach() if symmetric else tensor(network.weights["feedback"].T)
    heard = spikes @ feedback
    drive = spikes.detach() @ w_out + heard - heard.detach()
    kappa, y = math.exp(-float(d.dt / d.tau_out)), [torch.zeros_like(drive[:, 0])]
    for now in drive.unbind(1):
        y.append(kappa * y[-1] + (1 - kappa if d.normalize else 1.0) * now)
    return torch.stack(y[1:], dim=1)


def _loss(description, spikes, y, targets, window):
    """Loss and penalties, summed over trials."""
    d, y, targets = description, y[:, -window:], targets[:, -window:]
    if d.loss == "mse":
        loss = 0.5 * ((y - targets) ** 2).sum()
    elif d.loss == "linear":
        loss = (y * targets).sum()
    else:
        loss = -(targets * torch.log_softmax(y, dim=-1)).sum()
    for regularizer in d.regularizers:
        excess = spikes.mean(dim=1) - float(regularizer.target * d.dt)
        loss = loss + 0.5 * regularizer.strength * (excess**2).sum()
    return loss / window if d.average else loss
