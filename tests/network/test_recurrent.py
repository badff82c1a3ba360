"""A recurrent network: what it refuses, and how the message names it."""

import copy
import pickle

import numpy as np
import pytest
from brian2 import Hz, ms, mV, nS, pA
from brian2.units import DimensionMismatchError
from scipy.sparse import csr_array

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    NeuronModel,
    PiecewiseLinear,
    RecurrentNetwork,
    load_model,
)

pytestmark = pytest.mark.usefixtures("numpy_target")


def network(neurons="lif", n_in=3, n_rec=4, n_out=2, **arguments):
    return RecurrentNetwork(neurons, n_in, n_rec, n_out, **arguments)


def with_nan(shape):
    values = np.zeros(shape)
    values[1, 2] = np.nan
    return values


WRONG = {
    "no inputs": (dict(n_in=0), r"RecurrentNetwork\.n_in = 0 must be an integer ≥ 1"),
    "fraction of a neuron": (dict(n_rec=2.5), r"RecurrentNetwork\.n_rec = 2\.5 must be an integer"),
    "negative outputs": (dict(n_out=-1), r"RecurrentNetwork\.n_out = -1 must be an integer"),
    "truth value": (dict(n_out=True), r"RecurrentNetwork\.n_out = True must be an integer"),
    "unknown model": (dict(neurons="alfi"), r"no neuron model 'alfi' \(did you mean 'alif'"),
    "not a triple": (dict(neurons=[("lif", 4)]), r"'lif', 4\) is not \(model, count, overrides\)"),
    "a number": (dict(neurons=[4]), r"4 is not \(model, count, overrides\)"),
    "counts": (
        dict(neurons=[("lif", 2, {}), ("alif", 3, {})]),
        "has 5 neurons in all, but n_rec = 4",
    ),
    "count 0": (
        dict(neurons=[("lif", 0, {}), ("alif", 4, {})]),
        "the number of 'lif' = 0 must be an integer",
    ),
    "count 1.5": (dict(neurons=[("lif", 1.5, {})]), "the number of 'lif' = 1.5 must be an integer"),
    "overrides": (dict(neurons=[("lif", 4, 3)]), "the overrides of 'lif' are 3; give a dict"),
    "unknown parameter": (
        dict(neurons=[("lif", 4, {"tau": 3 * ms})]),
        r"'lif' has no parameter 'tau' \(did you mean 'tau_m'",
    ),
    "a group's keyword": (
        dict(neurons=[("lif", 4, {"name": "mine"})]),
        "'lif' has no parameter 'name'",
    ),
    "unit of a parameter": (
        dict(neurons=[("lif", 4, {"tau_m": 3 * mV})]),
        "'tau_m' = .* the unit is volt but must be second",
    ),
    "negative time constant": (
        dict(neurons=[("lif", 4, {"tau_m": -3 * ms})]),
        r"'tau_m' = -3\. \* msecond",
    ),
    "one of them negative": (
        dict(neurons=[("lif", 4, {"tau_m": np.array([1, 1, 1, -1]) * ms})]),
        "'tau_m' = ",
    ),
    "length of a parameter": (
        dict(neurons=[("lif", 4, {"v_th": np.ones(3)})]),
        r"'v_th' = .*shape is \(3,\).*4, one a neuron",
    ),
    "surrogate in other units": (
        dict(neurons=[("lif", 4, {"surrogate": PiecewiseLinear(0.3 / mV, 1 * mV)})]),
        "'lif'.*surrogate",
    ),
    "not a surrogate": (dict(neurons=[("lif", 4, {"surrogate": 3})]), "surrogate"),
    "loss": (
        dict(loss="msee"),
        r"loss = 'msee' is not known \(did you mean 'mse'.*'cross_entropy'",
    ),
    "feedback": (
        dict(feedback="randm"),
        r"feedback = 'randm' is not known \(did you mean 'random'",
    ),
    "feedback's shape": (
        dict(feedback=np.ones((4, 2))),
        r"weights\['feedback'\] has the shape \(4, 2\); it must be \(2, 4\)",
    ),
    "decay": (dict(feedback="adaptive", feedback_decay=1.5), r"feedback_decay = 1\.5 must be in"),
    "decay of fixed feedback": (
        dict(feedback="random", feedback_decay=0.1),
        "is for feedback='adaptive' only",
    ),
    "weights key": (
        dict(weights={"w_recc": np.ones((4, 4))}),
        r"weights\['w_recc'\] is not one of .*did you mean 'w_rec'",
    ),
    "weights shape": (
        dict(weights={"w_in": np.ones((4, 3))}),
        r"weights\['w_in'\] has the shape \(4, 3\); it must be \(3, 4\) \(row = pre",
    ),
    "weights NaN": (dict(weights={"w_rec": with_nan((4, 4))}), r"weights\['w_rec'\]\[1, 2\] = nan"),
    "weights text": (
        dict(weights={"w_in": [["a"] * 4] * 3}),
        r"weights\['w_in'\] = .* must be an array",
    ),
    "mask key": (
        dict(connectivity={"in": np.ones((3, 4), dtype=bool)}),
        r"connectivity\['in'\] is not one of w_in",
    ),
    "mask type": (
        dict(connectivity={"w_in": np.ones((3, 4))}),
        r"connectivity\['w_in'\] is a float64 array of shape \(3, 4\); it must be bool",
    ),
    "mask shape": (
        dict(connectivity={"w_out": np.ones((2, 4), dtype=bool)}),
        r"connectivity\['w_out'\] is a bool array of shape \(2, 4\); it must be bool, of shape "
        r"\(4, 2\)",
    ),
    "reset path of no variable": (
        dict(rule=EProp(reset_path={"u": "implicit"})),
        "names 'u', which is no variable of the neurons that the reset changes",
    ),
    "reset path of a variable that is not reset": (
        dict(neurons="cuba_lif", rule=EProp(reset_path={"I_syn": "implicit"})),
        "reset_path.*I_syn.*the reset changes v",
    ),
    "negative tau_out": (dict(tau_out=-1 * ms), r"RecurrentNetwork\.tau_out = .* positive"),
    "infinite dt": (dict(dt=np.inf * ms), r"RecurrentNetwork\.dt = .* finite"),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_refused_by_name(case):
    arguments, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        network(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(dt=1.0), r"RecurrentNetwork\.dt = 1\.0 .*must be a time"),
        (dict(dt=1 * mV), r"RecurrentNetwork\.dt = .* must be a time"),
        (dict(tau_out=20), r"RecurrentNetwork\.tau_out = 20 .*must be a time"),
        (dict(optimizer=Adam(5 * pA)), "give the learning rate without unit"),
    ],
)
def test_wrong_units_are_refused_by_name(arguments, message):
    with pytest.raises(DimensionMismatchError, match=message):
        network(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(optimizer="adam"), r"optimizer = 'adam' is not an optimizer; .*Adam\(5e-3\)"),
        (dict(optimizer=Adam), "is not an optimizer"),
        (dict(rule="eprop"), r"rule = 'eprop' is not a rule .*: give EProp\(order=1\)"),
        (dict(regularizers=["rate"]), "regularizers holds 'rate', which is no regularizer"),
        (dict(regularizers=FiringRateRegularizer()), r"is one regularizer; give a list"),
    ],
)
def test_objects_of_the_wrong_type_are_refused_by_name(arguments, message):
    with pytest.raises(TypeError, match=message):
        network(**arguments)


SPIKES = np.zeros((10, 3), dtype=bool)
TARGETS = np.zeros((10, 2))
WRONG_TRIALS = {
    "inputs of another width": (np.zeros((10, 4)), TARGETS, r"inputs have the shape \(10, 4\)"),
    "inputs without time": (np.zeros(3), TARGETS, r"give \(T, 3\) or \(batch, T, 3\)"),
    "no steps": (np.zeros((0, 3)), np.zeros((0, 2)), r"inputs have the shape \(0, 3\)"),
    "no trials": (np.zeros((0, 10, 3)), TARGETS, r"inputs have the shape \(0, 10, 3\)"),
    "inputs that are rates": (SPIKES + 0.5, TARGETS, "inputs must be booleans"),
    "inputs with NaN": (SPIKES * np.nan, TARGETS, "inputs must be booleans"),
    "targets of another width": (SPIKES, np.zeros((10, 3)), r"targets have the shape \(10, 3\)"),
    "short targets": (SPIKES, TARGETS[:9], r"targets have \(batch, steps\) = \(1, 9\) but inputs"),
    "targets of more trials": (SPIKES, np.zeros((2, 10, 2)), r"= \(2, 10\) but inputs \(1, 10\)"),
    "targets with NaN": (SPIKES, with_nan((10, 3))[:, 1:], r"targets\[1, 1\] = nan"),
    "infinite targets": (SPIKES, TARGETS + np.inf, r"targets\[0, 0\] = inf"),
    "targets of text": (SPIKES, [["a", "b"]] * 10, "targets = .* must be an array of numbers"),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", WRONG_TRIALS)
def test_wrong_trials_are_refused_by_name(case):
    inputs, targets, message = WRONG_TRIALS[case]
    with pytest.raises(ValueError, match=message):
        network().gradients(inputs, targets)


@pytest.mark.parametrize("window", [0, -1, 11, 2.0, True, "5"])
def test_a_learning_window_that_is_no_part_of_the_trial_is_refused(window):
    with pytest.raises(ValueError, match=r"learning_window = .* between 1 and the 10 steps"):
        network().gradients(SPIKES, TARGETS, learning_window=window)


def test_cross_entropy_needs_probabilities_where_errors_count():
    classifier = network(loss="cross_entropy")
    with pytest.raises(ValueError, match=r"targets of trial 0, step 0 are \[0\. 0\.\]"):
        classifier.gradients(SPIKES, TARGETS)
    targets = TARGETS.copy()
    targets[6:] = [1.5, -0.5]
    with pytest.raises(ValueError, match=r"trial 0, step 6 .* needs probabilities"):
        classifier.gradients(SPIKES, targets, learning_window=4)
    targets[6:] = [0.25, 0.75]
    assert classifier.gradients(SPIKES, targets, learning_window=4).loss > 0


def test_weights_that_became_wrong_are_refused_when_used():
    broken = network()
    broken.weights["w_in"][1, 2] = np.inf
    with pytest.raises(ValueError, match=r"weights\['w_in'\]\[1, 2\] = inf; it must be finite"):
        broken.simulate(SPIKES)
    broken = network()
    broken.weights["w_rec"] = np.ones((3, 3))
    with pytest.raises(ValueError, match=r"weights\['w_rec'\] has the shape \(3, 3\)"):
        broken.simulate(SPIKES)
    broken = network()
    broken.weights["w_recurrent"] = np.ones((4, 4))
    with pytest.raises(ValueError, match=r"weights\['w_recurrent'\] is not one of"):
        broken.record(SPIKES, TARGETS)


def test_a_recording_is_of_one_trial_and_of_neurons_that_exist():
    with pytest.raises(ValueError, match="inputs have 2 trials, but one is recorded"):
        network().record(np.stack([SPIKES] * 2), np.stack([TARGETS] * 2))
    with pytest.raises(ValueError, match=r"neurons = \[1, 4\] must be between 0 and 3"):
        network().record(SPIKES, TARGETS, neurons=[1, 4])
    recorded = network().record(SPIKES[np.newaxis], TARGETS, neurons=[2])
    assert recorded.membrane.shape == (10, 1)


def test_without_an_optimizer_nothing_is_applied():
    plain = network()
    found = plain.gradients(SPIKES, TARGETS)
    with pytest.raises(ValueError, match=r"RecurrentNetwork\.optimizer is missing"):
        plain.apply(found)


# ------------------------------------------------------------------- what is accepted


def test_absent_weights_are_drawn_by_seed_and_absent_synapses_are_zero():
    first, same, other = network(seed=1), network(seed=1), network(seed=2)
    for name, values in first.weights.items():
        np.testing.assert_array_equal(values, same.weights[name])
        assert (values != other.weights[name]).any()
    assert not np.diag(first.weights["w_rec"]).any()
    given = network(seed=1, weights={"w_rec": np.ones((4, 4))})
    np.testing.assert_array_equal(given.weights["w_rec"], 1 - np.eye(4))
    np.testing.assert_array_equal(given.weights["w_out"], first.weights["w_out"])


def test_given_arrays_are_not_kept_by_reference():
    weights, mask = np.ones((3, 4)), np.ones((3, 4), dtype=bool)
    copied = network(weights={"w_in": weights}, connectivity={"w_in": mask})
    copied.weights["w_in"][0, 0] = 7
    mask[0, 0] = False
    assert weights[0, 0] == 1
    assert copied.description.connectivity["w_in"].all()
    with pytest.raises(ValueError, match="read-only"):
        copied.description.connectivity["w_in"][0, 0] = False


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_a_copy_learns_and_shares_nothing(copied):
    net, rng = network(optimizer=Adam(1e-2), seed=1), np.random.default_rng(2)
    inputs, targets = rng.random((40, 3)) < 0.4, rng.random((40, 2))
    found, before = net.gradients(inputs, targets), net.weights["w_in"].copy()
    assert found.w_in.any()
    other = copied(net)
    again = other.gradients(inputs, targets)
    np.testing.assert_array_equal(again.w_in, found.w_in)
    other.apply(again)
    assert (other.weights["w_in"] != before).any() and other.updates == 1
    np.testing.assert_array_equal(net.weights["w_in"], before)
    assert net.updates == 0


def test_masked_entries_are_refused():
    inputs, targets = np.zeros((5, 3), dtype=bool), np.zeros((5, 2))
    masked = np.ma.masked_array(targets, mask=np.eye(5, 2, dtype=bool))
    with pytest.raises(ValueError, match=r"targets has 2 masked entries; .* targets\.filled\(0\)"):
        network().gradients(inputs, masked)
    wired = np.ma.masked_array(np.ones((3, 4), dtype=bool), mask=np.eye(3, 4, dtype=bool))
    with pytest.raises(ValueError, match=r"connectivity\['w_in'\] has 3 masked entries"):
        network(connectivity={"w_in": wired})
    whole = np.ma.masked_array(targets)
    np.testing.assert_array_equal(network(seed=1).gradients(inputs, whole).spikes, 0)


def test_sparse_arrays_where_none_may_be_are_refused_with_the_remedy():
    inputs, targets = np.zeros((5, 3), dtype=bool), np.zeros((5, 2))
    with pytest.raises(ValueError, match=r"inputs is a sparse array; give inputs\.toarray\(\)"):
        network().gradients(csr_array(inputs), targets)
    with pytest.raises(ValueError, match="targets is a sparse array"):
        network().gradients(inputs, csr_array(targets))
    with pytest.raises(ValueError, match=r"RecurrentNetwork\.feedback is a sparse array"):
        network(feedback=csr_array(np.ones((2, 4))))


def test_a_batch_without_trials_is_refused():
    with pytest.raises(ValueError, match=r"shape \(0, 5, 3\), which is no trial"):
        network().gradients(np.zeros((0, 5, 3), dtype=bool), np.zeros((0, 5, 2)))


def test_a_matrix_that_was_deleted_is_missed():
    net = network()
    del net.weights["w_out"]
    with pytest.raises(ValueError, match=r"weights\['w_out'\] is missing; .* shape \(4, 2\)"):
        net.simulate(np.zeros((5, 3), dtype=bool))


def test_targets_that_are_nan_name_the_window_and_the_study():
    targets = np.full((5, 2), np.nan)
    with pytest.raises(ValueError, match=r"targets\[0, 0\] = nan.*learning_window.*rule_study"):
        network().gradients(np.zeros((5, 3), dtype=bool), targets)


def test_integers_zero_and_one_are_spikes():
    inputs = np.zeros((10, 3), dtype=bool)
    inputs[2] = True
    some = network(seed=1)
    some.weights["w_in"][:] = 1
    expected = some.simulate(inputs)
    assert expected.spikes.any()
    for kind in (int, float, np.uint8):
        np.testing.assert_array_equal(some.simulate(inputs.astype(kind)).spikes, expected.spikes)


def test_parameters_are_given_as_quantities_text_or_lists():
    mixed = network([("alif", 4, {"tau_m": "30*ms", "beta": [0.1, 0.2, 0.3, 0.4]})])
    (population,) = mixed.description.populations
    assert population.parameters["tau_m"] == 30 * ms
    np.testing.assert_array_equal(population.parameters["beta"], [0.1, 0.2, 0.3, 0.4])
    assert population.parameters["tau_a"] == load_model("alif").parameters["tau_a"]


def test_a_reset_path_of_one_population_is_none_of_the_others():
    rule = EProp(reset_path={"a": "detached", "v": "implicit"})
    mixed = network([("lif", 2, {}), ("alif", 2, {})], rule=rule)
    lif, alif = (p.learning_with(rule).reset_path for p in mixed.description.populations)
    assert lif == {"v": "implicit"}
    assert alif == {"v": "implicit", "a": "detached"}


def test_a_model_object_and_a_scaled_unit_are_accepted():
    model = load_model("hodgkin_huxley")
    assert isinstance(model, NeuronModel)
    some = network([(model, 4, {"g_L": 12 * nS, "method": "euler"})], dt=0.05 * ms)
    assert some.simulate(SPIKES).spikes.shape == (10, 4)


def test_the_representation_says_what_it_is():
    mixed = network([("lif", 3, {}), ("alif", 1, {})])
    assert repr(mixed) == "<RecurrentNetwork: 3 inputs, 3 lif + 1 alif, 2 outputs>"


def test_the_regularization_is_the_mean_over_trials_of_its_formula():
    some = network(regularizers=[FiringRateRegularizer(20 * Hz, 3.0)], seed=1)
    some.weights["w_in"][:] = 0.5
    rng = np.random.default_rng(0)
    found = some.gradients(rng.random((2, 50, 3)) < 0.3, np.zeros((2, 50, 2)))
    rates = found.spikes.mean(axis=1)
    assert rates.any()
    expected = (1.5 * ((rates - 0.02) ** 2).sum(axis=1)).mean()
    assert found.regularization == pytest.approx(expected, rel=1e-12)
