"""Compiled code: programs and their processes, objects that Cython compiles, and same results."""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
from attrs import fields
from brian2 import get_device, prefs, set_device
from brian2.devices.device import reset_device

from brian_eprop.brian.code import of_learning

FLAGS = "codegen.cpp.extra_compile_args_gcc"


@contextmanager
def programs_in(folder, tmp_path):
    """Brian2's C++ standalone device as a user has it, and our programs in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIAN_EPROP_CACHE", str(folder))
        set_device("cpp_standalone", directory=str(tmp_path / "of_the_user"), build_on_run=False)
        yield folder
        get_device().reinit()
        reset_device()


@contextmanager
def program_in(folder):
    """Brian2's C++ standalone device, which runs a program of this folder at the first run()."""
    set_device("cpp_standalone", directory=str(folder))
    try:
        yield
    finally:
        get_device().reinit()
        reset_device()


def of_another_process(code):
    """Code for a new process of Python, which compiles as this one and so finds its programs."""
    return f"from brian2 import prefs\nprefs[{FLAGS!r}] = {prefs[FLAGS]!r}\n{code}"


def programs_of(network):
    (compiled,) = network._networks.values()
    return compiled.programs


def assert_identical(found, expected):
    """Gradients, or what is simulated, to the last bit."""
    for name in (field.alias for field in fields(type(expected))):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if name == "parameters":
            assert ours.keys() == theirs.keys()
            for parameter, values in ours.items():
                np.testing.assert_array_equal(values, theirs[parameter])
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def alive(pid):
    """Whether a process computes or could: one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def stopped(pids, then):
    """Programs that do not get on, until something is done a moment later."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(0.3, then)
    timer.start()
    yield
    timer.join()


#: Ends of names of what learning adds to every network alike; tests/agreement/test_devices.py
#: compiles it, and the objects that learning is added to.
COMMON = re.compile(
    r"(step_clock|trial_start|started|spikes_recorder"
    r"|(readout|answers|learner)(_\d+)?_recorder)$"
)


def special(obj):
    """Whether learning has added an object, and adds no such code to every network."""
    return of_learning(obj) and not COMMON.search(obj.name)


def with_numpy(obj, namespace):
    """Leave the code of an object to numpy."""
    target, prefs.codegen.target = prefs.codegen.target, "numpy"
    type(obj).before_run(obj, namespace)
    prefs.codegen.target = target


def compile_players(learner, chosen):
    """Compile with Cython parts of the backward pass, by their names; the others not.

    Returns
    -------
    list of str
        Names of what is compiled, when a run begins.
    """
    players, compiled = learner.engine.players, []

    def of_its_target(player):
        name = player.keywords["name"].removesuffix("_codeobject*")

        def made(namespace):
            before = prefs.codegen.target
            if name in chosen:
                compiled.append(name)
                prefs.codegen.target = "cython"
            try:
                return player(namespace)
            finally:
                prefs.codegen.target = before

        return made

    learner.engine.players = lambda: [[*map(of_its_target, group)] for group in players()]
    return compiled


def compile_some(network, chosen=special):
    """Compile these objects of a network with Cython, each a module that takes two seconds.

    The code of the others is that of numpy.

    Returns
    -------
    compiled, left : list of str
        Names of objects, by who generates their code.
    """
    compiled, left = [], []
    for obj in network.sorted_objects:
        if chosen(obj):
            compiled.append(obj.name)
        else:
            left.append(obj.name)
            obj.before_run = MethodType(with_numpy, obj)
    prefs.codegen.target = "cython"
    return compiled, left
