"""How far two results are apart, and the one assertion that gradients are the same."""

import numpy as np
import pytest

ARRAYS = ("w_in", "w_rec", "w_out", "readout", "learning_signal")
#: Float64 and a few hundred steps: sums taken in another order differ by this at the most.
ROUND_OFF = 1e-10


def difference(found, expected):
    """Largest deviation in units of the largest expected value."""
    assert np.shape(found) == np.shape(expected)
    return np.max(np.abs(found - expected)) / np.max(np.abs(expected))


def assert_gradients_equal(found, expected, *, tolerance=ROUND_OFF, names=ARRAYS, spikes=1):
    """Two `Gradients` agree: spikes exactly, arrays and loss to a tolerance, and nothing is 0."""
    assert expected.spikes.sum() >= spikes
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    for name in names:
        exact = getattr(expected, name)
        assert np.any(exact != 0), name
        assert difference(getattr(found, name), exact) < tolerance, name
    assert found.loss == pytest.approx(expected.loss, rel=tolerance)
    assert found.regularization == pytest.approx(expected.regularization, rel=tolerance)
