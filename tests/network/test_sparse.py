"""Networks of sparse arrays: the same numbers as dense ones, and no array of n_pre × n_post."""

import functools
import pickle
import tracemalloc

import numpy as np
import pytest
from brian2 import Hz, ms, set_device
from scipy.sparse import coo_array, coo_matrix, csc_array, csr_array, issparse, lil_array

from brian_eprop import (
    Adam,
    Bounds,
    DaleLaw,
    DeepR,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    RecurrentNetwork,
    WeightDecay,
    memory,
    reference,
)
from brian_eprop.brian.internals import reset_device
from brian_eprop.network.compiled import CompiledNetwork
from brian_eprop.network.connectivity import fixed_degree, random_sparse
from brian_eprop.plotting import plot_weights
from brian_eprop.runs.report import _matrices

pytestmark = pytest.mark.usefixtures("numpy_target")

N_IN, N_REC, N_OUT = 8, 30, 2
NEURONS = [("alif", 12, {}), ("lif", 18, {})]
SPARSE = ("w_rec", "w_out")
#: Other orders of sums, over a few dozen steps.
ROUND_OFF = 1e-12


def matrices(seed=0):
    """Weights at which the neurons fire, and their masks."""
    rng = np.random.default_rng(seed)
    masks = {
        "w_in": np.ones((N_IN, N_REC), dtype=bool),
        "w_rec": rng.random((N_REC, N_REC)) < 0.2,
        "w_out": rng.random((N_REC, N_OUT)) < 0.7,
    }
    weights = {name: rng.normal(size=mask.shape) * mask for name, mask in masks.items()}
    return weights | {"w_rec": 0.4 * weights["w_rec"]}, masks


def trials(batch=2, steps=40, seed=1):
    rng = np.random.default_rng(seed)
    return rng.random((batch, steps, N_IN)) < 0.3, rng.normal(size=(batch, steps, N_OUT))


def dense_network(**options):
    weights, masks = matrices()
    options = {"connectivity": masks} | options
    return RecurrentNetwork(NEURONS, N_IN, N_REC, N_OUT, weights=weights, **options)


@functools.cache
def dense_gradients():
    return dense_network().gradients(*trials())


def sparse_network(kind=csr_array, **options):
    weights, _ = matrices()
    weights |= {name: kind(weights[name]) for name in SPARSE}
    options = {"weights": weights} | options
    return RecurrentNetwork(NEURONS, N_IN, N_REC, N_OUT, **options)


def as_dense(matrix):
    return matrix.toarray() if issparse(matrix) else matrix


def check_same(found, expected, tolerance=ROUND_OFF):
    """Two Gradients, or the weights of two networks."""
    for name in ("w_in", "w_rec", "w_out"):
        a, b = (x[name] if isinstance(x, dict) else getattr(x, name) for x in (found, expected))
        assert issparse(a) == (name in SPARSE)
        np.testing.assert_allclose(as_dense(a), b, rtol=0, atol=tolerance * abs(b).max())


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", [csr_array, csc_array, coo_array, coo_matrix])
def test_gradients_are_those_of_the_dense_network(kind):
    net = sparse_network(kind)
    found, expected = net.gradients(*trials()), dense_gradients()
    assert expected.spikes.mean() > 0.02
    np.testing.assert_array_equal(found.spikes, expected.spikes)
    check_same(found, expected)
    np.testing.assert_allclose(found.learning_signal, expected.learning_signal, atol=ROUND_OFF)
    for name in SPARSE:
        mask = matrices()[1][name]
        assert isinstance(net.weights[name], csr_array) and net.weights[name].nnz == mask.sum()
        assert getattr(found, name).nnz == mask.sum()


@pytest.mark.parametrize("order", [1, 2])
def test_delays_are_those_of_the_dense_network(order):
    _, masks = matrices()
    rng = np.random.default_rng(3)
    delays = {name: rng.integers(0, 4, masks[name].shape) for name in SPARSE}
    rule = EProp(order=order)
    dense = dense_network(delays={name: d * ms for name, d in delays.items()}, rule=rule)
    # what is 0 is left out by SciPy: no delay
    sparse = {name: csr_array(d * masks[name]) * ms for name, d in delays.items()}
    net = sparse_network(delays=sparse, rule=rule)
    found, expected = net.gradients(*trials()), dense.gradients(*trials())
    check_same(found, expected)
    np.testing.assert_allclose(found.learning_signal, expected.learning_signal, atol=1e-11)
    np.testing.assert_array_equal(
        net.description.delay_steps("w_rec"), delays["w_rec"][masks["w_rec"]]
    )


def test_the_learning_signal_is_that_of_the_call_whatever_becomes_of_the_weights():
    _, masks = matrices()
    delays = {"w_out": csr_array(masks["w_out"] * np.arange(N_OUT)) * ms}
    net = sparse_network(delays=delays)
    expected = net.gradients(*trials()).learning_signal
    # other entries, in another order than that of the delays
    net.weights["w_out"] = csc_array(net.weights["w_out"])
    inputs, targets = trials()
    found = pickle.loads(pickle.dumps(net.gradients(inputs, targets)))
    again = net.gradients(inputs, targets)
    net.weights["w_out"].data[:] = 0
    targets[:] = 0
    for gradients in (found, again):
        np.testing.assert_allclose(gradients.learning_signal, expected, atol=ROUND_OFF)


@pytest.mark.slow
def test_compiled_programs_compute_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("BRIAN_EPROP_CACHE", str(tmp_path))
    delays = matrices()[1]["w_rec"] * 2.0
    expected = dense_network(delays={"w_rec": delays * ms}).gradients(*trials())
    at_once = dense_gradients()
    set_device("cpp_standalone", build_on_run=False)
    try:
        net = sparse_network(delays={"w_rec": csr_array(delays) * ms})
        check_same(net.gradients(*trials()), expected)
        (compiled,) = net._networks.values()
        assert isinstance(compiled, CompiledNetwork)
        program = (compiled.programs[0].folder / "brian_eprop_calls.cpp").read_text()
        # what synapses were connected by is held by no call: three times 8 bytes each
        assert "calls.free(_static_array__array_rec_0_0_sources);" in program
        assert "calls.free(_array_rec_0_0_sources);" in program
        assert "calls.restore(_array_rec_0_0_sources" not in program
        net.weights["w_rec"] = 0.0 * net.weights["w_rec"]
        assert net.gradients(*trials()).loss != expected.loss
    finally:
        reset_device()
    assert net.weights["w_rec"].indices.dtype == np.int32
    assert abs(at_once.w_rec - expected.w_rec).max() > 1e-3 * abs(expected.w_rec).max()


class Task:
    def sample(self, rng, batch):
        return trials(batch, seed=int(rng.integers(1000)))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("optimizer", [GradientDescent(1e-4), Adam(1e-2)])
def test_training_is_that_of_the_dense_network(optimizer):
    options = {
        "optimizer": optimizer,
        "regularizers": [FiringRateRegularizer(10 * Hz, 0.1)],
        "constraints": [
            Bounds(-2.0, 2.0),
            WeightDecay(0.01),
            DaleLaw(inhibitory=[1], matrices=["w_rec"]),
        ],
    }
    dense, sparse = dense_network(**options), sparse_network(**options)
    for net in (dense, sparse):
        net.fit(Task(), iterations=2, batch_size=2, seed=1)
    check_same(sparse.weights, dense.weights, 1e-10)
    assert abs(sparse.weights["w_rec"] - sparse_network(**options).weights["w_rec"]).max() > 0
    assert all(m.ndim == 1 for m in sparse.state.moments["w_rec"].values())


def test_deep_r_rewires_within_the_structure():
    deep_r = DeepR(density=0.5, matrices=["w_rec"], temperature=1e-3, l1=1e-2)
    net = sparse_network(optimizer=GradientDescent(1e-3), constraints=[deep_r])
    structure, before = net.description.connectivity["w_rec"], net.state.wiring["w_rec"]["active"]
    count = deep_r.count(structure.data)
    assert before.sum() == np.count_nonzero(net.weights["w_rec"].data) == count
    net.fit(Task(), iterations=4, seed=1)
    active = net.state.wiring["w_rec"]["active"]
    assert active.sum() == count and (active != before).any()
    assert not net.weights["w_rec"].data[~active].any()
    np.testing.assert_array_equal(net.weights["w_rec"].indices, structure.indices)


def test_files_hold_the_structure_once(tmp_path):
    deep_r = DeepR(density=0.8, matrices=["w_rec"])
    delays = {"w_rec": csr_array(matrices()[1]["w_rec"] * 2.0) * ms}
    net = sparse_network(optimizer=Adam(1e-2), constraints=[deep_r], delays=delays)
    net.fit(Task(), iterations=2, seed=1)
    path = tmp_path / "net.npz"
    net.save(path)
    with np.load(path) as file:
        large = [name for name in file.files if file[name].size >= N_REC * N_REC]
    assert not large
    loaded = RecurrentNetwork.load(path)
    for each in (net, loaded):
        each.fit(Task(), iterations=2, seed=1)
    assert loaded.updates == 4
    for name in ("w_in", "w_rec", "w_out"):
        assert isinstance(loaded.weights[name], csr_array) == (name in SPARSE)
        np.testing.assert_array_equal(as_dense(loaded.weights[name]), as_dense(net.weights[name]))
    np.testing.assert_array_equal(
        loaded.description.delay_steps("w_rec"), net.description.delay_steps("w_rec")
    )


def test_connectivity_draws_weights_of_its_own():
    structure = random_sparse(N_REC, N_REC, 0.2, seed=2, autapses=False, sparse=True)
    connectivity = {"w_rec": structure}
    make = dict(neurons="lif", n_in=N_IN, n_rec=N_REC, n_out=N_OUT, connectivity=connectivity)
    a, b = (RecurrentNetwork(**make, seed=seed) for seed in (1, 1))
    np.testing.assert_array_equal(a.weights["w_rec"].data, b.weights["w_rec"].data)
    assert a.weights["w_rec"].nnz == structure.nnz
    # N(0, 1/n_pre), of 170 numbers
    assert a.weights["w_rec"].data.std() == pytest.approx(N_REC**-0.5, rel=0.3)


def test_what_scipy_leaves_out_is_0():
    net = sparse_network(optimizer=Adam(1e-2))
    first = net.gradients(*trials())
    net.weights["w_rec"] = csr_array(net.weights["w_rec"] * (net.weights["w_rec"] > 0))
    assert net.weights["w_rec"].nnz < first.w_rec.nnz
    positive = sparse_network()
    positive.weights["w_rec"].data[positive.weights["w_rec"].data < 0] = 0
    found = net.gradients(*trials())
    assert abs(found.w_rec - positive.gradients(*trials()).w_rec).max() == 0
    net.apply(found)
    assert net.weights["w_rec"].nnz == first.w_rec.nnz
    net.weights["w_rec"] -= 1e-3 * first.w_rec
    net.simulate(trials()[0])


@pytest.mark.slow
def test_recordings_and_pickles_know_sparse_matrices():
    inputs, targets = (a[0] for a in trials())
    dense = dense_network().record(inputs, targets)
    recording = sparse_network().record(inputs, targets)
    assert recording.synapses == dense.synapses
    np.testing.assert_allclose(recording.e_trace, dense.e_trace, atol=ROUND_OFF)
    description = sparse_network().description
    pickle.dumps(dict(description.connectivity))


def test_the_reference_is_dense_where_it_fits(monkeypatch):
    net = sparse_network(delays={"w_rec": csr_array(matrices()[1]["w_rec"] * 2.0) * ms})
    inputs, targets = trials()
    found = net.gradients(inputs, targets)
    check_same(found, reference.gradients(net, inputs, targets, rule="eprop"), 1e-10)
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    needed = f"{17e-9 * N_REC * (N_REC + N_OUT):.3g}"
    with pytest.raises(MemoryError, match=rf"'w_rec', 'w_out'.*{needed} GB, but 1e-06 GB"):
        net.reference_network()


def test_figures_and_reports_show_the_synapses(monkeypatch):
    net = sparse_network()
    image = plot_weights(net.weights["w_out"].T).images[0].get_array()
    np.testing.assert_array_equal(~np.ma.getmaskarray(image), matrices()[1]["w_out"].T)
    rows, dense = _matrices(net), _matrices(dense_network())
    for row, other in zip(rows, dense, strict=True):
        assert row[:3] == other[:3]
        np.testing.assert_allclose(row[3:], other[3:])
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"'weights' is sparse.*7.2e-06 GB, but 1e-06 GB"):
        plot_weights(net.weights["w_rec"])


def test_no_array_has_the_size_of_the_matrix(tmp_path):
    """Everything but the run itself, whose objects are Brian2's."""
    n = 8000
    entries = np.arange(n)
    w_rec = csr_array((np.full(n, 0.1), (entries, (entries * 7 + 1) % n)), shape=(n, n))
    w_in = csr_array((np.full(n, 0.5), (entries % 3, entries)), shape=(3, n))
    tracemalloc.start()
    try:
        net = RecurrentNetwork(
            "lif",
            n_in=3,
            n_rec=n,
            n_out=1,
            weights={"w_in": w_in, "w_rec": w_rec},
            delays={"w_rec": w_rec.astype(bool).astype(float) * ms},
            optimizer=Adam(1e-3),
            constraints=[DaleLaw(inhibitory=[]), DeepR(density=0.5, matrices=["w_rec"])],
            seed=1,
        )
        inputs = np.ones((3, 3), dtype=bool)
        gradients = net.gradients(inputs, np.ones((3, 1)))
        net.apply(gradients)
        net.save(tmp_path / "net.npz")
        RecurrentNetwork.load(tmp_path / "net.npz")
        fixed_degree(n, n, 2, seed=1, autapses=False, sparse=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # a mask of w_rec alone would be 64 MB
    assert peak < n * n


@pytest.mark.parametrize("autapses", [True, False])
def test_sparse_arrays_have_the_synapses_of_the_masks(autapses, monkeypatch):
    monkeypatch.setattr("brian_eprop.network.connectivity.AT_ONCE", 60)
    for draw, amount in ((fixed_degree, 4), (random_sparse, 0.3)):
        mask = draw(20, 20, amount, seed=1, autapses=autapses)
        structure = draw(20, 20, amount, seed=1, autapses=autapses, sparse=True)
        assert isinstance(structure, csr_array) and structure.dtype == bool
        np.testing.assert_array_equal(structure.toarray(), mask)


def changed(change):
    """A csr_array of the weights w_rec, with a change to its arrays."""
    matrix = csr_array(matrices()[0]["w_rec"])
    change(matrix)
    return matrix


def twice(matrix):
    matrix.indices[1] = matrix.indices[0]


def outside(matrix):
    matrix.indices[0] = N_REC


def decreasing(matrix):
    matrix.indptr[1] = matrix.indptr[2] + 1


def nan(matrix):
    matrix.data[0] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, r"weights\['w_rec'\] has two entries at \[0, \d+\].*sum_duplicates"),
        (outside, r"weights\['w_rec'\] has an entry at \[0, 30\], outside of its shape \(30, 30\)"),
        (decreasing, r"weights\['w_rec'\].indptr decreases at 1"),
        (nan, r"weights\['w_rec'\]\[0, \d+\] = nan; it must be finite"),
    ],
)
def test_broken_arrays_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        sparse_network(weights={"w_rec": changed(change)})


def test_two_entries_of_a_coo_array_are_not_added_up():
    matrix = coo_array(([0.1, 0.2], ([3, 3], [4, 4])), shape=(N_REC, N_REC))
    with pytest.raises(ValueError, match=r"two entries at \[3, 4\]"):
        sparse_network(weights={"w_rec": matrix})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"w_rec": lil_array((N_REC, N_REC))}}, r"format 'lil'; give .*tocsr\(\)"),
        (
            {"weights": {"w_rec": csr_array((N_REC, 3))}},
            r"weights or connectivity\['w_rec'\] is a sparse array of shape \(30, 3\); it must be",
        ),
        (
            {"weights": {"feedback": csr_array((N_OUT, N_REC))}, "feedback": "random"},
            r"weights\['feedback'\] is sparse.*'feedback' is always dense",
        ),
        (
            {"connectivity": {"w_rec": np.ones((N_REC, N_REC), dtype=bool)}},
            r"weights\['w_rec'\] is sparse, but connectivity\['w_rec'\] is a dense array; leave",
        ),
        (
            {
                "weights": matrices()[0],
                "connectivity": {"w_rec": csr_array(matrices()[1]["w_rec"])},
            },
            r"weights\['w_rec'\] is a dense array, but connectivity is sparse; give",
        ),
        (
            {"connectivity": {"w_rec": csr_array(np.eye(N_REC, dtype=bool))}},
            r"\['w_rec'\] has an entry at \[0, \d+\], but \w+\['w_rec'\] has none; give weights to",
        ),
        (
            {"connectivity": {"w_rec": csr_array(matrices()[1]["w_rec"] * 1.0)}},
            r"connectivity\['w_rec'\] is a sparse float64 array; it must be bool",
        ),
        (
            {
                "weights": {},
                "connectivity": {"w_rec": csr_array(([False], ([2], [3])), shape=(N_REC, N_REC))},
            },
            r"connectivity\['w_rec'\]\[2, 3\] is an explicit False.*eliminate_zeros",
        ),
        (
            {"feedback": "adaptive"},
            r"feedback = 'adaptive' follows.*'w_out'.*sparse.*dense array, or choose",
        ),
        (
            {"delays": {"w_in": csr_array((N_IN, N_REC))}},
            r"delays\['w_in'\] is sparse, but weights and connectivity\['w_in'\] are not; give",
        ),
        (
            {"delays": {"w_rec": csr_array(np.ones((N_REC, N_REC))) * ms}},
            r"delays\['w_rec'\] has an entry at .* where connectivity has no synapse; leave",
        ),
        (
            {"delays": {"w_rec": csr_array(matrices()[1]["w_rec"] * 0.3) * ms}},
            r"delays\['w_rec'\]\[0, \d+\] = 300. us is not a multiple of dt",
        ),
        (
            {"delays": {"w_rec": np.ones((N_REC, N_REC)) * ms}},
            r"delays\['w_rec'\] has the shape \(30, 30\); give one time, or a csr_array",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        sparse_network(**options)


def test_later_changes_are_checked_too():
    net = sparse_network(optimizer=Adam(1e-2))
    inputs, targets = trials()
    gradients = net.gradients(inputs, targets)
    net.weights["w_rec"] = csr_array(np.ones((N_REC, N_REC)))
    with pytest.raises(ValueError, match=r"weights\['w_rec'\] has an entry at \[0, \d+\], where"):
        net.gradients(inputs, targets)
    with pytest.raises(ValueError, match=r"weights\['w_rec'\] has an entry at \[0, \d+\], where"):
        net.apply(gradients)
    net.weights["w_rec"] = np.ones((N_REC, N_REC))
    with pytest.raises(ValueError, match=r"weights\['w_rec'\] is a dense array"):
        net.gradients(inputs, targets)
    dense = dense_network(optimizer=Adam(1e-2))
    with pytest.raises(ValueError, match=r"gradients.w_rec is sparse.*toarray"):
        dense.apply(gradients)
    dense.weights["w_rec"] = csr_array(dense.weights["w_rec"])
    with pytest.raises(ValueError, match=r"weights\['w_rec'\] is sparse, but that of the network"):
        dense.gradients(inputs, targets)


@pytest.mark.slow
def test_workers_compute_the_same():
    alone, many = (sparse_network(optimizer=Adam(1e-2)) for _ in range(2))
    alone.fit(Task(), iterations=2, batch_size=9, seed=1)
    many.fit(Task(), iterations=2, batch_size=9, seed=1, workers=2)
    assert abs(alone.weights["w_rec"] - many.weights["w_rec"]).nnz == 0
