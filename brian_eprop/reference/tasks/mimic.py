"""Mimic: answer as another recurrent network would."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .task import Task, Trials, mean_squared_error

__all__ = ["TASK", "Mimic"]


@dataclass(frozen=True)
class Mimic(Task):
    """
    Reproduce the outputs of a fixed random network, the teacher, on random inputs.

    .. math::
        h^t &= \\tanh(x^t W_{in} + h^{t-1} W_{rec} + b), \\quad h^{-1} = 0 \\\\
        y^t &= h^t W_{out} + b_{out}

    with inputs x ∼ Bernoulli(½). The teacher's W_in and W_out are normal of variance
    1/(number of presynaptic units), W_rec is orthogonal and the biases are normal of
    standard deviation 0.1. A tanh network of ``n_teacher`` units can be perfect.

    Parameters
    ----------
    n_in, n_out : int
    n_teacher : int
        Units of the teacher.
    steps : int
        Steps T of a trial; all count.
    teacher_seed : int
        The teacher is drawn from it, and is the same in all trials.

    Raises
    ------
    ValueError
        If an option is out of its range.

    References
    ----------
    Marschall, Cho & Savin (2020), JMLR 21, arXiv 1907.02649; sizes and distributions as in
    github.com/omarschall/vanilla-rtrl. Trials of finite length are ours.
    """

    n_in: int = 32
    n_out: int = 32
    n_teacher: int = 32
    steps: int = 60
    teacher_seed: int = 0
    name: ClassVar[str] = "mimic"
    loss: ClassVar[str] = "mse"
    score_name: ClassVar[str] = "mean squared error"

    def __post_init__(self):
        self._require_whole(
            1, "nothing can be mimicked without it", "n_in", "n_out", "n_teacher", "steps"
        )
        self._require_whole(0, "take any seed of numpy.random.default_rng", "teacher_seed")

    @cached_property
    def teacher(self):
        """
        Weights and biases of the teacher.

        Returns
        -------
        dict of str to ndarray
            ``w_in`` (n_in, n_teacher), ``w_rec`` (n_teacher, n_teacher), ``b`` (n_teacher,),
            ``w_out`` (n_teacher, n_out), ``b_out`` (n_out,).
        """
        rng = np.random.default_rng(self.teacher_seed)
        n = self.n_teacher
        return {
            "w_in": rng.normal(0, 1 / np.sqrt(self.n_in), (self.n_in, n)),
            "w_rec": np.linalg.qr(rng.normal(0, 1, (n, n)))[0],
            "b": rng.normal(0, 0.1, n),
            "w_out": rng.normal(0, 1 / np.sqrt(n), (n, self.n_out)),
            "b_out": rng.normal(0, 0.1, self.n_out),
        }

    def score(self, outputs, trials):
        """Mean squared error over outputs, steps and trials."""
        return mean_squared_error(outputs, trials)

    def _draw(self, rng, batch):
        inputs = rng.integers(2, size=(batch, self.steps, self.n_in)).astype(float)
        targets = np.empty((batch, self.steps, self.n_out))
        teacher = self.teacher
        h = np.zeros((batch, self.n_teacher))
        for t in range(self.steps):
            h = np.tanh(inputs[:, t] @ teacher["w_in"] + h @ teacher["w_rec"] + teacher["b"])
            targets[:, t] = h @ teacher["w_out"] + teacher["b_out"]
        return Trials(inputs, targets, np.ones((batch, self.steps)))


TASK = Mimic
