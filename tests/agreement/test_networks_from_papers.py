"""Networks as papers and people write them, against complex steps through what Brian2 runs.

The oracle (support/complex_steps.py) runs the network without brian_eprop. Four of the networks,
`refractory_by_a_condition_in_time`, `the_number_of_the_step`, `the_next_time_in_a_condition` and
`a_time_of_ones_own_in_a_condition`, once had a wrong gradient that this comparison has found; the
fifth that it found, an effect that depends on lastspike_post, is refused.
"""

import networks_by_feature  # noqa: F401  (each makes its networks known)
import networks_by_reset  # noqa: F401
import networks_from_papers  # noqa: F401
import numpy as np
import pytest
from brian2 import StateMonitor, seed
from comparing import ROUND_OFF, difference
from complex_steps import INF, ComplexSteps
from own_networks import refusal
from sketches import WRITTEN, Written, made

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Run by every call of pytest
FAST = {
    "leaky_integrators",
    "refractory_by_a_condition_in_time",
    "through_neurons_that_do_not_learn",
}
#: Orders and engines that every network is asked for
WAYS = [(1, "credit"), (2, "credit"), (INF, "credit"), (1, "traces")]


def networks(names, fast=FAST):
    """One test for each network; most are slow."""
    marked = [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]
    return pytest.mark.parametrize("name", marked)


def learned(name, order, engine):
    """Loss and gradients of a network that learns."""
    net = made(name, order, engine)
    seed(5)
    net.network.run(net.of.steps * net.of.dt)
    gradients = [np.array(synapses.grad[:]) for synapses, _ in net.weights]
    return float(np.sum(net.readout.loss[:])), gradients


def expected(name, oracle=ComplexSteps, orders=None):
    """The same from the oracle, for all orders; and the oracle, which has counted."""
    net, of = made(name), WRITTEN[name]
    orders = orders or of.orders or (1,)
    steps = oracle(net.network, net.weights, of.surrogate, net.readout, orders)
    seed(5)
    return *steps.gradients(of.targets), steps


def assert_equal(found, loss, gradients):
    """Loss and gradients are those of the oracle.

    Neither takes a difference of close numbers: what is left is round-off, of sums over a few
    hundred steps that are taken in another order.
    """
    assert abs(found[0] - loss) < ROUND_OFF * loss
    for gradient, exact in zip(found[1], gradients, strict=True):
        assert np.any(exact != 0)
        assert difference(gradient, exact) < ROUND_OFF


@networks(WRITTEN)
def test_the_gradient_is_that_of_complex_steps(name):
    of = WRITTEN[name]
    loss, gradients, oracle = expected(name)
    assert sum(oracle.spikes.values()) >= 8
    assert sum(oracle.differentiable.values()) >= 20
    given = [(order, "credit") for order in of.orders] + [(1, "traces")] * of.traces
    assert given
    for order, engine in given:
        assert_equal(learned(name, order, engine), loss, gradients[order])
    for order, engine in set(WAYS) - set(given):
        assert refusal(lambda way=(order, engine): learned(name, *way)) is not None


class LateSurrogate(ComplexSteps):
    """ψ of the step before."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.before = {}

    def slope(self, name, distance):
        """Kept for a step."""
        now = self.surrogate(distance)
        late, self.before[name] = self.before.get(name, 0 * now), now
        return late


class WithoutReset(ComplexSteps):
    """No derivative through resets."""

    def reset(self, obj, spikes):
        """With spikes that are numbers."""
        super().reset(obj, spikes.real + 0j)


class AnotherOrder(ComplexSteps):
    """All paths where there should be one edge less than the order."""

    def over_an_edge(self, derivative):
        """None is lost."""
        return derivative


class MovedSurrogate(ComplexSteps):
    """ψ at another place."""

    def slope(self, name, distance):
        """Moved by a tenth of its width."""
        return self.surrogate(distance + 1.5e-3)


#: Networks with resets that differ, delays, several groups, and states of the source
SEEN_IN = [
    "leaky_integrators",
    "brette_2007_cuba",
    "tsodyks_1998_depression_of_the_source",
    "a_threshold_of_two_states",
    "two_layers_and_back",
]


@networks(SEEN_IN, fast={"leaky_integrators"})
def test_a_wrong_oracle_does_not_agree(name):
    found = learned(name, 1, "credit")
    for wrong in (LateSurrogate, WithoutReset, AnotherOrder, MovedSurrogate):
        loss, gradients, _ = expected(name, wrong, (1,))
        assert found[0] == pytest.approx(loss, rel=ROUND_OFF)
        with pytest.raises(AssertionError):
            assert_equal(found, loss, gradients[1])
        # By more than round-off
        apart = [difference(a, b) for a, b in zip(found[1], gradients[1], strict=True)]
        assert max(apart) > 1e-4, wrong


@networks(SEEN_IN, fast={"leaky_integrators"})
def test_the_oracle_is_the_difference_of_two_runs_of_brian2(name):
    """In the weights of the outputs, in which the loss is a square and no spike depends on them."""

    def loss(change):
        net = made(name)
        synapses = net.weights[-1][0]
        synapses.w[3] += change
        outputs = StateMonitor(net.readout, "y", record=True, when="end")
        net.network.add(outputs)
        seed(5)
        net.network.run(net.of.steps * net.of.dt)
        return np.sum((outputs.y.T - net.of.targets) ** 2) / 2

    found, gradients, _ = expected(name, orders=(1,))
    assert found == pytest.approx(loss(0), rel=ROUND_OFF)
    assert gradients[1][-1][3] == pytest.approx((loss(1) - loss(-1)) / 2, rel=1e-9)


def test_a_sum_that_is_made_last_is_named_with_what_helps():
    """As in `wang_2002`, where it is made first and traces are accepted."""
    said = refusal(lambda: learned("a_sum_that_is_made_last", 1, "traces"))
    assert "create the synapses with the sum before the others that learn" in said
    assert WRITTEN["wang_2002"].traces


@pytest.mark.slow
def test_what_the_oracle_cannot_compute_is_refused(monkeypatch):
    def loop(net):
        group = net.neurons()
        model = "w : 1\ndx/dt = (1 - x)/(30*ms) : 1 (event-driven)"
        net.around(group, recurrent="v_post += w*x*mV; x *= 0.5", loop={"model": model})

    def random(net):
        net.around(net.neurons(reset="v = 3*mV*rand()"))

    def either(net):
        net.around(net.neurons(threshold="v > 15*mV or v < -40*mV", reset="v = 0*mV"))

    for make, says in ((loop, "event-driven"), (random, "rand"), (either, "'or'")):
        monkeypatch.setitem(WRITTEN, "refused", Written(make))
        with pytest.raises(NotImplementedError, match=says):
            expected("refused")
