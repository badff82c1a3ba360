"""Delayed match to sample: is the second stimulus the one that was shown before?"""

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Floats, time, whole, whole_number
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import group_spikes
from .parts import drawable_rate, in_steps, spike_probability, steps_of, wrong_decisions

__all__ = [
    "TASK",
    "DelayedMatch",
]

#: Inputs of a stimulus, of the request to answer, and of the background.
INPUTS = 10


@frozen(eq=False)
class DelayedMatch:
    """
    Say whether a test stimulus is the sample that was shown before a delay.

    A trial is the sample, the delay, the test, and the answer. Each of ``stimuli`` stimuli has
    inputs of its own, which fire with ``rate`` while it is shown; the inputs "answer" do while
    the answer is asked for, and the inputs "background" fire with ``background_rate`` all the
    time. Spikes are independent, with p = rate·dt per step.

    The sample is any stimulus with equal chance. In half of the trials the test is the same, in
    the others any of the rest. The target is the probability 1 of output 0 (match) or 1
    (non-match); it counts during the answer only.

    Parameters
    ----------
    stimuli : int
        How many there are, at least 2.
    stimulus, delay, answer : Quantity
        Durations of sample and test, of the time between, and of the answer; multiples of
        ``dt``. The delay may be 0*ms.
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
    Fuster & Alexander (1971), Science 173:652, doi:10.1126/science.173.3997.652.
    """

    stimuli: int = field(default=3, validator=whole(2))
    stimulus: Quantity = field(default=150 * ms, validator=in_steps())
    delay: Quantity = field(default=500 * ms, validator=in_steps(may_be_zero=True))
    answer: Quantity = field(default=100 * ms, validator=in_steps())
    rate: Quantity = field(default=50 * Hz, validator=drawable_rate())
    background_rate: Quantity = field(default=5 * Hz, validator=drawable_rate(may_be_zero=True))
    dt: Quantity = field(default=1 * ms, validator=time())

    n_out = 2
    output_names = ("match", "non-match")

    @property
    def input_groups(self) -> dict[str, int]:
        """Groups of inputs and the number of inputs in each, in their order."""
        names = [f"stimulus {k + 1}" for k in range(self.stimuli)]
        return dict.fromkeys([*names, "answer", "background"], INPUTS)

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return sum(self.input_groups.values())

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return sum(self._durations)

    @property
    def learning_window(self) -> int:
        """Time steps of the answer: the last ones, in which errors count."""
        return steps_of(self, "answer")

    @property
    def defaults(self) -> TrainingSetup:
        """
        30 LIF and 30 ALIF neurons, whose thresholds remember for 800 ms.

        Three seeds are at 0.4 to 3 % wrong decisions after 250 to 400 iterations.
        """
        lif = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 3 * ms}
        return TrainingSetup.of_decisions(
            neurons=(("lif", 30, lif), ("alif", 30, lif | {"tau_a": 800 * ms, "beta": 0.2})),
            tau_out=20 * ms,
            gains={"w_in": 1.5, "w_rec": 0.5, "w_out": 1.0, "feedback": 1.0},
            learning_rate=CosineDecay(5e-3, 1e-4, 600),
            iterations=600,
            batch_size=64,
            goal=0.03,
            evaluation_trials=640,
            rate_target=10 * Hz,
            rate_strength=0.2 * self.learning_window,
        )

    @property
    def _durations(self):
        return [steps_of(self, name) for name in ("stimulus", "delay", "stimulus", "answer")]

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """
        Draw trials.

        Parameters
        ----------
        rng : numpy.random.Generator
        batch : int

        Returns
        -------
        inputs : (batch, steps, n_in) ndarray of bool
        targets : (batch, steps, n_out) ndarray of float
            The same in all steps of a trial.

        Raises
        ------
        ValueError
            If ``batch`` is less than 1.
        """
        whole_number("batch", batch)
        sample = rng.integers(self.stimuli, size=batch)
        differs = rng.integers(2, size=batch)
        # any of the others: 1 to stimuli − 1 further, in a circle
        test = (sample + differs * rng.integers(1, self.stimuli, size=batch)) % self.stimuli
        trial, of_active = np.arange(batch), spike_probability(self, "rate")
        probability = np.zeros((batch, 4, len(self.input_groups)))
        probability[trial, 0, sample] = of_active
        probability[trial, 2, test] = of_active
        probability[:, 3, -2] = of_active
        probability[:, :, -1] = spike_probability(self, "background_rate")
        sizes = list(self.input_groups.values())
        inputs = group_spikes(rng, probability, self._durations, sizes)
        targets = np.eye(self.n_out)[differs]
        return inputs, np.repeat(targets[:, np.newaxis], self.steps, axis=1)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of wrong decisions, see :mod:`.parts.metrics`."""
        return wrong_decisions(self, outputs, targets)


TASK = DelayedMatch
