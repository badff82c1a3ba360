"""Evidence accumulation: what is asked can be told from the inputs, and a network learns it."""

from itertools import pairwise

import numpy as np
import pytest
from attrs import evolve
from brian2 import DimensionMismatchError, Hz, ms, mV
from nest_cases import load_case
from typer.testing import CliRunner

from brian_eprop import RecurrentNetwork
from brian_eprop.cli import app
from brian_eprop.plotting import plot_decision
from brian_eprop.recording import Recording
from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks import load_task
from brian_eprop.tasks.evidence_accumulation import EvidenceAccumulation

SHORT = {"n_cues": 3, "cue": 20 * ms, "gap": 5 * ms, "delay": 30 * ms, "recall": 25 * ms}


@pytest.fixture(scope="module")
def trials():
    return EvidenceAccumulation().sample(np.random.default_rng(0), 400)


def cue_sides(inputs):
    """(batch, n_cues): 1 where the right inputs fire in the published timing, else 0."""
    periods = inputs[:, : 7 * 150].reshape(len(inputs), 7, 150, 40)
    assert not periods[:, :, :50, :20].any(), "a spike of a cue in a gap"
    left, right = (periods[:, :, :, group].any(axis=(2, 3)) for group in np.s_[:10, 10:20])
    # 1000 draws with p = 0.04: a cue without a spike has the probability 2e-18
    assert (left ^ right).all()
    return right.astype(int)


def assert_rate(spikes, p):
    """A binomial count within five standard deviations."""
    assert abs(spikes.sum() - p * spikes.size) < 5 * np.sqrt(p * (1 - p) * spikes.size)


@pytest.mark.slow
def test_a_trial_has_the_published_shape(trials):
    task = EvidenceAccumulation()
    inputs, targets = trials
    assert (task.n_in, task.n_out, task.steps, task.learning_window) == (40, 2, 2250, 150)
    assert inputs.shape == (400, 2250, 40) and targets.shape == (400, 2250, 2)
    assert sum(task.input_groups.values()) == 40


def test_groups_fire_at_their_rates_in_their_windows(trials):
    inputs, _ = trials
    cues = inputs[:, : 7 * 150].reshape(400, 7, 150, 40)[:, :, 50:]
    sides = cue_sides(inputs)
    assert_rate(cues[..., :10][sides == 0], 0.04)
    assert_rate(cues[..., 10:20][sides == 1], 0.04)
    assert not cues[..., :10][sides == 1].any() and not cues[..., 10:20][sides == 0].any()
    assert not inputs[:, 1050:, :20].any()
    assert not inputs[:, :2100, 20:30].any()
    assert_rate(inputs[:, 2100:, 20:30], 0.04)
    assert_rate(inputs[..., 30:], 0.01)


def test_the_target_is_the_side_with_more_cues(trials):
    inputs, targets = trials
    right = cue_sides(inputs).sum(axis=1) > 3.5
    np.testing.assert_array_equal(targets[:, 0, 1], right)
    np.testing.assert_array_equal(targets[:, 0, 0], ~right)
    np.testing.assert_array_equal(targets, np.repeat(targets[:, :1], 2250, axis=1))
    assert_rate(right, 0.5)


def test_cues_are_on_the_favoured_side_with_the_asked_probability(trials):
    inputs, _ = trials
    counts = np.bincount(cue_sides(inputs).sum(axis=1), minlength=8)
    # a mixture of two binomials; a favoured side that changed within a trial would give one
    of_one = np.array([np.prod([(7 - m) / (m + 1) for m in range(k)]) for k in range(8)])
    expected = of_one * [0.3**k * 0.7 ** (7 - k) for k in range(8)]
    expected = 400 * (expected + expected[::-1]) / 2
    # χ² with 7 degrees of freedom is above 24 once in a thousand
    assert ((counts - expected) ** 2 / expected).sum() < 24
    single = 400 * of_one / 2**7
    assert ((counts - single) ** 2 / single).sum() > 24


def test_sure_cues_are_all_on_one_side():
    task = EvidenceAccumulation(reliability=1.0)
    sides = cue_sides(task.sample(np.random.default_rng(0), 20)[0])
    assert set(sides.sum(axis=1)) == {0, 7}


def test_options_change_times_and_rates():
    task = EvidenceAccumulation(**SHORT, cue_rate=2000 * Hz, background_rate=0 * Hz, dt=0.5 * ms)
    assert (task.steps, task.learning_window) == (2 * (3 * 25 + 30 + 25), 50)
    inputs, targets = task.sample(np.random.default_rng(0), 5)
    # a spike in every step where the rate is 1/dt
    assert inputs[:, -50:, 20:30].all() and not inputs[..., 30:].any()
    in_cue = np.zeros(260, bool)
    for start in (10, 60, 110):
        in_cue[start : start + 40] = True
    np.testing.assert_array_equal(inputs[..., :20].any(axis=2), np.tile(in_cue, (5, 1)))
    np.testing.assert_array_equal(targets[..., 1] == 1, targets[..., 0] == 0)


def test_without_gap_and_delay_a_trial_is_cues_and_recall():
    task = load_task("evidence-accumulation", gap=0 * ms, delay=0 * ms, n_cues=1)
    inputs, _ = task.sample(np.random.default_rng(0), 2)
    assert task.steps == 250
    assert inputs[:, :100, :20].any(axis=(1, 2)).all() and not inputs[:, 100:, :20].any()


def test_trials_depend_on_the_generator_only():
    task = EvidenceAccumulation(**SHORT)
    once, again, other = (task.sample(np.random.default_rng(seed), 8) for seed in (1, 1, 2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (once[0] != other[0]).any() and (once[1] != other[1]).any()
    assert all((a != b).any() for a, b in pairwise(once[0]))


def test_metric_is_the_fraction_of_wrong_decisions_in_the_recall():
    task = EvidenceAccumulation(**SHORT)
    _, targets = task.sample(np.random.default_rng(0), 4)
    outputs = np.zeros_like(targets)
    # before the recall the outputs say the opposite; in it they are undecided but for a step
    outputs[:, :-25] = 1 - targets[:, :-25]
    outputs[:, -10] = targets[:, -10]
    assert task.metric(outputs, targets) == 0
    outputs[0, -9] = 3 * (1 - targets[0, -9])
    assert task.metric(outputs, targets) == 0.25
    assert task.metric(outputs[0], targets[0]) == 1
    with pytest.raises(ValueError, match=r"'outputs' has the shape \(4, 130, 1\) and 'targets'"):
        task.metric(outputs[..., :1], targets)
    with pytest.raises(ValueError, match=r"expected the same \(batch, 130, 2\) or \(130, 2\)"):
        task.metric(outputs[:, -25:], targets[:, -25:])


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"n_cues": 4}, ValueError, r"\.n_cues = 4 must be odd, so that one side"),
        ({"n_cues": 7.0}, ValueError, r"\.n_cues = 7.0 must be an integer"),
        ({"n_cues": -1}, ValueError, r"\.n_cues = -1 must be an integer"),
        ({"reliability": 0.3}, ValueError, r"\.reliability = 0.3 must be .* 0.5 to 1"),
        ({"reliability": float("nan")}, ValueError, r"\.reliability = nan must be a number"),
        ({"reliability": "high"}, ValueError, r"\.reliability = 'high' must be a number"),
        ({"cue": 100}, DimensionMismatchError, r"\.cue = 100 has no unit but must be a time"),
        (
            {"delay": 1 * mV},
            DimensionMismatchError,
            r"\= .* has the unit 'volt' but must be a time",
        ),
        ({"recall": 0 * ms}, ValueError, r"\.recall = .* must be one positive, finite"),
        ({"gap": -1 * ms}, ValueError, r"\.gap = .* must be one finite time ≥ 0"),
        ({"cue": [1, 2] * ms}, ValueError, r"\.cue = .* must be one positive, finite"),
        ({"gap": 0.5 * ms}, ValueError, r"\.gap = .* multiple of the time step dt = 1\. ms"),
        (
            {"cue_rate": 40},
            DimensionMismatchError,
            r"\.cue_rate = 40 has no unit but must be a rate",
        ),
        (
            {"background_rate": -1 * Hz},
            ValueError,
            r"\.background_rate = .* must be one finite rate ≥ 0",
        ),
        ({"cue_rate": 2000 * Hz}, ValueError, r"\.cue_rate = .* 2 spikes in a step .* 1000 Hz"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        load_task("evidence-accumulation", **options)


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match=r"batch = 0 must be an integer ≥ 1"):
        EvidenceAccumulation().sample(np.random.default_rng(0), 0)


def test_the_recommended_network_is_the_published_one():
    """NEST's case of this task, from which its published losses come, but for what is scaled."""
    case = load_case("evidence_bsshslm_2020_batch1")
    found = Configuration.of_task("evidence-accumulation").make_network().description
    lif, alif = found.populations
    assert (lif.count, alif.count) == (sum(case.beta == 0), sum(case.beta > 0))
    for name in ("tau_m", "v_th", "t_ref"):
        assert lif.parameters[name] == alif.parameters[name]
    parameters = alif.parameters
    assert parameters["tau_m"] == case.tau_m[0] * ms and found.tau_out == case.tau_out * ms
    assert parameters["tau_a"] == case.tau_a[-1] * ms
    assert parameters["v_th"] == case.v_th[0]
    assert parameters["t_ref"] == case.n_ref[0] * case.dt * ms
    np.testing.assert_allclose(parameters["beta"], case.beta[-1], rtol=1e-14)  # round-off
    settings = ("loss", "normalize", "average")
    assert [getattr(found, name) for name in settings] == [getattr(case, name) for name in settings]
    (regularizer,) = found.regularizers
    np.testing.assert_allclose(float(regularizer.target * case.dt * ms), case.rate_target)
    assert regularizer.strength == case.rate_strength
    setup = EvidenceAccumulation().defaults
    rng = np.random.default_rng(0)
    weights = setup.initial_weights(40, 2, rng)
    scales = {"w_in": 1.0, "w_rec": 0.3, "w_out": 7.1}
    for name, given in case.weights.items():
        # 200 weights at the fewest: a standard deviation is known to 5 %
        np.testing.assert_allclose(weights[name].std(), scales[name] * given.std(), rtol=0.2)
    np.testing.assert_allclose(weights["feedback"].std(), case.feedback.std(), rtol=0.2)
    # which then falls, other than that of the paper
    assert setup.learning_rate.start == 2 * case.optimizer["eta"] and setup.optimizer == "Adam"


def small(tmp_path, **setup):
    """A configuration file of few neurons and short trials."""
    lines = {
        "iterations": 3,
        "batch_size": 2,
        "learning_rate": 0.01,
        "evaluation_trials": 4,
    } | setup
    path = tmp_path / "small.toml"
    path.write_text(
        'task = "evidence_accumulation"\ndevice = "runtime"\n[options]\nn_cues = 3\n'
        'cue = "20*ms"\ngap = "5*ms"\ndelay = "30*ms"\nrecall = "25*ms"\n'
        'cue_rate = "200*Hz"\n[setup]\n'
        + "".join(f"{name} = {str(value).lower()}\n" for name, value in lines.items())
        + '[[setup.neurons]]\nmodel = "lif"\ncount = 6\n'
        + '[[setup.neurons]]\nmodel = "alif"\ncount = 6\nparameters = { tau_a = "200*ms" }\n'
    )
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("numpy_target")
def test_the_set_up_reaches_the_network(tmp_path):
    """What a file says of gain and average is what is run, and repeats from what is written."""
    task = load_task("evidence-accumulation", **SHORT, cue_rate=200 * Hz)
    inputs, targets = task.sample(np.random.default_rng(0), 2)
    losses = {}
    for normalize, average in ((True, True), (True, False), (False, True)):
        path = small(tmp_path, normalize=normalize, average=average)
        configuration = Configuration.read(path)
        configuration.write(tmp_path / "again.toml")
        again = Configuration.read(tmp_path / "again.toml").setup
        assert (again.normalize, again.average) == (normalize, average)
        found = configuration.make_network().gradients(inputs, targets, task.learning_window)
        assert found.spikes.any()
        losses[normalize, average] = found.loss
    np.testing.assert_allclose(losses[True, False], 25 * losses[True, True], rtol=1e-12)
    assert abs(losses[False, True] / losses[True, True] - 1) > 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("numpy_target")
def test_the_command_trains_and_draws_decisions(tmp_path):
    run = tmp_path / "run"
    command = ["train", "--config", str(small(tmp_path)), "--out", str(run)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    network = RecurrentNetwork.load(run / "weights.npz")
    initial = Configuration.read(run / "config.toml").make_network()
    assert network.updates == 3
    for name in ("w_in", "w_rec", "w_out"):
        assert np.any(network.weights[name] != initial.weights[name])
    figures = {path.stem for path in (run / "figures").iterdir()}
    assert figures >= {"decision_before", "decision_after", "trial_after", "learning_curve"}
    recording = Recording.load(run / "recordings" / "after.nc")
    assert recording.spikes.any() and recording.e_bar.any()
    # errors count during the recall only
    assert recording.error[-25:].all() and not recording.error[:-25].any()


def decided(steps=20):
    """A recorded trial with probabilities 1/4 and 3/4."""
    inputs = np.zeros((steps, 40), bool)
    inputs[3, 2] = inputs[5, 14] = inputs[18, 25] = inputs[7, 33] = True
    few = np.zeros((steps, 0))
    readout = np.tile([1.0, 1.0 + np.log(3)], (steps, 1))
    return Recording(
        dt=1.0,
        inputs=inputs,
        spikes=np.eye(steps, 5, dtype=bool),
        readout=readout,
        target=np.tile([0.0, 1.0], (steps, 1)),
        error=np.zeros((steps, 2)),
        learning_signal=np.zeros((steps, 5)),
        membrane=few,
        threshold=few,
        psi=few,
        e_trace=few,
        e_bar=few,
        neurons=(),
        synapses=(),
    )


def test_a_drawn_decision_is_the_recorded_one():
    figure = plot_decision(decided(), EvidenceAccumulation.input_groups, window=5)
    inputs, neurons, decision = figure.axes
    spikes = [tuple(np.ravel(line.get_data())) for line in inputs.lines]
    assert spikes == [(3, 2), (5, 14), (18, 25), (7, 33)]
    assert [text.get_text() for text in inputs.texts] == list(EvidenceAccumulation.input_groups)
    np.testing.assert_array_equal(neurons.lines[0].get_data(), [range(5), range(5)])
    left_target, left, right_target, right = decision.lines
    np.testing.assert_allclose(left.get_ydata(), 0.25, rtol=1e-12)
    np.testing.assert_allclose(right.get_ydata(), 0.75, rtol=1e-12)
    assert (left_target.get_ydata() == 0).all() and (right_target.get_ydata() == 1).all()
    np.testing.assert_array_equal(left_target.get_xdata(), range(15, 20))
    # cues have the colour of the output they speak for
    colors = [line.get_color() for line in inputs.lines[:2]]
    assert colors == [left.get_color(), right.get_color()] and colors[0] != colors[1]


def test_a_decision_needs_the_groups_of_its_inputs():
    with pytest.raises(ValueError, match=r"'groups' is .*; expected at least 2, .* with 40 inputs"):
        plot_decision(decided(), {"left": 10, "right": 10})
    with pytest.raises(ValueError, match=r"'window' is 21; expected 1 to 20"):
        plot_decision(decided(), EvidenceAccumulation.input_groups, window=21)
    with pytest.raises(ValueError, match=r"'names' is \['yes'\]; expected 2, one an output"):
        plot_decision(decided(), EvidenceAccumulation.input_groups, names=["yes"])


def test_outputs_may_have_names_of_their_own():
    """Then no input has the colour of an output, and there may be fewer groups than outputs."""
    figure = plot_decision(decided(), {"all": 40}, names=["yes", "no"])
    inputs, _, decision = figure.axes
    assert {text.get_text() for text in decision.texts} == {"yes", "no"}
    assert not {line.get_color() for line in inputs.lines} & {
        line.get_color() for line in decision.lines
    }


@pytest.mark.parametrize("best, named", [(2, {"c"}), (5, {"c", "f"})])
def test_of_many_outputs_those_that_matter_are_named(best, named):
    readout = np.zeros((20, 7))
    readout[-5:, best] = 3
    # much larger, but where it does not count
    readout[:-5, 0] = 9
    recording = evolve(
        decided(), readout=readout, target=np.tile(np.eye(7)[2], (20, 1)), error=np.zeros((20, 7))
    )
    figure = plot_decision(recording, {"all": 40}, window=5, names=list("abcdefg"))
    decision = figure.axes[2]
    assert {text.get_text() for text in decision.texts} == named
    probabilities = [line for line in decision.lines if len(line.get_xdata()) == 20]
    assert len(probabilities) == 7
    assert len({line.get_color() for line in probabilities}) == 1 + len(named)
