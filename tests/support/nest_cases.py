"""NEST's e-prop cases as plain arrays, row = pre and column = post.

Used to check any implementation: nothing here depends on one. See data/README.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "data"
TRAJECTORIES = ("bss_lif_mse_sgd", "bss_alif_mse_sgd")
TASKS = ("sine_bsshslm_2020", "evidence_bsshslm_2020_batch1")
BLOCKS = ("w_in", "w_rec", "w_out")


@dataclass(frozen=True, eq=False)
class NestCase:
    """Arrays of one case; times in ms, per-neuron arrays (n_rec,).

    Attributes
    ----------
    weights : dict of str to ndarray
        "w_in", "w_rec", "w_out" as NEST stores them.
    gain : dict of str to ndarray
        ζ per postsynaptic neuron: a spike adds gain·w to the membrane. `effective` multiplies
        it in; a gradient with respect to an effective weight is multiplied by it once more.
    feedback : (n_out, n_rec) ndarray
    masks : dict of str to bool ndarray
    inputs : (iteration, T, n_in) bool ndarray
    targets : (iteration, T, n_out) ndarray
    loss_nest, loss_tf : (iteration,) ndarray or None
    local : dict of str to (T, n) ndarray
        "v", "psi", "z", "y", "E", "L" and, of adapting neurons, "a", "th", of the first iteration.
        L is not known, NaN, in the last step.
    gradient : dict of str to ndarray
        Of the first iteration, with respect to `weights`; 0 for absent synapses.
    """

    name: str
    dt: float
    tau_m: np.ndarray
    tau_a: np.ndarray
    beta: np.ndarray
    v_th: np.ndarray
    n_ref: np.ndarray
    surrogate_height: np.ndarray
    surrogate_width: np.ndarray
    rate_target: float
    rate_strength: float
    tau_out: float
    normalize: bool
    loss: str
    average: bool
    learning_window: int
    optimizer: dict
    weights: dict
    gain: dict
    feedback: np.ndarray
    masks: dict
    inputs: np.ndarray
    targets: np.ndarray
    loss_nest: np.ndarray | None
    loss_tf: np.ndarray | None
    local: dict
    gradient: dict

    def effective(self, weights=None):
        """The weights that are added to the membrane."""
        weights = self.weights if weights is None else weights
        return {name: weights[name] * self.gain[name] for name in BLOCKS}

    def update(self, weights, effective_gradient, iteration, moments):
        """Weights after one step of NEST's optimizer.

        Parameters
        ----------
        weights : dict
            As NEST stores them.
        effective_gradient : dict
            Gradients with respect to `effective(weights)`.
        iteration : int
            From 0.
        moments : dict
            Adam's state, empty at first; changed in place.
        """
        eta = self.optimizer["eta"]
        updated = {}
        for name in BLOCKS:
            g = effective_gradient[name] * self.gain[name]
            if self.optimizer["type"] == "gradient_descent":
                change = eta * g
            else:
                b1, b2 = self.optimizer["beta_1"], self.optimizer["beta_2"]
                m, s = moments.get(name, (0.0, 0.0))
                m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g**2
                moments[name] = m, s
                n = iteration + 1
                eta_n = eta * np.sqrt(1 - b2**n) / (1 - b1**n)
                change = eta_n * m / (np.sqrt(s) + self.optimizer["epsilon"])
            updated[name] = np.where(self.masks[name], weights[name] - change, 0.0)
        return updated


def load_case(name):
    """The case of data/<name>.npz as a NestCase."""
    with np.load(DATA / f"{name}.npz") as file:
        d = dict(file)
    meta = json.loads(str(d["meta_json"]))
    dt, n_rec, n_iterations = meta["dt"], meta["n_rec"], meta["n_iter"]
    out = meta["out_params"]
    groups = [(count, parameters) for _, count, parameters in meta["rec_groups"]]

    def per_neuron(key, default=None):
        return np.concatenate(
            [np.full(count, parameters.get(key, default), float) for count, parameters in groups]
        )

    if "x" in d:
        inputs, targets = d["x"].astype(bool), d["y_star"]
    else:
        shape = d["x_shape"]
        inputs = np.unpackbits(d["x_packed"])[: np.prod(shape)].reshape(shape).astype(bool)
        if "y_star_one_iteration" in d:
            targets = np.repeat(d["y_star_one_iteration"][np.newaxis], n_iterations, axis=0)
        else:
            targets = np.repeat(d["y_star_per_iteration"][:, np.newaxis], meta["T"], axis=1)
    inputs[:, 0] = False  # NEST drops what would arrive in the first step of a sequence

    masks = {
        "w_in": np.ones((meta["n_in"], n_rec), bool),
        "w_rec": ~np.eye(n_rec, dtype=bool),
        "w_out": np.ones((n_rec, meta["n_out"]), bool),
    }
    for block in ("in", "rec", "out"):
        if f"M_{block}" in d:
            masks[f"w_{block}"] = d[f"M_{block}"].astype(bool).T
    # NEST's name for gain 1; otherwise input is multiplied by 1 − α
    zeta = np.where(per_neuron("regular_spike_arrival"), 1.0, 1 - np.exp(-dt / per_neuron("tau_m")))
    losses = {"mean_squared_error": "mse", "cross_entropy": "cross_entropy"}
    return NestCase(
        name=name,
        dt=dt,
        tau_m=per_neuron("tau_m"),
        tau_a=per_neuron("adapt_tau", 1.0),
        beta=per_neuron("adapt_beta", 0.0),
        v_th=per_neuron("V_th"),
        n_ref=np.round(per_neuron("t_ref") / dt).astype(int),
        surrogate_height=per_neuron("surrogate_gradient_height"),
        surrogate_width=per_neuron("surrogate_gradient_width"),
        rate_target=groups[0][1]["f_target"] * dt * 1e-3,
        rate_strength=groups[0][1]["c_reg"],
        tau_out=out["tau_m"],
        normalize=not out["regular_spike_arrival"],
        loss=losses[out["loss"]],
        average=meta["average_gradient"],
        learning_window=meta["learning_window"],
        optimizer=meta["optimizer"],
        weights={f"w_{block}": d[f"W_{block}"].T for block in ("in", "rec", "out")},
        gain={"w_in": zeta, "w_rec": zeta, "w_out": 1.0},
        feedback=d["B"].T,
        masks=masks,
        inputs=inputs,
        targets=targets,
        loss_nest=d.get("loss_nest"),
        loss_tf=d.get("loss_tf"),
        local={
            key[6:]: value[0]
            for key, value in d.items()
            if key.startswith("local_") and not np.all(np.isnan(value))
        },
        gradient={
            f"w_{block}": np.where(masks[f"w_{block}"], d[f"gradient_iter_{block}"][0].T, 0.0)
            for block in ("in", "rec", "out")
            if f"gradient_iter_{block}" in d
        },
    )
