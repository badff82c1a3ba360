"""Constraints on weights: they hold from the start and after every update."""

from functools import partial

import numpy as np
import pytest
from attrs import asdict, evolve
from brian2 import mV
from hypothesis import given
from hypothesis import strategies as st

from brian_eprop import Adam, GradientDescent, RecurrentNetwork, StepDecay
from brian_eprop.network import training_state
from brian_eprop.network.constraints import Bounds, DaleLaw, DeepR, WeightDecay
from brian_eprop.network.description import MATRICES
from brian_eprop.reference import Gradients

N_IN, N_OUT = 6, 2
CELLS = [("lif", 7, {}), ("lif", 3, {})]  # excitatory, inhibitory
DALE, INHIBITORY = DaleLaw([1]), np.arange(10) >= 7


def network(constraints, optimizer=None, neurons=CELLS, **options):
    optimizer = Adam(0.1) if optimizer is None else optimizer
    count = sum(n for _, n, _ in neurons)
    options = {"seed": 1} | options
    return RecurrentNetwork(
        neurons, N_IN, count, N_OUT, optimizer=optimizer, constraints=constraints, **options
    )


def gradients_of(net, rng, scale=1.0):
    """Any gradients: constraints hold whatever they are."""
    shapes = net.description.shapes
    return Gradients(
        **{name: scale * rng.normal(size=shapes[name]) for name in MATRICES},
        loss=0.0,
        spikes=np.zeros((1, 10)),
        readout=np.zeros((1, N_OUT)),
        learning_signal=np.zeros((1, 10)),
    )


class Noise:
    def sample(self, rng, batch):
        return rng.random((batch, 30, N_IN)) < 0.3, rng.normal(size=(batch, 30, N_OUT))


def assert_dale(outgoing):
    assert (outgoing[INHIBITORY] <= 0).all()
    assert (outgoing[~INHIBITORY] >= 0).all()


def assert_rewired(net, name):
    """As many active synapses as at any time, and no weight elsewhere."""
    mask, wiring = net.description.connectivity[name], net.state.wiring[name]
    density = next(c.density for c in net.description.constraints if isinstance(c, DeepR))
    assert wiring["active"].sum() == round(density * mask.sum())
    assert not (wiring["active"] & ~mask).any()
    assert not net.weights[name][~wiring["active"]].any()
    assert (wiring["signs"] * net.weights[name] >= 0).all()


# ------------------------------------------------------------------- they always hold
@given(
    seed=st.integers(0, 10**6),
    scales=st.lists(st.sampled_from([0.0, 0.1, 3.0, 100.0]), min_size=1, max_size=6),
    optimizer=st.sampled_from([Adam(0.3), GradientDescent(0.2), Adam(StepDecay(1.0, 0.5, 2))]),
    feedback=st.sampled_from(["symmetric", "adaptive"]),
    temperature=st.sampled_from([0.0, 0.01]),
    density=st.sampled_from([0.1, 0.5, 1.0]),
    high=st.sampled_from([0.7, np.inf]),
    sparse=st.booleans(),
)
def test_all_constraints_hold_after_any_updates(
    seed, scales, optimizer, feedback, temperature, density, high, sparse
):
    rng, options = np.random.default_rng(seed), {"feedback": feedback, "seed": seed}
    if sparse:
        options["connectivity"] = {"w_rec": rng.random((10, 10)) < 0.5}
    deep_r = DeepR(density, temperature, 0.01, seed=seed)
    net = network([deep_r, Bounds(-0.5, high), DALE, WeightDecay(0.01)], optimizer, **options)
    assert all(net.weights[name].any() for name in MATRICES)
    for scale in [None, *scales]:
        if scale is not None:
            net.apply(gradients_of(net, rng, scale))
        for name in ("w_in", "w_rec"):
            assert_rewired(net, name)
        assert_dale(net.weights["w_rec"])
        assert_dale(net.weights["w_out"])
        if feedback == "adaptive":
            assert_dale(net.weights["feedback"].T)
        for name in ("feedback",) * (feedback == "adaptive") + MATRICES:
            values = net.weights[name]
            assert values.min() >= -0.5 and values.max() <= high
        for name, moments in net.state.moments.items():
            if name in net.state.wiring:
                absent = ~net.state.wiring[name]["active"]
                assert not any(values[absent].any() for values in moments.values())
    assert net.updates == len(scales)


def test_without_the_projection_the_signs_would_not_hold(monkeypatch):
    """The tests above would find it."""
    monkeypatch.setattr(training_state, "within_limits", lambda description, weights: weights)
    net = network([DALE])
    assert_dale(net.weights["w_rec"])
    for seed in range(10):
        net.state = training_state.updated(
            net.state,
            net.optimizer,
            gradients_of(net, np.random.default_rng(seed)),
            net.description,
        )
    with pytest.raises(AssertionError):
        assert_dale(net.weights["w_rec"])


def test_without_new_synapses_their_number_would_not_hold(monkeypatch):
    def losing(self, *arguments):
        weights, wiring, kept = rewired(self, *arguments)
        return weights, wiring | {"active": kept}, kept

    rewired = DeepR.rewired
    monkeypatch.setattr(DeepR, "rewired", losing)
    net = network([DeepR(0.5)])
    net.apply(gradients_of(net, np.random.default_rng(0)))
    with pytest.raises(AssertionError):
        assert_rewired(net, "w_rec")
    with pytest.raises(ValueError, match=r"'w_in' has \d+ active synapses, but DeepR.* allows 30"):
        net.apply(gradients_of(net, np.random.default_rng(0)))


def test_initial_weights_keep_their_size_and_get_the_sign():
    free, constrained = network([]), network([DALE])
    for name in ("w_rec", "w_out"):
        np.testing.assert_array_equal(abs(free.weights[name]), abs(constrained.weights[name]))
        assert_dale(constrained.weights[name])
        assert not np.array_equal(free.weights[name], constrained.weights[name])
    np.testing.assert_array_equal(free.weights["w_in"], constrained.weights["w_in"])
    clipped = network([Bounds(-0.1, 0.2, ["w_in"])])
    np.testing.assert_array_equal(clipped.weights["w_in"], np.clip(free.weights["w_in"], -0.1, 0.2))
    np.testing.assert_array_equal(clipped.weights["w_rec"], free.weights["w_rec"])


def test_bounds_above_0_leave_absent_synapses_absent():
    mask = np.eye(10, k=1, dtype=bool)
    net = network([Bounds(0.2, 1.0, ["w_rec"])], connectivity={"w_rec": mask})
    net.apply(gradients_of(net, np.random.default_rng(0)))
    assert not net.weights["w_rec"][~mask].any()
    assert (net.weights["w_rec"][mask] >= 0.2).all()


# ------------------------------------------------------------------- what each one does
@pytest.mark.parametrize("optimizer", [Adam(0.1), GradientDescent(0.1)])
def test_decay_is_decoupled_from_the_gradient(optimizer):
    rate, rng = 0.25, np.random.default_rng(3)
    plain, decaying = network([], optimizer), network([WeightDecay(rate, ["w_rec"])], optimizer)
    start, gradients = dict(plain.weights), gradients_of(plain, rng)
    plain.apply(gradients)
    decaying.apply(gradients)
    # the same sums in another order
    expected = plain.weights["w_rec"] - rate * start["w_rec"]
    np.testing.assert_allclose(decaying.weights["w_rec"], expected, rtol=0, atol=1e-14)
    assert np.abs(expected - plain.weights["w_rec"]).max() > 0.1
    for name in ("w_in", "w_out"):
        np.testing.assert_array_equal(decaying.weights[name], plain.weights[name])
    coupled = evolve(gradients, w_rec=gradients.w_rec + rate * start["w_rec"])
    l2 = network([], optimizer)
    l2.apply(coupled)
    assert np.abs(l2.weights["w_rec"] - expected).max() > 0.1


def test_adaptive_feedback_decays_with_the_readout():
    net = network([WeightDecay(0.5)], feedback="adaptive", feedback_decay=0.2)
    before = dict(net.weights)
    net.apply(gradients_of(net, np.random.default_rng(0), scale=0.0))
    for name in ("w_out", "feedback"):
        np.testing.assert_allclose(net.weights[name], 0.4 * before[name], rtol=1e-14)


def test_rewiring_is_algorithm_1_of_its_paper():
    """One synapse after the other; with temperature 0 only which ones are new is random."""
    eta, alpha = 0.3, 0.05
    net = network([DeepR(0.4, 0.0, alpha)], GradientDescent(StepDecay(2 * eta, 0.5, 1)))
    net.apply(gradients_of(net, np.random.default_rng(0), scale=0.1))  # the second has η
    before, gradients = net.state, gradients_of(net, np.random.default_rng(1))
    net.apply(gradients)
    dormant = born = 0
    for name in ("w_in", "w_rec"):
        old, new = before.wiring[name], net.state.wiring[name]
        np.testing.assert_array_equal(old["signs"], new["signs"])
        for (k, j), active in np.ndenumerate(old["active"]):
            sign, after = old["signs"][k, j], net.weights[name][k, j]
            if active:
                theta = sign * before.weights[name][k, j]
                theta -= eta * sign * getattr(gradients, name)[k, j] + eta * alpha
                assert after == pytest.approx(sign * max(theta, 0), abs=1e-14)
                assert new["active"][k, j] or theta < 0
                dormant += theta < 0
            else:
                assert after == 0
                born += bool(new["active"][k, j])
    assert dormant > 5 and born > 5


def test_the_noise_has_the_variance_of_its_temperature():
    cold, warm = (
        network(
            [DeepR(1.0, temperature, matrices=["w_rec"])],
            GradientDescent(0.02),
            [("lif", 200, {})],
            weights={"w_rec": np.full((200, 200), 10.0)},
        )
        for temperature in (0.0, 0.09)
    )
    nothing = gradients_of(cold, np.random.default_rng(0), scale=0.0)
    for net in (cold, warm):
        net.apply(nothing)
    mask = cold.description.connectivity["w_rec"]
    noise = (warm.weights["w_rec"] - cold.weights["w_rec"])[mask]
    # of 39800 samples; a standard error of their deviation is 0.35 %
    assert noise.std() == pytest.approx(np.sqrt(2 * 0.02 * 0.09), rel=0.02)
    assert abs(noise.mean()) < 4 * noise.std() / np.sqrt(noise.size)


def test_new_synapses_are_drawn_from_all_dormant_ones():
    net = network([DeepR(0.3, 0.0, matrices=["w_rec"])], GradientDescent(1.0))
    seen = np.zeros((10, 10), dtype=bool)
    for seed in range(150):
        net.apply(gradients_of(net, np.random.default_rng(seed), scale=0.3))
        seen |= net.state.wiring["w_rec"]["active"]
    np.testing.assert_array_equal(seen, net.description.connectivity["w_rec"])


def test_what_the_optimizer_remembers_of_a_new_synapse_starts_at_0():
    net = network([DeepR(0.4)], Adam(0.3))
    rng = np.random.default_rng(0)
    net.apply(gradients_of(net, rng))
    before = net.state
    net.apply(gradients_of(net, rng))
    for name in ("w_in", "w_rec"):
        stayed = before.wiring[name]["active"] & net.state.wiring[name]["active"]
        new = net.state.wiring[name]["active"] & ~before.wiring[name]["active"]
        moments = net.state.moments[name]["adam_s"]
        assert new.sum() >= 3 and (moments != 0).sum() >= 3
        assert not moments[new].any()
        assert not moments[~stayed].any()


def test_rewiring_starts_from_the_weights_that_are_not_0():
    weights = np.zeros((10, 10))
    weights[0, 1:6] = -1.0
    few = network([DeepR(0.1, matrices=["w_rec"])], weights={"w_rec": weights})
    assert few.state.wiring["w_rec"]["active"].sum() == 9
    np.testing.assert_array_equal(few.weights["w_rec"], weights)
    assert (few.state.wiring["w_rec"]["signs"][0, 1:6] == -1).all()
    fewer = network([DeepR(0.03, matrices=["w_rec"])], weights={"w_rec": weights})
    assert (fewer.weights["w_rec"] != 0).sum() == 3


def test_signs_that_are_decided_are_not_drawn():
    net = network([DeepR(0.5, matrices=["w_in", "w_rec"]), DALE, Bounds(0.0, 2.0, ["w_in"])])
    signs = {name: wiring["signs"] for name, wiring in net.state.wiring.items()}
    assert (signs["w_in"] == 1).all()
    np.testing.assert_array_equal(
        signs["w_rec"], np.where(INHIBITORY, -1, 1)[:, None] + 0 * signs["w_rec"]
    )


# ------------------------------------------------------------------- files
ALL = [DALE, Bounds(-2.0, np.inf), WeightDecay(0.01, ["w_in"]), DeepR(0.4, 1e-3, 1e-3, seed=5)]


@pytest.mark.slow
def test_continued_training_is_training_without_a_break(tmp_path, numpy_target):
    whole, first = network(ALL), network(ALL)
    whole.fit(Noise(), 4, seed=3)
    first.fit(Noise(), 2, seed=3)
    first.save(tmp_path / "network.npz")
    continued = RecurrentNetwork.load(tmp_path / "network.npz")
    assert continued.description.constraints == whole.description.constraints
    before = continued.state
    continued.fit(Noise(), 2, seed=3)
    for name in MATRICES:
        np.testing.assert_array_equal(continued.weights[name], whole.weights[name])
    for name, wiring in whole.state.wiring.items():
        for entry, values in wiring.items():
            np.testing.assert_array_equal(continued.state.wiring[name][entry], values)
    moved = before.wiring["w_rec"]["active"] ^ whole.state.wiring["w_rec"]["active"]
    assert moved.any()


def test_a_file_whose_wiring_does_not_fit_is_damaged(tmp_path):
    path = tmp_path / "network.npz"
    network(ALL).save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, change in {
        "wiring/w_rec/active": lambda a: ~a,
        "wiring/w_rec/signs": lambda a: -a,
        "weights/w_rec": lambda a: -a,
        "wiring/w_in/active": lambda a: a[:2],
    }.items():
        np.savez(path, **arrays | {name: change(arrays[name])})
        with pytest.raises(ValueError, match=r"network\.npz' is damaged"):
            RecurrentNetwork.load(path)
    np.savez(path, **{name: a for name, a in arrays.items() if not name.startswith("wiring")})
    with pytest.raises(ValueError, match=r"network\.npz' is damaged"):
        RecurrentNetwork.load(path)


# ------------------------------------------------------------------- what is refused
WRONG_VALUES = {
    "population": (partial(DaleLaw, [-1]), r"DaleLaw\.inhibitory = \[-1\] must be a list of diff"),
    "one number": (partial(DaleLaw, 1), r"DaleLaw\.inhibitory = 1 must be a list"),
    "a mask": (partial(DaleLaw, [True, False]), r"DaleLaw\.inhibitory = \[True, False\] must be"),
    "twice": (partial(DaleLaw, [1, 1]), r"DaleLaw\.inhibitory = \[1, 1\] must be a list of diff"),
    "inputs": (partial(DaleLaw, [1], ["w_in"]), r"DaleLaw\.matrices = \('w_in',\): .* Bounds"),
    "matrix": (partial(DaleLaw, [1], ["w_recc"]), "'w_recc', which is not one.*mean 'w_rec'"),
    "no matrix": (partial(Bounds, 0, 1, []), r"Bounds\.matrices = \[\] must be a list"),
    "text": (partial(Bounds, 0, 1, "w_in"), r"Bounds\.matrices = 'w_in' must be a list"),
    "bound": (partial(Bounds, "0"), r"Bounds\.low = '0' must be a number"),
    "unit": (partial(Bounds, 0, 3 * mV), r"Bounds\.high = .* must be a number, as weights are"),
    "nan": (partial(Bounds, 0, np.nan), r"Bounds\.high = nan must be a number"),
    "order": (partial(Bounds, 2, 1), r"Bounds\.low = 2\.0 must be below Bounds\.high = 1\.0"),
    "rate": (partial(WeightDecay, 1.5), r"WeightDecay\.rate = 1\.5 must be a number from 0 to 1"),
    "of what": (partial(WeightDecay, 0.1, ["w"]), r"WeightDecay\.matrices names 'w'"),
    "density": (partial(DeepR, 1.5), r"DeepR\.density = 1\.5 must be a number from 0 to 1"),
    "cold": (partial(DeepR, 0.1, -1.0), r"DeepR\.temperature = -1\.0 must be a finite number ≥ 0"),
    "l1": (partial(DeepR, 0.1, 0.0, np.inf), r"DeepR\.l1 = inf must be a finite number ≥ 0"),
    "seed": (partial(DeepR, 0.1, seed=-1), r"DeepR\.seed = -1 must be an integer ≥ 0"),
    "the same twice": (
        partial(DeepR, 0.1, matrices=["w_in", "w_in"]),
        r"DeepR\.matrices = .* twice",
    ),
    "rewired": (partial(DeepR, 0.1, matrices=["w"]), r"DeepR\.matrices names 'w'"),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_values_are_refused_by_name(case):
    make, message = WRONG_VALUES[case]
    with pytest.raises(ValueError, match=message):
        make()


CONTRADICTIONS = {
    "absent population": ([DaleLaw([2])], {}, "there is no population 2, as .* has 2, numbered"),
    "twice": ([Bounds(0, 1), Bounds(0, 2, ["w_in"])], {}, "are both about 'w_in'; give one"),
    "only excitation": ([DALE, Bounds(0, 1)], {}, r"DaleLaw.*≤ 0, but Bounds\(low=0.0, high=1"),
    "only inhibition": ([DALE, Bounds(-1, -0.1)], {}, "makes weights of 'w_rec' ≥ 0, but Bounds"),
    "no 0": ([DeepR(0.5), Bounds(0.1, 1)], {}, "'w_in' the weight 0, which Bounds.* excludes"),
    "none": ([DeepR(0.001)], {}, r"DeepR.* of the 60 synapses .*'w_in' may have none is active"),
    "feedback": (
        [DeepR(0.5, matrices=["w_out"])],
        {"feedback": "adaptive"},
        "'w_out' cannot be rewired with feedback='adaptive'",
    ),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_constraints_that_contradict_are_refused(case):
    constraints, options, message = CONTRADICTIONS[case]
    with pytest.raises(ValueError, match=message):
        network(constraints, **options)


def test_what_is_no_list_of_constraints_is_refused():
    with pytest.raises(TypeError, match="constraints holds 'dale', which is no constraint; give"):
        network(["dale"])
    with pytest.raises(TypeError, match="constraints is one constraint; give a list"):
        network(DALE)


def test_weights_that_break_a_constraint_are_refused_when_used(numpy_target):
    net = network([DALE])
    net.weights["w_rec"][8, 2] = 0.5
    silence = np.zeros((10, N_IN), dtype=bool)
    message = r"weights\['w_rec'\]\[8, 2\] = 0\.5 is excluded by DaleLaw.*; the nearest value is 0"
    with pytest.raises(ValueError, match=message):
        net.simulate(silence)
    net = network([DALE], feedback="adaptive")
    net.weights["feedback"][1, 8] = 0.5
    with pytest.raises(ValueError, match=r"weights\['feedback'\]\[1, 8\] = 0\.5 is excluded by Da"):
        net.simulate(silence)
    net = network([DeepR(0.5)])
    k, j = np.argwhere(~net.state.wiring["w_in"]["active"])[0]
    net.weights["w_in"][k, j] = 0.5
    with pytest.raises(ValueError, match=rf"weights\['w_in'\]\[{k}, {j}\] = 0\.5, .* is dormant"):
        net.apply(gradients_of(net, np.random.default_rng(0)))


def test_an_infinite_weight_is_not_hidden_by_bounds():
    net = network([Bounds(-1, 1)], GradientDescent(1e300))
    before = net.state
    with pytest.raises(FloatingPointError, match="'w_in' is no longer finite after update 1"):
        net.apply(gradients_of(net, np.random.default_rng(0), scale=1e300))
    assert net.state is before


@pytest.mark.parametrize("index", range(len(ALL)))
def test_fields_are_plain_so_that_a_table_makes_the_same(index):
    constraint = ALL[index]
    table = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(constraint).items()}
    assert type(constraint)(**table) == constraint
