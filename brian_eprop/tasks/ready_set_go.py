"""Ready–set–go: produce the interval that has just been measured."""

import numpy as np
from attrs import field, frozen
from brian2.units.allunits import second
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Floats, time
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .kinds import ConditionedTask
from .metrics import same_shape
from .options import drawable_rate, in_steps, spike_probability, steps_of

__all__ = [
    "TASK",
    "ReadySetGo",
]

#: Groups of inputs and the number of inputs in each, in their order.
GROUPS = {"ready": 20, "set": 20, "background": 20}
#: The output stays at this height.
TOP = 1.25


@frozen(eq=False)
class ReadySetGo(ConditionedTask):
    """
    Rise to 1 after the signal "set" in just the time that went by between "ready" and "set".

    A trial begins with a pause and then the signal "ready", after the interval t_s comes "set",
    and another interval later it is time to go. The inputs of a signal fire with ``rate`` while
    it lasts, those of the background with ``background_rate`` all the time; spikes are
    independent, with p = rate·dt per step. The target is 0 until "set", a ramp

    .. math:: y^*(t) = \\min((t - t_{set}) / t_s, 1.25)

    from then on, which is 1 when it is time to go, and errors count all the time. The interval
    that is produced, :meth:`produced`, ends where an output first comes to 1. A trial lasts for
    the longest interval, whatever the one that is drawn, uniform over whole steps.

    The condition of a trial is its "interval".

    Parameters
    ----------
    shortest, longest : Quantity
        Range of the interval; multiples of ``dt``.
    pause : Quantity
        Before "ready"; a multiple of ``dt``, may be 0*ms.
    signal : Quantity
        Duration of both signals, at most the shortest interval; a multiple of ``dt``.
    rate, background_rate : Quantity
        Of an input; the background may be silent.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range, a duration no multiple of ``dt``, or the probability
        of a spike above 1.

    References
    ----------
    Jazayeri & Shadlen (2010), Nature Neuroscience 13:1020, doi:10.1038/nn.2590; a ramp to a
    threshold as the target of a network: Sohn, Narain, Meirhaeghe & Jazayeri (2019), Neuron
    103:934, doi:10.1016/j.neuron.2019.06.012.
    """

    shortest: Quantity = field(default=200 * ms, validator=in_steps())
    longest: Quantity = field(default=400 * ms, validator=in_steps())
    pause: Quantity = field(default=50 * ms, validator=in_steps(may_be_zero=True))
    signal: Quantity = field(default=40 * ms, validator=in_steps())
    rate: Quantity = field(default=100 * Hz, validator=drawable_rate())
    background_rate: Quantity = field(default=10 * Hz, validator=drawable_rate(may_be_zero=True))
    dt: Quantity = field(default=1 * ms, validator=time())

    input_groups = GROUPS
    output_names = ("go",)
    n_in = sum(GROUPS.values())
    n_out = 1

    def __attrs_post_init__(self):
        if self.shortest > self.longest:
            raise ValueError(
                f"ReadySetGo.shortest = {self.shortest!r} must be at most longest = "
                f"{self.longest!r}"
            )
        if self.signal > self.shortest:
            raise ValueError(
                f"ReadySetGo.signal = {self.signal!r} must be at most shortest = "
                f"{self.shortest!r}, so that signals do not overlap"
            )

    @property
    def steps(self) -> int:
        """Time steps of a trial: pause, two of the longest intervals, and until the ramp's top."""
        return steps_of(self, "pause") + int(np.ceil((1 + TOP) * steps_of(self, "longest")))

    @property
    def condition_ranges(self) -> dict[str, tuple[Quantity, Quantity]]:
        """The interval is one that can be drawn."""
        return {"interval": (self.shortest, self.longest)}

    @property
    def defaults(self) -> TrainingSetup:
        """50 LIF and 100 ALIF neurons, whose thresholds remember for 600 ms, by BPTT."""
        lif = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 3 * ms}
        return TrainingSetup(
            neurons=(("lif", 50, lif), ("alif", 100, lif | {"tau_a": 600 * ms, "beta": 0.3})),
            order=np.inf,
            tau_out=30 * ms,
            loss="mse",
            normalize=True,
            average=True,
            gains={"w_in": 1.0, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            feedback="symmetric",
            optimizer="Adam",
            learning_rate=CosineDecay(1e-2, 5e-4, 800),
            iterations=800,
            batch_size=32,
            evaluation_trials=640,
            rate_target=15 * Hz,
            rate_strength=0.5,
        )

    def conditions(self, rng: np.random.Generator, batch: int) -> dict[str, Quantity]:
        """Draw intervals: dict of "interval" to (batch,) Quantity."""
        ends = steps_of(self, "shortest"), steps_of(self, "longest")
        return {"interval": rng.integers(*ends, size=batch, endpoint=True) * self.dt}

    def produced(self, outputs: Floats, conditions: dict[str, Quantity]) -> Quantity:
        """
        The intervals from "set" to where outputs first come to 1.

        Parameters
        ----------
        outputs : (batch, steps, 1) ndarray
        conditions : dict of str to (batch,) Quantity
            Of the same trials.

        Returns
        -------
        (batch,) Quantity
            NaN where an output stays below 1.
        """
        dt, at_set = float(self.dt), self._steps_to_set(conditions["interval"])
        since = np.arange(self.steps) - at_set[:, np.newaxis]
        there = (np.asarray(outputs)[..., 0] >= 1) & (since >= 0)
        first = np.where(there.any(axis=1), there.argmax(axis=1) - at_set, np.nan)
        return first * dt * second

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """
        Mean relative error of the intervals that are produced, ``|t_p − t_s|/t_s``.

        It is 1 where an output stays below 1. Who always produces one interval, the best, has an
        error of about 0.17 with the default range, though the normalised error of such outputs is
        less than 0.03: it does not show whether intervals are measured.
        """
        outputs, targets = (y[..., 0] for y in same_shape(outputs, targets, (self.steps, 1)))
        # the ramp is above 0 from the step after that of the signal on
        rising = targets > 0
        at_set = rising.argmax(axis=-1) - 1
        made, asked = ((y >= 1) & rising for y in (outputs, targets))
        interval = asked.argmax(axis=-1) - at_set
        error = abs(made.argmax(axis=-1) - asked.argmax(axis=-1)) / interval
        return float(np.mean(np.where(made.any(axis=-1), error, 1.0)))

    def _steps_to_set(self, intervals):
        """The step of each trial in which the signal "set" begins."""
        in_steps = np.round(np.asarray(intervals) / float(self.dt)).astype(int)
        return steps_of(self, "pause") + in_steps

    def _presented(self, rng, conditions):
        at_set = self._steps_to_set(conditions["interval"])[:, np.newaxis]
        ready, lasts = steps_of(self, "pause"), steps_of(self, "signal")
        step = np.arange(self.steps)
        probability = np.zeros((len(at_set), self.steps, len(GROUPS)))
        rate = spike_probability(self, "rate")
        probability[:, ready : ready + lasts, 0] = rate
        probability[..., 1] = rate * ((step >= at_set) & (step < at_set + lasts))
        probability[..., 2] = spike_probability(self, "background_rate")
        spikes = rng.random((len(at_set), self.steps, self.n_in))
        inputs = spikes < np.repeat(probability, list(GROUPS.values()), axis=2)
        ramp = np.clip((step - at_set) / (at_set - ready), 0, TOP)
        return inputs, ramp[..., np.newaxis]


TASK = ReadySetGo
