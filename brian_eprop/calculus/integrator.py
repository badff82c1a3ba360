"""The code of a group's state update: the same text that Brian2 compiles."""

from weakref import WeakKeyDictionary

from brian2 import CodeRunner, SpatialNeuron, StateUpdateMethod, get_logger

from ..brian.code import FastStateUpdater
from ..brian.internals import StateUpdater, UnsupportedEquationsException, contained
from .derivatives import NoDerivativeError, UnsuitableMethodError

logger = get_logger(__name__)


#: Each projection onto a group asks for its code; an exact solution takes seconds to find.
_CODE: WeakKeyDictionary = WeakKeyDictionary()


#: Templates of code that does what its text says, for each neuron on its own.
READABLE_TEMPLATES = frozenset({"stateupdate", "threshold", "reset"})


def check_kind(group):
    """Raise an error for a group whose step is more than its equations, threshold and reset."""
    if isinstance(group, SpatialNeuron):
        raise NoDerivativeError(
            f"group '{group.name}' is a SpatialNeuron, whose compartments are coupled by a "
            "diffusion that is not in its equations ('Im'): write the compartments as variables of "
            "a NeuronGroup, with the currents between them in its equations"
        )
    kind = type(group).__name__
    updater = getattr(group, "state_updater", None)
    if type(updater) not in (StateUpdater, FastStateUpdater):
        raise NoDerivativeError(
            f"group '{group.name}' is a {kind}, whose 'state_updater' is a "
            f"{type(updater).__name__} and not made from its equations: use a NeuronGroup"
        )
    for runner in contained(group):
        of_learning = getattr(runner, "of_learning", False)
        if isinstance(runner, CodeRunner) and not of_learning:
            if runner.template not in READABLE_TEMPLATES:
                raise NoDerivativeError(
                    f"group '{group.name}' is a {kind}, in whose step '{runner.name}' runs the "
                    f"template '{runner.template}', which is not in its equations: use a "
                    "NeuronGroup"
                )


def integrator_code(group, namespace):
    """The abstract code that Brian2 will generate its state updater from."""
    if not group.equations.diff_eq_names:
        return ""
    names = group.equations.names | group.equations.identifiers | {"dt"}
    variables = resolved(group, names, namespace)
    if group in _CODE:
        return _CODE[group]
    updater = group.state_updater
    if updater.method_choice in ("exact", "linear") and len(group.equations.diff_eq_names) > 2:
        logger.info(
            f"solving the equations of group '{group.name}' exactly; if this takes minutes, choose "
            "another method, such as 'exponential_euler' or 'rk4'",
            "exact",
        )
    try:
        code = StateUpdateMethod.apply_stateupdater(
            group.equations,
            variables,
            updater.method_choice,
            method_options=updater.method_options,
            group_name=group.name,
        )
    except UnsupportedEquationsException as error:
        raise UnsuitableMethodError(
            f"group '{group.name}': method = {updater.method_choice!r} is not for its equations: "
            f"{' '.join(str(error).split())} Choose another method, such as "
            f"{_other_methods(updater.method_choice)}"
        ) from None
    if not isinstance(code, str):
        raise NoDerivativeError(
            f"group '{group.name}' is integrated by GSL, whose steps have no closed form; "
            "use an explicit method such as 'exponential_euler' or 'rk4'"
        )
    _CODE[group] = code
    return code


def _other_methods(failed):
    """Methods that fit most equations, without the one that was chosen."""
    names = [n for n in ("exponential_euler", "euler", "rk4") if n != failed]
    return f"{', '.join(map(repr, names[:-1]))} or '{names[-1]}'"


def resolved(group, names, namespace):
    """The objects behind the names that a group's code uses, or an error for an unknown one."""
    try:
        return group.resolve_all(names, namespace, user_identifiers=set())
    except KeyError as error:
        for name in sorted(names - group.variables.keys()):
            if "linked" in getattr(group.user_equations.get(name), "flags", ()):
                raise ValueError(
                    f"'{name}' of group '{group.name}' is '(linked)', and not linked to anything "
                    f"yet: write {group.name}.{name} = linked_var(…) before you create the "
                    "synapses that learn"
                ) from None
        raise ValueError(
            f"the equations of group '{group.name}' cannot be linearized yet: {error.args[0]} "
            "Define it before this call, or pass it in the group's namespace"
        ) from error
