"""
Tasks: what a network is to learn, and a set-up with which it is known to learn it.

A task is one module of this package. The module assigns its class, a frozen dataclass, to
``TASK``; the class has

* fields: the options, each with a default, that :func:`load_task` accepts;
* ``n_in``, ``n_out``, ``steps``, ``dt`` (a quantity) and ``defaults``
  (a :class:`TrainingSetup`);
* ``sample(rng, batch)``: inputs (batch, steps, n_in) of bool and targets
  (batch, steps, n_out) of float, with ``rng`` a ``numpy.random.Generator``;
* ``learning_window``, optional: the number of last steps in which errors count;
* ``input_groups``, optional: name and number of inputs of each group (dict), in their order,
  the first ``n_out`` being those that speak for output 0, 1, …; a trial of such a task is also
  drawn as a decision;
* ``metric(outputs, targets)``: one number by which people judge the task.
"""

import importlib
import pkgutil
from dataclasses import dataclass, fields

import numpy as np
from brian2.units.fundamentalunits import Quantity

from brian_eprop.quantities import suggest

__all__ = ["TrainingSetup", "available_tasks", "load_task"]


@dataclass(frozen=True, eq=False)
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
    learning_rate : float
    iterations : int
    batch_size : int
    rate_target : Quantity
        Rate towards which the regularizer pulls every neuron.
    rate_strength : float
        Strength of the regularizer.
    normalize, average : bool
        See :class:`brian_eprop.LeakyReadout`.
    """

    neurons: tuple
    tau_out: Quantity
    loss: str
    gains: dict
    feedback: str
    optimizer: str
    learning_rate: float
    iterations: int
    batch_size: int
    rate_target: Quantity
    rate_strength: float
    normalize: bool = False
    average: bool = False

    @property
    def n_rec(self):
        """Number of recurrent neurons."""
        return sum(count for _, count, _ in self.neurons)

    def initial_weights(self, n_in, n_out, rng):
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


def available_tasks():
    """
    Names of all tasks: those of the modules in this package.

    Returns
    -------
    list of str
        Sorted, with underscores.
    """
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_task(name, **options):
    """
    Make a task by its name.

    Parameters
    ----------
    name : str
        One of :func:`available_tasks`; hyphens count as underscores.
    **options
        Fields of the task.

    Returns
    -------
    object
        The task, see the description of this module.

    Raises
    ------
    ValueError
        If there is no such task, or it has no such option.
    """
    known = available_tasks()
    module = str(name).replace("-", "_")
    if module not in known:
        raise ValueError(f"no task '{name}'; known: {_quoted(known)}{suggest(module, known)}")
    task = importlib.import_module(f"{__name__}.{module}").TASK
    accepted = [field.name for field in fields(task)]
    for option in options:
        if option not in accepted:
            raise ValueError(
                f"task '{name}' has no option '{option}'; it has {_quoted(accepted)}"
                f"{suggest(option, accepted)}"
            )
    return task(**options)


def _quoted(names):
    return ", ".join(f"'{name}'" for name in names)
