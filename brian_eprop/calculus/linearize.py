"""Linearizing a group of neurons: from its equations, surrogate and reset to a Linearization."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from brian2 import NeuronGroup
from brian2.units.fundamentalunits import DimensionMismatchError

from ..brian.internals import get_identifiers, never_runs, parent_group, parse_expression_dimensions
from ..checks import ResetPath, entries, table, text, unit_name
from ..neurons.model_checks import RESET_PATHS
from ..neurons.surrogates import Surrogate
from .arrivals import OnPre
from .linearization import Linearization
from .one_step import one_step
from .printing import as_number, printed
from .programs import checked_statements, resolved, symbol

if TYPE_CHECKING:
    from ..neurons.neuron_model import NeuronModel


def linearize(
    target: NeuronGroup | NeuronModel,
    surrogate: Surrogate | None = None,
    reset_path: Mapping[str, ResetPath] | None = None,
    on_pre: str | None = None,
    weight: str = "w",
    namespace: Mapping[str, object] | None = None,
    synaptic: Collection[str] = (),
) -> Linearization:
    """Linearize one time step of a neuron around its trajectory.

    Parameters
    ----------
    target : NeuronModel, NeuronGroup or Subgroup
    surrogate : surrogate of `brian_eprop.neurons.surrogates`, optional
        ψ as a function of the distance to the threshold. Default: the one that the model
        suggests.
    reset_path : dict of str to {"implicit", "explicit", "detached"}, optional
        How the path spike → variable is differentiated for the variables that the reset
        changes; what is not named keeps the model's own choice, else ``"implicit"``.
    on_pre : str, optional
        What an arriving spike does to the neuron. Default: the model's.
    weight : str
        The name of the weight in ``on_pre``.
    namespace : dict, optional
        Values of external names that the group's equations use.
    synaptic : iterable of str, optional
        Names in ``on_pre`` that are variables of the synapses.

    Returns
    -------
    Linearization

    Raises
    ------
    NoDerivativeError
        Naming the function without a derivative, or the statement that is not linear.
    ValueError
        If the group has no threshold, no surrogate, or a ``reset_path`` names no variable
        that the reset changes.
    """
    if not (hasattr(target, "on_pre") or isinstance(parent_group(target), NeuronGroup)):
        raise TypeError(
            f"linearize.target = {target!r} has no equations; give a NeuronModel or a NeuronGroup"
        )
    if surrogate is not None and not hasattr(surrogate, "expression"):
        raise TypeError(
            f"linearize.surrogate = {surrogate!r} is not a surrogate; give one such as "
            "PiecewiseLinear(height=0.3, width=1.0)"
        )
    if not text("linearize.weight", weight, "w").isidentifier():
        raise ValueError(f"linearize.weight = {weight!r} is no name of a variable, such as 'w'")
    reset_path = table("linearize.reset_path", reset_path, "{'v': 'explicit'}")
    namespace = table("linearize.namespace", namespace, "{'tau': 20*ms}")
    synaptic = entries("linearize.synaptic", synaptic, "['gain']")
    group = target
    if hasattr(target, "on_pre"):
        group = target.group(1)
        never_runs(group)
    whole = linearize_neuron(group, surrogate, reset_path, namespace)
    model = getattr(parent_group(group), "neuron_model", None)
    on_pre = getattr(model, "on_pre", None) if on_pre is None else on_pre
    if on_pre is None:
        raise ValueError(
            f"what an arriving spike does to group '{parent_group(group).name}' is not known; pass "
            "on_pre"
        )
    statements = checked_statements("linearize.on_pre", on_pre)
    return whole.driven_by(OnPre(on_pre, statements, weight, group, frozenset(synaptic)))


def linearize_neuron(
    group,
    surrogate,
    reset_path,
    namespace,
    *in_network,
    errors=None,
    read_elsewhere=frozenset(),
    rule=None,
):
    """The linearization of all states of a group, whatever arrives there.

    Parameters and errors are those of :func:`linearize`, followed by those of `one_step`; and
    the ``errors``, ``read_elsewhere`` and ``rule`` of a `Linearization`. With one of the first
    two the group needs no threshold: a rate unit has no ψ, and acts through its states alone.
    """
    namespace = namespace or {}
    model = getattr(parent_group(group), "neuron_model", None)
    step = one_step(group, namespace, *in_network)
    name = parent_group(group).name
    if step.distance is None and not (errors or read_elsewhere):
        raise ValueError(
            f"group '{name}' has no threshold, so that none of its synapses has an eligibility "
            "trace; give it one, or a Loss on it, or use a LeakyReadout for a group that only "
            "listens"
        )
    surrogate_code = ""
    if step.distance is not None:
        surrogate = surrogate or getattr(model, "surrogate", None)
        surrogate_code = _surrogate_code(group, surrogate, step, namespace)
    linearization = Linearization(
        step=step,
        states=step.states,
        arrivals={},
        surrogate_code=surrogate_code,
        reset_path=_complete_reset_path(step, getattr(model, "reset_path", {}), reset_path, name),
        errors=errors or {},
        read_elsewhere=frozenset(read_elsewhere) & set(step.states),
        rule=rule,
    )
    linearization.check_drawn_numbers(parent_group(group), namespace)
    return linearization


def _surrogate_code(group, surrogate, step, namespace):
    """ψ as a Brian2 expression, 0 where the threshold is closed."""
    if surrogate is None:
        raise ValueError(
            f"group '{parent_group(group).name}' has no surrogate derivative; pass one, for "
            "example EProp(surrogate=PiecewiseLinear(height=0.3, width=1.0)), or one for each "
            "group, EProp(surrogate={excitatory: …, inhibitory: …})"
        )
    check_psi(group, surrogate, step, namespace)
    code = surrogate.expression(f"({printed(step.distance)})")
    for gate in (step.gate, "not_refractory" if step.refractory else ""):
        if gate:
            code = f"({code})*{as_number(gate)}"
    return code


def check_psi(group, surrogate, step, namespace):
    """Raise DimensionMismatchError unless ψ has the inverse unit of the distance to threshold."""
    distance = printed(step.distance)
    code = surrogate.expression(distance)
    known = resolved(parent_group(group), get_identifiers(code), namespace)
    unit = parse_expression_dimensions(distance, known)
    try:
        fits = parse_expression_dimensions(code, known) is unit**-1
    except DimensionMismatchError:
        fits = False
    if not fits:
        raise DimensionMismatchError(
            f"surrogate = {surrogate!r} does not fit the threshold '{step.condition}' of group "
            f"'{parent_group(group).name}', whose distance has the unit '{unit_name(unit)}': give "
            "'width' in this unit and 'height' in one over it"
        )


def _complete_reset_path(step, of_model, override, group_name):
    changed = [n for n in step.states if step.reset[n] != symbol(n)]
    override = override or {}
    # It is set by the threshold, not by the reset, and jumps by 10⁴ s at the first spike
    if "lastspike" in changed and {**of_model, **override}.get("lastspike") != "detached":
        raise ValueError(
            f"the threshold or an equation of group '{group_name}' depends on 'lastspike', which "
            "each spike sets: say EProp(reset_path={'lastspike': 'detached'}) to leave this path "
            "out; to differentiate it, use a variable of your own, 'last : second', and write "
            "'last = t' in the reset"
        )
    for name, path in override.items():
        if name not in changed:
            raise ValueError(
                f"reset_path names '{name}', which the reset of group '{group_name}' does not "
                f"change; it changes {', '.join(changed) or 'nothing'}"
            )
        if not isinstance(path, str) or path not in RESET_PATHS:
            raise ValueError(
                f"reset_path['{name}'] = '{path}' is not one of {', '.join(RESET_PATHS)}"
            )
    return {name: override.get(name, of_model.get(name, "implicit")) for name in changed}
