"""Learning rates that change: the formula, the same from arrays and in Brian2, saved and loaded."""

import math

import numpy as np
import pytest
from brian2 import ms, mV
from brian2.units import DimensionMismatchError

from brian_eprop import Adam, CosineDecay, GradientDescent, RecurrentNetwork, StepDecay
from brian_eprop.learning import optimizers
from brian_eprop.learning.optimizers import Optimizer

pytestmark = pytest.mark.usefixtures("numpy_target")


def steps(optimizer, count):
    return [optimizer.step(np.ones(2), {}, n)[0] for n in range(1, count + 1)]


def test_step_decay_multiplies_every_so_many_updates():
    found = steps(GradientDescent(StepDecay(0.5, factor=0.3, every=3)), 8)
    expected = [0.5] * 3 + [0.15] * 3 + [0.045] * 2
    np.testing.assert_allclose(found, expected, rtol=1e-15)  # one product, one power


def test_cosine_decay_goes_from_start_to_end_and_stays():
    found = steps(GradientDescent(CosineDecay(0.4, 0.1, over=4)), 7)
    middle = 0.1 + 0.15 * (1 + math.cos(math.pi / 4))
    assert found[0] == pytest.approx(0.4, rel=1e-15)
    assert found[1] == pytest.approx(middle, rel=1e-15)
    np.testing.assert_allclose(found[4:], 0.1, rtol=1e-14)


def test_adam_with_a_schedule_takes_adams_step_at_the_present_rate():
    scheduled, moments, own = Adam(StepDecay(1e-2, 0.1, every=2)), {}, {}
    for n, rate in enumerate((1e-2, 1e-2, 1e-3), start=1):
        gradient = np.array([0.3, -0.1 * n])
        np.testing.assert_allclose(
            scheduled.step(gradient, moments, n), Adam(rate).step(gradient, own, n), rtol=1e-14
        )


@pytest.mark.parametrize("size", (1, 6, 7, 8, 20))
def test_slices_of_a_matrix_are_updated_as_the_whole_one(monkeypatch, size):
    def updated():
        moments, rng = {}, np.random.default_rng(0)
        return [Adam(1e-2).step(rng.standard_normal((size, 3)), moments, n) for n in (1, 2)]

    whole = updated()
    monkeypatch.setattr(optimizers, "SLICE", 7)
    np.testing.assert_array_equal(updated(), whole)
    assert np.abs(whole).min() > 0


@pytest.mark.parametrize("rate", (StepDecay(2e-2, 0.5, every=2), CosineDecay(2e-2, 1e-3, over=3)))
def test_a_saved_network_goes_on_with_the_schedule(tmp_path, rate):
    network = RecurrentNetwork("lif", 5, 6, 1, optimizer=Adam(rate), seed=1)
    network.save(tmp_path / "net.npz")
    loaded = RecurrentNetwork.load(tmp_path / "net.npz")
    assert isinstance(loaded.optimizer, Optimizer)
    assert loaded.optimizer == network.optimizer


@pytest.mark.parametrize(
    ("make", "message"),
    (
        (lambda: StepDecay(-1.0, 0.5, 10), "StepDecay.start = -1.0"),
        (lambda: StepDecay(1.0, 1.5, 10), "StepDecay.factor = 1.5 must be a number from 0 to 1"),
        (lambda: StepDecay(1.0, 0.5, 2.5), "StepDecay.every = 2.5 must be an integer"),
        (lambda: CosineDecay(1.0, float("nan"), 10), "CosineDecay.end = nan"),
        (lambda: CosineDecay(1.0, 0.1, 0), "CosineDecay.over = 0"),
        (lambda: Adam(1e-3, epsilon=StepDecay(1.0, 0.5, 10)), "Adam.epsilon"),
    ),
)
def test_a_bad_schedule_is_refused_where_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_cosine_between_different_units_is_refused():
    with pytest.raises(DimensionMismatchError, match=r"CosineDecay.start = 1. \* mvolt"):
        CosineDecay(1.0 * mV, 0.1 * ms, 10)
