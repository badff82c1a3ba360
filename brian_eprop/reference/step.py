"""One step of a network with its Jacobians, from which every rule is written; the forward pass.

The network advances step by step, with delays and teacher forcing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from .network import split_delays

if TYPE_CHECKING:
    from .network import Network


@frozen(eq=False)
class Step:
    """Values and Jacobians of one step.

    A unit j has S hidden states c_j, one observable h_j, which recurrent connections carry, and
    one output o_j, which the readout sees. A weight belongs to its postsynaptic unit.

    Attributes
    ----------
    state : (S, batch, n_rec) ndarray
        c.
    observable, output : (batch, n_rec) ndarray
        h and o.
    implicit : (S, S, batch, n_rec) ndarray
        D_j = ∂c_j^t/∂c_j^{t−1}, row = state at t.
    observation, readout : (S, batch, n_rec) ndarray
        q_j = ∂h_j/∂c_j and p_j = ∂o_j/∂c_j.
    drive : (S, G, batch, n_rec) ndarray
        K_j = ∂c_j/∂u_j for each of the G gates. An immediate derivative is F = K × arrival, an
        explicit edge R_lk = Σ_g K_g,k w_rec[g,l,k].
    self_edge : (S, batch, n_rec) ndarray
        What else a unit's own observable of the step before adds to c_j (the reset).
    memory : object
        What the cell remembers beside its states; None for most.
    arrivals : mapping of str to (batch, n_pre, 1 or n_rec) ndarray
        Presynaptic values that the weights of each block multiply; they depend on the unit where
        delays differ.
    recurrent : mapping of int to (gates, n_rec, n_rec) ndarray
        w_rec by the number of steps that the connections take.
    parameters : mapping of str to (S, batch, n_rec) ndarray
        F of the parameters of the units that are asked for, ∂c_j/∂p_j; see
        :func:`~brian_eprop.reference.problem.with_direct_effects`.
    delays : mapping of str to (gates, batch, n_pre, n_rec) ndarray
        ∂u_j/∂d_ij of the delays that are asked for; see :func:`with_delays`.
    network : Network

    References
    ----------
    The distinction of implicit and explicit recurrence: Martín-Sánchez, Bohté & Otte 2022,
    arXiv 2207.11439; Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 1 and 13.
    """

    state: np.ndarray
    observable: np.ndarray
    implicit: np.ndarray
    observation: np.ndarray
    drive: np.ndarray
    self_edge: np.ndarray
    memory: Any = None
    output: np.ndarray | None = None
    readout: np.ndarray | None = None
    arrivals: Mapping[str, np.ndarray] | None = None
    recurrent: Mapping[int, np.ndarray] | None = None
    parameters: Mapping[str, np.ndarray] = field(factory=dict)
    delays: Mapping[str, np.ndarray] = field(factory=dict)
    network: Network | None = None

    @property
    def batch(self):
        return self.observable.shape[0]

    @property
    def trained(self):
        """Names of all that has a gradient: the blocks of weights, `parameters`, `delays`."""
        return (*self.network.blocks, *self.parameters, *self.delays)

    def immediate(self, name):
        """F_ij = ∂c_j/∂W_ij at fixed c^{t−1} and h; (S, batch, gates, n_pre, n_rec).

        0 for absent connections. A parameter is a weight of one gate and one presynaptic unit; a
        delay acts through all gates, and is counted as one.
        """
        if name in self.parameters:
            return self.parameters[name][:, :, np.newaxis, np.newaxis]
        if name in self.delays:
            gain = self.drive[:, self.network.blocks[f"w_{name[6:]}"].gates]
            return np.einsum("sgbj,gbij->sbij", gain, self.delays[name])[:, :, np.newaxis]
        block = self.network.blocks[name]
        gain = self.drive[:, block.gates].swapaxes(1, 2)[:, :, :, np.newaxis]
        return gain * (self.arrivals[name][:, np.newaxis] * block.mask)

    def gradient(self, credit):
        """Σ_batch Σ_s credit_s,j F_s,ij: what the credit dE/dc_j pays a weight or a parameter.

        Parameters
        ----------
        credit : (S, batch, n_rec) ndarray

        Returns
        -------
        dict of str to (gates, n_pre, n_rec) ndarray
            (n_rec,) for a parameter, (n_pre, n_rec) for delays.
        """
        of_drive = np.einsum("sgbj,sbj->gbj", self.drive, credit)
        gradient = {}
        for name, block in self.network.blocks.items():
            arrival, signal = self.arrivals[name], of_drive[block.gates]
            if arrival.shape[2] == 1:
                gradient[name] = arrival[:, :, 0].T @ signal
            else:
                gradient[name] = np.einsum("bij,gbj->gij", arrival, signal)
        for name, immediate in self.parameters.items():
            gradient[name] = np.einsum("sbj,sbj->j", credit, immediate)
        for name, slope in self.delays.items():
            signal = of_drive[self.network.blocks[f"w_{name[6:]}"].gates]
            gradient[name] = np.einsum("gbij,gbj->ij", slope, signal)
        return gradient

    def through_implicit(self, tangent):
        """D·X for X of shape (S, batch, n_rec, …)."""
        return np.einsum("srbj,rbj...->sbj...", self.implicit, tangent)

    def through_explicit(self, observed):
        """Σ_lag R·X^{t−lag}: what earlier changes of the observables do to the states.

        Parameters
        ----------
        observed : sequence of (batch, n_rec, …) ndarrays
            Changes of the observables in the steps before this one, the latest last.

        Returns
        -------
        (S, batch, n_rec, …) ndarray
        """
        extra = (1,) * (observed[-1].ndim - 2)
        total = self.self_edge.reshape(self.self_edge.shape + extra) * observed[-1]
        for lag, weights in self.recurrent.items():
            if lag <= len(observed):
                change = observed[-lag]
                flat = change.reshape(*change.shape[:2], -1).swapaxes(0, 1)
                of_drive = np.tensordot(weights, flat, axes=([1], [0])).swapaxes(1, 2)
                of_drive = of_drive.reshape(len(weights), *change.shape)
                gates = self.network.blocks["w_rec"].gates
                total = total + np.einsum("sgbk,gbk...->sbk...", self.drive[:, gates], of_drive)
        return total

    def observe(self, tangent):
        """q·X, the change of the observables; (batch, n_rec, …) for X of (S, batch, n_rec, …)."""
        return np.einsum("sbj,sbj...->bj...", self.observation, tangent)

    def back_through_implicit(self, credit):
        """Dᵀ·λ for λ of shape (S, batch, n_rec)."""
        return np.einsum("srbj,sbj->rbj", self.implicit, credit)

    def back_through_explicit(self, credit):
        """{lag: Rᵀ·λ}: the credit of the observables at t − lag, (batch, n_rec) each."""
        of_drive = np.einsum("sgbk,sbk->gbk", self.drive, credit)
        of_drive = of_drive[self.network.blocks["w_rec"].gates]
        received = {
            lag: np.sum(of_drive @ weights.swapaxes(1, 2), axis=0)
            for lag, weights in self.recurrent.items()
        }
        of_self_edge = np.einsum("sbk,sbk->bk", self.self_edge, credit)
        received[1] = received.get(1, 0.0) + of_self_edge
        return received


def with_readout(step: Step, before: Step | None, network: Network) -> Step:
    """The step with the output o that the readout sees.

    Where the readout is leaky, o_j^t = κ o_j^{t−1} + gain h_j^t is one more hidden state of the
    unit. So no rule has to know of the filter: the filtered trace F_κ(e) of e-prop is the last
    entry of its eligibility vector, and rules that approximate the influence of a weight
    approximate that on o too.
    """
    kappa, gain = network.kappa, network.readout_gain
    if kappa == 0:
        return evolve(step, output=gain * step.observable, readout=gain * step.observation)
    q = gain * step.observation
    # memory of the output before the first step is 0
    last = 0.0 if before is None else before.output
    output = kappa * last + gain * step.observable  # type: ignore[operator]
    states, _, batch, n_rec = step.implicit.shape
    implicit = np.zeros((states + 1, states + 1, batch, n_rec))
    implicit[:-1, :-1] = step.implicit
    implicit[-1, :-1] = np.einsum("sbj,srbj->rbj", q, step.implicit)
    implicit[-1, -1] = kappa
    readout = np.zeros((states + 1, batch, n_rec))
    readout[-1] = 1

    def with_last(array, last):
        return np.concatenate([array, np.broadcast_to(last, array[:1].shape)])

    return evolve(
        step,
        state=with_last(step.state, output),
        output=output,
        implicit=implicit,
        observation=with_last(step.observation, 0.0),
        readout=readout,
        drive=with_last(step.drive, np.einsum("sbj,sgbj->gbj", q, step.drive)),
        self_edge=with_last(step.self_edge, np.einsum("sbj,sbj->bj", q, step.self_edge)),
    )


class Simulation:
    """The forward pass of a network; the weights may be others in each step.

    Parameters
    ----------
    network : Network
    batch : int
        Number of sequences that run side by side.
    """

    def __init__(self, network: Network, batch: int):
        self.network, self.batch = network, batch
        # each kind of network has cells of its own
        self.cell = network.cell  # type: ignore[attr-defined]
        # None before the first step
        self.last: Step = None  # type: ignore[assignment]
        self._past = {
            "input": _History(np.zeros((batch, network.n_in)), network.delay_in, network.rounded),
            "observable": _History(
                np.zeros((batch, network.n_rec)), network.delay_rec, network.rounded
            ),
            "one": _History(np.ones((batch, 1)), np.zeros((1, 1))),
        }

    def step(self, x, weights, held=None) -> Step:
        """Advance by one step.

        Parameters
        ----------
        x : (batch, n_in) ndarray
        weights : dict of str to ndarray
            As `Network.parameters`.
        held : object, optional
            What the cell takes from elsewhere instead of computing it; see the cell. A Step is
            all of it, with the Jacobians, as another simulator has found it.
        """
        network = self.network
        self._past["input"].append(x)
        arrivals, drive = {}, np.zeros((self.cell.gates, self.batch, network.n_rec))
        for name, block in network.blocks.items():
            arrivals[name] = arrival = self._past[block.source].arrivals()
            if arrival.shape[2] == 1:
                drive[block.gates] += arrival[:, :, 0] @ weights[name]
            else:
                drive[block.gates] += np.einsum("bij,gij->gbj", arrival, weights[name])
        taken = isinstance(held, Step)
        step = held if taken else self.cell.advance(network, self.last, drive, held)
        step = evolve(
            with_readout(step, self.last, network),
            arrivals=arrivals,
            recurrent=_by_lag(network, weights["w_rec"]),
            network=network,
        )
        self.last = step
        self._past["observable"].append(step.observable)
        return step

    def force(self, sent) -> None:
        """Let the recurrent connections carry other values than the observables of the last step.

        Parameters
        ----------
        sent : (batch, n_rec) ndarray
            NaN where a unit sends its own observable. No path leads back through the others
            (teacher forcing; Williams & Zipser 1989).
        """
        unforced = np.isnan(sent)
        observable = np.where(unforced, self.last.observable, sent)
        observation = self.last.observation * unforced
        self.last = evolve(self.last, observable=observable, observation=observation)
        self._past["observable"].replace_last(observable)


class _History:
    """The ring buffer of a signal, from which connections with delays read."""

    def __init__(self, rest, delay, rounded=False):
        self._different = delay.size > 0 and np.any(delay != delay.flat[0])
        self._whole, later = split_delays(delay, rounded)
        self._later = later if np.any(later) else None
        longest = int(self._whole.max(initial=0)) + 1
        self._values = deque([rest] * (longest + 1), maxlen=longest + 1)

    def append(self, value):
        self._values.append(value)

    def replace_last(self, value):
        self._values[-1] = value

    def _sent(self, beyond):
        """What was sent so many steps before that which arrives now."""
        if not self._different:
            return self._values[-1 - int(self._whole.max(initial=0)) - beyond][..., np.newaxis]
        past = np.stack(self._values)[::-1]
        index = np.arange(self._whole.shape[0])[:, np.newaxis]
        return past[self._whole + beyond, :, index].transpose(2, 0, 1)

    def arrivals(self):
        if self._later is None:
            return self._sent(0)
        later = self._later if self._different else self._later.flat[0]
        return (1 - later) * self._sent(0) + later * self._sent(1)

    def slopes(self):
        """∂arrival/∂d, what was sent a step earlier minus what arrives first."""
        return self._sent(1) - self._sent(0)


def with_delays(steps, inputs, names):
    """The steps with ∂u/∂d of connections with delays, so that rules see a delay as a weight.

    ::

        ∂u_j^t/∂d_ij = w_ij (s_i^{t−n−1} − s_i^{t−n}),     n = ⌊d_ij⌋

    s is what is sent, one step later along recurrent connections. This is exact for a signal that
    is split between two steps, and is the derivative to the right where d is whole. Along a
    trajectory of rounded delays it is the slope of the split signal.

    Parameters
    ----------
    steps : list of Step
        All of the sequence.
    inputs : (batch, T, n_in) ndarray
    names : sequence of {"delay_in", "delay_rec"}
    """
    network = steps[0].network
    silent = np.zeros((len(inputs), network.n_rec))
    sent = {
        "delay_in": inputs.swapaxes(0, 1),
        "delay_rec": [silent, *(step.observable for step in steps[:-1])],
    }
    past = {name: _History(np.zeros_like(sent[name][0]), getattr(network, name)) for name in names}
    extended = []
    for t, step in enumerate(steps):
        slopes = {}
        for name, history in past.items():
            history.append(sent[name][t])
            weights = network.parameters[f"w_{name[6:]}"][:, np.newaxis]
            slopes[name] = weights * history.slopes()
        extended.append(evolve(step, delays=slopes))
    return extended


def _by_lag(network, w_rec):
    shares = network.recurrent_shares
    if len(shares) == 1:
        return dict.fromkeys(shares, w_rec)
    return {lag: share * w_rec for lag, share in shares.items()}


def run(network, inputs, held=None, forced=None, weights=None) -> list[Step]:
    """Run the network through sequences.

    Parameters
    ----------
    network : Network
    inputs : (batch, T, n_in) ndarray
    held, forced : sequence of length T, optional
        For each step what :meth:`Simulation.step` and :meth:`Simulation.force` take.
    weights : dict of str to ndarray, optional
        Instead of the network's own.

    Returns
    -------
    list of Step
    """
    simulation, steps = Simulation(network, len(inputs)), []
    weights = network.parameters if weights is None else weights
    for t in range(inputs.shape[1]):
        simulation.step(inputs[:, t], weights, None if held is None else held[t])
        if forced is not None:
            simulation.force(forced[t])
        steps.append(simulation.last)
    return steps
