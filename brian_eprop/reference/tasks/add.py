"""Add: a coin whose odds depend on two inputs of the past."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .task import Task, Trials, cross_entropy, mean_squared_error

__all__ = ["TASK", "Add"]

LOSSES = ("cross_entropy", "mse")


@dataclass(frozen=True)
class Add(Task):
    """
    Say how likely a coin shows heads, given the tosses t₁ and t₂ steps ago.

    .. math:: y^t = \\tfrac12 + \\tfrac12 x^{t - t_1} - \\tfrac14 x^{t - t_2}

    The inputs are x and 1 − x with x ∼ Bernoulli(½), the targets y and 1 − y. How well a
    network does tells what it remembers: see `floors`. Steps before t = max(t₁, t₂), whose past
    lies before the trial, do not count; the paper has one endless trial instead.

    Parameters
    ----------
    delays : (int, int)
        t₁ and t₂, different.
    steps : int
        Steps T of a trial, more than the longer delay.
    loss : str
        ``"cross_entropy"``, the paper's, or ``"mse"``.

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    Marschall, Cho & Savin (2020), JMLR 21, arXiv 1907.02649; the targets are the
    probabilities themselves, ``deterministic=True`` in github.com/omarschall/vanilla-rtrl.
    The coin is from r2rt.com/recurrent-neural-networks-in-tensorflow-i.html (Pitis 2016).
    """

    delays: tuple = (5, 9)
    steps: int = 60
    loss: str = "cross_entropy"
    name: ClassVar[str] = "add"
    n_in: ClassVar[int] = 2
    n_out: ClassVar[int] = 2

    def __post_init__(self):
        try:
            delays = tuple(operator.index(delay) for delay in self.delays)
        except TypeError:
            delays = ()
        if len(delays) != 2 or delays[0] == delays[1] or min(delays) < 0:
            raise ValueError(
                f"Add.delays = {self.delays!r} must be two different whole numbers ≥ 0; give how "
                "many steps ago the two inputs were, for instance (5, 9)"
            )
        object.__setattr__(self, "delays", delays)
        self._require_whole(
            max(delays) + 1,
            f"with Add.delays = {delays} the first target is in step {max(delays)}",
            "steps",
        )
        if self.loss not in LOSSES:
            raise ValueError(f"Add.loss = {self.loss!r} is unknown; take one of {LOSSES}")

    @property
    def score_name(self):
        """``"cross-entropy"`` (in nats, as in the paper) or ``"mean squared error"``."""
        return "cross-entropy" if self.loss == "cross_entropy" else "mean squared error"

    @property
    def floors(self):
        """
        Expected score of the best output that knows only some of the two inputs.

        With p = E[y | what is known], the cross-entropy is E[−p log p − (1−p) log(1−p)] and
        the mean squared error E[(y − p)²]. In nats the four are 0.662, 0.519, 0.628 and 0.454.

        Returns
        -------
        dict of str to float
            ``"none"``, ``"first"`` (t₁ alone), ``"second"`` (t₂ alone), ``"both"``.
        """
        y = self._probability(*np.ix_((0, 1), (0, 1)))
        known = {
            "none": y.mean(keepdims=True),
            "first": y.mean(axis=1, keepdims=True),
            "second": y.mean(axis=0, keepdims=True),
            "both": y,
        }
        if self.loss == "mse":
            return {name: float(np.mean((y - p) ** 2)) for name, p in known.items()}
        return {name: float(_entropy(p).mean()) for name, p in known.items()}

    def score(self, outputs, trials):
        """Mean over the counted steps, of the cross-entropy in nats or the squared error."""
        if self.loss == "mse":
            return mean_squared_error(outputs, trials)
        return cross_entropy(outputs, trials)

    def _draw(self, rng, batch):
        x = rng.integers(2, size=(batch, self.steps)).astype(float)
        first = max(self.delays)
        y = np.full((batch, self.steps), 0.5)
        y[:, first:] = self._probability(
            *(x[:, first - delay : self.steps - delay] for delay in self.delays)
        )
        weight = np.zeros((batch, self.steps))
        weight[:, first:] = 1
        return Trials(np.stack([x, 1 - x], axis=-1), np.stack([y, 1 - y], axis=-1), weight)

    @staticmethod
    def _probability(first, second):
        return 0.5 + 0.5 * first - 0.25 * second


def _entropy(p):
    q = np.stack([p, 1 - p])
    # 0 log 0 = 0: a coin may be certain
    return -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=0)


TASK = Add
