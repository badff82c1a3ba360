"""Tasks with which learning rules are compared: aⁿbⁿ, copy, string memorization, add, mimic.

They keep the protocol of :mod:`brian_eprop.tasks`. Where the steps that count differ from trial
to trial, only the reference can learn them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from attrs import field, frozen

from ..checks import (
    any_seed,
    choice,
    in_field,
    is_whole,
    keep,
    whole,
    whole_number,
)
from ..tasks.kinds import SampledTask
from ..tasks.metrics import cross_entropy, mean_squared_error
from .characters import AnBn, Copy, StringMemorization

#: loss → what such a network is judged by
METRICS = {"cross_entropy": cross_entropy, "mse": mean_squared_error}


def _two_delays(name, value):
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or value[0] == value[1]
        or not all(is_whole(delay) and delay >= 0 for delay in value)
    ):
        raise ValueError(
            f"{name} = {value!r} must be two different whole numbers ≥ 0; give how many steps ago "
            "the two inputs were, for instance (5, 9)"
        )
    return tuple(map(int, value))


@frozen
class Add(SampledTask):
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

    delays: tuple = field(default=(5, 9), validator=in_field(_two_delays)())
    steps: int = field(default=60)
    loss: str = field(default="cross_entropy", validator=choice(METRICS))
    n_in = n_out = 2

    @steps.validator
    def _check_steps(self, field, steps):
        last = max(self.delays)
        why = f"with Add.delays = {self.delays} the first target is in step {last}"
        keep(self, field, whole_number("Add.steps", steps, last + 1, why=why))

    @property
    def learning_window(self):
        """The steps whose past lies within the trial."""
        return self.steps - max(self.delays)

    @property
    def floors(self):
        """
        Expected metric of the best output that knows only some of the two inputs.

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

    def metric(self, outputs, targets):
        """Mean over the steps that count, of the cross-entropy in nats or the squared error."""
        return METRICS[self.loss](self, outputs, targets)

    def _draw(self, rng, batch):
        x = rng.integers(2, size=(batch, self.steps))
        first = max(self.delays)
        y = np.full(x.shape, 0.5)
        y[:, first:] = self._probability(
            *(x[:, first - delay : self.steps - delay] for delay in self.delays)
        )
        return np.stack([x, 1 - x], axis=-1) > 0, np.stack([y, 1 - y], axis=-1)

    @staticmethod
    def _probability(first, second):
        return 0.5 + 0.5 * first - 0.25 * second


def _entropy(p):
    q = np.stack([p, 1 - p])
    # 0 log 0 = 0: a coin may be certain
    return -np.sum(q * np.log(np.where(q > 0, q, 1)), axis=0)


NOTHING = "nothing can be mimicked without it"


@frozen(slots=False)
class Mimic(SampledTask):
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

    n_in: int = field(default=32, validator=whole(1, why=NOTHING))
    n_out: int = field(default=32, validator=whole(1, why=NOTHING))
    n_teacher: int = field(default=32, validator=whole(1, why=NOTHING))
    steps: int = field(default=60, validator=whole(1, why=NOTHING))
    teacher_seed: int = field(default=0, validator=any_seed())
    loss = "mse"

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

    def metric(self, outputs, targets):
        """Mean squared error over outputs, steps and trials."""
        return mean_squared_error(self, outputs, targets)

    def _draw(self, rng, batch):
        inputs = rng.integers(2, size=(batch, self.steps, self.n_in)) > 0
        targets = np.empty((batch, self.steps, self.n_out))
        teacher = self.teacher
        h = np.zeros((batch, self.n_teacher))
        for t in range(self.steps):
            h = np.tanh(inputs[:, t] @ teacher["w_in"] + h @ teacher["w_rec"] + teacher["b"])
            targets[:, t] = h @ teacher["w_out"] + teacher["b_out"]
        return inputs, targets


#: name → class of the task
TASKS = {
    "add": Add,
    "anbn": AnBn,
    "copy": Copy,
    "mimic": Mimic,
    "string_memorization": StringMemorization,
}
