"""OSTL: all of a recurrent layer, and the error of the same step."""

import math
from typing import ClassVar

from attrs import field, frozen

from ...checks import Engine, one_of
from ..rule import Rule


def _credit_only(rule, attribute, engine):
    one_of("OSTL.engine", engine, ("credit", "traces"))
    if engine == "traces":
        raise ValueError(
            "OSTL.engine = 'traces': the influence of a weight on a recurrent layer has a number "
            "for each neuron of the layer, which no trace of a synapse holds; choose "
            "engine='credit', which sweeps its adjoint, or SuperSpike or OTTT for a local rule"
        )


@frozen(kw_only=True)
class OSTL(Rule):
    """The exact influence of a weight on its recurrent layer, and the error of the same step.

    ::

        G_k,ji ← H_k G_ji + δ_kj b x_ji           H: all paths, recurrent synapses and resets too
        dE/dW_ji ≈ Σ_t Σ_k L_k^t g c_k^t · G_k,ji^t

    g is the gain of the readout. It keeps everything within the layer, and drops the filter F_κ of
    the readout: what a spike still does to later outputs does not count. That is the term R of the
    paper, mixed in space and time (Bohnstingl et al. 2020, arXiv 2007.12723). A readout without
    memory has none, and the rule is then exact.

    The engine sweeps the adjoint of G, at the price of back-propagation, instead of G itself, which
    has n³ numbers; trials must be reset, as for ``EProp(order=math.inf)``.

    Parameters
    ----------
    surrogate, reset_path
        As for `EProp`.
    engine : {"credit"}
    """

    order: ClassVar[float] = math.inf
    filtered: ClassVar[bool] = False

    engine: Engine = field(default="credit", validator=_credit_only)
