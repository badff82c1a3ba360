"""Programs that `fast_build` compiles are those of Brian2, and what is unchanged stays."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from brian2 import (
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    device,
    implementation,
    ms,
    run,
    seed,
    set_device,
)
from brian2.core.functions import DEFAULT_FUNCTIONS
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.units import check_units

from brian_eprop.brian import fast_build as building
from brian_eprop.brian import internals

INCLUDES = '#include "objects.h"\n#include<cmath>\n'
HELPERS = "namespace {\n    double helper(double x) { return x; }\n}\n"


def code(name, more=""):
    """A piece of code as Brian2 writes it."""
    return f"{INCLUDES}{more}\n{HELPERS}\nvoid _run_{name}()\n{{\n    helper(1);\n}}\n"


def merged(folder, pieces, processors, monkeypatch):
    """What is compiled, and the text of the files in which pieces of code are together."""
    monkeypatch.setattr(building.os, "sched_getaffinity", lambda pid: range(processors))
    (folder / "code_objects").mkdir(exist_ok=True)
    for name, text in pieces.items():
        (folder / "code_objects" / f"{name}.cpp").write_text(text)
    sources = {"main.cpp", "objects.cpp", "run.cpp", *(f"code_objects/{n}.cpp" for n in pieces)}
    files = building._merge(sorted(sources), folder)
    return files, [(folder / f).read_text() for f in files if f.startswith("brian_eprop_")]


def test_pieces_of_code_are_in_as_many_files_as_there_are_processors(tmp_path, monkeypatch):
    pieces = {name: code(name) for name in "abcd"}
    files, texts = merged(tmp_path, pieces, 2, monkeypatch)
    assert files == ["brian_eprop_0.cpp", "brian_eprop_1.cpp", "main.cpp", "objects.cpp"]
    for name in pieces:
        (text,) = (text for text in texts if f"namespace of_{name} {{" in text)
        assert f"void _run_{name}() {{ of_{name}::_run_{name}(); }}" in text
        # where an error of the compiler is, in Brian2's file
        assert f'#line 3 "code_objects/{name}.cpp"\n\nnamespace' in text
    assert sum(text.count('#include "run.cpp"') for text in texts) == 1
    for text in texts:
        assert text.count("#include<cmath>") == 1
        assert text.index("#include<cmath>") < text.index("namespace of_")


def test_code_that_defines_or_includes_something_is_compiled_alone(tmp_path, monkeypatch):
    pieces = {
        "defines": code("defines") + "#define N 3\n",
        "includes": code("includes") + "# include <vector>\n",
        "pragmas": code("pragmas") + "#ifdef _MSC_VER\n#define _brian_pow pow\n#endif\n",
        "user": code("user", '#include "user.h"'),
    }
    files, (text,) = merged(tmp_path, pieces, 1, monkeypatch)
    alone = ["code_objects/defines.cpp", "code_objects/includes.cpp"]
    assert files == ["brian_eprop_0.cpp", *alone, "main.cpp", "objects.cpp"]
    assert text.index('#include "user.h"') < text.index("namespace of_")
    assert "of_pragmas::_run_pragmas()" in text
    assert "of_user::_run_user()" in text


def test_files_that_are_the_same_are_not_written_again(tmp_path, monkeypatch):
    merged(tmp_path, {name: code(name) for name in "ab"}, 2, monkeypatch)
    before = [(tmp_path / f"brian_eprop_{k}.cpp").stat().st_mtime_ns for k in range(2)]
    changed = {"a": code("a").replace("helper(1)", "helper(2)"), "b": code("b")}
    merged(tmp_path, changed, 2, monkeypatch)
    after = [(tmp_path / f"brian_eprop_{k}.cpp").stat().st_mtime_ns for k in range(2)]
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, False]


def make_is(monkeypatch, tmp_path, code):
    """Let the compiler be a Python script."""
    (tmp_path / "make.py").write_text(code)
    name = "devices.cpp_standalone.make_cmd_unix"
    monkeypatch.setitem(building.prefs, name, f"{sys.executable} {tmp_path / 'make.py'}")


def test_ctrl_c_in_a_terminal_is_not_the_compilers(tmp_path, monkeypatch):
    """What a run has asked for is complete when the run then saves what there is."""
    code = "import os, sys; sys.exit(f'group {os.getpgid(0)}')"
    make_is(monkeypatch, tmp_path, code)
    with pytest.raises(RuntimeError, match="could not be compiled") as raised:
        building.compile_project([], tmp_path)
    (group,) = re.findall(r"group (\d+)", str(raised.value))
    assert int(group) != os.getpgid(0)


def test_a_compiler_ends_with_who_has_called_it(tmp_path, monkeypatch):
    code = f"""
import pathlib, subprocess
started = subprocess.Popen(["sleep", "100"])
pathlib.Path({str(tmp_path)!r}, "pid").write_text(str(started.pid))
started.wait()
"""
    make_is(monkeypatch, tmp_path, code)
    seen = []

    def interrupt():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        seen.append(int((tmp_path / "pid").read_text()))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        building.compile_project([], tmp_path)
    thread.join()
    (compiler,) = seen
    for _ in range(3000):
        status = f"/proc/{compiler}/stat"
        # one that nobody waits for stays as a zombie, Z
        if not os.path.exists(status) or open(status).read().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("the compiler goes on")


@pytest.fixture
def script(tmp_path, numpy_target):
    """A user's script, with functions in C++ of which one defines a macro."""

    @implementation("cpp", "double twice(double x) { return 2*x; }")
    @check_units(x=1, result=1)
    def twice(x):
        return 2 * x

    @implementation("cpp", "#define HALF 0.5\ndouble halved(double x) { return HALF*x; }")
    @check_units(x=1, result=1)
    def halved(x):
        return x / 2

    names = DEFAULT_FUNCTIONS | {"twice": twice, "halved": halved}

    def simulate(folder):
        device.reinit()
        set_device("cpp_standalone", directory=tmp_path / folder, build_on_run=True)
        seed(1)
        group = NeuronGroup(
            20,
            "dv/dt = (twice(x) - v)/(10*ms) : 1\nx : 1",
            threshold="v > 1",
            reset="v = halved(v) - 0.5",
            method="euler",
            name="group",
        )
        group.x = "0.3 + rand()"
        synapses = Synapses(group, group, "w : 1", on_pre="v_post += halved(w)", name="synapses")
        synapses.connect(p=0.5)
        synapses.w = "0.1*randn()"
        spikes, trace = SpikeMonitor(group, name="spikes"), StateMonitor(group, "v", record=True)
        run(50 * ms, namespace=names)
        return [np.array(values) for values in (spikes.t_, spikes.i, trace.v, synapses.w)]

    yield simulate
    device.reinit()
    set_device("runtime")


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.optimized
def test_a_script_has_the_numbers_of_brian2s_own_build(script, tmp_path, monkeypatch):
    found = script("fast")
    program = tmp_path / "fast" / "main"

    def written():
        device.compile_source(str(program.parent), "unix", False, False)
        return program.stat().st_mtime_ns

    def is_current():
        ask = ["make", "-f", building.MAKEFILE, "--question", program.name]
        return subprocess.run(ask, cwd=program.parent).returncode == 0

    before = program.stat().st_mtime_ns
    assert written() == before
    assert is_current()
    header = program.parent / "brianlib" / "common_math.h"
    header.write_text(header.read_text() + "\n")
    assert not is_current()
    monkeypatch.setattr(CPPStandaloneDevice, "compile_source", internals.COMPILE_SOURCE)
    expected = script("plain")
    assert expected[0].size > 20
    for values, of_brian in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, of_brian)
