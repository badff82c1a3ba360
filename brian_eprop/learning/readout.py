"""Leaky readouts: output, target, loss, and the error between output and target."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from brian2 import NeuronGroup, Quantity, Synapses, TimedArray
from brian2.units import DimensionMismatchError, second
from brian2.units.fundamentalunits import DIMENSIONLESS
from numpy.typing import ArrayLike

from ..brian import schedule
from ..brian.code import declare, run_code, sum_over_synapses, unhidden
from ..brian.internals import Variable, add_to, last_step
from ..brian.step_flags import declare_flags, describe_step
from ..checks import (
    check_not_compiled,
    check_options,
    check_time,
    flag,
    not_finite,
    numbers,
    one_of,
    refuse_change,
    steps,
    whole_number,
)
from ..engines.contract import Learning
from .losses import LOSSES, LossName

#: Attributes that cannot be changed any more, and what to do instead.
FIXED = {
    "learner": "create another readout for another Learner",
    "average": "create a readout with it, LeakyReadout(..., average=...), and its Learner",
    "period_steps": "create a readout with another period, LeakyReadout(..., period=...)",
}


class LeakyReadout(NeuronGroup):
    r"""Leaky integrators of spikes: the outputs of a network, which are compared with a target.

    ::

        y_k^t = κ y_k^{t−1} + g Σ_j W_jk z_j^t,     κ = exp(−dt/tau),  g = 1 or 1 − κ

    The spikes of a step act on the output of the same step (Bellec et al. 2020, Nat. Commun.
    11:3625, Eq. 11). Connect to it with ``on_pre="y_post += w"``.

    Parameters
    ----------
    n : int
        Number of outputs.
    tau : Quantity
        Time constant of the leak, the same for all outputs.
    loss : {"mse", "cross_entropy", "linear"}
        ½ Σ (y − y*)²; −Σ y* log softmax(y) with the softmax taken over the outputs; or Σ y* y, of
        which y* is the error: ∂E/∂y of any other loss.
    target : TimedArray or array_like, optional
        y*: (steps, n), one row per time step from the start of the simulation, t = 0, whatever
        happens to trials; a vector (steps,) if n is 1. Without a target the readout only reports.
        Another one may be assigned between two runs.
    period : Quantity, optional
        Repeat the target with this period, for example the length of a trial.
    normalize : bool
        Apply the gain g = 1 − κ to the inputs; the same factor is then in the gradients of
        all weights, by the chain rule.
    average : bool
        Divide loss and learning signals by the length of the learning window.
    **as_neuron_group
        ``name``, ``dt``, ``clock``, ``order`` of :class:`brian2.NeuronGroup`.

    Attributes
    ----------
    y, error : state variables (n,)
        Output, and from the slot ``end`` on its error y − y* (softmax(y) − y*, or y*), 0 outside
        the learning window and while learning is off.
    y_target : subexpression (n,)
        y*.
    loss : state variable (n,)
        The loss summed since the start of the simulation, in learning windows and whether or not
        learning is on; its sum over outputs is E.
    learning : shared variable (bool)
        Whether errors count: `Learner.learning`, for monitors and ``run_args``.

    Raises
    ------
    ValueError
        For a wrong shape, a NaN in the target, an unknown loss; and when a run begins for
        which the target is too short, or no probability in a step that counts, with
        cross-entropy.
    DimensionMismatchError
        If ``tau`` or ``period`` is not a time.
    """

    EQUATIONS = """
        dy/dt = -y/tau_out : 1
        tau_out : second (shared, constant)
        error : 1
        loss : 1
        learning : boolean (shared)
        trial_step : integer (shared)
        """
    #: Whether errors count by what becomes of them, and not by themselves.
    rewarded = False

    def __init__(
        self,
        n: int,
        tau: Quantity,
        loss: LossName = "mse",
        target: ArrayLike | TimedArray | None = None,
        *,
        period: Quantity | None = None,
        normalize: bool = False,
        average: bool = False,
        **as_neuron_group: Any,
    ) -> None:
        whole_number("LeakyReadout.n", n)
        one_of("LeakyReadout.loss", loss, tuple(LOSSES))
        flag("LeakyReadout.normalize", normalize)
        flag("LeakyReadout.average", average)
        check_options(type(self), as_neuron_group, ("name", "dt", "clock", "order"))
        check_time("LeakyReadout.tau", tau)
        if period is not None:
            check_time("LeakyReadout.period", period)
        equations = [self.EQUATIONS]
        if target is not None:
            when = "t" if period is None else "(timestep(t, dt) % target_period)*dt"
            equations.append(f"y_target = target_values({when}, i) : 1")
        as_neuron_group.setdefault("name", "readout*")
        super().__init__(n, "\n".join(equations), method="exact", namespace={}, **as_neuron_group)
        for name in ("period_steps", "learner", "average", "normalize", "step_clock", "loss_name"):
            self.add_attribute(name)
        declare_flags(self, "readout")
        self.loss_name = loss
        self.average, self.normalize, self.period_steps = average, normalize, None
        self.learner: Learning | None = None
        self.tau_out, self.learning = tau, True
        if target is not None:
            if period is not None:
                self.period_steps = steps("LeakyReadout.period", period, self.clock.dt)
                self.namespace["target_period"] = self.period_steps
            self._set_target(target)
        self.step_clock = run_code(self, "", schedule.CLOCK, f"{self.name}_step_clock")
        describe_step(self)
        if normalize:
            self._scale_inputs()
        if target is not None:
            LOSSES[loss].prepare(self, schedule.SOFTMAX)
            run_code(self, LOSSES[loss].code, schedule.ERROR, f"{self.name}_error")

    @property
    def target(self) -> TimedArray | None:
        """y*, a function of the time t; what is assigned is compared with from the next run on."""
        return self.namespace.get("target_values")

    @target.setter
    def target(self, target: ArrayLike | TimedArray) -> None:
        if self.target is None:
            raise AttributeError(
                f"the target of readout '{self.name}' cannot be set, since it was created without: "
                "it has no error; create it with LeakyReadout(..., target=...)"
            )
        check_not_compiled(f"the target of readout '{self.name}'")
        self._set_target(target)

    def _set_target(self, target):
        target = _timed(target, len(self), self.clock.dt)
        self._check_target_step(target)
        self._check_targets(target.values)
        self.namespace["target_values"] = target

    def resolve_all(
        self,
        identifiers: Iterable[str],
        run_namespace: Mapping[str, Any],
        user_identifiers: Iterable[str] | None = None,
        additional_variables: Mapping[str, Variable] | None = None,
    ) -> dict[str, Variable]:
        """Find what names stand for; see :meth:`brian2.Group.resolve_all`.

        Those of the readout go before the same ones around ``run()``, and Brian2 does not warn of
        them: the user has not written its equations.
        """
        others = unhidden(run_namespace, self)
        return super().resolve_all(identifiers, others, user_identifiers, additional_variables)

    def __setattr__(self, name, value):
        if name in FIXED and self.__dict__.get(name) is not None:
            refuse_change("LeakyReadout", name, FIXED[name])
        super().__setattr__(name, value)

    def _scale_inputs(self):
        before = schedule.OUTPUT_BEFORE_ARRIVALS
        declare(self, "__y_before")
        run_code(self, "__y_before = y", before, f"{self.name}_output_before_arrivals")
        after = schedule.OUTPUT_AFTER_ARRIVALS
        code = "y = __y_before + __gain*(y - __y_before)"
        run_code(self, code, after, f"{self.name}_gain")

    def _sum_over_outputs(self, moment, **sums):
        """Set variables of each output to sums over all outputs, given as expressions."""
        # The only sum over the neurons of a group that Brian2 offers is one over synapses.
        pairs = Synapses(self, self, name=f"{self.name}_sums", namespace={})
        pairs.connect()
        for name, expression in sums.items():
            sum_over_synapses(pairs, expression, name, "post", moment)
        add_to(self, pairs)

    def before_run(self, run_namespace: Mapping[str, Any]) -> None:
        """Refuse a run that is longer than the target, or for which it makes no sense."""
        super().before_run(run_namespace)
        if self.learner is not None:
            self.learner.progress.check_continues()
            self.learner.warn_of_what_goes_on()
        if self.target is None:
            return
        self._check_target_step(self.target)
        rows = len(self.target.values)
        needed = self.period_steps or last_step(self.clock)
        if rows < needed:
            raise ValueError(
                f"the target of readout '{self.name}' has {rows} rows, one per time step, but "
                f"{needed} are needed; give a longer target, or its period if it repeats"
            )
        self._check_targets_that_count(self.target.values[:needed])

    def _check_targets(self, rows):
        """Refuse rows that the loss cannot use, but for zeros, where perhaps no error counts."""
        loss = LOSSES[self.loss_name]
        wrong = loss.wrong(rows) & rows.any(axis=1)
        if wrong.any() or loss.wrong(rows).all():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"LeakyReadout.target[{row}] = {rows[row]}: the loss '{self.loss_name}' needs "
                f"{loss.needs}, or zeros in steps outside a learning window"
            )

    def _check_targets_that_count(self, rows):
        """Refuse a row that the loss cannot use, unless it is always outside the window."""
        loss = LOSSES[self.loss_name]
        wrong = loss.wrong(rows)
        if self.learner is not None and self.learner.window is not None:
            # With a period that is no multiple of a trial, a row comes in other steps each time.
            distance = math.gcd(self.learner.trial, self.period_steps or 0)
            steps = np.arange(len(rows)) - self.learner.progress.first_step
            wrong &= steps % distance >= distance - self.learner.window
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"row {row} of the target of readout '{self.name}' is {rows[row]}; the loss "
                f"'{self.loss_name}' needs {loss.needs} in every step that counts: correct them, "
                "or let the learner have a learning_window without such rows"
            )

    def _check_target_step(self, target):
        dt = self.clock.dt_
        if abs(float(target.dt) - dt) > 1e-9 * dt:
            raise ValueError(
                f"the target of readout '{self.name}' has one row every "
                f"{target.dt * second!s}, but the readout runs with dt = {self.clock.dt!s}; "
                "set defaultclock.dt before creating it"
            )


def _timed(target, n, dt):
    """The target as a TimedArray of shape (steps, n)."""
    is_timed = isinstance(target, TimedArray)
    if is_timed and target.dim is not DIMENSIONLESS:
        raise DimensionMismatchError(
            "LeakyReadout.target has a unit, but the output y has none; divide by the unit"
        )
    values = numbers("LeakyReadout.target", target.values if is_timed else target)
    if values.ndim == 1 and n == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.shape[1] != n or not len(values):
        raise ValueError(
            f"LeakyReadout.target has the shape {values.shape}; it must be (steps, {n}), one row "
            "per time step"
        )
    wrong = not_finite("LeakyReadout.target", values)
    if wrong:
        raise ValueError(f"{wrong}; targets are finite")
    if is_timed and target.values.ndim == 2:
        return target
    return TimedArray(values, dt=target.dt * second if is_timed else dt)
