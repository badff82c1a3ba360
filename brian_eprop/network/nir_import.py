"""A recurrent network from a graph of NIR."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve
from brian2 import Quantity, amp, ohm, second, volt

from ..checks import FilePath, check_time, missing
from .nir_signals import SPIKING, Signals
from .recurrent import RecurrentNetwork

if TYPE_CHECKING:
    import nir

#: Two numbers that are to be the same, one of which may have been float32.
ROUNDING = 1e-6


def from_nir(
    graph: nir.NIRGraph | FilePath, dt: Quantity | None = None, **options: Any
) -> RecurrentNetwork:
    r"""A network that computes as a graph of NIR does, and can be trained.

    ``LIF`` and ``CubaLIF`` nodes become populations of the models ``"nir_lif"`` and
    ``"nir_cuba_lif"``, in the order of the graph, with NIR's numbers in SI units; the linear maps
    and delays between them become ``w_in``, ``w_rec`` and ``w_out``, where an entry of 0 is no
    synapse, and constants the current ``I_ext``. NIR has no time step: the network is the graph's
    forward Euler with steps dt, an incoming spike being a current of 1 for a step, as in
    :func:`to_nir`.

    Connections within a loop take one step, besides their ``Delay``; so does each layer of
    neurons, which acts at once in other tools: outputs then come as many steps later as there are
    layers before, with a warning that says so, and are otherwise the same. Around a loop through
    several nodes other tools go in one step, so that there a network fires otherwise, of which a
    warning tells. An ``LI`` before the output is the readout. A graph whose output is spikes gets
    one, which adds up these spikes with the leak ``tau_out``.

    Parameters
    ----------
    graph : nir.NIRGraph, str or Path
        Or a file that ``nir.write`` has written.
    dt : Quantity, optional
        Graphs of :func:`to_nir` say it. snnTorch exports with 0.1 ms.
    **options
        Of :class:`RecurrentNetwork`, but for what the graph says: rule, optimizer, loss, …

    Returns
    -------
    RecurrentNetwork

    Raises
    ------
    ImportError
        Without the package nir.
    ValueError
        For nodes that are not known, loops without a neuron, another dt than that of the graph,
        delays that are no multiples of it, time constants below it, and readouts that leak to
        another value than 0.
    """
    try:
        import nir
    except ImportError as error:
        raise missing("from_nir", "nir") from error
    if not isinstance(graph, nir.NIRGraph):
        if not isinstance(graph, str | os.PathLike):
            raise TypeError(f"from_nir.graph = {graph!r} is no NIRGraph, nor the path of a file")
        graph = _read(nir, graph)
    dt = _time_step(graph, dt)
    signals = Signals.of(graph)
    made = _Arguments(signals, dt)
    if graph.metadata.get("written_by") != "brian_eprop":
        made.warn_of_loops()
    arguments = made.made()
    for name in options:
        if name in arguments:
            raise ValueError(f"from_nir: the graph says what '{name}' is; leave it out")
    return RecurrentNetwork(**arguments, **options)


def _read(nir, path):
    """The graph in a file."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no file '{path}'; give one that nir.write has written")
    try:
        return nir.read(path)
    # nir asserts what it expects, and builds nodes from what it finds
    except Exception as error:
        said = str(error) or "a node is of a kind that it does not know"
        raise ValueError(f"the file '{path}' is no graph of NIR that nir reads: {said}") from error


def _time_step(graph, dt):
    """The time step that is given, or that of the graph, which must not be another one."""
    written = graph.metadata.get("dt")
    if dt is None and written is None:
        raise ValueError(
            "from_nir.dt is missing: a NIR graph has no time step, and this one was not written by "
            "to_nir; give that of the tool which has trained it, such as dt=0.1*ms for snnTorch"
        )
    if dt is not None:
        check_time("from_nir.dt", dt)
    if written is not None:
        try:
            written = float(written)
        except (TypeError, ValueError):
            written = np.nan
        if not 0 < written < np.inf:
            raise ValueError(
                f"the NIR graph has metadata['dt'] = {graph.metadata['dt']!r}; expected the time "
                "step in seconds: mend it, or delete it and give dt"
            )
        written *= second
        if dt is not None and abs(dt / written - 1) > ROUNDING:
            raise ValueError(
                f"from_nir.dt = {dt!s}, but the graph was made for steps of {written!s}, with "
                "which its numbers are exact; leave dt out"
            )
        dt = written
    return dt


class _Arguments:
    """What :class:`RecurrentNetwork` is made of."""

    def __init__(self, signals, dt):
        self.signals, self.dt = signals, dt
        self.neurons = signals.of_kind(*SPIKING)
        if not self.neurons:
            raise ValueError("the NIR graph has no neurons that spike, LIF or CubaLIF")
        self.sizes = {name: signals.size(name) for name in self.neurons}
        ends = np.cumsum(list(self.sizes.values()))
        self.spans = {
            name: slice(end - self.sizes[name], end)
            for name, end in zip(self.neurons, ends, strict=True)
        }
        self.input, self.output = signals.of_kind("Input")[0], signals.of_kind("Output")[0]
        self.arriving = {name: signals.arriving(name) for name in self.neurons}
        for name, (paths, _) in self.arriving.items():
            self._check_sources(name, paths, (*self.neurons, self.input))

    def warn_of_loops(self):
        """Warn of loops through several nodes, around which other tools go in one step."""
        nodes = [
            post
            for post, (paths, _) in self.arriving.items()
            if any(p.source != post and self._looped(p.source, post) for p in paths)
        ]
        if nodes:
            warnings.warn(
                f"the NIR nodes {', '.join(nodes)} are a loop, in which each connection takes a "
                "step here; snnTorch, Norse and SpikingJelly go around it in one step, so that "
                "these neurons fire otherwise there. One layer with recurrent weights is the same "
                "in all",
                stacklevel=3,
            )

    def made(self):
        """The arguments : dict."""
        readout, target, paths = self._readout()
        late = self._late()
        end = max([0] + [int(late[p.source] - self._steps(p).min()) for p in paths])
        if end or any(late.values()):
            warnings.warn(
                f"layers of the NIR graph take a step each here: outputs come {end} steps later "
                "than in tools where they act at once. Give targets as much later",
                stacklevel=3,
            )
        n_in, n_rec = self.signals.size(self.input), sum(self.sizes.values())
        n_out = self.signals.size(target)
        weights = {
            "w_in": np.zeros((n_in, n_rec)),
            "w_rec": np.zeros((n_rec, n_rec)),
            "w_out": np.zeros((n_rec, n_out)),
        }
        steps = {name: np.zeros(matrix.shape, dtype=int) for name, matrix in weights.items()}
        for post, (found, _) in self.arriving.items():
            for path in found:
                if path.source == self.input:
                    place, added = ("w_in", slice(None), self.spans[post]), late[post]
                else:
                    place = ("w_rec", self.spans[path.source], self.spans[post])
                    looped = self._looped(path.source, post)
                    added = 0 if looped else late[post] - late[path.source] - 1
                self._place(weights, steps, place, path, added)
        for path in paths:
            place = ("w_out", self.spans[path.source], slice(None))
            self._place(weights, steps, place, path, end - late[path.source])
        weights["w_out"] *= readout.pop("gain", 1.0)
        connectivity = {name: matrix != 0 for name, matrix in weights.items()}
        delays = {
            name: np.where(connectivity[name], values, 0) * self.dt
            for name, values in steps.items()
            if np.any(values[connectivity[name]])
        }
        return readout | {
            "neurons": [self._population(name) for name in self.neurons],
            "n_in": n_in,
            "n_rec": n_rec,
            "n_out": n_out,
            "dt": self.dt,
            "weights": weights,
            "connectivity": connectivity,
            "delays": delays,
        }

    def _place(self, weights, steps, place, path, added):
        """Write a path into a block of a matrix."""
        name, rows, columns = place
        weights[name][rows, columns] = path.weight.T
        steps[name][rows, columns] = self._steps(path).T + added

    def _steps(self, path):
        """Delays in steps; an error unless they are whole."""
        steps = path.delay / float(self.dt)
        wrong = (np.abs(steps - np.rint(steps)) > ROUNDING * np.maximum(1, steps)) | (steps < 0)
        if wrong.any():
            raise ValueError(
                f"a delay of spikes of the NIR node '{path.source}' is {path.delay[wrong][0]} s, "
                f"not a multiple of dt = {self.dt!s}; give another dt"
            )
        return np.rint(steps).astype(int)

    def _looped(self, pre, post):
        """Whether a connection is part of a loop, so that other tools give it a step too."""
        found, waiting = set(), [post]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [
                    n
                    for n, (paths, _) in self.arriving.items()
                    if name in {p.source for p in paths}
                ]
        return pre in found

    def _late(self):
        """By how many steps the neurons of each node are later here : dict of str to int."""
        late = dict.fromkeys((self.input, *self.neurons), 0)
        for _ in self.neurons:
            for post, (paths, _) in self.arriving.items():
                for path in paths:
                    if path.source == self.input:
                        continue
                    if self._looped(path.source, post):
                        least = late[path.source]
                    else:
                        least = late[path.source] + 1 - int(self._steps(path).min())
                    late[post] = max(late[post], least)
        return late

    def _readout(self):
        """Arguments of the readout, the node of its outputs, and the paths to it."""
        paths, constant = self.signals.arriving(self.output)
        if len(paths) == 1 and self.signals.kind(paths[0].source) == "LI":
            (path,), target = paths, paths[0].source
            self._check_plain(path, constant)
            # a sum of what comes later is the sum, later
            later = np.diag(path.delay)[:, None]
            paths, constant = self.signals.arriving(target)
            paths = [evolve(p, delay=p.delay + later) for p in paths]
            self._check_sources(target, paths, self.neurons)
            if np.any(constant):
                raise ValueError(
                    f"a constant arrives at the readout of the NIR graph, '{target}', which has "
                    "spikes alone as input here; take the bias out, and add what it comes to to y"
                )
            return self._leak(target), target, paths
        self._check_sources(self.output, paths, self.neurons)
        for path in paths:
            self._check_plain(path, constant)
        return {}, self.output, paths

    def _check_plain(self, path, constant):
        """Raise an error for an output that is another one than signals as they are."""
        n = len(path.weight.T)
        if not np.array_equal(path.weight, np.eye(n)) or np.any(constant):
            raise ValueError(
                f"the output of the NIR graph is a linear map of '{path.source}', which has no "
                "counterpart here; end with neurons, or with an LI, which becomes the readout"
            )

    def _check_sources(self, name, paths, allowed):
        for path in paths:
            if path.source not in allowed:
                raise ValueError(
                    f"the NIR node '{name}' hears '{path.source}', "
                    f"{self.signals.kind(path.source)}; it can hear {', '.join(allowed)} here: "
                    "inputs and integrators go through neurons that spike"
                )
        if not paths:
            raise ValueError(f"no spikes arrive at the NIR node '{name}'; connect it")

    def _leak(self, name):
        """An LI as arguments of a network.

        ::

            y ← (1 − dt/τ) y + r dt/τ Σ w z
        """
        dt = float(self.dt)
        tau, r, leak = (
            self.signals.vector(name, parameter) for parameter in ("tau", "r", "v_leak")
        )
        if np.any(leak != 0) or np.any(np.abs(tau - tau[0]) > ROUNDING * tau[0]):
            raise ValueError(
                f"the readout of the NIR graph, '{name}', has v_leak = {leak} and tau = {tau} s; "
                "here it leaks to 0, with one time constant"
            )
        self._check_tau(name, tau)
        tau_out = dt / -np.log1p(-dt / tau[0]) * second
        if np.all(r == 1):
            return {"tau_out": tau_out, "normalize": True}
        return {"tau_out": tau_out, "gain": r * dt / tau}

    def _check_tau(self, name, tau):
        """Raise an error for a time constant that steps of dt cannot follow."""
        if np.any(tau <= float(self.dt)):
            raise ValueError(
                f"the NIR node '{name}' has a time constant of {tau.min()} s, not above dt = "
                f"{self.dt!s}, by which forward Euler is no decay; give a smaller dt"
            )

    def _population(self, name):
        """Model, number of neurons and parameters of a node."""
        kind, n = self.signals.kind(name), self.sizes[name]
        names = {"E_L": ("v_leak", volt), "v_th": ("v_threshold", volt)}
        names |= {"v_reset": ("v_reset", volt), "R": ("r", ohm)}
        if kind == "LIF":
            model, names = "nir_lif", names | {"tau_m": ("tau", second)}
        else:
            model, names = "nir_cuba_lif", names | {"tau_m": ("tau_mem", second)}
            names |= {"tau_syn": ("tau_syn", second), "gain": ("w_in", 1)}
        values = {}
        for ours, (theirs, unit) in names.items():
            value = self.signals.vector(name, theirs)
            if ours.startswith("tau"):
                self._check_tau(name, value)
            values[ours] = _one_if_alike(value) * unit
        values["I_ext"] = _one_if_alike(self.arriving[name][1]) * amp
        return model, n, values


def _one_if_alike(values):
    """One value if all neurons have it, or an array."""
    return float(values[0]) if np.all(values == values[0]) else np.array(values)
