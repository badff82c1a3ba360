"""Networks in which states are summed up, in Brian2 and once more in NumPy.

The NumPy twin knows no derivative but ψ: one weight has an imaginary part of 1e-30, and the
imaginary part of what follows is the derivative (complex step, to round-off). A spike has that of
its distance to the threshold, times ψ. For order m what the sources of sums have is given, and
what varied in it is put in in the next of m runs; for order ∞ it varies in the same run.
"""

import math

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    ms,
    mV,
    seed,
    start_scope,
    volt,
)

from brian_eprop import EProp, Learner, Loss, PiecewiseLinear, TrainableSynapses

STEP = 1e-30
T = 30
FUNCTIONS = {name: getattr(np, name) for name in ("tanh", "exp", "cos")}
RNG = np.random.default_rng(3)


class RateNetwork:
    """4 given signals → 3 rate units that sum up each other, with a loss on them.

    Parameters
    ----------
    forward, recurrent : str
        What is summed up, with the weight w and the states r_pre and r_post.
    order, engine
        Of learning.
    density : float
        Of the connections.
    within : int, optional
        Instead of one trial: windows of so many steps.
    """

    n_in, n, tau = 4, 3, 10.0

    def __init__(
        self,
        forward="w*r_pre",
        recurrent="w*r_pre",
        order=1,
        engine="credit",
        density=1,
        within=None,
    ):
        self.forms = {"forward": forward, "recurrent": recurrent}
        self.order = order
        rng = np.random.default_rng(1)
        self.signals, self.data = rng.random((T, self.n_in)), rng.random((T, self.n))
        self.start = 0.3 * rng.random(self.n)
        self.weights, self.pairs = {}, {}
        for name, n_pre in (("forward", self.n_in), ("recurrent", self.n)):
            there = rng.random((n_pre, self.n)) < density
            self.pairs[name] = np.nonzero(there)
            self.weights[name] = rng.standard_normal(there.sum())
        start_scope()
        defaultclock.dt = 1 * ms
        names = {"SIGNAL": TimedArray(self.signals, dt=1 * ms)}
        source = NeuronGroup(self.n_in, "r = SIGNAL(t, i) : 1", namespace=names)
        equations = "dr/dt = (-r + tanh(I + J))/(10*ms) : 1\nI : 1\nJ : 1"
        self.group = NeuronGroup(self.n, equations, method="euler", name="units")
        self.group.r = self.start
        data = TimedArray(self.data, dt=1 * ms)
        loss = Loss(self.group, "0.5*(r - data(t, i))**2", namespace={"data": data})
        rule = EProp(order=order, engine=engine)
        times = {"update_every": within * ms} if within else {"reset_every": T * ms}
        self.learner = Learner(rule=rule, losses=[loss], **times)
        self.synapses = {}
        made_of = [("forward", source, "I"), ("recurrent", self.group, "J")]
        # Traces know of the sums that are there when their synapses are created
        for name, sources, variable in sorted(
            made_of, key=lambda m: "post" not in self.forms[m[0]]
        ):
            model = f"w : 1\n{variable}_post = {self.forms[name]} : 1 (summed)"
            made = TrainableSynapses(
                sources, self.group, model, learner=self.learner, name=name, namespace=names
            )
            made.connect(i=self.pairs[name][0], j=self.pairs[name][1])
            made.w = self.weights[name]
            self.synapses[name] = made
        self.network = Network(source, self.group, self.learner.readout, *self.synapses.values())

    def run(self):
        """The gradients of Brian2: {name: array}."""
        self.network.run(T * ms)
        return {name: np.array(s.grad[:]) for name, s in self.synapses.items()}

    def expected(self):
        """The gradients of the twin."""
        return _gradients(self, self.weights, self.order)

    def simulate(self, weights, sources):
        """The loss, and what sources have in each step.

        Parameters
        ----------
        sources : list of array, or None
            What is summed up in each step; None for what the units have.
        """
        r, loss, seen = self.start.astype(complex), 0, []
        for t in range(T):
            seen.append(r.copy())
            given = r if sources is None else sources[t]
            sums = [
                self._sum("forward", weights, self.signals[t], r),
                self._sum("recurrent", weights, given, r),
            ]
            r = r + (np.tanh(sums[0] + sums[1]) - r) / self.tau
            loss += 0.5 * ((r - self.data[t]) ** 2).sum()
        return loss, seen

    def _sum(self, name, weights, pre, post):
        i, j = self.pairs[name]
        names = {"w": weights[name], "r_pre": pre[i], "r_post": post[j]}
        total = np.zeros(self.n, dtype=complex)
        np.add.at(total, j, eval(self.forms[name], FUNCTIONS, names))
        return total


class SpikingNetwork:
    """6 spiking inputs → 4 neurons with a gate s that saturates, or gap junctions between them.

    Parameters
    ----------
    order, engine
        Of learning.
    junctions : bool
        I = Σ g (v_i − v_j), of plain synapses; else Σ g s_i (60 mV − v_j), whose g learns.
    """

    n_in, n = 6, 4

    def __init__(self, order=1, engine="credit", junctions=False):
        self.order, self.junctions = order, junctions
        rng = np.random.default_rng(2)
        self.inputs, self.data = rng.random((T, self.n_in)) < 0.3, 0.01 * rng.random((T, self.n))
        self.weights = {"inputs": 0.004 * rng.random(self.n_in * self.n) + 0.002}
        g = 0.1 * rng.random(self.n * self.n)
        self.g = g
        if not junctions:
            self.weights["gates"] = g
        start_scope()
        seed(1)
        defaultclock.dt = 1 * ms
        steps, channels = np.nonzero(self.inputs)
        source = SpikeGeneratorGroup(self.n_in, channels, steps * ms)
        equations = """dv/dt = (I - v)/(20*ms) : volt
        I : volt
        ds/dt = -s/(30*ms) + x*(1 - s)/(5*ms) : 1
        dx/dt = -x/(4*ms) : 1"""
        self.group = NeuronGroup(
            self.n,
            equations,
            threshold="v > 15*mV",
            reset="v = 0*mV; x += 1 - s",
            method="euler",
            name="cells",
        )
        data = TimedArray(self.data * volt, dt=1 * ms)
        loss = Loss(self.group, "(v - data(t, i))**2/mV**2", namespace={"data": data})
        rule = EProp(order=order, engine=engine, surrogate=PiecewiseLinear(20 / volt, 15 * mV))
        self.learner = Learner(rule=rule, losses=[loss], reset_every=T * ms)
        if junctions:
            model = "g : 1\nI_post = g*(v_pre - v_post) : volt (summed)"
            coupling = Synapses(self.group, self.group, model, name="gap")
        else:
            model = "g : 1\nI_post = g*s_pre*(60*mV - v_post) : volt (summed)"
            coupling = TrainableSynapses(
                self.group, self.group, model, weight="g", learner=self.learner, name="gates"
            )
        coupling.connect()
        coupling.g = g
        inputs = TrainableSynapses(
            source, self.group, "w : volt", on_pre="v_post += w", learner=self.learner
        )
        inputs.connect()
        inputs.w = self.weights["inputs"] * volt
        self.synapses = {"inputs": inputs} | ({} if junctions else {"gates": coupling})
        self.spikes = SpikeMonitor(self.group)
        self.network = Network(
            source, self.group, self.learner.readout, coupling, inputs, self.spikes
        )

    run = RateNetwork.run
    expected = RateNetwork.expected

    def simulate(self, weights, sources):
        """As for the rate units; sources have v with gap junctions, else s."""
        v, s, x = np.zeros((3, self.n), dtype=complex)
        loss, seen = 0, []
        w = weights["inputs"].reshape(self.n_in, self.n)
        g = weights.get("gates", self.g).reshape(self.n, self.n)
        self.psi = []
        for t in range(T):
            shown = v if self.junctions else s
            seen.append(shown.copy())
            given = (shown if sources is None else sources[t])[:, np.newaxis]
            current = (g * (given - v if self.junctions else given * (0.06 - v))).sum(axis=0)
            v, s, x = v + (current - v) / 20, s - s / 30 + x * (1 - s) / 5, x - x / 4
            distance = v - 0.015
            psi = 20 * np.maximum(0, 1 - abs(distance.real) / 0.015)
            self.psi.append(psi)
            z = (distance.real > 0) + 1j * psi * distance.imag
            v = v + self.inputs[t] @ w
            v, x = v + z * (0 - v), x + z * (1 - s)
            loss += ((v - self.data[t]) ** 2).sum() / 1e-6
        return loss, seen


def _gradients(network, weights, order):
    """dE/dw of order m for each weight: {name: array}."""
    _, recorded = network.simulate(weights, None)
    recorded = [values.real for values in recorded]
    gradients = {}
    for name, values in weights.items():
        gradients[name] = np.zeros(len(values))
        for k in range(len(values)):
            moved = {n: v.astype(complex) for n, v in weights.items()}
            moved[name][k] += 1j * STEP
            loss, seen = network.simulate(moved, None if math.isinf(order) else recorded)
            gradients[name][k] = loss.imag / STEP
            for _ in range(0 if math.isinf(order) else order - 1):
                varied = [r + 1j * s.imag for r, s in zip(recorded, seen, strict=True)]
                loss, seen = network.simulate(weights, varied)
                gradients[name][k] += loss.imag / STEP
    return gradients
