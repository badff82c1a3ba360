"""The published losses and trajectories of NEST and TensorFlow, from networks that Brian2 runs."""

from itertools import groupby

import numpy as np
import pytest
from brian2 import get_device, ms, set_device
from brian2.devices.device import reset_device
from comparing import difference
from nest_cases import BLOCKS, TASKS, TRAJECTORIES, load_case

from brian_eprop import EProp, FiringRateRegularizer, PiecewiseLinear, RecurrentNetwork
from brian_eprop.learning.rule import ENGINES

# NEST's own sums run in another order: 1.5e-12 on the longest case
NEST = 1e-10
# the TensorFlow numbers are float32
TENSORFLOW = 1e-6


pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.fixture
def standalone():
    set_device("cpp_standalone", build_on_run=False)
    yield get_device()
    reset_device()


def populations_of(case):
    """(model, count, overrides) of the neurons that stand together and are alike."""
    columns = (case.beta, case.tau_m, case.tau_a, case.v_th, case.n_ref)
    columns += (case.surrogate_height, case.surrogate_width)
    found = []
    for row, equal in groupby(zip(*columns, strict=True)):
        beta, tau_m, tau_a, v_th, n_ref, height, width = map(float, row)
        own = {"tau_m": tau_m * ms, "v_th": v_th, "t_ref": n_ref * case.dt * ms}
        own["surrogate"] = PiecewiseLinear(height, width)
        adaptive = {"beta": beta, "tau_a": tau_a * ms} if beta else {}
        found.append(("alif" if beta else "lif", len(list(equal)), own | adaptive))
    return found


def network_of(case, engine="credit"):
    regularizer = FiringRateRegularizer(case.rate_target / (case.dt * ms), case.rate_strength)
    n_in, n_rec = case.weights["w_in"].shape
    return RecurrentNetwork(
        populations_of(case),
        n_in,
        n_rec,
        case.weights["w_out"].shape[1],
        dt=case.dt * ms,
        tau_out=case.tau_out * ms,
        loss=case.loss,
        normalize=case.normalize,
        average=case.average,
        feedback=case.feedback,
        rule=EProp(engine=engine),
        weights=case.effective(),
        connectivity=case.masks,
        regularizers=[regularizer],
    )


def losses_of(case, change=lambda gradients: gradients, engine="credit", updates=5):
    """The loss before each of NEST's five updates, or of the first ones."""
    network = network_of(case, engine)
    weights, moments, losses = dict(case.weights), {}, []
    for k, (inputs, targets) in enumerate(zip(case.inputs, case.targets, strict=True)):
        if k == updates:
            break
        network.weights.update(case.effective(weights))
        found = network.gradients(inputs, targets, learning_window=case.learning_window)
        losses.append(found.loss)
        gradient = change({block: getattr(found, block) for block in BLOCKS})
        weights = case.update(weights, gradient, k, moments)
    return np.array(losses)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TASKS)
def test_published_losses_are_reproduced(name, engine):
    """Two of them, of which the second depends on the gradients."""
    case = load_case(name)
    losses = losses_of(case, engine=engine, updates=2)
    np.testing.assert_allclose(losses, case.loss_nest[:2], rtol=NEST)
    np.testing.assert_allclose(losses, case.loss_tf[:2], rtol=TENSORFLOW)


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("name", TASKS)
def test_five_published_losses_are_reproduced_by_a_compiled_program(name, standalone):
    case = load_case(name)
    losses = losses_of(case)
    np.testing.assert_allclose(losses, case.loss_nest, rtol=NEST)
    np.testing.assert_allclose(losses, case.loss_tf, rtol=TENSORFLOW)
    assert get_device() is standalone


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectory_of_nest_is_reproduced(name):
    case = load_case(name)
    everyone = range(len(case.beta))
    found = network_of(case).record(case.inputs[0], case.targets[0], neurons=everyone)
    assert found.spikes.sum() > 50
    np.testing.assert_array_equal(found.spikes, case.local["z"])
    assert difference(found.membrane, case.local["v"]) < NEST
    assert difference(found.psi, case.local["psi"]) < NEST
    assert difference(found.readout, case.local["y"]) < NEST
    assert difference(found.error, case.local["E"]) < NEST
    assert difference(found.learning_signal[:-1], case.local["L"][:-1]) < NEST
    if case.beta.any():
        assert difference(found.threshold, case.local["th"]) < NEST


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_gradient_of_nest_is_reproduced(name):
    case = load_case(name)
    found = network_of(case).gradients(case.inputs[0], case.targets[0])
    np.testing.assert_array_equal(found.spikes, case.local["z"])
    for block in BLOCKS:
        assert np.linalg.norm(case.gradient[block]) > 0
        assert difference(getattr(found, block), case.gradient[block]) < NEST, block


@pytest.mark.slow
@pytest.mark.slow_unless(block=[BLOCKS[0]])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_gradient_wrong_by_a_thousandth_is_seen(block):
    """The five losses do depend on the gradient of every block."""
    case = load_case("sine_bsshslm_2020")
    losses = losses_of(case, change=lambda g: g | {block: 1.001 * g[block]}, updates=2)
    assert abs(losses[1] / case.loss_nest[1] - 1) > NEST
