"""Spiking networks: LIF and ALIF cells, with thresholds, refractoriness and the own spike."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from attrs import field, frozen

from ..checks import ABOVE_0, keep, one_of
from .network import Network, array_of, read_only, whole_steps
from .step import Step
from .surrogates import SURROGATES, antiderivative, pseudo_derivative


class Spiking(NamedTuple):
    """Threshold, pseudo-derivative and refractoriness of a step, each (batch, n_rec).

    Attributes
    ----------
    threshold : ndarray
        A.
    psi : ndarray
        Pseudo-derivative.
    silent : bool ndarray
        Whether the neuron is refractory.
    countdown : int ndarray
        Steps of refractoriness left.
    """

    threshold: np.ndarray
    psi: np.ndarray
    silent: np.ndarray
    countdown: np.ndarray


class Held(NamedTuple):
    """Values imposed on a step: refractoriness and spikes of another run.

    Attributes
    ----------
    silent : (batch, n_rec) bool ndarray, optional
        Refractory steps.
    own : (batch, n_rec) ndarray, optional
        Spikes of the step before in the resets whose path is detached.
    spikes : (batch, n_rec) ndarray, optional
        The spikes of this step; those of another simulator.
    """

    silent: np.ndarray | None = None
    own: np.ndarray | None = None
    spikes: np.ndarray | None = None


def held_by(network, steps, own=False):
    """The values of the run `steps` that are imposed on a smooth run.

    The refractory steps, which have no derivative; with `own` also the spikes in detached resets,
    so that weights varied around those of `steps` see exactly the paths that the gradient follows.
    """
    nothing = np.zeros_like(steps[0].observable)
    before = [nothing, *(step.observable for step in steps[:-1])]
    return [
        Held(step.memory.silent, z if own else None) for step, z in zip(steps, before, strict=True)
    ]


def own_spike(network, before, held, variable, batch):
    """z^{t−1} as it acts on a variable at the reset."""
    if held is not None and held.own is not None and network.reset_path[variable] == "detached":
        return held.own
    return np.zeros((batch, network.n_rec)) if before is None else before.observable


def fire(network, before, v, threshold, held):
    """Spikes, pseudo-derivative and refractoriness.

    Returns
    -------
    spikes : (batch, n_rec) ndarray
    memory : Spiking
    """
    distance = v - threshold
    countdown = np.zeros(distance.shape, dtype=int)
    if before is not None:
        countdown = np.maximum(before.memory.countdown - 1, 0)
    silent = held.silent if held is not None and held.silent is not None else countdown > 0
    if held is not None and held.spikes is not None:
        spikes = held.spikes
    elif network.smooth:
        spikes = antiderivative(network, distance) * ~silent
    else:
        spikes = (distance > 0) * ~silent * 1.0
    countdown = np.where(spikes > 0, network.n_ref, countdown)
    psi = pseudo_derivative(network, distance) * ~silent
    return spikes, Spiking(threshold, psi, silent, countdown)


@frozen
class LIF:
    """The leaky integrate-and-fire cell of Bellec et al. 2020, Methods Eqs 6–8::

        v_j^t = α_j v_j^{t−1} + u_j^t − v_th,j z_j^{t−1}
        z_j^t = [v_j^t > v_th,j], and 0 in refractory steps

        q_j^t = ψ_j^t        D_j^t = α_j − v_th,j ψ_j^{t−1}        K_j = 1

    The term with ψ in D is that of an implicit reset; an explicit one is the self-edge −v_th,j.
    """

    name: ClassVar = "lif"
    states: ClassVar[tuple[str, ...]] = ("v",)
    gates: ClassVar = 1
    gates_in: ClassVar = [0]
    gates_rec: ClassVar = [0]

    def advance(self, network, before, drive, held):
        """The next step; see :class:`brian_eprop.reference.spiking.Held`."""
        (u,), n_states = drive, len(self.states)
        last = np.zeros((n_states, *u.shape)) if before is None else before.state
        decays = network.alpha, network.rho
        # what the own spike of the step before adds to each state
        edges = dict(zip(self.states, (-network.v_th, np.ones(network.n_rec)), strict=False))
        state = np.stack([decays[k] * last[k] for k in range(n_states)])
        state[0] += u
        implicit = np.zeros((n_states, n_states, *u.shape))
        self_edge = np.zeros((n_states, *u.shape))
        for k, (name, edge) in enumerate(edges.items()):
            state[k] += edge * own_spike(network, before, held, name, len(u))
            implicit[k, k] = decays[k]
            if network.reset_path[name] == "explicit":
                self_edge[k] = edge
            elif network.reset_path[name] == "implicit" and before is not None:
                # z^{t−1} is a function of c^{t−1}; the output of the readout is not part of it
                implicit[k] += edge * before.observation[:n_states]
        threshold = network.v_th + network.beta * state[1:].sum(axis=0)
        spikes, memory = fire(network, before, state[0], threshold, held)
        gain = np.zeros((n_states, 1, *u.shape))
        gain[0] = 1
        return Step(
            state=state,
            observable=spikes,
            implicit=implicit,
            observation=np.stack([memory.psi, -network.beta * memory.psi])[:n_states],
            drive=gain,
            self_edge=self_edge,
            memory=memory,
        )


@frozen
class ALIF(LIF):
    """The adaptive cell of Bellec et al. 2020, Methods Eqs 6–11::

        v_j^t = α_j v_j^{t−1} + u_j^t − v_th,j z_j^{t−1}
        a_j^t = ρ_j a_j^{t−1} + z_j^{t−1}
        z_j^t = [v_j^t > A_j^t],  A_j^t = v_th,j + β_j a_j^t, and 0 in refractory steps

        q_j^t = (ψ_j^t, −β_j ψ_j^t)        K_j = (1, 0)
        D_j^t = diag(α_j, ρ_j) + (own spike's implicit edges) ⊗ q_j^{t−1}

    The own spike enters v with −v_th and a with 1. Where `reset_path` calls such an edge implicit,
    it is substituted into D through z = z(v, a); where it calls it explicit, it is a self-edge;
    where detached, nothing.

    Jacobians: Bellec et al. 2020, Methods Eqs 13, 22–25.
    """

    name: ClassVar = "alif"
    states: ClassVar = ("v", "a")


RESET_PATHS = ("implicit", "explicit", "detached")

FRACTION = "values between 0 and 1"


def per_unit(low=-np.inf, high=np.inf, must="", default=None):
    """The validator of one number for each unit, or one for all."""
    return array_of("n_rec", low=low, high=high, must=must, single=True, default=default)


def positive(default=None):
    """The validator of one positive number for each unit, or one for all."""
    return per_unit(ABOVE_0, must="positive values", default=default)


@frozen(eq=False, kw_only=True, slots=False)
class FiringNetwork(Network):
    """One hidden layer of units that fire, with a leaky readout, and a loss of their rates.

    Parameters
    ----------
    rate_target, rate_strength : (n_rec,) arrays
        See :class:`SpikingNetwork`.
    """

    rate_target: np.ndarray | float = field(default=0.0, validator=per_unit())
    rate_strength: np.ndarray | float = field(default=0.0, validator=per_unit())

    @property
    def rate_regularized(self) -> bool:
        """Whether the loss depends on firing rates."""
        return bool(np.any(self.rate_strength))


@frozen(eq=False, kw_only=True, slots=False)
class SpikingNetwork(FiringNetwork):
    """One hidden layer of LIF and ALIF neurons with a leaky readout.

    Row = pre, column = post in every matrix. In the step t (states before the first step are 0)::

        v_j^t = α_j v_j^{t−1} − v_th,j z_j^{t−1}
                + Σ_i w_in[i,j] x_i^{t−d_in[i,j]} + Σ_i w_rec[i,j] z_i^{t−1−d_rec[i,j]}
        a_j^t = ρ_j a_j^{t−1} + z_j^{t−1}
        A_j^t = v_th,j + β_j a_j^t
        z_j^t = [v_j^t > A_j^t], and 0 in the n_ref,j − 1 steps after a spike
        ψ_j^t = ψ_j(v_j^t − A_j^t), and 0 in the same steps
        y_k^t = κ y_k^{t−1} + readout_gain Σ_j w_out[j,k] z_j^t

    Per-neuron attributes are given as a number or as an array (n_rec,).

    Parameters
    ----------
    w_rec, w_in, w_out, kappa, readout_gain, feedback
        See :class:`~brian_eprop.reference.network.Network`.
    mask_in, mask_rec, mask_out, delay_in, delay_rec : arrays, optional
    rounded : bool
        Likewise; the default of `mask_rec` is all-to-all without autapses.
    loss, average
        See :class:`~brian_eprop.reference.network.Network`.
    rate_target : (n_rec,) array
        Firing rate f* of the regularization, in spikes per step.
    rate_strength : (n_rec,) array
        c in the added loss ½ Σ_j c_j (f_j − f*_j)² of each trial.
    alpha : (n_rec,) array
        Membrane decay α = exp(−dt/tau_m).
    v_th : (n_rec,) array
        Base threshold and size of the subtractive reset.
    rho : (n_rec,) array
        Adaptation decay ρ = exp(−dt/tau_a).
    beta : (n_rec,) array
        Threshold increase per unit of adaptation; 0 makes the neuron LIF.
    n_ref : (n_rec,) int array
        Minimum inter-spike interval in steps; 0 and 1 both mean no silent step.
    surrogate : str or sequence of n_rec str
        Kind of the pseudo-derivative, a key of `brian_eprop.reference.surrogates.SURROGATES`.
    surrogate_height, surrogate_width : (n_rec,) arrays, optional
        Default: 0.3/v_th and v_th, as in Bellec et al. 2020.
    surrogate_h, surrogate_s : (n_rec,) arrays
        Weight and relative width of the side lobes, used by ``multi_gaussian`` only.
    reset_path : mapping
        For "v" (reset) and "a" (spike-triggered adaptation), how the path from the own spike to
        that variable is differentiated: "implicit" (part of the local trace), "explicit" (an
        explicit self-edge: dropped by e-prop, kept by bptt and rtrl) or "detached" (never).
    smooth : bool
        z = Φ(v − A) with Φ' = ψ instead of a step, so that the surrogate gradient is the true
        one. What has no derivative is kept from the spiking run: the refractory steps.
    adaptive : bool, optional
        Whether units have the state a; default: where a beta is not 0. It does not change the
        gradient.

    Raises
    ------
    ValueError
        Wrong shape, a value that is not finite or out of range, or an unknown name.

    References
    ----------
    Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 6–11.
    """

    alpha: np.ndarray | float = field(validator=per_unit(0, 1, f"{FRACTION}: exp(-dt/tau_m)"))
    v_th: np.ndarray | float = field(validator=positive())
    rho: np.ndarray | float = field(
        default=0.0, validator=per_unit(0, 1, f"{FRACTION}: exp(-dt/tau_a)")
    )
    beta: np.ndarray | float = field(default=0.0, validator=per_unit())
    n_ref: np.ndarray | int = field(default=0, validator=whole_steps("n_rec"))
    surrogate: np.ndarray | str = field(default="piecewise_linear")
    surrogate_height: np.ndarray | float | None = field(
        default=None, validator=per_unit(default=lambda network, name: 0.3 / network.v_th)
    )
    surrogate_width: np.ndarray | float | None = field(
        default=None, validator=positive(default=lambda network, name: network.v_th)
    )
    surrogate_h: np.ndarray | float = field(default=0.15, validator=per_unit())
    surrogate_s: np.ndarray | float = field(default=6.0, validator=positive())
    reset_path: Mapping[str, str] = field(factory=dict)
    smooth: bool = False
    adaptive: bool | None = field(default=None)

    @surrogate.validator
    def _known_kinds(self, field, value):
        kinds, name = np.asarray(value, dtype=str), f"{type(self).__name__}.surrogate"
        for kind in np.unique(kinds):
            one_of(name, str(kind), SURROGATES)
        if kinds.shape not in ((), (1,), (self.n_rec,)):
            raise ValueError(
                f"{name} has shape {kinds.shape}; give a single value or an array of shape "
                f"({self.n_rec},)"
            )
        keep(self, field, read_only(np.broadcast_to(kinds, self.n_rec)))

    @reset_path.validator
    def _known_paths(self, field, value):
        path, name = {"v": "explicit", "a": "implicit"}, f"{type(self).__name__}.reset_path"
        for variable, kind in dict(value).items():
            one_of(f"{name} (its key)", variable, tuple(path))
            one_of(f"{name}['{variable}']", kind, RESET_PATHS)
            path[variable] = kind
        keep(self, field, path)

    @adaptive.validator
    def _no_adaptation_left_out(self, field, value):
        if value is False and np.any(self.beta):
            raise ValueError(
                f"{type(self).__name__}.adaptive = False, but 'beta' is not 0; leave one of them "
                "away"
            )

    @cached_property
    def cell(self) -> ALIF | LIF:
        """ALIF, or LIF, which has no adaptation to carry along."""
        adaptive = np.any(self.beta) if self.adaptive is None else self.adaptive
        return ALIF() if adaptive else LIF()

    def _default_mask(self, name, shape):
        mask = np.ones(shape, dtype=bool)
        if name == "mask_rec":
            np.fill_diagonal(mask, False)
        return mask


#: The cells of a SpikingNetwork, and their names.
SPIKING_CELLS = (LIF, ALIF)
SPIKING = tuple(cell.name for cell in SPIKING_CELLS)
