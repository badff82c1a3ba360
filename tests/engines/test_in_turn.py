"""Arrivals that depend on the state they change, or on the presynaptic neuron when they arrive."""

import math

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Synapses,
    TimedArray,
    defaultclock,
    device,
    ms,
    mV,
    prefs,
    set_device,
    start_scope,
)
from compiled_programs import compile_some
from own_networks import CHANNELS, INPUTS, SPIKING, STEPS, WEIGHTS, WIDE, Small, T, refusal
from own_networks import N as NEURONS

from brian_eprop import EProp, Learner, Loss, TrainableSynapses
from brian_eprop.engines import in_turn
from brian_eprop.engines.in_turn import ArrivalsInTurn

pytestmark = pytest.mark.usefixtures("numpy_target")

SATURATING = "v_post += w/40*(30*mV - v_post)"
DEPRESSING = """dv/dt = -v/(20*ms) : volt
du/dt = (U - u)/(50*ms) : 1
dx/dt = (1 - x)/(80*ms) : 1
r = u*x : 1
U : 1 (constant)"""


def recurrent(on_pre, trained=True, delays=True, kept=True, **options):
    """Synapses among the neurons, trained or plain."""

    def others(small):
        options.setdefault("namespace", {"E": 15 * mV})
        kind, learning = Synapses, {}
        if trained:
            kind, learning = TrainableSynapses, {"learner": small.learner}
        synapses = kind(
            small.group, small.group, "w : 1", on_pre=on_pre, name="recurrent",
            **learning, **options,
        )  # fmt: skip
        synapses.connect()
        synapses.w = "3*cos(i*3.1 + j*1.7)"
        if delays:
            synapses.delay = "(i + j) % 3*ms"
        if not trained and kept and (delays or "delay" in options):
            small.learner.reset_with_trial(synapses)
        small.recurrent = synapses
        return [synapses]

    return others


def saturating(order=1, on_pre="v_post += w/20*(E - v_post)", **options):
    others = recurrent(on_pre, **options)
    return Small(order=order, on_pre=SATURATING, others=others, weights=1.2 * WEIGHTS)


def depressing(on_pre="v_post += 5*w*u_pre*x_pre*mV", *, order=1, U=True, small=None, **options):
    """Neurons with facilitation and depression, the same for all synapses of a neuron."""

    def first(small):
        small.group.U, small.group.u, small.group.x = 0.2, 0.2, 1

    learner = {"trainable": ["U"]} if U and order > 1 else {}
    return Small(
        DEPRESSING, recurrent(on_pre, **options), first, order=order, learner=learner,
        reset="v = 0*mV; u += U*(1 - u); x -= u*x", weights=1.2 * WEIGHTS, **(small or {}),
    )  # fmt: skip


def assert_passes(small, largest=1e-8, spikes=20):
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
    assert found.spikes > spikes
    assert found.worst.error < largest
    return found


# --------------------------------------------------------------- against finite differences
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "order"),
    [
        *(({}, order) for order in (1, 2, 3, math.inf)),
        ({"delays": False, "delay": 0 * ms}, math.inf),
        ({"on_pre": "v_post *= (1 - w/10)"}, 2),
        ({"on_pre": "v_post *= (1 - w/10)", "trained": False}, 1),
        ({"on_pre": "v_post *= (1 - w/10)", "trained": False}, math.inf),
        ({"on_pre": "v += w*mV*tanh(v/(3*mV) - 2)"}, math.inf),
        ({"on_pre": "v_post += w*mV - 0.2*v_post"}, 1),
        ({"on_pre": "v_post += w*mV - 0.2*v_post"}, math.inf),
    ],
)
def test_jumps_that_depend_on_the_state_they_change_pass_the_check(options, order):
    assert_passes(saturating(order, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "order"),
    [
        *(({}, order) for order in (1, 2, math.inf)),
        ({"on_pre": "v_post += 5*w*r_pre*mV", "delays": False}, 2),
        ({"trained": False, "delays": False, "delay": 1 * ms}, math.inf),
        ({"on_pre": "v_post += w*u_pre*x_pre/2*(E - v_post)"}, 1),
        ({"on_pre": "v_post += w*u_pre*x_pre/2*(E - v_post)"}, math.inf),
    ],
)
def test_what_spikes_find_at_their_own_neuron_passes_the_check(options, order):
    """`u_pre` is read when the spike arrives, and credit flows back to it at this moment."""
    small = depressing(U=order > 2, order=order, **options)
    assert_passes(small)


@pytest.mark.slow_unless(order=[1])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_states_that_count_because_spikes_depend_on_them_are_followed(order):
    """Spikes change u, which counts since x_pre does, and that is known when all is connected."""
    small = depressing("v_post += w*x_pre*mV; u_post += 0.01", order=order, U=False)
    assert_passes(small)


@pytest.mark.slow_unless(engine=["credit"])
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_the_check_keeps_what_an_arrival_adds_to_a_state_that_spikes_depend_on(engine):
    """The same v is of the neuron that fires, and given at order 1, and of the one that hears."""
    options = {"trained": engine == "traces", "U": False, "small": {"engine": engine}}
    assert_passes(depressing("v_post += w*v_pre/9", **options))


def test_the_check_says_what_it_cannot_tell_apart():
    found = depressing("v_post += w*(v_pre - v_post)/20", trained=False, U=False)
    found = found.learner.check(T * ms, found.network, synapses=1)
    assert not found.passed
    assert "depend on 'v' of both their neuron and their target" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, math.inf])
def test_clamped_states_are_deaf_in_turn(order):
    small = Small(
        "dv/dt = (20*mV*g - v)/(20*ms) : volt (unless refractory)\n"
        "dg/dt = -g/(5*ms) : 1 (unless refractory)",
        recurrent("v_post *= 1 - w/20"), order=order, refractory=3 * ms,
        on_pre="g_post += w/20*(2 - g_post)", weights=1.2 * WEIGHTS,
    )  # fmt: skip
    assert_passes(small, spikes=5)


@pytest.mark.slow
def test_traces_see_presynaptic_factors_at_order_1():
    small = depressing(small={"engine": "traces"})
    assert_passes(small)
    credit = depressing()
    small.run(), credit.run()
    np.testing.assert_allclose(small.gradient, credit.gradient, rtol=1e-11)
    np.testing.assert_allclose(small.recurrent.grad, credit.recurrent.grad, rtol=1e-11)


# ---------------------------------------------------------------- against tangents in NumPy
def tangents(input_weights, weights, directions, delays):
    """The derivative of the loss of `saturating(∞)` along each direction, by tangents in NumPy.

    Written from the model's text and not from (A, b, c): v and its tangents are carried along
    together through every statement in the order of Brian2, spikes with ψ.
    """
    v, dv = np.zeros(NEURONS), np.zeros((NEURONS, len(directions)))
    y, dy, loss, dloss = 0.0, np.zeros(len(directions)), 0.0, np.zeros(len(directions))
    decay, kappa = 1 - 1 / 20, math.exp(-1 / 20)
    fired, moved = np.zeros((T, NEURONS), bool), np.zeros((T, NEURONS, len(directions)))
    d_in, d_rec = directions[:, : input_weights.size], directions[:, input_weights.size :]
    for t in range(T):
        v, dv, y, dy = decay * v, decay * dv, kappa * y, kappa * dy
        fired[t] = v > 15
        psi = 20e-3 * np.maximum(0, 1 - np.abs(v - 15) / 15)
        moved[t] = psi[:, np.newaxis] * dv
        for i in INPUTS[STEPS == t]:
            for j in range(NEURONS):
                k = i * NEURONS + j
                dv[j] = dv[j] * (1 - input_weights[k] / 40) + d_in[:, k] / 40 * (30 - v[j])
                v[j] += input_weights[k] / 40 * (30 - v[j])
        for delay in (2, 1, 0):
            for i in range(NEURONS):
                for j in range(NEURONS):
                    k, s = i * NEURONS + j, t - delay
                    if delays[k] != delay or s < 0:
                        continue
                    z, dz, jump = fired[s, i], moved[s, i], weights[k] / 20 * (15 - v[j])
                    dv[j] *= 1 - z * weights[k] / 20
                    dv[j] += dz * jump + z * d_rec[:, k] / 20 * (15 - v[j])
                    v[j] += z * jump
        dv = dv * ~fired[t][:, np.newaxis] - moved[t] * v[:, np.newaxis]
        v[fired[t]] = 0
        y, dy = y + fired[t].sum(), dy + moved[t].sum(0)
        loss, dloss = loss + 0.5 * (y - 1) ** 2, dloss + (y - 1) * dy
    return loss, dloss, fired.sum()


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("left_out", ["nothing", "saturation", "order"])
def test_the_exact_gradient_is_that_of_tangents_in_numpy(left_out, monkeypatch):
    """Negative controls: ∂h⁺/∂h = 1 between the arrivals of a step; arrivals out of order."""
    if left_out == "saturation":
        monkeypatch.setattr(in_turn, "own_slope", lambda jump, state: jump * 0)
    if left_out == "order":
        sort = ArrivalsInTurn.sort

        def reversed_order(self):
            sort(self)
            order = self.synapses.variables["__order"]
            first = self.synapses.variables["__first"].get_value()
            values = order.get_value().copy()
            order.set_value(values[::-1].copy())
            assert first[-1] == len(values)

        monkeypatch.setattr(ArrivalsInTurn, "sort", reversed_order)
    small = saturating(math.inf)
    small.run()
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((6, CHANNELS * NEURONS + NEURONS**2))
    pre, post = np.array(small.recurrent.i), np.array(small.recurrent.j)
    weights = 3 * np.cos(pre * 3.1 + post * 1.7)
    loss, expected, spikes = tangents(1.2 * WEIGHTS, weights, directions, (pre + post) % 3)
    assert spikes > 20
    assert small.loss == pytest.approx(loss, rel=1e-12)
    gradient = np.concatenate([small.gradient, small.recurrent.grad[:]])
    found = directions @ gradient
    if left_out == "nothing":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    else:
        assert np.abs(found - expected).max() > 1e-4 * np.abs(expected).max()


@pytest.mark.slow
def test_the_check_finds_a_factor_that_was_left_out(monkeypatch):
    """Negative control: (1 − w), by which arrivals of a step scale what was there, is missing."""
    monkeypatch.setattr("brian_eprop.reading.reader.NetworkReader._scale", lambda *_: None)
    small = saturating(1)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert not found.passed
    assert found.worst.error > 1e-3


@pytest.mark.slow
def test_the_check_finds_credit_that_does_not_reach_the_presynaptic_state(monkeypatch):
    monkeypatch.setattr("brian_eprop.engines.credit.hear", lambda *_: None)
    small = depressing(order=math.inf)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert not found.passed


# ------------------------------------------------------- short-term plasticity as in textbooks
TEXTBOOK = """w : 1
du/dt = (U - u)/(100*ms) : 1 (event-driven)
dx/dt = (1 - x)/(80*ms) : 1 (event-driven)
U : 1 (constant)"""
AT_SOURCE = """du/dt = (U - u)/(100*ms) : 1
dx/dt = (1 - x)/(80*ms) : 1
U : 1 (constant)"""


def plastic(engine, at_source, order=1):
    """Facilitation and depression in the synapses, or in the neurons that they come from."""
    start_scope()
    defaultclock.dt = 1 * ms
    fires = np.zeros((T, CHANNELS))
    fires[STEPS, INPUTS] = 1
    source = NeuronGroup(
        CHANNELS, AT_SOURCE if at_source else "", threshold="fires(t, i) > 0.5", method="exact",
        reset="u += U*(1 - u); x -= u*x" if at_source else "",
        namespace={"fires": TimedArray(fires, dt=1 * ms)},
    )  # fmt: skip
    group = NeuronGroup(NEURONS, "dv/dt = -v/(20*ms) : volt", **SPIKING)
    learner = Learner(
        rule=EProp(engine=engine, order=order, surrogate=WIDE),
        losses=[Loss(group, "(v/mV - 5)**2")],
        reset_every=T * ms,
    )
    text = "u += U*(1 - u); v_post += 3*w*u*x*mV; x -= u*x"
    if at_source:  # the spike arrives before the reset, which changes u first
        text = "v_post += 3*w*(u_pre + U_pre*(1 - u_pre))*x_pre*mV"
    synapses = TrainableSynapses(
        source, group, "w : 1" if at_source else TEXTBOOK, on_pre=text, learner=learner,
        delay=0 * ms, method="exact",
    )  # fmt: skip
    synapses.connect()
    synapses.w = WEIGHTS
    owner = source if at_source else synapses
    owner.U, owner.u, owner.x = 0.3, 0.3, 1
    learner.reset_with_trial(owner)
    return Network(source, group, synapses), synapses, group


def test_short_term_plasticity_of_synapses_is_refused_with_what_to_do():
    error = refusal(lambda: plastic("credit", at_source=False)[0].run(T * ms))
    assert "give it to the presynaptic neurons, whose reset changes it, and read 'u_pre'" in error


@pytest.mark.parametrize("order", [1, math.inf])
def test_the_remedy_for_short_term_plasticity_is_the_same_network(order):
    """What the message says to do: the same run, the same gradient, and the engine credit."""
    textbook, expected, heard = plastic("traces", at_source=False)
    network, found, group = plastic("credit", at_source=True, order=order)
    for net in (textbook, network):
        net.run(T * ms)
    # exp(-dt/tau) n times, and once for n steps
    np.testing.assert_allclose(group.loss[:], heard.loss[:], rtol=1e-11)
    assert np.abs(expected.grad[:]).max() > 1
    np.testing.assert_allclose(found.grad[:], expected.grad[:], rtol=1e-10, atol=1e-10)


# ------------------------------------------------------------------------------ what is refused
def inputs_change_it_first():
    small = Small(
        "dv/dt = (u*mV - v)/(20*ms) : volt\ndu/dt = (0.3 - u)/(50*ms) : 1",
        recurrent("v_post += w*u_pre*mV"), order=2, on_pre="v_post += w*mV; u_post += w",
    )  # fmt: skip
    small.recurrent.pre.order = 1
    return small


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: saturating(on_pre="v_post *= 1 - w/9; v_post += w*mV"), "several statements"),
        (
            lambda: Small(on_pre=SATURATING, engine="traces"),
            "choose EProp(engine='credit')",
        ),
        (
            lambda: depressing("v_post += w*x_pre*mV; x_pre *= 0.9"),
            "changes 'x_pre'",
        ),
        (
            inputs_change_it_first,
            "give its .pre a higher order",
        ),
        (
            lambda: depressing("v_post += w*x_pre*mV; x_post -= 0.1*x_pre"),
            "let them depend on a variable that only their reset changes",
        ),
        (
            lambda: depressing("v_post += w*x_pre*mV; u_post += 0.1*w", order=2, U=False),
            "changes 'u' of group 'neurons', which counts since",
        ),
        (
            lambda: depressing("v_post += w*x_pre*mV; u_post *= 0.9", order=2, U=False),
            "changes 'u' of group 'neurons', which counts since",
        ),
        (
            lambda: saturating(2, trained=False, delays=False, delay=1 * ms, kept=False),
            "Learner(reset=[recurrent])",
        ),
    ],
)
def test_what_cannot_be_gone_through_in_turn_is_refused(make, says):
    error = refusal(lambda: make().run())
    assert error is not None
    assert says in error


# ---------------------------------------------------------------------------------- C++ programs
def results(make):
    small = make()
    small.network.run(T * ms, namespace={})
    if prefs.codegen.target != "numpy":
        device.build(**device.build_options)
    of_parameters = [small.group.grad_U[:]] if "grad_U" in small.group.variables else []
    return [small.loss, small.gradient, np.array(small.recurrent.grad[:]), *of_parameters]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda: compiled_saturating(), lambda: depressing(order=math.inf, delays=False)],
    ids=["saturating", "depressing"],
)
def test_programs_in_cpp_have_the_same_gradients(make, tmp_path):
    expected = results(make)
    set_device("cpp_standalone", directory=str(tmp_path), build_on_run=False)
    prefs.codegen.target = "auto"
    try:
        found = results(make)
    finally:
        device.reinit()
        set_device("runtime")
    assert all(np.abs(values).max() > 1e-3 for values in expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11 * np.abs(theirs).max())


def compiled_saturating():
    small = saturating(math.inf, delays=False)
    small.recurrent.pre.delay = "(i + j) % 3*ms"
    return small


@pytest.mark.slow
@pytest.mark.cython
def test_cython_has_the_same_gradients():
    on_pre = "v_post += w*u_pre*x_pre/2*(E - v_post)"
    expected = depressing(on_pre, order=math.inf)
    expected.run()
    found = depressing(on_pre, order=math.inf)
    compiled, _ = compile_some(found.network)
    assert {"neurons_stages", "recurrent_recorder_pre", "answers_replay"} < set(compiled)
    found.run()
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    for ours, theirs in (
        (found.gradient, expected.gradient),
        (found.recurrent.grad[:], expected.recurrent.grad[:]),
        (found.group.grad_U[:], expected.group.grad_U[:]),
    ):
        theirs = np.array(theirs)
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
