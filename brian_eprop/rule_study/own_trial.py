"""A trial of a user's own network, run object by object, and what is seen of it."""

from __future__ import annotations

import numpy as np

from ..brian.internals import fires_by, parent_group, steps_of


class NetworkNotComparable(ValueError):
    """Why rules cannot be compared on a user's own network."""


class Trial:
    """A trial, step by step, and what is seen of it.

    Attributes
    ----------
    groups : list of NeuronGroup
        Those that learn.
    spikes : dict of group to (T, n) ndarray
    states : dict of group to (T, S, n) ndarray
        At the threshold.
    outputs, errors, targets : (T, n_out) ndarray
    """

    def __init__(self, learner, network):
        self.learner, self.readout, self.network = learner, learner.readout, network
        self.steps = learner.trial
        self.objects = [obj for obj in network.sorted_objects if obj.active]
        populations = learner.populations
        self.groups = [
            group for group, p in populations.items() if p.learns and group in self.objects
        ]
        self.pathways = [
            p
            for p in learner.engine.pathways
            if p.synapses.active and any(p.synapses.pre is obj for obj in self.objects)
        ]
        sources = [parent_group(p.synapses.source) for p in self.pathways]
        self.senders = list(dict.fromkeys([*self.groups, *sources]))
        self.seen = {group: [] for group in self.groups}
        self.spikes = {group: np.zeros((self.steps, len(group))) for group in self.senders}
        self.readings = {name: [] for name in ("y", "error", "y_target")}

    def run(self):
        """Run it, with a gradient that begins with 0 and is not used."""
        for projection in self.learner.projections:
            projection.variables["grad"].set_value(0)
        at_threshold = {id(fires_by(group)): group for group in self.groups}
        firing = {id(fires_by(group)): group for group in self.senders}
        # no weight moves
        self.readout.variables["__updates_on"].set_value(0)
        step = 0
        for due in steps_of(self.network):
            for obj in self.objects:
                if obj.clock not in due:
                    continue
                if (group := at_threshold.get(id(obj))) is not None:
                    self._see(group)
                obj.run()
                if (group := firing.get(id(obj))) is not None:
                    space = group.variables["_spikespace"].get_value()
                    self.spikes[group][step, space[: space[-1]]] = 1
            if self.readout.clock not in due:
                continue
            if self.readout.variables["trial_step"].get_value().item() != step:
                raise NetworkNotComparable(
                    f"compare: a trial of readout '{self.readout.name}' is under way; run the "
                    "network to its end before"
                )
            for name, values in self.readings.items():
                values.append(np.array(getattr(self.readout, name)[:]))
            step += 1
        self.states = {g: np.array(values) for g, values in self.seen.items()}
        self.outputs, self.errors, self.targets = map(np.array, self.readings.values())

    def _see(self, group):
        names = self.learner.populations[group].adjoint.states
        self.seen[group].append([group.variables[n].get_value().copy() for n in names])
