"""Third factors as equations: each named one equals a slow sum in NumPy over what was recorded."""

import functools
import math
from contextlib import contextmanager

import numpy as np
import pytest
from brian2 import (
    NeuronGroup,
    SpikeGeneratorGroup,
    StateMonitor,
    Synapses,
    TimedArray,
    device,
    ms,
    set_device,
)
from brian2.units import DimensionMismatchError
from brian_networks import DT as REFERENCE_DT
from brian_networks import build
from compiled_programs import compile_some
from random_networks import random_network, random_task
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

from brian_eprop import (
    OTTT,
    EProp,
    LeakyReadout,
    Learner,
    Signal,
    TraceFilter,
    TrainableSynapses,
    reference,
)
from brian_eprop.calculus.derivatives import NoDerivativeError

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
        lambda errors, start, v: np.repeat(
            low_pass(REWARD[start : start + T, None], TAU), N, axis=1
        ),
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
        lambda: TraceFilter("dx/dt = (e_trace - x)/(5*ms) : 1\nde_bar/dt = (x - e_bar)/(9*ms) : 1"),
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
    @pytest.mark.parametrize("name", SIGNALS)
    def test_gradient_is_the_sum_over_what_was_recorded(self, name):
        make, signal_of = SIGNALS[name]
        network = own(SignalNetwork(make()))
        found = network.gradients()
        expected = network.expected(signal_of, kappa_filter)
        assert min(abs(e).max() for e in expected) > 0.05
        assert agree(found, expected) < TOLERANCE

        # The other engine records L and sends it backwards
        by_credit = SignalNetwork(make(), rule=EProp()).run()
        assert agree(by_credit.gradients(), expected) < TOLERANCE
        np.testing.assert_allclose(by_credit.state.L, network.state.L, rtol=0, atol=1e-12)

        # Negative control: a signal one step later is another gradient
        late = network.expected(lambda *of: delayed(signal_of(*of), 1), kappa_filter)
        assert agree(found, late) > 1e-3

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


class TestCredit:
    @pytest.mark.parametrize("order", [1, 2, math.inf])
    def test_errors_weighed_by_time_are_those_of_the_reference(self, order):
        network, task = random_network(3), random_task(3, "mse")
        weights = 0.5 + np.random.default_rng(1).random(task[1].shape[:2])
        arousal = TimedArray(weights.ravel(), dt=REFERENCE_DT)
        gated = Signal("L = arousal(t)*error : 1", namespace={"arousal": arousal})
        found = build(network, *task, order=order, signal=gated)
        found.run()
        order = task[1].shape[1] if math.isinf(order) else order
        expected = reference.gradients(
            network, *task, "eprop_reverse", learning_window=weights, order=order
        )
        evenly = reference.gradients(network, *task, "eprop_reverse", order=order)
        assert expected.spikes.sum() > 20
        for name in ("w_in", "w_rec"):
            gradient = getattr(expected, name)
            assert agree([found.gradients[name]], [gradient]) < TOLERANCE
            assert agree([getattr(evenly, name)], [gradient]) > 1e-2

    @pytest.mark.parametrize("options", [{"reset_every": None}, {"update_every": 6 * ms}])
    def test_windows_within_trials_are_those_of_traces(self, options):
        make, _ = SIGNALS["dopamine with kinetics and a delay"]
        found, expected = (
            own_gradients(make(), rule=EProp(engine=engine), **options)
            for engine in ("credit", "traces")
        )
        assert agree(found, expected) < TOLERANCE

    def test_a_rule_without_the_filter_is_that_of_traces(self):
        make, _ = SIGNALS["the sign alone"]
        found, expected = (
            own_gradients(make(), rule=OTTT(engine=engine)) for engine in ("credit", "traces")
        )
        assert agree(found, expected) < TOLERANCE
        assert agree(found, own_gradients(make(), rule=EProp())) > 1e-2

    @pytest.mark.slow
    @pytest.mark.standalone
    def test_compiled_programs_compute_the_same(self, tmp_path):
        make, _ = SIGNALS["dopamine with kinetics and a delay"]
        expected = own_gradients(make(), rule=EProp(order=2))
        with a_program(tmp_path):
            assert agree(own_gradients(make(), rule=EProp(order=2)), expected) < TOLERANCE

    def test_errors_that_come_back_late_are_refused(self):
        learner = Learner(
            LeakyReadout(1, 10 * ms, target=np.zeros(5)), signal=Signal("L = error : 1")
        )
        group = NeuronGroup(2, "dv/dt = -v/ms : 1", threshold="v > 1", reset="v = 0")
        with pytest.raises(ValueError, match=r"Learner\.signal pairs the error of a step with"):
            TrainableSynapses(
                group, learner.readout, on_pre="y_post += w", learner=learner, delay=2 * ms
            )
        with pytest.raises(NoDerivativeError, match="to which the output must be proportional"):
            TrainableSynapses(group, learner.readout, on_pre="y_post += w**2", learner=learner)


def own_gradients(*arguments, **options):
    network = SignalNetwork(*arguments, **options).run()
    assert network.fired.num_spikes > 50
    return [g.copy() for g in network.gradients()]


@contextmanager
def a_program(folder):
    set_device("cpp_standalone", directory=str(folder), build_on_run=True)
    try:
        yield
    finally:
        device.reinit()
        set_device("runtime")


class TestBesideErrors:
    def test_spikes_of_other_groups_end_on_the_signal(self):
        steps = np.array([3, 4, 20, 41, 65, 90])
        release = SpikeGeneratorGroup(1, np.zeros(len(steps), int), steps * ms)

        def dopaminergic(network):
            signals = network.learner.signals[network.neurons]
            onto = Synapses(release, signals, on_pre="dopamine_post += 0.5")
            onto.connect()
            return release, onto

        text = "ddopamine/dt = -dopamine/tau : 1\nL = dopamine : 1"
        network = own(SignalNetwork(signal(text), others=dopaminergic, target=False))
        spikes = np.zeros(T * TRIALS)
        spikes[steps] = 0.5

        def signal_of(errors, start, v):
            # After the update of a step its spikes arrive; they act in the next update's decay
            jumps = np.repeat(spikes[start : start + T, None], N, axis=1)
            return low_pass(jumps, TAU, gain=np.exp(-DT / TAU))

        assert agree(network.gradients(), network.expected(signal_of, kappa_filter)) < TOLERANCE

    def test_errors_as_they_are_change_nothing(self):
        plain = SignalNetwork().run().gradients()
        same = SignalNetwork(Signal("L = error : 1")).run().gradients()
        assert agree(same, plain) < TOLERANCE

    def test_signal_of_a_group_that_does_not_learn_is_refused(self):
        group = NeuronGroup(2, "dv/dt = -v/ms : 1", threshold="v > 1", reset="v = 0")
        network = SignalNetwork({group: Signal("L = error : 1")})
        assert not network.learner.signals
        with pytest.raises(ValueError, match="does not learn"):
            network.learner.check_complete()

    def test_signal_is_0_while_learning_is_off(self):
        network = SignalNetwork(SIGNALS["dopamine with kinetics and a delay"][0]())
        network.run(1)
        before = [g.copy() for g in network.gradients()]
        network.learner.learning = False
        network.run(1)
        for now, then in zip(network.gradients(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        assert abs(network.state.L[:, T:]).max() == 0

    def test_signals_can_be_recorded(self):
        def monitors(network):
            signals = network.learner.signals[network.neurons]
            network.seen = StateMonitor(
                signals, ("error", "dopamine"), record=True, when="after_end"
            )
            return [network.seen]

        make, _ = SIGNALS["dopamine with kinetics and a delay"]
        network = own(SignalNetwork(make(), others=monitors))
        np.testing.assert_allclose(network.state.L, 2 * network.seen.dopamine, rtol=1e-12)
        errors = network.feedback.T @ network.error.error
        np.testing.assert_allclose(network.seen.error, errors, rtol=1e-12, atol=1e-14)

    def test_without_trials_what_is_delayed_goes_on(self):
        make, signal_of = SIGNALS["dopamine with kinetics and a delay"]
        network = own(SignalNetwork(make(), reset_every=None))
        errors = network.error.error.T @ network.feedback
        expected = signal_of(errors, 0, None)
        np.testing.assert_allclose(network.state.L.T, expected, rtol=1e-10, atol=1e-13)


def with_everything():
    """Gradients with a signal and a filter that keep what was, and a matrix."""
    filtered = TraceFilter("de_bar/dt = (e_trace - delayed(e_trace))/dt : 1", delay=11 * ms)
    late = signal(
        "dc/dt = (delayed(error) - c + 0.3*laplacian(c))/tau : 1\nL = c*v : 1",
        delay=7 * ms,
        matrices={"laplacian": LAPLACIAN},
    )
    return SignalNetwork(late, filtered)


def gradients_of_everything():
    return own(with_everything()).gradients()


@functools.cache
def expected_of_everything():
    """The same by numpy, once for all targets."""
    return gradients_of_everything()


@pytest.mark.slow
@pytest.mark.cython
def test_cython_computes_the_same():
    expected, network = expected_of_everything(), with_everything()
    signals, forward = network.learner.signals[network.neurons].name, network.forward.name
    # one of each kind that a signal and a filter add
    chosen = {f"{signals}_stateupdater", f"{signals}_delayed_error", f"{forward}_traces"}
    compiled, _ = compile_some(network.network, lambda obj: obj.name in chosen)
    assert set(compiled) == chosen
    assert agree(own(network).gradients(), expected) < TOLERANCE


@pytest.mark.slow
@pytest.mark.standalone
def test_compiled_programs_compute_the_same(tmp_path):
    expected = expected_of_everything()
    with a_program(tmp_path):
        assert agree(gradients_of_everything(), expected) < TOLERANCE


WRONG_SIGNALS = {
    "L in volts": ("L = 1*mV : volt", {}, DimensionMismatchError, "has the unit 'volt'"),
    "no rate": ("dc/dt = error : 1\nL = c : 1", {}, DimensionMismatchError, "Inconsistent units"),
    "no L": ("M = error : 1", {}, ValueError, "do not define 'L'"),
    "parameter": ("L = a : 1\na : 1", {}, ValueError, "the parameter 'a'"),
    "error": ("L = error : 1\nerror = 1 : 1", {}, ValueError, "define 'error'"),
    "unknown": ("L = error*nothing : 1", {}, ValueError, "use 'nothing'"),
    "future": ("L = reward(t + 1*ms) : 1", {}, ValueError, "in the future"),
    "twice as fast": ("L = reward(2*t) : 1", {}, ValueError, "in the future"),
    "any time": ("L = reward(v*second) : 1", {}, ValueError, "at the present time"),
    "delay below 0": ("L = delayed(error) : 1", {"delay": -1 * ms}, ValueError, "positive"),
    "delay off the grid": ("L = delayed(error) : 1", {"delay": 1.5 * ms}, ValueError, "multiple"),
    "no delay": ("L = delayed(error) : 1", {}, ValueError, "which have one"),
    "unused delay": ("L = error : 1", {"delay": 1 * ms}, ValueError, "which have none"),
    "expression": ("L = delayed(2*error) : 1", {"delay": 1 * ms}, ValueError, "one variable"),
    "shape": ("L = m(error) : 1", {"matrices": {"m": np.eye(3)}}, ValueError, "6 neurons"),
    "not square": ("L = m(error) : 1", {"matrices": {"m": np.ones((2, 3))}}, ValueError, "n, n"),
    "unused": ("L = error : 1", {"matrices": {"m": np.eye(N)}}, ValueError, "not used"),
    "own name": ("dv/dt = -v/ms : 1\nL = v : 1", {}, ValueError, "of the group, too"),
    "random": ("L = rand()*error : 1", {}, ValueError, "draws random numbers"),
    "flag": ("L = error : 1 (shared)", {}, ValueError, "flagged"),
    "both": (
        "dc/dt = m(c)/ms : 1\nL = m(c) : 1",
        {"matrices": {"m": np.eye(N)}},
        ValueError,
        "second name",
    ),
}
WRONG_FILTERS = {
    "no rate": ("de_bar/dt = e_trace - e_bar : 1", DimensionMismatchError, "Inconsistent"),
    "volts": ("e_bar = e_trace*mV : volt", DimensionMismatchError, "has the unit 'volt'"),
    "no e_bar": ("x = e_trace : 1", ValueError, "do not define 'e_bar'"),
    "unknown": ("e_bar = e_trace*nothing : 1", ValueError, "uses 'nothing'"),
    "time": ("e_bar = e_trace*t/ms : 1", ValueError, "time t"),
    "name": ("dgrad/dt = -grad/ms : 1\ne_bar = grad : 1", ValueError, "name of learning"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", WRONG_SIGNALS)
    def test_wrong_signal_is_refused(self, case):
        text, options, error, message = WRONG_SIGNALS[case]
        with pytest.raises(error, match=message):
            SignalNetwork(signal(text, **options))

    @pytest.mark.parametrize("case", WRONG_FILTERS)
    def test_wrong_filter_is_refused(self, case):
        text, error, message = WRONG_FILTERS[case]
        with pytest.raises(error, match=message):
            TraceFilter(text)

    def test_what_is_no_third_factor_is_refused(self):
        readout = LeakyReadout(1, 10 * ms, target=np.zeros(5))
        with pytest.raises(ValueError, match=r"the engine 'credit' has no traces, .*'traces'"):
            Learner(readout, trace_filter=TraceFilter("e_bar = e_trace : 1"))
        for argument in ("signal", "trace_filter"):
            with pytest.raises(TypeError, match=f"Learner.{argument}"):
                Learner(readout, EProp(engine="traces"), **{argument: "L = error : 1"})

    def test_differences_of_the_loss_are_none_of_a_signal(self):
        network = SignalNetwork(Signal("L = sign(error) : 1"))
        with pytest.raises(ValueError, match=r"Learner\.signal makes"):
            network.learner.check(network=network.network)

    def test_readout_without_target_has_no_errors(self):
        with pytest.raises(ValueError, match="no target"):
            SignalNetwork(Signal("L = error : 1"), target=False)
