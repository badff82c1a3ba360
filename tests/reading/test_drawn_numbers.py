"""Random numbers are refused where the derivative would draw others, and additive noise is not."""

import pytest
from brian2 import ms
from own_networks import LIF, Small, T, refusal

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options",
    [
        {"threshold": "v > 15*mV*rand()"},
        {"threshold": "v + randn()*mV > 15*mV"},
        {"threshold": "v > 15*mV*q", "equations": LIF + "\nq = rand() : 1"},
        {"reset": "v = 8*mV*rand()"},
        {"reset": "v -= 15*mV + randn()*mV"},
        {"reset": "v = 1*mV*poisson(2)"},
        {"on_pre": "v_post += w*rand()*mV"},
        {"on_pre": "v_post += w*mV*(1 + randn())"},
        {"on_pre": "v_post += w*mV*int(rand() < 0.5)"},
        {"on_pre": "v_post += w*mV*poisson(2)"},
        {"equations": "dv/dt = -v*(1 + q)/(20*ms) : volt\nq = rand() : 1"},
    ],
    ids=str,
)
def test_a_number_that_would_be_drawn_again_is_refused(options):
    error = refusal(lambda: Small(**options).run())
    assert error is not None
    assert "random" in error


def drawing(code):
    def others(small):
        small.group.run_regularly(code, dt=1 * ms, when="before_groups")

    return others


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("code", ["v += randn()*mV", "v = v*0.9 + rand()*mV", "th = rand()*mV"])
def test_numbers_that_add_to_the_state_or_are_kept_in_a_variable_pass_the_check(code):
    equations = LIF + "\nth : volt"
    small = Small(equations, drawing(code), threshold="v > 15*mV + th")
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)


def test_a_random_factor_of_the_state_is_refused():
    assert "random number" in refusal(lambda: Small(others=drawing("v *= rand()")).run())


def test_noise_in_the_equations_passes_the_check():
    small = Small(LIF.replace(" : volt", " + 2*mV*xi/sqrt(20*ms) : volt"))
    found = small.learner.check(T * ms, small.network, synapses=2)
    assert found.passed, str(found)
