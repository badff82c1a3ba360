"""What all tests share: compiled programs, numbers of random examples, a clean Brian2."""

import gc
import logging
import os
import tempfile

import matplotlib
import matplotlib.pyplot as plt
import pytest
from brian2 import defaultclock, get_device, prefs, set_device
from brian2.core.names import Nameable
from brian2.devices.device import runtime_device
from hypothesis import HealthCheck, settings
from kept_results import keep

from brian_eprop import fast_build

#: Random examples of each test. The first two are the same ones every time; new ones, once in a
#: while: pytest -m hypothesis --hypothesis-profile search
EXAMPLES = {"fast": 3, "ci": 16, "search": 500}
for profile, number in EXAMPLES.items():
    settings.register_profile(
        profile,
        max_examples=number,
        derandomize=profile != "search",
        print_blob=True,
        # networks of Brian2 take their time, and most random ones are silent
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )

FLAGS = "codegen.cpp.extra_compile_args_gcc"
USERS_FLAGS = prefs[FLAGS]


def start_brian_faster():
    """A third of the time of most tests is what Brian2 does beside its work."""
    keep()
    # Its messages for debugging go to a file.
    logging.getLogger("brian2").setLevel(logging.INFO)
    # Its makefile reads the same headers for each of a hundred files.
    fast_build()
    # Compilation takes longer than short runs: tests of the other devices say so.
    prefs.codegen.target = "numpy"
    # Compiled code runs for milliseconds; tests of what compilers change are marked.
    prefs[FLAGS] = ["-w", "-O0", "-std=c++11"]
    matplotlib.use("Agg")


def pytest_configure(config):
    """Few examples for the fast tests, and one folder of compiled programs for all processes."""
    start_brian_faster()
    fast = "not slow" in config.option.markexpr
    # an option --hypothesis-profile is obeyed after this
    settings.load_profile("fast" if fast else "ci")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="brian_eprop_tests_")
        config.add_cleanup(folder.cleanup)
        # for the processes that tests start, too
        os.environ["BRIAN_EPROP_CACHE"] = os.path.join(folder.name, "programs")
        os.environ["CYTHON_CACHE_DIR"] = os.path.join(folder.name, "cython")
    # Cython has read its variable while Brian2 was imported
    prefs.codegen.runtime.cython.cache_dir = os.environ["CYTHON_CACHE_DIR"]


def pytest_itemcollected(item):
    """Cases that are alike but for a value: the first is fast, or those of some values are."""
    if item.get_closest_marker("first_case_is_fast") and any(item.callspec.indices.values()):
        item.add_marker(pytest.mark.slow)
    for marker in item.iter_markers("slow_unless"):
        values = item.callspec.params
        if any(values[name] not in fast for name, fast in marker.kwargs.items()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def garbage():
    """What earlier tests left is no garbage: each run of Brian2 would look through all of it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def time_step():
    """No test leaves its time step to the next."""
    before = defaultclock.dt
    yield
    defaultclock.dt = before


@pytest.fixture(autouse=True)
def figures():
    """No test draws into what an earlier one has left open."""
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def device():
    """Each test finds Brian2's runtime device and leaves it, or the next ones would fail."""
    yield
    left = get_device()
    if left is not runtime_device:
        left.reinit()
        set_device("runtime")
        pytest.fail("this test has left a device to the next")


@pytest.fixture(autouse=True)
def compiler_flags(request, monkeypatch):
    """A test with the marker compiles with the flags that users have."""
    if request.node.get_closest_marker("optimized"):
        monkeypatch.setitem(prefs, FLAGS, USERS_FLAGS)


@pytest.fixture
def numpy_target():
    """Run Brian2 without compilation."""
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield
    prefs.codegen.target = before


@pytest.fixture
def names():
    """Brian2 may forget names that are taken, by which it sorts; afterwards they are again."""
    instances = Nameable.__instances__()
    taken = set(instances)
    yield instances
    instances.update(reference for reference in taken if reference() is not None)
