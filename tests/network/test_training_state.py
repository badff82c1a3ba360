"""Saved networks: nothing is lost, damage is reported, files appear as a whole."""

import json
import os

import numpy as np
import pytest
from brian2 import Hz, have_same_dimensions, ms, pA

from brian_eprop import (
    Adam,
    Bounds,
    DaleLaw,
    DeepR,
    EProp,
    Exponential,
    FiringRateRegularizer,
    GradientDescent,
    MultiGaussian,
    ParameterTraining,
    PiecewiseLinear,
    RecurrentNetwork,
    WeightDecay,
    load_model,
)
from brian_eprop.network.training_state import decode, encode

pytestmark = pytest.mark.usefixtures("numpy_target")


class Noise:
    """Random inputs, so that the order of the trials matters."""

    def __init__(self, n_in, n_out, steps=30):
        self.n_in, self.n_out, self.steps = n_in, n_out, steps

    def sample(self, rng, batch):
        inputs = rng.random((batch, self.steps, self.n_in)) < 0.2
        return inputs, rng.normal(size=(batch, self.steps, self.n_out))


POPULATIONS = [
    ("lif", 3, {"t_ref": 2 * ms, "tau_m": np.array([8.0, 9.1, 30.3]) * ms}),
    ("alif", 6, {"beta": np.arange(1, 7) / 10, "surrogate": Exponential("0.3/v_th", 0.5)}),
]
PHYSICAL = [("cuba_lif", 9, {"I_ext": 400 * pA, "method": "exponential_euler"})]


def rich_network(neurons=POPULATIONS, **changes):
    rng = np.random.default_rng(0)
    arguments = dict(
        dt=0.5 * ms,
        tau_out=12.3 * ms,
        loss="mse",
        normalize=True,
        average=True,
        feedback="adaptive",
        feedback_decay=0.01,
        connectivity={"w_rec": rng.random((9, 9)) < 0.6},
        rule=EProp(reset_path={"v": "implicit"}),
        optimizer=Adam(1e-2, beta_1=0.8),
        regularizers=[FiringRateRegularizer(12 * Hz, 100.0)],
        seed=1,
    )
    return RecurrentNetwork(neurons, 5, 9, 2, **arguments | changes)


def assert_same_state(a, b):
    assert a.updates == b.updates
    assert a.weights.keys() == b.weights.keys()
    for name, values in a.weights.items():
        np.testing.assert_array_equal(values, b.weights[name])
    for kept, others in ((a.state.moments, b.state.moments), (a.state.wiring, b.state.wiring)):
        assert kept.keys() == others.keys()
        for matrix, entries in kept.items():
            assert entries.keys() == others[matrix].keys()
            for name, values in entries.items():
                np.testing.assert_array_equal(values, others[matrix][name])


def assert_same_description(a, b):
    for name in (
        *("n_in", "n_rec", "n_out", "dt", "tau_out", "loss", "normalize", "average"),
        *("feedback", "feedback_decay", "rule", "regularizers", "constraints"),
    ):
        assert getattr(a, name) == getattr(b, name), name
    for name, mask in a.connectivity.items():
        np.testing.assert_array_equal(mask, b.connectivity[name])
        np.testing.assert_array_equal(a.delay_steps(name), b.delay_steps(name))
    assert len(a.populations) == len(b.populations)
    for p, q in zip(a.populations, b.populations, strict=True):
        assert (p.count, p.model) == (q.count, q.model)
        assert p.overrides.keys() == q.overrides.keys()
        for name, value in p.parameters.items():
            other = q.parameters[name]
            assert have_same_dimensions(value, other)
            np.testing.assert_array_equal(np.asarray(value), np.asarray(other))
        for name in ("surrogate", "method"):
            assert p.overrides.get(name) == q.overrides.get(name)


def test_save_and_load_lose_nothing(tmp_path):
    network = rich_network()
    network.fit(Noise(5, 2), 2, seed=3)
    network.save(tmp_path / "network.npz")
    loaded = RecurrentNetwork.load(tmp_path / "network.npz")
    assert_same_description(loaded.description, network.description)
    assert loaded.optimizer == network.optimizer
    assert_same_state(loaded, network)
    inputs, targets = Noise(5, 2).sample(np.random.default_rng(1), 2)
    found, expected = loaded.gradients(inputs, targets), network.gradients(inputs, targets)
    assert expected.spikes.sum() > 10
    for name in ("w_in", "w_rec", "w_out", "spikes", "readout", "learning_signal"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(
    "changes",
    [
        dict(neurons=PHYSICAL),
        dict(feedback="symmetric", feedback_decay=0.0, optimizer=None, regularizers=()),
        dict(feedback=np.ones((2, 9)), feedback_decay=0.0, optimizer=GradientDescent(1e-3)),
        dict(rule=EProp(surrogate=MultiGaussian(0.5, "0.5*v_th"), reset_path={"a": "detached"})),
        dict(loss="cross_entropy", feedback="random", feedback_decay=0.0),
        dict(
            constraints=[DaleLaw([0]), Bounds(high=0.5), WeightDecay(1e-3), DeepR(0.4, seed=2)],
            delays={"w_in": 1.5 * ms, "w_rec": np.arange(81).reshape(9, 9) % 4 * 0.5 * ms},
        ),
        dict(
            delays={"w_rec": np.arange(81).reshape(9, 9) * 0.07 * ms},
            trainable_delays={
                "w_in": (0 * ms, 9 * ms),
                "w_rec": ParameterTraining((0 * ms, 7 * ms), scale=2 * ms, optimizer=Adam(0.1)),
            },
        ),
    ],
)
def test_every_option_comes_back(tmp_path, changes):
    network = rich_network(**changes)
    network.save(tmp_path / "network.npz")
    loaded = RecurrentNetwork.load(tmp_path / "network.npz")
    assert_same_description(loaded.description, network.description)
    assert loaded.optimizer == network.optimizer
    assert_same_state(loaded, network)
    assert loaded.state.wiring.keys() == ({"w_in", "w_rec"} if "constraints" in changes else set())


def test_a_users_own_model_is_in_the_file(tmp_path):
    text = 'name = "mine"\nequations = "dv/dt = -v/tau : 1"\nthreshold = "v > 1"\n'
    text += 'reset = "v = 0"\nmethod = "exact"\non_pre = "v_post += w"\n'
    text += '[parameters]\ntau = "7*ms"\n'
    text += '[surrogate]\nkind = "Arctan"\nheight = 0.3\nwidth = 1.0\n'
    (tmp_path / "mine.toml").write_text(text)
    network = RecurrentNetwork(tmp_path / "mine.toml", 2, 3, 1)
    network.save(tmp_path / "network.npz")
    model = load_model(tmp_path / "mine.toml")
    (tmp_path / "mine.toml").unlink()
    (population,) = RecurrentNetwork.load(tmp_path / "network.npz").description.populations
    assert population.model == model


@pytest.mark.slow
def test_continued_training_is_training_without_a_break(tmp_path):
    network, whole, task = rich_network(), rich_network(), Noise(5, 2)
    expected = whole.fit(task, 4, batch_size=2, seed=3)
    history = network.fit(task, 2, batch_size=2, seed=3)
    network.save(tmp_path / "network.npz")
    continued = RecurrentNetwork.load(tmp_path / "network.npz")
    history += continued.fit(task, 2, batch_size=2, seed=3)
    assert_same_state(continued, whole)
    for key in ("iteration", "loss", "regularization", "rate"):
        assert [entry[key] for entry in history] == [entry[key] for entry in expected]
    assert [entry["iteration"] for entry in history] == [0, 1, 2, 3]


# ------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "network.npz"
    RecurrentNetwork("lif", 2, 3, 1, optimizer=Adam(1e-3), seed=0).save(path)
    return path


def rewritten(saved, path, change):
    """A copy of the file with other entries; the configuration is given as a dict."""
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["config"] = json.loads(str(arrays["config"]))
    change(arrays)
    if not isinstance(arrays.get("config", ""), str):
        arrays["config"] = json.dumps(arrays["config"])
    np.savez(path, **arrays)


DAMAGES = {
    "weights missing": lambda a: a.pop("weights/w_rec"),
    "mask missing": lambda a: a["config"]["description"]["fields"].pop("n_in"),
    "wrong shape": lambda a: a.update({"weights/w_in": np.ones((3, 2))}),
    "NaN": lambda a: a.update({"weights/w_in": np.full((2, 3), np.nan)}),
    "no configuration": lambda a: a.pop("config"),
    "configuration of nothing": lambda a: a.update(config={}),
    "a list": lambda a: a.update(config=[]),
    "not JSON": lambda a: a.update(config="{"),
    "another format": lambda a: a["config"].update(format="another"),
    "unknown class": lambda a: a["config"]["description"].update({"class": "Popen"}),
    "unknown field": lambda a: a["config"]["description"]["fields"].update(n_what=1),
    "a wrong value": lambda a: a["config"]["description"]["fields"].update(loss="hinge"),
    "an unknown array": lambda a: a.update(other=np.ones(3)),
    "updates": lambda a: a["config"].update(updates="many"),
    "optimizer": lambda a: a["config"].update(optimizer=3),
    "delays": lambda a: a.update({"delays/w_in": np.full((2, 3), 1e-4)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_archive_is_named(saved, tmp_path, damage):
    path = tmp_path / "damaged.npz"
    rewritten(saved, path, DAMAGES[damage])
    with pytest.raises(
        ValueError, match=r"damaged\.npz' is damaged or is not a network written by"
    ):
        RecurrentNetwork.load(path)


def test_a_file_from_before_there_were_constraints_is_read(saved, tmp_path):
    path = tmp_path / "older.npz"
    rewritten(saved, path, lambda a: a["config"]["description"]["fields"].pop("constraints"))
    older, expected = RecurrentNetwork.load(path), RecurrentNetwork.load(saved)
    assert_same_state(older, expected)
    assert_same_description(older.description, expected.description)


def test_a_truncated_flipped_or_foreign_file_is_named(saved, tmp_path):
    content = saved.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    path = tmp_path / "damaged.npz"
    for damaged in (content[: len(content) // 2], b"", b"hello", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged\.npz' is damaged"):
            RecurrentNetwork.load(path)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"array\.npy' is damaged"):
        RecurrentNetwork.load(tmp_path / "array.npy")
    with pytest.raises(ValueError, match="is damaged or is not a network"):
        RecurrentNetwork.load(tmp_path)  # a folder


def test_an_archive_of_other_arrays_is_no_network(tmp_path):
    np.savez(tmp_path / "foreign.npz", rates=np.ones(3), times=np.ones(3))
    message = (
        r"foreign\.npz' is damaged or is not a network written by RecurrentNetwork\.save \("
        "it holds rates, times, but no 'config'\\); give a file that it has written"
    )
    with pytest.raises(ValueError, match=message):
        RecurrentNetwork.load(tmp_path / "foreign.npz")


@pytest.mark.parametrize("path", [3, 1.5, None])
def test_what_is_no_path_is_refused(saved, path):
    with pytest.raises(TypeError, match=rf"load\.path = {path} must be the path of a file"):
        RecurrentNetwork.load(path)
    with pytest.raises(TypeError, match=rf"save\.path = {path} must be the path of a file"):
        RecurrentNetwork.load(saved).save(path)


def test_pickled_objects_are_not_read(saved, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    path = tmp_path / "damaged.npz"
    rewritten(saved, path, lambda a: a.update({"weights/w_in": np.array([Harmful()])}))
    with pytest.raises(ValueError, match=r"damaged\.npz' is damaged"):
        RecurrentNetwork.load(path)
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        RecurrentNetwork.load(tmp_path / "absent.npz")


# ------------------------------------------------------------------- writing


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    network = RecurrentNetwork("lif", 2, 3, 1)
    with pytest.raises(OSError, match=r"cannot write the network '.*absent/network\.npz'"):
        network.save(tmp_path / "absent" / "network.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write the network '.*file/network\.npz'"):
        network.save(tmp_path / "file" / "network.npz")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_save_leaves_the_old_file_and_no_other(
    saved, tmp_path, monkeypatch, failure
):
    path = tmp_path / "network.npz"
    path.write_bytes(saved.read_bytes())
    network = RecurrentNetwork.load(path)
    network.weights["w_in"][:] = 7

    def interrupted(*arguments):
        raise failure

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(failure if isinstance(failure, type) else type(failure)):
        network.save(path)
    assert path.read_bytes() == saved.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.npz"]


def test_the_permissions_are_those_of_any_new_file(saved, tmp_path):
    (tmp_path / "plain").write_text("")
    RecurrentNetwork.load(saved).save(tmp_path / "network.npz")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


# ------------------------------------------------------------------- descriptions as JSON


@pytest.mark.parametrize(
    "value",
    [3, 0.1, -1e-300, "text", None, True, [1, [2.5]], {"a": {"b": 1}}, Adam(0.1), 3 * ms],
)
def test_json_and_back_is_the_same(value):
    encoded = json.loads(json.dumps(encode(value)))
    assert decode(encoded) == value


def test_quantities_keep_unit_and_last_bit():
    values = np.random.default_rng(0).normal(size=5) * pA
    back = decode(json.loads(json.dumps(encode(values))))
    assert have_same_dimensions(back, values)
    np.testing.assert_array_equal(np.asarray(back), np.asarray(values))
    surrogate = PiecewiseLinear(0.3 / pA, "v_th")
    again = decode(json.loads(json.dumps(encode(surrogate))))
    assert again == surrogate


def test_what_cannot_be_written_is_named():
    with pytest.raises(TypeError, match="of type 'function' cannot be saved"):
        encode({"f": lambda: 1})


def test_gradients_of_another_network_are_refused():
    inputs, targets = np.ones((5, 3), dtype=bool), np.ones((5, 2))
    single = RecurrentNetwork("lif", 3, 1, 2, seed=1)
    network = RecurrentNetwork("lif", 3, 4, 2, seed=2, optimizer=GradientDescent(0.01))
    with pytest.raises(ValueError, match=r"gradients.w_in has the shape \(3, 1\); it must be"):
        network.apply(single.gradients(inputs, targets))
