"""What arrives at the neurons of a graph of NIR, and from where: linear maps and delays made one.

Between neurons a graph has `Affine`, `Linear`, `Scale` and `Delay` nodes in any order, and graphs
inside of graphs. Here they become, for each pair of neurons, one weight and one delay.
"""

import numpy as np
from attrs import define, field, frozen

#: Kinds of nodes, by what they do.
SPIKING, LINEAR = ("LIF", "CubaLIF"), ("Affine", "Linear", "Scale", "Delay")
KNOWN = (*SPIKING, "LI", *LINEAR, "Input", "Output", "NIRGraph")


@frozen
class Path:
    """A way from neurons or inputs to a node.

    Attributes
    ----------
    source : str
    weight : (n, n_source) array
    delay : (n, n_source) array
        In seconds.
    """

    source: str
    weight: np.ndarray
    delay: np.ndarray


@define
class Signals:
    """A graph as a flat one, and what its nodes hear.

    Attributes
    ----------
    nodes : dict of str to NIRNode
        Those of graphs inside have the name of the graph before theirs, ``"layer.neurons"``.
    edges : list of (str, str)
    """

    nodes: dict = field(factory=dict)
    edges: list = field(factory=list)
    _wires: set = field(factory=set)

    @classmethod
    def of(cls, graph):
        """The signals of a NIRGraph.

        Raises
        ------
        ValueError
            For nodes that are not known, and graphs without one input and one output.
        """
        signals = cls()
        signals._add(graph, "")
        signals.edges = list(dict.fromkeys(signals.edges))
        for name in signals.nodes:
            if signals.kind(name) != "Input" and not signals._before(name):
                raise ValueError(f"nothing arrives at the NIR node '{name}'; connect it")
        return signals

    def _add(self, graph, prefix, within=()):
        """Add the nodes of a graph; its input and output stay as nodes that pass all on."""
        ends: dict[str, str] = {}
        inside = {}
        for name, node in graph.nodes.items():
            kind, full = type(node).__name__, prefix + name
            if kind not in KNOWN:
                raise ValueError(
                    f"the NIR node '{full}' is of the kind {kind}, which has no counterpart here; "
                    f"there are {', '.join(KNOWN)}"
                )
            if kind in ("Input", "Output"):
                if kind in ends:
                    raise ValueError(
                        f"the NIR graph has the nodes '{ends[kind]}' and '{full}' of the kind "
                        f"{kind}; give a graph with one"
                    )
                ends[kind] = full
            if kind == "NIRGraph":
                if any(node is outer for outer in (graph, *within)):
                    raise ValueError(f"the NIR graph '{full}' is inside of itself")
                inside[name] = self._add(node, f"{full}.", (graph, *within))
                continue
            if full in self.nodes:
                raise ValueError(
                    f"the NIR graph has two nodes '{full}', one of which is in a graph inside of "
                    "it: give one of them another name"
                )
            self.nodes[full] = node
            if prefix and kind in ("Input", "Output"):
                self._wires.add(full)
        for kind in ("Input", "Output"):
            if kind not in ends:
                raise ValueError(f"the NIR graph {prefix or 'itself'} has no node {kind}; add it")
        for edge in graph.edges:
            if len(edge) != 2:
                raise ValueError(f"the NIR graph has the edge {edge!r}; an edge is (from, to)")
            for name in edge:
                if name not in graph.nodes:
                    raise ValueError(f"an edge of the NIR graph names '{name}', which is no node")
            pre, post = edge
            self.edges.append(
                (
                    inside[pre]["Output"] if pre in inside else prefix + pre,
                    inside[post]["Input"] if post in inside else prefix + post,
                )
            )
        return ends

    def kind(self, name):
        """What a node is: the name of its class; of the ends of inner graphs 'Wire'."""
        return "Wire" if name in self._wires else type(self.nodes[name]).__name__

    def of_kind(self, *kinds):
        """Names of the nodes of these kinds, in the order of the graph."""
        return [name for name in self.nodes if self.kind(name) in kinds]

    def _before(self, name):
        return [pre for pre, post in self.edges if post == name]

    def size(self, name, seen=()):
        """How many signals leave a node.

        Raises
        ------
        ValueError
            If neither the node nor those before it say it, or it has more than one axis.
        """
        node, kind = self.nodes[name], self.kind(name)
        if kind in ("Affine", "Linear"):
            return len(self.weight(name))
        if kind == "Input":
            shape = np.ravel(next(iter(node.input_type.values())))
            if len(shape) != 1:
                raise ValueError(
                    f"the NIR node '{name}' has the shape {shape.tolist()}; inputs are one vector "
                    "here, (n_in,)"
                )
            return int(shape[0])
        parameter = {"Scale": "scale", "Delay": "delay", "LI": "tau", "LIF": "tau"}
        parameter = parameter.get(kind, "tau_mem")
        if kind != "Wire" and kind != "Output":
            values = self.values(name, parameter)
            if values.ndim > 1:
                raise ValueError(
                    f"the NIR node '{name}' has the shape {values.shape}; neurons are one vector "
                    "here, (n,)"
                )
            if values.size > 1:
                return values.size
        for pre in self._before(name):
            if pre not in seen and (size := self.size(pre, (*seen, name))) is not None:
                return size
        if seen:
            return None
        raise ValueError(f"the NIR graph does not say how many neurons '{name}' has")

    def values(self, name, parameter):
        """A parameter of a node, as float64.

        Raises
        ------
        ValueError
            For what is no number, and for numbers that are not finite.
        """
        values = np.asarray(getattr(self.nodes[name], parameter))
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"the NIR node '{name}' has a {parameter} of the type {values.dtype}; expected "
                "real numbers"
            )
        values = values.astype(float)
        if not np.isfinite(values).all():
            raise ValueError(f"the NIR node '{name}' has a {parameter} that is not finite")
        return values

    def vector(self, name, parameter):
        """A parameter of each signal of a node : (n,) array."""
        values, n = np.ravel(self.values(name, parameter)), self.size(name)
        if len(values) not in (1, n):
            raise ValueError(
                f"the NIR node '{name}' has {len(values)} numbers as {parameter}, for {n} signals; "
                "give one, or one for each"
            )
        return np.broadcast_to(values, (n,))

    def weight(self, name):
        """The matrix of a linear map : (n_post, n_pre) array."""
        values = self.values(name, "weight")
        if values.ndim != 2:
            raise ValueError(
                f"the NIR node '{name}' has a weight of the shape {values.shape}; expected "
                "(post, pre)"
            )
        return values

    def arriving(self, name):
        """What arrives at a node : list of Path, one for each source, and the sum of constants.

        Raises
        ------
        ValueError
            For a loop without a neuron, sizes that do not fit, and two delays of one synapse.
        """
        paths, constant = self._arriving(name, ())
        return _joined(name, paths), constant

    def _arriving(self, name, loop):
        paths, constant = [], np.zeros(self.size(name))
        if self.kind(name) in ("Affine", "Linear"):
            constant = np.zeros(self.weight(name).shape[1])
        for pre in self._before(name):
            more, added = self._leaving(pre, loop)
            if len(added) != len(constant):
                raise ValueError(
                    f"the NIR node '{pre}' has {len(added)} signals, but '{name}' takes "
                    f"{len(constant)}"
                )
            paths += more
            constant = constant + added
        return paths, constant

    def _leaving(self, name, loop):
        """What leaves a node: paths from spiking neurons, inputs and integrators, and constants."""
        kind = self.kind(name)
        if kind in (*SPIKING, "LI", "Input"):
            n = self.size(name)
            return [Path(name, np.eye(n), np.zeros((n, n)))], np.zeros(n)
        if name in loop:
            ring = " → ".join((name, *loop[loop.index(name) :][::-1]))
            raise ValueError(
                f"the NIR graph has a loop without a neuron, {ring}, whose signals would go around "
                "in no time; a loop must go through a LIF or CubaLIF node"
            )
        paths, constant = self._arriving(name, (*loop, name))
        if kind in ("Affine", "Linear"):
            weight = self.weight(name)
            paths = [_mapped(name, path, weight) for path in paths]
            constant = weight @ constant
            if kind == "Affine":
                constant = constant + self.vector(name, "bias")
        elif kind == "Scale":
            scale = self.vector(name, "scale")
            paths = [Path(p.source, scale[:, None] * p.weight, p.delay) for p in paths]
            constant = scale * constant
        elif kind == "Delay":
            delay = self.vector(name, "delay")
            paths = [Path(p.source, p.weight, p.delay + delay[:, None]) for p in paths]
        return paths, constant


def _mapped(name, path, weight):
    """A path that goes on through a linear map."""
    own = np.diag(path.weight)
    if np.array_equal(path.weight, np.diag(own)):  # each signal is one of the source
        delay = np.broadcast_to(np.diag(path.delay), weight.shape)
        return Path(path.source, weight * own, delay)
    used = path.weight != 0
    delay = np.where(used, path.delay, -np.inf).max(axis=0)
    if np.any((path.delay != delay) & used):
        raise ValueError(
            f"the NIR node '{name}' adds up spikes of '{path.source}' that come over several "
            "delays; a synapse has one here"
        )
    delay = np.where(used.any(axis=0), delay, 0)
    return Path(
        path.source, weight @ path.weight, np.broadcast_to(delay, (len(weight), len(delay)))
    )


def _joined(name, paths):
    """Paths with those of one source made one."""
    found = {}
    for path in paths:
        if path.source not in found:
            found[path.source] = path
            continue
        one, there, other = found[path.source], found[path.source].weight != 0, path.weight != 0
        if np.any(there & other & (one.delay != path.delay)):
            raise ValueError(
                f"spikes of the NIR node '{path.source}' arrive at '{name}' over two delays at the "
                "same neuron; a synapse has one here"
            )
        delay = np.where(other, path.delay, one.delay)
        found[path.source] = Path(path.source, one.weight + path.weight, delay)
    return list(found.values())
