"""Every cell: exact rules agree with each other, with finite differences and with autograd."""

from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, RATE, cell_network, cell_task, gradient, relative

from brian_eprop.reference import (
    CELLS,
    GRU,
    LSTM,
    RULES,
    Elman,
    LeakyRate,
    RateNetwork,
    SpikingNetwork,
    draw_network,
    finite_differences,
    gradients,
)

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
EXACT = [name for name, rule in RULES.items() if rule.exact and name != "bptt"]
VARIANTS = ({}, {"loss": "cross_entropy", "kappa": 0.8, "readout_gain": 0.2}, {"density": 0.5})


def networks(name):
    """Networks of a cell with every option, and a task for each."""
    for seed, options in enumerate(VARIANTS, start=1):
        network = cell_network(name, seed, **options)
        yield network, cell_task(network, seed)
    if name == "jordan":
        forced = cell_network(name, 4, teacher_forcing=True)
        yield forced, cell_task(forced, 4)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", EXACT)
@pytest.mark.parametrize("name", ALL)
def test_exact_rules_agree(name, rule):
    for network, task in networks(name):
        bptt = gradient(network, task, "bptt")
        found = gradient(network, task, rule)
        assert relative(found, bptt, network, tuple(network.parameters)) < ROUND_OFF


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", RATE)
def test_exact_gradient_is_that_of_finite_differences(name):
    for network, task in networks(name):
        differences = SimpleNamespace(**finite_differences(network, *task))
        bptt = gradient(network, task, "bptt")
        # step 1e-6: round-off 1e-9, truncation 1e-12
        assert relative(bptt, differences, network, tuple(network.parameters)) < 1e-6
        eprop = gradient(network, task, "eprop")
        assert relative(eprop, differences, network) > 1e-2


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("state", range(3))
@pytest.mark.parametrize("name", RATE)
def test_finite_differences_see_a_wrong_jacobian(name, state, monkeypatch):
    """One entry after the other of D, q and K is off by a percent."""
    network = cell_network(name, 1)
    task = cell_task(network, 1)
    right, kind = type(network.cell).advance, ("implicit", "observation", "drive")[state]

    def wrong(*args):
        step = right(*args)
        changed = getattr(step, kind).copy()
        changed[0] *= 1.01
        return evolve(step, **{kind: changed})

    differences = SimpleNamespace(**finite_differences(network, *task))
    monkeypatch.setattr(type(network.cell), "advance", wrong)
    error = relative(gradients(network, *task), differences, network)
    # the units without memory of their own have D = 0
    assert error > 1e-4 or (kind == "implicit" and name in ("elman", "jordan"))


# ------------------------------------------------------- cells against those of torch


def torch_run(network, inputs, targets):
    """Loss of `torch.nn` cells for the same network, and the gradients by autograd."""
    torch = pytest.importorskip("torch")
    cell = network.cell
    kinds = {"elman": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    layer = kinds[cell.name](network.n_in, network.n_rec, batch_first=True, dtype=torch.float64)

    def stacked(weights):
        return torch.tensor(np.concatenate(np.swapaxes(np.atleast_3d(weights), -1, -2)).copy())

    def matrices(name):
        weights = getattr(network, name)
        return stacked(weights[np.newaxis] if weights.ndim == 2 else weights)

    bias = np.atleast_2d(network.bias)
    biases = {"bias_ih_l0": bias[cell.gates_in], "bias_hh_l0": np.zeros_like(bias[cell.gates_rec])}
    if cell.name == "gru":
        biases["bias_hh_l0"][2] = bias[3]
    with torch.no_grad():
        layer.weight_ih_l0.copy_(matrices("w_in"))
        layer.weight_hh_l0.copy_(matrices("w_rec"))
        for name, value in biases.items():
            getattr(layer, name).copy_(torch.tensor(value.ravel()))
    w_out, bias_out = (
        torch.tensor(array.copy(), requires_grad=True)
        for array in (network.w_out, network.bias_out)
    )
    y = layer(torch.tensor(inputs))[0] @ w_out + bias_out
    loss = 0.5 * torch.sum((y - torch.tensor(targets)) ** 2) / len(inputs)
    loss.backward()

    def gates(parameter, rows, columns):
        array = parameter.grad.numpy().reshape(-1, rows, columns).swapaxes(1, 2)
        return array[0] if cell.gates == 1 else array

    n = network.n_rec
    of_bias = layer.bias_ih_l0.grad.numpy().reshape(-1, n)
    if cell.name == "gru":
        of_bias = np.vstack([of_bias, layer.bias_hh_l0.grad.numpy().reshape(-1, n)[2:]])
    return loss.item(), SimpleNamespace(
        w_in=gates(layer.weight_ih_l0, n, network.n_in),
        w_rec=gates(layer.weight_hh_l0, n, n),
        bias=of_bias,
        w_out=w_out.grad.numpy(),
        bias_out=bias_out.grad.numpy(),
    )


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_cells_and_gradients_are_those_of_torch(name):
    for seed in (1, 2):
        network = cell_network(name, seed)
        task = cell_task(network, seed)
        loss, expected = torch_run(network, *task)
        found = gradient(network, task, "bptt")
        assert found.loss == pytest.approx(loss, rel=ROUND_OFF)
        assert relative(found, expected, network, tuple(network.parameters)) < 1e-10


@pytest.mark.parametrize("name", ["leaky_rate", "jordan"])
def test_rate_units_and_gradients_are_those_of_autograd(name):
    torch = pytest.importorskip("torch")
    network = cell_network(name, 1)
    inputs, targets = cell_task(network, 1)
    weights = {
        key: torch.tensor(np.squeeze(value, 0) if value.ndim == 3 else value, requires_grad=True)
        for key, value in network.parameters.items()
    }
    h = torch.zeros((len(inputs), network.n_rec), dtype=torch.float64)
    w_out = weights.get("w_out", torch.tensor(network.w_out.copy()))
    outputs = torch.arange(network.n_rec) >= network.n_rec - network.visible
    loss = 0
    for x, target in zip(inputs.swapaxes(0, 1), targets.swapaxes(0, 1), strict=True):
        u = torch.tensor(x) @ weights["w_in"] + h @ weights["w_rec"] + weights["bias"]
        if name == "jordan":
            h = torch.where(outputs, u, torch.tanh(u))
        else:
            h = 0.7 * h + 0.3 * torch.tanh(u)
        y = h @ w_out + weights.get("bias_out", 0)
        loss = loss + 0.5 * torch.sum((y - torch.tensor(target)) ** 2) / len(inputs)
    loss.backward()
    expected = SimpleNamespace(**{key: value.grad.numpy() for key, value in weights.items()})
    for key in ("w_in", "w_rec", "w_out"):
        if key in weights:
            setattr(expected, key, getattr(expected, key) * network.mask_of(key))
    found = gradient(network, (inputs, targets), "bptt")
    assert found.loss == pytest.approx(loss.item(), rel=ROUND_OFF)
    assert relative(found, expected, network, tuple(network.parameters)) < 1e-10


# ------------------------------------------------------------------- what cells have


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ALL)
def test_a_drawn_network_is_active(name):
    network = draw_network(name, 10, 20, 2, density=0.5)
    rng = np.random.default_rng(0)
    inputs = (rng.random((1, 200, 10)) < 0.05).astype(float)
    result = gradients(network, inputs, rng.normal(size=(1, 200, 2)))
    assert np.linalg.norm(result.w_rec) > 0.1
    if isinstance(network, SpikingNetwork):
        # per step of 1 ms
        assert 0.005 < result.spikes.mean() < 0.1
        assert np.mean(result.spikes.any(axis=1)) > 0.5


def test_lif_is_alif_without_adaptation():
    lif = cell_network("lif", 3)
    adaptive = evolve(lif, adaptive=True)
    assert (lif.cell.name, adaptive.cell.name) == ("lif", "alif")
    task = cell_task(lif, 3)
    for rule in ("bptt", "eprop"):
        pair = [gradient(network, task, rule) for network in (lif, adaptive)]
        assert relative(*pair, lif) < ROUND_OFF


def test_teacher_forcing_takes_the_target_and_cuts_the_path():
    """Without recurrence among the hidden units the weights onto them have no path left."""
    network = cell_network("jordan", 1, teacher_forcing=True)
    inputs, targets = cell_task(network, 1)
    result = gradient(network, (inputs, targets), "bptt")
    own = gradient(evolve(network, teacher_forcing=False), (inputs, targets), "bptt")
    np.testing.assert_array_equal(result.spikes[..., -2:], targets)
    w_in, w_rec, bias = network.w_in, network.w_rec, network.bias
    hidden = np.zeros((2, 3))
    for t in range(inputs.shape[1]):
        sent = np.hstack([hidden, targets[:, t - 1] if t else np.zeros((2, 2))])
        u = inputs[:, t] @ w_in + sent @ w_rec + bias
        np.testing.assert_allclose(result.readout[:, t], u[:, 3:], rtol=1e-12, atol=1e-14)
        hidden = np.tanh(u[:, :3])
    assert not np.allclose(own.readout, result.readout)
    # a weight acts on the loss of the next step at the latest: truncated after two steps is exact
    assert (
        relative(gradient(network, (inputs, targets), "tbptt", horizon=2), result, network) < 1e-12
    )
    assert relative(gradient(evolve(network, teacher_forcing=False), (inputs, targets), "tbptt",
                             horizon=2), own, network) > 1e-3  # fmt: skip


# ---------------------------------------------------------------------------- bad input


def rate(**changes):
    settings = dict(
        cell=Elman(), w_in=np.ones((2, 3)), w_rec=np.ones((3, 3)), w_out=np.ones((3, 1))
    )
    return RateNetwork(**(settings | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"w_out": None}, ["RateNetwork.w_out", "'visible'"]),
        ({"visible": 1}, ["RateNetwork.w_out", "'visible'", "away"]),
        ({"visible": 4, "w_out": None}, ["RateNetwork.visible", "4", "3 units"]),
        ({"visible": -1}, ["RateNetwork.visible", "-1"]),
        ({"teacher_forcing": True}, ["RateNetwork.teacher_forcing", "'visible'"]),
        ({"bias": np.ones(2)}, ["RateNetwork.bias", "(2,)", "(3,)"]),
        ({"bias_out": np.ones(3)}, ["RateNetwork.bias_out", "(3,)", "(1,)"]),
        (
            {"cell": GRU(), "w_rec": np.ones((3, 3, 3))},
            ["RateNetwork.w_in", "(2, 3)", "3 gates", "gru"],
        ),
        ({"cell": LSTM(), "w_in": np.ones((4, 2, 3))}, ["RateNetwork.w_rec", "(3, 3)", "4 gates"]),
        ({"w_rec": np.ones((3, 2))}, ["RateNetwork.w_rec", "(3, 2)", "(n_rec, n_rec) = (2, 2)"]),
        ({"cell": CELLS["jordan"]()}, ["RateNetwork.visible", "jordan".title()]),
        (
            {
                "cell": CELLS["jordan"](),
                "visible": 1,
                "w_out": None,
                "mask_rec": np.ones((3, 3)),
            },
            ["RateNetwork.mask_rec[0, 0]", "Jordan"],
        ),
    ],
)
def test_bad_rate_network_is_refused_by_name(changes, words):
    with pytest.raises(ValueError) as error:
        rate(**changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("leak", [0.0, 1.5, -1])
def test_bad_leak_is_refused(leak):
    with pytest.raises(ValueError, match=rf"LeakyRate\.leak = {leak}"):
        LeakyRate(leak)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell": "transformer"}, ["'cell'", "'transformer'", "'lstm'"]),
        ({"n_rec": 0}, ["'n_rec'", "0"]),
        ({"density": 0.0}, ["'density'", "0.0"]),
    ],
)
def test_bad_drawing_is_refused(changes, words):
    settings = {"cell": "elman", "n_in": 2, "n_rec": 3, "n_out": 1} | changes
    with pytest.raises(ValueError) as error:
        draw_network(**settings)
    for word in words:
        assert word in str(error.value)


def test_rate_units_have_no_spikes_to_impose_or_smooth():
    network = rate()
    for options in ({"spikes": np.ones((4, 3))}, {"smooth": True}):
        with pytest.raises(ValueError, match="SpikingNetwork"):
            gradients(network, np.ones((4, 2)), np.ones((4, 1)), **options)


# ---------------------------------------------------------- spikes of another simulator


@pytest.mark.parametrize("name", ["lif", "alif"])
def test_gradient_along_given_spikes(name):
    network = cell_network(name, 2)
    inputs, targets = cell_task(network, 2)
    own = gradient(network, (inputs, targets), "bptt")
    given = gradients(network, inputs, targets, spikes=own.spikes)
    np.testing.assert_array_equal(given.w_rec, own.w_rec)
    other = own.spikes.copy()
    other[:, 3] ^= True
    changed = gradients(network, inputs, targets, spikes=other)
    np.testing.assert_array_equal(changed.spikes, other)
    assert relative(changed, own, network) > 1e-3
    with pytest.raises(ValueError, match="'spikes' has shape"):
        gradients(network, inputs, targets, spikes=own.spikes[:, 1:])


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (np.ones(3), ["'learning_window'", "(3,)", "(2, 12)"]),
        (-np.ones(12), ["'learning_window'", "-1"]),
    ],
)
def test_bad_step_weights_are_refused(window, words):
    network = rate(w_in=np.ones((3, 3)), w_out=np.ones((3, 2)))
    with pytest.raises(ValueError) as error:
        gradients(network, *cell_task(network), learning_window=window)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("repetitions", [0, 1.5, True])
def test_bad_repetitions_are_refused(repetitions):
    network = cell_network("elman", 1)
    with pytest.raises(ValueError, match=f"'repetitions' = {repetitions}"):
        gradients(network, *cell_task(network, 1), repetitions=repetitions)


def test_step_weights_scale_each_step():
    network = cell_network("elman", 1)
    inputs, targets = cell_task(network, 1)
    weights = np.random.default_rng(0).random((2, 12))
    parts = [
        gradients(network, inputs, targets, learning_window=weights * (np.arange(12) == t))
        for t in range(12)
    ]
    whole = gradients(network, inputs, targets, learning_window=weights)
    np.testing.assert_allclose(sum(p.w_rec for p in parts), whole.w_rec, rtol=1e-10, atol=1e-14)
    ones = gradients(network, inputs, targets, learning_window=np.r_[np.zeros(7), np.ones(5)])
    last = gradients(network, inputs, targets, learning_window=5)
    np.testing.assert_array_equal(ones.w_rec, last.w_rec)
