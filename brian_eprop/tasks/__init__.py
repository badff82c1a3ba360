"""
Tasks: what a network is to learn, and a set-up with which it is known to learn it.

A task is the same to networks of Brian2, :func:`brian_eprop.network.training.fit`, and of the
reference, :func:`brian_eprop.rule_study.train`. It has

* ``n_in``, ``n_out`` and ``steps``, of inputs, of outputs, and of a trial;
* ``sample(rng, batch)``: inputs (batch, steps, n_in) of bool and targets
  (batch, steps, n_out) of float, with ``rng`` a ``numpy.random.Generator``;
* ``learning_window``, optional: the number of last steps in which errors count. Where these
  steps differ from trial to trial, targets are NaN in those that do not count: the reference
  learns that, a RecurrentNetwork refuses it;
* ``metric(outputs, targets)``, optional: one number by which people judge the task, lower for a
  better network, such as the fraction of wrong decisions;
* ``held_out(split)``, for recorded data: inputs and targets of all trials of ``"validation"`` or
  ``"test"``, which ``sample`` never draws;
* ``loss``, optional: of the networks that can learn it in the reference;
* ``after(metric)``, optional: the task of the reference's next iteration, for a curriculum.

The tasks of this package, each a module that assigns its class, of attrs or a frozen dataclass,
to ``TASK``, also have

* fields: the options, each with a default, that :func:`load_task` accepts;
* ``dt`` (a quantity) and ``defaults`` (a :class:`TrainingSetup`);
* ``input_groups``, optional: name and number of inputs of each group (dict), in their order,
  the first ``n_out`` being those that speak for output 0, 1, …; a trial of such a task is also
  drawn as a decision;
* ``output_names``, optional: of the outputs, where no inputs speak for them.

A task of your own is such a module anywhere: give its path instead of a name.
"""

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from attrs import field, frozen
from brian2.units.fundamentalunits import Quantity
from brian2.units.stdunits import Hz, ms

from ..checks import Bools, Feedback, FilePath, Floats, fields_of, is_described, suggest
from ..learning.losses import LossName
from ..learning.optimizers import CosineDecay, StepDecay
from ..network.constraints import Constraint

__all__ = [
    "TrainingSetup",
    "available_tasks",
    "load_task",
]


@frozen(eq=False)
class TrainingSetup:
    """
    A network and a way to train it, as plain data.

    Attributes
    ----------
    neurons : tuple of (str, int, dict)
        Model, number of neurons and overridden parameters of each population.
    tau_out : Quantity
        Time constant of the readout.
    loss : str
        ``"mse"`` or ``"cross_entropy"``.
    gains : dict of str to float
        Scale of the initial weights, see :meth:`initial_weights`.
    feedback : str
        ``"symmetric"``, ``"random"`` or ``"adaptive"``.
    optimizer : str
        Name of the optimizer's class.
    learning_rate : float, StepDecay or CosineDecay
    iterations : int
        Updates at most.
    batch_size : int
    rate_target : Quantity
        Rate towards which the regularizer pulls every neuron.
    rate_strength : float
        Strength of the regularizer.
    normalize, average : bool
        See :class:`brian_eprop.LeakyReadout`.
    order : int or inf
        See :class:`brian_eprop.EProp`.
    feedback_decay : float
    trainable : dict of str to (low, high)
        Parameters of the neurons that are trained, and their bounds.
    trainable_delays : dict of str to (low, high)
        Matrices whose delays are trained, and the bounds of these.
    constraints : tuple
        See :mod:`brian_eprop.network.constraints`.
    connectivity, delays : dict
        Which synapses there are and how long they take, see :mod:`brian_eprop.runs.values`.
    goal, evaluate_every, evaluation_trials, patience, max_rate
        When training ends, see :func:`brian_eprop.network.training.fit`. So many trials also
        judge the trained network.
    """

    neurons: tuple[tuple[FilePath, int, dict[str, Any]], ...]
    tau_out: Quantity
    loss: LossName
    gains: dict[str, float]
    feedback: Feedback
    optimizer: str
    learning_rate: float | StepDecay | CosineDecay
    iterations: int
    batch_size: int
    rate_target: Quantity
    rate_strength: float
    normalize: bool = False
    average: bool = False
    order: float = 1
    feedback_decay: float = 0.0
    trainable: dict[str, tuple[float | Quantity, float | Quantity]] = field(factory=dict)
    trainable_delays: dict[str, tuple[Quantity, Quantity]] = field(factory=dict)
    constraints: tuple[Constraint, ...] = ()
    connectivity: dict[str, Any] = field(factory=dict)
    delays: dict[str, Any] = field(factory=dict)
    goal: float | None = None
    evaluate_every: int | None = None
    evaluation_trials: int = 64
    patience: int | None = None
    max_rate: Quantity = field(factory=lambda: 200 * Hz)

    @classmethod
    def of_decisions(cls, **settings: Any) -> Self:
        """For outputs that are probabilities: cross-entropy, by symmetric e-prop and Adam.

        Where nothing else is said, batches have 64 trials, the readout's time constant is 20 ms,
        and the rate towards which neurons are pulled 10 Hz.
        """
        common = {
            "loss": "cross_entropy",
            "normalize": True,
            "average": True,
            "feedback": "symmetric",
            "optimizer": "Adam",
            "tau_out": 20 * ms,
            "batch_size": 64,
            "rate_target": 10 * Hz,
        }
        return cls(**common | settings)

    @property
    def n_rec(self) -> int:
        """Number of recurrent neurons."""
        return sum(count for _, count, _ in self.neurons)

    def initial_weights(self, n_in: int, n_out: int, rng: np.random.Generator) -> dict[str, Floats]:
        """
        Draw weights: normal, of standard deviation gain/√(number of presynaptic neurons).

        The feedback has that of ``w_out`` transposed, gain/√n_rec, as if it were to
        replace it.

        Parameters
        ----------
        n_in, n_out : int
        rng : numpy.random.Generator

        Returns
        -------
        dict of str to ndarray
            ``w_in`` (n_in, n_rec), ``w_rec`` (n_rec, n_rec) with a diagonal of 0,
            ``w_out`` (n_rec, n_out) and ``feedback`` (n_out, n_rec).
        """
        if lacks := [name for name in SCALED if name not in self.gains]:
            raise ValueError(f"setup.gains = {self.gains!r} has no {_quoted(lacks)}; give a number")
        n = self.n_rec
        weights = {
            name: self.gains[name] * rng.standard_normal(shape) / np.sqrt(n_pre)
            for name, shape, n_pre in (
                ("w_in", (n_in, n), n_in),
                ("w_rec", (n, n), n),
                ("w_out", (n, n_out), n),
                ("feedback", (n_out, n), n),
            )
        }
        np.fill_diagonal(weights["w_rec"], 0)
        return weights


class Task(Protocol):
    """What a network can learn, see :mod:`brian_eprop.tasks`."""

    @property
    def n_in(self) -> int:
        """Number of inputs."""

    @property
    def n_out(self) -> int:
        """Number of outputs."""

    @property
    def steps(self) -> int:
        """Steps of a trial."""

    def sample(self, rng: np.random.Generator, batch: int) -> tuple[Bools, Floats]:
        """Inputs (batch, T, n_in) and targets (batch, T, n_out)."""


class TaskWithSetup(Task, Protocol):
    """What a run is made of: a task with a time step and a network that learns it."""

    @property
    def dt(self) -> Quantity:
        """Time step."""

    @property
    def defaults(self) -> TrainingSetup:
        """A set-up with which the task is learned."""


#: What has a scale in the gains of a set-up.
SCALED = ("w_in", "w_rec", "w_out", "feedback")
#: Modules that tasks are made of.
PARTS = {
    *("kinds", "frozen_pattern", "options", "evidence", "splits", "encoding", "metrics"),
    *("adapting_neurons", "behaviour", "event_files", "event_sources"),
}


def available_tasks() -> list[str]:
    """
    Names of all tasks: those of the modules in this package.

    Returns
    -------
    list of str
        Sorted, with underscores.
    """
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} - PARTS)


def load_task(name: FilePath, **options: Any) -> TaskWithSetup:
    """
    Make a task by its name.

    Parameters
    ----------
    name : str or Path
        One of :func:`available_tasks`; hyphens count as underscores. Or the path of a Python
        file, which is executed.
    **options
        Fields of the task.

    Returns
    -------
    object
        The task, see the description of this module.

    Raises
    ------
    ValueError
        If there is no such task, it has no such option, or the file has no ``TASK``.
    FileNotFoundError
        If there is no such file.
    """
    task = _task_class(name)
    accepted = [option.name for option in fields_of(task)]
    for option in options:
        if option not in accepted:
            raise ValueError(
                f"task '{name}' has no option '{option}'{suggest(option, accepted)}; it has "
                f"{_quoted(accepted)}"
            )
    return task(**options)


def is_own(name):
    """Whether a task is a Python file of the user's own, which is executed to make it."""
    return str(name).endswith(".py")


def _task_class(name):
    if is_own(name):
        return _from_file(Path(name))
    known = available_tasks()
    module = str(name).replace("-", "_")
    if module not in known:
        raise ValueError(
            f"no task '{name}'{suggest(module, known)}; there are {_quoted(known)}, or give the "
            "path of a file, my_task.py"
        )
    return importlib.import_module(f"{__name__}.{module}").TASK


def _from_file(path):
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}' to read a task from")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, AttributeError, NameError) as error:
        raise ValueError(f"the file '{path}' cannot be read as a task: {error}") from error
    task = getattr(module, "TASK", None)
    if not isinstance(task, type) or not is_described(task) or not hasattr(task, "sample"):
        raise ValueError(
            f"the file '{path}' has no task: assign to TASK a dataclass with a method 'sample', "
            "as brian_eprop.tasks describes"
        )
    return task


def _quoted(names):
    return ", ".join(f"'{name}'" for name in names)
