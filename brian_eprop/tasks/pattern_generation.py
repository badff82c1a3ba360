"""Pattern generation: a smooth signal out of frozen noise."""

from functools import cached_property

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Floats, any_seed, choice, time, whole, whole_number
from . import TrainingSetup
from .encoding import frozen_noise
from .parts import drawable_rate, normalized_error, spike_probability

__all__ = [
    "TASK",
    "PatternGeneration",
]

CYCLES = (1, 2, 3, 5)  # of the four sines
HARMONICS = np.arange(1, 5)  # of the trajectory


@frozen(eq=False, slots=False)
class PatternGeneration:
    """
    Turn an input that is the same in every trial into a given signal.

    The input is Poisson noise, drawn once from ``seed`` and then frozen: a spike of input i
    in step t ≥ 1 has the probability p = input_rate·dt, step 0 has none. The target is drawn
    once as well and is, for ``kind="sines"``, with T steps

    .. math:: s^t = \\sum_k a_k \\sin(2π c_k t / (T - 1) + φ_k),

    with amplitudes :math:`a_k ∼ U(0.5, 2)`, phases :math:`φ_k ∼ U(0, 2π)` and
    :math:`c_k = ⌊T / P_k⌋` cycles of the periods :math:`P_k = ⌊T/n⌋`, n = 1, 2, 3, 5.
    ``kind="trajectory"`` is a closed curve in the plane, like a stroke of handwriting:
    both coordinates are sums over the harmonics m = 1 … 4 of a sine and a cosine with
    normally distributed coefficients of standard deviation 1/m. Either is shifted to begin at
    0 and divided by its largest magnitude (of both coordinates).

    Parameters
    ----------
    kind : str
        ``"sines"`` (one readout) or ``"trajectory"`` (two).
    n_in : int
        Number of inputs.
    steps : int
        Steps T of a trial, at least 10.
    dt : Quantity
        Time step.
    input_rate : Quantity
        Mean rate of an input.
    seed : int
        Of input and target.

    Raises
    ------
    DimensionMismatchError
        If ``dt`` or ``input_rate`` has the wrong unit or none.
    ValueError
        If another option is out of its range, or the probability of a spike above 1.

    References
    ----------
    Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nature
    Communications 11:3625, doi:10.1038/s41467-020-17236-y.
    """

    kind: str = field(default="sines", validator=choice(("sines", "trajectory")))
    n_in: int = field(default=100, validator=whole(1))
    # fewer steps than two cycles of the fastest sine are not a pattern
    steps: int = field(default=1000, validator=whole(2 * max(CYCLES)))
    dt: Quantity = field(default=1 * ms, validator=time())
    input_rate: Quantity = field(default=50 * Hz, validator=drawable_rate())
    seed: int = field(default=0, validator=any_seed())

    @property
    def n_out(self) -> int:
        """Number of readouts: 1 for sines, 2 for a trajectory."""
        return 1 if self.kind == "sines" else 2

    @property
    def defaults(self) -> TrainingSetup:
        """
        A set-up that learns the task with every kind of feedback.

        Over ten seeds, both kinds and symmetric, random and adaptive feedback, the loss falls at
        least 60 times, at 9 to 36 spikes/s throughout. The network is that of the published
        task but for the scale of the membrane: with v_th = 0.6 instead of 0.03 one learning
        rate suits hidden and readout weights.
        """
        return TrainingSetup(
            neurons=(("lif", 100, {"tau_m": 30 * ms, "t_ref": 0 * ms}),),
            tau_out=30 * ms,
            loss="mse",
            # about 15 spikes/s before training, at the model's threshold of 0.6
            gains={"w_in": 0.45, "w_rec": 0.45, "w_out": 0.03, "feedback": 0.03},
            feedback="symmetric",
            optimizer="Adam",
            # In one step a hidden weight moves little against the threshold, but a readout
            # weight a good part of its size: outputs then grow without a burst of spikes.
            learning_rate=1e-3,
            iterations=200,
            batch_size=1,  # all trials are the same
            evaluation_trials=1,
            rate_target=15 * Hz,
            # grows with the loss that it has to balance
            rate_strength=750.0 * self.n_out,
        )

    @cached_property
    def inputs(self) -> Bools:
        """The frozen input, shape (steps, n_in), of bool."""
        p = spike_probability(self, "input_rate")
        return frozen_noise([self.seed, 0], self.steps, self.n_in, p)

    @cached_property
    def target(self) -> Floats:
        """The signal to generate, shape (steps, n_out)."""
        # a stream of its own: the same signal whatever the number of inputs
        rng = np.random.default_rng([self.seed, 1])
        # both ends included, so that the curve closes
        turn = np.linspace(0, 2 * np.pi, self.steps)
        if self.kind == "sines":
            amplitudes = rng.uniform(0.5, 2, len(CYCLES))
            phases = rng.uniform(0, 2 * np.pi, len(CYCLES))
            cycles = [self.steps // (self.steps // n) for n in CYCLES]
            signal = np.sin(np.outer(turn, cycles) + phases) @ amplitudes[:, np.newaxis]
        else:
            coefficients = rng.standard_normal((2, len(HARMONICS), 2)) / HARMONICS[:, np.newaxis]
            angles = np.outer(turn, HARMONICS)
            signal = np.sin(angles) @ coefficients[0] + np.cos(angles) @ coefficients[1]
        signal = signal - signal[0]
        return signal / abs(signal).max()

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """
        Trials to train on; all are the same here.

        Parameters
        ----------
        rng : numpy.random.Generator
            Not drawn from: input and target are frozen.
        batch : int

        Returns
        -------
        inputs : (batch, steps, n_in) ndarray of bool
        targets : (batch, steps, n_out) ndarray of float

        Raises
        ------
        ValueError
            If ``batch`` is less than 1.
        """
        whole_number("batch", batch)
        return np.stack([self.inputs] * batch), np.stack([self.target] * batch)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Normalised error, see :mod:`.parts.metrics`."""
        return normalized_error(outputs, targets)


TASK = PatternGeneration
