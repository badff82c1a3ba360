import pytest
from brian2 import prefs


@pytest.fixture
def numpy_target():
    """Run Brian2 without compilation."""
    before = prefs.codegen.target
    prefs.codegen.target = "numpy"
    yield
    prefs.codegen.target = before
