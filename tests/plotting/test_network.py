"""The figure and the text of a network: what runs, in order, and what it is for the gradient."""

import numpy as np
import pytest
from brian2 import Hz, Network, NeuronGroup, PoissonGroup, Synapses, defaultclock, ms

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses
from brian_eprop.plotting import plot_network
from brian_eprop.plotting.network import ROLES
from brian_eprop.reading import UnreadableNetworkError

LIF = "dv/dt = (g - v)/(20*ms) : 1\ndg/dt = -g/(5*ms) : 1\ndrive : 1"


@pytest.fixture
def network(numpy_target):
    """Excitatory neurons that learn, interneurons, context, shunting, code; and its objects."""
    defaultclock.dt = 1 * ms
    inputs = PoissonGroup(10, 50 * Hz, name="inputs")
    excitatory = NeuronGroup(
        8, LIF, threshold="v > 1", reset="v = 0", method="euler", name="excitatory"
    )
    inhibitory = NeuronGroup(
        4, LIF, threshold="v > 1", reset="v = 0", method="euler", name="interneurons"
    )
    excitatory.run_regularly("g = clip(g, -2, 2)", when="before_resets", name="limit")
    excitatory.run_regularly("drive = 0.1", dt=10 * ms, name="new_drive")
    readout = LeakyReadout(1, tau=20 * ms, target=np.ones((50, 1)), period=50 * ms, name="output")
    surrogate = PiecewiseLinear(0.3, 1.0)
    learner = Learner(readout, EProp(order=3, surrogate=surrogate), reset_every=50 * ms)
    w_in = TrainableSynapses(inputs, excitatory, on_pre="g_post += w", learner=learner, name="w_in")
    w_rec = TrainableSynapses(
        excitatory, excitatory, on_pre="g_post += w", learner=learner, fixed=True, name="w_rec"
    )
    w_out = TrainableSynapses(
        excitatory, readout, on_pre="y_post += w", learner=learner, name="w_out"
    )
    onto = Synapses(excitatory, inhibitory, on_pre="g_post += 0.3", name="onto_inhibitory")
    back = Synapses(inhibitory, excitatory, on_pre="g_post -= 0.2", name="back")
    context = Synapses(inputs, excitatory, on_pre="g_post += 0.1", name="context")
    shunt = Synapses(inputs, excitatory, on_pre="g_post *= 0.9", name="shunt")
    shunt.pre.order = -3
    synapses = [w_in, w_rec, w_out, onto, back, context, shunt]
    for each in synapses:
        each.connect()
    yield learner, Network(inputs, excitatory, inhibitory, readout, *synapses)


def drawn(figure):
    """Text and colour of all that is written."""
    (ax,) = figure.axes
    return {text.get_text(): text.get_color() for text in ax.texts}


def test_groups_and_arrows_have_the_colour_of_what_they_are_for_the_gradient(network):
    learner, _ = network
    texts = drawn(plot_network(learner))
    roles = {
        "w_in → g": "trained",
        "w_out → y": "trained",
        "w_rec → g": "fixed",
        "onto_inhibitory → g": "followed",
        "back → g": "followed",
        "context → g": "given",
        "shunt → g": "factor",
        "before_resets: code 'limit' → g": "differentiated",
        "start: code 'new_drive' → drive": "given",
        "thresholds: threshold (ψ)": "differentiated",
    }
    assert {text: texts[text] for text in roles} == {t: ROLES[r][0] for t, r in roles.items()}
    titles = {"excitatory (8): learns", "interneurons (4): followed", "inputs (10): given"}
    assert titles | {"output (1): readout"} <= texts.keys()


def test_all_that_is_drawn_lies_within_the_figure_and_no_box_on_another(network):
    learner, _ = network
    figure = plot_network(learner)
    figure.canvas.draw()
    (ax,) = figure.axes
    for text in ax.texts:
        low, high = ax.transAxes.inverted().transform(text.get_window_extent())
        assert (low >= 0).all(), text.get_text()
        assert (high <= 1).all(), text.get_text()
    boxes = [p for p in ax.patches if type(p).__name__ == "FancyBboxPatch"]
    extents = [box.get_window_extent() for box in boxes]
    assert len(extents) == 4
    overlaps = [a.overlaps(b) for a in extents for b in extents if a is not b]
    assert not any(overlaps)


def test_text_lists_the_step_of_each_group_in_the_order_in_which_it_runs(network):
    learner, net = network
    net.run(1 * ms)
    text = str(learner.network)
    step = text.split("Group 'excitatory'")[1].split("\n\n")[0].splitlines()[1:]
    place = [line.split()[0].rstrip(",") for line in step]
    slots = ["groups", "thresholds", "synapses", "before_resets", "resets"]
    assert [p for k, p in enumerate(place) if p not in place[:k]] == slots
    (shunt,) = [line for line in step if "'shunt'" in line]
    assert shunt.endswith("factor, recorded per neuron and step")
    assert "code 'new_drive'" in text.split("counts as given:")[1]


def test_paths_that_the_order_leaves_out_are_listed(numpy_target):
    defaultclock.dt = 1 * ms
    a, b = (
        NeuronGroup(2, LIF, threshold="v > 1", reset="v = 0", method="euler", name=name)
        for name in ("first", "second")
    )
    readout = LeakyReadout(1, tau=20 * ms, target=np.ones((50, 1)), name="output")
    learner = Learner(readout, EProp(surrogate=PiecewiseLinear(0.3, 1.0)), reset_every=50 * ms)
    w_rec = TrainableSynapses(a, a, on_pre="g_post += w", learner=learner)
    w_out = TrainableSynapses(a, readout, on_pre="y_post += w", learner=learner)
    loop = Synapses(a, b, on_pre="g_post += 1"), Synapses(b, a, on_pre="g_post += 1")
    for each in (w_rec, w_out, *loop):
        each.connect()
    net = Network(a, b, readout, w_rec, w_out, *loop)
    assert net is not None
    assert "leaves out:\n  'first' → 'second' → 'first'" in str(learner.network)


def test_what_cannot_be_drawn_is_refused(numpy_target):
    with pytest.raises(TypeError, match="plot_network: 'learner' is 3; give a Learner"):
        plot_network(3)
    readout = LeakyReadout(1, tau=20 * ms, target=np.ones((50, 1)), name="alone")
    with pytest.raises(UnreadableNetworkError, match="'alone' is in no Network yet"):
        plot_network(Learner(readout))
