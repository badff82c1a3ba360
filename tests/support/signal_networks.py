"""A small network that learns by third factors, and its gradient from what it did, in NumPy."""

from __future__ import annotations

import numpy as np
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    defaultclock,
    ms,
    start_scope,
)

from brian_eprop import EProp, LeakyReadout, Learner, TrainableSynapses, load_model

DT, T, TRIALS, CHANNELS, N, OUTPUTS = 1.0, 60, 2, 8, 6, 2
TAU_M, TAU_OUT = 20.0, 15.0
#: Of all neurons, and changing with time
AROUSAL = 1 + 0.5 * np.sin(np.arange(T * TRIALS) / 5)


class SignalNetwork:
    """Inputs → neurons ⇄ neurons → readout, with fixed random feedback, two trials long.

    Parameters
    ----------
    signal, trace_filter
        Of the learner.
    rule : Rule, optional
        Default: e-prop with traces, which are needed for what is `expected`.
    others : callable, optional
        Makes further objects from this one, before it runs.
    **learner
        Further arguments of the learner.
    """

    def __init__(
        self, signal=None, trace_filter=None, others=None, target=True, rule=None, **learner
    ):
        start_scope()
        defaultclock.dt = DT * ms
        rng = np.random.default_rng(5)
        steps, channels = np.nonzero(rng.random((T * TRIALS, CHANNELS)) < 0.2)
        self.inputs = SpikeGeneratorGroup(CHANNELS, channels, steps * ms, name="inputs")
        self.neurons = load_model("lif").group(N, tau_m=TAU_M * ms, t_ref=2 * ms, name="neurons")
        self.arousal = TimedArray(AROUSAL, dt=DT * ms)
        self.feedback = rng.standard_normal((OUTPUTS, N))
        targets = rng.random((T, OUTPUTS))
        period = {"target": targets, "period": T * ms} if target else {}
        self.readout = LeakyReadout(OUTPUTS, TAU_OUT * ms, **period, name="readout")
        options = {"reset_every": T * ms} | learner
        self.learner = Learner(
            self.readout,
            rule or EProp(engine="traces"),
            feedback=self.feedback,
            signal=signal,
            trace_filter=trace_filter,
            **options,
        )
        make = TrainableSynapses
        onto = "v_post += w*exp(dt_post/tau_m_post)"
        self.forward = make(self.inputs, self.neurons, on_pre=onto, learner=self.learner)
        self.recurrent = make(self.neurons, self.neurons, on_pre=onto, learner=self.learner)
        self.outputs = make(self.neurons, self.readout, on_pre="y_post += w", learner=self.learner)
        for synapses, shape, scale in (
            (self.forward, (CHANNELS, N), 0.25),
            (self.recurrent, (N, N), 0.1),
            (self.outputs, (N, OUTPUTS), 0.5),
        ):
            synapses.connect()
            synapses.w = (scale * rng.random(shape)).ravel()
        self.others = [] if others is None else list(others(self))
        computed = [n for n in ("psi", "L") if n in self.neurons.variables]
        self.state = StateMonitor(self.neurons, (*computed, "v"), record=True, when="after_end")
        self.error = StateMonitor(self.readout, "error", record=True, when="after_end")
        self.fired = SpikeMonitor(self.neurons)
        self.sent = SpikeMonitor(self.inputs)
        self.network = Network(
            self.inputs, self.neurons, self.readout, self.forward, self.recurrent, self.outputs
        )
        self.network.add(self.state, self.error, self.fired, self.sent, *self.others)

    def run(self, trials=TRIALS):
        """Simulate; the learner's network has spikes, ψ and errors afterwards."""
        self.network.run(trials * T * ms)
        return self

    def gradients(self):
        """dE/dW of the inputs and of the recurrent synapses : (CHANNELS, N), (N, N)."""
        # copies: where the network is gone, so is the memory of brian2 from 2.10 on
        return (
            self.forward.grad[:].reshape(CHANNELS, N).copy(),
            self.recurrent.grad[:].reshape(N, N).copy(),
        )

    def expected(self, signal_of, filter_of, trials=TRIALS):
        """The same from recorded spikes, ψ and errors, step by step, trial by trial.

        Parameters
        ----------
        signal_of : callable
            Errors (T, N), the step in which the trial begins, v after each step (T, N) → L (T, N).
        filter_of : callable
            Eligibility traces (T, n_pre, N) → what is multiplied by L.
        """
        total = [np.zeros((CHANNELS, N)), np.zeros((N, N))]
        alpha = np.exp(-DT / TAU_M)
        for trial in range(trials):
            steps = slice(trial * T, (trial + 1) * T)
            psi = self.state.psi[:, steps].T
            errors = self.error.error[:, steps].T @ self.feedback
            signals = signal_of(errors, trial * T, self.state.v[:, steps].T)
            for k, (monitor, n_pre) in enumerate(((self.sent, CHANNELS), (self.fired, N))):
                spikes = np.zeros((trials * T, n_pre))
                spikes[np.rint(monitor.t / ms).astype(int), monitor.i[:]] = 1
                eps, traces = np.zeros(n_pre), np.zeros((T, n_pre, N))
                for t in range(T):
                    # A spike of this step acts in the next one, and its jump undoes one decay
                    traces[t] = eps[:, None] * psi[t]
                    eps = alpha * eps + spikes[steps][t]
                total[k] += np.einsum("tj,tij->ij", signals, filter_of(traces))
        return total


def low_pass(x, tau, gain=None):
    """Filter the first axis exactly, with the input held in each step; 0 before it."""
    keep = np.exp(-DT / tau)
    gain = 1 - keep if gain is None else gain
    y, found = np.zeros(x.shape[1:]), np.empty_like(x)
    for t, now in enumerate(x):
        y = keep * y + gain * now
        found[t] = y
    return found


def delayed(x, steps):
    """What was so many steps ago; 0 before."""
    found = np.zeros_like(x)
    found[steps:] = x[: len(x) - steps]
    return found


def kappa_filter(traces):
    """The filter of the readout, without gain."""
    return low_pass(traces, TAU_OUT, gain=1.0)
