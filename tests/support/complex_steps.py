"""Gradients of networks of Brian2, by complex steps through the abstract code that Brian2 runs.

Nothing here knows brian_eprop, nor takes a derivative of text: a plain `Network` is run with
states that are complex. Each trained weight w in turn is w + ih with h = 1e-30, and of anything x
that follows, Im x / h is its derivative with respect to w, exact to round-off: there is no
difference of two close numbers in it (Squire & Trapp 1998, SIAM Rev. 40:110,
doi:10.1137/S003614459631241X).

A spike is z = Z + iψ(x) Im x: whether the neuron fires, Z, and in place of the derivative of a
step, the surrogate ψ of the distance x from the threshold. What a spike does, in the reset or
through synapses, it does z times: s → s + z (s_after − s).

The order of a rule counts edges between neurons. So there are levels: on level q is the part of
each derivative that has passed q edges. A spike that arrives at a neuron, and a state that
synapses read from their source, go one level up; the readout is no edge. Order m is the sum of
the first m levels; the last level keeps what leaves it where every path counts.

Covered: equations with any integrator of Brian2, noise, TimedArrays, linked and shared variables,
refractoriness, subgroups, resets, `run_regularly`, events, pathways with delays that write into
neurons or into synapses, sums over synapses, any schedule and several clocks.

Not computed, but refused by NotImplementedError: thresholds with `or`, functions of a user whose
argument has a derivative, random numbers in a reset or where a spike arrives, what a spike
assigns to a variable that all share, event-driven synapses whose source has a derivative, and
objects that are none of these.
"""

from __future__ import annotations

import ast
from functools import cache

import numpy as np
from brian2 import NeuronGroup, PoissonGroup, SpikeGeneratorGroup, Subgroup, Synapses, ms
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import Resetter, Thresholder
from brian2.parsing.statements import parse_statement
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from complex_code import Code, whole_group

INF = float("inf")
#: h. Its square is lost beside 1, and so is every product of two derivatives
STEP = 1e-30


@cache
def distance_and_gates(condition):
    """Of 'v > th and not_refractory': 'v - th', and what else must hold."""
    tree = ast.parse(condition, mode="eval").body
    parts, open_parts = [], [tree]
    while open_parts:
        part = open_parts.pop(0)
        if not isinstance(part, ast.BoolOp):
            parts.append(part)
        elif isinstance(part.op, ast.And):
            open_parts[:0] = part.values
        else:
            raise NotImplementedError(f"a threshold with 'or': {condition}")
    main = next(part for part in parts if isinstance(part, ast.Compare))
    above, below = ast.unparse(main.left), ast.unparse(main.comparators[0])
    if isinstance(main.ops[0], ast.Lt | ast.LtE):
        above, below = below, above
    return f"({above}) - ({below})", [ast.unparse(part) for part in parts if part is not main]


class ComplexSteps:
    """A network of Brian2 with a complex copy of its states for each trained weight.

    Parameters
    ----------
    network : Network
        That has not run yet.
    weights : list of (Synapses, str)
        With the name of the variable, such as 'w'.
    surrogate : callable
        ψ of the distance from the threshold, in SI units.
    readout : NeuronGroup
        With the outputs y; what arrives there is no edge.
    orders : iterable of int or inf
        For which gradients are wanted.

    Attributes
    ----------
    spikes, differentiable : dict of str to int
        Of each group: spikes, and how often a neuron had ψ(x) Im x ≠ 0 for a weight.
    """

    def __init__(self, network, weights, surrogate, readout, orders=(1, 2, INF)):
        network.run(0 * ms)  # makes the code
        self.objects = [obj for obj in network.sorted_objects if obj.active]
        self.surrogate, self.readout, self.orders = surrogate, readout, orders
        self.unbounded = INF in orders
        self.levels = max((m for m in orders if m != INF), default=0) + self.unbounded
        self.sizes = [len(synapses) for synapses, _ in weights]
        self.copies = sum(self.sizes)
        self.arrays, self.events, self.on_their_way = {}, {}, {}
        self.spikes, self.differentiable = {}, {}
        first = 0
        for (synapses, name), size in zip(weights, self.sizes, strict=True):
            array = self.array(synapses.variables[name])
            array[first + np.arange(size), 0, np.arange(size)] += 1j * STEP
            first += size

    def array(self, variable):
        """(copies, levels, n) complex; (1, 1, n) for whole numbers and truth values."""
        if variable not in self.arrays:
            values = np.atleast_1d(variable.get_value())[np.newaxis, np.newaxis]
            if np.issubdtype(values.dtype, np.floating):
                shape = self.copies, self.levels, values.size
                self.arrays[variable] = np.broadcast_to(values, shape).astype(complex, order="C")
            else:
                self.arrays[variable] = values.copy()
        return self.arrays[variable]

    def over_an_edge(self, derivative):
        """One level up. What leaves the last level is lost, unless all paths count."""
        moved = np.zeros_like(derivative)
        moved[:, 1:] = derivative[:, :-1]
        if self.unbounded:
            moved[:, -1] += derivative[:, -1]
        return moved

    def gradients(self, targets):
        """Loss Σ ½ (y − target)² of all steps, and its gradients.

        Parameters
        ----------
        targets : (T, n) ndarray

        Returns
        -------
        loss : float
        gradients : dict
            Order → list with a (synapses,) ndarray for each of the weights.

        Raises
        ------
        FloatingPointError
            If derivatives are of the order of 1e20, whose squares are seen beside numbers.
        """
        clocks = {obj.clock for obj in self.objects}
        shortest = min(float(clock.dt) for clock in clocks)
        every = {clock: round(float(clock.dt) / shortest) for clock in clocks}
        loss = np.zeros((self.copies, self.levels), complex)
        for step in range(len(targets) * every[self.readout.clock]):
            for clock in clocks:
                clock.variables["timestep"].set_value(step // every[clock])
                clock.variables["t"].set_value(step // every[clock] * float(clock.dt))
            for obj in self.objects:
                if step % every[obj.clock] == 0:
                    self.step(obj)
            if step % every[self.readout.clock] == 0:
                outputs = self.array(self.readout.variables["y"])
                target = targets[step // every[self.readout.clock]]
                loss += np.sum((outputs - target) ** 2, -1) / 2
        if np.ptp(loss.real) > 1e-12 * loss.real[0, 0]:
            raise FloatingPointError("a derivative is so large that its square is not lost")
        upto = {m: self.levels if m == INF else m for m in self.orders}
        ends = np.cumsum(self.sizes)[:-1]
        return loss.real[0, 0], {
            m: np.split(loss.imag[:, :n].sum(1) / STEP, ends) for m, n in upto.items()
        }

    def step(self, obj):
        """What an object does in a step."""
        if isinstance(obj, Thresholder):
            self.threshold(obj)
        elif isinstance(obj, Resetter):
            fired, derivative = self.events[obj.group.name, obj.event]
            self.reset(obj, fired + 1j * derivative)
        elif isinstance(obj, SynapticPathway):
            self.arrive(obj)
        elif isinstance(obj, SummedVariableUpdater):
            self.sum_up(obj)
        elif isinstance(obj, SpikeGeneratorGroup):
            obj.run()
            fired = np.isin(np.arange(len(obj)), obj.spikes)
            self.events[obj.name, "spike"] = fired, self.nothing(len(obj))
        elif isinstance(obj, CodeRunner):
            if obj.codeobj is not None:
                first = obj.group.start if isinstance(obj.group, Subgroup) else 0
                Code(self, obj, first + np.arange(len(obj.group))).run()
        elif not isinstance(obj, NeuronGroup | PoissonGroup | Synapses):
            raise NotImplementedError(f"{type(obj).__name__} {obj.name!r}")

    def nothing(self, n):
        """No derivative."""
        return np.zeros((self.copies, self.levels, n))

    def threshold(self, obj):
        """Who fires, and ψ(x) Im x."""
        group, n = obj.group, len(obj.group)
        code = Code(self, obj, np.arange(n))
        *before, last = obj.abstract_code.strip().split("\n")
        code.run("\n".join(before))
        condition = parse_statement(last.strip())[2]

        def holds(text):
            return np.broadcast_to(code.value(text), (*self.nothing(n).shape,))[0, 0] != 0

        fired, derivative = holds(condition), self.nothing(n)
        if obj.event == "spike" and isinstance(group, NeuronGroup):
            distance, gates = distance_and_gates(condition)
            opened = np.all([holds(gate) for gate in gates], axis=0) if gates else True
            x = np.broadcast_to(code.value(distance), derivative.shape)
            derivative = np.where(opened, self.slope(group.name, np.real(x)), 0) * np.imag(x)
            seen = self.differentiable.get(group.name, 0)
            self.differentiable[group.name] = seen + derivative.any((0, 1)).sum()
            self.spikes[group.name] = self.spikes.get(group.name, 0) + fired.sum()
            if group._refractory is not False:
                self.array(group.variables["not_refractory"])[..., fired] = False
                self.array(group.variables["lastspike"])[..., fired] = (
                    group.clock.variables["t"].get_value().item()
                )
        self.events[group.name, obj.event] = fired, derivative

    def slope(self, name, distance):
        """ψ of the neurons of a group."""
        return self.surrogate(distance)

    def reset(self, obj, spikes):
        """A reset, z times."""
        Code(self, obj, np.arange(len(obj.group)), spikes).run()

    def arrive(self, obj):
        """Send spikes off, and let those arrive whose delay is over."""
        fired, derivative = self.events[whole_group(obj.source).name, obj.event]
        if whole_group(obj.target) is not self.readout:
            derivative = self.over_an_edge(derivative)
        sources = obj.synapse_sources.get_value()
        if obj not in self.on_their_way:
            steps = np.round(obj.variables["delay"].get_value() / float(obj.source.clock.dt))
            delays = np.broadcast_to(steps, len(sources)).astype(int)
            waiting = [self.nothing(len(sources)) + 0j for _ in range(delays.max(initial=0))]
            self.on_their_way[obj] = delays, waiting
        delays, waiting = self.on_their_way[obj]
        waiting.append(self.nothing(len(sources)) + 0j)
        for delay in np.unique(delays):
            these = delays == delay
            waiting[delay][..., these] = (fired + 1j * derivative)[..., sources[these]]
        spikes = waiting.pop(0)
        arriving = np.flatnonzero(spikes.any((0, 1)))
        if len(arriving) and obj.codeobj is not None:
            event_driven = "lastupdate" in obj.synapses.variables
            if event_driven and np.any(spikes.imag):
                raise NotImplementedError(f"derivatives through event-driven {obj.synapses.name!r}")
            Code(self, obj, arriving, spikes[..., arriving]).run()

    def sum_up(self, obj):
        """A variable is the sum over synapses of an expression."""
        code = Code(self, obj, np.arange(len(obj.group)))
        values = code.value(obj.abstract_code.split("=", 1)[1].strip())
        target, shape = self.array(obj.target_var), self.nothing(len(obj.group)).shape
        where = obj.template_kwds["_index_var"].get_value()
        start = obj.target.start if isinstance(obj.target, Subgroup) else 0
        target[..., start : start + len(obj.target)] = 0
        np.add.at(target, (..., where), np.broadcast_to(values, shape))
