"""MDGL: e-prop, and one hop to other neurons by a modulatory signal."""

from typing import ClassVar

from attrs import field, frozen

from ...checks import Engine, one_of, text
from ..rule import Rule


def _traces_only(rule, attribute, engine):
    one_of("MDGL.engine", engine, ("credit", "traces"))
    if engine == "credit":
        raise ValueError(
            "MDGL.engine = 'credit': its hop is a product of filtered factors, which goes forwards "
            "in time; choose engine='traces', or EProp(order=2), whose hop is exact"
        )


def _variable(rule, attribute, name):
    if name is not None and not text("MDGL.modulation", name, "m").isidentifier():
        raise ValueError(f"MDGL.modulation = {name!r} is no name of a variable, such as 'm'")


@frozen(kw_only=True)
class MDGL(Rule):
    """e-prop, and what a trace does to other neurons in the next step, through one modulation.

    ::

        dE/dW_ji ≈ Σ_t L_j^t F_κ(e_ji)^t + Σ_t M_j^t F_κ(e_ji)^{t−1}
        M_j^t = Σ_k m_kj L_k^t ψ̄_k^t,     ψ̄_k^t = κ ψ̄_k^{t−1} + (1 − κ) c_k^t · D_k^t b

    It keeps all of e-prop, and of the paths over other neurons those of one hop that takes one
    step; it drops what the neuron k remembers of it, and takes a product of filtered factors for
    F_κ(ψ_k e_ji). ψ̄_k is the filtered slope of k from an arrival to a spike, and the sum goes
    over the synapses j → k between neurons that learn, the modulatory signal that k sends back
    (Liu et al. 2021, PNAS 118(51) e2111821118; causal, as in the authors' program).

    m is the weight of the synapse. Signals by type of cell have another variable: declare it in
    the model of the synapses, ``model="w : 1\\n m : 1 (constant)"``, set it to the mean over the
    synapses between two types, and give ``modulation="m"``.

    Synapses between neurons that learn must have no delay, and act alike on all neurons.

    Parameters
    ----------
    surrogate, reset_path
        As for `EProp`.
    engine : {"traces"}
    modulation : str, optional
        The variable of the synapses that is m. Default: their weight.
    """

    hops: ClassVar[bool] = True

    engine: Engine = field(default="traces", validator=_traces_only)
    modulation: str | None = field(default=None, validator=_variable)
