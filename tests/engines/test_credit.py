"""Credit that flows backwards gives the reference's gradients, of every order."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
from brian2 import Synapses, set_device
from brian_networks import BLOCKS, DT, build, difference, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network, random_task

from brian_eprop import BPTT, Adam, EProp, GradientDescent, RecurrentNetwork, memory
from brian_eprop.brian.internals import reset_device
from brian_eprop.brian.schedule import Moment
from brian_eprop.engines import windows
from brian_eprop.network.assembly import trial_assembly
from brian_eprop.network.projections import BatchShape
from brian_eprop.reading import NetworkReading
from brian_eprop.reference import gradients

# Both sides compute in float64; sums of some hundred terms are taken in different orders.
TOLERANCE = 1e-10

pytestmark = pytest.mark.usefixtures("numpy_target")


def reference(network, inputs, targets, order, learning_window=None):
    """The gradients along paths of less than `order` explicit edges, or along all."""
    # No path has more edges than there are steps
    steps = np.shape(inputs)[-2]
    options = {"order": steps if math.isinf(order) else order}
    window = {"learning_window": learning_window}
    return gradients(network, inputs, targets, "eprop_reverse", **window, **options)


def assert_equal(brian, expected):
    assert brian.spikes.num_spikes == expected.spikes.sum() > 0
    for name in BLOCKS:
        assert np.any(getattr(expected, name) != 0)
        assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE


@given(examples(), st.sampled_from([1, 1, 2, 3, math.inf]))
def test_gradients_of_every_order_equal_the_reference(example, order):
    network, inputs, targets, options = example
    brian = build(network, inputs, targets, order=order, **options).run()
    window = options["learning_window"]
    assert_equal(brian, reference(network, inputs, targets, order, window))


@pytest.mark.slow
@settings(max_examples=max(6, settings().max_examples // 4))
@given(examples(), st.sampled_from([1, 3, 7, 100]), st.booleans())
def test_windows_within_a_trial(example, segment, reset):
    """Windows of any length, and no trials at all, give the gradient of the traces."""
    network, inputs, targets, options = example
    if not reset:
        options["learning_window"] = None
        if network.average or np.any(network.rate_strength):
            reset = True
    traces = build(network, inputs, targets, engine="traces", reset=reset, **options).run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WHOLE", 0)
        patch.setattr(windows, "SEGMENT", segment)
        credit = build(network, inputs, targets, reset=reset, **options)
        assert credit.learner.engine.carries
        credit.run()
    for name in BLOCKS:
        assert np.any(traces.gradients[name] != 0)
        assert difference(credit.gradients[name], traces.gradients[name]) < TOLERANCE


@pytest.mark.slow
@settings(max_examples=max(6, settings().max_examples // 4))
@given(examples(), st.sampled_from([2, 3, 4, 6, 8, 12]), st.sampled_from(["descent", "adam"]))
def test_updates_within_a_trial(example, every, optimizer):
    network, inputs, targets, options = example
    options["update_every"] = every * DT
    options["optimizer"] = GradientDescent(1e-3) if optimizer == "descent" else Adam(1e-3)
    traces, credit = (
        build(network, inputs, targets, engine=engine, **options).run()
        for engine in ("traces", "credit")
    )
    for name in BLOCKS:
        changed = traces.matrix(name, "w")
        assert difference(changed, getattr(network, name)) > 1e-6
        assert difference(credit.matrix(name, "w"), changed) < TOLERANCE


def relative_error(network, inputs, targets, order=1, **options):
    """Largest deviation of the gradients from the reference's."""
    brian = build(network, inputs, targets, order=order, **options).run()
    expected = reference(network, inputs, targets, order)
    found = brian.gradients
    return max(difference(found[name], getattr(expected, name)) for name in BLOCKS)


class TestWhatIsWrongIsSeen:
    """Variants with a typical mistake are far from the reference."""

    network = random_network(7, feedback=None, alpha=0.9)
    task = random_task(7, "mse", batch=2)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("order", [1, math.inf])
    def test_nothing_is_wrong(self, order):
        assert relative_error(self.network, *self.task, order) < TOLERANCE

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("order", [1, math.inf])
    def test_a_pseudo_derivative_after_the_reset(self, monkeypatch, order):
        right = NetworkReading.just_before

        def late(reading, obj, **options):
            if "thresholder" in obj.name:
                return Moment("after_resets", 0)
            return right(reading, obj, **options)

        monkeypatch.setattr(NetworkReading, "just_before", late)
        assert relative_error(self.network, *self.task, order) > 1e-2

    def test_unscaled_jumps(self):
        assert relative_error(self.network, *self.task, on_pre="v_post += w") > 1e-2

    def test_inputs_that_act_a_step_late(self):
        assert relative_error(self.network, *self.task, arrival="synapses") > 1e-2

    def test_another_order(self):
        first, exact = (reference(self.network, *self.task, order) for order in (1, 24))
        assert difference(first.w_rec, exact.w_rec) > 1e-2


def test_bptt_is_the_order_without_end():
    assert BPTT() == EProp(order=math.inf)
    network, task = random_network(8, feedback=None), random_task(8, "mse", batch=2)
    exact = gradients(network, *task, "bptt")
    brian = build(network, *task, order=math.inf).run()
    assert_equal(brian, exact)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, math.inf])
def test_spikes_may_take_time_to_the_readout(order):
    """As if the readout had been compared with what is to be said later."""
    network, delay = random_network(9, feedback=None), 3
    inputs, targets = random_task(9, "mse", batch=1)
    later = build(network, inputs, targets, order=order)
    later.synapses["w_out"].delay = delay * DT
    later.run()
    now = build(network, inputs[:, :-delay], targets[:, delay:], order=order).run()
    for name in BLOCKS:
        assert np.any(now.gradients[name] != 0)
        assert difference(later.gradients[name], now.gradients[name]) < TOLERANCE


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [2, math.inf])
def test_credit_flows_across_fixed_synapses(order):
    network, task = random_network(10, feedback=None), random_task(10, "mse", batch=2)
    every = 2 * task[0].shape[1] * DT
    trained = build(network, *task, order=order).run()
    options = dict(optimizer=GradientDescent(1e-3), update_every=every)
    fixed = build(network, *task, order=order, fixed_rec=True, **options).run()
    assert np.all(fixed.matrix("w_rec", "w") == network.w_rec)
    changed = (network.w_in - fixed.matrix("w_in", "w")) / 1e-3
    assert difference(changed, trained.gradients["w_in"]) < TOLERANCE


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order, reset", [(1, True), (1, False), (math.inf, True)])
def test_a_simulation_may_go_on_in_several_runs(order, reset):
    """Also if a run ends within a trial."""
    network, task = random_network(12, feedback=None), random_task(12, "mse", batch=3)
    whole, parts = (build(network, *task, order=order, reset=reset) for _ in range(2))
    whole.run()
    for steps in (10, 24, 38):
        parts.network.run(steps * DT, namespace={})
    assert whole.spikes.num_spikes > 20
    for name in BLOCKS:
        assert np.any(whole.gradients[name] != 0)
        assert difference(parts.gradients[name], whole.gradients[name]) < TOLERANCE


@pytest.mark.slow
def test_nothing_is_kept_where_nothing_is_learned(monkeypatch):
    """A simulation needs no memory of its past, whichever rule the network learns with."""
    net = RecurrentNetwork("alif", 3, 5, 1, rule=BPTT(), trainable=["beta"], seed=1)
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    inputs = np.ones((30, 3), dtype=bool)
    net.simulate(inputs)
    with pytest.raises(MemoryError):
        net.gradients(inputs, np.zeros((30, 1)))


def test_a_run_of_a_long_trial_keeps_little():
    """60 s of 1000 neurons: what is kept is a window's, at order 1, and ψ alone beyond."""
    for order, limit in ((1, 0.1e9), (math.inf, 1e9)):
        net = RecurrentNetwork("alif", 100, 1000, 1, rule=EProp(order=order), seed=1)
        engine = credit_engine_of(net, 60_000)
        engine.rows = engine.window
        assert engine.bytes_kept(engine.receivers()) < limit
        assert engine.carries == (order == 1)


@pytest.mark.parametrize("density, matrices", [(None, 1), (0.6, 1), (0.4, 0)])
def test_a_program_has_room_for_weights_as_whole_matrices(density, matrices, monkeypatch):
    """8 bytes a pair where more than half are connected, as collect_product.cpp has it."""
    n, n_out = 50, 2
    masks = {"w_out": np.arange(n * n_out).reshape(n, n_out) % 2 == 0}
    if density is not None:
        masks["w_rec"] = np.random.default_rng(1).random((n, n)) < density
    net = RecurrentNetwork("lif", 3, n, n_out, rule=BPTT(), connectivity=masks, seed=1)
    set_device("cpp_standalone", build_on_run=False)
    try:
        engine = credit_engine_of(net, 20)
        assert engine.reaches(next(p for p in engine.learner.populations.values() if p.learns))
        assert engine.bytes_of_matrices == matrices * 8 * n * n
        monkeypatch.setattr(memory, "available_memory", lambda: 8 * n * n)
        with pytest.raises(MemoryError) if matrices else nullcontext() as error:
            windows.check_room(engine.learner, engine.window, 0, engine.bytes_of_matrices)
        assert not matrices or "matrices of all pairs" in str(error.value)
        if matrices:
            # that there is as much as is needed is no contradiction, and more is too little
            assert (
                "take, besides the weights, 2e-05 GB, but 2e-05 GB are free, of which 90% may"
                in (str(error.value))
            )
    finally:
        reset_device()
    engine = credit_engine_of(net, 20)
    assert engine.reaches(next(p for p in engine.learner.populations.values() if p.learns))
    assert engine.bytes_of_matrices == 0  # Brian2's runtime has none


def test_a_window_within_a_trial_has_a_remedy_of_its_own(monkeypatch):
    net = RecurrentNetwork("lif", 3, 5, 1, rule=EProp(), seed=1)
    engine = credit_engine_of(net, 60_000)
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"the past of 1000 steps, which .* \(update_every\)"):
        windows.check_room(engine.learner, engine.window, 2000, 0)
    engine = credit_engine_of(net, 500)
    with pytest.raises(MemoryError, match=r"the past of a trial of 500 steps, .* \(reset_every\)"):
        windows.check_room(engine.learner, engine.window, 2000, 0)


def credit_engine_of(net, steps):
    """The engine of a RecurrentNetwork for one trial of so many steps."""
    targets = np.zeros((steps, net.description.n_out))
    inputs = np.zeros((steps, net.description.n_in), dtype=bool)
    assembly = trial_assembly(net.description, BatchShape(1, steps, None), inputs, targets)
    return assembly.objects["readout"].learner.engine


class TestRefusals:
    network = random_network(11, feedback=None)
    task = random_task(11, "mse", batch=2)

    def refused(self, message, error=ValueError, change=lambda brian: None, **options):
        with pytest.raises(error, match=message):
            try:
                brian = build(self.network, *self.task, **options)
                change(brian)
                brian.run()
            except Exception as raised:
                # Brian2 wraps what is raised when a run begins
                raise (raised.__cause__ or raised) from None

    def test_more_than_the_memory_holds(self, monkeypatch):
        monkeypatch.setattr(memory, "available_memory", lambda: 1000)
        self.refused(
            r"of 24 steps, which takes \S+ GB, but 1e-06 GB are free", MemoryError, order=2
        )

    def test_a_delay_that_is_longer_than_the_window(self):
        def change(brian):
            brian.synapses["w_rec"].delay = 24 * DT

        self.refused("of 'synapses_rec' reaches over 24 steps, but a trial has 24", change=change)

    def test_higher_orders_without_trials(self):
        self.refused("order = 2: credit flows back to the beginning", order=2, reset=False)

    def test_higher_orders_with_updates_within_a_trial(self):
        options = dict(optimizer=Adam(1e-3), update_every=12 * DT)
        self.refused("updates must not be more frequent", order=math.inf, **options)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("order", [2, math.inf])
    def test_plain_synapses_that_credit_cannot_cross(self, order):
        def change(brian):
            text = "v_post += 0.1*rand()"
            plain = Synapses(brian.neurons, brian.neurons, on_pre=text, name="plain")
            plain.connect()
            brian.network.add(plain)

        self.refused("draws a random number", change=change, order=order)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("owner, variable", [("w_rec", "e_trace"), (None, "L")])
    def test_a_monitor_of_traces(self, owner, variable):
        message = f"has no variable '{variable}': the engine 'credit' computes"
        change = lambda brian: brian.monitor(owner, [variable])  # noqa: E731
        self.refused(message, KeyError, change)

    def test_an_effect_that_changes_with_time(self):
        self.refused("depends on 't', which changes", on_pre="v_post += w*(1 + t/second)")

    @pytest.mark.parametrize("order", [0, 1.5, -1, True, "inf", None])
    def test_orders_that_are_none(self, order):
        with pytest.raises(ValueError, match=r"must be 1, 2, 3 … or math\.inf"):
            EProp(order=order)

    def test_traces_of_higher_order(self):
        with pytest.raises(ValueError, match="eligibility traces are local, which is order 1"):
            EProp(order=2, engine="traces")
