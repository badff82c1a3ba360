"""Every message in the table of docs/what_can_learn.md is raised, and what it accepts is right."""

import re
from pathlib import Path

import numpy as np
import pytest
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    PoissonInput,
    Soma,
    SpatialNeuron,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    linked_var,
    ms,
    start_scope,
    um,
)

from brian_eprop import EProp, LeakyReadout, Learner, PiecewiseLinear, TrainableSynapses

pytestmark = pytest.mark.usefixtures("numpy_target")
PAGE = Path(__file__).parents[2] / "docs" / "what_can_learn.md"
LIF = "dv/dt = (drive + g - v)/(20*ms) : 1\ndg/dt = -g/(5*ms) : 1\ndrive : 1"
STEPS = 30
TIMES, CHANNELS = np.nonzero(np.random.default_rng(1).random((STEPS, 8)) < 0.3)


class Net:
    """8 inputs → 5 neurons ⇄ themselves → a readout, and what a case adds to them."""

    def __init__(
        self, order=1, equations=LIF, others=LIF, on_pre="g_post += w", given=(), **neurons
    ):
        start_scope()
        defaultclock.dt = 1 * ms
        once_more = {"period": STEPS * ms}
        spiking = {"threshold": "v > 1", "reset": "v = 0", "method": "euler"} | neurons
        self.source = SpikeGeneratorGroup(8, CHANNELS, TIMES * ms, name="inputs", **once_more)
        self.group = NeuronGroup(5, equations, name="neurons", **spiking)
        self.other = NeuronGroup(
            5, others, name="others", threshold="v > 1", reset="v = 0", method="euler"
        )
        self.readout = LeakyReadout(
            1, tau=20 * ms, target=np.ones((STEPS, 1)), name="output", **once_more
        )
        rule = EProp(order=order, surrogate={self.group: PiecewiseLinear(0.3, 1.0)})
        self.learner = Learner(self.readout, rule, reset_every=STEPS * ms, given=given)
        self.w_in = self.trained(self.source, self.group, on_pre, name="w_in", w=0.5)
        self.w_rec = self.trained(self.group, self.group, on_pre, name="w_rec", w=0.1)
        self.w_out = self.trained(self.group, self.readout, "y_post += w", name="w_out", w=0.5)
        self.further, self.left_out = [], []

    def trained(self, source, target, on_pre, w, **arguments):
        synapses = TrainableSynapses(
            source, target, on_pre=on_pre, learner=self.learner, **arguments
        )
        synapses.connect()
        synapses.w = w
        return synapses

    def plain(self, source, target, on_pre, model="", **arguments):
        synapses = Synapses(source, target, model, on_pre=on_pre, **arguments)
        synapses.connect()
        self.further.append(synapses)
        return synapses

    def shift(self):
        self.group.v = self.group.v + 0.01

    def run(self):
        own = [self.source, self.group, self.other, self.readout, self.w_in, self.w_rec, self.w_out]
        objects = [obj for obj in own if obj not in self.left_out]
        self.network = Network(*objects, *self.further)
        self.network.run(STEPS * ms)
        return self.learner.check(network=self.network, synapses=2)


def plain(on_pre, source="source", target="group", order=1, **arguments):
    def build():
        net = Net(order)
        net.plain(getattr(net, source), getattr(net, target), on_pre, name="plain", **arguments)
        return net

    return build


def code(text, order=1, equations=LIF, group="group", **arguments):
    def build():
        net = Net(order, equations)
        getattr(net, group).run_regularly(text, name="mine", **arguments)
        return net

    return build


def neurons(**arguments):
    return lambda: Net(**arguments)


def operation(counts_as_given=False):
    def build():
        kept = []
        mine = NetworkOperation(lambda: kept[0].shift(), name="mine")
        net = Net(given=[mine] if counts_as_given else [])
        kept.append(net)
        net.further.append(mine)
        return net

    return build


def without_projection():
    net = Net()
    net.left_out.append(net.w_in)
    return net


def poisson_that_scales():
    net = Net()
    net.further.append(PoissonInput(net.group, "g", 5, 10 / (1000 * ms), "0.1*v"))
    return net


def summed(order, what="v_pre - v_post", late=False):
    def build():
        net = Net(order)
        gap = Synapses(net.group, net.group, f"drive_post = 0.1*({what}) : 1 (summed)", name="gap")
        gap.connect()
        if late:
            gap.summed_updaters["drive_post"].order = 1
        net.further.append(gap)
        return net

    return build


def event(condition):
    def build():
        net = Net(equations=LIF, events={"burst": condition}, refractory=2 * ms)
        net.group.run_on_event("burst", "g *= 0.9")
        return net

    return build


def linked():
    net = Net(others=LIF + "\nof_neurons : 1 (linked)")
    net.other.of_neurons = linked_var(net.group, "v")
    net.other.run_regularly("of_neurons *= 0.9", name="mine")
    return net


def onto_readout():
    net = Net()
    net.readout.run_regularly("y *= 0.5", name="forget")
    return net


def named():
    equations = LIF.replace("drive", "psi", 1)
    return Net(equations=equations, namespace={"psi": 0.1})


def at_target():
    net = Net(2)
    net.plain(net.group, net.group, "", on_post="v_pre += 0.1", name="plain")
    return net


def faster():
    net = Net()
    fast = NeuronGroup(2, "x : 1", threshold="x > 1", reset="x = 0", dt=0.25 * ms, name="fast")
    net.further.append(fast)
    net.plain(fast, net.group, "g_post *= 0.9", name="plain")
    return net


def refractory():
    net = Net(refractory=2 * ms)
    net.plain(net.source, net.group, "lastspike_post = t", name="plain")
    return net


def spatial():
    net = Net()
    neuron = SpatialNeuron(
        Soma(30 * um), "Im = 0*amp/meter**2 : amp/meter**2", threshold="v > 0*mV"
    )
    net.further.append(net.trained(net.source, neuron, "v_post += w*mV", w=1))
    return net


def of_others():
    net = Net()
    net.learner.rule.surrogate.update({net.other: PiecewiseLinear(0.3, 1.0)})
    return net


def weights():
    net = Net()
    net.w_rec.run_regularly("w = clip(w, 0, 1)", name="clipped")
    return net


def weights_by_python():
    net = Net()

    def scale():
        net.w_rec.w = 0.9 * np.array(net.w_rec.w)

    net.further.append(NetworkOperation(scale, name="mine"))
    return net


def fed_back():
    net = Net()
    back = Synapses(net.readout, net.group, "drive_post = 0.1*y_pre : 1 (summed)", name="back")
    back.connect()
    net.further.append(back)
    return net


def switched_off():
    net = Net()
    net.group.resetter["spike"].active = False
    return net


class HalfATrial(Net):
    """Somebody assigns a state in the middle of a trial."""

    def run(self):
        network = Network(self.source, self.group, self.readout, self.w_in, self.w_rec, self.w_out)
        network.run(STEPS / 2 * ms)
        self.shift()
        network.run(STEPS / 2 * ms)


MULTIPLIED = "dv/dt = (g - v)/(20*ms) + 0.1*v*xi/sqrt(ms) : 1\ndg/dt = -g/(5*ms) : 1"
STEPPED = "dv/dt = (floor(v) + g - v)/(20*ms) : 1\ndg/dt = -g/(5*ms) : 1"
#: What is written, as the table of what is refused calls it.
REFUSED = {
    '`threshold="v > 1 + 0.1*rand()"`': neurons(threshold="v > 1 + 0.1*rand()"),
    '`threshold="v > 1 or v < -1"`': neurons(threshold="v > 1 or v < -1"),
    "`floor(v)` in the equations": neurons(equations=STEPPED),
    "noise that is multiplied by the state": neurons(equations=MULTIPLIED),
    '`on_pre="g_post += w*(1 - v_post)"`': neurons(on_pre="g_post += w*(1 - v_post)"),
    '`on_pre="g_post += w*rand()"`': neurons(on_pre="g_post += w*rand()"),
    '`run_regularly("v *= rand()")`': code("v *= rand()"),
    "`run_on_event` at an event of the state": event("v > 0.5"),
    '`Synapses(..., on_pre="v_post += 0.1*g_post")`': plain("v_post += 0.1*g_post"),
    '`Synapses(..., on_pre="g_post *= rand()")`': plain("g_post *= rand()"),
    '`Synapses(..., on_post="g_post *= 0.9")`': plain("", on_post="g_post *= 0.9"),
    '`Synapses(..., on_post="v_pre += 0.1")`, order 2': at_target,
    '`on_pre="g_post *= 0.9"` from a group on a faster clock': faster,
    '`on_pre="lastspike_post = t"`': refractory,
    "`PoissonInput` whose weight depends on a state": poisson_that_scales,
    "code of another group, by a linked variable": linked,
    '`"drive_post = tanh(v_pre - v_post) : 1 (summed)"`': summed(1, "tanh(v_pre - v_post)"),
    "a sum over synapses that is computed after the state update": summed(1, late=True),
    "a `NetworkOperation` that changes `v`": operation(),
    "trained synapses that are not in the `Network`": without_projection,
    "code that changes the readout": onto_readout,
    "a `SpatialNeuron` that learns": spatial,
    "`EProp(surrogate={other: ...})` of a group that learns nothing": of_others,
    "an output that feeds back into the neurons": fed_back,
    "code that changes a trained weight": weights,
    "a `NetworkOperation` that changes a weight within a trial": weights_by_python,
    '`group.resetter["spike"].active = False`': switched_off,
    "`group.v = …` between two runs within a trial": HalfATrial,
    "a constant with a name that learning shows, such as `psi` or `grad`": named,
}
#: What runs, as the table of what is accepted calls it; the name of its object; its role.
ACCEPTED = {
    '`run_regularly("g = 2*tanh(g/2)")`': (
        code("g = 2*tanh(g/2)"),
        "mine",
        "differentiated",
    ),
    '`run_regularly("drive = 0.1 + 0.1*tanh(v)")`': (
        code("drive = 0.1 + 0.1*tanh(v)"),
        "mine",
        "differentiated",
    ),
    '`run_regularly("drive = 0.1 + 0.5*rand()")`': (
        code("drive = 0.1 + 0.5*rand()"),
        "mine",
        "given",
    ),
    "`run_on_event` at an event of the spikes' times": (
        event("t > lastspike + 3*ms"),
        "neurons_burst_resetter",
        "differentiated",
    ),
    '`Synapses(..., on_pre="g_post += 0.1")`': (plain("g_post += 0.1"), "plain_pre", "given"),
    '`Synapses(..., on_pre="g_post *= 0.9")`': (plain("g_post *= 0.9"), "plain_pre", "factor"),
    "plain `Synapses` among the neurons, order 1": (
        plain("g_post += 0.1", "group"),
        "plain_pre",
        "given",
    ),
    "plain `Synapses` among the neurons, order 2": (
        plain("g_post += 0.1", "group", order=2),
        "plain_pre",
        "followed",
    ),
    "gap junctions, `(summed)`, order 1": (
        summed(1),
        "gap_summed_variable_drive_post",
        "followed",
    ),
    "the same at order 2": (summed(2), "gap_summed_variable_drive_post", "followed"),
    "`Learner(given=[operation])`": (operation(counts_as_given=True), "mine", "given"),
}


def rows(mark):
    """Rows of a table of the page: lists of cells."""
    table = PAGE.read_text("utf-8").split(f"<!-- {mark} -->\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()][
        2:
    ]


def root(error):
    """What Brian2 has wrapped."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", REFUSED)
def test_what_the_page_says_is_refused_is_refused_with_these_words(case):
    (message,) = [cells[1] for cells in rows("refused") if cells[0] == case]
    with pytest.raises(Exception) as raised:  # Brian2 wraps what its objects raise
        REFUSED[case]().run()
    error = root(raised.value)
    assert isinstance(error, ValueError)
    expected = ".*".join(re.escape(part) for part in message.strip("“”").split("…"))
    assert re.search(expected, str(error)), str(error)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", ACCEPTED)
def test_what_the_page_says_is_accepted_has_this_role_and_passes_the_check(case):
    (role,) = [cells[1] for cells in rows("accepted") if cells[0] == case]
    build, name, expected = ACCEPTED[case]
    net = build()
    checked = net.run()
    found = [net.learner.network.role(a) for a in net.learner.network.actions if a.name == name]
    assert found == [expected] == [role]
    assert checked.passed, str(checked)


def test_each_row_is_a_test():
    assert [cells[0] for cells in rows("refused")] == list(REFUSED)
    assert [cells[0] for cells in rows("accepted")] == list(ACCEPTED)
