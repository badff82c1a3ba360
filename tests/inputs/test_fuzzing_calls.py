"""Junk in place of any argument of any public function is refused by the argument's name."""

import inspect
from itertools import product

import pytest
from brian2 import defaultclock, ms
from fuzzed_calls import JUNK, calls, verdict

import brian_eprop

pytestmark = pytest.mark.usefixtures("numpy_target")

#: What is no function of the user's arguments.
#: Made by others, without arguments, or rooms.
OTHERS = {"FitResult", "Gradients", "Linearization", "available_models", "fast_build"}
OTHERS |= {"connectivity", "reference", "tasks"}
#: With an optional package; see tests/network/test_nir.py.
OTHERS |= {"from_nir", "to_nir"}
CALLS = calls()


def test_every_public_function_and_every_argument_is_there():
    missing = set(brian_eprop.__all__) - OTHERS - set(CALLS)
    assert not missing
    for name, (function, arguments) in CALLS.items():
        taken = {
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        assert taken - {"options"} <= set(arguments()), name


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", CALLS)
def test_arguments_that_are_right(name):
    defaultclock.dt = 1 * ms
    function, arguments = CALLS[name]
    function(**arguments())


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_junk_is_refused_by_name(name):
    """A call that is refused changes none of its arguments."""
    defaultclock.dt = 1 * ms
    function, arguments = CALLS[name]
    complaints, given = {}, arguments()

    def call(**options):
        nonlocal given
        function(**options)
        given = arguments()

    for argument, junk in product(list(given), JUNK):
        # pools of processes take their time
        if argument != "workers" or junk not in ("huge", "true"):
            complaints[argument, junk] = verdict(call, given, argument, junk)
    assert len(complaints) >= len(JUNK) - 2
    assert {case: said for case, said in complaints.items() if said is not None} == {}


def test_what_would_be_wrong_is_seen():
    def careless(weight=1):
        return weight * 2.0

    assert "unsupported operand" in verdict(careless, {"weight": 1}, "weight", "object")
    assert verdict(careless, {"weight": 1}, "weight", "complex") == "accepted"
