"""Figures: what is drawn is the data, in the right units, and nonsense is refused."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from attrs import evolve
from brian2 import ms, mV, second
from matplotlib.figure import Figure

from brian_eprop.plotting import (
    DIVERGING,
    plot_cost,
    plot_eligibility,
    plot_gradient_match,
    plot_learning_curve,
    plot_order,
    plot_raster,
    plot_readout,
    plot_rule_errors,
    plot_rule_learning,
    plot_rule_map,
    plot_spread,
    plot_traces,
    plot_trial,
    plot_weights,
)
from brian_eprop.plotting.run import save_run_figures
from brian_eprop.plotting.style import (
    CYCLE,
    contrast,
    label_curve,
    legible,
    logarithmic,
    save_figures,
)
from brian_eprop.recording import Recording
from brian_eprop.reference import RULES


@pytest.fixture
def ax():
    return plt.subplots()[1]


T = np.arange(5) * 0.5
HISTORY = [
    {"iteration": i, "loss": 100.0 / (i + 1), "rate": 10.0 + i, "seconds": 0.1} for i in (0, 1, 2)
]


def texts(ax):
    return [text.get_text() for text in ax.texts]


# each function once, with data that it must accept
CALLS = {
    "raster": lambda ax: plot_raster([1.0, 2.0], [0, 1], ax=ax),
    "traces": lambda ax: plot_traces(T, np.ones((5, 2)), ax=ax),
    "eligibility": lambda ax: plot_eligibility(T, np.ones((5, 2)), ax=ax),
    "readout": lambda ax: plot_readout(T, np.ones(5), np.zeros(5), ax=ax),
    "learning_curve": lambda ax: plot_learning_curve(HISTORY, ax=ax),
    "weights": lambda ax: plot_weights(np.eye(3), ax=ax),
    "gradient_match": lambda ax: plot_gradient_match([1.0, 2.0], [1.0, 2.0], ax=ax),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", CALLS)
def test_axes_in_are_axes_out_and_default_to_the_current_ones(ax, name):
    assert CALLS[name](ax) is ax
    figure, (first, current) = plt.subplots(1, 2)
    plt.sca(current)
    assert CALLS[name](None) is current
    assert not first.lines
    figure.canvas.draw()


def test_raster_of_bools_is_the_raster_of_its_spikes(ax):
    raster = np.zeros((6, 4), dtype=bool)
    raster[[1, 3, 5], [0, 2, 2]] = True
    plot_raster(raster, dt=0.5 * ms, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0.5, 0], [1.5, 2], [2.5, 2]])
    assert ax.get_xlim() == (0, 3) and ax.get_ylim() == (-0.5, 3.5)
    assert ax.get_xlabel() == "Time (ms)"


def test_times_with_units_are_shown_in_ms(ax):
    plot_raster([0.001, 0.002] * second, [0, 1], ax=ax, t_max=3 * ms)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [1, 2])
    assert ax.get_xlim() == (0, 3)
    plot_traces(T * ms, np.ones(5), ax=ax)
    np.testing.assert_allclose(ax.lines[1].get_xdata(), T)


def test_a_silent_network_is_an_empty_raster(ax):
    plot_raster(np.zeros((10, 3), dtype=bool), dt=1.0, ax=ax)
    assert len(ax.lines[0].get_xdata()) == 0 and ax.get_xlim() == (0, 10)


def test_traces_are_stacked_on_one_scale_with_their_thresholds(ax):
    values = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.2, 0.1], [0.0, 0.0]])
    plot_traces(T, values, threshold=np.ones((5, 2)), labels=["a", "b"], unit="mV", ax=ax)
    first, threshold, second_trace, _ = (line.get_ydata() for line in ax.lines)
    pitch = first[0] - values[0, 0]
    assert pitch > np.ptp(values)
    np.testing.assert_allclose(first, values[:, 0] + pitch)
    np.testing.assert_allclose(threshold, 1 + pitch)
    np.testing.assert_allclose(second_trace, values[:, 1])
    assert ax.get_ylabel() == "Membrane potential (mV)"
    assert texts(ax) == ["a", "b"]


def test_eligibility_shows_its_traces(ax):
    trace = np.sin(T)
    plot_eligibility(T, trace, labels=["in 3 → 7"], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), trace)
    assert ax.get_ylabel() == "Eligibility trace" and texts(ax) == ["in 3 → 7"]


def test_readout_shows_output_target_and_window(ax):
    output, target = np.sin(T), np.cos(T)
    plot_readout(T, output, target, window=2, unit="mV", ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), target)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), output)
    np.testing.assert_allclose(ax.patches[0].get_x(), T[-2])
    assert texts(ax) == ["output", "target"]
    assert ax.get_xlabel() == "Time (ms)" and ax.get_ylabel() == "Readout (mV)"


def test_labels_of_curves_that_end_together_do_not_overlap(ax):
    plot_readout(T, np.zeros((5, 3)), np.zeros((5, 3)), ax=ax)
    ax.figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 4
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


@pytest.mark.parametrize(
    "quantity, scale, label",
    [
        ("loss", "log", "Loss"),
        ("rate", "linear", "Mean rate (spikes/s)"),
        ("seconds", "linear", "Time since the start (s)"),
    ],
)
def test_learning_curve_of_each_quantity(ax, quantity, scale, label):
    plot_learning_curve(HISTORY, quantity=quantity, label="run", ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [r[quantity] for r in HISTORY])
    assert ax.get_yscale() == scale and ax.get_ylabel() == label
    assert ax.get_xlabel() == "Iteration" and texts(ax) == ["run"]


def test_weights_are_centred_on_zero_and_the_bar_is_labelled(ax):
    weights = np.array([[0.5, -2.0], [np.nan, 1.0]])
    plot_weights(weights, unit="mV", ax=ax)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array().filled(np.nan), weights)
    assert image.get_clim() == (-2, 2)
    assert image.colorbar.ax.get_ylabel() == "Weight (mV)"


def test_the_change_of_weights(ax):
    plot_weights(np.ones((2, 3)), before=np.full((2, 3), 0.5), limit=2, ax=ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), 0.5)
    assert ax.images[0].get_clim() == (-2, 2)
    assert ax.images[0].colorbar.ax.get_ylabel() == "Weight change"


def test_the_weight_colours_can_be_told_apart_in_grey():
    grey = DIVERGING(np.linspace(0, 1, 64))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > 0).all()


def test_gradient_match_states_the_largest_relative_error(ax):
    plot_gradient_match([[1.0, -4.0]], [[1.04, -4.0]], labels=("Brian2", "Reference"), ax=ax)
    identity, points = ax.lines
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    np.testing.assert_array_equal(points.get_xydata(), [[1.04, 1.0], [-4.0, -4.0]])
    assert texts(ax) == ["max. relative error\n1.0e-02"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Reference", "Brian2")


def recording(k=2, m=3, steps=40):
    rng = np.random.default_rng(1)
    return Recording(
        dt=0.5,
        inputs=rng.random((steps, 4)) < 0.2,
        spikes=rng.random((steps, 6)) < 0.2,
        readout=rng.normal(size=(steps, 2)),
        target=rng.normal(size=(steps, 2)),
        error=rng.normal(size=(steps, 2)),
        learning_signal=rng.normal(size=(steps, 6)),
        membrane=rng.normal(size=(steps, k)),
        threshold=np.ones((steps, k)),
        psi=rng.random((steps, k)),
        e_trace=rng.random((steps, m)),
        e_bar=rng.random((steps, m)),
        neurons=np.arange(k),
        synapses=[f"in {i} → 0" for i in range(m)],
        membrane_unit="mV",
    )


def test_a_trial_stacks_its_panels_over_one_time_axis():
    figure = plot_trial(recording())
    figure.canvas.draw()
    assert [ax.get_ylabel().replace("\n", " ") for ax in figure.axes] == [
        "Input",
        "Neuron",
        "Membrane potential $v$ (mV)",
        "Eligibility trace $e$",
        "Filtered trace $\\bar{e}$",
        "Learning signal $L$",
        "Readout",
    ]
    assert all(ax.get_xlim() == (0, 20) for ax in figure.axes)
    assert [ax.get_xlabel() for ax in figure.axes] == [""] * 6 + ["Time (ms)"]


def test_a_trial_is_in_the_units_of_neurons_and_in_the_colours_of_its_own():
    r = recording()
    volts = evolve(r, membrane_unit="volt", trace_unit="amp ** -1", synapses=["in 0 → 1"] * 3)
    in_window = r.error * (np.arange(40) >= 30)[:, np.newaxis]
    figure = plot_trial(evolve(volts, error=in_window))
    _, _, membrane, trace, _, signal, readout = figure.axes
    assert membrane.get_ylabel().endswith("$v$ (mV)") and trace.get_ylabel().endswith("$e$ (1/pA)")
    lowest = membrane.lines[-2].get_ydata()
    np.testing.assert_allclose(lowest, 1e3 * r.membrane[:, 1], rtol=1e-15)
    np.testing.assert_allclose(trace.lines[-1].get_ydata(), 1e-12 * r.e_trace[:, 2], rtol=1e-15)
    of_neurons = [line.get_color() for line in signal.lines]
    assert of_neurons[0] != of_neurons[1]
    assert {line.get_color() for line in trace.lines} == {of_neurons[1]}
    (shaded,) = readout.patches
    assert shaded.get_x() == 30 * r.dt


def test_an_output_that_starts_on_its_target_makes_no_learning_window():
    """A sine starts at 0, as the readout does."""
    r = recording()
    error, readout = r.error.copy(), r.readout.copy()
    error[0], readout[0] = 0, r.target[0]
    figure = plot_trial(evolve(r, error=error, readout=readout))
    assert error[1].any() and not figure.axes[-1].patches


def test_figures_are_pixels_or_lines_and_written_whole(tmp_path):
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for format, start in begins.items():
        figure = plt.figure(figsize=(2, 2))
        plot_raster([1.0, 2.0], [0, 1], ax=figure.subplots())
        (path,) = save_figures(tmp_path, {"spikes": figure}, format)
        assert path.name == f"spikes.{format}" and path.read_bytes().startswith(start)
    assert {path.suffix[1:] for path in tmp_path.iterdir()} == set(begins)
    with pytest.raises(ValueError, match=r"'jpg' is not known.* one of 'png', 'svg', 'pdf'"):
        save_figures(tmp_path, {}, "jpg")
    with pytest.raises(OSError, match=r"cannot write the figure .*missing"):
        save_figures(tmp_path / "missing", {"spikes": plt.figure()})


def test_a_trial_without_recorded_neurons_or_synapses_has_fewer_panels():
    figure, axes = plt.subplots(4)
    assert plot_trial(recording(k=0, m=0), axes=axes) is figure
    assert [ax.get_ylabel() for ax in axes[::3]] == ["Input", "Readout"]
    with pytest.raises(ValueError, match="'axes' has 4 elements; expected 7"):
        plot_trial(recording(), axes=axes)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plot_raster([1.0, 2.0], [0]), r"'indices' has the shape \(1,\).* \(2,\)"),
        (lambda: plot_raster([1.0], [3], n=3), r"'indices' runs from 3 to 3; expected 0 to 2"),
        (lambda: plot_raster([1.0], [-1]), r"'indices' runs from -1"),
        (lambda: plot_raster([np.nan], [0]), r"'times' of shape \(1,\) holds NaN"),
        (lambda: plot_raster([1.0] * mV, [0]), r"'times' must be a time"),
        (lambda: plot_raster(np.ones((3, 2), dtype=bool)), r"'dt' is None"),
        (lambda: plot_raster(np.ones((3, 2)), dt=1 * ms), r"array of bool .* float64"),
        (lambda: plot_traces([], []), r"'t' has the shape \(0,\)"),
        (lambda: plot_traces(T, np.ones((4, 2))), r"'values' has the shape \(4, 2\); expected \(5"),
        (lambda: plot_traces(T, np.full(5, np.nan)), r"'values' .* holds NaN"),
        (
            lambda: plot_traces(T, np.ones(5), threshold=np.ones((5, 2))),
            r"'threshold' has .* \(5, 1",
        ),
        (
            lambda: plot_traces(T, np.ones(5), labels=["a", "b"]),
            r"'labels' has 2 elements; expected 1",
        ),
        (lambda: plot_eligibility(T, np.ones((5, 0))), r"'traces' has the shape \(5, 0\)"),
        (lambda: plot_readout(T, np.ones(5), np.ones((5, 2))), r"'target' has the shape \(5, 2\)"),
        (
            lambda: plot_readout(T, np.ones(5), np.ones(5), window=6),
            r"'window' is 6; expected 1 to 5",
        ),
        (lambda: plot_learning_curve([]), r"'history' is empty"),
        (lambda: plot_learning_curve([{"loss": 1.0}]), r"without 'iteration'; this one has 'loss'"),
        (lambda: plot_learning_curve(HISTORY, quantity="accuracy"), r"without 'accuracy'"),
        (
            lambda: plot_learning_curve([{"iteration": 4, "loss": np.inf}]),
            r"'loss' in 'history' is inf at iteration 4",
        ),
        (
            lambda: plot_learning_curve([{"iteration": 4, "loss": 0}], log=True),
            r"expected positive.*log=False",
        ),
        (lambda: plot_weights(np.ones(3)), r"'weights' has the shape \(3,\); expected \(n_pre"),
        (lambda: plot_weights(np.full((2, 2), np.nan)), r"only NaN"),
        (lambda: plot_weights(np.ones((2, 2)), before=np.ones((2, 3))), r"'before' has the shape"),
        (lambda: plot_gradient_match(np.ones(2), np.ones(3)), r"'gradient' has the shape \(2,\)"),
        (lambda: plot_gradient_match([np.nan], [1.0]), r"'gradient' .* holds NaN"),
        (lambda: plot_gradient_match([1.0], [0.0]), r"'expected' of shape \(1,\) is 0 throughout"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------ learning rules


def test_order_figure_shows_round_off_for_an_error_of_zero(ax):
    plot_order([1, 2, 3], {"hops": [0.5, 0.1, 0.0], "horizon": [0.5, 0.3, 0.2]}, ax=ax)
    hops, horizon = ax.get_lines()[:2]
    np.testing.assert_array_equal(hops.get_ydata(), [0.5, 0.1, np.finfo(float).eps])
    np.testing.assert_array_equal(horizon.get_ydata(), [0.5, 0.3, 0.2])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hops", "horizon"]


def test_small_errors_are_written_at_the_edge(ax):
    plot_rule_errors(["a", "b"], [1e-15, 0.5], [0, 0.1], ax=ax)
    assert [text.get_text() for text in ax.texts] == ["1e-15"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_xlim()[0] == 1e-3


def test_spread_figure_marks_what_an_unbiased_rule_would_show(ax):
    plot_spread(["a"], [0.3], [3.0], draws=100, ax=ax)
    one, mean, expected = (line.get_xdata()[0] for line in ax.get_lines())
    assert (one, mean) == (3.0, 0.3)
    assert expected == pytest.approx(0.3)


def test_cost_figure_predicts_from_the_largest_size(ax):
    plot_cost([4, 8, 16], {"rule": [1, 5, 27]}, {"rule": 3}, label="Numbers", ax=ax)
    measured, predicted = ax.get_lines()
    np.testing.assert_array_equal(measured.get_ydata(), [1, 5, 27])
    np.testing.assert_allclose(predicted.get_ydata(), 27 * np.array([1 / 64, 1 / 8, 1]))
    assert ax.get_ylabel() == "Numbers"


def test_learning_figure_is_the_mean_over_seeds(ax):
    plot_rule_learning({"bptt": [[4, 2, 0], [2, 2, 2]]}, label="Loss", smooth=2, ax=ax)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [2.5, 1.5])


def test_map_of_rules_has_every_rule_and_what_changes(ax):
    rules = list(RULES.values())
    plot_rule_map(rules, ax=ax)
    written = {text.get_text() for text in ax.texts}
    assert {rule.name for rule in rules} <= written
    assert {rule.change for rule in rules if rule.parent} <= written


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("metrics", [(0.5, np.nan, 0.2), (np.nan,) * 3])
def test_a_metric_that_is_not_known_of_each_batch_stops_no_figure(metrics, tmp_path):
    history = [
        {"iteration": i, "loss": 1.0, "metric": metric, "rate": 10.0}
        for i, metric in enumerate(metrics)
    ]
    weights = {name: np.eye(3) for name in ("w_in", "w_rec", "w_out")}
    written = save_run_figures(tmp_path, history, weights, {}, None)
    assert {path.stem for path in written} == {"learning_curve", "weights"}


def test_names_of_curves_can_be_read(ax):
    # W3C's own examples: #777 on white falls just short of 4.5, #767676 does not
    assert contrast("#000000") == pytest.approx(21) and contrast("#ffffff") == pytest.approx(1)
    assert contrast("#777777") < 4.5 < contrast("#767676")
    assert any(contrast(color) < 3 for color in CYCLE)
    for color in CYCLE:
        label_curve(ax, 0.5, "name", color)
        assert 4.5 <= contrast(ax.texts[-1].get_color()) < 6 or contrast(color) > 4.5
    assert legible("#000000") == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.2, 2.5), ["0.2", "0.5", "1", "2"]),
        ((30, 60), ["30", "40", "50", "60"]),
        ((1, 1000), ["10^{0}", "10^{1}", "10^{2}", "10^{3}"]),
    ],
)
def test_a_logarithmic_axis_can_be_read_at_any_range(values, labels):
    ax = Figure().add_subplot()
    ax.plot(values)
    logarithmic(ax, np.array(values))
    low, high = ax.get_ylim()
    axis = ax.yaxis
    ticks = [
        (place, text)
        for locator, formatter in (
            (axis.get_major_locator(), axis.get_major_formatter()),
            (axis.get_minor_locator(), axis.get_minor_formatter()),
        )
        for place, text in zip(locator(), formatter.format_ticks(locator()), strict=True)
        if low <= place <= high and text
    ]
    found = [text for _, text in sorted(ticks)]
    assert len(found) == len(labels)
    assert all(label in text for label, text in zip(labels, found, strict=True))
