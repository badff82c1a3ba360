"""Pattern recall: keep a pattern of many bits out of a stream of them until it is asked for."""

from functools import cached_property
from typing import Literal

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Floats, any_seed, fraction, time, whole
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import group_spikes
from .kinds import SampledTask, check_held_out
from .metrics import same_shape
from .options import drawable_rate, in_steps, published_beta, spike_probability, steps_of

__all__ = [
    "TASK",
    "PatternRecall",
]

#: Inputs of a value of a bit, and of a command.
OF_BIT, OF_COMMAND = 2, 25
#: Patterns that were drawn in vain before there are said to be too few.
TRIES = 100_000


@frozen(eq=False, slots=False)
class PatternRecall(SampledTask):
    """
    Say which pattern of bits was shown with the command to store, among others that do not matter.

    A trial is a row of characters. In each but the last one a pattern of ``bits`` bits is shown:
    each bit has two inputs that fire while it is 0, and two that fire while it is 1. In one of
    them the inputs "store" fire too: this is the pattern to keep. In the last character only the
    inputs "recall" fire, and the answer counts: 1 of each output whose bit is 1, and 0 of the
    others. The command to store is with any of the characters, with equal chance. Active inputs
    fire with ``rate``, independently, with p = rate·dt per step.

    Patterns have one to ``density``·bits active bits. Those to learn from, ``patterns`` of them,
    and those of "validation" and "test", ``held_out_patterns`` each, differ from each other in
    at least ``distance`` bits: a network that has learned its patterns by heart fails.

    Parameters
    ----------
    bits : int
    patterns, held_out_patterns : int
        How many patterns there are to learn from, and in each of the two parts to test with,
        each the one to keep in as many trials as ``trials_per_pattern`` there.
    trials_per_pattern : int
    distance : int
        Bits in which patterns differ at the least.
    density : float
        Largest fraction of active bits.
    characters : int
        Number of characters, the recall included; at least 2.
    character : Quantity
        Duration of a character; a multiple of ``dt``.
    rate : Quantity
        Of an input that is active.
    seed : int
        Of the patterns, and of the trials that are held out.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range, the duration no multiple of ``dt``, the probability
        of a spike above 1, or, when patterns are needed, if there are not that many.

    References
    ----------
    Salaj, Subramoney, Kraišniković, Bellec, Legenstein & Maass (2021), eLife 10:e65459, Fig. 2A,
    doi:10.7554/eLife.65459: 20 bits, four inputs a bit, characters of 200 ms, 500 ALIF neurons
    with τ_a = 800 ms, by BPTT, and 1600 ms by e-prop. There commands are anywhere in a trial; here
    the recall that counts is the last character.
    """

    bits: int = field(default=20, validator=whole(1))
    patterns: int = field(default=100, validator=whole(1))
    held_out_patterns: int = field(default=20, validator=whole(1))
    trials_per_pattern: int = field(default=5, validator=whole(1))
    distance: int = field(default=3, validator=whole(1))
    density: float = field(default=0.2, validator=fraction())
    characters: int = field(default=3, validator=whole(2))
    character: Quantity = field(default=200 * ms, validator=in_steps())
    rate: Quantity = field(default=400 * Hz, validator=drawable_rate())
    seed: int = field(default=0, validator=any_seed())
    dt: Quantity = field(default=1 * ms, validator=time())

    def __attrs_post_init__(self):
        if self._most_active < 1:
            raise ValueError(
                f"PatternRecall.density = {self.density} leaves no active bit of {self.bits}; "
                f"give at least {1 / self.bits:g}"
            )

    @property
    def n_out(self) -> int:
        """Number of outputs, one a bit."""
        return self.bits

    @property
    def input_groups(self) -> dict[str, int]:
        """Groups of inputs and the number of inputs in each, in their order."""
        values = {"bits 0": OF_BIT * self.bits, "bits 1": OF_BIT * self.bits}
        return values | {"store": OF_COMMAND, "recall": OF_COMMAND}

    @property
    def output_names(self) -> tuple[str, ...]:
        """The bits, from 1."""
        return tuple(f"bit {k + 1}" for k in range(self.bits))

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return sum(self.input_groups.values())

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return self.characters * self.learning_window

    @property
    def learning_window(self) -> int:
        """Time steps of the recall, in which errors count."""
        return steps_of(self, "character")

    @property
    def defaults(self) -> TrainingSetup:
        """200 ALIF neurons, whose thresholds remember for 1.6 s."""
        tau_a = 1600 * ms
        alif = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 3 * ms, "tau_a": tau_a}
        return TrainingSetup(
            neurons=(("alif", 200, alif | {"beta": published_beta(self.dt, tau_a)}),),
            tau_out=20 * ms,
            loss="mse",
            normalize=True,
            average=True,
            gains={"w_in": 0.6, "w_rec": 0.3, "w_out": 0.5, "feedback": 0.5},
            feedback="symmetric",
            optimizer="Adam",
            learning_rate=CosineDecay(1e-2, 1e-3, 1000),
            iterations=1000,
            batch_size=64,
            rate_target=10 * Hz,
            rate_strength=4.0,
        )

    @property
    def _most_active(self):
        return int(self.density * self.bits + 1e-9)

    @cached_property
    def split(self) -> dict[str, Bools]:
        """Patterns by part, "train", "validation" and "test": (n, bits) ndarray of bool each."""
        sizes = [self.patterns, self.held_out_patterns, self.held_out_patterns]
        rng, found = np.random.default_rng([self.seed, 1]), np.zeros((0, self.bits), bool)
        for _ in range(TRIES):
            pattern = rng.random(self.bits) < 0.5 * self.density
            apart = (found != pattern).sum(axis=1)
            if 1 <= pattern.sum() <= self._most_active and (apart >= self.distance).all():
                found = np.vstack([found, pattern])
            if len(found) == sum(sizes):
                ends = np.cumsum(sizes)[:-1]
                return dict(
                    zip(("train", "validation", "test"), np.split(found, ends), strict=True)
                )
        raise ValueError(
            f"PatternRecall.patterns = {self.patterns} and held_out_patterns = "
            f"{self.held_out_patterns} are {sum(sizes)} in all, but {len(found)} were found that "
            f"differ in distance = {self.distance} bits; ask for fewer, or a smaller distance"
        )

    def held_out(self, split: Literal["validation", "test"]) -> tuple[Bools, Floats]:
        """
        Trials in which all patterns, those to ignore too, are none that are learned from.

        Parameters
        ----------
        split : {"validation", "test"}

        Returns
        -------
        inputs, targets : ndarray
            As from :meth:`sample`.

        Raises
        ------
        ValueError
            For another name.
        """
        check_held_out(self, split)
        rng = np.random.default_rng([self.seed, 2, ("validation", "test").index(split)])
        known = self.split[split]
        return self._trials(rng, known, np.repeat(np.arange(len(known)), self.trials_per_pattern))

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """Fraction of wrong bits: outputs whose mean in the recall is on the wrong side of ½."""
        both = same_shape(outputs, targets, (self.steps, self.n_out))
        said, right = (x[..., -self.learning_window :, :].mean(axis=-2) > 0.5 for x in both)
        return float((said != right).mean())

    def _draw(self, rng, batch):
        known = self.split["train"]
        return self._trials(rng, known, rng.integers(len(known), size=batch))

    def _trials(self, rng, known, kept):
        """Trials with some of the known patterns, and the number of the one to keep in each."""
        trial, shown = np.arange(len(kept)), self.characters - 1
        numbers = rng.integers(len(known), size=(len(kept), shown))
        store = rng.integers(shown, size=len(kept))
        numbers[trial, store] = kept
        active = np.zeros((len(kept), self.characters, 2 * self.bits + 2))
        active[:, :-1, : self.bits] = ~known[numbers]
        active[:, :-1, self.bits : 2 * self.bits] = known[numbers]
        active[trial, store, -2] = 1
        active[:, -1, -1] = 1
        probability = spike_probability(self, "rate") * active
        sizes = [OF_BIT] * (2 * self.bits) + [OF_COMMAND] * 2
        lengths = [self.learning_window] * self.characters
        inputs = group_spikes(rng, probability, lengths, sizes)
        return inputs, np.repeat(known[kept][:, np.newaxis].astype(float), self.steps, axis=1)


TASK = PatternRecall
