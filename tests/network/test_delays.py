"""Networks whose spikes take time: gradients are those of a NumPy oracle, on both devices."""

import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import Network, SpikeGeneratorGroup, get_device, ms, mV, set_device
from brian2.core.base import BrianObjectException
from brian2.devices.device import reset_device
from brian2.units import DimensionMismatchError
from comparing import assert_gradients_equal, difference

from brian_eprop import (
    BPTT,
    EProp,
    LeakyReadout,
    Learner,
    RecurrentNetwork,
    TrainableSynapses,
    load_model,
    reference,
)
from brian_eprop.engines import windows
from brian_eprop.network.description import MATRICES

pytestmark = pytest.mark.usefixtures("numpy_target")

# other order of the sums, over at most a hundred steps
ROUND_OFF = 1e-10
N_IN, N_OUT, STEPS, BATCH = 8, 2, 40, 2
NEURONS = [
    ("lif", 4, {"tau_m": np.array([5.0, 11.0, 17.0, 23.0]) * ms}),
    ("alif", 3, {"beta": 0.2, "tau_a": np.array([30.0, 60.0, 90.0]) * ms}),
]
N_REC = 7
SHAPES = {"w_in": (N_IN, N_REC), "w_rec": (N_REC, N_REC), "w_out": (N_REC, N_OUT)}


def network(delays, neurons=NEURONS, **options):
    rng = np.random.default_rng(5)
    mask = rng.random((N_REC, N_REC)) < 0.7
    # strong enough to fire again and again
    weights = {
        "w_in": rng.normal(0.25, 0.9, SHAPES["w_in"]),
        "w_rec": rng.normal(0.1, 0.6, SHAPES["w_rec"]),
    }
    return RecurrentNetwork(
        neurons,
        N_IN,
        N_REC,
        N_OUT,
        tau_out=8 * ms,
        weights=weights,
        connectivity={"w_rec": mask},
        delays=delays,
        seed=3,
        **options,
    )


def random_delays(*names, high=9):
    rng = np.random.default_rng(2)
    return {name: rng.integers(0, high, SHAPES[name]) * ms for name in names}


def task(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((BATCH, STEPS, N_IN)) < 0.25, rng.normal(size=(BATCH, STEPS, N_OUT))


def order_of_reference(order):
    """All paths of a trial have fewer hops than steps; backwards, many orders are cheap."""
    return {"rule": "eprop_reverse", "order": STEPS if order == math.inf else order}


# ------------------------------------------------------------------- onto the neurons
UNIFORM = {"w_in": 2 * ms, "w_rec": 3 * ms}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delays", "rule"),
    [
        *((random_delays("w_in", "w_rec"), EProp(order=order)) for order in (1, 2, math.inf)),
        (random_delays("w_in", "w_rec"), EProp(engine="traces")),
        *((UNIFORM, EProp(order=order)) for order in (1, math.inf)),
        (random_delays("w_in"), EProp(order=math.inf)),
        (random_delays("w_rec"), EProp(order=math.inf)),
    ],
)
def test_gradients_are_those_of_the_reference(delays, rule):
    net, (inputs, targets) = network(delays, rule=rule), task()
    found = net.gradients(inputs, targets)
    expected = reference.gradients(net, inputs, targets, **order_of_reference(rule.order))
    assert_gradients_equal(found, expected, spikes=40)
    at_once = reference.simulate(network({}).reference_network(), inputs)
    assert (at_once.spikes != found.spikes).sum() > 10


@pytest.mark.slow
def test_an_order_of_two_digits_with_delays_is_that_of_the_reference():
    # the eleventh name of a row begins like the second: "passed_10" and "passed_1"
    net, (inputs, targets) = network(random_delays("w_rec"), rule=EProp(order=12)), task()
    found = net.gradients(inputs, targets)
    assert_gradients_equal(
        found, reference.gradients(net, inputs, targets, **order_of_reference(12))
    )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["w_in", "w_rec"])
def test_a_delay_that_is_wrong_by_one_step_would_be_seen(name):
    delays, (inputs, targets) = random_delays("w_in", "w_rec"), task()
    found = network(delays).gradients(inputs, targets)
    later = network(delays | {name: delays[name] + 1 * ms})
    expected = reference.gradients(later, inputs, targets, "eprop", spikes=found.spikes)
    assert difference(getattr(found, name), getattr(expected, name)) > 1e-3


# ------------------------------------------------------------------- onto the readout
def delayed_readout(net, run):
    """y_k^t = κ y_k^{t−1} + Σ_j w_jk z_j^{t−d_jk}."""
    delays, kappa = net.description.delay_steps("w_out"), math.exp(-1 / 8)
    y = np.zeros((BATCH, STEPS, N_OUT))
    for t in range(STEPS):
        y[:, t] = kappa * y[:, t - 1] if t else 0.0
        for (j, k), delay in np.ndenumerate(delays):
            if t >= delay:
                y[:, t, k] += net.weights["w_out"][j, k] * run.spikes[:, t - delay, j]
    return y


def with_delayed_readout(net, without, inputs, targets, order, window=None):
    """The gradients of a network with delays onto the readout.

    Of each delay d separately: the error that comes back along these synapses is that of d steps
    later, which is the error of a network without delays onto the readout for other targets.
    """
    plain = without.reference_network()
    run = reference.simulate(plain, inputs)
    readout = delayed_readout(net, run)
    error = readout - targets
    if window is not None:
        error[:, : STEPS - window] = 0
    delays = net.description.delay_steps("w_out")
    total = {name: 0.0 for name in (*MATRICES, "learning_signal")}
    for delay in np.unique(delays):
        own = delays == delay
        later = np.zeros_like(error)
        later[:, : STEPS - delay] = error[:, delay:]
        sent_back = evolve(plain, feedback=np.where(own, plain.w_out, 0.0).T)
        of_rule = order_of_reference(order)
        part = reference.gradients(sent_back, inputs, run.readout - later, **of_rule)
        for name in ("w_in", "w_rec", "learning_signal"):
            total[name] = total[name] + getattr(part, name)
        total["w_out"] = total["w_out"] + np.where(own, part.w_out, 0.0)
    loss = 0.5 * (error**2).sum() / BATCH
    return evolve(part, **total, loss=loss, readout=readout)


# every pair of values
@pytest.mark.slow
@pytest.mark.parametrize(
    ("uniform", "order", "window"),
    [
        (True, 1, 15),
        (True, 2, None),
        (True, math.inf, 15),
        (False, 1, None),
        (False, 2, 15),
        (False, math.inf, None),
    ],
)
def test_delays_onto_the_readout_are_in_the_gradient(uniform, order, window):
    onto_neurons = random_delays("w_in", "w_rec", high=4)
    onto_readout = {"w_out": 3 * ms} if uniform else random_delays("w_out")
    rule, (inputs, targets) = EProp(order=order), task(1)
    net = network(onto_neurons | onto_readout, rule=rule)
    without = network(onto_neurons, rule=rule)
    found = net.gradients(inputs, targets, learning_window=window)
    assert_gradients_equal(
        found,
        with_delayed_readout(net, without, inputs, targets, order, window),
        spikes=40,
    )
    at_once = reference.gradients(
        without, inputs, targets, learning_window=window, **order_of_reference(order)
    )
    np.testing.assert_array_equal(at_once.spikes, found.spikes)
    for name in MATRICES:
        assert difference(getattr(at_once, name), getattr(found, name)) > 1e-2
    if order == 1:
        simulated = net.simulate(inputs)
        np.testing.assert_array_equal(simulated.spikes, found.spikes)
        np.testing.assert_allclose(simulated.readout, found.readout, rtol=0, atol=1e-12)


@pytest.fixture
def windows_of_7_steps(monkeypatch):
    """Within trials, as if these were long."""
    monkeypatch.setattr(windows, "WHOLE", 0)
    monkeypatch.setattr(windows, "SEGMENT", 7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "feedback"), [(("w_in", "w_rec"), "symmetric"), (MATRICES, "random")]
)
def test_spikes_may_arrive_in_a_later_window(names, feedback, monkeypatch, windows_of_7_steps):
    inputs, targets = task()
    found = network(random_delays(*names), feedback=feedback).gradients(inputs, targets)
    monkeypatch.undo()
    expected = network(random_delays(*names), feedback=feedback).gradients(inputs, targets)
    assert_gradients_equal(found, expected, spikes=40)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("feedback", ["symmetric", "adaptive"])
def test_errors_do_not_come_back_to_an_earlier_window(feedback, windows_of_7_steps):
    net, (inputs, targets) = network(random_delays("w_out"), feedback=feedback), task()
    with pytest.raises(ValueError, match="'w_out' delays spikes on their way to the readout by up"):
        net.gradients(inputs, targets)
    assert net.simulate(inputs).spikes.any()
    whole = network(random_delays("w_out"), feedback=feedback, rule=EProp(order=2))
    assert whole.gradients(inputs, targets).w_rec.any()


def test_synapses_of_brian2_say_that_errors_do_not_come_back_to_an_earlier_window():
    source = SpikeGeneratorGroup(1, [0], [1] * ms, dt=1 * ms)
    neurons = load_model("lif").group(2, dt=1 * ms)
    readout = LeakyReadout(1, tau=8 * ms, target=np.zeros((20, 1)), dt=1 * ms)
    # without trials there are windows
    learner = Learner(readout, rule=EProp())
    about = {"learner": learner, "dt": 1 * ms}
    inputs = TrainableSynapses(source, neurons, on_pre="v_post += w", **about)
    outputs = TrainableSynapses(neurons, readout, on_pre="y_post += w", **about)
    for synapses in (inputs, outputs):
        synapses.connect()
    outputs.delay = [0, 3] * ms
    network = Network(source, neurons, readout, inputs, outputs)
    with pytest.raises(BrianObjectException) as caught:
        network.run(20 * ms)
    assert f"'{outputs.name}' delays spikes on their way" in str(caught.value.__cause__)


@pytest.mark.slow
def test_random_feedback_comes_back_at_once():
    about, (inputs, targets) = {"rule": EProp(), "feedback": "random"}, task(1)
    net, without = network(random_delays("w_out"), **about), network({}, **about)
    found = net.gradients(inputs, targets)
    run = reference.simulate(without.reference_network(), inputs)
    readout = delayed_readout(net, run)
    # the same error, now
    expected = reference.gradients(without, inputs, run.readout - (readout - targets), "eprop")
    for name in ("w_in", "w_rec", "learning_signal"):
        assert difference(getattr(found, name), getattr(expected, name)) < ROUND_OFF, name
    np.testing.assert_allclose(found.readout, readout, rtol=0, atol=1e-12)
    assert difference(found.readout, run.readout) > 0.1


# ------------------------------------------------------------------- trials
# nothing goes on from a trial to the next
@pytest.mark.filterwarnings("error:trials of the learner")
@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("learning", [False, True])
def test_spikes_do_not_cross_trials(learning):
    delays = random_delays("w_in", "w_rec", high=12)
    net, (inputs, targets) = network(delays), task()

    def run(inputs, targets):
        return net.gradients(inputs, targets) if learning else net.simulate(inputs)

    both, second = run(inputs, targets), run(inputs[1], targets[1])
    assert inputs[0, -5:].any() and both.spikes[0, -5:].any()
    assert second.spikes.sum() > 20
    np.testing.assert_array_equal(both.spikes[1], second.spikes)
    np.testing.assert_allclose(both.readout[1], second.readout, rtol=0, atol=1e-12)


# ------------------------------------------------------------------- devices
@pytest.mark.slow
@pytest.mark.standalone
def test_a_compiled_program_has_the_same_delays(tmp_path):
    delays = random_delays("w_in", "w_rec", "w_out") | {"w_in": 2 * ms}
    net, (inputs, targets) = network(delays, rule=BPTT()), task()
    expected, simulated = net.gradients(inputs, targets), net.simulate(inputs)
    assert expected.spikes.sum() > 40
    set_device("cpp_standalone", directory=str(tmp_path / "user"), build_on_run=False)
    try:
        found, again = net.gradients(inputs, targets), net.simulate(inputs)
    finally:
        get_device().reinit()
        reset_device()
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    np.testing.assert_array_equal(again.spikes, simulated.spikes)
    for name in (*MATRICES, "readout"):
        # other order of the sums
        assert difference(getattr(found, name), getattr(expected, name)) < 1e-12, name


# ------------------------------------------------------------------- time constants
def test_each_neuron_has_its_own_time_constant_in_the_gradient():
    own, (inputs, targets) = network({}), task()
    found = own.gradients(inputs, targets)
    assert_gradients_equal(
        found,
        reference.gradients(own, inputs, targets, "eprop"),
        spikes=40,
    )
    neurons = [(model, n, values | {"tau_m": 14 * ms}) for model, n, values in NEURONS]
    shared = network({}, neurons)
    along = reference.gradients(shared, inputs, targets, "eprop", spikes=found.spikes)
    for name in ("w_in", "w_rec"):
        assert difference(getattr(found, name), getattr(along, name)) > 1e-2


# ------------------------------------------------------------------- files, and what is refused
@pytest.mark.slow
def test_delays_are_saved(tmp_path):
    net, (inputs, targets) = network(random_delays("w_rec") | {"w_in": 2 * ms}), task()
    net.save(tmp_path / "network.npz")
    loaded = RecurrentNetwork.load(tmp_path / "network.npz")
    for name in MATRICES:
        steps = net.description.delay_steps(name)
        np.testing.assert_array_equal(loaded.description.delay_steps(name), steps)
        assert steps.any() == (name != "w_out")
    found, expected = loaded.gradients(inputs, targets), net.gradients(inputs, targets)
    np.testing.assert_array_equal(found.w_rec, expected.w_rec)


def one_of(name, value):
    """One of the synapses that exist has another delay."""
    delays = np.ones(SHAPES[name])
    delays[1, {"w_in": 2, "w_rec": 3, "w_out": 0}[name]] = value
    return {name: delays * ms}


WRONG = {
    "no dict": (2 * ms, r"RecurrentNetwork\.delays = 2\. \* msecond must be a table"),
    "name": ({"w_recc": 1 * ms}, r"delays\['w_recc'\] is not one of .*did you mean 'w_rec'"),
    "text": ({"w_in": "two"}, r"delays\['w_in'\] = 'two': 'two' is not a unit"),
    "shape": ({"w_in": np.ones(N_REC) * ms}, r"delays\['w_in'\] has the shape \(7,\); give one"),
    "fraction": (one_of("w_rec", 1.5), r"delays\['w_rec'\]\[1, 3\] = 1\.5 ms is not a multiple"),
    "one fraction": ({"w_in": 0.3 * ms}, r"delays\['w_in'\] = 300\. us is not a multiple of dt"),
    "negative": (one_of("w_in", -1), r"delays\['w_in'\]\[1, 2\] = -1\. ms must be finite and ≥ 0"),
    "infinite": (one_of("w_out", np.inf), r"delays\['w_out'\]\[1, 0\] = inf .* must be finite"),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", WRONG)
def test_wrong_delays_are_refused_by_name(case):
    delays, message = WRONG[case]
    # as for the other tables of a network
    with pytest.raises(TypeError if case == "no dict" else ValueError, match=message):
        network(delays)


@pytest.mark.parametrize("value", [2, 2 * mV, np.ones(SHAPES["w_in"])])
def test_delays_without_the_unit_of_time_are_refused(value):
    with pytest.raises(DimensionMismatchError, match=r"delays\['w_in'\] has the unit .* a time"):
        network({"w_in": value})


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("method", ["gradients", "simulate"])
def test_delays_longer_than_a_trial_are_refused(name, method):
    net, (inputs, targets) = network(one_of(name, STEPS)), task()
    arguments = (inputs, targets) if method == "gradients" else (inputs,)
    message = rf"delays\['{name}'\]\[1, .\] = 40\. ms, but a trial has 40 steps of 1\. ms: its sp"
    with pytest.raises(ValueError, match=message):
        getattr(net, method)(*arguments)


def test_a_delay_of_a_synapse_that_does_not_exist_is_not_looked_at():
    delays = np.zeros((N_REC, N_REC))
    i, j = np.argwhere(~network({}).description.connectivity["w_rec"])[0]
    delays[i, j] = STEPS
    net, (inputs, targets) = network({"w_rec": delays * ms}), task()
    found = net.gradients(inputs, targets)
    np.testing.assert_array_equal(found.spikes, network({}).gradients(inputs, targets).spikes)


def test_traces_and_the_reference_have_no_delays_onto_the_readout():
    delays, (inputs, targets) = random_delays("w_out"), task()
    with pytest.raises(ValueError, match=r"\['w_out'\] are up to 8\. ms, .*engine='credit'"):
        network(delays, rule=EProp(engine="traces"))
    with pytest.raises(ValueError, match=r"\['w_out'\] are up to 8\. ms, .*recordings of them"):
        network(delays).record(inputs[0], targets[0])
    with pytest.raises(ValueError, match=r"no delays onto the readout, but .*\['w_out'\], are up"):
        network(delays).reference_network()
    recorded = network(random_delays("w_in", "w_rec")).record(inputs[0], targets[0])
    assert recorded.spikes.sum() > 10 and np.abs(recorded.e_trace).max() > 0
