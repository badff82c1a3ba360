"""Description of a recurrent spiking network by plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .surrogates import SURROGATES

__all__ = ["SpikingNetwork"]

LOSSES = ("mse", "cross_entropy")
RESET_PATHS = ("implicit", "explicit", "detached")


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
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
    w_in : (n_in, n_rec) array
    w_rec : (n_rec, n_rec) array
    w_out : (n_rec, n_out) array
    alpha : (n_rec,) array
        Membrane decay α = exp(−dt/tau_m).
    kappa : float
        Readout decay κ = exp(−dt/tau_out).
    v_th : (n_rec,) array
        Base threshold and size of the subtractive reset.
    rho : (n_rec,) array
        Adaptation decay ρ = exp(−dt/tau_a).
    beta : (n_rec,) array
        Threshold increase per unit of adaptation; 0 makes the neuron LIF.
    n_ref : (n_rec,) int array
        Minimum inter-spike interval in steps; 0 and 1 both mean no silent step.
    feedback : (n_out, n_rec) array, optional
        Feedback weights B of e-prop; None is symmetric e-prop, B = w_out.T.
    mask_in, mask_rec, mask_out : bool arrays of the shapes of the weights, optional
        Which synapses exist (default: all-to-all without autapses). The weights and the
        gradients of the others are 0.
    delay_in, delay_rec : int arrays of the shapes of the weights, optional
        Steps d beyond the standard delay (0 for inputs, 1 for recurrent spikes).
    readout_gain : float
        1 or 1 − κ. By the chain rule it is also a factor of the filtered eligibility trace.
    loss : {"mse", "cross_entropy"}
        ½Σ(y − y*)² or −Σ y* log softmax(y), summed over the learning window.
    average : bool
        Divide loss, learning signal and regularization by the length of the learning window.
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
    rate_target : (n_rec,) array
        Firing rate f* of the regularization, in spikes per step.
    rate_strength : (n_rec,) array
        c in the added loss ½ Σ_j c_j (f_j − f*_j)² of each trial.

    Raises
    ------
    ValueError
        Wrong shape, a value that is not finite or out of range, or an unknown name.

    References
    ----------
    Bellec et al. 2020, Nat. Commun. 11:3625, Methods Eqs 6–11.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    alpha: np.ndarray
    kappa: float
    v_th: np.ndarray
    rho: np.ndarray = 0.0
    beta: np.ndarray = 0.0
    n_ref: np.ndarray = 0
    feedback: np.ndarray | None = None
    mask_in: np.ndarray | None = None
    mask_rec: np.ndarray | None = None
    mask_out: np.ndarray | None = None
    delay_in: np.ndarray | None = None
    delay_rec: np.ndarray | None = None
    readout_gain: float = 1.0
    loss: str = "mse"
    average: bool = False
    surrogate: np.ndarray = "piecewise_linear"
    surrogate_height: np.ndarray | None = None
    surrogate_width: np.ndarray | None = None
    surrogate_h: np.ndarray = 0.15
    surrogate_s: np.ndarray = 6.0
    reset_path: Mapping[str, str] = field(default_factory=dict)
    rate_target: np.ndarray = 0.0
    rate_strength: np.ndarray = 0.0

    def __post_init__(self):
        for name in ("w_in", "w_rec", "w_out"):
            weights = self._numbers(name, getattr(self, name))
            if weights.ndim != 2:
                raise ValueError(
                    f"SpikingNetwork: '{name}' has shape {weights.shape}; "
                    "give a matrix (n_pre, n_post)"
                )
            self._set(name, weights)
        if self.w_rec.shape[0] != self.w_rec.shape[1]:
            raise ValueError(
                f"SpikingNetwork: 'w_rec' has shape {self.w_rec.shape}; "
                "give a square matrix (n_rec, n_rec)"
            )
        n_in, n_rec, n_out = self.n_in, self.n_rec, self.n_out
        shapes = {"in": (n_in, n_rec), "rec": (n_rec, n_rec), "out": (n_rec, n_out)}
        for block, shape in shapes.items():
            self._check_shape(f"w_{block}", getattr(self, f"w_{block}"), shape)
            self._set_mask(f"mask_{block}", shape)
            mask = getattr(self, f"mask_{block}")
            self._set(f"w_{block}", np.where(mask, getattr(self, f"w_{block}"), 0.0))
            if block != "out":
                self._set_integers(f"delay_{block}", shape)
        if self.feedback is not None:
            feedback = self._numbers("feedback", self.feedback)
            self._check_shape("feedback", feedback, (n_out, n_rec))
            self._set("feedback", feedback)

        self._set_per_neuron("v_th")
        self._check_positive("v_th")
        self._set_per_neuron("alpha", 0, 1, "exp(-dt/tau_m)")
        self._set_per_neuron("rho", 0, 1, "exp(-dt/tau_a)")
        self._set_per_neuron("beta")
        self._set_integers("n_ref", (n_rec,))
        self._set_per_neuron("rate_target")
        self._set_per_neuron("rate_strength")
        for name, default in (
            ("surrogate_height", lambda: 0.3 / self.v_th),
            ("surrogate_width", lambda: self.v_th),
        ):
            if getattr(self, name) is None:
                self._set(name, default())
        self._set_per_neuron("surrogate_height")
        self._set_per_neuron("surrogate_h")
        for name in ("surrogate_width", "surrogate_s"):
            self._set_per_neuron(name)
            self._check_positive(name)

        for name, remedy in (("kappa", "exp(-dt/tau_out)"), ("readout_gain", "1 or 1 - kappa")):
            number = self._numbers(name, getattr(self, name))
            if number.ndim or not 0 <= number <= 1:
                raise ValueError(
                    f"SpikingNetwork: '{name}' is {getattr(self, name)!r}; "
                    f"give one number between 0 and 1: {remedy}"
                )
            self._set(name, float(number))
        self._set("average", bool(self.average))
        self._check_choice("loss", self.loss, LOSSES)
        kinds = np.asarray(self.surrogate, dtype=str)
        for kind in np.unique(kinds):
            self._check_choice("surrogate", str(kind), SURROGATES)
        self._set("surrogate", self._broadcast("surrogate", kinds, (n_rec,)))
        self._set_reset_path()

    @property
    def n_in(self):
        return self.w_in.shape[0]

    @property
    def n_rec(self):
        return self.w_rec.shape[1]

    @property
    def n_out(self):
        return self.w_out.shape[1]

    def _set(self, name, value):
        if isinstance(value, np.ndarray):
            # a private copy: the description must not change under the caller's hands
            value = value.copy()
            value.setflags(write=False)
        object.__setattr__(self, name, value)

    def _numbers(self, name, value):
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"SpikingNetwork: '{name}' is {value!r}; give numbers without units"
            ) from None
        if not np.all(np.isfinite(array)):
            raise ValueError(
                f"SpikingNetwork: '{name}' contains {array[~np.isfinite(array)].flat[0]} "
                f"({np.sum(~np.isfinite(array))} of {array.size} values are not finite); "
                "give finite numbers"
            )
        return array

    def _check_shape(self, name, array, shape):
        if array.shape != shape:
            raise ValueError(
                f"SpikingNetwork: '{name}' has shape {array.shape}; "
                f"give {shape} for n_in={self.n_in}, n_rec={self.n_rec}, n_out={self.n_out} "
                "(row = pre, column = post)"
            )

    def _broadcast(self, name, array, shape):
        try:
            return np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"SpikingNetwork: '{name}' has shape {array.shape}; "
                f"give a single value or an array of shape {shape}"
            ) from None

    def _set_per_neuron(self, name, low=-np.inf, high=np.inf, remedy=""):
        array = self._numbers(name, getattr(self, name))
        outside = (array < low) | (array > high)
        if np.any(outside):
            raise ValueError(
                f"SpikingNetwork: '{name}' contains {array[outside].flat[0]}; "
                f"give values between {low} and {high}: {remedy}"
            )
        self._set(name, self._broadcast(name, array, (self.n_rec,)))

    def _check_positive(self, name):
        if not np.all(getattr(self, name) > 0):
            raise ValueError(
                f"SpikingNetwork: '{name}' is {getattr(self, name).min()} for a neuron; "
                "give positive values"
            )

    def _set_integers(self, name, shape):
        value = getattr(self, name)
        array = self._numbers(name, 0 if value is None else value)
        wrong = (array < 0) | (array != np.round(array))
        if np.any(wrong):
            raise ValueError(
                f"SpikingNetwork: '{name}' contains {array[wrong].flat[0]}; "
                "give a whole number of steps, 0 or more"
            )
        self._set(name, self._broadcast(name, array, shape).astype(int))

    def _set_mask(self, name, shape):
        value = getattr(self, name)
        if value is None:
            mask = np.ones(shape, dtype=bool)
            if name == "mask_rec":
                np.fill_diagonal(mask, False)
        else:
            mask = self._numbers(name, value)
            self._check_shape(name, mask, shape)
            if not np.all((mask == 0) | (mask == 1)):
                raise ValueError(
                    f"SpikingNetwork: '{name}' contains {mask[(mask != 0) & (mask != 1)].flat[0]}; "
                    "give True where a synapse exists and False elsewhere"
                )
        self._set(name, mask.astype(bool))

    def _check_choice(self, name, value, choices):
        if value not in choices:
            known = ", ".join(f"'{choice}'" for choice in choices)
            raise ValueError(f"SpikingNetwork: '{name}' is '{value}'; give one of {known}")

    def _set_reset_path(self):
        path = {"v": "explicit", "a": "implicit"}
        for variable, kind in dict(self.reset_path).items():
            self._check_choice("reset_path (its key)", variable, tuple(path))
            self._check_choice(f"reset_path['{variable}']", kind, RESET_PATHS)
            path[variable] = kind
        self._set("reset_path", path)
