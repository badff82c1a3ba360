"""Mackey–Glass: continue a chaotic series, first point by point, then on one's own."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import ABOVE_0, Bools, Floats, Ints, real, time, whole, whole_number
from ..learning.optimizers import CosineDecay
from . import TrainingSetup
from .encoding import population_code
from .kinds import SampledTask, check_held_out, drawn
from .metrics import same_shape
from .options import drawable_rate, in_steps, spike_probability, steps_of

__all__ = [
    "TASK",
    "MackeyGlass",
    "delayed_series",
    "symmetric_error",
]

BETA, GAMMA, POWER = 0.2, 0.1, 10
#: Points in a Lyapunov time, and Lyapunov times to learn from and as many to test with.
DENSITY, LYAPUNOV_TIMES = 75, 10
#: Steps of the integration in a delay.
IN_A_DELAY = 340
#: Range of the values that inputs tell apart.
LOW, HIGH = 0.2, 1.4


@frozen(eq=False, slots=False)
class MackeyGlass(SampledTask):
    """
    Predict the next point of the Mackey–Glass series from those before.

    .. math:: \\dot x = 0.2\\, x(t - τ) / (1 + x(t - τ)^{10}) - 0.1\\, x(t),

    with x = ``past`` before t = 0, at 75 points in a Lyapunov time: of the 20 Lyapunov times,
    1500 points, the first ten are learned from, the next five are "validation", the last "test".

    A trial is a row of ``points`` of the series that follow each other, each shown for the time
    ``shown`` by ``n_in`` inputs with Gaussian tuning curves from 0.2 to 1.4, that of the preferred
    value firing with ``rate``. There is no noise: an input fires when the sum of its rate·dt, from
    a phase of its own on, exceeds the next whole number. The target is the next point, as long as
    a point is shown; errors count after the first ``warm_up`` points. A prediction is the mean
    output in the second half of that time.

    How well a network continues the series on its own, with its predictions for inputs, is what
    :meth:`free_run` tells.

    Parameters
    ----------
    tau : float
        τ, in the units of time of the equation.
    lyapunov_time : float
        In these units.
    past : float
    points, warm_up : int
        Of a trial; the warm-up is shorter.
    n_in : int
        Inputs.
    shown : Quantity
        Time of a point; a multiple of ``dt``, of at least two steps.
    rate : Quantity
        Of an input at its preferred value.
    dt : Quantity
        Time step.

    Raises
    ------
    DimensionMismatchError
        If a quantity has the wrong unit or none.
    ValueError
        If an option is out of its range, the duration no multiple of ``dt``, or there is more
        than a spike in a step.

    Notes
    -----
    The equation is integrated by the classical Runge–Kutta method with 340 steps in a delay, and
    cubic Hermite polynomials between them. Errors of 10⁻⁸ grow by e in a Lyapunov time: the later
    part of the series is a solution in its statistics only, as that of any other solver is.

    References
    ----------
    Mackey & Glass (1977), Science 197:287, doi:10.1126/science.267326; parameters of NeuroBench:
    Yik et al. (2025), Nature Communications 16:1545, doi:10.1038/s41467-025-56739-4.
    """

    tau: float = field(default=17.0, validator=real("be a number above 0", low=ABOVE_0))
    lyapunov_time: float = field(default=197.0, validator=real("be a number above 0", low=ABOVE_0))
    past: float = field(default=0.7206597, validator=real())
    points: int = field(default=60, validator=whole(2))
    warm_up: int = field(default=15, validator=whole(0))
    n_in: int = field(default=40, validator=whole(2))
    shown: Quantity = field(default=20 * ms, validator=in_steps())
    rate: Quantity = field(default=200 * Hz, validator=drawable_rate())
    dt: Quantity = field(default=1 * ms, validator=time())

    n_out = 1

    def __attrs_post_init__(self):
        most = DENSITY * LYAPUNOV_TIMES // 2 - 1
        if self.points > most:
            raise ValueError(
                f"MackeyGlass.points = {self.points} must be at most {most}, all of the validation"
            )
        if self.warm_up >= self.points:
            raise ValueError(
                f"MackeyGlass.warm_up = {self.warm_up} must be less than points = {self.points}"
            )
        if steps_of(self, "shown") < 2:
            raise ValueError(
                f"MackeyGlass.shown = {self.shown!r} must be at least two steps of dt = {self.dt!r}"
            )

    @property
    def input_groups(self) -> dict[str, int]:
        """All inputs are one group."""
        return {"x": self.n_in}

    @property
    def output_names(self) -> tuple[str, ...]:
        """The output is the next point."""
        return ("next x",)

    @property
    def steps(self) -> int:
        """Time steps of a trial."""
        return self.points * steps_of(self, "shown")

    @property
    def learning_window(self) -> int:
        """Time steps after the warm-up."""
        return (self.points - self.warm_up) * steps_of(self, "shown")

    @property
    def defaults(self) -> TrainingSetup:
        """50 LIF neurons with membranes of 20 ms, 50 of 100 ms, and 50 ALIF neurons."""
        fast = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 2 * ms}
        return TrainingSetup(
            neurons=(
                ("lif", 50, fast),
                ("lif", 50, fast | {"tau_m": 100 * ms}),
                ("alif", 50, fast | {"tau_a": 300 * ms, "beta": 0.2}),
            ),
            tau_out=10 * ms,
            loss="mse",
            normalize=True,
            average=True,
            gains={"w_in": 1.5, "w_rec": 0.2, "w_out": 5.0, "feedback": 5.0},
            feedback="symmetric",
            optimizer="Adam",
            learning_rate=CosineDecay(5e-3, 1e-4, 800),
            iterations=800,
            batch_size=32,
            rate_target=30 * Hz,
            rate_strength=0.2,
        )

    @cached_property
    def series(self) -> Floats:
        """The points, 1 more than 20 Lyapunov times have: (1501,) ndarray."""
        step = self.lyapunov_time / DENSITY
        return delayed_series(self.tau, self.past, step, 2 * LYAPUNOV_TIMES * DENSITY + 1)

    def encoded(self, values: Floats) -> Bools:
        """
        Input spikes of trials that show these values.

        Parameters
        ----------
        values : (batch, points) ndarray

        Returns
        -------
        (batch, points · shown/dt, n_in) ndarray of bool
        """
        p = spike_probability(self, "rate") * population_code(
            values[..., np.newaxis], LOW, HIGH, self.n_in
        )
        # golden ratio: phases that are spread evenly, for any number of inputs
        phase = np.arange(self.n_in) * 0.6180339887498949 % 1
        total = phase + np.cumsum(np.repeat(p, steps_of(self, "shown"), axis=1), axis=1)
        return np.diff(np.floor(total), axis=1, prepend=0) > 0

    def predicted(self, outputs: Floats) -> Floats:
        """
        What outputs predict: their means in the second half of the time of each point.

        Parameters
        ----------
        outputs : (…, steps, 1) ndarray

        Returns
        -------
        (…, points) ndarray
        """
        shown = steps_of(self, "shown")
        rows = outputs[..., 0].reshape(*outputs.shape[:-2], -1, shown)
        return rows[..., shown // 2 :].mean(axis=-1)

    def metric(self, outputs: Floats, targets: Floats) -> float:
        """sMAPE in %, see :func:`symmetric_error`, of the predictions after the warm-up."""
        both = same_shape(outputs, targets, (self.steps, self.n_out))
        return symmetric_error(*(self.predicted(x)[..., self.warm_up :] for x in both))

    def held_out(self, split: Literal["validation", "test"]) -> tuple[Bools, Floats]:
        """
        Trials one after the other from the part of the series that is not learned from.

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
        half = LYAPUNOV_TIMES * DENSITY // 2
        first = 2 * half if split == "validation" else 3 * half
        return self._trials(np.arange(first, first + half - self.points + 1, self.points))

    def free_run(
        self, simulate: Callable[[Bools], Floats], horizon: int = DENSITY, trials: int = 4
    ) -> tuple[Floats, Floats]:
        """
        The series as a network continues it, whose predictions are its next inputs.

        After ``points`` that are given, the first of which is learned from and the last is the
        last before those held out, the network goes on by itself. It runs from the beginning for
        each point: ``horizon`` runs of points + horizon points.

        Parameters
        ----------
        simulate : callable
            From inputs (batch, steps, n_in) to outputs (batch, steps, 1), such as
            ``lambda inputs: network.simulate(inputs).readout``.
        horizon : int
            Points to predict; 75 are a Lyapunov time.
        trials : int
            How many times, from places evenly in the part that is held out.

        Returns
        -------
        predicted, true : (trials, horizon) ndarray
            See :func:`symmetric_error`.

        Raises
        ------
        ValueError
            If there are not that many points.
        """
        half = LYAPUNOV_TIMES * DENSITY
        name = "MackeyGlass.free_run"
        if whole_number(f"{name}: horizon", horizon) > half:
            raise ValueError(f"{name}: horizon = {horizon} must be at most {half} points")
        whole_number(f"{name}: trials", trials)
        first = half + np.linspace(0, half - horizon, trials).astype(int)
        values = self.series[first[:, np.newaxis] + np.arange(-self.points, horizon)]
        true = values[:, self.points :].copy()
        # what is not known yet is no input
        values[:, self.points :] = np.nan
        shown = steps_of(self, "shown")
        inputs = np.zeros((trials, values.shape[1] * shown, self.n_in), bool)
        for known in range(self.points, values.shape[1]):
            inputs[:, : known * shown] = self.encoded(values[:, :known])
            values[:, known] = self.predicted(simulate(inputs))[:, known - 1]
        return values[:, self.points :], true

    def _draw(self, rng, batch):
        places = LYAPUNOV_TIMES * DENSITY - self.points
        return self._trials(drawn(rng, places, batch))

    def _trials(self, first: Ints):
        rows = self.series[first[:, np.newaxis] + np.arange(self.points + 1)]
        targets = np.repeat(rows[:, 1:, np.newaxis], steps_of(self, "shown"), axis=1)
        return self.encoded(rows[:, :-1]), targets


def symmetric_error(predicted: Floats, true: Floats) -> float:
    """
    Symmetric mean absolute percentage error, sMAPE: ``200 ⟨|ŷ − y| / (|ŷ| + |y|)⟩`` %.

    Parameters
    ----------
    predicted, true : ndarray
        Of one shape.

    Returns
    -------
    float
        From 0 to 200.
    """
    size = np.abs(predicted) + np.abs(true)
    apart = np.abs(predicted - true)
    return float(200 * np.mean(np.divide(apart, size, out=np.zeros_like(size), where=size > 0)))


def delayed_series(tau: float, past: float, interval: float, points: int) -> Floats:
    """
    Points of the Mackey–Glass equation, from t = 0 on.

    Parameters
    ----------
    tau : float
    past : float
        x before t = 0.
    interval : float
        Time from point to point.
    points : int

    Returns
    -------
    (points,) ndarray
    """
    h = tau / IN_A_DELAY
    steps = int(np.ceil((points - 1) * interval / h)) + 1
    x, slope = np.empty(steps + 1), np.empty(steps + 1)
    x[0] = past

    def change(now, before):
        return BETA * before / (1 + before**POWER) - GAMMA * now

    def delayed(n):
        """x a delay before step n, and before the middle of the step that follows."""
        start = n - IN_A_DELAY
        if start < 0:
            return past, past, past
        # the cubic Hermite polynomial in its middle
        middle = (x[start] + x[start + 1]) / 2 + h * (slope[start] - slope[start + 1]) / 8
        return x[start], middle, x[start + 1]

    for n in range(steps):
        before, middle, after = delayed(n)
        k1 = slope[n] = change(x[n], before)
        k2 = change(x[n] + h * k1 / 2, middle)
        k3 = change(x[n] + h * k2 / 2, middle)
        k4 = change(x[n] + h * k3, after)
        x[n + 1] = x[n] + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        slope[n + 1] = change(x[n + 1], after)
    at = np.arange(points) * interval / h
    n = np.minimum(at.astype(int), steps - 1)
    s = at - n
    return (
        (1 + 2 * s) * (1 - s) ** 2 * x[n]
        + s * (1 - s) ** 2 * h * slope[n]
        + s**2 * (3 - 2 * s) * x[n + 1]
        + s**2 * (s - 1) * h * slope[n + 1]
    )


TASK = MackeyGlass
