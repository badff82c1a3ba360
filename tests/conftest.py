import gc

import pytest
from brian2 import defaultclock, prefs


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


@pytest.fixture
def numpy_target():
    """Run Brian2 without compilation."""
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield
    prefs.codegen.target = before
