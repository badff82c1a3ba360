"""Spikes of which a little arrives one step later, in a user's own Brian2 network.

The derivative of a delay is that of a split spike: with a delay of n + f steps, n whole, a part of
1 − f arrives after n steps, and f one step later. To move such a delay by a little is to move a
little of every spike from its first arrival to its second, whatever the simulation does with the
rest.
"""

import numpy as np

from ..brian.code import internal
from ..brian.internals import remove_variables, whole_group
from .deliveries import Delivery

#: By how many seconds a delay is moved.
MOVED = internal("check_delay")
#: Of a step: a delay that is that close to a whole number is one.
WHOLE = 1e-6


class SplitSpikes(Delivery):
    """What moves of the spikes along synapses whose delays learn.

    Parameters
    ----------
    synapses : TrainableSynapses
    learner : Learner

    Attributes
    ----------
    moved : Variable
        (synapses,), in seconds.
    """

    kind = "check_split"

    def __init__(self, synapses, learner):
        pathway = synapses.pre
        super().__init__(pathway, None, pathway.user_code)
        self.senders, self.lag = whole_group(pathway.source), synapses.timing.lag
        self.in_trial = learner.readout.variables["trial_step"]

    def prepare(self, namespace):
        """Let Brian2 evaluate what a spike adds; the synapses get variables until `remove`."""
        known = self.synapses.variables
        known.add_dynamic_array(MOVED, size=len(self.synapses))
        self.moved = known[MOVED]
        self.moved.resize(len(self.synapses))
        self.dt = self.pathway.source.clock.dt_
        super().prepare(namespace)
        delays = self.pathway.variables["delay"].get_value()
        self.first = np.floor(delays / self.dt + WHOLE).astype(int)

    def remove(self):
        """Take the added variables away again."""
        super().remove()
        remove_variables(self.synapses, [MOVED])

    def start(self):
        """Forget the spikes that are under way."""
        self.ring = np.zeros((int(self.delays.max(initial=0)) + 2, len(self.senders)))
        self.step = 0

    def deliver(self, run):
        """Deliver the recorded spikes by ``run``, and what has moved of them.

        Spikes of the trial before are dropped, as those of Brian2 are.
        """
        shares = self.moved.get_value() / self.dt
        row, step = self.step % len(self.ring), self.in_trial.get_value().item()
        if step == 0:
            self.ring[:] = 0
        self.ring[row] = 0
        if step >= self.lag:
            events = self.senders.variables["_spikespace"].get_value()
            self.ring[row, events[: events[-1]]] = 1
        self.step += 1
        if not shares.any():
            run()
            return
        effects = self.effects()
        run()
        arrived, earlier = (
            self.ring[(row - self.first - k) % len(self.ring), self.pre] for k in (0, 1)
        )
        self._add(shares * (earlier - arrived), effects, np.flatnonzero(shares))
