"""Random networks for the property tests of the reference."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from hypothesis import assume
from hypothesis import strategies as st

from brian_eprop.reference import SpikingNetwork, simulate
from brian_eprop.reference.losses import LOSSES
from brian_eprop.reference.spiking import RESET_PATHS
from brian_eprop.reference.surrogates import SURROGATES

N_IN, N_REC, N_OUT, N_STEPS = 3, 5, 2, 24


@frozen(eq=False, repr=False)
class Example:
    network: SpikingNetwork
    inputs: np.ndarray
    targets: np.ndarray
    learning_window: int | None

    def __repr__(self):
        return f"<Example: {self.network!r}, learning_window={self.learning_window}>"


def random_network(
    seed, kind="mixed", max_n_ref=5, max_delay=4, n_in=N_IN, n_rec=N_REC, n_out=N_OUT, **changes
):
    """A network that spikes; parameters of every neuron differ."""
    rng = np.random.default_rng(seed)
    adapts = {"lif": np.zeros(n_rec), "alif": np.ones(n_rec), "mixed": rng.random(n_rec) < 0.5}
    v_th = rng.uniform(0.4, 0.8, n_rec)
    settings = dict(
        w_in=rng.normal(0.2, 0.8, (n_in, n_rec)) * np.sqrt(N_IN / n_in),
        w_rec=rng.normal(0, 0.5, (n_rec, n_rec)) * np.sqrt(N_REC / n_rec),
        w_out=rng.normal(0, 1, (n_rec, n_out)),
        feedback=rng.normal(0, 1, (n_out, n_rec)),
        alpha=rng.uniform(0.7, 0.95, n_rec),
        rho=rng.uniform(0.8, 0.98, n_rec),
        beta=adapts[kind] * rng.uniform(0.05, 0.3, n_rec),
        kappa=rng.uniform(0.5, 0.9),
        v_th=v_th,
        n_ref=rng.integers(0, max_n_ref, n_rec, endpoint=True),
        delay_in=rng.integers(0, max_delay, (n_in, n_rec), endpoint=True),
        delay_rec=rng.integers(0, max_delay, (n_rec, n_rec), endpoint=True),
        surrogate_height=rng.uniform(0.2, 0.6, n_rec) / v_th,
        surrogate_width=v_th * rng.uniform(0.8, 1.2, n_rec),
    )
    return SpikingNetwork(**(settings | changes))


def random_task(seed, loss, batch=2):
    rng = np.random.default_rng(seed + 1)
    inputs = rng.random((batch, N_STEPS, N_IN)) < 0.3
    if loss == "mse":
        return inputs, rng.normal(0, 1, (batch, N_STEPS, N_OUT))
    return inputs, rng.dirichlet(np.ones(N_OUT), (batch, N_STEPS))


@st.composite
def examples(draw, kinds=tuple(SURROGATES)):
    """Active networks: LIF, ALIF and mixed, with every option of the description."""
    seed = draw(st.integers(0, 2**32 - 2))
    rng = np.random.default_rng(seed + 2)
    loss = draw(st.sampled_from(sorted(LOSSES)))
    changes = dict(
        loss=loss,
        average=draw(st.booleans()),
        reset_path={name: draw(st.sampled_from(RESET_PATHS)) for name in ("v", "a")},
        surrogate=draw(st.sampled_from([*kinds, tuple(rng.choice(kinds, N_REC))])),
        rate_strength=draw(st.sampled_from([0.0, 30.0])),
        rate_target=rng.uniform(0, 0.2, N_REC),
    )
    if draw(st.booleans()):
        for block, shape in (("in", (N_IN, N_REC)), ("rec", (N_REC,) * 2), ("out", (N_REC, N_OUT))):
            changes[f"mask_{block}"] = rng.random(shape) < 0.7
    if draw(st.booleans()):
        changes["feedback"] = None
    network = random_network(
        seed,
        kind=draw(st.sampled_from(["lif", "alif", "mixed"])),
        max_n_ref=draw(st.sampled_from([0, 5])),
        max_delay=draw(st.sampled_from([0, 4])),
        **changes,
        readout_gain=draw(st.sampled_from([1.0, 0.25])),
    )
    inputs, targets = random_task(seed, loss, batch=draw(st.integers(1, 2)))
    # a silent network makes all rules agree
    run = simulate(network, inputs)
    assume(run.spikes.sum() >= 10 and np.abs(run.psi).sum() > 1)
    window = draw(st.sampled_from([None, 1, 10]))
    return Example(network, inputs, targets, window)
