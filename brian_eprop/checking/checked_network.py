"""The small network in which a neuron model is checked, and all that is recorded of it."""

import numpy as np
from brian2 import (
    Network,
    NetworkOperation,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    get_dimensions,
    ms,
)
from brian2.utils.logger import catch_logs

from .. import schedule
from ..learner import Learner
from ..quantities import quantity, unit_name
from ..readout import LeakyReadout
from ..rule import EProp
from ..synapses import TrainableSynapses
from .probing import Trajectory, state_names

N_IN, N_OUT = 4, 2
INPUT_PROBABILITY = 0.1
#: Weights that are tried: powers of two times the model's unit of weight.
SCALES = 2.0 ** np.arange(-10, 14)
#: Spikes of each neuron, on average, that a scale must reach; and the most a neuron may fire.
ENOUGH_SPIKES, MOST_SPIKES_PER_STEP = 3, 0.3
#: Time constant of the readout in time steps.
TAU_STEPS = 20


class CheckedNetwork:
    """A recurrent network of the model in Brian2, and all that was recorded of it."""

    def __init__(self, model, build, n, steps, rng, dt):
        self.dt, self.steps = dt, steps
        self.inputs = rng.random((steps, N_IN)) < INPUT_PROBABILITY
        unit = rng.exponential(size=(N_IN, n)), rng.normal(size=(n, n)) * (1 - np.eye(n))
        scale = firing_scale(model, build, self.inputs, unit[0], dt)
        self.weights = {"w_in": scale * unit[0], "w_rec": 0.3 * scale * unit[1]}
        self.weights["w_out"] = rng.normal(size=(n, N_OUT))
        self.target = rng.normal(size=(steps, N_OUT))

        source = _source(self.inputs, dt)
        group = build(n)
        self.readout = LeakyReadout(N_OUT, tau=TAU_STEPS * dt, target=self.target, dt=dt)
        learner = Learner(self.readout, rule=EProp(engine="traces"))
        common = {"learner": learner, "namespace": {}, "delay": 0 * ms, "dt": dt}
        weight = weight_equation(model)
        early = {"on_pre": model.on_input, "arrival": "after_groups"}
        self.synapses = {
            "w_in": TrainableSynapses(source, group, weight, **early, **common),
            "w_rec": TrainableSynapses(group, group, weight, model.on_pre, **common),
            "w_out": TrainableSynapses(group, self.readout, "w : 1", "y_post += w", **common),
        }
        for name, synapses in self.synapses.items():
            # No autapses, as the reference has none.
            exists = ~np.eye(n, dtype=bool) if name == "w_rec" else self.weights[name] < np.inf
            i, j = np.nonzero(exists)
            synapses.connect(i=i, j=j)
            synapses.variables["w"].set_value(self.weights[name][i, j])
        self._record(source, group)

    def _record(self, source, group):
        hidden = {name: self.synapses[name] for name in ("w_in", "w_rec")}
        names = state_names(group)
        flags = [name for name in ("lastspike", "not_refractory") if name in group.variables]
        moments = {
            "start": ("before_start", -10),
            "threshold": ("before_thresholds", 500),
            "reset": ("before_resets", 2000),
        }
        states = {key: [] for key in moments}

        def recorder(moment):
            def record():
                values = {n: group.variables[n].get_value().copy() for n in names + flags}
                states[moment].append(values)

            return record

        operations = [
            NetworkOperation(recorder(key), clock=group.clock, when=when, order=order)
            for key, (when, order) in moments.items()
        ]
        spikes = SpikeMonitor(group)
        after = schedule.MONITOR_TRACES
        psi = StateMonitor(group, "psi", record=True, dt=self.dt, when=after.when)
        output = StateMonitor(self.readout, "y", record=True, dt=self.dt, when=after.when)
        self.states = [n for n in names if f"eps_{n}" in hidden["w_rec"].variables]
        eps = [f"eps_{name}" for name in self.states]
        when = schedule.MONITOR_ELIGIBILITY_VECTOR.when
        vectors = {
            k: StateMonitor(s, eps, record=True, dt=self.dt, when=when) for k, s in hidden.items()
        }
        traces = {
            k: StateMonitor(s, "e_trace", record=True, dt=self.dt, when=after.when)
            for k, s in hidden.items()
        }
        Network(
            source,
            group,
            self.readout,
            *self.synapses.values(),
            *operations,
            spikes,
            psi,
            output,
            *vectors.values(),
            *traces.values(),
        ).run(self.steps * self.dt, namespace={})

        self.trajectory = Trajectory(
            *({n: np.array([v[n] for v in states[key]]) for n in names + flags} for key in moments)
        )
        self.spikes = np.zeros((self.steps, len(group)), dtype=bool)
        self.spikes[np.rint(np.asarray(spikes.t) / float(self.dt)).astype(int), spikes.i] = True
        self.output = output.y.T
        self.psi = psi.psi.T
        self.eps = {
            k: {n: self._dense(k, getattr(m, f"eps_{n}")) for n in self.states}
            for k, m in vectors.items()
        }
        self.e_trace = {k: self._dense(k, m.e_trace) for k, m in traces.items()}
        self.gradient = {
            k: self._dense(k, np.asarray(s.grad)[:, np.newaxis])[0] for k, s in hidden.items()
        }

    def _dense(self, block, values):
        """(synapses, T) → (T, pre, post), 0 where there is no synapse."""
        synapses = self.synapses[block]
        dense = np.zeros((values.shape[1], *self.weights[block].shape))
        dense[:, synapses.i[:], synapses.j[:]] = values.T
        return dense


def _source(inputs, dt):
    steps, indices = np.nonzero(inputs)
    return SpikeGeneratorGroup(inputs.shape[1], indices, steps * dt, dt=dt, when="start")


def weight_unit(model):
    return quantity(f"1*{model.weight_unit}")


def weight_equation(model):
    """The line of a synapse's equations that declares its weight."""
    return f"w : {unit_name(get_dimensions(weight_unit(model)))}"


def firing_scale(model, build, inputs, weights, dt):
    """The smallest scale of the weights at which the neurons fire, found in one run."""
    n = weights.shape[1]
    group = build(n * len(SCALES))
    source = _source(inputs, dt)
    synapses = Synapses(
        source, group, weight_equation(model), on_pre=model.on_input, namespace={}, dt=dt
    )
    synapses.pre.when = "after_groups"
    synapses.connect()
    scales = SCALES * float(weight_unit(model))
    columns = np.concatenate([scale * weights for scale in scales], axis=1)
    synapses.variables["w"].set_value(columns[synapses.i[:], synapses.j[:]])
    monitor = SpikeMonitor(group)
    # The largest scales overflow in some models; they are not the ones that are taken.
    with np.errstate(all="ignore"), catch_logs():
        Network(source, group, synapses, monitor).run(len(inputs) * dt, namespace={})
    counts = np.array(monitor.count).reshape(len(SCALES), n).mean(axis=1)
    counts[counts > MOST_SPIKES_PER_STEP * len(inputs)] = 0
    enough = np.flatnonzero(counts >= ENOUGH_SPIKES)
    return scales[enough[0] if enough.size else counts.argmax()]
