"""The derivative ℓ of the loss with respect to a spike, from recorded errors, in NumPy."""

import numpy as np

from ..brian.internals import fires_by, whole_group
from .linear_spikes import NotCheckable

#: Deviations that are put into the readout to see whether it is the filter that it should be.
PROBE = 2.0**-12


class CreditOfSpikes:
    """The credit ℓ_j^t = Σ_k B_kj g Σ_{s≥t} κ^{s−t} error_k^s of spikes, and that of regularizers.

    Parameters
    ----------
    run : ClampedNetwork
        After its recorded run.
    begin : int
        The step in which it began.
    rng : Generator

    Attributes
    ----------
    readout, regularizers : dict of NeuronGroup to (T, n) array
    spikes : dict of NeuronGroup to (T, n) bool array
    loss : float
        Of the recorded run.
    fails : bool
        The readout is not the filter that it should be: only its own loss tells.
    """

    def __init__(self, run, begin, rng):
        self.run, self.learner, self.loss = run, run.learner, run.loss
        self.steps, self.begin, self.fails = len(run.errors), begin, False
        self.scale = 1 / self.learner.scored if run.readout.average else 1.0
        tau = run.readout.variables["tau_out"].get_value().item()
        self.kappa = float(np.exp(-run.readout.clock.dt_ / tau))
        self.spikes = {group: self._spikes_of(group) for group in run.populations}
        self.response = self._response()
        self.readout = self._zeros()
        self._along_synapses()
        gain = self._gain(rng)
        if not self.learner.feedback_is("symmetric", "adaptive"):
            self.readout = self._zeros()
            self._along_feedback_weights()
        self.readout = {group: gain * credit for group, credit in self.readout.items()}
        self.regularizers = self._pressures()

    def _zeros(self):
        return {group: np.zeros(spikes.shape) for group, spikes in self.spikes.items()}

    def _spikes_of(self, group):
        events = self.run.events[fires_by(group)]
        spikes = np.zeros((len(events), len(group)), dtype=bool)
        for t, space in enumerate(events):
            spikes[t, space[: space[-1]]] = True
        return spikes

    def _starts(self, period):
        """Whether a period begins with each step : (T,) bool array."""
        steps = self.begin + np.arange(self.steps)
        return steps % period == 0 if period else np.zeros(self.steps, dtype=bool)

    def _response(self):
        """Σ_{s≥t} κ^{s−t} error^s within the trial : (T, n_out) array."""
        response, later = np.zeros_like(self.run.errors), 0.0
        begins = self._starts(self.learner.trial)
        for t in reversed(range(self.steps)):
            later = self.run.errors[t] + self.kappa * later
            response[t] = later
            if begins[t]:
                later = 0.0
        return self.scale * response

    def _along_synapses(self):
        """Weights of the synapses onto the readout, with their delays."""
        objects = self.run.objects
        for delivery in self.run.onto_readout:
            thresholder = fires_by(delivery.source.group)
            late = objects.index(delivery.pathway) < objects.index(thresholder)
            outputs = [k for k, n in enumerate(delivery.targets) if n.removesuffix("_post") == "y"]
            if not outputs:
                continue
            effects = np.array([e[outputs[0]] for e in delivery.recorded])
            post = delivery.synapses.variables["_synaptic_post"].get_value()
            credit = self.readout[delivery.source.group]
            arrival = np.arange(self.steps)[:, np.newaxis] + int(late) + delivery.delays
            inside = arrival < self.steps
            arrival = np.where(inside, arrival, 0)
            synapse = np.arange(len(post))
            passed = np.where(inside, effects[arrival, synapse] * self.response[arrival, post], 0)
            np.add.at(credit.T, delivery.pre, passed.T)

    def _along_feedback_weights(self):
        dense = [
            w for w in self.learner.feedback_weights if any(w is obj for obj in self.run.objects)
        ]
        if not dense:
            raise NotCheckable("the feedback weights are not in the network")
        for synapses in dense:
            group = whole_group(synapses.target)
            if group in self.readout:
                B = np.zeros((len(self.run.readout), len(group)))
                B[synapses.i[:], synapses.j[:]] = synapses.B[:]
                self.readout[group] += self.response @ B

    def _pressures(self):
        """∂E_reg/∂z : {group: (T, n) array}."""
        learner, dt = self.learner, self.run.readout.clock.dt_
        learning = {whole_group(s.target) for s in self.run.projections}
        pressures = self._zeros()
        if not learner.regularizers:
            return pressures
        blocks = np.cumsum(self._starts(learner.episode))
        complete = (self.begin + np.arange(self.steps) + 1) % learner.episode == 0
        for group in learning & set(pressures):
            for block in np.unique(blocks):
                inside = blocks == block
                if not complete[inside][-1]:
                    continue
                names = {"count": self.spikes[group][inside].sum(axis=0), "dt": dt}
                for regularizer in learner.regularizers:
                    code = regularizer.pressure("count", str(learner.episode))
                    # The text is what Brian2 runs too
                    pressures[group][inside] += self.scale * eval(code, {}, names)
        return pressures

    def _gain(self, rng):
        """g, from the loss of runs in which spikes vary at random."""
        probe = {g: PROBE * rng.standard_normal(s.shape) for g, s in self.spikes.items()}
        losses = []
        for sign in (1, -1):
            signed = {g: sign * d for g, d in probe.items()}
            self.run.repeat(deviations=signed, onto_readout=True)
            losses.append(self.run.loss)
        change = (losses[0] - losses[1]) / 2
        expected = sum(np.sum(self.readout[g] * d) for g, d in probe.items())
        size = np.sqrt(sum(np.sum((self.readout[g] * d) ** 2) for g, d in probe.items()))
        for gain in (1.0, 1 - self.kappa):
            if abs(change - gain * expected) <= 1e-4 * gain * size:
                return gain
        self.fails = True
        return 1.0

    def of(self, deviations, readout=True):
        """The change of the loss that deviations of spikes make, to first order.

        Parameters
        ----------
        deviations : dict of NeuronGroup to (T, n) array
        readout : bool
            Whether what goes through the readout is counted here.
        """
        counted = (self.regularizers, self.readout) if readout else (self.regularizers,)
        return sum(np.sum(c[group] * d) for group, d in deviations.items() for c in counted)
