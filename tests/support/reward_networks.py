"""Agents of the reference, built of Brian2 objects that live through given experience."""

import numpy as np
from attrs import evolve
from brian2 import Network, SpikeMonitor, StateMonitor, TimedArray, defaultclock, ms
from brian_networks import BLOCKS, DT, connect, neuron_group, spike_source

from brian_eprop import EProp, Learner, TrainableSynapses
from brian_eprop.reference import Experience
from brian_eprop.reward import ActorCriticReadout

TRACES = EProp(engine="traces")


def random_experience(rng, steps, n_actions, ends=None):
    """Decisions, rewards and ends at random steps; the last step has the given end, if any."""
    over = rng.random((2, steps)) < 0.05
    over[:, -1] = False
    if ends is not None:
        over[:] = False
        over[("terminal", "truncated").index(ends), -1] = True
    return Experience(
        actions=np.where(rng.random(steps) < 0.4, rng.integers(0, n_actions, steps), -1),
        rewards=np.where(rng.random(steps) < 0.3, rng.normal(size=steps), 0.0),
        terminal=over[0],
        truncated=over[1],
    )


class BrianAgent:
    """Brian2 objects of a reference network.

    Parameters
    ----------
    network : SpikingNetwork
    episodes : list of (inputs, Experience)
        One after the other.
    discount, value_weight, trace_decay : float
    rule : EProp
    late : int
        Rewards, decisions and ends come so many steps late: a deliberate mistake.
    **for_learner
    """

    def __init__(
        self,
        network,
        episodes,
        discount,
        value_weight=0.5,
        trace_decay=1.0,
        *,
        kind="alif",
        rule=TRACES,
        late=0,
        **for_learner,
    ):
        defaultclock.dt = DT
        inputs = np.concatenate([inputs for inputs, _ in episodes])
        past = {
            name: np.roll(np.concatenate([getattr(e, name) for _, e in episodes]), late)
            for name in ("actions", "rewards", "terminal", "truncated")
        }
        self.steps = len(inputs)
        self.source, self.neurons = spike_source(inputs), neuron_group(network, kind)
        self.readout = readout = ActorCriticReadout(
            network.n_out - 1,
            -1 / np.log(network.kappa) * ms,
            discount,
            value_weight=value_weight,
            trace_decay=trace_decay,
            normalize=network.readout_gain != 1,
        )
        changed = ("v", "a") if kind == "alif" else ("v",)
        rule = evolve(rule, reset_path={name: network.reset_path[name] for name in changed})
        for_learner.setdefault(
            "feedback", "symmetric" if network.feedback is None else network.feedback
        )
        learner = Learner(readout, rule, **for_learner)
        model, delays = self.neurons.neuron_model, {}
        for name in ("delay_in", "delay_rec"):
            given = getattr(network, name)
            delays[name] = ({"delay": 0 * ms}, None) if np.all(given == 0) else ({}, given)
        (delay_in, later_in), (delay_rec, later_rec) = delays.values()
        self.synapses = {
            "w_in": TrainableSynapses(
                self.source,
                self.neurons,
                on_pre=model.on_input,
                arrival="after_groups",
                learner=learner,
                **delay_in,
            ),
            "w_rec": TrainableSynapses(
                self.neurons, self.neurons, on_pre=model.on_pre, learner=learner, **delay_rec
            ),
            "w_out": TrainableSynapses(
                self.neurons, readout, on_pre="y_post += w", delay=0 * ms, learner=learner
            ),
        }
        self.masks = {name: getattr(network, f"mask_{name[2:]}") for name in BLOCKS}
        for (name, synapses), later in zip(
            self.synapses.items(), (later_in, later_rec, None), strict=True
        ):
            connect(synapses, getattr(network, name), self.masks[name], later)
        # The environment is Brian2 code, so that it can be compiled.
        readout.namespace.update(
            {f"given_{name}": TimedArray(array.astype(float), DT) for name, array in past.items()}
        )
        readout.run_regularly(
            """
            reward = given_rewards(t)
            decides = given_actions(t) >= 0
            action = int(given_actions(t))
            terminal = given_terminal(t) > 0
            truncated = truncated or given_truncated(t) > 0
            """,
            when="before_end",
        )
        self.spikes = SpikeMonitor(self.neurons)
        names = ["policy", "value", "td_error", "error"]
        self.monitor = StateMonitor(readout, names, record=True, when="after_end")
        self.network = Network(
            self.source,
            self.neurons,
            readout,
            *self.synapses.values(),
            self.spikes,
            self.monitor,
        )

    def run(self):
        self.network.run(self.steps * DT, namespace={})
        return self

    def matrix(self, name, variable="grad"):
        dense = np.zeros(self.masks[name].shape)
        synapses = self.synapses[name]
        dense[synapses.i[:], synapses.j[:]] = np.asarray(getattr(synapses, variable)[:])
        return dense
