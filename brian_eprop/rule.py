"""The learning rule: how much of the gradient is computed, and by which engine."""

from dataclasses import dataclass, field

from .calculus.linearization import RESET_PATHS


@dataclass(frozen=True)
class EProp:
    """e-prop (Bellec et al. 2020, Nat. Commun. 11:3625).

        dE/dW_ji ≈ Σ_t L_j^t F_κ(e_ji)^t          L_j^t = ∂E/∂z_j^t without the future

    Parameters
    ----------
    order : int
        1: the local rule of the paper's Eq. 1.
    engine : {"traces"}
        ``"traces"`` advances the eligibility traces of every synapse in every step.
    surrogate : surrogate of `brian_eprop.surrogates`, optional
        ψ. Default: what the neuron model suggests.
    reset_path : dict of str to {"implicit", "explicit", "detached"}
        How the path spike → variable through the reset is differentiated, for the variables
        named. ``"explicit"`` and ``"detached"`` both leave it out at order 1.

    Raises
    ------
    ValueError
        For a value that is not among these.
    """

    order: int = 1
    engine: str = "traces"
    surrogate: object = None
    reset_path: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.engine != "traces":
            raise ValueError(f"EProp.engine = {self.engine!r} is not known; there is 'traces'")
        if self.order != 1:
            raise ValueError(
                f"EProp.order = {self.order!r}: the engine 'traces' is local, which is order 1; "
                "the exact gradient is in brian_eprop.reference (rule 'bptt')"
            )
        if self.surrogate is not None and not hasattr(self.surrogate, "expression"):
            raise ValueError(
                f"EProp.surrogate = {self.surrogate!r} is not a surrogate; give one of "
                "brian_eprop.surrogates, such as PiecewiseLinear(height=0.3, width=1.0)"
            )
        for name, path in self.reset_path.items():
            if path not in RESET_PATHS:
                raise ValueError(
                    f"EProp.reset_path['{name}'] = {path!r} is not one of "
                    f"{', '.join(repr(known) for known in RESET_PATHS)}"
                )
