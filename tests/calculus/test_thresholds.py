"""Thresholds and resets as people write them: gates, flags, counters, the time of the last spike.

A gate opens and closes the threshold: where it is closed, ψ is 0. Each case is the same simulation
as one without a gate, whose threshold is out of reach of ψ where the gate is closed, and passes
the check, which knows nothing of either.
"""

import math
import re

import numpy as np
import pytest
from brian2 import StateMonitor, Synapses, TimedArray, ms, mV
from own_networks import LIF, RNG, WIDE, Small, T, assert_one_simulation, refusal

from brian_eprop import EProp
from brian_eprop.calculus import one_step
from brian_eprop.calculus.derivatives import NoDerivativeError

pytestmark = pytest.mark.usefixtures("numpy_target")

RULES = [(1, "credit"), (1, "traces"), (math.inf, "credit")]
#: Out of reach of ψ, whose support is 15 mV to each side.
OPEN = TimedArray((RNG.random(T) > 0.4).astype(float), dt=1 * ms)
LEVEL = TimedArray(RNG.random(T), dt=1 * ms)
NAMES = {"OPEN": OPEN, "LEVEL": LEVEL, "vt": 15 * mV}


def recurrent(small):
    """Spikes that come back, so that orders above 1 have more to do."""
    S = Synapses(small.group, small.group, on_pre="v_post += 1.5*mV", name="recurrent")
    S.connect(condition="i != j")
    return [S]


def build(threshold="v > vt", reset="v = 0*mV", equations=LIF, **options):
    options = {"others": recurrent, "names": NAMES} | options
    return Small(equations, threshold=threshold, reset=reset, **options)


def assert_passes(small, synapses=2):
    found = small.learner.check(network=small.network, synapses=synapses)
    assert found.passed, str(found)
    assert found.spikes > 10
    assert any(row.finite_difference != 0 for row in found.rows)


def shut(small):
    small.group.shut = "i == 0"


def allowed(small):
    small.group.allowed = "i != 2"


#: name → (gate, equations, reset, what changes the neurons first, refractoriness)
GATES = {
    "refractoriness": ("not_refractory", "", "", None, "3*ms"),
    "time": ("t > 20*ms", "", "", None, None),
    "a time that the reset sets": ("t > last + 2.5*ms", "last : second", "last = t", None, None),
    "a boolean parameter": ("allowed", "allowed : boolean", "", allowed, None),
    "not a boolean": ("not shut", "shut : boolean", "", shut, None),
    "a constant number": ("i < 4", "", "", None, None),
    "a TimedArray of zeros and ones": ("OPEN(t) > 0.5", "", "", None, None),
    "a TimedArray that is compared": ("LEVEL(t) > 0.4", "", "", None, None),
    "a comparison of equality": ("i != 1", "", "", None, None),
    "either of two": ("(t > 30*ms or i < 3)", "", "", None, None),
    "two gates": ("t > 10*ms and OPEN(t) > 0.5", "", "", None, None),
    "an integer that the reset counts": ("n < 3", "n : integer", "n += 1", None, None),
    "a boolean that the reset sets": ("not tired", "tired : boolean", "tired = i > 2", None, None),
    "a subexpression of time": ("free", "free = t > 15*ms : boolean", "", None, None),
}

SOME = {"a time that the reset sets", "two gates", "an integer that the reset counts"}
SPELLINGS = ["v > vt and {}", "{} and v >= vt", "vt < v and {}"]


def gated(case, spelling, **options):
    """The case, with a variable that is 1 where its gate is open."""
    gate, equations, reset, first, refractory = GATES[case]
    options["refractory"] = eval(refractory) if refractory else False
    equations = f"{LIF}\n{equations}\nis_open = int({gate}) : 1"
    return build(spelling.format(gate), f"v = 0*mV\n{reset}", equations, first=first, **options)


def given(case, opened, **options):
    """The same with what the gate was, for every neuron and step, and no gate."""
    _, equations, reset, first, refractory = GATES[case]
    options["refractory"] = eval(refractory) if refractory else False
    far = TimedArray(1e6 * (1 - opened), dt=1 * ms)
    return build(
        "v > vt + FAR(t, i)*mV",
        f"v = 0*mV\n{reset}",
        f"{LIF}\n{equations}",
        first=first,
        names=NAMES | {"FAR": far},
        **options,
    )


def ways():
    """Every gate by both engines and both orders, a few by every rule; each spelling in turn."""
    for k, case in enumerate(GATES):
        for order, engine in RULES if case in SOME else RULES[1:]:
            spelling = SPELLINGS[(k + (engine == "traces")) % 3]
            name = f"{spelling.format(case)}, {order}, {engine}"
            yield pytest.param(case, spelling, order, engine, id=name)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "spelling", "order", "engine"), [*ways()])
def test_where_a_gate_is_closed_psi_is_0(case, spelling, order, engine):
    rule = {"order": order, "engine": engine}

    def watched(small):
        watch = {"when": "thresholds", "order": -0.5, "name": "watch"}
        return [*recurrent(small), StateMonitor(small.group, "is_open", record=True, **watch)]

    small = gated(case, spelling, **rule, others=watched)
    assert_passes(small, synapses=1)  # all others are those of the pair
    small.run()
    opened = np.asarray(small.network["watch"].variables["is_open"].get_value())
    assert set(np.unique(opened)) == {0, 1}
    pair = given(case, opened, **rule)
    pair.run()
    assert_one_simulation(pair, small)


@pytest.mark.slow
@pytest.mark.parametrize(("order", "engine"), RULES)
def test_a_gate_is_no_path_but_a_wrong_gate_is_found(order, engine, monkeypatch):
    read = one_step._threshold
    monkeypatch.setattr(one_step, "_threshold", lambda *args: (read(*args)[0], ""))
    small = build("v > vt and t > 20*ms", order=order, engine=engine)
    assert not small.learner.check(network=small.network, synapses=2).passed


#: name → (threshold, equations, reset, what the error says)
REFUSED = {
    "two parts with dynamics": (
        "(v > vt) and (g > 0)",
        LIF + "\ndg/dt = (v/mV - g)/(5*ms) : 1",
        "v = 0*mV",
        "has 2 parts that depend on its equations",
    ),
    "either of two": ("v > vt or v < -vt", LIF, "v = 0*mV", "is not a single inequality"),
    "either of a state and a gate": (
        "v > vt or t > 70*ms",
        LIF,
        "v = 0*mV",
        "is not a single inequality",
    ),
    "negation": ("not (v < vt)", LIF, "v = 0*mV", "is not a single inequality"),
    "equality": ("v == vt", LIF, "v = 0*mV", "is not a single inequality"),
    "a chain": ("0*mV < vt < v", LIF, "v = 0*mV", "is not a single inequality"),
    "no state at all": (
        "t > 20*ms and i > 1",
        LIF,
        "v = 0*mV",
        "has no parts that depend on its equations",
    ),
    "a state through a subexpression of a gate": (
        "v > vt and high",
        LIF + "\nhigh = v > 12*mV : boolean",
        "v = 0*mV",
        "has 2 parts that depend on its equations",
    ),
    "a boolean of the reset in the update": (
        "v > vt",
        "dv/dt = -v*(1 + int(tired))/(20*ms) : volt\ntired : boolean",
        "v = 0*mV; tired = True",
        "sets 'tired', a boolean on which its equations, reset or threshold depend",
    ),
    "a boolean of the reset in the reset": (
        "v > vt",
        LIF + "\ntired : boolean",
        "v = 5*mV*int(tired); tired = not tired",
        "sets 'tired', a boolean",
    ),
    "a boolean of the reset in the distance": (
        "v > vt + 3*mV*int(tired)",
        LIF + "\ntired : boolean",
        "v = 0*mV; tired = True",
        "sets 'tired', a boolean",
    ),
    "a boolean of the reset in a subexpression of the update": (
        "v > vt",
        "dv/dt = -v*rate/(20*ms) : volt\nrate = 1 + int(tired) : 1\ntired : boolean",
        "v = 0*mV; tired = True",
        "sets 'tired', a boolean",
    ),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_what_has_no_distance_or_no_derivative_is_refused(case, engine):
    threshold, equations, reset, says = REFUSED[case]
    with pytest.raises(NoDerivativeError, match=re.escape(says)) as refused:
        build(threshold, reset, equations, engine=engine)
    assert "'neurons'" in str(refused.value)


def test_a_threshold_with_a_comparison_inside_is_no_error():
    """SymPy does not know that int(…) is real, and compares only what is."""
    threshold = "v > vt + int(t > 40*ms)*5*mV"
    opened = build(
        "v > vt + RAISED(t)*mV",
        names=NAMES | {"RAISED": TimedArray(5.0 * (np.arange(T) > 40), dt=1 * ms)},
    )
    small = build(threshold)
    for one in (opened, small):
        one.run()
    assert_one_simulation(opened, small)


#: What spikes change, as it acts on the threshold: (threshold, equations, reset, rule)
PATHS = {
    "implicit": ("v > vt + b", "b : volt", "b += 0.5*mV", {}),
    "explicit": ("v > vt + b", "b : volt", "b += 0.5*mV", {"b": "explicit", "v": "explicit"}),
    "detached": ("v > vt + b", "b : volt", "b += 0.5*mV", {"b": "detached"}),
    "and a gate": ("v > vt + b and b < 3*mV", "b : volt", "b += 0.5*mV", {}),
    "an integer, detached": ("v > vt + n*0.5*mV", "n : integer", "n += 1", {"n": "detached"}),
    "a time": ("v > vt + 9*mV*exp(-(t - last)/(9*ms))", "last : second", "last = t", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PATHS)
@pytest.mark.parametrize(("order", "engine"), [(1, "traces"), (math.inf, "credit")])
def test_what_spikes_change_acts_on_the_threshold_along_a_path(case, order, engine):
    threshold, equations, reset, paths = PATHS[case]
    rule = EProp(order=order, engine=engine, surrogate=WIDE, reset_path=paths)
    assert_passes(build(threshold, f"v = 0*mV; {reset}", f"{LIF}\n{equations}", rule=rule))


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, math.inf])
def test_an_integer_that_spikes_change_is_like_a_number(order):
    one, other = (
        build("v > vt + n*0.5*mV", "v = 0*mV; n += 1", f"{LIF}\nn : {kind}", order=order)
        for kind in ("integer", "1")
    )
    found = one.learner.check(network=one.network, synapses=1)
    assert not found.passed
    assert "'n' of group 'neurons', an integer, which cannot be moved by a little" in str(found)
    one.run(), other.run()
    assert_one_simulation(other, one)
    assert_passes(build("v > vt + n*0.5*mV", "v = 0*mV; n += 1", f"{LIF}\nn : 1", order=order))


SINCE = {
    "threshold": ("v > vt + 9*mV*exp(-(t - lastspike)/(9*ms))", LIF),
    "equations": ("v > vt", "dv/dt = -v*(1 + exp(-(t - lastspike)/(9*ms)))/(20*ms) : volt"),
}


@pytest.mark.slow
@pytest.mark.parametrize("where", SINCE)
@pytest.mark.parametrize(("order", "engine"), RULES)
def test_the_path_through_the_time_of_the_last_spike_is_left_out_if_one_says_so(
    where, order, engine
):
    rule = EProp(order=order, engine=engine, surrogate=WIDE, reset_path={"lastspike": "detached"})
    threshold, equations = SINCE[where]
    assert_passes(build(threshold, equations=equations, rule=rule, refractory="False"))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("where", SINCE)
@pytest.mark.parametrize("paths", [{}, {"lastspike": "implicit"}, {"lastspike": "explicit"}])
def test_the_path_through_the_time_of_the_last_spike_is_not_left_out_in_silence(where, paths):
    threshold, equations = SINCE[where]
    rule = EProp(surrogate=WIDE, reset_path=paths)
    with pytest.raises(ValueError, match=r"'neurons' depends on 'lastspike'.*'detached'.*last = t"):
        build(threshold, equations=equations, rule=rule, refractory="False")


@pytest.mark.slow
def test_the_time_of_the_last_spike_in_a_gate_is_no_path():
    small = build("v > vt and t - lastspike > 4.5*ms", refractory="False", order=math.inf)
    assert_passes(small)


def burst(code):
    return {
        "events": {"burst": "t > lastspike + 3.5*ms"},
        "refractory": "False",
        "first": lambda s: s.group.run_on_event("burst", code),
    }


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("path", ["implicit", "detached"])
@pytest.mark.parametrize("order", [1, math.inf])
def test_an_event_of_the_spikes_times_is_a_gate_of_its_code(order, path):
    rule = EProp(order=order, surrogate=WIDE, reset_path={"lastspike": path, "burst": "detached"})
    refused = refusal(lambda: assert_passes(build(rule=rule, **burst("v *= 0.9"))))
    assert refused is None or "reset_path names 'lastspike'" in refused


def test_an_event_of_the_state_is_refused_unless_it_is_detached():
    def with_event(**paths):
        rule = EProp(surrogate=WIDE, reset_path=paths)
        options = {"first": lambda s: s.group.run_on_event("burst", "v *= 0.9")}
        return build(rule=rule, events={"burst": "v > 10*mV"}, **options)

    says = refusal(with_event().run)
    assert "burst" in says
    with_event(burst="detached").run()
