"""Third factors as equations: each named one equals a slow sum in NumPy over what was recorded."""

import numpy as np
import pytest
from brian2 import (
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    ms,
    mV,
    second,
)
from brian2.units import DimensionMismatchError
from signal_networks import (
    AROUSAL,
    DT,
    TRIALS,
    N,
    SignalNetwork,
    T,
    delayed,
    kappa_filter,
    low_pass,
)

from brian_eprop import Adam, EProp, LeakyReadout, Learner, Signal, TraceFilter

#: The same sums in another order, of numbers around 1.
TOLERANCE = 1e-10
TAU = 12.0
SIDE = 3
PLACES = np.array([divmod(k, SIDE) for k in range(N)], float)
APART = np.linalg.norm(PLACES[:, None] - PLACES, axis=-1)
#: Along the sides of a 2 × 3 grid; what one square loses is what its neighbours gain
LAPLACIAN = (APART == 1).astype(float) - np.diag((APART == 1).sum(axis=0))
KERNEL = np.exp(-(APART**2) / 2)
TYPES = np.array([0, 0, 0, 1, 1, 1])
LIGAND = np.array([[0.3, -0.8], [0.5, 0.1]])[TYPES][:, TYPES]
REWARD = np.random.default_rng(9).standard_normal(T * TRIALS)
NAMES = {
    "tau": TAU * ms,
    "reward": TimedArray(REWARD, dt=DT * ms),
    "arousal": TimedArray(AROUSAL, dt=DT * ms),
}


def diffusion(errors):
    c, found = np.zeros(N), np.empty_like(errors)
    keep = np.exp(-DT / TAU)
    for t, error in enumerate(errors):
        c = keep * c + (1 - keep) * (error + 0.3 * c @ LAPLACIAN)
        found[t] = c
    return found


def signal(text, **options):
    return Signal(text, namespace=NAMES, **options)


#: name → (signal, errors, first step, potentials after the step → L)
SIGNALS = {
    "dopamine with kinetics and a delay": (
        lambda: signal(
            """
            ddopamine/dt = (delayed(error) - dopamine)/tau : 1
            L = 2*dopamine : 1
            """,
            delay=7 * ms,
        ),
        lambda errors, start, v: 2 * low_pass(delayed(errors, 7), TAU),
    ),
    "release late, after the kinetics": (
        lambda: signal(
            "dc/dt = (error - c)/tau : 1\nL = delayed(c) : 1",
            delay=1 * ms,
        ),
        lambda errors, start, v: delayed(low_pass(errors, TAU), 1),
    ),
    "diffusion on a grid": (
        lambda: signal(
            "dc/dt = (error - c + 0.3*laplacian(c))/tau : 1\nL = c : 1",
            matrices={"laplacian": LAPLACIAN},
        ),
        lambda errors, start, v: diffusion(errors),
    ),
    "a kernel over positions": (
        lambda: signal("L = spread(error) : 1", matrices={"spread": KERNEL}),
        lambda errors, start, v: errors @ KERNEL,
    ),
    "ligands by cell type": (
        lambda: signal(
            "dligand/dt = (error - ligand)/tau : 1\nL = error + received(ligand) : 1",
            matrices={"received": LIGAND},
        ),
        lambda errors, start, v: errors + low_pass(errors, TAU) @ LIGAND,
    ),
    "the sign alone": (
        lambda: signal("L = sign(error) : 1"),
        lambda errors, start, v: np.sign(errors),
    ),
    "gated by arousal": (
        lambda: signal("L = arousal(t)*error : 1"),
        lambda errors, start, v: AROUSAL[start : start + T, None] * errors,
    ),
    "the neuron's own variables": (
        lambda: signal("L = error*(v - 0.2*v_th) : 1"),
        lambda errors, start, v: errors * (v - 0.2 * 0.6),
    ),
    "a reward for all": (
        lambda: signal("drho/dt = (reward(t) - rho)/tau : 1\nL = rho : 1"),
        lambda errors, start, v: np.repeat(low_pass(REWARD[start : start + T, None], TAU), N, axis=1),
    ),
}
#: name → (trace filter, e → e_bar)
FILTERS = {
    "none": (lambda: TraceFilter("e_bar = e_trace : 1"), lambda e: e),
    "low-pass": (
        lambda: TraceFilter("de_bar/dt = (e_trace - e_bar)/tau : 1", namespace={"tau": TAU * ms}),
        lambda e: low_pass(e, TAU),
    ),
    # Within a step the first stage's output of the step before drives the second, exactly
    "cascade": (
        lambda: TraceFilter(
            "dx/dt = (e_trace - x)/(5*ms) : 1\nde_bar/dt = (x - e_bar)/(9*ms) : 1"
        ),
        lambda e: cascade(e, 5.0, 9.0),
    ),
    "double exponential": (
        lambda: TraceFilter(
            """
            dslow/dt = (e_trace - slow)/(20*ms) : 1
            dfast/dt = (e_trace - fast)/(4*ms) : 1
            e_bar = slow - 0.2*fast : 1
            """
        ),
        lambda e: low_pass(e, 20.0) - 0.2 * low_pass(e, 4.0),
    ),
    "hard window": (
        lambda: TraceFilter("de_bar/dt = (e_trace - delayed(e_trace))/dt : 1", delay=11 * ms),
        lambda e: np.cumsum(e - delayed(e, 11), axis=0),
    ),
    "as late as the signal": (
        lambda: TraceFilter(
            "dx/dt = (e_trace - x)/(15*ms) : 1\ne_bar = delayed(x) : 1", delay=7 * ms
        ),
        lambda e: delayed(low_pass(e, 15.0), 7),
    ),
}


def cascade(e, first, second):
    """Two low-passes in series, the exact solution with the input held in each step."""
    a, b = np.exp(-DT / first), np.exp(-DT / second)
    mix = (1 / second) / (1 / second - 1 / first) * (a - b)
    x, y, found = np.zeros(e.shape[1:]), np.zeros(e.shape[1:]), np.empty_like(e)
    for t, now in enumerate(e):
        # y' = (x − y)/second with x(s) = now + (x − now) exp(−s/first)
        y = b * y + (1 - b) * now + mix * (x - now)
        x = a * x + (1 - a) * now
        found[t] = y
    return found


def agree(found, expected):
    """Largest difference, of the largest number, over both projections."""
    return max(abs(f - e).max() / abs(e).max() for f, e in zip(found, expected, strict=True))


def own(network):
    """Run a network, which must have done something."""
    network.run()
    assert network.fired.num_spikes > 50
    assert (network.state.psi[:] > 0).mean() > 0.2
    return network


class TestSignals:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("name", SIGNALS)
    def test_gradient_is_the_sum_over_what_was_recorded(self, name):
        make, signal_of = SIGNALS[name]
        network = own(SignalNetwork(make()))
        found = network.gradients()
        expected = network.expected(signal_of, kappa_filter)
        assert min(abs(e).max() for e in expected) > 0.05
        assert agree(found, expected) < TOLERANCE

        # Negative control: a signal one step later is another gradient
        late = network.expected(lambda *of: delayed(signal_of(*of), 1), kappa_filter)
        assert agree(found, late) > 1e-3

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("name", FILTERS)
    def test_gradient_is_that_of_the_filter(self, name):
        make, filter_of = FILTERS[name]
        network = own(SignalNetwork(Signal("L = error : 1"), make()))
        found = network.gradients()
        expected = network.expected(lambda errors, start, v: errors, filter_of)
        assert min(abs(e).max() for e in expected) > 0.05
        assert agree(found, expected) < TOLERANCE

        # Negative control: the filter of the readout is another gradient
        other = network.expected(lambda errors, start, v: errors, kappa_filter)
        assert agree(found, other) > 1e-2

