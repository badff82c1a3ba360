"""Neuron models: published dynamics spike for spike, plausible firing, refusals by name."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from brian2 import (
    DimensionMismatchError,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    amp,
    ms,
    mV,
    nA,
    pA,
    second,
)

from brian_eprop.neurons.neuron_model import ModelError, NeuronModel, available_models, load_model
from brian_eprop.neurons.surrogates import SURROGATES, Arctan, FastSigmoid, PiecewiseLinear

MODELS = [
    "adex",
    "alif",
    "cuba_alif",
    "cuba_lif",
    "hodgkin_huxley",
    "izhikevich",
    "lif",
    "nir_cuba_lif",
    "nir_lif",
    "two_compartment",
]
N_IN, N, STEPS = 6, 12, 300


# ---------------------------------------------------------------- the published dynamics


def published(inputs, w_in, w_rec, alpha, rho, v_th, beta, n_ref, scale=1.0):
    """Bellec et al. 2020, Methods eqs 6-11; `scale` wrongly multiplies the reset by alpha."""
    v, a, z = np.zeros((3, N))
    silent = np.zeros(N, int)
    spikes, voltages = np.zeros((2, len(inputs), N))
    for t, x in enumerate(inputs):
        silent = np.maximum(silent - 1, 0)
        v = alpha * v + x @ w_in + z @ w_rec - scale * v_th * z
        a = rho * a + z
        z = (v > v_th + beta * a) & (silent == 0)
        silent = np.where(z, n_ref, silent)
        z = z.astype(float)
        spikes[t], voltages[t] = z, v
    return spikes, voltages


def simulated(model, inputs, w_in, w_rec, **overrides):
    """Raster and membrane (before the reset) of the same network in Brian2, dt = 1 ms."""
    dt = 1 * ms
    group = model.group(N, dt=dt, name="neurons", **overrides)
    steps, sources = np.nonzero(inputs)
    source = SpikeGeneratorGroup(N_IN, sources, steps * dt, dt=dt, when="start", name="source")
    unit = f"w : {model.weight_unit}"
    feed = Synapses(source, group, unit, on_pre=model.on_input, dt=dt, name="feed", namespace={})
    feed.pre.when = "after_groups"
    recur = Synapses(group, group, unit, on_pre=model.on_pre, dt=dt, name="recur", namespace={})
    feed.connect()
    recur.connect()
    feed.w = w_in.ravel()
    recur.w = w_rec.ravel()
    spikes = SpikeMonitor(group)
    voltage = StateMonitor(group, "v", record=True, dt=dt, when="before_thresholds", order=10)
    Network(group, source, feed, recur, spikes, voltage).run(len(inputs) * dt)
    raster = np.zeros((len(inputs), N))
    raster[np.round(spikes.t / dt).astype(int), np.asarray(spikes.i)] = 1
    return raster, np.array(voltage.v).T


@pytest.fixture
def drive():
    rng = np.random.default_rng(3)
    inputs = (rng.random((STEPS, N_IN)) < 0.15).astype(float)
    w_rec = 0.15 * rng.standard_normal((N, N))
    np.fill_diagonal(w_rec, 0)
    return inputs, 0.35 * rng.standard_normal((N_IN, N)) + 0.1, w_rec


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", ["lif", "alif"])
@pytest.mark.parametrize("n_ref", range(6))
def test_published_dynamics_spike_for_spike(name, n_ref, drive):
    tau_m = np.linspace(10, 30, N)
    tau_a, beta = 200.0, 0.3 if name == "alif" else 0.0
    extra = {"tau_a": tau_a * ms, "beta": beta} if name == "alif" else {}
    raster, voltage = simulated(
        load_model(name), *drive, tau_m=tau_m * ms, t_ref=n_ref * ms, **extra
    )
    alpha, rho = np.exp(-1 / tau_m), np.exp(-1 / tau_a)
    spikes, membrane = published(*drive, alpha, rho, 0.6, beta, n_ref)
    assert 0.02 < spikes.mean() < 0.5
    assert spikes.any(axis=0).mean() > 0.5
    np.testing.assert_array_equal(raster, spikes)
    # a few hundred steps of round-off on numbers of order one
    np.testing.assert_allclose(voltage, membrane, rtol=0, atol=1e-12)


def test_per_neuron_threshold_adaptation_and_refractoriness(drive):
    v_th, beta = np.linspace(0.4, 0.8, N), np.linspace(0, 0.5, N)
    tau_a, n_ref = np.linspace(50, 500, N), np.arange(N) % 4
    raster, _ = simulated(
        load_model("alif"), *drive, v_th=v_th, beta=beta, tau_a=tau_a * ms, t_ref=n_ref * ms
    )
    rho = np.exp(-1 / tau_a)
    spikes, _ = published(*drive, np.exp(-1 / 20), rho, v_th, beta, n_ref)
    assert spikes.sum() > 50
    np.testing.assert_array_equal(raster, spikes)


def test_jumps_without_the_decay_factor_are_another_neuron(drive):
    model = evolve(load_model("lif"), reset="v -= v_th")
    raster, voltage = simulated(model, *drive, t_ref=0 * ms)
    correct, membrane = published(*drive, np.exp(-1 / 20), 0, 0.6, 0, 0)
    assert not np.array_equal(raster, correct)
    assert np.abs(voltage - membrane).max() > 1e-3
    # and it is the neuron whose reset is decayed once
    scaled, _ = published(*drive, np.exp(-1 / 20), 0, 0.6, 0, 0, scale=np.exp(-1 / 20))
    np.testing.assert_array_equal(raster, scaled)
    raster, _ = simulated(evolve(load_model("lif"), on_pre="v_post += w"), *drive, t_ref=0 * ms)
    assert not np.array_equal(raster, correct)


def test_recurrent_weights_use_the_clock_of_the_neurons_not_of_the_synapses():
    model = load_model("lif")
    group = model.group(2, dt=1 * ms, v_th=[0.5, 100.0])
    group.v = [1.0, 0.0]
    synapses = Synapses(group, group, "w : 1", on_pre=model.on_pre, dt=0.5 * ms, namespace={})
    synapses.connect(i=0, j=1)
    synapses.w = 0.25
    Network(group, synapses).run(2 * ms)
    assert group.v[1] == pytest.approx(0.25, rel=1e-14)


def test_zero_refractoriness_lets_a_neuron_fire_in_every_step():
    group = load_model("lif").group(1, dt=1 * ms, t_ref=0 * ms)
    group.v = 50
    spikes = SpikeMonitor(group)
    Network(group, spikes).run(10 * ms)
    assert spikes.count[0] == 10


# ---------------------------------------------------------------------- every model


def test_the_models_that_are_available():
    assert available_models() == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_model_documents_itself(name):
    model = load_model(name)
    assert model.name == name
    assert "Suggested dt" in model.description
    assert any(year in model.reference for year in ("1991", "1999", "2003", "2005", "2018", "2020"))
    assert set(model.reset_path.values()) <= {"implicit", "explicit"}
    assert pickle.loads(pickle.dumps(model)) == model


#: constant drive -> fires 5-50 Hz, weight of a synapse that makes a silent neuron fire, dt
FIRING = {
    "lif": ({"v": None}, 0.8, 1 * ms),
    "alif": ({"v": None}, 0.8, 1 * ms),
    "cuba_lif": ({"I_ext": 385 * pA}, 4000 * pA, 0.1 * ms),
    "cuba_alif": ({"I_ext": 450 * pA}, 4000 * pA, 0.1 * ms),
    "adex": ({"I_ext": 0.8 * nA}, 2500 * pA, 0.1 * ms),
    "izhikevich": ({"I_ext": 10 * mV / ms}, 20 * mV, 0.1 * ms),
    "hodgkin_huxley": ({"I_ext": 0.2 * nA}, 15e-9, 0.1 * ms),
    "two_compartment": ({"I_ext": 0.7 * nA}, 4000 * pA, 0.1 * ms),
    "nir_lif": ({"I_ext": 1.05 * amp}, 400 * amp, 0.1 * ms),
    "nir_cuba_lif": ({"I_ext": 1.05 * amp}, 400 * amp, 0.1 * ms),
}


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(name=["adex", "izhikevich"])
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"lif", "alif"}))
def test_constant_current_makes_it_fire_plausibly_and_no_current_does_not(name):
    model = load_model(name)
    overrides, _, dt = FIRING[name]
    ((parameter, current),) = overrides.items()
    group = model.group(2, dt=dt, **{parameter: [0, 1] * current})
    spikes = SpikeMonitor(group)
    Network(group, spikes).run(400 * ms)
    assert spikes.count[0] == 0
    assert 5 <= spikes.count[1] / 0.4 <= 50
    # one spike is one event, not one event in every step above the threshold
    assert np.diff(spikes.t / ms).min() > 5
    for variable in model.initial:
        assert np.isfinite(np.asarray(group.state(variable))).all()


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", MODELS)
def test_one_strong_synapse_makes_it_fire_with_the_suggested_on_pre(name):
    model = load_model(name)
    _, weight, dt = FIRING[name]
    group = model.group(2, dt=dt)
    source = SpikeGeneratorGroup(1, [0], [5] * ms, dt=dt)
    text = f"w : {model.weight_unit}" if model.weight_unit == "1" else "w : amp"
    text = {"mV": "w : volt", "nS": "w : siemens"}.get(model.weight_unit, text)
    synapses = Synapses(source, group, text, on_pre=model.on_pre, dt=dt, namespace={})
    synapses.connect(i=0, j=1)
    synapses.w_ = float(weight)
    spikes = SpikeMonitor(group)
    Network(group, source, synapses, spikes).run(20 * ms)
    assert list(spikes.i) == [1]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", MODELS)
def test_starts_at_its_initial_values_and_carries_its_model(name):
    model = load_model(name)
    group = model.group(3, name="carrier", method="euler", order=4)
    assert isinstance(group, NeuronGroup)
    assert type(group) is NeuronGroup
    assert (group.name, group.method_choice, group.order) == ("carrier", "euler", 4)
    assert group.neuron_model is model
    for parameter, value in model.parameters.items():
        assert group.variables[parameter].scalar
        assert group.variables[parameter].constant
        assert getattr(group, parameter)[:] == value
    if "E_L" in model.parameters:
        assert np.all(group.v == model.parameters["E_L"])


# A Formula has no height and width, and its units are tested in test_surrogates.py
@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", sorted(SURROGATES.keys() - {"Formula"}))
@pytest.mark.parametrize("name", MODELS)
def test_surrogate_in_the_units_of_the_model(name, kind):
    model = load_model(name)
    height, width = model.surrogate.height, model.surrogate.width
    if kind == "MultiGaussian":
        height = 0.3
    group = model.group(2, surrogate=SURROGATES[kind](height, width))
    assert group.neuron_model == evolve(model, surrogate=SURROGATES[kind](height, width))
    assert model.surrogate == load_model(name).surrogate


def test_default_surrogate_scales_with_an_overridden_threshold():
    model = load_model("lif")
    group = model.group(2, v_th=[0.5, 2.0])
    group.v = [0.5, 2.0]
    psi = model.surrogate.expression(model.distance)
    group.run_regularly(f"v = {psi}", when="before_groups")
    monitor = StateMonitor(group, "v", record=True, when="before_groups", order=1)
    Network(group, monitor).run(0.1 * ms)
    np.testing.assert_allclose(np.asarray(monitor.v)[:, 0], [0.6, 0.15], rtol=1e-14)


def test_overrides_are_shared_or_per_neuron():
    model = load_model("alif")
    group = model.group(3, tau_m=[10, 20, 30] * ms, beta=[0.1, 0.2, 0.3], t_ref="3*ms")
    assert not group.variables["tau_m"].scalar
    assert not group.variables["beta"].scalar
    assert group.variables["t_ref"].scalar
    np.testing.assert_array_equal(group.tau_m / ms, [10, 20, 30])
    assert group.t_ref[:] == 3 * ms
    assert model.parameters["tau_m"] == 20 * ms
    assert not model.group(1, tau_m=[10] * ms).variables["tau_m"].scalar
    assert model.group(np.int64(2)).N == 2


def test_group_does_not_see_the_callers_names():
    v_th, beta = 1e9, 1e9  # noqa: F841
    tau_m = 3 * mV  # noqa: F841
    group = load_model("alif").group(1)
    group.v = 1
    spikes = SpikeMonitor(group)
    Network(group, spikes).run(0.2 * ms)
    assert spikes.count[0] == 1


def test_distance_is_the_difference_of_the_two_sides():
    assert load_model("alif").distance == "(v) - (v_th + beta * a)"
    assert evolve(load_model("lif"), threshold="v_th <= v").distance == "(v) - (v_th)"


# ---------------------------------------------------------------------- overrides refused


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tau_mem": 20 * ms}, r"'alif'.group: 'tau_mem' = .*did you mean 'tau_m'\?"),
        ({"nonsense": 1}, r"'nonsense' = 1: no such parameter; there are tau_m, tau_a"),
        ({"surogate": 1}, r"did you mean 'surrogate'\?"),
        ({"v": 0.3}, r"'v' = 0.3: a variable, not a parameter; .*group.v = \.\.\."),
        ({"tau_m": 20}, r"'tau_m' = 20: the unit is 1 but must be second; give e.g. 20. \* ms"),
        ({"tau_m": 20 * mV}, r"'tau_m' = .*the unit is volt but must be second"),
        ({"v_th": 20 * mV}, r"'v_th' = .*the unit is volt but must be 1"),
        ({"tau_m": "20*sm"}, r"'tau_m' = '20\*sm': 'sm' is not a unit"),
        ({"tau_m": "__import__('os')"}, r"'tau_m' = .*only numbers, units"),
        ({"tau_m": "20*ms + 1"}, r"'tau_m' = '20\*ms \+ 1': .*units"),
        ({"tau_m": "1/0*ms"}, r"'tau_m' = '1/0\*ms': .*division by zero"),
        ({"tau_m": "20 ms"}, r"'tau_m' = '20 ms': it is not an expression"),
        ({"tau_m": [20, 30] * ms}, r"'tau_m' = .*shape is \(2,\); give one value or 5"),
        ({"tau_m": np.ones((5, 1)) * ms}, r"shape is \(5, 1\)"),
        ({"tau_m": [1 * ms, 2, 3, 4, 5]}, r"'tau_m' = .*Mixing quantities and non-quantities"),
        ({"tau_m": [1 * ms, 2 * mV]}, r"'tau_m' = .*different units"),
        ({"tau_m": np.nan * ms}, r"'tau_m' = .*not finite"),
        ({"beta": [0, 0, np.inf, 0, 0]}, r"'beta' = .*not finite"),
        ({"tau_m": -20 * ms}, r"'tau_m' = .*a time constant must be positive"),
        ({"tau_a": 0 * ms}, r"'tau_a' = .*a time constant must be positive"),
        ({"tau_a": [1, 2, 0, 4, 5] * ms}, r"'tau_a' = .*a time constant must be positive"),
        ({"t_ref": -1 * ms}, r"'t_ref' = .*a duration cannot be negative"),
        ({"v_th": True}, r"'v_th' = True: it is a truth value"),
        ({"v_th": None}, r"'v_th' = None"),
        ({"surrogate": Arctan(1 / mV, 3 * mV)}, r"'surrogate' = .*unit"),
        ({"surrogate": FastSigmoid("1/mV", 1.0)}, r"'surrogate' = .*ψ has the unit"),
        ({"surrogate": FastSigmoid("1/vth", 1.0)}, r"unknown name 'vth' \(did you mean 'v_th'\?"),
        (
            {"surrogate": "Arctan"},
            r"'surrogate' = 'Arctan' is no surrogate; give an object",
        ),
    ],
)
def test_group_refuses_an_override(overrides, message):
    with pytest.raises(ModelError, match=message):
        load_model("alif").group(5, **overrides)


@pytest.mark.parametrize("size", [0, -3, 2.5, "10", None])
def test_group_refuses_a_size(size):
    with pytest.raises(ModelError, match=r"'lif'.group: 'N' = .*give an integer >= 1"):
        load_model("lif").group(size)


# ---------------------------------------------------------------------- files refused


GOOD = (Path(__file__).parents[2] / "models" / "cuba_alif.toml").read_text(encoding="utf-8")


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('method = "exact"', 'method = "exact', r"not TOML: .*correct the file"),
        ('method = "exact"', 'methd = "exact"', r"unknown key 'methd'.*did you mean 'method'\?"),
        ('method = "exact"', "", r"the key 'method' is missing; add it"),
        ('method = "exact"', 'method = "exactly"', r"'method' = .*did you mean 'exact'\?"),
        ('method = "exact"', "method = 3", r"'method' = 3 must be text in quotes"),
        ('threshold = "v > v_th + beta*a"', "", r"the key 'threshold' is missing"),
        ("v > v_th + beta*a", "v >", r"'threshold' = 'v >': it is not an expression"),
        ("v > v_th + beta*a", "v - v_th", r"'threshold' = .*not one comparison.*write one"),
        ("v > v_th + beta*a", "v > v_th and v < v_th + beta*a", r"not one comparison"),
        ("v > v_th + beta*a", "v == v_th + beta*a", r"neither '>' nor '<'"),
        ("v > v_th + beta*a", "v > v_th + a*mV*beta", r"'threshold' = .*units"),
        ("v > v_th + beta*a", "v > vth + beta*a", r"unknown name 'vth' \(did you mean 'v_th'\?"),
        ("(E_L - v)/tau_m +", "(E_L - v)/tau_m + +*", r"'equations' = .*do not parse"),
        ("(E_L - v)/tau_m +", "(E_L - v)/tau_m + foo +", r"unknown name 'foo'; add it to \[param"),
        ("(E_L - v)/tau_m +", "(E_L - v)/(tau_m*mV) +", r"'equations' = .*inconsistent units"),
        ("-a/tau_a : 1", "-a*tau_a : 1", r"right side for 'a' has the unit second, not hertz"),
        ("-a/tau_a : 1", "-a/tau_a : volts", r"'equations' = .*do not parse"),
        ("a += 1", "a += 1*mV", r"'reset' = .*unit"),
        ("a += 1", "a + 1", r"'reset' = .*correct it"),
        ("a += 1", "aa += 1", r"'reset' = .*"),
        ('refractory = "t_ref"', 'refractory = "v"', r"'refractory' = 'v': it has the unit volt"),
        ('refractory = "t_ref"', "", r"'\(unless refractory\)' needs the key 'refractory'"),
        ("I_syn_post += w", "I_syn_post += w*mV", r"'on_pre' = .*unit"),
        ("I_syn_post += w", "Isyn_post += w", r"'on_pre' = .*'Isyn_post'"),
        ("I_syn_post += w", "I_syn_post += w*x_pre", r"'on_pre' = .*unknown name 'x_pre'"),
        ('weight_unit = "pA"', 'weight_unit = "pAmp"', r"'weight_unit' = 'pAmp': .*not a unit"),
        ('weight_unit = "pA"', 'weight_unit = "mV"', r"'on_pre' = .*unit"),
        ('tau_m = "10*ms"', 'tau_m = "10"', r"'equations' = .*unit"),
        ('tau_m = "10*ms"', 'tau_m = "10 ms"', r"'parameters.tau_m' = '10 ms': .*such as '20\*ms'"),
        ('tau_m = "10*ms"', 'tau_m = "10*msec"', r"'msec' is not a unit that Brian2 knows"),
        ('tau_m = "10*ms"', 'tau_m = "-10*ms"', r"'parameters.tau_m' = .*must be positive"),
        ('tau_m = "10*ms"', 'tau_m = "0*ms"', r"'parameters.tau_m' = .*must be positive"),
        ('tau_m = "10*ms"', "tau_m = nan", r"'equations' = |not finite"),
        ('beta = "1*mV"', 'beta = "1e999*mV"', r"'parameters.beta' = .*not finite"),
        ('t_ref = "2*ms"', 't_ref = "-2*ms"', r"'parameters.t_ref' = .*cannot be negative"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\ntau_x = "1*ms"', r"'parameters.tau_x' is never used"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\nmV = 1', r"'parameters' = 'mV': .*unit.*rename it"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\nexp = 1', r"'parameters' = 'exp': .*rename it"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\ndt = "1*ms"', r"'parameters' = 'dt': .*rename it"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\ndelay = 1', r"'parameters' = 'delay': .*reserved"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\nx_pre = 1', r"'parameters' = 'x_pre': .*reserved"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\nw = 1', r"'parameters' = 'w': .*weight.*rename it"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\nmethod = 1', r"'parameters' = 'method': .*keyword"),
        ('t_ref = "2*ms"', 't_ref = "2*ms"\na = 1', r"'parameters' = 'a': it is declared in 'eq"),
        ('v = "E_L"', 'vv = "E_L"', r"'initial' = 'vv': no variable of the equations"),
        ('v = "E_L"', 'v = "E_L/mV"', r"'initial.v' = .*has the unit 1, not volt"),
        ('v = "E_L"', 'v = "El"', r"'initial.v' = 'El': unknown name 'El'"),
        ("PiecewiseLinear", "Piecewise", r"'surrogate.kind' = .*did you mean 'PiecewiseLinear'"),
        ('kind = "PiecewiseLinear"', "", r"'surrogate.kind' = None: .*there are Piece"),
        ('width = "v_th - E_L"', "", r"the key 'surrogate.width' is missing"),
        ('width = "v_th - E_L"', 'wdth = "v_th"', r"unknown key 'surrogate.wdth'.*'width'"),
        ('width = "v_th - E_L"', "width = -1.0", r"'surrogate': .*width = -1.0 must be positive"),
        ('width = "v_th - E_L"', "width = 1.0", r"'surrogate' = .*unit"),
        ('a = "implicit"', 'a = "implict"', r"'reset_path.a' = .*did you mean 'implicit'\?"),
        ('a = "implicit"', 'aa = "implicit"', r"'reset_path' = 'aa': the reset changes a, v"),
        ('a = "implicit"', 'I_syn = "implicit"', r"'reset_path' = 'I_syn': the reset changes a, v"),
        ("[initial]", "initial = 3\n[more]", r"cuba"),
    ],
)
def test_file_with_one_mistake_is_refused_with_its_remedy(tmp_path, old, new, message):
    assert GOOD.count(old) >= 1
    path = tmp_path / "cuba_bad.toml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=message) as raised:
        load_model(path)
    assert str(path) in str(raised.value)


def test_own_file_works_as_string_and_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('name = "cuba_alif"', 'name = "mine"'), encoding="utf-8")
    assert load_model(path).name == "mine"
    assert load_model(str(path)) == load_model(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aliff", r"no neuron model 'aliff' \(did you mean 'alif'\?\); there are adex, alif"),
        ("quux", r"no neuron model 'quux'; there are adex"),
        ("nowhere/mine.toml", r"no neuron model 'nowhere/mine.toml'.*your own '.toml' file"),
    ],
)
def test_unknown_model_lists_the_known_ones(name, message):
    with pytest.raises(ModelError, match=message):
        load_model(name)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("folder", "binary"):
        with pytest.raises(ModelError, match=f"{name}.toml: cannot be read"):
            load_model(tmp_path / f"{name}.toml")


def test_a_model_is_validated_when_it_is_made_in_python_too():
    keywords = {
        "name": "leak",
        "equations": "dv/dt = -v/tau : 1",
        "threshold": "v > 1",
        "reset": "v = 0",
        "method": "exact",
        "parameters": {"tau": 10 * ms},
        "on_pre": "v_post += w",
        "surrogate": PiecewiseLinear(0.3, 1.0),
    }
    model = NeuronModel(**keywords)
    assert model.on_input == model.on_pre
    assert model == NeuronModel(**keywords | {"parameters": {"tau": "10*ms"}})
    with pytest.raises(ModelError, match="neuron model 'leak': 'threshold' = 'u > 1'"):
        NeuronModel(**keywords | {"threshold": "u > 1"})
    with pytest.raises(AttributeError):
        model.name = "other"


def test_model_error_is_a_value_error():
    assert issubclass(ModelError, ValueError)
    assert not issubclass(ModelError, DimensionMismatchError)


def test_noise_and_inputs_of_the_users_own_are_allowed(tmp_path):
    text = GOOD.replace(
        "dv/dt = (E_L - v)/tau_m +", "dv/dt = sigma*xi/sqrt(tau_m) + (E_L - v)/tau_m +"
    )
    text = text.replace("da/dt", "I_graded : amp\nda/dt").replace("I_ext)", "I_ext + I_graded)")
    text = text.replace('t_ref = "2*ms"', 't_ref = "2*ms"\nsigma = "2*mV"')
    path = tmp_path / "noisy.toml"
    path.write_text(text.replace('"exact"', '"euler"'), encoding="utf-8")
    group = load_model(path).group(50)
    group.I_graded = 100 * pA
    Network(group).run(20 * ms)
    assert np.std(group.v) > 0.5 * mV
    assert group.t_ref[:] == 0.002 * second
