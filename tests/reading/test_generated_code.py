"""Code that Brian2 has generated: with the values of each function, and compiled, or refused."""

import numpy as np
import pytest
from brian2 import Function, TimedArray, ms, prefs
from compiled_programs import compile_some, program_in
from own_networks import STIM, Small, T, refusal

from brian_eprop.brian.code import of_learning

pytestmark = pytest.mark.usefixtures("numpy_target")

OTHER = 5 + np.arange(T)


DRIVEN = "dv/dt = -v/(20*ms) + (STIM(t) + g)*mV/ms : volt\ng : 1"


def driven(name, values=OTHER, code="g = 0.1*more(t)"):
    """Neurons whose membrane reads one array, and whose parameter another one."""

    def others(small):
        more = TimedArray(values, dt=1 * ms, name=name)
        small.group.namespace["more"] = more
        return [small.group.run_regularly(code)]

    return Small(DRIVEN, others=others)


def test_arrays_of_one_name_are_refused_in_a_program(tmp_path):
    """Brian2 would write the values of one of them for both."""
    with program_in(tmp_path):
        error = refusal(driven(STIM.name).run)
    assert f"two TimedArrays call their values '{STIM.name}_values'" in error
    assert "neurons_run_regularly" in error and "neurons_stateupdater" in error
    assert "name=..." in error


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("name", ["more*", STIM.name])
def test_arrays_of_their_own_name_or_of_the_same_values_are_not(name, tmp_path):
    values = OTHER if name != STIM.name else STIM.values
    expected = driven("more*", values).run()
    assert np.any(expected[1])
    with program_in(tmp_path):
        found = driven(name, values).run()
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-10)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)


@pytest.mark.slow
@pytest.mark.cython
def test_cython_keeps_arrays_of_one_name_apart_but_in_one_piece_of_code(capfd):
    expected = driven("more*").run()
    small = driven(STIM.name)
    compile_some(small.network, users_code)
    found = small.run()
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)
    assert np.any(found[1])
    prefs.codegen.target = "numpy"
    small = driven(STIM.name, code="g = 0.1*more(t) + 0*STIM(t)")
    compile_some(small.network, users_code)
    error = refusal(small.run)
    assert f"two TimedArrays call their values '{STIM.name}_values'" in error
    assert "redeclared" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.cython
@pytest.mark.parametrize("text", ["return x +", "return 2*x"])
def test_code_that_cython_does_not_compile_is_not_left_out(text, capfd):
    """Brian2 prints what the compiler says, and runs on without it."""
    double = Function(lambda x: 2 * x, arg_units=[1], return_unit=1)
    double.implementations.add_implementation(
        "cython", f"cdef double double_(double x):\n    {text}", name="double_"
    )

    def others(small):
        small.group.namespace["double"] = double
        return [small.group.run_regularly("g = 0.1*double(i)")]

    small = Small(DRIVEN, others=others)
    compile_some(small.network, users_code)
    error = refusal(small.run)
    if text == "return 2*x":
        assert error is None and small.group.g[3] == pytest.approx(0.6)
    else:
        assert "Cython does not compile the code 'neurons_run_regularly" in error
        assert "Error compiling Cython file" in capfd.readouterr().err
        assert small.network.t == 0 * ms


def users_code(obj):
    return "run_regularly" in obj.name and not of_learning(obj)
