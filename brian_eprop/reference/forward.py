"""The forward pass: a network advanced step by step, with delays and teacher forcing."""

from __future__ import annotations

from collections import deque

import numpy as np
from attrs import evolve

from .rate import RateNetwork
from .spiking import SpikingNetwork
from .step import Step, with_readout


class Simulation:
    """The forward pass of a network; the weights may be others in each step.

    Parameters
    ----------
    network : Network
    batch : int
        Number of sequences that run side by side.
    """

    def __init__(self, network: SpikingNetwork | RateNetwork, batch: int):
        self.network, self.batch = network, batch
        # None before the first step
        self.last: Step = None  # type: ignore[assignment]
        self._past = {
            "input": _History(np.zeros((batch, network.n_in)), network.delay_in),
            "observable": _History(np.zeros((batch, network.n_rec)), network.delay_rec),
            "one": _History(np.ones((batch, 1)), np.zeros((1, 1), int)),
        }

    def step(self, x, weights, held=None) -> Step:
        """Advance by one step.

        Parameters
        ----------
        x : (batch, n_in) ndarray
        weights : dict of str to ndarray
            As `Network.parameters`.
        held : object, optional
            What the cell takes from elsewhere instead of computing it; see the cell.
        """
        network = self.network
        self._past["input"].append(x)
        arrivals, drive = {}, np.zeros((network.cell.gates, self.batch, network.n_rec))
        for name, block in network.blocks.items():
            arrivals[name] = arrival = self._past[block.source].arrivals()
            if arrival.shape[2] == 1:
                drive[block.gates] += arrival[:, :, 0] @ weights[name]
            else:
                drive[block.gates] += np.einsum("bij,gij->gbj", arrival, weights[name])
        # the cell is that of this kind of network
        step = network.cell.advance(network, self.last, drive, held)  # type: ignore[arg-type]
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

    def __init__(self, rest, delay):
        self._different = delay.size > 0 and np.any(delay != delay.flat[0])
        self._delay = delay
        longest = int(delay.max(initial=0))
        self._values = deque([rest] * (longest + 1), maxlen=longest + 1)

    def append(self, value):
        self._values.append(value)

    def replace_last(self, value):
        self._values[-1] = value

    def arrivals(self):
        if not self._different:
            # all delays are the longest one
            return self._values[0][..., np.newaxis]
        past = np.stack(self._values)[::-1]
        index = np.arange(self._delay.shape[0])[:, np.newaxis]
        return past[self._delay, :, index].transpose(2, 0, 1)


def _by_lag(network, w_rec):
    lags = network.recurrent_lags
    if len(lags) == 1:
        return dict.fromkeys(lags, w_rec)
    return {lag: np.where(mask, w_rec, 0.0) for lag, mask in lags.items()}


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
