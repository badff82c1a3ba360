"""Trained parameters of neurons that synapses read, at either end: in sums, and when spikes arrive.

Where a parameter is a factor of the weight, as in ``v_post += w*a_pre*mV``, and acts nowhere else,
its gradient is known from those of the weights in another run: dE/da_i = Σ_j w_ji/a_i dE/dw_ji,
of an order less where credit comes back to it over the synapse.
"""

import math

import numpy as np
import pytest
from brian2 import NeuronGroup, Synapses, ms, mV
from own_networks import SPIKING, Small, T, refusal

from brian_eprop import Adam, TrainableSynapses
from brian_eprop.calculus.sums import Sum

pytestmark = pytest.mark.usefixtures("numpy_target")

EQUATIONS = """dv/dt = (I - v)/(20*ms) : volt
du/dt = (0.5 - u)/(50*ms) : 1
I : volt
a : 1 (constant)
E : volt (constant)
b = 2*a : 1"""
SUM = "w : 1\nI_post = w*{}*mV : volt (summed)"
#: The text of the synapses, by what it says
PRE = {
    "sum": SUM.format("a_pre*u_pre"),
    "sum of it alone": SUM.format("b_pre"),
    "jump": "v_post += w*a_pre*mV",
    "jump by a subexpression": "v_post += w*b_pre*mV",
    "factor": "v_post += w*u_pre*a_pre*mV",
    "in turn": "v_post += w/20*a_pre*(20*mV - v_post)",
}
POST = {
    "sum": SUM.format("u_pre*a_post"),
    "sum with the state": "w : 1\nI_post = w/20*a_post*u_pre*(20*mV - v_post) : volt (summed)",
    "jump": "v_post += w*b_post*mV",
    "in turn": "v_post += w/20*a_post*(20*mV - v_post)",
}
ONTO_READOUT = {
    "jump": "y_post += w*a_pre/3",
    "factor": "y_post += w*b_pre*u_pre/3",
}


def network(text, order, trained=True, onto_readout=False, trainable=("a",), **options):
    """Neurons with a, and synapses `small.recurrent` among them or onto the readout."""

    def others(small):
        summed = "summed" in text
        model, on_pre = (text, {}) if summed else ("w : 1", {"on_pre": text})
        kind, learning = (TrainableSynapses, {"learner": small.learner}) if trained else (
            Synapses, {},
        )  # fmt: skip
        target = small.readout if onto_readout else small.group
        synapses = kind(small.group, target, model, name="recurrent", **on_pre, **learning)
        synapses.connect()
        synapses.w = "3*cos(i*3.1 + j*1.7)"
        if not summed:
            synapses.delay = "(2*i + j) % 3*ms" if not onto_readout else "(i % 2)*ms"
        if not trained:
            small.learner.reset_with_trial(synapses)
        small.recurrent = synapses
        return [synapses]

    def first(small):
        small.group.a, small.group.E, small.group.u = "0.5 + 0.1*i", "(20 + i)*mV", 0.3

    return Small(
        EQUATIONS, others, first, order=order, reset="v = 0*mV; u += 0.3*(1 - u)",
        learner={"trainable": list(trainable)}, **options,
    )  # fmt: skip


def of_parameter(*args, **options):
    """dE/da, of a run with spikes."""
    small = network(*args, **options)
    small.run()
    assert small.spikes.num_spikes > 20
    return np.array(small.group.grad_a[:])


def of_weights(side, *args, **options):
    """Σ w dE/dw/a over the synapses of each neuron, of a run that trains no parameter."""
    small = network(*args, trainable=(), **options)
    small.run()
    synapses, total = small.recurrent, np.zeros(len(small.group))
    np.add.at(total, np.array(getattr(synapses, side)[:]), synapses.w[:] * synapses.grad[:])
    return total / np.array(small.group.a[:])


def assert_same(found, expected):
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.slow_unless(order=[math.inf], text=["sum", "jump"])
@pytest.mark.parametrize("text", PRE)
@pytest.mark.parametrize("order", [2, 3, math.inf])
def test_credit_comes_back_to_parameters_of_the_source(text, order):
    expected = of_weights("i", PRE[text], order - 1)
    assert_same(of_parameter(PRE[text], order), expected)
    if text not in ("in turn", "sum of it alone"):
        assert_same(of_parameter(PRE[text], order, trained=False), expected)


@pytest.mark.parametrize("text", ["sum", "jump"])
def test_at_order_1_sources_are_given(text):
    assert not of_parameter(PRE[text], 1).any()


@pytest.mark.slow_unless(order=[1], text=["sum"])
@pytest.mark.parametrize("text", POST)
@pytest.mark.parametrize("order", [1, math.inf])
def test_parameters_of_the_target_are_factors_of_its_arrivals(text, order):
    assert_same(of_parameter(POST[text], order), of_weights("j", POST[text], order))


@pytest.mark.slow_unless(order=[1], text=["factor"])
@pytest.mark.parametrize("text", ONTO_READOUT)
@pytest.mark.parametrize("order", [1, math.inf])
def test_errors_of_the_readout_come_back_to_parameters(text, order):
    options = {"onto_readout": True}
    expected = of_weights("i", ONTO_READOUT[text], order, **options)
    assert_same(of_parameter(ONTO_READOUT[text], order, **options), expected)


# ------------------------------------------------------------------ groups without trained inputs

LEAKY = """dv/dt = (E - v)/tau : volt
tau : second (constant)
E : volt (constant)"""


def layers(order, fixed=False, trained=True, **learner):
    """Inputs → neurons → (plain, or fixed) `small.second` → the readout, and tau of both."""

    def first(small):
        small.group.tau, small.group.E = "(15 + i)*ms", 1 * mV

    def others(small):
        second = NeuronGroup(3, LEAKY, name="second", **SPIKING)
        second.tau, second.E = "(20 + i)*ms", 2 * mV
        kind, options = Synapses, {}
        if fixed:
            kind, options = TrainableSynapses, {"learner": small.learner, "fixed": True}
        between = kind(
            small.group, second, "w : 1", on_pre="v_post += w*mV", delay=1 * ms, **options
        )
        onto = {"learner": small.learner} if trained else {}
        last = (TrainableSynapses if trained else Synapses)(
            second, small.readout, "w : 1", on_pre="y_post += w", name="last", **onto
        )
        between.connect(), last.connect()
        between.w, last.w = "6*cos(i*3.1 + j*1.7) + 3", 1
        if not fixed:
            small.learner.reset_with_trial(between)
        small.second = second
        return [second, between, last]

    return Small(LEAKY, others, first, order=order, learner={"trainable": ["tau"], **learner})


@pytest.mark.slow_unless(order=[2])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_parameters_learn_where_only_plain_synapses_arrive(order):
    plain, fixed = layers(order), layers(order, fixed=True)
    for small in (plain, fixed):
        small.run()
    for name in ("second", "group"):
        assert_same(getattr(plain, name).grad_tau[:], getattr(fixed, name).grad_tau[:])


@pytest.mark.slow
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("order", [2, math.inf])
def test_the_check_passes_where_only_plain_synapses_arrive(order, trained):
    small = layers(order, trained=trained)
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
    assert {"neurons.tau", "second.tau"} <= {row.projection for row in found.rows}


def test_parameters_are_updated_where_only_plain_synapses_arrive():
    plain, fixed = (
        layers(2, fixed, optimizer=Adam(0.01), update_every=T * ms) for fixed in (False, True)
    )
    for small in (plain, fixed):
        small.network.run(2 * T * ms)
        small.learner.optimizer = Adam(0.02)
        small.network.run(T * ms)
    found = plain.second.tau[:] / ms
    np.testing.assert_allclose(found, fixed.second.tau[:] / ms, rtol=1e-12)
    assert np.all(np.abs(found - [20, 21, 22]) > 0.1)


# ------------------------------------------------------------------ negative controls


def test_without_what_comes_back_the_gradient_is_another(monkeypatch):
    monkeypatch.setattr("brian_eprop.engines.credit.hear_parameters", lambda *_: None)
    assert not of_parameter(PRE["jump"], math.inf).any()


def test_without_the_slope_of_the_sum_the_gradient_is_another(monkeypatch):
    monkeypatch.setattr(Sum, "sloped", [])
    assert not of_parameter(POST["sum"], 1).any()


# ------------------------------------------------------------------ the check


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, math.inf])
@pytest.mark.parametrize(
    "text",
    [
        "v_post += w*a_pre/20*(E_post - v_post)",
        "w : 1\nI_post = w/20*b_pre*u_pre*(E_post - v_post) : volt (summed)",
    ],
)
def test_the_check_passes(text, order):
    small = network(text, order, trainable=("a", "E"), on_pre="v_post += w*a_post*2*mV")
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
    assert found.spikes > 20
    assert {"neurons.a", "neurons.E", "recurrent"} <= {row.projection for row in found.rows}


# ------------------------------------------------------------------ refused


def plain(text, **options):
    return lambda: network(text, 1, trained=False, **options).run()


def silent():
    """A group that has q and only plain synapses, of order 1."""

    def others(small):
        second = NeuronGroup(3, LEAKY + "\nq : 1 (constant)", name="second", **SPIKING)
        second.tau = 20 * ms
        between = Synapses(small.group, second, on_pre="v_post += 3*mV*q_post")
        between.connect()
        return [second, between]

    return Small(others=others, learner={"trainable": ["q"]})


REFUSED = {
    "a group that does not learn": (
        lambda: layers(1, trained=False, trainable=["b"]).run(),
        "no parameter of the neurons that learn",
    ),
    "a group that no credit is worked out for": (
        lambda: silent().run(),
        "'q' of group 'second', which does not learn: no credit is worked out for it. Make "
        "synapses onto it TrainableSynapses(..., learner=learner), with fixed=True",
    ),
    "a plain jump": (plain(POST["jump"]), "make it TrainableSynapses(..., fixed=True)"),
    "a plain sum": (plain(SUM.format("b_post")), "make it TrainableSynapses(..., fixed=True)"),
    "a plain sum of it alone": (
        lambda: network(PRE["sum of it alone"], 2, trained=False).run(),
        "make it TrainableSynapses(..., fixed=True)",
    ),
    "feedback": (
        lambda: network(ONTO_READOUT["jump"], 1, onto_readout=True, feedback="random").run(),
        "choose Learner(feedback='symmetric')",
    ),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", REFUSED)
def test_what_no_credit_reaches_is_refused_before_the_first_step(case):
    build, says = REFUSED[case]
    error = refusal(build)
    assert error is not None, "was accepted"
    assert says in error
