"""Networks in which half of the neurons adapt, as set-ups of tasks have them."""

import numpy as np
from brian2.units.stdunits import ms


def lif_and_alif(count, tau_a, beta, **of_lif):
    """
    As many LIF as ALIF neurons, whose thresholds remember for ``tau_a``.

    Parameters
    ----------
    count : int
        Neurons of each kind.
    tau_a : Quantity
    beta : float
    **of_lif
        Parameters of both, where they are not tau_m = 20 ms and t_ref = 3 ms.

    Returns
    -------
    tuple
        As in :class:`.TrainingSetup`.
    """
    lif = {"tau_m": 20 * ms, "v_th": 0.6, "t_ref": 3 * ms} | of_lif
    return ("lif", count, lif), ("alif", count, lif | {"tau_a": tau_a, "beta": beta})


def published_beta(dt, tau_a, tau_m=20 * ms):
    """β = 1.7 as the authors' code scales it, for a membrane of gain 1 − α."""
    return float(1.7 * (1 - np.exp(-dt / tau_a)) / (1 - np.exp(-dt / tau_m)))
