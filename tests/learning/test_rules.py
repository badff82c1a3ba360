"""Rules that keep a part of e-prop: against the reference, and against the steps of any neuron."""

import attrs
import numpy as np
import pytest
import sympy
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    TimedArray,
    defaultclock,
    ms,
    start_scope,
)
from support.kept_steps import LeakOnly, WithoutReset, kept_gradient
from support.steps_in_brian2 import MODELS, distance, firing

from brian_eprop import (
    MDGL,
    OSTL,
    OTTT,
    RFLO,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    Loss,
    PiecewiseLinear,
    RecurrentNetwork,
    SuperSpike,
    TrainableSynapses,
    load_model,
    reference,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.learning.rule import Rule
from brian_eprop.reference.rules import cell_types
from brian_eprop.rule_study.recorded_steps import RecordedGroup

pytestmark = pytest.mark.usefixtures("numpy_target")

KNOWN = {
    "lif": [("lif", 6, {"t_ref": 3 * ms})],
    "alif": [("lif", 2, {}), ("alif", 4, {"beta": 0.4, "tau_a": 30 * ms, "t_ref": 2 * ms})],
}
#: Sums of 40 steps in another order.
EXACT = 1e-10


def known(neurons, rule, **options):
    """A network of the reference's own neurons, which fire, and two trials."""
    rng = np.random.default_rng(1)
    network = RecurrentNetwork(
        KNOWN[neurons],
        4,
        6,
        2,
        rule=rule,
        tau_out=10 * ms,
        weights={
            "w_in": rng.normal(0.6, 1, (4, 6)),
            "w_rec": rng.normal(0, 0.5, (6, 6)) * (1 - np.eye(6)),
        },
        regularizers=[FiringRateRegularizer(10 * Hz, 0.1)],
        seed=1,
        **options,
    )
    inputs = rng.random((2, 40, 4)) < 0.3
    # MDGL counts no slope in the first step, in which no spike of another neuron can arrive
    inputs[:, 0] = False
    return network, inputs, rng.normal(size=(2, 40, 2))


def weights_of(gradients):
    return np.concatenate([gradients.w_in.ravel(), gradients.w_rec.ravel()])


def gradients_of(network, *trial):
    found = network.gradients(*trial)
    assert found.spikes.sum() > 10
    return weights_of(found)


def existing(network, gradients):
    """The gradients of the weights that exist, side by side."""
    exists = network.description.connectivity["w_rec"]
    return np.concatenate([gradients.w_in.ravel(), gradients.w_rec[exists]])


CASES = [
    (SuperSpike(), "superspike"),
    (SuperSpike(engine="traces"), "superspike"),
    (OTTT(), "ottt"),
    (OTTT(engine="traces"), "ottt"),
    (OSTL(), "ostl"),
    (MDGL(), "mdgl"),
    # on these neurons the leak is all there is of a state update
    (RFLO(), "superspike"),
    (RFLO(engine="traces"), "superspike"),
]


@pytest.mark.parametrize("neurons", KNOWN)
@pytest.mark.parametrize(
    ("rule", "name"), CASES, ids=lambda v: v if isinstance(v, str) else v.engine
)
def test_they_are_the_references_rules(neurons, rule, name):
    network, *trial = known(neurons, rule)
    found = gradients_of(network, *trial)
    expected = reference.gradients(network.reference_network(), *trial, name)
    assert distance(found, weights_of(expected)) < EXACT
    for other in {"eprop", "ottt", "superspike", "ostl"} - {name}:
        wrong = weights_of(reference.gradients(network.reference_network(), *trial, other))
        same = neurons == "lif" and {name, other} == {"eprop", "superspike"}
        assert (distance(found, wrong) < EXACT) == same


def test_what_is_unfiltered_has_no_memory_of_the_readout():
    """With a readout that forgets within a step, OTTT is SuperSpike and OSTL is BPTT."""
    for rule, name in ((OTTT(), "superspike"), (OSTL(), "bptt")):
        network, inputs, targets = known("alif", rule)
        d = attrs.evolve(network.description, tau_out=0.01 * ms)
        network = RecurrentNetwork.from_description(d)
        network.weights.update(known("alif", rule)[0].weights)
        expected = reference.gradients(network.reference_network(), inputs, targets, name)
        found = network.gradients(inputs, targets)
        assert distance(weights_of(found), weights_of(expected)) < EXACT


#: AdEx neurons whose synapses act on the membrane itself.
DELTA_ADEX = attrs.evolve(
    load_model("adex"), name="delta_adex", on_pre="v_post += w", on_input=None, weight_unit="mV"
)
#: Rules, what they keep of the steps of Brian2, and the models that they can have.
ANY = {
    "superspike": (SuperSpike, WithoutReset, True, ["adex", "conductance", "alpha_conductance"]),
    "rflo": (RFLO, LeakOnly, True, ["delta_adex", "izhikevich"]),
    "ostl": (OSTL, RecordedGroup, False, ["adex", "conductance"]),
    "mdgl": (MDGL, RecordedGroup, True, ["adex", "conductance", "alpha_conductance"]),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, case in ANY.items() for model in case[3]]
)
def test_on_any_neuron_they_are_sums_over_the_steps_that_brian2_has_taken(name, model, monkeypatch):
    rule, kept, filtered, _ = ANY[name]
    monkeypatch.setitem(MODELS, "delta_adex", (DELTA_ADEX, {}, 0.1 * ms, 80))
    for engine in {OSTL: ("credit",), MDGL: ("traces",)}.get(rule, ("credit", "traces")):
        network, *trial = firing(model, batch=2, rule=rule(engine=engine))
        of_reference = {OSTL: "bptt", MDGL: "mdgl"}.get(rule, "eprop")
        expected = kept_gradient(
            network, trial, kept, monkeypatch, filtered=filtered, rule=of_reference
        )
        found = existing(network, network.gradients(*trial))
        # round-off of states in mV and pA that are measured in their deviations
        assert distance(found, expected) < 1e-9
        wrong = kept_gradient(network, trial, RecordedGroup, monkeypatch, filtered=not filtered)
        assert distance(found, wrong) > 1e-4


CURRENTS = attrs.evolve(
    load_model("cuba_lif"),
    name="currents",
    equations=load_model("cuba_lif").equations.replace("(unless refractory)", ""),
)


@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_a_trace_of_the_presynaptic_neuron_serves_neurons_with_synaptic_currents(
    engine, monkeypatch
):
    monkeypatch.setitem(MODELS, "currents", (CURRENTS, {}, 0.1 * ms, 80))
    network, *trial = firing("currents", rule=OTTT(engine=engine))
    expected = kept_gradient(network, trial, WithoutReset, monkeypatch, filtered=False)
    assert distance(existing(network, network.gradients(*trial)), expected) < 1e-9
    monkeypatch.setitem(MODELS, "held", ("cuba_lif", {}, 0.1 * ms, 80))
    network, *trial = firing("held", rule=OTTT(engine=engine))
    with pytest.raises(ValueError, match="depends on 'not_refractory', which is not the same"):
        network.gradients(*trial)


@attrs.frozen
class Halved(Rule):
    """e-prop that forgets twice as fast."""

    def kept(self, stage, entries):
        return entries / 2 if stage == "update" else entries


class HalvedSteps(RecordedGroup):
    def _matrix(self, columns):
        whole = super()._matrix(columns)
        stage = next(t.stage for t in self.adjoint.transitions if t.matrix is columns)
        return whole / 2 if stage == "update" else whole


def test_a_rule_of_ones_own(monkeypatch):
    found = []
    for engine in ("credit", "traces"):
        network, *trial = firing("adex", rule=Halved(engine=engine))
        found.append(existing(network, network.gradients(*trial)))
    expected = kept_gradient(network, trial, HalvedSteps, monkeypatch, filtered=True)
    assert distance(found[0], expected) < 1e-9
    assert distance(found[1], expected) < 1e-9
    whole, *trial = firing("adex", rule=EProp())
    assert distance(found[0][:20], whole.gradients(*trial).w_in.ravel()) > 1e-2


def test_neurons_that_a_rule_cannot_have_are_refused():
    network, *trial = firing("conductance", rule=RFLO())
    with pytest.raises(NoDerivativeError, match=r"RFLO keeps no path from what 'g_post \+= w'"):
        network.gradients(*trial)
    network, *trial = firing("adex", rule=OTTT())
    with pytest.raises(ValueError, match="OTTT has one trace for each presynaptic neuron"):
        network.gradients(*trial)
    slow_and_fast = np.arange(1, 7) * 10 * ms
    network = RecurrentNetwork([("lif", 6, {"tau_m": slow_and_fast})], 4, 6, 2, rule=OTTT())
    with pytest.raises(ValueError, match="depends on 'tau_m', which is not the same"):
        network.gradients(np.zeros((9, 4), bool), np.zeros((9, 2)))
    with pytest.raises(ValueError, match=r"OSTL\.engine = 'traces'"):
        OSTL(engine="traces")


def test_what_is_kept_must_be_a_matrix_of_the_same_shape():
    @attrs.frozen
    class Wrong(Rule):
        def kept(self, stage, entries):
            return sympy.zeros(1, 7)

    network, *trial = firing("adex", rule=Wrong())
    with pytest.raises(ValueError, match=r"Wrong\.kept\('reset', …\) gives .* 3 × 3 entries"):
        network.gradients(*trial)


def test_windows_within_a_trial_and_updates_in_every_step():
    """Windows of 7 steps carry no filtered trace of a rule that has none."""
    model, T, rng = load_model("lif"), 40, np.random.default_rng(3)
    target, found = rng.normal(size=(T, 1)), {}
    defaultclock.dt = 1 * ms
    steps, channels = np.nonzero(rng.random((T, 5)) < 0.3)
    w, out = rng.normal(0.8, 0.5, 15), rng.normal(size=3)
    for engine, every in (("credit", None), ("credit", 7), ("traces", None)):
        source = SpikeGeneratorGroup(5, channels, steps * ms)
        group = model.group(3)
        readout = LeakyReadout(1, tau=10 * ms, target=target)
        periods = {"reset_every": T * ms} if every is None else {"update_every": every * ms}
        learner = Learner(readout, OTTT(engine=engine), **periods)
        S = TrainableSynapses(source, group, on_pre="v_post += w", learner=learner)
        S.connect()
        S.w = w
        R = TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
        R.connect()
        R.w = out
        Network(source, group, readout, S, R).run(T * ms)
        found[engine, every] = np.array(S.grad)
        assert np.any(S.grad)
    first, *others = found.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_with_a_readout_of_the_layers_own_ottt_is_decolle(engine):
    """Fixed random weights, and a readout that forgets within a step."""
    network, *trial = known("alif", EProp())
    same = network.reference_network()
    decolle = reference.RULES["decolle"].at_work(same, np.random.default_rng(0))
    expected = reference.gradients(same, *trial, "decolle", seed=np.random.default_rng(0))
    own, *_ = known("alif", OTTT(engine=engine))
    own = RecurrentNetwork.from_description(attrs.evolve(own.description, tau_out=0.01 * ms))
    own.weights.update(network.weights | {"w_out": decolle.local_readout})
    assert distance(gradients_of(own, *trial), weights_of(expected)) < EXACT
    own.weights["w_out"] = 2 * decolle.local_readout
    assert distance(gradients_of(own, *trial), weights_of(expected)) > 0.1


#: Of the loss of SuperSpike: neurons with synaptic currents, a double exponential as the filter of
#: spikes, and a hard reset, which e-prop counts.
FILTERED = """
dv/dt = (I - v)/(10*ms) : 1
dI/dt = -I/(5*ms) : 1
dx/dt = (s - x)/(8*ms) : 1
ds/dt = -s/(4*ms) : 1
"""


def filtered_loss(rule, inputs, w, wanted):
    """Spikes of neurons, and the gradient of Σ ½(x − x*)² by a rule that Brian2 runs."""
    start_scope()
    defaultclock.dt, T = 1 * ms, len(inputs)
    steps, channels = np.nonzero(inputs)
    source = SpikeGeneratorGroup(inputs.shape[1], channels, steps * ms)
    group = NeuronGroup(
        w.shape[1], FILTERED, threshold="v > 1", reset="v = 0\ns += 1", method="euler"
    )
    desired = TimedArray(wanted, dt=1 * ms)
    loss = Loss(group, "0.5*(x - desired(t, i))**2", namespace={"desired": desired})
    learner = Learner(None, rule, losses=[loss], reset_every=T * ms)
    S = TrainableSynapses(source, group, on_pre="I_post += w", learner=learner)
    S.connect()
    S.w = w.ravel()
    spikes = SpikeMonitor(group)
    Network(source, group, S, spikes).run(T * ms)
    return spikes.num_spikes, np.array(S.grad[:]).reshape(w.shape)


@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_superspike_with_its_loss_is_the_published_rule(engine):
    """Eqs 5–10 of Zenke & Ganguli 2018 with Brian2's order of a step, in loops."""
    rng, T, n_in, n = np.random.default_rng(2), 60, 6, 3
    inputs, w = rng.random((T, n_in)) < 0.2, rng.uniform(0, 2, (n_in, n))
    wanted, psi = rng.random((T, n)), PiecewiseLinear(0.5, 1.0)
    v, current, x, s = np.zeros((4, n))
    expected, fired = np.zeros((n_in, n)), 0
    trace = np.zeros((4, n_in, n))
    for t in range(T):
        v, current = v + (current - v) / 10, current * (1 - 1 / 5)
        x, s = x + (s - x) / 8, s * (1 - 1 / 4)
        spikes = v > 1
        slope = 0.5 * np.maximum(0, 1 - np.abs(v - 1))
        for i in range(n_in):
            for j in range(n):
                of_v, of_I, of_x, of_s = trace[:, i, j]
                # the postsynaptic potential, which no reset touches, and its way through the filter
                of_v, of_I = of_v + (of_I - of_v) / 10, of_I * (1 - 1 / 5) + inputs[t, i]
                of_x, of_s = of_x + (of_s - of_x) / 8, of_s * (1 - 1 / 4) + slope[j] * of_v
                trace[:, i, j] = of_v, of_I, of_x, of_s
        current = current + inputs[t] @ w
        v, s, fired = np.where(spikes, 0, v), s + spikes, fired + spikes.sum()
        expected += (x - wanted[t]) * trace[2]
    number, found = filtered_loss(SuperSpike(engine=engine, surrogate=psi), inputs, w, wanted)
    assert number == fired > 5
    assert distance(found, expected) < EXACT
    _, other = filtered_loss(EProp(engine=engine, surrogate=psi), inputs, w, wanted)
    assert distance(other, expected) > 1e-2
    with pytest.raises(ValueError, match="reads a filter of its spikes, through which they act"):
        filtered_loss(OTTT(engine=engine, surrogate=psi), inputs, w, wanted)


def test_modulations_by_type_of_cell_are_a_variable_of_the_synapses():
    T, n_in, n, rng = 40, 4, 6, np.random.default_rng(1)
    defaultclock.dt, types = 1 * ms, np.array([0, 0, 0, 1, 1, 1])
    inputs, target = rng.random((T, n_in)) < 0.3, rng.normal(size=(T, 2))
    inputs[0] = False
    mask = ~np.eye(n, dtype=bool)
    w = {
        "w_in": rng.normal(0.3, 0.3, (n_in, n)),
        "w_rec": rng.normal(0, 0.4, (n, n)) * mask,
        "w_out": rng.normal(size=(n, 2)),
    }
    network = RecurrentNetwork("lif", n_in, n, 2, tau_out=10 * ms, weights=w)
    same = network.reference_network()
    means = cell_types.type_means(w["w_rec"][np.newaxis], types, mask)[0]
    model, (steps, channels) = load_model("lif"), np.nonzero(inputs)

    def found(rule):
        source = SpikeGeneratorGroup(n_in, channels, steps * ms, when="start")
        group, readout = model.group(n), LeakyReadout(2, tau=10 * ms, target=target)
        learner = Learner(readout, rule, reset_every=T * ms)
        objects = []
        for pre, post, name, on_pre, arrival in (
            (source, group, "w_in", model.on_input, "after_groups"),
            (group, group, "w_rec", model.on_pre, "synapses"),
            (group, readout, "w_out", "y_post += w", "synapses"),
        ):
            # of inputs, which hear of nothing, none
            equations = "w : 1\nm : 1 (constant)" if name == "w_rec" else "w : 1"
            S = TrainableSynapses(
                pre, post, equations, on_pre=on_pre, learner=learner, arrival=arrival
            )
            S.connect("i != j" if name == "w_rec" else True)
            S.w = w[name][S.i[:], S.j[:]]
            if name == "w_rec":
                S.m = means[S.i[:], S.j[:]]
            objects.append(S)
        Network(source, group, readout, *objects).run(T * ms)
        by_place = [np.zeros(w[name].shape) for name in ("w_in", "w_rec")]
        for matrix, S in zip(by_place, objects, strict=False):
            matrix[S.i[:], S.j[:]] = S.grad[:]
        return np.concatenate(by_place).ravel()

    def expected(**options):
        return weights_of(reference.gradients(same, inputs, target, "mdgl", **options))

    by_type, by_neuron = found(MDGL(modulation="m")), found(MDGL())
    assert distance(by_type, expected(types=types)) < EXACT
    # a hop against the direction of the synapse, and one that its own type alone hears
    for wrong in (means.T, means * (types[:, None] == types)):
        means = wrong
        assert distance(found(MDGL(modulation="m")), expected(types=types)) > 1e-4
    assert distance(by_neuron, expected()) < EXACT
    assert distance(by_type, by_neuron) > 1e-4
    with pytest.raises(ValueError, match=r"MDGL\.modulation = 'g' is no variable of synapses"):
        found(MDGL(modulation="g"))


def test_a_modulation_reaches_neurons_that_do_not_project_to_the_readout():
    """As in the reference; e-prop has nothing for them, and no second hop leads back to others."""
    none = np.ones((6, 2), dtype=bool)
    none[:2] = False
    network, *trial = known("alif", MDGL(), connectivity={"w_out": none})
    found = network.gradients(*trial)
    expected = reference.gradients(network.reference_network(), *trial, "mdgl")
    assert distance(weights_of(found), weights_of(expected)) < EXACT
    assert np.abs(found.w_in[:, :2]).max() > 1e-4
    local = reference.gradients(network.reference_network(), *trial, "eprop")
    assert np.abs(local.w_in[:, :2] - found.w_in[:, :2]).max() > 1e-4
    for rule, options in (
        (EProp(engine="traces"), {}),
        (MDGL(), {"w_rec": np.zeros((6, 6), bool)}),
    ):
        network, *trial = known("alif", rule, connectivity={"w_out": none, **options})
        with pytest.raises(ValueError, match="'population_0' learns, but no feedback reaches it"):
            network.gradients(*trial)


def test_modulations_that_cannot_come_back_are_refused():
    network, *trial = known("lif", MDGL(), delays={"w_rec": 2 * ms})
    with pytest.raises(ValueError, match=r"MDGL goes back .* but spikes of .* have delays"):
        network.gradients(*trial)
    with pytest.raises(ValueError, match=r"MDGL\.engine = 'credit': its hop is a product"):
        MDGL(engine="credit")
    with pytest.raises(ValueError, match="is no name of a variable"):
        MDGL(modulation="a b")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("decolle", "it is OTTT.* with a readout of the layer's own"),
        ("ModProp", "one constant slope for all steps"),
        ("kernl", "it learns a kernel from noise"),
        ("eprop3", "it learns to predict derivatives"),
        ("superspike", r"give the rule itself, SuperSpike\(\)"),
        (3, r"give EProp\(order=1\)"),
    ],
)
def test_rules_that_do_not_run_in_brian2_are_refused_by_name(rule, message):
    with pytest.raises(TypeError, match=message):
        RecurrentNetwork("lif", 2, 3, 1, rule=rule)
    with pytest.raises(TypeError, match=message):
        Learner(LeakyReadout(1, tau=10 * ms, target=np.zeros((5, 1))), rule)


def test_networks_with_a_rule_are_saved_and_one_of_ones_own_class_is_not(tmp_path):
    network, *trial = known("alif", SuperSpike(engine="traces"))
    network.save(tmp_path / "network.npz")
    again = RecurrentNetwork.load(tmp_path / "network.npz")
    assert again.description.rule == network.description.rule
    np.testing.assert_array_equal(gradients_of(again, *trial), gradients_of(network, *trial))
    network, *trial = known("alif", Halved())
    with pytest.raises(TypeError, match=r"Halved.* cannot be saved"):
        network.save(tmp_path / "own.npz")


def test_the_check_by_differences_says_that_paths_are_left_out():
    group = load_model("lif").group(2)
    readout = LeakyReadout(1, tau=10 * ms, target=np.zeros((9, 1)))
    learner = Learner(readout, SuperSpike(), reset_every=9 * ms)
    source = SpikeGeneratorGroup(1, [0], [1] * ms)
    S = TrainableSynapses(source, group, on_pre="v_post += w", learner=learner)
    R = TrainableSynapses(group, readout, on_pre="y_post += w", learner=learner)
    S.connect()
    R.connect()
    found = learner.check(network=Network(source, group, readout, S, R))
    assert not found.passed and "SuperSpike leaves out paths" in found.reason
