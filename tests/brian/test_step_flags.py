"""Phases of learning: off and on, burn-in, another optimizer or target, and what trials reset."""

import warnings
from typing import ClassVar

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    prefs,
    second,
    set_device,
    volt,
)

from brian_eprop import (
    BPTT,
    Adam,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    StepDecay,
    TrainableSynapses,
)

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.fixture(autouse=True)
def milliseconds(time_step):
    defaultclock.dt = 1 * ms


T, N_IN, N = 40, 6, 5
RNG = np.random.default_rng(3)
W_IN = RNG.uniform(3, 9, N_IN * N)
W_OUT = RNG.normal(size=N * 2)
RASTER = RNG.random((T, N_IN)) < 0.25
TARGET = RNG.normal(size=(T, 2))
#: Agreement of sums that are added up in another order
CLOSE = dict(rtol=1e-9, atol=1e-13)
LIF = "dv/dt = -v/(10*ms) : volt"
WHOLE = dict(reset_every=T * ms)
#: No trials, and updates within a trial: windows begin with what earlier ones left behind.
CARRIED = dict(update_every=T * ms)
WITHIN = dict(reset_every=T * ms, update_every=T / 4 * ms)


class Net:
    """Inputs, LIF neurons and a readout, which learn.

    Parameters
    ----------
    engine : str
    start : int
        Step in which the inputs of a trial, and its targets, begin.
    repeated : bool
        Inputs and targets return with every trial.
    trainable : bool
        Neurons have a parameter that is trained.
    **for_learner
    """

    def __init__(
        self, engine="credit", *, start=0, order=1, loss="mse", average=False, steps=8 * T,
        equations=LIF, weights=W_IN, **for_learner,
    ):  # fmt: skip
        step, index = np.nonzero(np.tile(RASTER, (steps // T, 1)))
        self.source = SpikeGeneratorGroup(N_IN, index, (step + start) * ms, dt=1 * ms)
        self.group = NeuronGroup(
            N,
            equations,
            threshold="v > 15*mV",
            reset="v = 0*mV",
            method="euler",
            dt=1 * ms,
            namespace={},
            name="hidden",
        )
        target = np.concatenate([np.zeros((start, 2)), np.tile(TARGET, (steps // T, 1))])
        self.readout = LeakyReadout(
            2, tau=20 * ms, loss=loss, target=target, average=average, dt=1 * ms, name="answers"
        )
        surrogate = PiecewiseLinear(20 / volt, 15 * mV)
        self.learner = Learner(
            self.readout, EProp(order=order, engine=engine, surrogate=surrogate), **for_learner
        )
        common = dict(learner=self.learner, namespace={})
        self.w_in = TrainableSynapses(
            self.source, self.group, on_pre="v_post += w*mV", name="w_in", **common
        )
        self.w_rec = TrainableSynapses(
            self.group, self.group, on_pre="v_post += w*mV", name="w_rec", **common
        )
        self.w_out = TrainableSynapses(
            self.group, self.readout, on_pre="y_post += w", name="w_out", **common
        )
        for synapses, w in ((self.w_in, weights), (self.w_rec, 0.7), (self.w_out, W_OUT)):
            synapses.connect()
            synapses.w = w
        self.spikes = SpikeMonitor(self.group)
        self.learning = (self.readout, self.w_in, self.w_rec, self.w_out)
        self.network = Network(self.source, self.group, self.spikes, *self.learning)

    def run(self, steps):
        self.network.run(steps * ms, namespace={})
        return self

    @property
    def gradients(self):
        return {s.name: np.array(s.grad_[:]) for s in (self.w_in, self.w_rec, self.w_out)}

    @property
    def weights(self):
        return {s.name: np.array(s.w[:]) for s in (self.w_in, self.w_rec, self.w_out)}

    @property
    def loss(self):
        return float(np.sum(self.readout.loss[:]))


def moments_of(net):
    """Adam's first moments of the weights of the inputs."""
    return np.array(net.w_in.variables["__adam_m"].get_value())


def assert_same(found, expected, **close):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **(close or CLOSE))


def assert_learns(net):
    assert net.spikes.num_spikes > 20
    assert all(np.abs(g).max() > 1e-3 for g in net.gradients.values())


def masked_gradients(steps, on, **options):
    """What the errors of some steps alone contribute: the outputs are the targets in others."""
    recorded = Net("traces", **options)
    output = StateMonitor(recorded.readout, "y", record=True, when="after_end")
    recorded.network.add(output)
    recorded.run(steps)
    masked = Net("traces", **options)
    target = np.tile(TARGET, (steps // T, 1))
    masked.readout.target = np.where(on[:, None], target, output.y.T)
    return masked.run(steps)


PERIODS = {"whole": WHOLE, "carried": CARRIED, "within": WITHIN, "never": {}}


STEPS = 2 * T
BEGIN = 12.5 * ms
ON = (np.arange(STEPS) >= 13) & (np.arange(STEPS) < 57)


@pytest.mark.slow
@pytest.mark.parametrize("periods", PERIODS)
def test_only_errors_of_learning_steps_count(periods):
    """In every kind of window, with phases between runs and by a condition of the time."""
    expected = masked_gradients(STEPS, ON, **PERIODS[periods])
    assert_learns(expected)
    net = Net("credit", **PERIODS[periods])
    net.learner.learning = False
    net.run(13)
    net.learner.learning = True
    net.run(44)
    net.learner.learning = False
    net.run(STEPS - 57)
    assert_same(net.gradients, expected.gradients)
    net = Net("traces", learn="t > BEGIN and t < 56.5*ms", **PERIODS[periods]).run(STEPS)
    assert net.learner.learning
    assert_same(net.gradients, expected.gradients)
    # the steps without learning matter, and their loss is reported
    every = Net("credit", **PERIODS[periods]).run(STEPS)
    assert net.loss == pytest.approx(every.loss, rel=1e-12) and net.loss > 1
    assert np.all(net.readout.error[:] == 0) and np.all(every.readout.error[:] != 0)
    with pytest.raises(AssertionError):
        assert_same(every.gradients, expected.gradients)


def test_a_condition_with_constants_leaves_the_readout_to_monitors():
    """Brian2 refuses monitors of a group in whose namespace a name begins with an underscore."""
    net = Net(learn="t > BEGIN", **WHOLE)
    assert StateMonitor(net.readout, "y", record=True).source is net.readout


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [2, np.inf])
def test_credit_of_higher_order_comes_from_learning_steps_alone(order):
    """Errors of two disjoint phases add up to those of all steps."""
    parts = [
        Net(order=order, learn=learn, **WHOLE).run(2 * T).gradients
        for learn in ("t < 17.5*ms or t > 49.5*ms", "not (t < 17.5*ms or t > 49.5*ms)")
    ]
    every = Net(order=order, **WHOLE).run(2 * T)
    assert_learns(every)
    assert_same({n: parts[0][n] + parts[1][n] for n in parts[0]}, every.gradients)
    assert all(np.abs(part["w_in"]).max() > 1e-3 for part in parts)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["traces", "credit"])
def test_no_weight_moves_while_learning_is_off(engine):
    """A test phase between two trials: as if it had not been, but for the time."""
    options = dict(optimizer=Adam(0.05), update_every=T * ms, reset_every=T * ms)
    options["regularizers"] = [FiringRateRegularizer(10 * second**-1, 5.0)]
    net, without = Net(engine, **options), Net(engine, **options).run(4 * T)
    net.run(2 * T)
    before, moments = net.weights, moments_of(net)
    net.learner.learning = False
    net.run(3 * T)
    assert_same(net.weights, before, rtol=0)
    assert np.array_equal(moments_of(net), moments) and np.abs(moments).max() > 0
    assert all(np.all(g == 0) for g in net.gradients.values())
    net.learner.learning = True
    net.run(2 * T)
    assert_same(net.weights, without.weights)
    with pytest.raises(AssertionError):
        assert_same(net.weights, before)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["traces", "credit"])
def test_what_was_learned_before_a_phase_waits_for_the_next_update(engine):
    options = dict(optimizer=GradientDescent(0.01), update_every=2 * T * ms, reset_every=T * ms)
    net = Net(engine, learn="t < 39.5*ms or t > 79.5*ms", **options).run(2 * T)
    assert_same(net.weights, Net(engine, **options).weights, rtol=0)
    waiting = net.gradients
    assert_same(waiting, Net(engine, **WHOLE).run(T).gradients)
    before = net.weights
    net.run(2 * T)
    more = Net(engine, **WHOLE).run(2 * T).gradients
    expected = {n: before[n] - 0.01 * (waiting[n] + more[n]) / 2 for n in before}
    assert_same(net.weights, expected)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["traces", "credit"])
@pytest.mark.parametrize("periods", ["whole", "within", "carried"])
def test_a_rate_counts_if_learning_is_on_at_the_end_of_its_trial(engine, periods):
    """The penalty of a trial is an error of its last step."""
    options = PERIODS[periods] | dict(
        regularizers=[FiringRateRegularizer(300 * second**-1, 1e4)],
    )
    off = Net(engine, learn="t < 0.5*ms", **options).run(T)
    assert_same(off.gradients, Net(engine, learn="t < 0.5*ms", **PERIODS[periods]).run(T).gradients)
    end = Net(engine, learn="t > 38.5*ms", **options).run(T)
    unregularized = Net(engine, learn="t > 38.5*ms", **PERIODS[periods]).run(T)
    always = Net(engine, **options).run(T)
    plain = Net(engine, **PERIODS[periods]).run(T)
    of_rate = {n: g - unregularized.gradients[n] for n, g in end.gradients.items()}
    expected = {n: g - plain.gradients[n] for n, g in always.gradients.items()}
    assert np.abs(expected["w_in"]).max() > 1
    assert_same(of_rate, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "learn, says",
    [
        ("t < end", "'end'"),
        ("t", "neither true nor false"),
        ("t < 5", "cannot be read"),
        ("y > 0", "'y'"),
        ("t <", "cannot be read"),
        (True, "must be text"),
    ],
)
def test_a_condition_is_a_boolean_expression_of_the_time(learn, says):
    with pytest.raises((ValueError, TypeError), match=says):
        Net(learn=learn)


def test_learning_is_true_or_false():
    with pytest.raises(TypeError, match=r"Learner\.learning = 'no'"):
        Net().learner.learning = "no"


BURN_IN = 17


@pytest.mark.parametrize("engine", ["traces", "credit"])
@pytest.mark.parametrize(
    "periods, regularized", [("whole", True), ("carried", True), ("within", False)]
)
class TestBurnIn:
    """What neurons do before the learner is there is no trial, and no part of an interval."""

    def options(self, periods, regularized):
        options = dict(PERIODS[periods])
        options.setdefault("update_every", T * ms)
        options |= dict(optimizer=GradientDescent(1e-3), average=periods != "carried")
        if regularized:
            options["regularizers"] = [FiringRateRegularizer(30 * second**-1, 100.0)]
        return options

    def expected(self, engine, options):
        """All begins when the burn-in has ended; the state that it leaves is set."""
        return Net(engine, **options).run(3 * T)

    def assert_expected(self, net, engine, options):
        expected = self.expected(engine, options)
        assert_same(net.weights, expected.weights)
        moved = np.abs(net.weights["w_in"] - W_IN).max()
        assert net.spikes.num_spikes > 20 and moved > 1e-4

    @pytest.mark.first_case_is_fast
    def test_before_the_learner_enters_the_network(self, engine, periods, regularized):
        options = self.options(periods, regularized)
        net = Net(engine, start=BURN_IN, **options)
        net.network.remove(*net.learning)
        kick = NeuronGroup(1, "", threshold="t < 3*ms", dt=1 * ms, namespace={})
        kicks = Synapses(kick, net.group, on_pre="v_post += 20*mV", namespace={})
        kicks.connect()
        net.network.add(kick, kicks)
        net.run(BURN_IN)
        assert net.spikes.num_spikes >= 2 * N
        net.group.v = 0 * mV
        net.network.remove(kick, kicks)
        net.network.add(*net.learning)
        net.run(3 * T)
        self.assert_expected(net, engine, options)

    @pytest.mark.first_case_is_fast
    def test_until_a_trial_is_started(self, engine, periods, regularized):
        options = self.options(periods, regularized)
        if periods == "carried":
            return  # no trials: test_it_needs_trials
        net = Net(engine, start=BURN_IN, **options)
        net.learner.learning = False
        net.w_in.w = 0
        net.group.v = 20 * mV  # one spike of each in the burn-in
        net.run(BURN_IN)
        assert net.spikes.num_spikes == N
        net.w_in.w = W_IN
        net.group.v, net.readout.y = 0 * mV, 0
        net.learner.start_trial()
        net.learner.learning = True
        net.run(3 * T)
        self.assert_expected(net, engine, options)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["traces", "credit"])
def test_a_learner_that_is_created_after_a_burn_in(engine):
    """The state in which its first trial starts is the one that the others return to."""

    def started(t):
        source = SpikeGeneratorGroup(1, [0] * 2 * T, (np.arange(2 * T) + t) * ms, dt=1 * ms)
        options = dict(threshold="v > 15*mV", reset="v = 0*mV", method="euler", name="cells")
        group = NeuronGroup(N, LIF, dt=1 * ms, namespace={}, **options)
        network = Network(source, group)
        network.run(t * ms)
        group.v = "(2 + i)*mV"
        readout = LeakyReadout(1, tau=20 * ms, target=np.ones(t + 2 * T), dt=1 * ms)
        surrogate = PiecewiseLinear(20 / volt, 15 * mV)
        rule = EProp(engine=engine, surrogate=surrogate)
        learner = Learner(readout, rule, reset_every=T * ms)
        common = dict(learner=learner, namespace={})
        w_in = TrainableSynapses(source, group, on_pre="v_post += w*mV", **common)
        w_out = TrainableSynapses(group, readout, on_pre="y_post += w", **common)
        for synapses in (w_in, w_out):
            synapses.connect()
            synapses.w = 3
        spikes = SpikeMonitor(group)
        network.add(readout, w_in, w_out, spikes)
        network.run(2 * T * ms)
        return np.array(w_in.grad[:]), np.rint(spikes.t / ms).astype(int) - t

    (late, spikes), (expected, first) = started(23), started(0)
    assert len(first) > 20 and np.abs(expected).max() > 1
    assert np.array_equal(spikes, first)
    # both trials are the same
    assert np.array_equal(spikes[spikes < T], spikes[spikes >= T] - T)
    np.testing.assert_allclose(late, expected, **CLOSE)


@pytest.mark.parametrize("engine", ["traces", "credit"])
class TestStartTrial:
    @pytest.mark.first_case_is_fast
    def test_it_takes_the_present_state_to_return_to(self, engine):
        net = Net(engine, **WHOLE).run(T)
        net.group.v = 7 * mV
        net.learner.start_trial()
        net.run(T + 1)
        # one step after the second trial began anew: as after its first step
        other = Net(engine, **WHOLE)
        other.group.v = 7 * mV
        other.run(1)
        np.testing.assert_allclose(net.group.v[:], other.group.v[:], rtol=1e-12)
        assert np.all(net.group.v[:] > 5 * mV)

    @pytest.mark.first_case_is_fast
    def test_it_is_refused_in_the_midst_of_what_is_learned(self, engine):
        net = Net(engine, **WHOLE).run(T + 5)
        with pytest.raises(ValueError, match="5 steps of the present trial"):
            net.learner.start_trial()

    @pytest.mark.first_case_is_fast
    def test_it_needs_trials(self, engine):
        with pytest.raises(ValueError, match="reset_every"):
            Net(engine).learner.start_trial()

    @pytest.mark.first_case_is_fast
    def test_before_the_learning_window_nothing_is_lost(self, engine):
        options = dict(learning_window=10 * ms, **WHOLE)
        net = Net(engine, start=BURN_IN, **options).run(BURN_IN)
        net.group.v, net.readout.y = 0 * mV, 0
        net.learner.start_trial()
        assert_same(net.run(T).gradients, Net(engine, **options).run(T).gradients)

    @pytest.mark.first_case_is_fast
    def test_complete_trials_of_an_interval_stay_in_their_mean(self, engine):
        options = dict(reset_every=T * ms, update_every=2 * T * ms, optimizer=GradientDescent(0.01))
        net = Net(engine, **options).run(T)
        net.learner.learning = False
        net.run(T / 2)
        net.learner.start_trial()
        net.learner.learning = True
        before, waiting = net.weights, net.gradients
        net.run(T - 1)
        assert_same(net.weights, before, rtol=0)
        net.run(1)
        assert np.abs(net.weights["w_in"] - before["w_in"]).max() > 0
        assert np.abs(waiting["w_in"]).max() > 0


def switch(objects, active):
    for one in objects:
        one.active = active


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("periods, says", [(WHOLE, "had not ended"), ({}, "give Learner reset")])
def test_a_learner_that_was_switched_off_while_it_learned_is_refused(periods, says):
    net = Net(**periods).run(5)
    switch(net.learning, False)
    net.run(5)
    switch(net.learning, True)
    with pytest.raises(Exception) as raised:
        net.run(5)
    assert "was out of the network for 5 steps" in str(raised.value.__cause__)
    assert says in str(raised.value.__cause__)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["traces", "credit"])
def test_a_learner_that_is_switched_on_again_begins_a_trial(engine):
    """No flag of its last step stays up, and the state is that of the first trial's start."""
    regularizers = [FiringRateRegularizer(30 * second**-1, 100.0)]
    options = dict(regularizers=regularizers, **WHOLE)
    net = Net(engine, start=T // 2, **options)
    switch(net.learning, False)
    net.run(T / 2)
    switch(net.learning, True)
    net.run(T)
    first = net.gradients
    switch(net.learning, False)
    net.group.v = 14 * mV
    net.run(1.5 * T)
    assert_same(net.gradients, first, rtol=0)
    switch(net.learning, True)
    net.readout.target = np.concatenate([np.zeros((3 * T, 2)), TARGET])
    # inputs go on in phase with the targets
    net.run(T)
    assert net.readout.trial_step[:] == T - 1
    expected = Net(engine, **options)
    expected.run(T)
    assert_same(first, expected.gradients)
    assert any(np.abs(net.gradients[n] - first[n]).max() > 1e-3 for n in first)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["traces", "credit"])
def test_a_phase_survives_store_and_restore(engine):
    net = Net(engine, **WHOLE).run(T)
    net.network.store()
    expected = net.run(T).gradients
    net.learner.learning = False
    net.network.restore()
    assert net.learner.learning
    assert_same(net.run(T).gradients, expected, rtol=0)


class TestOptimizer:
    options: ClassVar = dict(update_every=T * ms, reset_every=T * ms)

    def test_another_rate_acts_from_the_next_run_on(self):
        net = Net(optimizer=Adam(0.1), **self.options).run(T)
        as_scheduled = Net(optimizer=Adam(StepDecay(0.1, 0.1, 1)), **self.options).run(2 * T)
        net.learner.optimizer = Adam(0.01)
        assert_same(net.run(T).weights, as_scheduled.weights)

    def test_none_sums_gradients_up(self):
        net = Net(optimizer=Adam(0.1), **self.options).run(T)
        before = net.weights
        net.learner.optimizer = None
        net.run(2 * T)
        assert_same(net.weights, before, rtol=0)
        plain = Net(weights=before["w_in"], **WHOLE)
        for synapses in (plain.w_rec, plain.w_out):
            synapses.w = before[synapses.name]
        assert_same(net.gradients, plain.run(2 * T).gradients)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("first", [None, GradientDescent(0.02)])
    def test_another_kind_starts_anew(self, first):
        net = Net(optimizer=first, **self.options).run(T)
        net.learner.optimizer = Adam(0.1)
        for synapses in (net.w_in, net.w_rec, net.w_out):
            synapses.grad = 0
        fresh = Net(optimizer=Adam(0.1), weights=net.weights["w_in"], **self.options)
        for synapses in (fresh.w_rec, fresh.w_out):
            synapses.w = net.weights[synapses.name]
        assert_same(net.run(2 * T).weights, fresh.run(2 * T).weights)

    def test_back_to_adam_starts_anew_too(self):
        net = Net(optimizer=Adam(0.1), **self.options).run(T)
        net.learner.optimizer = GradientDescent(0.01)
        assert np.all(moments_of(net) == 0)

    def test_it_must_fit(self):
        net = Net(optimizer=Adam(0.1), **self.options)
        with pytest.raises(Exception, match="does not fit the weight"):
            net.learner.optimizer = Adam(0.1 * mV)
        assert net.learner.optimizer == Adam(0.1)
        with pytest.raises(TypeError, match="not an optimizer"):
            net.learner.optimizer = 0.1
        with pytest.raises(ValueError, match="update_every is missing"):
            Net(**WHOLE).learner.optimizer = Adam(0.1)

    def test_parameters_follow_too(self):
        equations = "dv/dt = (b - v)/(10*ms) : volt\nb : volt (constant)"
        options = dict(equations=equations, trainable={"b": (0 * mV, 30 * mV)}, **self.options)
        net = Net(optimizer=None, **options)
        net.group.b = 3 * mV
        net.run(T)
        before = np.array(net.group.b[:])
        assert np.abs(net.group.grad_b[:]).max() > 0 and np.all(before == 3e-3)
        net.learner.optimizer = Adam(0.1)
        net.run(T)
        moved = np.array(net.group.b[:])
        assert np.abs(moved - before).max() > 1e-4
        net.learner.optimizer = None
        assert np.array_equal(net.run(T).group.b[:], moved)


class TestTarget:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("timed", [False, True])
    def test_another_target_acts_from_the_next_run_on(self, timed):
        net = Net(**WHOLE)
        other = np.tile(-TARGET, (8, 1))
        net.readout.target = TimedArray(other, dt=1 * ms) if timed else other
        net.run(T)
        np.testing.assert_allclose(net.readout.error[:], net.readout.y[:] - other[T - 1])
        assert np.abs(net.gradients["w_in"] - Net(**WHOLE).run(T).gradients["w_in"]).max() > 1e-3

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "wrong, says",
        [
            (np.zeros((T, 3)), "shape"),
            (np.full((T, 2), np.nan), "finite"),
            (TimedArray(np.zeros((T, 2)), dt=2 * ms), "one row every"),
            ("ones", "array of numbers"),
            (None, "array of numbers"),
        ],
    )
    def test_it_is_checked_as_in_the_constructor(self, wrong, says):
        net = Net(**WHOLE)
        before = net.readout.target
        with pytest.raises(ValueError, match=says):
            net.readout.target = wrong
        assert net.readout.target is before

    def test_a_readout_that_only_reports_has_none(self):
        with pytest.raises(AttributeError, match="created without"):
            LeakyReadout(1, tau=20 * ms).target = np.ones(T)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "name, value",
    [
        ("rule", BPTT()),
        ("feedback", "random"),
        ("feedback_decay", 0.1),
        ("readout", None),
        ("regularizers", [FiringRateRegularizer()]),
        ("trainable", ["tau"]),
        ("trial", 3),
        ("interval", 3),
        ("window", 3),
        ("update_every", 1 * second),
        ("seed", 1),
        ("populations", {}),
    ],
)
def test_what_cannot_change_says_why(name, value):
    learner = Net(**WHOLE).learner
    with pytest.raises(AttributeError, match=rf"Learner\.{name} cannot be changed.*new Learner"):
        setattr(learner, name, value)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["learner", "weight", "arrival", "timing"])
def test_what_cannot_change_of_synapses_says_why(name):
    net = Net()
    with pytest.raises(AttributeError, match=rf"TrainableSynapses\.{name} cannot be changed"):
        setattr(net.w_in, name, getattr(net.w_rec, name))


def test_what_cannot_change_of_a_readout_says_why():
    with pytest.raises(AttributeError, match=r"LeakyReadout\.average cannot be changed"):
        Net().readout.average = True
    with pytest.raises(AttributeError, match=r"LeakyReadout\.learner cannot be changed"):
        Net().readout.learner = None


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["readout", "group"])
def test_brian2s_switch_is_brian2s_and_refused_where_learning_needs_the_object(name):
    net = Net(**WHOLE).run(3)
    group = getattr(net, name)
    group.active = False
    assert group.active is False and not any(o.active for o in group.contained_objects)
    with pytest.raises(Exception) as raised:
        net.run(3)
    assert f"'{group.name}'.active is False" in str(raised.value.__cause__)
    group.active = True
    net.run(3)


SYNAPTIC = "w : 1\ndx/dt = (1 - x)/(200*ms) : 1 (event-driven)"


class Fed(Net):
    """Neurons that plain synapses act on as well, with delays and a variable that goes down."""

    def __init__(self, engine="credit", *, listed=(), equations=LIF, on_pre=None, delay=30):
        self.feeder = SpikeGeneratorGroup(1, [0] * 16, np.arange(16) * 20 * ms, dt=1 * ms)
        self.cells = None
        super().__init__(engine, equations=equations, **WHOLE)
        self.plain = Synapses(
            self.feeder,
            self.group,
            SYNAPTIC,
            on_pre=on_pre or "v_post += 9*x*mV\nx *= 0.6",
            delay=delay * ms,
            method="exact",
            namespace={},
            name="plain",
        )
        self.plain.connect()
        self.plain.x = 1
        self.network.add(self.feeder, self.plain)
        for one in listed:
            self.learner.reset_with_trial(getattr(self, one))

    def trials(self, n=3):
        """Spikes of each trial."""
        self.run(n * T)
        step = np.rint(self.spikes.t / ms).astype(int)
        return [
            sorted(zip(step[at].tolist(), self.spikes.i[at].tolist(), strict=True))
            for at in (step // T == trial for trial in range(n))
        ]


def relative(trials):
    """Spikes by the time since their trial began."""
    return [[(step - k * T, i) for step, i in trial] for k, trial in enumerate(trials)]


class TestReset:
    def test_synapses_that_are_listed_return_to_their_start(self):
        first, second, third = relative(Fed(listed=["plain"]).trials())
        assert first and first == second == third

    def test_otherwise_they_go_on_and_are_named_once(self):
        net = Fed()
        with pytest.warns(UserWarning, match="'x' of the synapses 'plain'; spikes .* 'plain'"):
            spikes = relative(net.trials())
        assert spikes[0] != spikes[1]
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "trials of the learner")
            net.run(T)

    def test_what_is_listed_is_not_named(self):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "trials of the learner")
            Fed(listed=["plain"]).run(T)
            Net(**WHOLE).run(T)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "statement, same",
        [
            ("v_post = v_post*0.5 + 9*mV", "v_post += (9*mV - v_post*0.5)"),
            ("v_post -= -9*mV", "v_post += 9*mV"),
            ("v_post *= 1.5", "v_post /= 1/1.5"),
        ],
    )
    def test_every_kind_of_statement_can_be_dropped(self, statement, same):
        """As if the spikes of the trial before had not been: they are 30 ms on their way."""
        found = Fed(listed=["plain"], on_pre=statement).trials(2)
        first, second = relative(found)
        assert first and first == second
        assert Fed(listed=["plain"], on_pre=same).trials(2) == found

    def test_parameters_that_arrivals_move(self):
        equations = "dv/dt = (drive - v)/(10*ms) : volt\ndrive : volt"

        def trials(reset):
            readout = LeakyReadout(1, tau=20 * ms, target=np.ones(3 * T), dt=1 * ms)
            group = NeuronGroup(
                N,
                equations,
                threshold="v > 15*mV",
                reset="v = 0*mV",
                method="euler",
                dt=1 * ms,
                namespace={},
                name="driven",
            )
            group.drive = 5 * mV
            feeder = SpikeGeneratorGroup(1, [0] * 12, np.arange(12) * 10 * ms, dt=1 * ms)
            learner = Learner(
                readout, reset_every=T * ms, reset=[group] if reset else [], learn="t < 0*ms"
            )
            w_out = TrainableSynapses(
                group, readout, on_pre="y_post += w", learner=learner, namespace={}
            )
            w_out.connect()
            plain = Synapses(feeder, group, on_pre="drive_post += 4*mV", name="moves")
            plain.connect()
            spikes = SpikeMonitor(group)
            network = Network(readout, group, feeder, w_out, plain, spikes)
            network.run(3 * T * ms, namespace={})
            step = np.rint(spikes.t / ms).astype(int)
            return [(step[step // T == k] - k * T).tolist() for k in range(3)]

        with warnings.catch_warnings():
            warnings.filterwarnings("error", "trials of the learner")
            reset = trials(True)
        assert reset[0] and reset[0] == reset[1] == reset[2]
        with pytest.warns(UserWarning, match="'drive' of 'driven', which 'moves' changes"):
            assert trials(False)[1] != reset[1]

    def test_it_needs_trials_and_objects(self):
        net = Net(**WHOLE)
        with pytest.raises(ValueError, match="give Learner reset_every"):
            Learner(LeakyReadout(1, tau=20 * ms, target=np.ones(T)), reset=[net.w_in])
        with pytest.raises(TypeError, match=r"Learner\.reset"):
            Net(reset=["hidden"], **WHOLE)
        with pytest.raises(TypeError, match=r"Learner\.reset"):
            Net(reset=net.group, **WHOLE)


@pytest.mark.parametrize("engine", ["traces", "credit"])
class TestNumbersThatAreNotFinite:
    options: ClassVar = dict(update_every=T * ms, reset_every=T * ms)

    @pytest.mark.first_case_is_fast
    def test_a_gradient_stops_the_run_before_the_update(self, engine):
        net = Net(engine, optimizer=Adam(0.01), **self.options).run(T)
        before = net.weights
        net.readout.y = [0, np.inf]
        net.learner.start_trial()
        with pytest.raises(FloatingPointError, match=r"w_\w+\.grad\[\d+\] = .* before update 2"):
            net.run(T)
        assert "smaller learning rate" in str(self.raised(net))
        assert_same(net.weights, before, rtol=0)

    def raised(self, net):
        try:
            net.run(T)
        except FloatingPointError as error:
            return error

    @pytest.mark.first_case_is_fast
    def test_a_weight_stops_the_run_after_the_update(self, engine):
        net = Net(engine, optimizer=GradientDescent(1e308), **self.options)
        with pytest.raises(FloatingPointError, match=r"w_\w+\.w\[\d+\] = -?inf after update 1"):
            net.run(2 * T)

    @pytest.mark.first_case_is_fast
    def test_without_an_optimizer_the_run_is_the_last_to_see_it(self, engine):
        net = Net(engine, **WHOLE)
        net.readout.y = np.nan
        with pytest.raises(FloatingPointError, match=r"'w_\w+'\.grad\[\d+\] = nan after the run"):
            net.run(T)


@pytest.fixture
def standalone(tmp_path):
    before = prefs.devices.cpp_standalone.extra_make_args_unix
    prefs.devices.cpp_standalone.extra_make_args_unix = ["-j2"]
    set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=False)
    yield tmp_path / "program"
    device.reinit()
    set_device("runtime")
    prefs.devices.cpp_standalone.extra_make_args_unix = before


@pytest.mark.slow
@pytest.mark.standalone
def test_learning_is_switched_by_run_args_in_standalone(standalone):
    net = Net(learn="t < 29.5*ms", **WHOLE).run(T)
    net.readout.target = np.tile(TARGET, (9, 1))
    device.build(directory=standalone, run=False)
    device.run()
    found, loss = net.gradients, net.loss
    with pytest.raises(ValueError, match="had been built"):
        net.readout.target = TARGET
    with pytest.raises(ValueError, match="had been built"):
        net.learner.learning = True
    device.run(run_args={net.readout.learning: False})
    assert all(np.all(g == 0) for g in net.gradients.values()) and net.loss == loss
    device.reinit()
    set_device("runtime")
    assert_same(found, Net(learn="t < 29.5*ms", **WHOLE).run(T).gradients, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.standalone
def test_a_program_ends_at_numbers_that_are_not_finite(standalone, capfd):
    net = Net(optimizer=GradientDescent(1e308), update_every=T * ms, reset_every=T * ms)
    net.run(2 * T)
    with pytest.raises(RuntimeError):
        device.build(directory=standalone)
    assert "learning has diverged: w_" in capfd.readouterr().err
