"""Cross-entropy of a readout: exact however far outputs are apart, and of probabilities only."""

import numpy as np
import pytest
from brian2 import (
    Network,
    SpikeGeneratorGroup,
    TimedArray,
    defaultclock,
    device,
    ms,
    prefs,
    second,
    set_device,
)
from scipy.special import logsumexp, softmax

from brian_eprop import LeakyReadout, Learner, RecurrentNetwork, TrainableSynapses

#: Rows of outputs: nearby, 1e4 apart, alike, beyond what exp can do, and 1e300 apart.
OUTPUTS = np.array(
    [
        [0.3, -1.2, 0.8],
        [1e4, 0.0, -1e4],
        [-1e4, 0.0, 3.0],
        [720.0, 720.0, 720.0],
        [-5000.0, -5001.0, -5000.5],
        [1e300, -1e300, 0.0],
    ]
)
TARGETS = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.25, 0.5, 0.25]])


@pytest.fixture(autouse=True)
def _step(numpy_target):
    defaultclock.dt = 1 * ms


def found(outputs, targets):
    """Error and loss of a readout that goes on from given outputs in each step and hardly leaks."""
    readout = LeakyReadout(3, 1e18 * second, "cross_entropy", targets, name="answers")
    network, errors, losses = Network(readout), [], []
    for y in outputs:
        readout.y, readout.loss = y, 0
        network.run(1 * ms)
        errors.append(np.array(readout.error))
        losses.append(readout.loss[:].sum())
    return np.array(errors), np.array(losses)


def assert_exact(targets, outputs=OUTPUTS):
    errors, losses = found(outputs, targets)
    np.testing.assert_allclose(errors, softmax(outputs, axis=1) - targets, rtol=0, atol=1e-15)
    # −Σ y* log softmax(y); differences first, as sums of numbers of 1e300 would drown it
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    expected = (targets * (logsumexp(shifted, axis=1, keepdims=True) - shifted)).sum(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-12, atol=1e-15)
    assert np.isfinite(losses).all()


def target_rows(seed=0):
    return TARGETS[np.random.default_rng(seed).integers(len(TARGETS), size=len(OUTPUTS))]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("seed", range(4))
def test_error_and_loss_are_exact_however_far_outputs_are_apart(seed):
    assert_exact(target_rows(seed))


@pytest.mark.slow
@pytest.mark.cython
def test_error_and_loss_are_exact_with_cython():
    prefs.codegen.target = "cython"
    assert_exact(target_rows())


@pytest.mark.slow
@pytest.mark.standalone
def test_error_and_loss_are_exact_in_standalone(tmp_path):
    set_device("cpp_standalone", directory=tmp_path, build_on_run=True)
    try:
        assert_exact(TARGETS[:1], OUTPUTS[1:2])
    finally:
        device.reinit()
        set_device("runtime")


def test_gradients_are_finite_and_right_where_outputs_are_far_apart():
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((60, 4)) < 0.5, np.tile([0.0, 1.0, 0.0], (60, 1))
    network = RecurrentNetwork("lif", 4, 5, 3, loss="cross_entropy", seed=0)
    network.weights["w_in"] = rng.uniform(0.2, 0.6, (4, 5))
    network.weights["w_out"] *= 1e4
    gradients = network.gradients(inputs, targets)
    assert gradients.spikes.sum() > 20 and np.ptp(gradients.readout, axis=1).max() > 1e4
    y = gradients.readout
    expected = (logsumexp(y, axis=1) - y[:, 1]).sum()
    assert gradients.loss == pytest.approx(expected, rel=1e-12)
    error, trace = softmax(y, axis=1) - targets, np.zeros(5)
    w_out = np.zeros((5, 3))
    for now, fired in zip(error, gradients.spikes, strict=True):
        trace = np.exp(-1 / 20) * trace + fired
        w_out += np.outer(trace, now)
    np.testing.assert_allclose(gradients.w_out, w_out, rtol=1e-12, atol=1e-12)
    assert np.isfinite(gradients.w_in).all() and abs(gradients.w_in).max() > 1


# ----------------------------------------------------------------------------- probabilities
def run(target, steps, period=None, **learner):
    """Run a readout of two outputs for so many steps."""
    options = {} if period is None else {"period": period * ms}
    answers = LeakyReadout(2, 20 * ms, "cross_entropy", target, name="answers", **options)
    objects = [answers]
    if learner:
        source = SpikeGeneratorGroup(1, [0], [0] * ms)
        teacher = Learner(answers, **{name: steps * ms for name, steps in learner.items()})
        synapses = TrainableSynapses(source, answers, on_pre="y_post += w", learner=teacher)
        synapses.connect()
        objects += [source, synapses]
    Network(*objects).run(steps * ms)
    return answers.loss[:].sum()


def rows(n, wrong=(), value=(0.0, 0.0)):
    target = np.full((n, 2), 0.5)
    target[list(wrong)] = value
    return target


@pytest.mark.parametrize("value", [(0.0, 0.0), (1.5, -0.5), (1.0, 1.0), (0.5, 0.500002)])
@pytest.mark.parametrize("as_timed_array", [False, True])
def test_a_row_that_counts_is_a_probability(value, as_timed_array):
    target = rows(10, [7], value)
    target = TimedArray(target, dt=1 * ms) if as_timed_array else target
    with pytest.raises(Exception) as raised:
        run(target, 10)
    error = raised.value.__cause__ or raised.value
    assert isinstance(error, ValueError)
    if any(value):
        assert "LeakyReadout.target[7] = [" in str(error)
        return
    # zeros may stand where nothing counts: a run that ends before does not come to them
    assert "row 7 of the target of readout 'answers' is [" in str(error)
    assert run(target, 7) > 0


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("n", "period", "wrong", "fine"),
    [
        # trials of 5 steps, of which the last 2 count
        (20, None, [0, 1, 2, 5, 12], True),
        (20, None, [13], False),
        (20, None, [4], False),
        (5, 5, [0, 1, 2], True),
        (5, 5, [3], False),
        (10, 10, [2, 5, 7], True),
        (10, 10, [8], False),
        # row 0 of a target of 4 steps comes in every step of a trial
        (4, 4, [0], False),
    ],
)
def test_rows_outside_the_learning_window_may_be_anything(n, period, wrong, fine):
    def loss():
        return run(rows(n, wrong), 20, period, reset_every=5, learning_window=2)

    if fine:
        # log 2 in each of the two steps in which errors count, and nothing for the others
        assert loss() > 0
    else:
        with pytest.raises(Exception) as raised:
            loss()
        assert f"row {wrong[0]} of the target" in str(raised.value.__cause__)
    with pytest.raises(Exception, match=r"."):
        run(rows(n, wrong), 20, period, reset_every=5)


def test_a_network_simulates_records_and_prepares_without_probabilities():
    network = RecurrentNetwork("lif", 3, 4, 2, loss="cross_entropy", seed=0)
    inputs = np.random.default_rng(0).random((20, 3)) < 0.5
    assert network.simulate(inputs).spikes.shape == (20, 4)
    network.prepare(1, 20, learning_window=5)
    targets = rows(20, range(15))
    assert network.record(inputs, targets, learning_window=5).error.any()
    with pytest.raises(ValueError, match=r"step 14 are \[0\. 0\.\]"):
        network.gradients(inputs, targets, learning_window=6)
