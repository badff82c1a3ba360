"""What tests keep of Brian2's work is what Brian2 works out: see tests/support/kept_results.py."""

import kept_results
import numpy as np
import pytest
from brian2 import DEFAULT_FUNCTIONS, NeuronGroup, TimedArray, ms
from brian2.codegen import translation
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.stateupdaters.exact import LinearStateUpdater

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Groups in which the same names are something else, each of them in the code.
GROUPS = [
    "a : 1\nb : 1",
    "a : integer\nb : 1",
    "a : boolean\nb : 1",
    "a : 1 (shared)\nb : 1",
    "a : 1 (shared)\nb : 1 (shared)",
    "a : 1 (constant)\nb : 1",
    "a = 2*b : 1\nb : 1",
    "a = 3*b : 1\nb : 1",
    "a = 3*b : 1\nb : 1 (shared)",
    "a = 3*b : 1\nb : integer",
    "a : 1\nb : 1\nx : 1",
]
CODE = "x = 2*(3*a)*b\ny = exp(2*a)"


def written(statements):
    """Everything of some statements."""
    return [[{k: str(v) for k, v in vars(s).items()} for s in block] for block in statements]


@pytest.mark.parametrize("optimise", [True, False])
def test_statements_are_those_of_brian2(optimise):
    make, found = translation.make_statements, []
    for text in GROUPS:
        variables = dict(NeuronGroup(2, text).variables)
        variables["exp"] = DEFAULT_FUNCTIONS["exp"]
        arguments = CODE, variables, np.float64, optimise
        assert make(*arguments) is make(*arguments), "nothing is kept"
        found.append(written(make(*arguments)))
        assert found[-1] == written(make.__wrapped__(*arguments))
    # so that to take one for another would have been seen
    assert len({str(statements) for statements in found}) >= 6


def test_statements_of_another_kind_of_variable_would_be_seen(monkeypatch):
    """Negative control: kept by the names alone."""
    monkeypatch.setattr(kept_results, "kind", lambda name, variable: name)
    wrong, right = (
        kept_results.statements_by_content(translation.make_statements.__wrapped__),
        translation.make_statements.__wrapped__,
    )
    groups = [dict(NeuronGroup(2, text).variables) for text in GROUPS]
    one, other = (
        [written(make("x = a*b", g, np.float64)) for g in groups] for make in (wrong, right)
    )
    assert one != other


def test_integrators_are_those_of_brian2():
    integrate, found = LinearStateUpdater.__call__, []
    for text in ("dv/dt = -v*f(t)/tau : 1", "dv/dt = (1 - v*f(t))/tau : 1"):
        for tau in ("tau : second (constant)", "tau : second"):
            for dt in (2 * ms, 3 * ms):
                group = NeuronGroup(1, f"{text}\n{tau}", dt=dt, namespace={})
                variables = dict(group.variables)
                variables["f"] = TimedArray([1.0, 2.0], dt=2 * ms)
                outcomes = []
                for one in (integrate, integrate, integrate.__wrapped__):
                    try:
                        outcomes.append(one(LinearStateUpdater(), group.equations, variables))
                    except UnsupportedEquationsException as error:
                        outcomes.append(str(error))
                assert outcomes[0] == outcomes[1] == outcomes[2]
                found.append(outcomes[0])
    assert len(set(found)) >= 3
