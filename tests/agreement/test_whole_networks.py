"""Whole networks that nobody has written: each is refused by name, or its gradient is right."""

import gc
import math
import os
import re
import traceback
from collections import Counter

import numpy as np
import pytest
from brian2.core.names import Nameable
from brian2.units import DimensionMismatchError
from covering import EVERY_CASE
from hypothesis import HealthCheck, Phase, given, seed, settings
from whole_networks import whole_networks

import brian_eprop

pytestmark = [
    pytest.mark.usefixtures("names", "numpy_target"),
    pytest.mark.filterwarnings("ignore"),  # spikes without bounds overflow, as they may
]

PACKAGE = os.path.dirname(brian_eprop.__file__)
#: The same numbers, some dozens of them, summed in another order.
ROUND_OFF = 1e-9
NOTHING = "0 throughout"
CHECK, RUN = "L.check(T*ms, network, synapses={})", "network.run(T*ms)"


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__


def refusal(error):
    """The error of ours among an error and its causes, or None."""
    for e in chain(error):
        frames = traceback.extract_tb(e.__traceback__)
        known = isinstance(e, ValueError | TypeError | DimensionMismatchError)
        if known and frames and frames[-1].filename.startswith(PACKAGE):
            return e
    return None


def build(script):
    """Run a script: its names."""
    Nameable.__instances__().clear()  # names, by which Brian2 sorts, are the same again
    names = {"__name__": "whole_network"}
    exec(compile(script, "<whole network>", "exec"), names)
    return names


def fails_without_learning(network):
    """Whether Brian2 refuses the network in which nothing learns, too."""
    try:
        eval(RUN, build(network.plain()))
    except Exception:
        return True
    return False


def refused(network, error, names):
    """What became of a network that ended with an error, and the message."""
    why = refusal(error)
    if why is None:
        if fails_without_learning(network):
            return {"refused", "refused by Brian2"}, str(list(chain(error))[-1])
        raise error
    if names:
        # A run is refused as the check is, before its first step
        with pytest.raises(Exception) as raised:
            eval(RUN, names)
        assert str(refusal(raised.value)) == str(why)
        assert float(names["network"].t) == 0
    return {"refused"}, str(why)


def gradients(names):
    """Run a network: the gradients of its projections, by the names in the script."""
    eval(RUN, names)
    return {
        name: np.array(synapses.grad[:])
        for name, synapses in names.items()
        if name.startswith(("trained_", "output_")) and "grad" in synapses.variables
    }


def judge(network, synapses):
    """What became of a network: a set of words, and the message of a refusal.

    ``synapses`` of each projection are checked.
    """
    names = {}
    try:
        names = build(network.script())
        report = eval(CHECK.format(synapses), names)
    except Exception as error:
        return refused(network, error, names)
    words = {"accepted"}
    words |= {"fired"} if report.spikes else set()
    hidden = {obj.name for name, obj in names.items() if name.startswith("trained_")}
    said = [row for row in report.rows if not row.remark.startswith(NOTHING)]
    words |= {"learned" for row in said if row.projection in hidden and row.value != 0}
    wrong = [row for row in said if not row.passed]
    if report.reason:
        return words | {"not checked"}, report.reason
    undecided = [r for r in wrong if not r.remark and r.uncertainty > 1e-6 and r.error < 1e-3]
    assert len(wrong) == len(undecided), f"gradients are wrong:\n{report}"
    if undecided:
        words.add("undecided")
    elif said:
        words.add("passed")
    if network.other:
        found = gradients(names)
        try:
            other = gradients(build(network.script(network.other)))
        except Exception as error:
            if refusal(error) is None:
                raise
            return words, ""
        for name, grad in found.items():
            difference = np.abs(grad - other[name]).max(initial=0)
            size = np.abs(grad).max(initial=0)
            assert difference <= ROUND_OFF * size, f"engines disagree: {name}"
        words.add("engines agree")
    return words, ""


def kind(message):
    """A message without the names in it."""
    return re.sub(r"'[^']*'|[0-9.]+", "…", message.split("\n")[0])[:100]


def try_networks(first_seed, number, synapses):
    """Judge so many different networks: how many of each kind, and the messages.

    Hypothesis draws ten from a seed, since it goes on with variations of what it has drawn.
    """
    seen, words, messages = set(), Counter(), Counter()
    start = first_seed
    while len(seen) < number:

        @seed(start)
        @settings(
            max_examples=10,
            phases=[Phase.generate],  # to make a smaller one of a failure takes very long
            derandomize=False,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(whole_networks())
        def try_one(network):
            if network.text in seen or len(seen) == number:
                return
            seen.add(network.text)
            gc.freeze()  # each run of Brian2 would look through all of what is there
            found, message = judge(network, synapses)
            words.update(found)
            if message:
                messages[kind(message)] += 1

        with np.errstate(all="ignore"):
            try_one()
        start += 1
    print(dict(words), *(f"{n:3} {message}" for message, n in messages.most_common()), sep="\n")
    return words


def assert_enough(words, number):
    accepted = words["accepted"]
    assert accepted + words["refused"] == number
    assert words["refused by Brian2"] <= 0.1 * number
    assert accepted >= 0.25 * number
    assert words["fired"] >= 0.7 * accepted
    assert words["learned"] >= 0.6 * accepted
    assert words["passed"] >= 0.6 * accepted
    assert words["undecided"] + words["not checked"] <= math.ceil(0.3 * accepted)
    assert words["engines agree"] >= 1


def test_whole_networks_are_right_or_refused():
    assert_enough(try_networks(0, 6, synapses=1), 6)


@pytest.mark.slow
@pytest.mark.hypothesis
@pytest.mark.parametrize("shard", range(2 if EVERY_CASE else 1))
def test_many_whole_networks_are_right_or_refused(shard):
    number = max(20, settings().max_examples // 5)
    assert_enough(try_networks(100 * (shard + 1), number, synapses=1), number)


HELD = """
from brian2 import *
from brian_eprop import *

prefs.codegen.target = "numpy"
defaultclock.dt = 1*ms
rng = np.random.default_rng(1)
steps, channels = np.nonzero(rng.random((40, 4)) < 0.4)
inputs = SpikeGeneratorGroup(4, channels, steps*ms, period=40*ms)
R = LeakyReadout(1, tau=9*ms, target=np.ones(40), period=40*ms)
rule = EProp(surrogate=FastSigmoid(0.03, 10), reset_path={"fast": "detached"})
L = Learner(R, rule, reset_every=40*ms)
P = NeuronGroup(3, "dv/dt = (1 - v)/(9*ms) : 1 (unless refractory)", threshold="v > 6",
                refractory=3*ms, method="euler", events={"fast": "v > 4"})
W = TrainableSynapses(inputs, P, on_pre="v_post += w", learner=L)
W.connect()
W.w = 3*rng.random(12)
O = TrainableSynapses(P, R, on_pre="y_post += w", learner=L)
O.connect()
O.w = rng.standard_normal(3)
network = Network(inputs, P, R, W, O)
"""
WRITERS = {
    "run_regularly": "P.run_regularly('v = 0.9*v + 0.2; v *= 0.95', dt=1*ms, when='{slot}')",
    "slower": "P.run_regularly('v -= 0.1*v', dt=2*ms, when='{slot}')",
    # Brian2 runs it as a reset.
    "event": "P.run_on_event('fast', 'v *= 0.8', when='{slot}')",
    "synapses": """
X = Synapses(inputs, P, on_pre="v_post *= 0.8")
X.connect()
X.pre.when = "{slot}"
network.add(X)
""",
}


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(slot=["after_groups"])
@pytest.mark.parametrize("slot", ["after_groups", "after_synapses"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_state_that_is_held_is_held_against_all_but_resets_and_events(writer, slot):
    names = {}
    exec(HELD + WRITERS[writer].format(slot=slot), names)
    report = eval("L.check(40*ms, network, synapses=2)", names)
    assert report.passed, str(report)
    assert report.spikes >= 5


ALONG = """
V = TrainableSynapses(P, P, on_pre="v_post += w", learner=L)
V.connect()
V.w = rng.standard_normal(9)
network.add(V)
"""


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(order=["3"])
@pytest.mark.parametrize("order", ["2", "3", "math.inf"])
@pytest.mark.parametrize("slot", ["start", "before_thresholds", "after_synapses"])
def test_credit_of_several_hops_meets_other_code_where_it_runs(order, slot):
    text = HELD.replace("EProp(", f"EProp(order={order}, ")
    code = f"P.run_regularly('v *= 0.9', dt=1*ms, when='{slot}')"
    names = {"math": math}
    exec(text + ALONG + code, names)
    report = eval("L.check(40*ms, network, synapses=1)", names)
    assert report.passed, str(report)
    assert report.spikes >= 5
