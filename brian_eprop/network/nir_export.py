"""A recurrent network as a graph of NIR, the intermediate representation that tools exchange."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attrs import field, frozen
from scipy.sparse import issparse

from ..checks import flag, missing, one_of
from ..neurons.neuron_model import load_model
from ..quantities import quantity
from .constraining import checked_matrices
from .parameters import checked_parameters
from .projections import spans
from .recurrent import RecurrentNetwork
from .reference_conversion import DYNAMICS, check_dense
from .structures import with_values

if TYPE_CHECKING:
    import nir


def to_nir(
    network: RecurrentNetwork,
    *,
    outputs: Literal["readout", "spikes"] = "readout",
    approximate: bool = False,
) -> nir.NIRGraph:
    r"""The graph of NIR that computes as the network does.

    The graph is ``input → w_in → neurons → w_out → readout → output``, where neurons are a ``LIF``
    or ``CubaLIF`` node, or a graph of it and ``w_rec`` around it, and the readout is an ``LI``;
    there are ``Delay`` nodes before or after the weights, which are NIR's (post, pre), 0 where
    there is no synapse. NIR has no time step: with that of the network, forward Euler
    of the graph is the network to round-off, if spikes of a step count as a current of 1 in it,
    go around loops in one step, and reset the membrane in the step in which it fires. So compute
    snnTorch (whose dt is 0.1 ms), Norse and SpikingJelly. What is exact here and Euler there has
    the time constant that makes the factors of a step equal, τ = dt/(1 − exp(−dt/tau)).

    Parameters
    ----------
    network : RecurrentNetwork
        Of the models ``"nir_lif"`` and ``"nir_cuba_lif"``; of others with ``approximate``.
    outputs : {"readout", "spikes"}
        What comes out of the graph; with spikes it has no LI, which snnTorch and SpikingJelly do
        not read.
    approximate : bool
        Whether to leave out of lif, alif, cuba_lif and cuba_alif what NIR cannot say: how they
        reset, refractoriness, adaptation. ``graph.metadata["left_out"]`` is a list of it.

    Returns
    -------
    nir.NIRGraph
        ``nir.write("network.nir", graph)`` makes a file of it. Its metadata have ``dt`` in seconds.

    Raises
    ------
    ImportError
        Without the package nir.
    ValueError
        For what NIR cannot say, by name: other neurons, delays that are not the same for all
        synapses from a neuron or for all onto a neuron, spikes of two kinds of neurons at once.
    """
    if not isinstance(network, RecurrentNetwork):
        raise TypeError(f"to_nir.network = {network!r} is not a RecurrentNetwork; give one")
    one_of("to_nir.outputs", outputs, ("readout", "spikes"))
    flag("to_nir.approximate", approximate)
    try:
        import nir
    except ImportError as error:
        raise missing("to_nir", "nir") from error
    d = network.description
    check_dense(d, "NIR")
    d = d.with_parameters(checked_parameters(d, network.parameters))
    weights = {
        name: _dense(matrix) * _dense(d.connectivity[name])
        for name, matrix in checked_matrices(d, network.weights).items()
        if name != "feedback"
    }
    parts = [_part(d, k, span) for k, span in enumerate(spans(d))]
    left_out = [f"population {k} ({p.model.name}): {text}" for k, p in enumerate(d.populations)
                for text in parts[k].left_out]  # fmt: skip
    if left_out and not approximate:
        raise ValueError(
            f"NIR cannot say all of the network: {'; '.join(left_out)}; make it of the models "
            "'nir_lif' or 'nir_cuba_lif', or leave this out with approximate=True"
        )
    graph = _Graph(nir, d)
    names = graph.add_neurons(parts)
    units = np.concatenate([np.full(len(part.columns), part.unit) for part in parts])
    for name, columns in names.items():
        bias = np.concatenate([p.bias for p in parts if p.kind == graph.kinds[name]])
        graph.connect("w_in", "input", name, weights["w_in"] * units, slice(None), columns, bias)
    for pre, rows in names.items():
        for post, columns in names.items():
            graph.connect("w_rec", pre, post, weights["w_rec"] * units, rows, columns)
    if outputs == "readout":
        for name, rows in names.items():
            graph.connect("w_out", name, "readout", weights["w_out"], rows, slice(None))
        graph.add_readout()
    elif len(names) > 1:
        raise ValueError(
            "to_nir.outputs = 'spikes': an output of NIR is one node, but the network has LIF and "
            "CubaLIF neurons; choose outputs='readout'"
        )
    last = "readout" if outputs == "readout" else next(iter(names))
    return graph.finished(last, left_out)


@frozen
class _Part:
    """The neurons of a population as NIR has them.

    Attributes
    ----------
    kind : {"LIF", "CubaLIF"}
    columns : (n,) int array
        Which neurons of the network they are.
    values : dict of str to (n,) array
    unit : float
        A current of NIR per weight of the network.
    bias : (n,) array
    left_out : list of str
    """

    kind: str
    columns: np.ndarray
    values: dict
    unit: float
    bias: np.ndarray
    left_out: list = field(factory=list)


def _part(description, number, span):
    """The population of that number; an error if NIR has no such neurons."""
    d, population = description, description.populations[number]
    columns, kind = np.arange(d.n_rec)[span], _kind(population, number)
    values = {
        name: np.broadcast_to(np.asarray(value, dtype=float), (population.count,))
        for name, value in population.parameters.items()
    }
    unit = float(quantity(f"1*{population.model.weight_unit}"))
    zero, dt = np.zeros(population.count), float(d.dt)
    if kind in ("nir_lif", "nir_cuba_lif"):
        names = {"v_leak": "E_L", "v_threshold": "v_th", "v_reset": "v_reset", "r": "R"}
        found = {theirs: values[ours] for theirs, ours in names.items()}
        if kind == "nir_lif":
            found["tau"] = values["tau_m"]
            return _Part("LIF", columns, found, unit, values["I_ext"])
        found |= {"tau_mem": values["tau_m"], "tau_syn": values["tau_syn"], "w_in": values["gain"]}
        return _Part("CubaLIF", columns, found, unit, values["I_ext"])
    left_out = []
    if np.any(values["t_ref"] > dt):
        left_out.append(f"refractoriness t_ref of up to {population.parameters['t_ref'].max()!s}")
    if "tau_a" in values and np.any(values["beta"] != 0):
        left_out.append("the adaptation of the threshold, tau_a and beta")
    if kind in ("lif", "alif"):
        left_out.append("the reset by v_th, one step later: v is 0 after a spike, at once")
        tau = _euler(values["tau_m"], dt)
        # a weight is what is added to the membrane
        found = {"tau": tau, "r": tau / dt, "v_leak": zero, "v_reset": zero}
        return _Part("LIF", columns, found | {"v_threshold": values["v_th"]}, unit, zero, left_out)
    left_out.append("the exact solution: currents and membranes are those of forward Euler")
    tau_syn = _euler(values["tau_syn"], dt)
    found = {
        "tau_mem": _euler(values["tau_m"], dt),
        "tau_syn": tau_syn,
        "r": values["tau_m"] / values["C_m"],
        "w_in": tau_syn / dt,
        "v_leak": values["E_L"] + values["I_ext"] * values["tau_m"] / values["C_m"],
        "v_threshold": values["v_th"],
        "v_reset": values["v_reset"],
    }
    return _Part("CubaLIF", columns, found, unit, zero, left_out)


def _kind(population, number):
    """The name of the model that comes with the package and moves as the population does."""
    model, method = population.model, population.overrides.get("method", population.model.method)
    for name in ("nir_lif", "nir_cuba_lif", "lif", "alif", "cuba_lif", "cuba_alif"):
        published = load_model(name)
        same = all(getattr(model, part) == getattr(published, part) for part in DYNAMICS)
        if same and (method == published.method or name.startswith("cuba")):
            return name
    raise ValueError(
        f"NIR has no neuron that moves as population {number} does, the model '{model.name}' with "
        f"the method '{method}'; its neurons LIF and CubaLIF are the models 'nir_lif' and "
        "'nir_cuba_lif'"
    )


def _euler(tau, dt):
    """The time constant whose factor of a step by forward Euler, 1 − dt/τ, is exp(−dt/tau)."""
    return dt / -np.expm1(-dt / tau)


class _Graph:
    """Nodes and edges that are added one after the other.

    Attributes
    ----------
    kinds : dict of str to str
        Kind of each node of neurons, by its name.
    """

    def __init__(self, nir, description):
        self._nir, self._description, self.kinds = nir, description, {}
        self._nodes: dict[str, Any] = {"input": nir.Input(np.array([description.n_in]))}
        self._edges: list[tuple[str, str]] = []

    def add_neurons(self, parts):
        """One node for all neurons of a kind : dict of str to (n,) array, which those are."""
        found, kinds = {}, list(dict.fromkeys(part.kind for part in parts))
        for kind in kinds:
            name = "neurons" if len(kinds) == 1 else kind.lower()
            own = [part for part in parts if part.kind == kind]
            values = {n: np.concatenate([part.values[n] for part in own]) for n in own[0].values}
            self._nodes[name], self.kinds[name] = getattr(self._nir, kind)(**values), kind
            found[name] = np.concatenate([part.columns for part in own])
        return found

    def add_readout(self):
        """dy/dt = −y/tau_out: a spike adds its weight, or the gain 1 − κ of it."""
        d = self._description
        tau = np.full(d.n_out, _euler(float(d.tau_out), float(d.dt)))
        r = np.ones(d.n_out) if d.normalize else tau / float(d.dt)
        self._nodes["readout"] = self._nir.LI(tau=tau, r=r, v_leak=np.zeros(d.n_out))

    def connect(self, name, pre, post, weights, rows, columns, bias=None):
        """Add the synapses of a block of a weight matrix, if there are any, with their delays."""
        d = self._description
        mask = _dense(d.connectivity[name])[rows][:, columns]
        biased = bias is not None and np.any(bias != 0)
        if not mask.any() and not biased:
            return
        weight = weights[rows][:, columns].T
        steps = _dense(with_values(d.connectivity[name], d.delay_steps(name)))[rows][:, columns]
        before, after = _delays(name, steps, mask)
        if len(self.kinds) > 1:
            ends = (pre, post) if name == "w_rec" else (post,) if name == "w_in" else (pre,)
            name = "_".join((name, *ends))
        nodes = [(name, self._nir.Affine(weight, bias) if biased else self._nir.Linear(weight))]
        for place, delays in ((0, before), (2, after)):
            if delays.any():
                node = self._nir.Delay(delays * float(d.dt))
                nodes.insert(place, (f"{name}_delay", node))
        self._nodes |= dict(nodes)
        names = [pre, *(name for name, _ in nodes), post]
        self._edges += list(itertools.pairwise(names))

    def finished(self, last, left_out):
        """The graph whose output is that of a node."""
        d, node = self._description, self._nodes[last]
        self._nodes["output"] = self._nir.Output(node.output_type)
        if len(self.kinds) == 1:
            self._nest(d.n_rec)
        # nodes in the order of their signals: NIRTorch 2.6 visits no graph twice
        first = [name for name in self._nodes if name == "input" or name.startswith("w_in")]
        self._nodes = {name: self._nodes[name] for name in dict.fromkeys([*first, *self._nodes])}
        metadata = {"dt": float(d.dt), "written_by": "brian_eprop"}
        if left_out:
            metadata["left_out"] = left_out
        edges = [*self._edges, (last, "output")]
        return self._nir.NIRGraph(self._nodes, edges, metadata)

    def _nest(self, n):
        """Make neurons and the loop around them one graph, as tools with recurrent layers have it.

        In a flat one snnTorch 1.0 takes inputs of the neurons for inputs of ``w_rec``.
        """
        loop = {name: node for name, node in self._nodes.items() if name.startswith("w_rec")}
        if not loop:
            return
        kind = self.kinds["neurons"].lower()
        ends = {"input": self._nir.Input(np.array([n])), "output": self._nir.Output(np.array([n]))}
        inside = [edge for edge in self._edges if set(edge) & set(loop)]
        edges = [tuple(kind if end == "neurons" else end for end in edge) for edge in inside]
        edges += [("input", kind), (kind, "output")]
        nodes = {kind: self._nodes["neurons"], **loop, **ends}
        self._nodes = {name: node for name, node in self._nodes.items() if name not in loop}
        self._nodes["neurons"] = self._nir.NIRGraph(nodes, edges, {})
        self._edges = [edge for edge in self._edges if edge not in inside]


def _delays(name, steps, mask):
    """Delays of the neurons from which, and onto which the synapses go; one of them is 0.

    Raises
    ------
    ValueError
        If they are not the same for all synapses from each neuron, or onto each.
    """
    for axis in (1, 0):
        longest = np.where(mask, steps, 0).max(axis=axis)
        if np.array_equal(np.where(mask, np.expand_dims(longest, axis), 0), mask * steps):
            return (longest, np.zeros(mask.shape[1])) if axis else (np.zeros(len(mask)), longest)
    raise ValueError(
        f"RecurrentNetwork.delays['{name}'] differ from synapse to synapse, but a delay of NIR is "
        "one of a neuron's spikes, or of all that arrives at a neuron; make the rows or the "
        "columns of the matrix equal"
    )


def _dense(matrix):
    return matrix.toarray() if issparse(matrix) else matrix
