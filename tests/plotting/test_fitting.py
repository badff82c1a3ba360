"""The figure of a fit: data, model and losses, all of them."""

import numpy as np
import pytest
from brian2 import ms

from brian_eprop.plotting import plot_fit


def test_data_model_and_the_losses_of_all_starts_are_drawn():
    t, model = np.arange(20) * ms, np.random.default_rng(1).random((20, 2))
    data = model + 0.1
    data[3, 1] = np.nan
    history = [
        {"start": start, "iteration": k, "loss": 3.0 - start - k}
        for start in (0, 1)
        for k in (0, 1)
    ]
    figure = plot_fit(t, model, data, history=history, labels=["a", "b"], unit="mV")
    curves, losses = figure.axes
    assert len(curves.lines) == 4 and len(losses.lines) == 2
    drawn = [line.get_ydata() for line in losses.lines]
    assert [list(values) for values in drawn] == [[3, 2], [2, 1]], "the best is drawn last"
    assert len(plot_fit(t, model, data).axes) == 1
    with pytest.raises(ValueError, match="'data' has the shape"):
        plot_fit(t, model, data[:5])
