"""Pattern generation: a smooth signal out of frozen noise."""

from functools import cached_property

import numpy as np
from attrs import field, frozen

from ..checks import Floats, choice
from .frozen_pattern import FrozenPattern

__all__ = [
    "TASK",
    "PatternGeneration",
]

CYCLES = (1, 2, 3, 5)  # of the four sines
HARMONICS = np.arange(1, 5)  # of the trajectory


@frozen(eq=False, slots=False)
class PatternGeneration(FrozenPattern):
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

    @property
    def n_out(self) -> int:
        """Number of readouts: 1 for sines, 2 for a trajectory."""
        return 1 if self.kind == "sines" else 2

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


TASK = PatternGeneration
