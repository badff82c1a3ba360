"""The alignment of rules with back-propagation, while a network, or one's own network, trains."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    defaultclock,
    ms,
    mV,
    start_scope,
    volt,
)
from scipy.sparse import csr_array
from support.steps_in_brian2 import firing

from brian_eprop import (
    BPTT,
    OSTL,
    OTTT,
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    RecurrentNetwork,
    SuperSpike,
    TrainableSynapses,
    fit,
    memory,
    reference,
)
from brian_eprop.plotting import plot_alignment
from brian_eprop.rule_study import AlignmentMonitor

pytestmark = pytest.mark.usefixtures("numpy_target")


class Noise:
    """Inputs and targets that have nothing to do with each other."""

    def sample(self, rng, batch):
        return rng.random((batch, 30, 4)) < 0.3, rng.normal(size=(batch, 30, 2))


def network_of(**options):
    rng = np.random.default_rng(1)
    return RecurrentNetwork(
        [("lif", 3, {}), ("alif", 3, {"beta": 0.3, "tau_a": 30 * ms})],
        4,
        6,
        2,
        tau_out=10 * ms,
        weights={
            "w_in": rng.normal(0.6, 1, (4, 6)),
            "w_rec": rng.normal(0, 0.5, (6, 6)) * (1 - np.eye(6)),
        },
        optimizer=Adam(1e-2),
        seed=1,
        **options,
    )


def cosine(one, other):
    one, other = np.ravel(one), np.ravel(other)
    return one @ other / math.sqrt(one @ one * (other @ other))


RULES = [EProp(), EProp(order=2), BPTT(), SuperSpike(), OTTT(), OSTL(), "mdgl", "rtrl"]
IN_REFERENCE = {
    "EProp(order=1)": ("eprop", {}),
    "EProp(order=2)": ("eprop", {"order": 2}),
    "SuperSpike()": ("superspike", {}),
    "OTTT()": ("ottt", {}),
    "OSTL()": ("ostl", {}),
    "mdgl": ("mdgl", {}),
}


def test_columns_are_the_cosines_and_norms_of_the_reference():
    network, monitor = network_of(), AlignmentMonitor(RULES, per_neuron=True)
    trial = Noise().sample(np.random.default_rng(3), 2)
    columns, same = monitor.of_network(network, *trial), network.reference_network()
    exact = reference.gradients(same, *trial, "bptt")
    for label, (name, options) in IN_REFERENCE.items():
        found = reference.gradients(same, *trial, name, **options)
        for part in ("w_in", "w_rec"):
            g, b = getattr(found, part), getattr(exact, part)
            assert np.isclose(columns[f"cosine {label} {part}"], cosine(g, b), rtol=1e-10)
            ratio = np.linalg.norm(g) / np.linalg.norm(b)
            assert np.isclose(columns[f"norm ratio {label} {part}"], ratio, rtol=1e-10)
        every = [np.concatenate([g.w_in, g.w_rec]) for g in (found, exact)]
        assert np.isclose(columns[f"cosine {label} all"], cosine(*every), rtol=1e-10)
        second = cosine(*(g[:, 3:] for g in every))
        assert np.isclose(columns[f"cosine {label} population 1"], second, rtol=1e-10)
        of_neurons = monitor.neurons[0][label]
        for j in range(6):
            if np.any(every[0][:, j]) and np.any(every[1][:, j]):
                assert np.isclose(of_neurons[j], cosine(*(g[:, j] for g in every)), rtol=1e-10)
            else:
                assert np.isnan(of_neurons[j])
        assert columns[f"cosine {label} all"] < 1 - 1e-7
    for exact in ("EProp(order=inf)", "rtrl"):
        assert abs(columns[f"cosine {exact} all"] - 1) < 1e-12
        assert abs(columns[f"norm ratio {exact} w_rec"] - 1) < 1e-12


def test_training_goes_on_as_without_it():
    plain, watched = network_of(feedback="random"), network_of(feedback="random")
    monitor = AlignmentMonitor([EProp(), SuperSpike()], every=2)
    without = plain.fit(Noise(), 3, 2, seed=4)
    history = watched.fit(Noise(), 3, 2, seed=4, alignment=monitor)
    for name, matrix in plain.weights.items():
        np.testing.assert_array_equal(watched.weights[name], matrix)
    measured = [[key for key in entry if key.startswith("cosine")] for entry in history]
    assert [len(columns) > 0 for columns in measured] == [True, False, True]
    columns = [entry["cosine EProp(order=1) w_in"] for entry in history[::2]]
    # the weights of the iteration, not those of the first one
    assert columns[0] != columns[1]
    assert [entry["loss"] for entry in history] == [entry["loss"] for entry in without]


def test_trained_parameters_are_parts_and_have_their_present_values():
    network = network_of(trainable=["tau_m"])
    monitor = AlignmentMonitor([EProp(), BPTT()])
    trial = Noise().sample(np.random.default_rng(3), 2)
    before = monitor.of_network(network, *trial)["cosine EProp(order=1) tau_m"]
    network.parameters["tau_m"] = network.parameters["tau_m"] * 0.5
    after = monitor.of_network(network, *trial)
    assert abs(after["cosine EProp(order=inf) tau_m"] - 1) < 1e-12
    assert before != after["cosine EProp(order=1) tau_m"]
    with pytest.raises(ValueError, match=r"SuperSpike keeps a part .* says nothing of parameters"):
        AlignmentMonitor([SuperSpike()]).of_network(network, *trial)


def own_network(rule):
    """Inputs → one ⇄ other, and both → readout: (network, learner)."""
    defaultclock.dt, T = 1 * ms, 40
    rng = np.random.default_rng(4)
    steps, channels = np.nonzero(rng.random((T, 6)) < 0.3)
    source = SpikeGeneratorGroup(6, channels, steps * ms, period=T * ms)
    equations = "dv/dt = -v/(20*ms) : volt"
    spikes = dict(threshold="v > 12*mV", reset="v -= 12*mV", method="exact")
    one, other = (NeuronGroup(3, equations, **spikes, name=name) for name in ("one", "other"))
    # by names, which sums over groups go by, so that another one has the same bits
    wanted = dict(target=rng.standard_normal((T, 1)), period=T * ms, name="answers")
    R = LeakyReadout(1, tau=15 * ms, **wanted)
    learner = Learner(R, rule, optimizer=Adam(1e-2), reset_every=T * ms, update_every=2 * T * ms)
    objects = []
    inputs = (source, one, 6, "into_one"), (source, other, 5, "into_other")
    recurrent = (one, other, 4, "one_other"), (other, one, -4, "other_one")
    for pre, post, scale, name in (*inputs, *recurrent):
        S = TrainableSynapses(pre, post, on_pre="v_post += w*mV", learner=learner, name=name)
        S.connect()
        S.w = scale * (0.5 + rng.random(len(S)))
        objects.append(S)
    for pre in (one, other):
        name = f"{pre.name}_out"
        S = TrainableSynapses(pre, R, on_pre="y_post += w", learner=learner, name=name)
        S.connect()
        S.w = rng.standard_normal(len(S))
        objects.append(S)
    return Network(source, one, other, R, *objects), learner


PSI = PiecewiseLinear(20 / volt, 15 * mV)


def test_a_fit_of_ones_own_network_has_the_same_columns():
    rules = [EProp(), EProp(order=2), BPTT(), OSTL(), "rtrl"]
    network, learner = own_network(BPTT(surrogate=PSI))
    monitor = AlignmentMonitor(rules, every=2, per_neuron=True)
    found = fit(learner, network, iterations=3, progress=False, alignment=monitor)
    first, second, third = found.history
    for entry in (first, third):
        for exact in ("EProp(order=inf)", "rtrl"):
            assert abs(entry[f"cosine {exact} all"] - 1) < 1e-10
            assert abs(entry[f"norm ratio {exact} population other"] - 1) < 1e-10
        assert entry["cosine EProp(order=1) w_rec"] < 1 - 1e-3
        assert entry["cosine OSTL() w_in"] < 1 - 1e-3
    assert not any(key.startswith("cosine") for key in second)
    assert first["cosine EProp(order=1) w_rec"] != third["cosine EProp(order=1) w_rec"]
    assert monitor.neurons[1]["iteration"] == 2 and len(monitor.neurons[1]["rtrl"]) == 6
    network, learner = own_network(BPTT(surrogate=PSI))
    without = fit(learner, network, iterations=3, progress=False)
    np.testing.assert_array_equal(found.losses(0), without.losses(0))


def test_columns_of_ones_own_network_are_those_of_the_learners_gradients():
    """By matrix, by group, by synapses and by neuron, from runs of other learners."""
    network, learner = own_network(BPTT(surrogate=PSI))
    monitor = AlignmentMonitor([EProp(), EProp(order=2)], per_neuron=True)
    columns = monitor.of_learner(learner, network, {}, 0)

    def found(order):
        start_scope()
        network, learner = own_network(EProp(order=order, surrogate=PSI))
        network.run(40 * ms)
        return {S.name: S for S in learner.projections if S.target is not learner.readout}

    exact = found(math.inf)
    for order in (1, 2):
        of_order = found(order)

        def column_of(quantity, part, order=order):
            return columns[f"{quantity} EProp(order={order}) {part}"]

        def gradients(synapses, of_order=of_order):
            return [
                np.concatenate([np.array(of[name].grad[:]) for name in synapses])
                for of in (of_order, exact)
            ]

        parts = {f"synapses {name}": [name] for name in exact}
        parts |= {"w_in": ["into_one", "into_other"], "w_rec": ["one_other", "other_one"]}
        parts |= {"population one": ["into_one", "other_one"], "all": list(exact)}
        for part, synapses in parts.items():
            g, b = gradients(synapses)
            assert np.isclose(column_of("cosine", part), cosine(g, b), rtol=1e-9)
            ratio = np.linalg.norm(g) / np.linalg.norm(b)
            assert np.isclose(column_of("norm ratio", part), ratio, rtol=1e-9)
        assert column_of("cosine", "all") < 1 - 1e-4
        g, b = gradients(["into_one", "other_one"])
        third = np.concatenate([exact[name].j[:] for name in ("into_one", "other_one")]) == 2
        assert np.isclose(
            monitor.neurons[0][f"EProp(order={order})"][2], cosine(g[third], b[third]), rtol=1e-9
        )
    ax = plot_alignment(
        [{"iteration": 0, **columns}], part="synapses one_other", ax=plt.figure().subplots()
    )
    assert [line.get_label() for line in ax.lines][:2] == ["EProp(order=1)", "EProp(order=2)"]


def test_what_cannot_be_measured_is_refused(monkeypatch):
    for wrong, message in (
        (["nonsense"], "'nonsense', which is no rule of the reference"),
        ([EProp(), EProp()], "must be different rules"),
        ([], "must be different rules, at least one"),
    ):
        with pytest.raises(ValueError, match=message):
            AlignmentMonitor(wrong)
    with pytest.raises(TypeError, match=r"AlignmentMonitor\.rules contains 3"):
        AlignmentMonitor([3])
    with pytest.raises(ValueError, match=r"AlignmentMonitor\.every"):
        AlignmentMonitor([EProp()], every=0)
    with pytest.raises(TypeError, match=r"fit\.alignment = 10 is no monitor"):
        network_of().fit(Noise(), 1, alignment=10)
    network, learner = own_network(BPTT(surrogate=PSI))
    with pytest.raises(ValueError, match="SuperSpike\\(\\) cannot be measured in a Learner's own"):
        fit(learner, network, progress=False, alignment=AlignmentMonitor([SuperSpike()]))
    network, *trial = firing("adex")
    with pytest.raises(ValueError, match="OTTT has one trace for each presynaptic neuron"):
        AlignmentMonitor([OTTT()]).of_network(network, *trial)
    refused = {}
    columns = AlignmentMonitor([OTTT(), BPTT()]).of_network(network, *trial, refused=refused)
    assert list(refused) == ["OTTT()"] and "cosine EProp(order=inf) all" in columns


def test_a_network_that_is_too_large_is_refused_with_the_number(monkeypatch):
    network, trial = network_of(), Noise().sample(np.random.default_rng(3), 2)
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000)
    with pytest.raises(MemoryError, match=r"keeps, would take 1\.73e-05 GB, but 1e-05 GB"):
        AlignmentMonitor(["rtrl"]).of_network(network, *trial)
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"3 more networks of 66 synapses would take"):
        AlignmentMonitor([EProp(), OSTL()]).of_network(network, *trial)
    network, learner = own_network(BPTT(surrogate=PSI))
    # what the learner itself keeps of its past fits
    monkeypatch.setattr(memory, "available_memory", lambda: 6000)
    # 8 bytes × 2 states × 6² neurons × (6 inputs and 6 neurons)
    with pytest.raises(MemoryError, match=r"'rtrl' keeps, would take 6\.91e-06 GB, but 6e-06 GB"):
        fit(learner, network, progress=False, alignment=AlignmentMonitor([EProp(), "rtrl"]))


def test_the_influence_of_a_large_network_is_more_than_any_machine_has():
    none = csr_array((3000, 3000), dtype=bool)
    network = RecurrentNetwork("lif", 100, 3000, 1, connectivity={"w_rec": none})
    trial = np.zeros((1, 10, 100), dtype=bool), np.zeros((1, 10, 1))
    # 8 bytes × 3 states × 3000² × 3100
    with pytest.raises(MemoryError, match="which 'rtrl' keeps, would take 670 GB"):
        AlignmentMonitor([EProp(), "rtrl"]).of_network(network, *trial)


def test_the_figure_has_a_line_for_each_rule():
    history = [
        {"iteration": k, "cosine EProp(order=1) all": 0.5 + 0.1 * k, "cosine rtrl all": 1.0}
        for k in range(3)
    ]
    ax = plot_alignment([*history, {"iteration": 3, "loss": 1.0}], ax=plt.figure().subplots())
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(lines["EProp(order=1)"], [0.5, 0.6, 0.7])
    assert "rtrl" in lines
    # by angles: .99 is a tenth of the way from 1 to 0, not a hundredth
    height = ax.transData.transform([[0, 1], [0, 0.99], [0, 0]])[:, 1]
    angle = math.acos(0.99) / math.acos(0)
    assert (height[0] - height[1]) / (height[0] - height[2]) == pytest.approx(angle, rel=1e-6)
    assert lines["rtrl"][0] == 1 and ax.get_ylim() == (0.25, 1)
    ratios = [{"iteration": 0, "norm ratio rtrl all": 1e-3}]
    assert plot_alignment(ratios, quantity="norm ratio", ax=ax).get_yscale() == "log"
    with pytest.raises(ValueError, match="has no cosine of 'w_out'; it has cosine EProp"):
        plot_alignment(history, part="w_out")
    with pytest.raises(ValueError, match="none at all"):
        plot_alignment([{"iteration": 0}])
