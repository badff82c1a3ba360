"""Delays of networks from arrays that are trained: gradients, updates, files, programs."""

import copy
import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import Quantity, ms, set_device
from brian2.devices.device import reset_device
from brian2.units import DimensionMismatchError
from comparing import difference
from compiled_programs import assert_identical, programs_in
from scipy.sparse import csr_array

from brian_eprop import (
    Adam,
    DeepR,
    EProp,
    GradientDescent,
    NeuronModel,
    ParameterTraining,
    PiecewiseLinear,
    RecurrentNetwork,
    load_model,
    reference,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.learning.rules import RFLO
from brian_eprop.network import compiled
from brian_eprop.network.projections import BatchShape
from brian_eprop.rule_study import AlignmentMonitor
from brian_eprop.runs import verification
from brian_eprop.runs.report import _network

pytestmark = pytest.mark.usefixtures("numpy_target")

# other order of the sums, over some dozens of steps
ROUND_OFF = 1e-10
N_IN, N_REC, N_OUT, STEPS = 6, 7, 2, 40
NEURONS = [
    ("lif", 4, {"tau_m": np.array([5.0, 11.0, 17.0, 23.0]) * ms}),
    ("alif", 3, {"beta": 0.2, "tau_a": 40 * ms}),
]
SHAPES = {"w_in": (N_IN, N_REC), "w_rec": (N_REC, N_REC), "w_out": (N_REC, N_OUT)}
BOUNDS = (0 * ms, 20 * ms)
ONTO_NEURONS = ("w_in", "w_rec")
MASK = np.random.default_rng(4).random((N_REC, N_REC)) < 0.7


def start(*names, high=6):
    """Delays of every kind: whole, rounded up and rounded down."""
    rng = np.random.default_rng(2)
    delays = {name: rng.uniform(0, high, SHAPES[name]) for name in SHAPES}
    for values in delays.values():
        values[0] = np.round(values[0])
    return {name: delays[name] * ms for name in names}


def network(*names, trainable_delays=None, **options):
    names = names or ONTO_NEURONS
    rng = np.random.default_rng(5)
    weights = {
        "w_in": rng.normal(0.25, 0.9, SHAPES["w_in"]),
        "w_rec": rng.normal(0.1, 0.6, SHAPES["w_rec"]) * MASK,
    }
    training = ParameterTraining(BOUNDS, optimizer=Adam(0.5))
    trained = dict.fromkeys(names, training) if trainable_delays is None else trainable_delays
    defaults = dict(
        weights=weights,
        connectivity={"w_rec": MASK},
        delays=start(*names),
        trainable_delays=trained,
        tau_out=8 * ms,
        optimizer=Adam(1e-3),
        seed=3,
    )
    return RecurrentNetwork(NEURONS, N_IN, N_REC, N_OUT, **defaults | options)


def task(seed=0, batch=2):
    rng = np.random.default_rng(seed)
    return rng.random((batch, STEPS, N_IN)) < 0.25, rng.normal(size=(batch, STEPS, N_OUT))


def of_reference(net, order=1, names=("delay_in", "delay_rec")):
    """Gradients of the reference, those of delays per second."""
    order = STEPS if math.isinf(order) else order
    found = reference.gradients(net, *task(), "eprop_reverse", order=order, parameters=names)
    per_second = 1 / float(net.description.dt)
    return evolve(found, parameters={n: g * per_second for n, g in found.parameters.items()})


def assert_same(found, expected, tolerance=ROUND_OFF):
    assert expected.spikes.sum() > 30
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    for name, gradient in expected.parameters.items():
        assert np.abs(gradient).max() > 10, name
        assert difference(found.parameters[name], gradient) < tolerance, name
    for name in ("w_in", "w_rec", "w_out"):
        assert difference(getattr(found, name), getattr(expected, name)) < tolerance, name


# ------------------------------------------------------------------- gradients
@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [2, 1, math.inf])
def test_gradients_are_those_of_the_reference(order):
    net = network(rule=EProp(order=order))
    assert_same(net.gradients(*task()), of_reference(net, order))


def test_a_delay_one_step_longer_has_another_gradient():
    net, later = network(), network()
    for name in ("delay_in", "delay_rec"):
        later.parameters[name] = later.parameters[name] + 1 * ms
    found = net.gradients(*task())
    # along the same spikes
    off = reference.gradients(
        later, *task(), "eprop_reverse", parameters=("delay_in",), spikes=found.spikes
    )
    assert difference(found.parameters["delay_in"], 1000 * off.parameters["delay_in"]) > 0.1


def by_hand(net, found, targets):
    """dE/dd of delays onto the readout: y is linear in what arrives."""
    error, kappa = found.readout - targets, math.exp(-1 / 8)
    lam = np.zeros((*error.shape[:2], N_OUT))
    for t in reversed(range(STEPS)):
        lam[:, t] = error[:, t] + (kappa * lam[:, t + 1] if t + 1 < STEPS else 0.0)
    lam = np.concatenate([lam, np.zeros_like(lam)], axis=1)
    delays, total = np.asarray(net.parameters["delay_out"] / ms), np.zeros(SHAPES["w_out"])
    for j, k in np.ndindex(total.shape):
        n = math.floor(delays[j, k] + 1e-6)
        for trial, t in zip(*np.nonzero(found.spikes[:, :, j]), strict=True):
            total[j, k] += lam[trial, t + n + 1, k] - lam[trial, t + n, k]
    return 1000 * net.weights["w_out"] * total / len(error)


@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_delays_onto_the_readout_have_the_gradient_of_its_filter(feedback):
    net, (inputs, targets) = network(*SHAPES, feedback=feedback), task()
    found = net.gradients(inputs, targets)
    expected = by_hand(net, found, targets)
    assert np.abs(expected).max() > 100
    assert difference(found.parameters["delay_out"], expected) < ROUND_OFF
    # what comes back along them does so with the present delays
    net.parameters["delay_out"] = np.full(SHAPES["w_out"], 3.4) * ms
    fixed = network(*ONTO_NEURONS, feedback=feedback, delays=start(*SHAPES) | {"w_out": 3 * ms})
    found, expected = net.gradients(inputs, targets), fixed.gradients(inputs, targets)
    assert_same(found, expected)
    assert difference(found.learning_signal, expected.learning_signal) < ROUND_OFF


def test_spikes_arrive_after_the_rounded_delays():
    net = network(*SHAPES)
    whole = {n: np.floor(np.asarray(d / ms) + 0.5) * ms for n, d in start(*SHAPES).items()}
    rounded = network(delays=whole, trainable_delays={})
    assert rounded.parameters == {}
    found, expected = net.simulate(task()[0]), rounded.simulate(task()[0])
    assert found.spikes.sum() > 30
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    np.testing.assert_array_equal(found.readout, expected.readout)
    at_once = network(delays={}).simulate(task()[0])
    assert (at_once.spikes != found.spikes).sum() > 10


def test_present_values_are_used_everywhere():
    net, (inputs, targets) = network(), task()
    before = net.gradients(inputs, targets)
    net.parameters["delay_in"][:] = 4.7 * ms
    net.parameters["delay_rec"] = net.parameters["delay_rec"] * 0.5
    found = net.gradients(inputs, targets)
    assert not np.array_equal(found.spikes, before.spikes)
    assert_same(found, of_reference(net))
    np.testing.assert_array_equal(net.simulate(inputs).spikes, found.spikes)
    recorded = net.record(inputs[0], targets[0])
    np.testing.assert_array_equal(recorded.spikes, found.spikes[0])
    restored = copy.deepcopy(net)
    np.testing.assert_array_equal(restored.simulate(inputs).spikes, found.spikes)


@pytest.mark.slow
def test_sparse_matrices_have_the_same_gradients():
    weights = dict(network(*SHAPES).weights)
    sparse = {n: csr_array(weights[n]) for n in ("w_in", "w_rec")}
    delays = {
        n: csr_array(np.where(weights[n] != 0, np.asarray(d), 0)) for n, d in start(*SHAPES).items()
    }
    delays = {n: delays[n] for n in sparse} | {"w_out": start("w_out")["w_out"]}
    dense = network(*SHAPES, weights=weights)
    net = network(*SHAPES, weights=weights | sparse, connectivity={}, delays=delays)
    assert isinstance(net.parameters["delay_rec"], csr_array)
    for update in range(2):
        found, expected = net.gradients(*task(update)), dense.gradients(*task(update))
        for name in expected.parameters:
            gradient = found.parameters[name]
            gradient = gradient.toarray() if name != "delay_out" else gradient
            assert difference(gradient, expected.parameters[name]) < ROUND_OFF
        net.apply(found)
        dense.apply(expected)
    present = net.parameters["delay_rec"].toarray()
    np.testing.assert_allclose(present, np.asarray(dense.parameters["delay_rec"]), atol=1e-15)


# ------------------------------------------------------------------- updates
def test_an_update_is_the_step_of_its_own_optimizer_within_bounds():
    training = ParameterTraining((1 * ms, 5 * ms), scale=2 * ms, optimizer=GradientDescent(1e-3))
    first = {"w_in": Quantity(np.clip(start("w_in")["w_in"], 1 * ms, 5 * ms))}
    net = network(trainable_delays={"w_in": training}, delays=first)
    g = net.gradients(*task())
    net.apply(g)
    expected = np.asarray(first["w_in"]) - 1e-3 * 0.002**2 * g.parameters["delay_in"]
    inside = (expected > 0.001) & (expected < 0.005)
    assert inside.any() and not inside.all()
    found = np.asarray(net.parameters["delay_in"])
    np.testing.assert_allclose(found, np.clip(expected, 0.001, 0.005), rtol=0, atol=1e-15)
    assert set(net.state.moments) == {"w_in", "w_rec", "w_out", "parameters.delay_in"}


def test_the_step_of_adam_is_the_part_of_a_millisecond():
    net = network()
    before = net.parameters["delay_in"]
    g = net.gradients(*task())
    net.apply(g)
    moved = np.asarray((net.parameters["delay_in"] - before) / ms)
    # far above what Adam adds to the root of the second moment, and away from the bound
    free = (np.abs(g.parameters["delay_in"]) > 1) & (np.asarray(before / ms) > 0.6)
    assert free.sum() > 20
    np.testing.assert_allclose(np.abs(moved[free]), 0.5, rtol=1e-4)
    assert np.all(np.asarray(net.parameters["delay_in"]) >= 0)
    # where there is no synapse there is no delay
    assert not np.asarray(net.parameters["delay_rec"])[~MASK].any()


class Coincidence:
    """Inputs that come one after the other, and an output that is to rise at the end."""

    def sample(self, rng, batch):
        inputs = np.zeros((batch, STEPS, N_IN), dtype=bool)
        inputs[:, 3 * np.arange(N_IN), np.arange(N_IN)] = True
        targets = np.zeros((batch, STEPS, 1))
        targets[:, 22:28] = 1.0
        return inputs, targets


@pytest.mark.slow
def test_delays_find_each_other_in_training():
    """Six inputs, 3 ms apart, make a neuron fire once they arrive together."""
    net = RecurrentNetwork(
        [("lif", 1, {"tau_m": 4 * ms, "v_th": 2.0})],
        N_IN,
        1,
        1,
        tau_out=5 * ms,
        weights={"w_in": np.full((N_IN, 1), 0.6), "w_out": np.ones((1, 1))},
        connectivity={"w_rec": np.zeros((1, 1), dtype=bool)},
        delays={"w_in": 8 * ms},
        trainable_delays={"w_in": ParameterTraining(BOUNDS, optimizer=Adam(0.2))},
        optimizer=GradientDescent(1e-9),
        seed=1,
    )
    inputs, _ = Coincidence().sample(None, 1)
    assert not net.simulate(inputs).spikes.any()
    losses = [entry["loss"] for entry in net.fit(Coincidence(), 60, seed=1, max_rate=1e9 / ms)]
    assert losses[-1] < 0.7 * losses[0]
    assert net.simulate(inputs).spikes.any()
    arrivals = 3 * np.arange(N_IN) + np.asarray(net.parameters["delay_in"] / ms)[:, 0]
    assert np.ptp(arrivals) < 0.7 * np.ptp(3 * np.arange(N_IN))


@pytest.mark.slow
def test_constraints_and_all_that_is_trained_go_together(tmp_path):
    """Training that was saved and read goes on as without a break, rewired and in parts."""

    class Noise:
        def sample(self, rng, batch):
            return rng.random((batch, STEPS, N_IN)) < 0.3, rng.normal(size=(batch, STEPS, N_OUT))

    def made():
        return network(*SHAPES, trainable=["tau_m"], constraints=[DeepR(0.5, matrices=["w_rec"])])

    whole, net = made(), made()
    expected = whole.fit(Noise(), 4, batch_size=9, seed=1)
    history = net.fit(Noise(), 2, batch_size=9, seed=1)
    net.save(tmp_path / "network.npz")
    again = RecurrentNetwork.load(tmp_path / "network.npz")
    history += again.fit(Noise(), 2, batch_size=9, seed=1)
    assert [e["loss"] for e in history] == [e["loss"] for e in expected]
    for name, values in whole.parameters.items():
        np.testing.assert_array_equal(np.asarray(again.parameters[name]), np.asarray(values))
        moved = np.abs(np.asarray(values) - np.asarray(made().parameters[name]))
        assert moved.max() > 5e-5, name
    assert again.description.trainable_delays["w_in"].bounds == BOUNDS


def test_files_keep_sparse_delays_and_their_training(tmp_path):
    weights = {n: csr_array(w) for n, w in network().weights.items() if n in ONTO_NEURONS}
    training = ParameterTraining(BOUNDS, scale=2 * ms, optimizer=Adam(0.1))
    net = network(
        trainable_delays={"w_rec": training},
        weights=weights,
        connectivity={},
        delays={"w_rec": 3.3 * ms},
    )
    net.parameters["delay_rec"].data[:] += 0.001 * np.arange(net.weights["w_rec"].nnz) / 60
    net.save(tmp_path / "network.npz")
    again = RecurrentNetwork.load(tmp_path / "network.npz")
    found, expected = again.parameters["delay_rec"], net.parameters["delay_rec"]
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    assert again.description.trainable_delays["w_rec"] == training


# ------------------------------------------------------------------- programs
@pytest.mark.slow
@pytest.mark.standalone
def test_one_program_serves_all_delays(tmp_path):
    """Another call, process or number of threads has the queues of its own delays."""
    net, twin = network(*SHAPES), network(*SHAPES)
    with programs_in(tmp_path / "programs", tmp_path):
        for update in range(3):
            batch = task(update, batch=9)
            found = net.gradients(*batch, threads=2)
            simulated = net.simulate(batch[0]) if update == 2 else found
            set_device("runtime")
            expected = twin.gradients(*batch)
            reset_device()
            # other order of the sums
            assert_same(found, expected, tolerance=1e-12)
            np.testing.assert_array_equal(simulated.spikes, expected.spikes)
            net.apply(found)
            twin.apply(expected)
        moved = np.abs(np.asarray(net.parameters["delay_in"] - start("w_in")["w_in"]))
        assert moved.max() > 1e-3
        before, state = net.gradients(*batch), net.state
        net.parameters["delay_in"] = 19 * np.ones(SHAPES["w_in"]) * ms
        assert not np.array_equal(net.gradients(*batch).spikes, before.spikes)
        net.state = state
        net.parameters["delay_in"] = twin.parameters["delay_in"]
        assert_identical(net.gradients(*batch), before)
        assert len({program.folder for program in programs_of_learning(net)}) == 1


def programs_of_learning(net):
    return [
        program
        for (_, trials, _), one in net._networks.items()
        if trials.learning
        for program in one.programs
    ]


def test_neither_delays_nor_how_they_are_trained_change_the_name_of_the_program():
    def key(training=BOUNDS, learning=True, delays=3 * ms):
        net = RecurrentNetwork(
            "lif", 2, 3, 1, delays={"w_in": delays}, trainable_delays={"w_in": training}
        )
        return compiled._key(net.description, BatchShape(1, 40, learning=learning))

    base = key()
    assert key(delays=1.7 * ms) == key(ParameterTraining(BOUNDS, optimizer=Adam(1.0))) == base
    # for longer ones it has more room
    assert len({base, key((0 * ms, 21 * ms)), key(learning=False)}) == 3


# ------------------------------------------------------------------- what looks at networks
@pytest.mark.slow
def test_alignment_has_a_column_of_delays():
    net = network(rule=EProp())
    monitor = AlignmentMonitor([EProp(), "eprop"])
    columns = monitor.of_network(net, *task())
    assert 0 < columns["cosine EProp(order=1) delay_in"] < 1 - 1e-6
    assert "cosine eprop w_in" in columns and "cosine eprop delay_in" not in columns


def test_the_report_names_the_delays():
    words = _network(network(trainable=["tau_m"]))
    assert words["Trained as well"].startswith("tau_m, delays of w_in (3")
    assert " ms, from 0.0" in words["Trained as well"]


@pytest.mark.slow
def test_gradients_of_runs_are_checked_on_shorter_trials_than_delays_may_become(monkeypatch):
    class Noise:
        def sample(self, rng, batch):
            return tuple(array[:batch] for array in task(0))

    monkeypatch.setattr(verification, "STEPS", 18)
    check = verification.check_gradients(network(), Noise(), seed=0)
    assert check.passed and check.against == "the NumPy reference" and check.spikes > 5


# ------------------------------------------------------------------- refusals
WRONG = {
    "no bounds": (["w_in"], ValueError, r"names 'w_in' without bounds, .*\{'w_rec': \(0\*ms"),
    "text": ("w_in", TypeError, r"trainable_delays = 'w_in' is one name"),
    "unknown": ({"w_inn": BOUNDS}, ValueError, r"\['w_inn'\] is not one of .*mean 'w_in'"),
    "negative": ({"w_in": (-1 * ms, 5 * ms)}, ValueError, "no spike arrives before it was sent"),
    "infinite": ({"w_in": (0 * ms, np.inf * ms)}, ValueError, "must be finite"),
    "reversed": ({"w_in": (5 * ms, 1 * ms)}, ValueError, "first must not be above the second"),
    "unit": ({"w_in": (0, 5)}, DimensionMismatchError, r"trainable_delays\['w_in'\]\.bounds"),
    "start": ({"w_in": (7 * ms, 9 * ms)}, ValueError, r"delays\['w_in'\]\[0, 0\] = .*, but its"),
    "no start": ({"w_out": (1 * ms, 9 * ms)}, ValueError, r"delays\['w_out'\]\[0, 0\] = 0. s, but"),
    "scale": (
        {"w_in": ParameterTraining(BOUNDS, scale=2)},
        DimensionMismatchError,
        r"trainable_delays\['w_in'\]\.scale",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_trained_is_refused(case):
    training, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        network(trainable_delays=training, delays=start("w_in"))


def test_rules_without_the_gradient_are_refused():
    with pytest.raises(
        ValueError,
        match=r"\['w_in', 'w_rec'\]: delays have no traces in RecurrentNetwork, whose programs",
    ):
        network(rule=EProp(engine="traces"))
    with pytest.raises(ValueError, match=r"RFLO keeps .* and says nothing of delays; choose"):
        network(rule=RFLO())


def test_a_parameter_of_neurons_may_have_their_name_if_they_are_not_trained(tmp_path):
    model = load_model("lif")
    model = evolve(
        model,
        equations=model.equations.replace("dv/dt = -v/tau_m", "dv/dt = (delay_in - v)/tau_m"),
        parameters=model.parameters | {"delay_in": 0.1},
    )
    # of neurons, where no delays are trained
    net = RecurrentNetwork(model, 2, 3, 1, trainable=["delay_in"])
    net.save(tmp_path / "network.npz")
    again = RecurrentNetwork.load(tmp_path / "network.npz")
    assert again.parameters["delay_in"].shape == (3,)
    assert again.description.with_parameters(again.parameters).delays == {}
    with pytest.raises(ValueError, match=r"with trainable_delays=.'w_out': .0.ms, 20.ms"):
        net.parameters["delay_out"] = np.zeros((3, 1)) * ms
        net.simulate(np.ones((10, 2), dtype=bool))
    with pytest.raises(ValueError, match=r"trainable names 'delay_in', as the trained delays of"):
        RecurrentNetwork(model, 2, 3, 1, trainable=["delay_in"], trainable_delays={"w_in": BOUNDS})


def test_trials_that_are_too_short_or_too_long_are_refused():
    net, (inputs, targets) = network(), task()
    with pytest.raises(ValueError, match=r"w_in'\]\.bounds = .*, but a trial has 20 steps of 1"):
        net.gradients(inputs[:, :20], targets[:, :20])
    with pytest.raises(ValueError, match=r"kept up to 5000 steps, but a trial has 5001; .*order=2"):
        net.prepare(1, 5001)
    network(rule=EProp(order=2)).prepare(1, 5001)


def test_delays_are_checked_before_they_are_used():
    net = network()
    wrong = {
        r"\['delay_rec'\]\[0, \d\] = 21. ms, but its bounds are 0. s to 20. ms": [[21.0] * 7] * 7,
        r"has the shape \(3,\); it must be \(7, 7\)": np.ones(3),
        r"= nan s, but its bounds": np.full((7, 7), np.nan),
    }
    for message, values in wrong.items():
        net.parameters["delay_rec"] = np.array(values) * ms
        for use in (lambda: net.simulate(task()[0]), net.reference_network):
            with pytest.raises(ValueError, match=message):
                use()
    net.parameters["delay_rec"] = np.ones((7, 7))
    with pytest.raises(DimensionMismatchError, match="it must be a time"):
        net.simulate(task()[0])
    with pytest.raises(ValueError, match=r"no delays onto the readout, but those of the network"):
        network(*SHAPES).reference_network()


def test_arrivals_that_see_a_state_are_refused():
    model = NeuronModel(
        name="conductance",
        equations="dv/dt = -v/tau : 1",
        threshold="v > 1",
        reset="v -= 1",
        method="exact",
        on_pre="v_post += w*(2 - v_post)",
        parameters={"tau": 7 * ms},
        surrogate=PiecewiseLinear(height=0.3, width=1.0),
    )
    net = RecurrentNetwork(model, 2, 3, 1, trainable_delays={"w_rec": BOUNDS})
    with pytest.raises(NoDerivativeError, match=r"or these synapses out of RecurrentNetwork.trai"):
        net.gradients(np.ones((40, 2), dtype=bool), np.ones((40, 1)))
