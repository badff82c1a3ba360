"""The learning rule: which gradient is computed, and by which engine.

Here are what all rules have in common, and e-prop of any order; `rules` has one file for each of
the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import sympy
from attrs import evolve, field, frozen
from brian2 import NeuronGroup, Subgroup

from ..brian.internals import assigned_names, get_identifiers, reset_of
from ..calculus.linearization import Linearization
from ..checks import (
    Engine,
    ResetPath,
    choice,
    in_field,
    is_whole,
    one_of,
    shown,
    table,
    text,
)
from ..neurons.model_checks import RESET_PATHS
from ..neurons.surrogates import Surrogate

ENGINES = ("credit", "traces")
#: Why the engine `traces` does not train anything but weights.
NO_TRACES = {
    "parameters": ";",
    "delays": (
        " in RecurrentNetwork, whose programs would have to make a second queue anew in each call; "
        "TrainableSynapses(trainable=...) has them; or"
    ),
}


def _order(name, value):
    exact = isinstance(value, float) and value == math.inf
    if not (is_whole(value) and value >= 1) and not exact:
        raise ValueError(f"{name} = {value!r} must be 1, 2, 3 … or math.inf (the exact gradient)")
    return value


def _surrogates(name, value):
    """The surrogate of all groups, a new dict of those of each, or None for their models' own."""
    if isinstance(value, Mapping):
        for group, surrogate in value.items():
            _check_group(group)
            _check_surrogate(f"{name} of group '{group.name}'", surrogate)
        return dict(value)
    if value is not None:
        _check_surrogate(name, value)
    return value


def _reset_paths(name, value):
    paths = table(name, value, "{'v': 'explicit'}")
    for key in paths:
        text(f"the key {shown(key)} of {name}", key, "v")
    return {key: one_of(f"{name}['{key}']", path, RESET_PATHS) for key, path in paths.items()}


@frozen(kw_only=True)
class Rule:
    """What a learning rule keeps of the gradient, whatever the neuron.

    All rules are the same linear system (A, b, c), derived from the equations of the neuron::

        s_ji ← A_j s_ji + D_j b x_ji        A = F'(J + k cᵀ),  D = F' J
        e_ji = c_j · s_ji                   c = ψ ∂distance/∂h
        dE/dW_ji ≈ Σ_t L_j^t F(e_ji)^t

    with F' the Jacobian of the integrator, J that of the reset, k what a spike adds along implicit
    reset paths. A rule says which entries of F', J and k it keeps (`kept`), whether the filter of
    the readout follows the trace (`filtered`), and how many explicit edges count (`order`).

    A rule of one's own is a class that inherits from this one, decorated with ``attrs.frozen``,
    with a method `kept`, or another value of `filtered`. Both engines follow it.

    Parameters
    ----------
    engine, surrogate, reset_path
        As for `EProp`.
    """

    #: Paths of at most so many explicit edges count, minus one.
    order: ClassVar[float] = 1
    #: The filter F_κ of the readout follows the trace; else the error of a step meets its trace.
    filtered: ClassVar[bool] = True

    #: A hop to other neurons comes back as a modulation; see `engines.modulation`.
    hops: ClassVar[bool] = False

    engine: Engine = field(default="credit", validator=choice(ENGINES))
    surrogate: Surrogate | Mapping[NeuronGroup, Surrogate] | None = field(
        default=None, hash=False, validator=in_field(_surrogates)()
    )
    reset_path: Mapping[str, ResetPath] = field(
        factory=dict, hash=False, validator=in_field(_reset_paths)()
    )

    def __attrs_post_init__(self):
        if self.engine == "traces" and self.order != 1:
            raise ValueError(
                f"{type(self).__name__}.order = {self.order!r}: eligibility traces are local, "
                "which is order 1; leave out engine='traces' for higher orders"
            )

    def kept(self, stage: str, entries: sympy.Matrix) -> sympy.Matrix:
        """What the rule has in place of the derivative of a stage of the step.

        Parameters
        ----------
        stage : {"update", "reset", "spike"}
            F' of the integrator's step; J of the reset of a neuron that has fired; k, the jump of
            the states at a spike along implicit reset paths. Jumps of states that only a `Loss`
            reads, and that lead back to no threshold, are not left out.
        entries : (states, states) SymPy matrix; (states, 1) for "spike"

        Returns
        -------
        SymPy matrix
            Of the same shape. Here the same: nothing is left out.
        """
        return entries

    def check(self, linearization: Linearization, group: NeuronGroup) -> None:
        """Raise an error for neurons that the rule is not defined for; here for none.

        Parameters
        ----------
        linearization : Linearization
            Of the synapses onto the group, with what the rule keeps.
        group : NeuronGroup
        """

    def check_parameters(
        self, argument: str, names: Iterable[str], of: str = "parameters", *, traced: bool = False
    ) -> None:
        """Raise ValueError for what is to be trained besides weights, if the rule has no gradient.

        Parameters
        ----------
        argument : str
            Where they were given, in the message.
        names : iterable of str
        of : {"parameters", "delays"}
            What they are.
        traced : bool
            Traces have their gradient, too.
        """
        why = f"{argument} = {list(names)}: "
        if self.engine != "credit" and not traced:
            raise ValueError(
                f"{why}{of} have no traces{NO_TRACES[of]} choose EProp(engine='credit')"
            )
        if not self.complete:
            raise ValueError(
                f"{why}{self.title} keeps a part of the derivative of weights, and says nothing of "
                f"{of}; choose EProp()"
            )

    @property
    def title(self) -> str:
        """The name of the rule, in reports."""
        return type(self).__name__

    @property
    def complete(self) -> bool:
        """Whether all paths of its order are kept, so that finite differences know the gradient."""
        own, whole = type(self), Rule
        return self.filtered and not self.hops and own.kept is whole.kept

    def with_engine(self, engine: Engine) -> Self:
        """The same rule by another engine; of higher orders what traces have, order 1."""
        return evolve(self, engine=engine)

    def surrogate_of(self, group: NeuronGroup) -> Surrogate | None:
        """ψ of a group, as it is given here; None for what its neuron model suggests."""
        if isinstance(self.surrogate, Mapping):
            return self.surrogate.get(group)
        return self.surrogate

    def paths_of(self, group: NeuronGroup) -> dict[str, ResetPath]:
        """``reset_path`` of what the reset of a group changes; other groups may have the rest."""
        known = set(assigned_names(reset_of(group)))
        used = group.user_equations.identifiers | get_identifiers(group.events.get("spike", ""))
        known |= {"lastspike"} & used
        return {name: path for name, path in self.reset_path.items() if name in known}


def of_integrator(stage: str, entries: sympy.Matrix) -> sympy.Matrix:
    """What rules keep that drop the reset, J = 1, and what a spike does to its neuron, k = 0."""
    if stage == "reset":
        return sympy.eye(entries.rows)
    return sympy.zeros(*entries.shape) if stage == "spike" else entries


@frozen
class EProp(Rule):
    """e-prop of any order (Bellec et al. 2020, Nat. Commun. 11:3625).

    ::

        dE/dW_ji ≈ Σ_t L_j^t F_κ(e_ji)^t          L_j^t = ∂E/∂z_j^t without the future

    Parameters
    ----------
    order : int or inf
        1: the local rule of the paper's Eq. 1. m: all paths from a weight to the loss that
        cross at most m − 1 explicit edges, recurrent synapses and explicit reset paths, count.
        ``math.inf``: all paths; with symmetric feedback this is the exact gradient, that of
        back-propagation through time, with ψ in place of the derivative of a spike.
    engine : {"credit", "traces"}
        ``"credit"`` records a few numbers per neuron and step and sweeps credit backwards at
        the end of each window: the same gradient at about the price of the simulation.
        ``"traces"`` advances the eligibility traces of every synapse in every step, so that
        they can be recorded; order 1 only.
    surrogate : surrogate or dict of NeuronGroup to surrogate, optional
        ψ, see `brian_eprop.neurons.surrogates`, of all groups or of each:
        ``{excitatory: …, inhibitory: …}``. Default, also for a group that the dict does not name:
        what the neuron model suggests.
    reset_path : dict of str to {"implicit", "explicit", "detached"}
        How the path spike → variable through the reset is differentiated, for the variables
        named. ``"explicit"`` and ``"detached"`` both leave it out at order 1. A name is one that
        some group that learns has; the name of a custom event with ``"detached"`` says that the
        times of the event count as given.

    Raises
    ------
    ValueError
        For a value that is not among these.
    """

    order: float = field(default=1, validator=in_field(_order)())  # type: ignore[misc]

    @property
    def title(self) -> str:
        """The name of the rule, in reports."""
        return f"e-prop of order {self.order}".replace("order inf", "order ∞")

    def with_engine(self, engine: Engine) -> Self:
        """The same rule by another engine; of higher orders what traces have, order 1."""
        order = 1 if engine == "traces" else self.order
        return evolve(self, order=order, engine=engine)


def _check_group(group):
    if isinstance(group, Subgroup):
        raise ValueError(
            f"EProp.surrogate names '{group.name}', which is a part of group "
            f"'{group.source.name}': all neurons of a group have one ψ; name the whole group"
        )
    if not isinstance(group, NeuronGroup):
        raise TypeError(
            f"EProp.surrogate has the key {group!r}, which is no NeuronGroup; write "
            "{excitatory: PiecewiseLinear(height=0.3, width=1.0)} with the group itself"
        )
    if "spike" not in group.events:
        raise ValueError(
            f"EProp.surrogate names group '{group.name}', which has no threshold and so no ψ; "
            "leave it out"
        )


def _check_surrogate(name, surrogate):
    if not hasattr(surrogate, "expression") or isinstance(surrogate, type):
        raise ValueError(
            f"{name} = {surrogate!r} is not a surrogate; give one of "
            "brian_eprop.neurons.surrogates, such as PiecewiseLinear(height=0.3, width=1.0)"
        )


def BPTT(
    surrogate: Surrogate | Mapping[NeuronGroup, Surrogate] | None = None,
    reset_path: Mapping[str, ResetPath] | None = None,
) -> EProp:
    """Back-propagation through time: :class:`EProp` of order ∞.

    ::

        dE/dW_ji = Σ_t λ_j^t · ∂h_j^t/∂W_ji          λ_j^t = dE/dh_j^t along all paths

    with ψ for the derivative of a spike (Werbos 1990, Proc. IEEE 78:1550; Bellec et al. 2020,
    Nat. Commun. 11:3625, Methods). It is exact with symmetric feedback; other feedback weights
    take the place of the readout's.

    Parameters
    ----------
    surrogate, reset_path
        As for `EProp`.

    Returns
    -------
    EProp
    """
    return EProp(
        order=math.inf, surrogate=surrogate, reset_path={} if reset_path is None else reset_path
    )
