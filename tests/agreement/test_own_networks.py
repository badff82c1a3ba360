"""Eighteen networks that once had a wrong gradient, or an error that named something else.

They were found by trying the package with networks as people write them; each is written in two
ways, which are one simulation and have one gradient.
"""

import math

import numpy as np
import pytest
from brian2 import (
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    TimedArray,
    ms,
    mV,
    set_device,
)
from brian2.devices.device import reset_device
from own_networks import (
    LIF,
    SPIKING,
    WEIGHTS,
    Small,
    T,
    assert_one_simulation,
    assert_same_or_refused,
    refusal,
    set_by_operation,
    set_in_start,
    summed,
)

from brian_eprop import (
    BPTT,
    Adam,
    EProp,
    LeakyReadout,
    RecurrentNetwork,
    TrainableSynapses,
    reference,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

STIMULATED = "dv/dt = -v*g/(20*ms) : volt\ng = STIM(t) : 1"
WITH_PARAMETER = "dv/dt = -v*g/(20*ms) : volt\ng : 1"


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("others", [set_in_start, summed, set_by_operation])
def test_a_factor_of_the_state_is_that_of_this_step(others):
    assert_same_or_refused(lambda: Small(STIMULATED), lambda: Small(WITH_PARAMETER, others))


def test_shunting_synapses_scale_the_derivative():
    factors = np.ones(T + 1)
    factors[1::6] = 0.2
    names = {"FACTOR": TimedArray(factors, dt=1 * ms)}

    def shunted(small):
        times = np.arange(0, T, 6)
        inhibition = SpikeGeneratorGroup(1, 0 * times, times * ms)
        synapses = Synapses(inhibition, small.group, on_pre="v_post *= 0.2")
        synapses.connect()
        synapses.pre.order = 1
        return [inhibition, synapses]

    assert_same_or_refused(
        lambda: Small("dv/dt = (0.95*FACTOR(t)*v - v)/(1*ms) : volt", names=names),
        lambda: Small(others=shunted),
    )


def test_what_run_regularly_clips_has_no_derivative():
    def clipped(small):
        code = "v = clip(v, -2*mV, 1*volt)"
        small.group.run_regularly(code, dt=1 * ms, when="before_thresholds")

    assert_same_or_refused(
        lambda: Small("dv/dt = (clip(0.95*v, -2*mV, 1*volt) - v)/(1*ms) : volt"),
        lambda: Small(others=clipped),
    )


def test_a_reset_to_a_random_value_is_refused_and_a_given_one_is_not():
    def drawn(others=None):
        return Small(others=others, reset="v = 8*mV*rand()")

    assert_same_or_refused(None, drawn, "random")
    # What the error says to do
    values = np.random.default_rng(2).random((T, 5)) * 8

    def given(others=None):
        reset = {"VR": TimedArray(values * mV, dt=1 * ms)}
        return Small(others=others, reset="v = VR(t, i)", names=reset)

    def stored(others=None):
        def first(small):
            small.group.run_regularly("vr = VR(t, i)", dt=1 * ms)

        names = {"VR": TimedArray(values * mV, dt=1 * ms)}
        return Small(LIF + "\nvr : volt", others, first, reset="v = vr", names=names)

    assert_same_or_refused(given, stored)


def loop(fixed):
    def others(small):
        inhibitory = NeuronGroup(3, LIF, **SPIKING)
        made = []
        for source, target, weight in (
            (small.group, inhibitory, 6),
            (inhibitory, small.group, -5),
        ):
            if fixed:
                synapses = TrainableSynapses(
                    source,
                    target,
                    "w : 1",
                    on_pre="v_post += w*mV",
                    learner=small.learner,
                    fixed=True,
                )
            else:
                synapses = Synapses(source, target, "w : 1", on_pre="v_post += w*mV")
            synapses.connect()
            synapses.w = weight
            made.append(synapses)
        return [inhibitory, *made]

    return others


@pytest.mark.slow
def test_credit_goes_through_groups_that_do_not_learn():
    def fixed():
        return Small(others=loop(fixed=True), order=math.inf)

    assert_same_or_refused(fixed, lambda: Small(others=loop(fixed=False), order=math.inf))
    # It is not nothing that goes this way
    whole, first = fixed(), Small(others=loop(fixed=False))
    whole.run(), first.run()
    assert np.abs(whole.gradient - first.gradient).max() > 1e-2 * np.abs(whole.gradient).max()


def test_errors_come_back_along_plain_synapses_onto_the_readout():
    def onto(fixed):
        def others(small):
            if fixed:
                synapses = TrainableSynapses(
                    small.group,
                    small.readout,
                    "w : 1",
                    on_pre="y_post += w",
                    learner=small.learner,
                    fixed=True,
                )
            else:
                synapses = Synapses(small.group, small.readout, "w : 1", on_pre="y_post += w")
            synapses.connect()
            synapses.w = "3*(i-2)"
            return [synapses]

        return others

    assert_same_or_refused(lambda: Small(others=onto(True)), lambda: Small(others=onto(False)))


def test_a_projection_that_is_not_in_the_network_is_named():
    def forgotten(small):
        synapses = TrainableSynapses(
            small.group, small.group, on_pre="v_post += w*mV", learner=small.learner, name="lost"
        )
        synapses.connect()
        synapses.w = 5
        small.lost = synapses

    assert_same_or_refused(
        None, lambda: Small(others=forgotten, order=math.inf), "'lost' belongs to the learner"
    )


def test_a_boolean_that_is_set_in_the_reset_changes_nothing():
    assert_same_or_refused(
        Small, lambda: Small(LIF + "\nfired : boolean", reset="v = 0*mV; fired = True")
    )


def test_the_namespace_of_synapses_counts():
    namespace = {"namespace": {"psp": 1 * mV}}
    assert_same_or_refused(Small, lambda: Small(on_pre="v_post += w*psp", synapses=namespace))


def test_adaptation_may_be_called_w():
    """The usual names: w is the adaptation of the neurons and the weight of the synapses."""

    def adapting(name):
        equations = f"dv/dt = (-v - {name})/(20*ms) : volt\nd{name}/dt = -{name}/(100*ms) : volt"
        return Small(equations, reset=f"v = 0*mV; {name} += 1*mV")

    assert_same_or_refused(lambda: adapting("a"), lambda: adapting("w"))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["started", "kappa", "signal_scale", "psi", "spiked", "L", "y"])
def test_a_constant_may_be_called_as_a_variable_of_ours_or_is_refused(name):
    def decaying(constant):
        text = f"dv/dt = -{constant}*v/(4*ms) : volt"
        return Small(text, names={constant: 0.2}, method="exponential_euler")

    right, other = decaying("rate_of_mine"), []
    right.run()
    error = refusal(lambda: other.append(decaying(name)) or other[0].run())
    if error is None:
        assert_one_simulation(right, other[0])
    else:
        assert f"'{name}'" in error


def test_what_is_assigned_takes_effect_or_says_why_not():
    small = Small(learner={"optimizer": Adam(0.1), "update_every": T * ms})
    small.run()
    assert np.any(small.inputs.w[:] != WEIGHTS)
    for optimizer, moves in ((Adam(1e-9), 1e-6), (None, 0.0)):
        start = np.array(small.inputs.w)
        small.learner.optimizer = optimizer
        small.run()
        assert np.abs(small.inputs.w[:] - start).max() <= moves
    values = np.full((2 * T, 1), 7.0)
    for target in (TimedArray(values, dt=1 * ms), values):
        error = refusal(lambda target=target: setattr(small.readout, "target", target))
        if error is None:
            small.run()
            assert np.all(small.readout.y_target[:] == 7)
    with pytest.raises((AttributeError, ValueError, TypeError), match="rule"):
        small.learner.rule = BPTT()


def test_targets_of_the_cross_entropy_are_probabilities():
    with pytest.raises(ValueError, match="probabilit"):
        LeakyReadout(3, tau=20 * ms, loss="cross_entropy", target=np.zeros((T, 3)))


def test_order_13_with_delays():
    rng = np.random.default_rng(1)
    inputs, targets = rng.random((60, 8)) < 0.3, rng.standard_normal((60, 2))
    network = RecurrentNetwork(
        "alif",
        8,
        10,
        2,
        delays={"w_rec": rng.integers(1, 4, (10, 10)) * ms},
        weights={"w_in": rng.standard_normal((8, 10))},
        rule=EProp(order=13),
        seed=1,
    )
    found = network.gradients(inputs, targets).w_rec
    right = reference.gradients(network, inputs, targets, rule="eprop_reverse", order=13).w_rec
    assert np.abs(right).max() > 0
    np.testing.assert_allclose(found, right, atol=1e-9 * np.abs(right).max())


@pytest.mark.slow
def test_windows_within_a_trial_in_a_compiled_program():
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((6000, 3)) < 0.3, rng.normal(size=(6000, 2))
    set_device("cpp_standalone", build_on_run=False)
    try:
        credit, traces = (
            RecurrentNetwork(
                "lif",
                3,
                4,
                2,
                seed=0,
                weights={"w_in": np.full((3, 4), 0.3)},
                rule=EProp(engine=engine),
            )
            .gradients(inputs, targets)
            .w_in
            for engine in ("credit", "traces")
        )
    finally:
        reset_device()
    assert np.abs(traces).max() > 0
    np.testing.assert_allclose(credit, traces, atol=1e-9 * np.abs(traces).max())


def test_synapses_that_are_switched_off_learn_nothing():
    def switched_off(small):
        small.second = TrainableSynapses(
            small.source, small.group, on_pre="v_post += w*mV", learner=small.learner
        )
        small.second.connect()
        small.second.w = WEIGHTS
        small.second.active = False
        return [small.second]

    small = Small(others=switched_off, feedback="random")
    if refusal(small.run) is None:
        assert np.all(small.second.grad[:] == 0)
        assert np.any(small.gradient != 0)
