"""The learning rule: which gradient is computed, and by which engine."""

import math
from collections.abc import Mapping

from attrs import field, frozen
from brian2 import NeuronGroup, Subgroup

from ..brian.internals import assigned_names, get_identifiers, reset_of
from ..calculus.linearization import RESET_PATHS
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
from ..neurons.surrogates import Surrogate

ENGINES = ("credit", "traces")


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


@frozen
class EProp:
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

    order: float = field(default=1, validator=in_field(_order)())
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
                f"EProp.order = {self.order!r}: eligibility traces are local, which is order 1; "
                "leave out engine='traces' for higher orders"
            )

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
