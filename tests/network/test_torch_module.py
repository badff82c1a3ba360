"""A network as a module of PyTorch: gradients, training, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
from brian2 import Hz, ms

from brian_eprop import (
    Bounds,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    RecurrentNetwork,
    connectivity,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Written by benchmarks/torch_module.py.
DATA = Path(__file__).parents[1] / "data" / "torch_module.npz"
N_IN, N_REC, N_OUT, STEPS, BATCH = 5, 8, 2, 40, 3
MATRICES = ("w_in", "w_rec", "w_out")
#: The same numbers in another order of summation
TOLERANCE = 1e-12


def network(model="alif", **options):
    net = RecurrentNetwork(model, N_IN, N_REC, N_OUT, **({"seed": 1} | options))
    net.weights["w_in"] *= 3
    return net


def trials(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((BATCH, STEPS, N_IN)) < 0.3, rng.normal(size=(BATCH, STEPS, N_OUT))


def assert_close(found, expected):
    expected = np.asarray(expected)
    assert np.abs(expected).max() > 0
    assert np.abs(np.asarray(found) - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_errors_from_torch_give_the_gradients_that_are_kept():
    """Without torch: ∂E/∂y that it has computed, and what the module made of it."""
    known = np.load(DATA)
    found = network(loss="linear").gradients(known["inputs"], known["errors"])
    assert found.spikes.sum() > 30
    for name in MATRICES:
        assert_close(BATCH * getattr(found, name), known[name])


CASES = {
    "eprop": {},
    "traces": {"rule": EProp(engine="traces")},
    "order 2": {"rule": EProp(order=2)},
    "exact": {"rule": EProp(order=math.inf)},
    "random": {"feedback": "random", "normalize": True},
    "delays": {"delays": {"w_rec": 2 * ms, "w_out": 1 * ms}, "rule": EProp(order=math.inf)},
    "average": {"average": True},
    "parameters": {"trainable": ["tau_m", "v_th"], "rule": EProp(order=math.inf)},
    "sparse": {"connectivity": {"w_rec": connectivity.random_sparse(8, 8, 0.4, 1, sparse=True)}},
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_backward_is_gradients(case, loss):
    torch = pytest.importorskip("torch")
    net, (inputs, targets) = network(loss=loss, **CASES[case]), trials()
    if loss == "cross_entropy":
        targets = np.eye(2)[(targets[..., 0] > 0).astype(int)]
    expected = net.gradients(inputs, targets)
    module, wanted = net.as_torch(), torch.from_numpy(targets)
    y = module(torch.from_numpy(inputs))
    assert_close(y.detach(), expected.readout)
    if loss == "mse":
        per_step = 0.5 * (y - wanted) ** 2
    else:
        per_step = -wanted * torch.log_softmax(y, -1)
    scale = BATCH * (STEPS if case == "average" else 1)
    (per_step.sum() / scale).backward()
    for name in MATRICES:
        gradient = getattr(expected, name)
        if name == "w_rec" and case == "sparse":
            gradient = gradient.data
        assert_close(getattr(module, name).grad, gradient)
    for name, gradient in expected.parameters.items():
        assert_close(getattr(module, name).grad, gradient)
        assert np.shares_memory(net.parameters[name], getattr(module, name).detach().numpy())
    # and it is the whole of it: another order is another gradient
    if case == "exact":
        other = network(loss=loss).gradients(inputs, targets)
        assert np.abs(other.w_rec - expected.w_rec).max() > 1e-3 * np.abs(expected.w_rec).max()


@pytest.mark.slow
def test_gradient_descent_of_torch_is_ours():
    torch = pytest.importorskip("torch")
    net, other = network(), network(optimizer=GradientDescent(1e-3))
    inputs, targets = trials()
    module, wanted = net.as_torch(), torch.from_numpy(targets)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        (0.5 * ((module(torch.from_numpy(inputs)) - wanted) ** 2).sum() / BATCH).backward()
        optimizer.step()
        other.apply(other.gradients(inputs, targets))
    for name in MATRICES:
        assert_close(net.weights[name], other.weights[name])
        assert np.shares_memory(net.weights[name], getattr(module, name).detach().numpy())


@pytest.mark.slow
def test_a_training_with_loader_schedule_clipping_and_a_layer_after_the_readout(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 24)
    rates = np.where(np.arange(N_IN) % 2 == classes[:, None], 0.5, 0.1)[:, None, :]
    inputs = rng.random((24, STEPS, N_IN)) < rates
    data = torch.utils.data.TensorDataset(torch.from_numpy(inputs), torch.from_numpy(classes))
    net = network(rule=EProp(order=math.inf))
    layers = torch.nn.ModuleList([net.as_torch(), torch.nn.Linear(N_OUT, 2, dtype=torch.float64)])
    before = {name: matrix.copy() for name, matrix in net.weights.items()}
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.7)
    means = []
    for _ in range(4):
        losses = []
        for x, label in torch.utils.data.DataLoader(data, batch_size=8, shuffle=True):
            loss = torch.nn.functional.cross_entropy(layers[1](layers[0](x).mean(1)), label)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(layers.parameters(), 0.5)
            assert 0 < float(norm) < math.inf
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        means.append(np.mean(losses))
    assert means[-1] < 0.8 * means[0]
    assert all(np.abs(net.weights[name] - before[name]).max() > 1e-3 for name in MATRICES)
    # the trained weights are the network's, and those of a dict of states come back
    x = torch.from_numpy(inputs[:2])
    with torch.no_grad():
        expected = layers[0](x).numpy()
    np.testing.assert_array_equal(net.simulate(inputs[:2]).readout, expected)
    states = {name: value.clone() for name, value in layers[0].state_dict().items()}
    other = network(seed=2).as_torch()
    other.load_state_dict(states)
    with torch.no_grad():
        np.testing.assert_array_equal(other(x).numpy(), expected)


def test_networks_whose_updates_are_more_than_a_step_are_refused():
    pytest.importorskip("torch")
    for options, message in (
        ({"feedback": "adaptive"}, "feedback = 'adaptive'"),
        ({"regularizers": [FiringRateRegularizer(10 * Hz, 0.1)]}, "regularizers"),
        ({"constraints": [Bounds(-1, 1)]}, "constraints"),
        ({"trainable": {"tau_m": (5 * ms, 50 * ms)}}, r"bounds of \['tau_m'\]"),
        ({"trainable_delays": {"w_rec": (0 * ms, 5 * ms)}}, "trainable_delays"),
    ):
        with pytest.raises(ValueError, match=f"as_torch: the network has {message}"):
            network(**options).as_torch()


def test_tensors_that_cannot_be_computed_with_are_refused():
    torch = pytest.importorskip("torch")
    module, (inputs, _) = network().as_torch(), trials()
    x = torch.from_numpy(inputs)
    for other in (x.bfloat16(), x.double().to_sparse()):
        with pytest.raises(TypeError, match=r"'inputs' is no tensor that NumPy can read"):
            module(other)
    with pytest.raises(TypeError, match=r"'inputs' is no tensor .* outside of torch.func, vmap"):
        torch.vmap(module)(x)
    with pytest.raises(RuntimeError, match=r"would keep the outputs for these inputs"):
        torch.jit.trace(module, x)
    with pytest.raises(TypeError, match=r"the inputs of a network are a ndarray"):
        module(inputs)
    with pytest.raises(ValueError, match=r"'inputs' is on the device 'meta'"):
        module(x.to("meta"))
    with pytest.raises(ValueError, match=r"inputs have a gradient"):
        module(x.double().requires_grad_())
    with pytest.raises(ValueError, match="must be booleans"):
        module(x * 0.5)
    with pytest.raises(TypeError, match=r"'w_in' of the module is torch.float32"):
        module.float()(x)
    with pytest.raises(ValueError, match=r"is on the device 'meta'"):
        network().as_torch().to("meta")(x)


def test_weights_that_are_computed_from_others_are_refused():
    torch = pytest.importorskip("torch")
    from torch.nn.utils import parametrizations, prune

    x = torch.from_numpy(trials()[0])
    pruned, normed, called = (network().as_torch() for _ in range(3))
    prune.l1_unstructured(pruned, "w_rec", 0.5)
    parametrizations.weight_norm(normed, "w_rec")
    twice = {name: 2 * values for name, values in called.named_parameters()}
    for way in (pruned, normed, lambda x: torch.func.functional_call(called, twice, (x,))):
        with pytest.raises(TypeError, match=r"'w_\w+' of the module is no parameter any more"):
            way(x)
    prune.remove(pruned, "w_rec")
    expected = network()
    expected.weights["w_rec"] = pruned.w_rec.detach().numpy().copy()
    assert (expected.weights["w_rec"] == 0).mean() > 0.4
    np.testing.assert_array_equal(pruned(x).detach(), expected.simulate(x.numpy()).readout)


def test_copies_are_modules_of_their_own(tmp_path):
    torch = pytest.importorskip("torch")
    import copy

    module, x = network().as_torch(), torch.from_numpy(trials()[0])
    torch.save(module, tmp_path / "module.pt")
    copies = [
        copy.deepcopy(module),
        torch.load(tmp_path / "module.pt", weights_only=False),
        torch.optim.swa_utils.AveragedModel(module).module,
    ]
    before = module(x).detach().clone()
    for k, other in enumerate(copies):
        with torch.no_grad():
            other.w_in *= 1.5 + k  # before its first pass
        expected = network()
        expected.weights["w_in"] *= 1.5 + k
        y = other(x)
        np.testing.assert_array_equal(y.detach(), expected.simulate(x.numpy()).readout)
        assert np.shares_memory(other.network.weights["w_in"], other.w_in.detach().numpy())
        assert (y != before).any()
    np.testing.assert_array_equal(module(x).detach(), before)


@pytest.mark.slow
def test_threads_and_compilation_give_the_same_gradients():
    torch = pytest.importorskip("torch")
    from concurrent.futures import ThreadPoolExecutor

    inputs, targets = trials()
    x, wanted = torch.from_numpy(inputs), torch.from_numpy(targets)
    expected = network().gradients(inputs, targets)

    def losses(module):
        return 0.5 * ((module(x) - wanted) ** 2).sum() / BATCH

    module = network().as_torch()
    losses(torch.compile(module, backend="eager")).backward()
    for name in MATRICES:
        assert_close(getattr(module, name).grad, getattr(expected, name))
    module.zero_grad()
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            list(pool.map(lambda _: losses(module).backward(), range(3)))
    for name in MATRICES:
        assert_close(getattr(module, name).grad, 6 * getattr(expected, name))


@pytest.mark.slow
def test_what_would_be_another_gradient_is_refused():
    torch = pytest.importorskip("torch")
    net, (inputs, _) = network(), trials()
    module, x = net.as_torch(), torch.from_numpy(inputs)
    y = module(x)
    with torch.no_grad():
        module.w_in += 0.1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    y = module(x)
    net.weights["w_in"] *= 1.5  # behind the back of torch
    with pytest.raises(RuntimeError, match="fired otherwise in the backward pass"):
        y.sum().backward()
    y = module(x)
    with pytest.raises(FloatingPointError, match="not finite"):
        (y.sum() * math.nan).backward()
    gradient = torch.autograd.grad(module(x).square().sum(), module.w_in, create_graph=True)[0]
    with pytest.raises(RuntimeError, match=r"once_differentiable|twice"):
        gradient.sum().backward()
    net.weights["w_in"] = 2 * net.weights["w_in"]
    with pytest.raises(ValueError, match="'w_in' of the network is another"):
        module(x)


@pytest.mark.slow
@pytest.mark.standalone
def test_compiled_programs_give_the_same_gradients():
    torch = pytest.importorskip("torch")
    from brian2 import device, set_device

    inputs, targets = trials()
    expected = network().gradients(inputs, targets)
    set_device("cpp_standalone", build_on_run=False)
    try:
        module = network().as_torch()
        y = module(torch.from_numpy(inputs))
        (0.5 * ((y - torch.from_numpy(targets)) ** 2).sum() / BATCH).backward()
    finally:
        device.reinit()
        set_device("runtime")
    for name in MATRICES:
        assert_close(getattr(module, name).grad, getattr(expected, name))
