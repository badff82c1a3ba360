"""Random networks of what biology has: losses on states, sums, jumps in turn, presynaptic dynamics.

Each passes the check by finite differences of itself, or is refused before the first step.
"""

import math

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    ms,
    mV,
    start_scope,
    volt,
)
from brian2.core.base import BrianObjectException
from hypothesis import assume, given
from hypothesis import strategies as st

from brian_eprop import EProp, Learner, Loss, PiecewiseLinear, TrainableSynapses
from brian_eprop.calculus.derivatives import NoDerivativeError

pytestmark = pytest.mark.usefixtures("numpy_target")

T, N, INPUTS = 40, 3, 5
EQUATIONS = """dv/dt = (a*3*mV + I + J - 0.3*s*v - v)/(20*ms) : volt
ds/dt = -s/(15*ms) : 1
du/dt = (0.3 - u)/(50*ms) : 1
dx/dt = (1 - x)/(40*ms) : 1
r = u*x : 1
I : volt
J : volt
a : 1 (constant)"""
RESET = "v = 0*mV; s += 0.6*(1 - s); u += 0.3*(1 - u); x -= u*x"
WHOLE = ["v_post *= 1 - w/9", "v_post += w*mV; s_post += 0.02", "s_post -= w*s_post/9"]
#: What a spike does: to the membrane, or to a state behind it
JUMPS = st.builds(
    "{} += w*{}*{}".format,
    st.sampled_from(["v_post", "s_post"]),
    st.sampled_from(["1", "u_pre", "r_pre", "x_pre*u_pre", "a_pre"]),
    st.sampled_from(["1", "(2 - {})/2", "cos({})", "a_post"]),
) | st.sampled_from(WHOLE)
SUMS = st.builds(
    "w*{}*{}*mV".format,
    st.sampled_from(["s_pre", "tanh(s_pre)", "r_pre", "s_pre**2*a_pre"]),
    st.sampled_from(["1", "(1 - v_post/(30*mV))", "exp(-s_post)", "a_post"]),
)
LOSSES = st.builds(
    "{}*{}".format,
    st.sampled_from(["(v/mV - 3)**2/9", "s**2", "tanh(v/(5*mV))", "(u - 0.5)**2", "exp(s)"]),
    st.sampled_from(["1", "(1 + i)", "cos(t/(9*ms))", "1/(1 + x**2)", "a"]),
)
ORDERS = st.sampled_from([1, 2, math.inf])


def in_units(jump):
    """A jump with the unit, and the state, of what it changes."""
    if jump in WHOLE:
        return jump
    state, text = jump.split(" += ")
    own, size = ("v_post/(20*mV)", "5*mV") if state == "v_post" else ("s_post", "0.1")
    return f"{state} += {text.format(own)}*{size}"


def network(jump, total, losses, trained, order, engine="credit"):
    """Inputs → neurons, which are connected by spikes and by a sum : (network, learner, made)."""
    start_scope()
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((T, INPUTS)) < 0.3)
    source = SpikeGeneratorGroup(INPUTS, channels, steps * ms)
    group = NeuronGroup(N, EQUATIONS, threshold="v > 15*mV", reset=RESET, method="euler")
    group.a, group.u, group.x = "1 + 0.2*i", 0.3, 1
    learner = Learner(
        rule=EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV), order=order, engine=engine),
        losses=[Loss(group, text, strength=1 + k) for k, text in enumerate(losses)],
        reset_every=T * ms,
        trainable=["a"] if engine == "credit" else [],
    )
    learning = {"learner": learner}
    model = f"w : 1\nI_post = {total} : volt (summed)"
    kind, options = (TrainableSynapses, learning) if trained else (Synapses, {})
    # Traces know of sums before they know of spikes
    summed = kind(group, group, model, **options)
    inputs = TrainableSynapses(source, group, on_pre="v_post += w*mV", **learning)
    made = [inputs, summed]
    made.append(kind(group, group, "w : 1", on_pre=in_units(jump), **options))
    weights = ("6 + 3*cos(i + 2*j)", "2*sin(3*i + j)", "cos(i*3 + j*2)")
    for synapses, w in zip(made, weights, strict=True):
        synapses.connect()
        synapses.w = w
    made[2].delay = "(1 + i)*ms"
    if not trained:
        learner.reset_with_trial(made[2])
    spikes = SpikeMonitor(group)
    return Network(source, group, spikes, *made), learner, made, spikes


def or_refused(make):
    """What a function returns; None if it was refused by name, before the first step."""
    try:
        return make()
    except (ValueError, BrianObjectException) as error:
        cause = error.__cause__ or error
        assert isinstance(cause, ValueError | NoDerivativeError), repr(cause)
        assert "'" in str(cause)  # names what
        return None


def checked(*args):
    net, learner, *_ = network(*args)
    return learner.check(network=net, synapses=2)


@pytest.mark.slow
@pytest.mark.hypothesis
@given(JUMPS, SUMS, st.lists(LOSSES, min_size=1, max_size=2), st.booleans(), ORDERS)
def test_random_networks_pass_the_check_or_are_refused(jump, total, losses, trained, order):
    found = or_refused(lambda: checked(jump, total, losses, trained, order))
    assume(found is not None)
    assert found.passed, f"{in_units(jump)} | {total} | {losses} | {trained} {order}\n{found}"


@pytest.mark.slow
@pytest.mark.hypothesis
@given(JUMPS, SUMS, LOSSES)
def test_both_engines_have_the_gradient_of_random_networks_at_order_1(jump, total, loss):
    def gradients(engine):
        net, _, made, spikes = network(jump, total, [loss], True, 1, engine)
        net.run(T * ms)
        assume(spikes.num_spikes > 3)
        return [np.array(synapses.grad[:]) for synapses in made]

    found = or_refused(lambda: (gradients("traces"), gradients("credit")))
    assume(found is not None)
    for traces, credit in zip(*found, strict=True):
        # some hundreds of terms in another order
        np.testing.assert_allclose(traces, credit, rtol=0, atol=1e-10 * np.abs(credit).max())


def test_one_of_them_of_each_order():
    """The same without hypothesis, and not silent."""
    for order in (1, 2):
        found = checked("v_post += w*r_pre*1", "w*s_pre*1*mV", ["(v/mV - 3)**2/9"], True, order)
        assert found.passed, str(found)
        assert found.spikes > 5
        assert all(row.finite_difference != 0 for row in found.rows[:3])
