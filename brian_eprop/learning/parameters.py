"""Parameters of neurons that are trained: time constants, thresholds, adaptation, biases …"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from attrs import field, frozen
from brian2 import Quantity, get_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS, fail_for_dimension_mismatch

from ..brian.internals import PARAMETER, known_values, refractoriness
from ..checks import entries, in_field, number, shown, suggest
from .optimizers import Optimizer, checked_optimizer
from .updates import Trained, Update, checked_bounds


def _pair(name, bounds):
    if bounds is not None and np.ndim(bounds) == 0 and not isinstance(bounds, tuple | list):
        raise TypeError(f"{name} = {bounds!r} must be a pair (low, high)")
    if bounds is not None and np.size(bounds) != 2:
        raise ValueError(f"{name} = {bounds!r} must be a pair (low, high)")
    return None if bounds is None else tuple(bounds)


def _scale(name, scale):
    if scale is not None:
        number(name, scale, "be finite and above 0", any_unit=True)
    return scale


@frozen
class ParameterTraining:
    """How a parameter of the neurons is trained.

    ::

        p ← clip(p − scale · step(scale · dE/dp), low, high)

    with the optimizer's step: it works on p/scale, so that one learning rate serves parameters
    of any unit.

    Parameters
    ----------
    bounds : (low, high), optional
        Values are clipped to this interval after each update.
    scale : Quantity, optional
        Default: the mean of abs(p) over the neurons when learning is set up.
    optimizer : GradientDescent or Adam, optional
        Default: that of the weights. Its learning rate is a number.
    """

    bounds: tuple[float | Quantity, float | Quantity] | None = field(
        default=None, validator=in_field(_pair)()
    )
    scale: Quantity | None = field(default=None, validator=in_field(_scale)())
    optimizer: Optimizer | None = field(default=None, validator=in_field(checked_optimizer)())


Bounds: TypeAlias = tuple[float | Quantity, float | Quantity]
#: Which parameters a user wants trained, and how.
Trainable: TypeAlias = Sequence[str] | Mapping[str, ParameterTraining | Bounds | None]


def checked_trainable(trainable, argument="trainable"):
    """The argument ``trainable`` as {name: ParameterTraining}.

    Parameters
    ----------
    trainable : sequence of str, or mapping of str to ParameterTraining, (low, high) or None
    argument : str
        What errors call it.

    Raises
    ------
    TypeError
        If it is neither; names what is wrong.
    """
    if isinstance(trainable, str):
        raise TypeError(f"{argument} = {trainable!r} is one name; give a list, [{trainable!r}]")
    if not isinstance(trainable, Mapping):
        names = entries(argument, trainable, "['tau_m']")
        if not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"{argument} = {trainable!r} must be a list of names, such as ['tau_m']"
            )
        trainable = dict.fromkeys(names)
    trainings = {}
    for name, training in trainable.items():
        if not isinstance(name, str):
            raise TypeError(
                f"{argument} has the key {shown(name)}; keys are names of parameters, as in "
                "{'tau_m': (10*ms, 30*ms)}, which are trained in every group that learns and has "
                "them"
            )
        if training is None or isinstance(training, tuple | list):
            training = ParameterTraining(bounds=training)
        if not isinstance(training, ParameterTraining):
            raise TypeError(
                f"{argument}[{name!r}] = {training!r} is not understood; give a list of names, or "
                "a dict {name: (low, high)} or {name: ParameterTraining(...)}"
            )
        trainings[name] = training
    return trainings


def own_parameters(group, trainable):
    """How the parameters of a group are trained, of those that a learner trains.

    Raises
    ------
    ValueError
        If one is not a parameter with one value per neuron, or acts on refractoriness.
    """
    own = {n: training for n, training in trainable.items() if n in group.equations.names}
    for name in own:
        equation = group.equations[name]
        if equation.type != PARAMETER:
            raise ValueError(
                f"trainable names '{name}', which is no parameter of group '{group.name}' but "
                f"follows an equation; make it a parameter: '{name} : 1 (constant)'"
            )
        if group.variables[name].scalar or "constant" not in equation.flags:
            raise ValueError(
                f"trainable names '{name}' of group '{group.name}', which is "
                f"{'shared by all neurons' if group.variables[name].scalar else 'not constant'}; "
                f"each neuron learns its own: flag it as (constant) and not as (shared)"
            )
        refractory = refractoriness(group) if isinstance(refractoriness(group), str) else ""
        check_refractoriness(name, refractory, f"group '{group.name}'")
    return own


def check_refractoriness(name, refractory, owner):
    """Raise an error if the expression of the refractoriness of an owner uses a parameter."""
    if re.search(rf"\b{name}\b", refractory):
        raise ValueError(
            f"trainable names '{name}', which {owner} uses for its refractoriness "
            f"'{refractory}': that has no derivative"
        )


def check_known(trainable, known, elsewhere=()):
    """Raise an error for a name that is not among the known.

    ``elsewhere`` has the names of parameters of groups that do not learn, and of these groups.
    """
    known = sorted(known)
    for name in trainable:
        if name in known:
            continue
        if name in elsewhere:
            raise ValueError(
                f"trainable names '{name}' of group '{elsewhere[name]}', which does not learn: no "
                "credit is worked out for it. Make synapses onto it TrainableSynapses(..., "
                "learner=learner), with fixed=True if their weights are to stay, or give a Loss on "
                "the group"
            )
        raise ValueError(
            f"trainable names '{name}', which is no parameter of the neurons that learn"
            f"{suggest(name, known)}; there are {', '.join(known) or 'none'}"
        )


def install(group, trained, learner, attach=None):
    """Add the updates of the trained parameters of a group, which has ``grad_<name>`` for each.

    ``attach`` lets them run with a network that is there already.
    """
    Update(
        group,
        learner,
        lambda: [_trained(group, name, training, learner) for name, training in trained.items()],
        f"{group.name}_optimizer",
        attach,
    )


def _trained(group, name, training, learner):
    """A parameter as an optimizer sees it, in units of its scale."""
    variable = group.variables[name]
    values = Quantity(known_values(variable), dim=variable.dim)
    scale = scale_of(values, name, training, f"group '{group.name}'")
    bounds = None if training.bounds is None else bounds_of(variable.dim, name, training)
    return Trained(
        name,
        f"grad_{name}",
        f"{name}/scale",
        DIMENSIONLESS,
        f"{scale!r}*grad_{name}/{learner.trials_per_update}",
        (f"{name} = {name} - {scale!r}*_step",),
        bounds,
        suffix=f"_{name}",
        optimizer=training.optimizer,
    )


def scale_of(values, name, training, owner, argument="trainable"):
    """The scale of a parameter in SI units.

    Parameters
    ----------
    values : Quantity
        Of the neurons of the owner, as far as they are known; the mean of their magnitudes is the
        default.
    name : str
    training : ParameterTraining
    owner : str
        What has the parameter, as errors name it.
    argument : str
        Where the training was given.
    """
    if training.scale is None:
        scale = float(np.sum(np.abs(np.asarray(values))) / max(np.size(values), 1))
        if not scale > 0:
            raise ValueError(
                f"the scale of the trained parameter '{name}' of {owner} is not known: "
                "its values are 0, or set when the program runs; give "
                f"{argument}={{'{name}': ParameterTraining(scale=...)}}"
            )
        return scale
    fail_for_dimension_mismatch(
        training.scale,
        Quantity(1, dim=get_dimensions(values)),
        f"{argument}['{name}'].scale = {{scale}} does not have the unit of the parameter",
        scale=training.scale,
    )
    scale = float(training.scale)
    if not 0 < scale < np.inf:
        raise ValueError(
            f"{argument}['{name}'].scale = {training.scale!r} must be finite and above 0"
        )
    return scale


def bounds_of(dimensions, name, training, argument="trainable"):
    """Lower and upper bound of a parameter in SI units."""
    return checked_bounds(f"{argument}['{name}'].bounds", training.bounds, dimensions)
