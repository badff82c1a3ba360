"""Fits of one's own network: the learner's own updates, from one state, and the best of them."""

import math
from contextlib import contextmanager

import numpy as np
import pytest
from brian2 import (
    Network,
    NetworkOperation,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    collect,
    defaultclock,
    get_device,
    ms,
    mV,
    seed,
    set_device,
    start_scope,
    volt,
)

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    FitResult,
    GradientDescent,
    Learner,
    Loss,
    ParameterTraining,
    PiecewiseLinear,
    RecurrentNetwork,
    TrainableSynapses,
    fast_build,
    fit,
    recorded_spikes,
)
from brian_eprop.network.training import StopTraining, TrainingDiverged

pytestmark = pytest.mark.usefixtures("numpy_target")

T, TRIALS, N = 25, 2, 3
TRIAL = T * ms
MODEL = """
    dv/dt = (b - v)/tau + noise*sigma/ms : volt
    noise = NOISE : 1 (constant over dt)
    dx/dt = -x/(10*ms) : 1
    tau : second (constant)
    b : volt (constant)
    sigma : volt (constant)
    """
LOSSES = {"v": "(v - v_data(t, i))**2/mV**2/100", "x": "(x - x_data(t, i))**2"}
TRAINED = {"tau": (5 * ms, 40 * ms), "b": ParameterTraining((0 * mV, 30 * mV), scale=10 * mV)}


def data():
    """What is compared with, of all trials."""
    rng = np.random.default_rng(3)
    v = 12 + 2 * rng.standard_normal((T * TRIALS, N))
    return {
        "v_data": TimedArray(v * mV, dt=1 * ms),
        "x_data": TimedArray(abs(rng.standard_normal((T * TRIALS, N))), dt=1 * ms),
    }


def network(
    losses=("v", "x"),
    rule=None,
    noise="0",
    sigma=0 * mV,
    weights=True,
    trainable=TRAINED,
    **learner,
):
    """Inputs → neurons with losses: (network, learner, neurons, synapses)."""
    defaultclock.dt = 1 * ms
    group = NeuronGroup(
        N,
        MODEL.replace("NOISE", noise),
        threshold="v > 15*mV",
        reset="v = 0*mV; x += 1",
        method="euler",
        name="cells",
    )
    group.tau, group.b, group.sigma = [10, 15, 20] * ms, 8 * mV, sigma
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((T * TRIALS, 4)) < 0.3)
    spikes = channels, steps * ms
    source = SpikeGeneratorGroup(4, *spikes, period=TRIALS * TRIAL, name="inputs")
    options = {
        "rule": rule or EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV)),
        "optimizer": Adam(0.05),
        "update_every": TRIALS * TRIAL,
        "reset_every": TRIAL,
        "trainable": trainable,
        "losses": [
            Loss(group, LOSSES[name], period=TRIALS * TRIAL, namespace=data()) for name in losses
        ],
    }
    made = Learner(**options | learner)
    objects = [source, group]
    if weights:
        for pre in (source, group):
            limits = {"bounds": (-5, 5), "on_pre": "v_post += w*mV", "learner": made}
            synapses = TrainableSynapses(pre, group, name="from_" + pre.name, **limits)
            synapses.connect()
            synapses.w = 2 + rng.standard_normal(len(pre) * N)
            objects.append(synapses)
    return Network(objects), made, group, objects[2:]


def quick(net, learner, **options):
    return fit(learner, net, progress=False, **{"iterations": 4} | options)


# --------------------------------------------------------------- the updates of training
@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": math.inf},
        {"order": 2},
        {"engine": "traces"},
    ],
)
def test_a_fit_makes_the_updates_that_the_network_makes_by_itself(options):
    """Brian2's own updates, trial after trial in one run, lead to the same values."""
    options = {"rule": EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV), **options)}
    if options["rule"].engine == "traces":
        options["trainable"] = {}
    net, learner, group, made = network(**options)
    before = [synapses.w[:].copy() for synapses in made]
    spikes = SpikeMonitor(group)
    net.add(spikes)
    found = quick(net, learner)
    assert spikes.num_spikes > 3
    assert np.all(np.diff(found.losses(0)) < 0), "the best is the last, after three updates"
    net, learner, group, made = network(**options)
    net.run(3 * TRIALS * TRIAL)
    for synapses, start in zip(made, before, strict=True):
        values = found.weights[f"{synapses.name}.w"]
        np.testing.assert_allclose(values, synapses.w[:], rtol=1e-12)
        assert np.abs(values - start).max() > 0.01
    for name in learner.trainable:
        np.testing.assert_allclose(
            np.array(found.parameters[f"cells.{name}"]), group.state(name, False)[:], rtol=1e-12
        )


@pytest.mark.slow
def test_a_part_of_a_network_is_fitted_and_the_teacher_is_found():
    """The values by which the data were made come back."""
    defaultclock.dt = 1 * ms
    equations = "dv/dt = (b - v)/tau : volt\ntau : second (constant)\nb : volt (constant)"
    made = {"threshold": "v > 1*volt", "reset": "v = 0*mV", "method": "exact", "name": "cells"}
    teacher = NeuronGroup(2, equations, **made)
    teacher.tau, teacher.b = [8, 14] * ms, [10, 20] * mV
    seen = StateMonitor(teacher, "v", record=True, when="end")
    Network(teacher, seen).run(TRIAL)
    v_data = TimedArray(seen.v.T, dt=1 * ms)
    start_scope()
    pupil = NeuronGroup(2, equations, **made)
    pupil.tau, pupil.b = 20 * ms, 5 * mV
    learner = Learner(
        rule=EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV)),
        losses=[Loss(pupil, "(v - v_data(t, i))**2/mV**2")],
        optimizer=Adam(0.08),
        update_every=TRIAL,
        reset_every=TRIAL,
        trainable={"tau": (5 * ms, 40 * ms), "b": (0 * mV, 30 * mV)},
    )
    monitor = StateMonitor(pupil, "v", record=True, when="end")
    found = quick(Network(collect()), learner, iterations=400)
    assert len(v_data.values) == T
    assert found.parameters["cells.tau"] / ms == pytest.approx([8, 14], rel=0.02)
    assert found.parameters["cells.b"] / mV == pytest.approx([10, 20], rel=0.02)
    # the monitors hold the run with the best values, and no other
    assert monitor.t[:] / ms == pytest.approx(np.arange(T))
    assert float(np.sum((monitor.v - seen.v) ** 2) / mV**2) == pytest.approx(found.loss, rel=1e-9)
    assert found.loss < 1e-3 * found.losses(0)[0]


def test_each_evaluation_begins_in_the_same_state_with_the_same_noise():
    still = {"optimizer": GradientDescent(0.0), "weights": False, "sigma": 2 * mV}
    net, learner, _, _ = network(noise="randn()", **still)
    found = quick(net, learner)
    assert len(set(found.losses(0))) == 1
    net, learner, _, _ = network(**still)
    assert quick(net, learner).loss != found.loss


def test_afterwards_the_network_learns_on():
    net, learner, group, made = network()
    optimizer = learner.optimizer
    quick(net, learner)
    assert learner.optimizer is optimizer
    assert not np.any(made[0].grad[:]) and not np.any(group.grad_tau_[:])
    assert net.t == TRIALS * TRIAL
    before = group.tau_[:].copy()
    first = quick(net, learner, iterations=2)
    net.run(TRIALS * TRIAL)
    assert np.all(group.tau_[:] != before)
    assert first.evaluations == 3


# -------------------------------------------------------------------- starts and endings
def test_starts_are_drawn_between_bounds_and_the_best_is_kept():
    net, learner, group, _ = network(weights=False)
    seen = []
    short = {"starts": 3, "iterations": 2}
    found = quick(net, learner, seed=1, callbacks=[seen.append], **short)
    assert found.ended == ("iterations",) * 3
    assert seen == found.history
    assert [entry["start"] for entry in seen] == [0, 0, 1, 1, 2, 2]
    lowest = [found.losses(start).min() for start in range(3)]
    assert found.loss == min(lowest) and found.start == int(np.argmin(lowest))
    assert len({found.losses(start)[0] for start in range(3)}) == 3
    assert found.evaluations == 7
    assert np.all((group.tau >= 5 * ms) & (group.tau <= 40 * ms))
    again = quick(*network(weights=False)[:2], seed=1, **short)
    other = quick(*network(weights=False)[:2], seed=2, **short)
    assert np.array_equal(again.losses(2), found.losses(2))
    assert not np.array_equal(other.losses(2), found.losses(2))
    assert np.array_equal(other.losses(0), found.losses(0))


def test_patience_a_callback_and_ctrl_c_end_a_fit_with_what_there_is():
    def after_two(error):
        def callback(entry):
            if entry["iteration"] == 1:
                raise error

        return [callback]

    still = {"optimizer": GradientDescent(0.0), "weights": False}
    found = quick(*network(**still)[:2], iterations=20, patience=3)
    assert found.ended == ("patience",) and len(found.history) == 4
    for error, ended in ((StopTraining, "callback"), (KeyboardInterrupt, "interrupted")):
        net, learner, group, _ = network(weights=False)
        found = quick(net, learner, callbacks=after_two(error), starts=2)
        assert found.ended == (ended,) and len(found.history) == 2
        assert np.array_equal(group.tau[:], found.parameters["cells.tau"])
        assert learner.optimizer is not None
    lines = str(found).splitlines()
    assert isinstance(found, FitResult) and "interrupted" in lines[0] and len(lines) == 3


def test_a_tolerance_counts_small_gains_as_none():
    slow = {"optimizer": Adam(1e-4), "weights": False}
    assert quick(*network(**slow)[:2], patience=2, tolerance=0.01).ended == ("patience",)
    assert quick(*network(**slow)[:2], patience=2, tolerance=0.0).ended == ("iterations",)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_starts_that_lead_nowhere_are_said():
    net, learner, group, _ = network(weights=False)
    group.v = np.inf * mV
    with pytest.raises(TrainingDiverged, match="not finite at any start"):
        quick(net, learner, starts=2)
    net, learner, _, _ = network(weights=False)
    learner.learning = False
    with pytest.raises(ValueError, match="all gradients are 0 at the start"):
        quick(net, learner)
    assert learner.optimizer is not None


def test_python_that_remembers_is_seen():
    seen = []

    def push():
        seen.append(0)
        group.v_[:] += 1e-5 * len(seen)

    operation = NetworkOperation(push)
    net, learner, group, _ = network(weights=False, given=[operation])
    net.add(operation)
    with pytest.raises(ValueError, match="the second time"):
        quick(net, learner)


# --------------------------------------------------------------------------- what is refused
REFUSED = {
    "optimizer is missing": {"optimizer": None},
    "trains nothing": {"trainable": {}, "weights": False},
    "no part of the loss": {"regularizers": [FiringRateRegularizer()]},
    "is a part of a trial": {"update_every": 5 * ms, "trainable": {}},
}


@pytest.mark.parametrize("message", REFUSED)
def test_learners_that_cannot_fit_are_refused(message):
    net, learner, _, _ = network(**REFUSED[message])
    with pytest.raises(ValueError, match=message):
        quick(net, learner)


def test_networks_that_cannot_be_fitted_are_refused():
    net, learner, group, _ = network()
    with pytest.raises(TypeError, match="is not a Network"):
        fit(learner, group)
    with pytest.raises(ValueError, match="does not contain readout"):
        fit(learner, Network())
    with pytest.raises(TypeError, match="has a method fit"):
        fit(RecurrentNetwork("lif", 2, 2, 1))
    net.run(5 * ms)
    with pytest.raises(ValueError, match="5 steps after the start of a trial"):
        fit(learner, net)
    net, learner, group, _ = network(trainable=["tau"], weights=False)
    with pytest.raises(ValueError, match=r"'cells\.tau' has no bounds"):
        fit(learner, net, starts=2, progress=False)


def test_values_outside_of_their_bounds_are_no_start():
    net, learner, group, _ = network(trainable={"tau": (5 * ms, 12 * ms)}, weights=False)
    with pytest.raises(ValueError, match=r"'cells\.tau' = 15\. ms is outside of its bounds"):
        quick(net, learner)
    group.tau = [5, 10, 12] * ms
    assert (quick(net, learner).parameters["cells.tau"] <= 12 * ms * (1 + 1e-15)).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (T, "has 25 rows, one per time step, but 50 are needed"),
        (T * TRIALS + 1, "has 51 rows, .* an iteration ends after 50: give Learner update_every"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_the_first_step(rows, message):
    """Each by the loss itself; data that are longer would not be looked at."""
    other = TimedArray(np.zeros((rows, N)) * mV, dt=1 * ms)
    defaultclock.dt = 1 * ms
    options = {
        "rule": EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV)),
        "optimizer": Adam(0.1),
        "update_every": TRIALS * TRIAL,
        "reset_every": TRIAL,
        "trainable": ["tau"],
    }
    group = NeuronGroup(
        N, MODEL.replace("NOISE", "0"), threshold="v > 15*mV", reset="v = 0*mV", method="euler"
    )
    group.tau = 10 * ms
    loss = Loss(group, "(v - v_data(t, i))**2/mV**2", namespace={"v_data": other})
    learner = Learner(losses=[loss], **options)
    with pytest.raises(ValueError, match=message):
        quick(Network(group), learner)
    assert learner.optimizer is not None


# ---------------------------------------------------------------------------- spikes as data
def test_spikes_that_are_met_cost_nothing():
    """The van Rossum distance of recorded spikes, by a state that model and data change."""
    defaultclock.dt = 1 * ms
    equations = "dv/dt = (b - v)/(10*ms) : volt\ndx/dt = -x/(10*ms) : 1\nb : volt (constant)"
    made = {"threshold": "v > 15*mV", "reset": "v = 0*mV; x += 1", "method": "exact"}
    teacher = NeuronGroup(2, equations, **made)
    teacher.b = [20, 25] * mV
    seen = SpikeMonitor(teacher)
    Network(teacher, seen).run(100 * ms)
    trains = [[times for times in seen.spike_trains().values()]]
    assert min(map(len, trains[0])) > 3
    losses = {}
    for shift in (0, 1):
        start_scope()
        pupil = NeuronGroup(2, equations, **made)
        pupil.b = [20 + shift, 25 + shift] * mV
        data = recorded_spikes(trains, 100 * ms, 1 * ms)
        arrive = Synapses(data, pupil, on_pre="x_post -= 1")
        arrive.connect(j="i")
        learner = Learner(
            rule=EProp(surrogate=PiecewiseLinear(20 / volt, 15 * mV)),
            losses=[Loss(pupil, "x**2 + (v/volt)**2*1e-9")],
            optimizer=GradientDescent(0.0),
            update_every=100 * ms,
            reset_every=100 * ms,
            trainable={"b": (10 * mV, 30 * mV)},
        )
        losses[shift] = quick(Network(data, pupil, arrive), learner, iterations=1).loss
    assert losses[0] < 1e-9 < 0.1 < losses[1]


# ------------------------------------------------------------------------------ in a program
@contextmanager
def program(folder):
    """Brian2's C++ standalone mode, in a folder."""
    fast_build()
    set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    standalone = get_device()
    try:
        yield
    finally:
        standalone.reinit()
        set_device("runtime")


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("noise", ["0", "randn()"])
def test_a_program_finds_the_same(tmp_path, noise):
    expected = quick(*network()[:2], starts=2, seed=1)
    with program(tmp_path):
        seed(1)
        net, learner, group, made = network(noise=noise, sigma=2 * mV)
        monitor = StateMonitor(group, "v", record=True, when="end")
        net.add(monitor)
        found = quick(net, learner, starts=2, seed=1)
        tau = np.array(found.parameters["cells.tau"])
        assert group.tau_[:] == pytest.approx(tau, rel=1e-14)
        assert made[0].w[:] == pytest.approx(found.weights[f"{made[0].name}.w"], rel=1e-14)
        assert monitor.v.shape == (N, T * TRIALS) and np.ptp(monitor.v) > 5 * mV
        assert group.loss[:].sum() / TRIALS == pytest.approx(found.loss, rel=1e-12)
    if noise == "0":
        assert found.losses(1) == pytest.approx(expected.losses(1), rel=1e-10)
        assert found.weights[f"{made[0].name}.w"] == pytest.approx(
            expected.weights[f"{made[0].name}.w"], rel=1e-10
        )


@pytest.mark.slow
@pytest.mark.standalone
def test_a_second_fit_in_a_program_is_refused_and_the_remedy_works(tmp_path):
    with program(tmp_path / "first"):
        net, learner, _, _ = network()
        first = quick(net, learner, iterations=2)
        with pytest.raises(ValueError, match=r"device.reinit\(\) and set_device\('cpp_standalone'"):
            quick(net, learner)
        with pytest.raises(ValueError, match=r"another network call device.reinit\(\)"):
            network()
        get_device().reinit()
        set_device("cpp_standalone", directory=str(tmp_path / "second"), build_on_run=False)
        second = quick(*network()[:2], iterations=2)
    assert second.loss == first.loss


@pytest.mark.slow
@pytest.mark.standalone
def test_a_program_that_draws_other_numbers_each_time_is_refused(tmp_path):
    with program(tmp_path):
        net, learner, _, _ = network(noise="randn()", sigma=2 * mV)
        with pytest.raises(ValueError, match=r"seed\(1\)"):
            quick(net, learner)
        with pytest.raises(ValueError, match="has run already"):
            quick(net, learner)
