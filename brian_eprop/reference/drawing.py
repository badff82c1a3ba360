"""Random networks of every cell, with weights that keep them active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import ABOVE_0, number, one_of, whole_number
from .rate import RATE_CELLS, RateNetwork
from .spiking import SPIKING, SPIKING_CELLS, SpikingNetwork

#: name → class
CELLS = {cell.name: cell for cell in (*SPIKING_CELLS, *RATE_CELLS)}


def draw_network(
    cell: str,
    n_in: int,
    n_rec: int,
    n_out: int,
    *,
    density: float = 1.0,
    loss: str = "mse",
    seed: int | Sequence[int] = 0,
    **settings: Any,
) -> SpikingNetwork | RateNetwork:
    """A network of random weights.

    Weights are normal, of a variance of 1/(number of presynaptic units), those between rate units
    orthogonal where the connections are complete (Marschall, Cho & Savin 2020). Spiking units have
    the time constants of Bellec et al. 2020 in steps of 1 ms: 20 for the membrane, 200 for
    adaptation, 20 for the readout, 2 of refractoriness; input and recurrent weights are 1.2 and 0.4
    times as strong: inputs with a probability of 0.05 per step make units fire at 20 to 60 per 1000
    steps. Feedback weights are drawn as the readout's.

    Parameters
    ----------
    cell : str
        A key of `CELLS`.
    n_in, n_rec, n_out : int
        With ``"jordan"`` the outputs are among the n_rec units.
    density : float
        Fraction of recurrent connections that exist, above 0 and at most 1.
    loss : {"mse", "cross_entropy", "linear"}
    seed : int
    **settings
        Other attributes of the network; they replace what is drawn.

    Returns
    -------
    SpikingNetwork or RateNetwork

    Raises
    ------
    ValueError
        An unknown cell, or numbers out of range.
    """
    one_of("draw_network: 'cell'", cell, CELLS)
    for name, value in (("n_in", n_in), ("n_rec", n_rec), ("n_out", n_out)):
        whole_number(f"draw_network: '{name}'", value)
    number("draw_network: 'density'", density, "be above 0 and at most 1", ABOVE_0, 1.0)
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {
        "loss": loss,
        "feedback": rng.normal(0, 1 / np.sqrt(n_rec), (n_out, n_rec)),
    }
    if density < 1:
        drawn["mask_rec"] = rng.random((n_rec, n_rec)) < density
        np.fill_diagonal(drawn["mask_rec"], False)
    draw = _spiking if cell in SPIKING else _rate
    return draw(cell, (n_in, n_rec, n_out), drawn, rng, settings)


def _normal(rng, *shape, fan_in=None):
    return rng.normal(0, 1 / np.sqrt(fan_in or shape[-2]), shape)


def _spiking(cell, sizes, drawn, rng, settings):
    n_in, n_rec, n_out = sizes
    kappa = float(np.exp(-1 / 20))
    drawn |= {
        "w_in": 1.2 * _normal(rng, n_in, n_rec),
        "w_rec": 0.4 * _normal(rng, n_rec, n_rec, fan_in=_fan_in(drawn, n_rec)),
        "w_out": _normal(rng, n_rec, n_out),
        "alpha": np.exp(-1 / 20),
        "rho": np.exp(-1 / 200),
        "beta": 0.07 if cell == "alif" else 0.0,
        "kappa": kappa,
        "readout_gain": 1 - kappa,
        "v_th": 0.6,
        "n_ref": 2,
    }
    return SpikingNetwork(**(drawn | settings))


def _rate(cell, sizes, drawn, rng, settings):
    n_in, n_rec, n_out = sizes
    unit = CELLS[cell]()

    def gated(gates, draw):
        weights = np.stack([draw() for _ in gates])
        return weights[0] if unit.gates == 1 else weights

    def recurrent():
        if "mask_rec" in drawn or unit.gates > 1 or cell == "jordan":
            return _normal(rng, n_rec, n_rec, fan_in=_fan_in(drawn, n_rec))
        return np.linalg.qr(rng.normal(size=(n_rec, n_rec)))[0]

    drawn |= {
        "cell": unit,
        "w_in": gated(unit.gates_in, lambda: _normal(rng, n_in, n_rec)),
        "w_rec": gated(unit.gates_rec, recurrent),
    }
    if cell == "jordan":
        onto_outputs = np.arange(n_rec) >= n_rec - n_out
        if "mask_rec" in drawn:
            drawn["mask_rec"] &= np.not_equal.outer(onto_outputs, onto_outputs)
        drawn["visible"] = n_out
    else:
        drawn["w_out"] = _normal(rng, n_rec, n_out)
    return RateNetwork(**(drawn | settings))


def _fan_in(drawn, n_rec):
    mask = drawn.get("mask_rec")
    return n_rec if mask is None else max(mask.sum() / n_rec, 1)
