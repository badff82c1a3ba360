"""Networks that go to NIR and come from it, spike for spike as the tools that read NIR compute."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from brian2 import amp, ms, ohm, second, volt
from scipy.sparse import issparse

from brian_eprop import (
    Adam,
    EProp,
    RecurrentNetwork,
    connectivity,
    from_nir,
    to_nir,
)

nir = pytest.importorskip("nir")

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Written by benchmarks/nir_exchange.py, with the versions of the tools; see the README there.
DATA = Path(__file__).parents[1] / "data" / "nir"
TOOLS = ("snntorch", "norse", "spikingjelly", "sinabs")


def written(name):
    return nir.read(DATA / f"{name}.nir"), np.load(DATA / f"{name}.npz")


def network(model="nir_lif", n=8, n_in=5, seed=3, values=None, **options):
    """A network that fires, with its inputs."""
    rng = np.random.default_rng(seed)
    weights = {
        "w_in": 25 * (rng.normal(size=(n_in, n)) + 0.3),
        "w_rec": 10 * rng.normal(size=(n, n)),
        "w_out": rng.normal(size=(n, 2)),
    }
    if issparse(mask := options.get("connectivity", {}).get("w_rec")):
        weights["w_rec"] = mask * weights["w_rec"]
    neurons = model if isinstance(model, list) else [(model, n, values or {})]
    made = RecurrentNetwork(neurons, n_in, n, 2, seed=1, **({"weights": weights} | options))
    return made, rng.random((60, n_in)) < 0.3


def assert_same(one, other, inputs):
    found, expected = other.simulate(inputs), one.simulate(inputs)
    assert expected.spikes.sum() > 30
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    # the same sums with the parameters of the readout taken from τ and back
    np.testing.assert_allclose(found.readout, expected.readout, rtol=0, atol=1e-11)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["cuba_recurrent", "lif_layer", "lif_recurrent"])
def test_what_we_write_fires_as_other_tools_have_it(name):
    graph, known = written(name)
    spikes = from_nir(graph).simulate(known["inputs"]).spikes
    assert spikes.sum() > 100
    tools = [tool for tool in TOOLS if tool in known]
    assert len(tools) == (3 if name == "cuba_recurrent" else 4)  # Sinabs has no CubaLIF
    for tool in tools:
        np.testing.assert_array_equal(spikes, known[tool])


@pytest.mark.slow
def test_spikes_are_seen_to_differ_where_a_convention_does():
    graph, known = written("lif_recurrent")
    neurons, loop = (graph.nodes["neurons"].nodes[name] for name in ("lif", "w_rec"))
    changes = (
        (neurons, "tau", neurons.tau * np.exp(0.05)),  # nearly the exact decay
        (neurons, "v_reset", neurons.v_reset - 0.3),
        (loop, "weight", loop.weight.T),
    )
    for node, name, value in changes:
        before = getattr(node, name)
        setattr(node, name, value)
        spikes = from_nir(graph).simulate(known["inputs"]).spikes
        setattr(node, name, before)
        assert (spikes != known["norse"]).sum() > 10


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("layers", [2, 1])
def test_what_snntorch_has_trained_fires_here_as_there(layers):
    graph, known = written(f"snntorch_{layers}")
    if layers == 2:
        with pytest.warns(UserWarning, match="outputs come 1 steps later"):
            made = from_nir(graph, dt=0.1 * ms)
    else:
        made = from_nir(graph, dt=0.1 * ms)
    late, expected = layers - 1, known["snntorch"]
    found = made.simulate(known["inputs"]).spikes[:, -expected.shape[1] :]
    assert expected.sum() > 20
    np.testing.assert_array_equal(found[late:], expected[: len(expected) - late])
    assert made.description.populations[0].parameters["I_ext"].any()  # its biases


def test_what_sinabs_has_trained_fires_here_as_there():
    graph, known = written("sinabs_1")
    made = from_nir(graph, dt=1 * second)
    assert known["sinabs"].sum() > 100
    np.testing.assert_array_equal(made.simulate(known["inputs"]).spikes, known["sinabs"])
    # its own time constants, of exp(−1/tau), are others to forward Euler
    graph.nodes["1"].tau = -1 / np.log1p(-1 / np.asarray(graph.nodes["1"].tau))
    other = from_nir(graph, dt=1 * second).simulate(known["inputs"]).spikes
    assert (other != known["sinabs"]).sum() > 10


@pytest.mark.slow
@pytest.mark.parametrize("rule", [EProp(), EProp(order=np.inf)], ids=["eprop", "exact"])
@pytest.mark.parametrize(
    ("tool", "dt", "rate"), [("snntorch", 0.1 * ms, 3e-3), ("sinabs", 1 * second, 3e-2)]
)
def test_what_others_have_trained_is_trained_on(tool, dt, rate, rule):
    graph, known = written(f"{tool}_1")
    made = from_nir(graph, dt=dt, rule=rule, optimizer=Adam(rate), tau_out=10 * dt)
    targets = np.where(np.arange(12) % 2, 4.0, 1.0) * np.ones((100, 1))
    losses = []
    for _ in range(12):
        found = made.gradients(known["inputs"], targets)
        matrices = ("w_in", "w_out", *(["w_rec"] if tool == "snntorch" else []))
        assert all(np.abs(getattr(found, name)).max() > 0 for name in matrices)
        losses.append(found.loss)
        made.apply(found)
    assert losses[-1] < 0.9 * losses[0]


WAYS = {
    "lif": {},
    "delays": {"delays": {"w_in": 2 * ms, "w_rec": 3 * ms, "w_out": 1 * ms}},
    "delay per neuron": {"delays": {"w_rec": np.arange(8)[:, None] * np.ones((1, 8)) * ms}},
    "normalized": {"normalize": True, "tau_out": 7 * ms},
    "sparse": {"connectivity": {"w_rec": connectivity.random_sparse(8, 8, 0.3, 1, sparse=True)}},
    "values": {
        "values": {
            "tau_m": np.linspace(5, 30, 8) * ms,
            "R": 1.3 * ohm,
            "E_L": -0.2 * volt,
            "v_reset": -0.4 * volt,
            "v_th": np.linspace(0.6, 1, 8) * volt,
            "I_ext": np.linspace(0, 0.5, 8) * amp,
        }
    },
    "no loop": {"connectivity": {"w_rec": np.zeros((8, 8), bool)}},
    "two models": {"model": [("nir_cuba_lif", 3, {"gain": 4.0}), ("nir_lif", 5, {})]},
    "populations": {"model": [("nir_lif", 3, {}), ("nir_lif", 5, {"tau_m": 9 * ms})]},
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("way", WAYS)
def test_a_network_comes_back_as_it_went(way, tmp_path):
    made, inputs = network(**WAYS[way])
    nir.write(tmp_path / "network.nir", to_nir(made))
    assert_same(made, from_nir(tmp_path / "network.nir"), inputs)
    if way == "sparse":
        again = from_nir(tmp_path / "network.nir").weights["w_rec"]
        np.testing.assert_array_equal(again, made.weights["w_rec"].toarray())


def test_the_graph_by_forward_euler_is_the_network():
    """Alone with NIR's numbers: neurons, loop, delay and readout in NumPy."""
    made, inputs = network(delays={"w_rec": 2 * ms})
    graph = to_nir(made)
    inside, a = graph.nodes["neurons"].nodes, 1e-3
    lif, loop, later = (inside[name] for name in ("lif", "w_rec", "w_rec_delay"))
    w_in, w_out, li = (graph.nodes[name] for name in ("w_in", "w_out", "readout"))
    steps = np.rint(later.delay / a).astype(int)
    v, y, spikes, readout = np.zeros(8), np.zeros(2), [np.zeros(8)] * 3, []
    for row in inputs:
        recurrent = np.array([spikes[-1 - d][j] for j, d in enumerate(steps)])
        current = w_in.weight @ row + loop.weight @ recurrent
        v = v + a / lif.tau * (lif.v_leak - v + lif.r * current)
        z = v > lif.v_threshold
        v = np.where(z, lif.v_reset, v)
        y = y + a / li.tau * (li.v_leak - y + li.r * (w_out.weight @ z))
        spikes.append(z.astype(float))
        readout.append(y)
    found = made.simulate(inputs)
    assert found.spikes.sum() > 30
    np.testing.assert_array_equal(found.spikes, np.array(spikes[3:]) > 0)
    np.testing.assert_allclose(found.readout, readout, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("model", "left_out"),
    [
        ("lif", ["refractoriness t_ref of up to 5. ms", "the reset by v_th"]),
        ("alif", ["refractoriness", "the adaptation of the threshold", "the reset by v_th"]),
        ("cuba_lif", ["refractoriness", "the exact solution"]),
    ],
)
def test_what_nir_cannot_say_is_refused_or_listed(model, left_out):
    made = RecurrentNetwork(model, 3, 4, 1, seed=1)
    with pytest.raises(ValueError, match="NIR cannot say all of the network") as error:
        to_nir(made)
    found = to_nir(made, approximate=True).metadata["left_out"]
    for text, listed in zip(left_out, found, strict=True):
        assert text in listed and text in str(error.value) and model in listed


def test_an_approximate_lif_is_the_same_until_its_first_spike():
    made, inputs = network("lif", weights={"w_in": np.full((5, 8), 0.05)})
    other = from_nir(to_nir(made, approximate=True))
    one, two = (n.simulate(inputs).spikes for n in (made, other))
    first = one.any(axis=1).argmax()
    assert 0 < first < 50
    np.testing.assert_array_equal(one[: first + 1], two[: first + 1])


def refused(made, **changes):
    with pytest.raises(ValueError) as error:
        to_nir(made, **changes)
    return str(error.value)


def test_what_has_no_counterpart_in_nir_is_refused():
    assert "the model 'adex'" in refused(RecurrentNetwork("adex", 3, 4, 1))
    assert "nir_lif" in refused(RecurrentNetwork([("nir_lif", 4, {"method": "rk2"})], 3, 4, 1))
    mixed = np.arange(16).reshape(4, 4) * ms
    made = RecurrentNetwork("nir_lif", 3, 4, 1, delays={"w_rec": mixed})
    assert "differ from synapse to synapse" in refused(made)
    two = RecurrentNetwork([("nir_lif", 2, {}), ("nir_cuba_lif", 2, {})], 3, 4, 1)
    assert "LIF and CubaLIF" in refused(two, outputs="spikes")
    assert "'readouts'" in refused(two, outputs="readouts")


def lif(n=2, **changes):
    values = {"tau": 0.02, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.full(n, value) for name, value in values.items()})


def li(n=2, **changes):
    values = {"tau": 0.02, "r": 1.0, "v_leak": 0.0} | changes
    return nir.LI(**{name: np.full(n, value) for name, value in values.items()})


EYE = np.eye(2)
LINEAR = {"linear": nir.Linear(EYE)}
ENDS = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
CHAIN = ["input", "w", "lif", "out", "li", "output"]


def graph(chain=CHAIN, more=(), metadata=None, **nodes):
    usual = {"w": nir.Linear(EYE), "lif": lif(), "out": nir.Linear(EYE), "li": li()} | ENDS
    edges = [*pairwise(chain), *more]
    used = {name for edge in edges for name in edge}
    found = {name: node for name, node in (usual | nodes).items() if name in used}
    return nir.NIRGraph(found, edges, metadata or {}, type_check=False)


def layer():
    ends = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    return nir.NIRGraph({"lif": lif()} | ends, [("input", "lif"), ("lif", "output")], {})


def other_sizes(parameter):
    node = lif()
    setattr(node, parameter, np.ones(3))  # of which nir says nothing
    return node


REFUSED = {
    "node": (graph(w=nir.Threshold(np.ones(2))), "'w' is of the kind Threshold, which has no"),
    "IF": (graph(lif=nir.IF(np.ones(2), np.ones(2))), "'lif' is of the kind IF"),
    "loop": (
        graph(more=[("a", "w"), ("w", "a")], a=nir.Linear(EYE)),
        "a loop without a neuron, w → a → w",
    ),
    "delayed loop": (
        graph(more=[("a", "w"), ("w", "a")], a=nir.Delay(np.full(2, 0.001))),
        "a loop without a neuron",
    ),
    "delay": (graph([*CHAIN[:2], "d", *CHAIN[2:]], d=nir.Delay(np.full(2, 0.0015))), "0.0015 s"),
    "tau": (graph(lif=lif(tau=0.0005)), "'lif' has a time constant of 0.0005 s"),
    "leak": (graph(li=li(v_leak=0.1)), "'li', has v_leak"),
    "no neuron": (graph(["input", "w", "li", "output"]), "no neurons that spike"),
    "input to readout": (graph(more=[("w", "li")]), "'li' hears 'input'"),
    "bias of readout": (
        graph(out=nir.Affine(EYE, np.ones(2))),
        "a constant arrives at the readout",
    ),
    "linear output": (
        graph([*CHAIN[:4], "output"], out=nir.Linear(2 * EYE)),
        "a linear map of 'lif'",
    ),
    "integrator": (graph(more=[("li", "w")]), "'lif' hears 'li', LI"),
    "not finite": (graph(lif=lif(r=np.nan)), "'lif' has a r that is not finite"),
    "image": (graph(lif=lif((2, 2))), "has the shape"),
    "no input": (graph(CHAIN[1:]), "has no node Input"),
    "unconnected": (
        graph(more=[("a", "w")], a=nir.Linear(EYE)),
        "nothing arrives at the NIR node 'a'",
    ),
    "sizes": (graph(w=nir.Linear(np.ones((3, 2)))), "'w' has 3 signals, but 'lif' takes 2"),
    "sizes of a bias": (graph(w=nir.Affine(EYE, np.ones(3))), "'w' has 3 numbers as bias, for 2"),
    "sizes of neurons": (graph(lif=other_sizes("v_threshold")), "3 numbers as v_threshold, for 2"),
    "matrix": (graph(w=nir.Linear(np.ones((1, 2, 2)))), "a weight of the shape (1, 2, 2)"),
    "complex": (graph(w=nir.Linear(1j * EYE)), "'w' has a weight of the type complex128"),
    "edge": (graph(more=[("input", "w", "w")]), "has the edge ('input', 'w', 'w')"),
    "one name for two": (
        graph(
            [*CHAIN[:2], "a", "v", "a.lif", *CHAIN[3:]],
            **{"a": layer(), "v": nir.Linear(EYE), "a.lif": lif()},
        ),
        "the NIR graph has two nodes 'a.lif'",
    ),
    "two delays": (
        graph(
            more=[("input", "d"), ("d", "v"), ("v", "lif")],
            d=nir.Delay(np.full(2, 0.001)),
            v=nir.Linear(EYE),
        ),
        "over two delays",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_graphs_without_counterpart_are_refused_by_name(case):
    wrong, message = REFUSED[case]
    with pytest.raises(ValueError, match=r"NIR|delay") as error:
        from_nir(wrong, dt=1 * ms)
    assert message in str(error.value)


def inside(nodes, edges, ends=("input", "output")):
    """A graph inside of another one."""
    first, last = ends
    ends = {first: nir.Input(np.array([2])), last: nir.Output(np.array([2]))}
    return nir.NIRGraph(ends | nodes, edges, {}, type_check=False)


@pytest.mark.parametrize(
    ("name", "ends"),
    [("layer", ("input", "layer")), ("Output", ("Input", "Output")), ("Input", ("Input", "layer"))],
)
def test_graphs_inside_may_have_any_names(name, ends):
    layer = inside({"lif": lif(tau=0.01)}, [(ends[0], "lif"), ("lif", ends[1])], ends)
    found = from_nir(graph(["input", "w", name, "out", "li", "output"], **{name: layer}), dt=1 * ms)
    expected = from_nir(graph(lif=lif(tau=0.01)), dt=1 * ms)
    for key in ("w_in", "w_rec", "w_out"):
        np.testing.assert_array_equal(found.weights[key], expected.weights[key])
    assert found.description.populations[0].parameters["tau_m"] == 10 * ms


def test_delays_behind_a_readout_and_between_linear_maps_come_through():
    later = nir.Delay(np.array([0.001, 0.003]))
    made = from_nir(graph([*CHAIN[:5], "d", "output"], d=later, w=nir.Linear(90 * EYE)), dt=1 * ms)
    inputs = np.random.default_rng(0).random((60, 2)) < 0.3
    at_once = from_nir(graph(w=nir.Linear(90 * EYE)), dt=1 * ms).simulate(inputs).readout
    found = made.simulate(inputs).readout
    assert abs(at_once).min(axis=1).max() > 0
    for k, steps in enumerate((1, 3)):  # the same sums
        np.testing.assert_array_equal(found[steps:, k], at_once[:-steps, k])
        assert not found[:steps, k].any()
    # each input goes over one delay, though over two signals
    spread = nir.Linear(np.array([[1.0, 0], [0, 1], [0, 1]]))
    chain = ["input", "spread", "d", "sum", *CHAIN[2:]]
    nodes = {"spread": spread, "sum": nir.Linear(np.ones((2, 3)))}
    made = from_nir(graph(chain, d=nir.Delay(np.array([1e-3, 2e-3, 2e-3])), **nodes), dt=1 * ms)
    np.testing.assert_array_equal(made.weights["w_in"], [[1, 1], [2, 2]])
    np.testing.assert_allclose(made.description.delays["w_in"] / ms, [[1, 1], [2, 2]])


def around(graph, inputs, step):
    """The spikes of a loop of two layers, in NumPy; from the first to the second it takes ``step``.

    At once, 0, as snnTorch, Norse and SpikingJelly have it.
    """
    weights = {name: graph.nodes[name].weight for name in ("w", "there", "back")}
    v, found, a = np.zeros((2, 2)), [np.zeros((2, 2))], 1e-3 / 0.02
    for row in inputs:
        z = np.zeros((2, 2))
        for k in (0, 1):
            if k == 0:
                current = weights["w"] @ row + weights["back"] @ found[-1][1]
            else:
                current = weights["there"] @ (found[-1][0] if step else z[0])
            v[k] += a * (current - v[k])
            z[k] = v[k] > 1
            v[k][z[k] > 0] = 0
        found.append(z)
    return np.array(found[1:]).reshape(-1, 4) > 0


def test_loops_through_two_layers_take_a_step_for_each_connection_and_say_so():
    nodes = {"b": lif(), "there": nir.Linear(45 * EYE[::-1]), "back": nir.Linear(-30 * EYE)}
    chain = ["input", "w", "lif", "there", "b", "output"]
    loop = graph(chain, [("b", "back"), ("back", "lif")], w=nir.Linear(40 * EYE + 9), **nodes)
    inputs = np.random.default_rng(0).random((80, 2)) < 0.4
    with pytest.warns(UserWarning, match="lif, b are a loop, in which each connection takes a"):
        found = from_nir(loop, dt=1 * ms).simulate(inputs).spikes
    assert found.sum(axis=0).min() > 5
    np.testing.assert_array_equal(found, around(loop, inputs, 1))
    assert (found != around(loop, inputs, 0)).sum() > 10


def test_time_steps_files_and_options(tmp_path):
    assert from_nir(graph(), dt=1 * ms).description.n_rec == 2
    with pytest.raises(ValueError, match=r"from_nir.dt is missing"):
        from_nir(graph())
    with pytest.raises(ValueError, match=r"dt = 1. ms, but .* steps of 100. us"):
        from_nir(graph(metadata={"dt": 1e-4}), dt=1 * ms)
    assert from_nir(graph(metadata={"dt": 1e-4})).description.dt == 1e-4 * second
    for wrong in (0.0, -1e-3, np.nan, np.inf, "1 ms", [1e-3], np.array([1e-3, 2e-3])):
        with pytest.raises(ValueError, match=r"has metadata\['dt'\] = .* expected the time step"):
            from_nir(graph(metadata={"dt": wrong}), dt=1 * ms)
    with pytest.raises(ValueError, match="the graph says what 'weights' is"):
        from_nir(graph(), dt=1 * ms, weights={})
    with pytest.raises(FileNotFoundError, match="no file"):
        from_nir(tmp_path / "none.nir", dt=1 * ms)
    (tmp_path / "text.nir").write_text("text")
    with pytest.raises(ValueError, match="is no graph of NIR"):
        from_nir(tmp_path / "text.nir", dt=1 * ms)
    nir.write(tmp_path / "node.nir", lif())
    with pytest.raises(ValueError, match=r"node.nir' is no graph of NIR"):
        from_nir(tmp_path / "node.nir", dt=1 * ms)
    with pytest.raises(TypeError, match="is no NIRGraph"):
        from_nir(3, dt=1 * ms)
    with pytest.raises(TypeError, match="is not a RecurrentNetwork"):
        to_nir(graph())


@pytest.mark.parametrize("damage", ["type", "r", "weight", "edges", "shape"])
def test_files_with_something_missing_or_unknown_are_refused(tmp_path, damage):
    import h5py

    path = tmp_path / "network.nir"
    for what in ("gone", "other"):
        nir.write(path, graph(metadata={"dt": 1e-3}))
        with h5py.File(path, "a") as file:
            found: list[str] = []
            file.visit(lambda name: found.append(name) if name.endswith("/" + damage) else None)  # noqa: B023
            for name in found[:1]:
                del file[name]
                if what == "other":
                    file[name] = "Izhikevich"
        with pytest.raises(ValueError, match=r"network.nir' is no graph of NIR that nir reads"):
            from_nir(path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", ["nir_lif", "nir_cuba_lif"])
def test_installed_tools_fire_alike(model, seed, monkeypatch):
    for tool in (*TOOLS, "nirtorch"):
        pytest.importorskip(tool)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import nir_exchange

    made, _ = nir_exchange.network("lif_recurrent" if model == "nir_lif" else "cuba_recurrent")
    rng = np.random.default_rng(seed)
    made.weights["w_rec"] = np.float32(made.weights["w_rec"][rng.permutation(12)]).astype(float)
    made.weights["w_rec"] *= ~np.eye(12, dtype=bool)
    inputs = rng.random((100, nir_exchange.N_IN)) < 0.3
    expected = made.simulate(inputs).spikes
    assert expected.sum() > 100
    found = nir_exchange.tools(to_nir(made, outputs="spikes"), inputs)
    assert list(found) == list(TOOLS if model == "nir_lif" else TOOLS[:3])
    for spikes in found.values():
        np.testing.assert_array_equal(spikes, expected)
