"""Losses on the neurons themselves: exact gradients, by finite differences and complex steps."""

import math
import re

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    Soma,
    SpatialNeuron,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    TimedArray,
    defaultclock,
    get_device,
    linked_var,
    ms,
    mV,
    prefs,
    set_device,
    um,
    volt,
)
from brian2.core.base import BrianObjectException
from brian2.devices.device import reset_device
from brian2.parsing.sympytools import str_to_sympy
from brian2.units.fundamentalunits import DimensionMismatchError
from compiled_programs import compile_some
from hypothesis import given
from hypothesis import strategies as st

from brian_eprop import (
    Adam,
    EProp,
    LeakyReadout,
    Learner,
    Loss,
    PiecewiseLinear,
    TrainableSynapses,
    load_model,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.calculus.one_step import state_names
from brian_eprop.engines.backward_pass import Sweep
from brian_eprop.learning import loss_code as module
from brian_eprop.reward import ActorCriticReadout

pytestmark = pytest.mark.usefixtures("numpy_target")

T, N, INPUTS = 40, 3, 5
WIDE = PiecewiseLinear(20 / volt, 15 * mV)
#: ψ is 0 for whatever stays below the threshold.
NARROW = EProp(surrogate=PiecewiseLinear(20 / volt, 0.01 * mV))
LIF = "dv/dt = -v/(20*ms) : volt"
FILTERED = LIF + "\ndx/dt = -x/(10*ms) : 1"
MEMBRANE = "(v - v_data(t, i))**2/mV**2"
EVERYWHERE = [
    {"rule": EProp(surrogate=WIDE)},
    {"rule": EProp(surrogate=WIDE, engine="traces")},
    {"rule": EProp(surrogate=WIDE, order=2)},
    {"rule": EProp(surrogate=WIDE, order=math.inf)},
]


def data(shape=(T, N), scale=10 * mV, seed=7):
    return TimedArray(np.random.default_rng(seed).standard_normal(shape) * scale, dt=1 * ms)


#: Known to the losses.
DATA = {"v_data": data(), "x_data": data(scale=1)}


def neurons(equations=LIF, reset="v = 0*mV", **parameters):
    defaultclock.dt = 1 * ms
    group = NeuronGroup(N, equations, threshold="v > 15*mV", reset=reset, method="euler")
    for name, value in parameters.items():
        setattr(group, name, value)
    return group


def membrane(group, **options):
    """A loss on the membrane."""
    return Loss(group, MEMBRANE, namespace=DATA, **options)


def network(group, *losses, rule=None, readout=False, weight=4, steps=T, recurrent=True, **learner):
    """Inputs → neurons, and what they are told: (network, learner, projections)."""
    rng = np.random.default_rng(1)
    steps, channels = np.nonzero(rng.random((steps, INPUTS)) < 0.3)
    source = SpikeGeneratorGroup(INPUTS, channels, steps * ms, period=T * ms)
    outputs = None
    if readout:
        target = rng.standard_normal((T, 2))
        outputs = LeakyReadout(2, tau=20 * ms, target=target, period=T * ms)
    options = {"reset_every": T * ms, "seed": 3, "losses": losses} | learner
    L = Learner(outputs, rule or EProp(surrogate=WIDE), **options)
    made = [TrainableSynapses(source, group, on_pre="v_post += w*mV", learner=L)]
    made[0].connect()
    made[0].w = weight * (1 + rng.standard_normal(INPUTS * N))
    if recurrent:
        made.append(TrainableSynapses(group, group, on_pre="v_post += w*mV", learner=L))
        made[1].connect(condition="i != j")
        made[1].w = weight * rng.standard_normal(N * (N - 1)) / 2
        made[1].delay = "(1 + i)*ms"
    if readout:
        made.append(TrainableSynapses(group, outputs, on_pre="y_post += w", learner=L))
        made[-1].connect()
        made[-1].w = rng.standard_normal(2 * N)
    parts = [source, group, *made, *([outputs] if readout else [])]
    return Network(*parts), L, made


def gradients(group, *losses, prepare=lambda network: None, **options):
    """(gradients, losses of the neurons) of one trial."""
    net, _, made = network(group, *losses, **options)
    prepare(net)
    net.run(T * ms)
    return np.concatenate([synapses.grad[:] for synapses in made]), np.array(group.loss[:])


def assert_checked(group, *losses, **options):
    net, learner, _ = network(group, *losses, **options)
    found = learner.check(network=net, synapses=3)
    assert found.passed, str(found)
    assert found.spikes > 5
    assert any(row.finite_difference != 0 for row in found.rows)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("when", ["end", "before_thresholds"])
@pytest.mark.parametrize("options", EVERYWHERE)
def test_a_loss_on_the_membrane_is_differentiated(options, when):
    group = neurons()
    assert_checked(
        group, Loss(group, MEMBRANE, when=when, period=T * ms, namespace=DATA), **options
    )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "options",
    [
        {"rule": EProp(surrogate=WIDE, engine="traces"), "feedback": "random"},
        {"rule": EProp(surrogate=WIDE, order=2), "learning_window": 25 * ms},
        {"rule": EProp(surrogate=WIDE, order=math.inf)},
    ],
)
def test_losses_add_up_with_each_other_and_with_a_readout(options):
    group = neurons(FILTERED, "v -= 15*mV; x += 1")
    losses = [
        Loss(
            group,
            MEMBRANE,
            period=T * ms,
            strength=0.01,
            window=(5 * ms, 30 * ms),
            namespace=DATA,
        ),
        Loss(group, "exp(v/(20*mV))*x", strength=0.1),
        Loss(group, "(1 + i)*cos(v/mV/9)", when="before_thresholds"),
    ]
    assert_checked(group, *losses, readout=True, **options)


def two_outputs(order, own, **options):
    """Gradients of two readouts, as parts of one or as groups of one's own: (dE/dw, learner)."""
    group = neurons()
    rng, tau = np.random.default_rng(5), 20 * ms
    target, strengths = rng.standard_normal((T, 2)), (1, 0.3)
    outputs = readout = None
    if own:
        names = {f"data_{k}": TimedArray(target[:, k], dt=1 * ms) for k in range(2)}
        made = {"method": "exact", "namespace": {"tau": tau}}
        outputs = [NeuronGroup(1, "dy/dt = -y/tau : 1", **made) for _ in strengths]
        losses = [
            Loss(output, f"0.5*(y - data_{k}(t))**2", strength=strength, namespace=names)
            for k, (output, strength) in enumerate(zip(outputs, strengths, strict=True))
        ]
    else:
        # ½ s (y − y*)² is ½ (√s y − √s y*)²
        scale = np.sqrt(strengths)
        readout, losses = LeakyReadout(2, tau=tau, target=target * scale), []
    learner = Learner(
        readout, EProp(surrogate=WIDE, order=order), losses=losses, reset_every=T * ms, **options
    )
    steps, channels = np.nonzero(np.random.default_rng(1).random((T, INPUTS)) < 0.3)
    source = SpikeGeneratorGroup(INPUTS, channels, steps * ms)
    w_out, made = rng.standard_normal((N, 2)), []
    for pre, weights in ((source, 4 * rng.standard_normal(INPUTS * N) + 4), (group, None)):
        made.append(TrainableSynapses(pre, group, on_pre="v_post += w*mV", learner=learner))
        made[-1].connect()
        made[-1].w = 2 * rng.standard_normal(N * N) if weights is None else weights
    onto = list(enumerate(outputs)) if own else [(slice(None), readout)]
    for k, output in onto:
        made.append(TrainableSynapses(group, output, on_pre="y_post += w", learner=learner))
        made[-1].connect()
        made[-1].w = np.ravel(w_out[:, k] * (1 if own else np.sqrt(strengths)))
    net = Network(source, group, *([readout] if readout else outputs), *made)
    return net, learner, made


@pytest.mark.slow_unless(order=[1])
@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_groups_of_ones_own_are_further_readouts_of_one_order_less(order):
    """The way over the synapses onto a group counts as a hop, and that onto a readout does not."""
    found, expected = two_outputs(order + 1, own=True), two_outputs(order, own=False)
    for net, _, _ in (found, expected):
        net.run(T * ms)
    for ours, theirs in zip(found[2][:2], expected[2][:2], strict=True):
        assert np.abs(theirs.grad[:]).max() > 1e-2
        # sums of a few hundred terms in another order
        np.testing.assert_allclose(ours.grad[:], theirs.grad[:], rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, math.inf])
def test_the_check_knows_further_readouts(order):
    net, learner, _ = two_outputs(order, own=True)
    found = learner.check(network=net, synapses=3)
    assert found.passed, str(found)
    assert found.spikes > 5


#: What a group has for a loss on its spikes: equations, reset, initial values, loss and window.
SPIKES = {
    "van Rossum distance": ("dx/dt = -x/(10*ms) : 1", "x += 1", {}, "(x - x_data(t, i))**2", None),
    "target rate": (
        "dn/dt = 0*Hz : 1\nrate : Hz (constant)",
        "n += 1",
        {"rate": "(20 + 30*i)*Hz"},
        "(n - rate*40*ms)**2",
        (T - 1, T),
    ),
    "count in a window": (
        "dn/dt = 0*Hz : 1\ncounted = int(t >= 10*ms)*int(t < 30*ms) : 1",
        "n += counted",
        {},
        "(n - 1)**2",
        (T - 1, T),
    ),
    "latency of the first spike": (
        "da/dt = 0*Hz : 1\ndl/dt = a : second",
        "a = 0",
        {"a": 1},
        "(l - 6*ms)**2/ms**2",
        (T - 1, T),
    ),
}


@pytest.mark.slow_unless(kind=["van Rossum distance"], engine=["credit"])
@pytest.mark.parametrize("engine", ["credit", "traces"])
@pytest.mark.parametrize("kind", SPIKES)
def test_a_loss_on_spikes_is_one_on_states_that_they_change(kind, engine):
    equations, reset, values, expression, window = SPIKES[kind]
    group = neurons(f"{LIF}\n{equations}", f"v = 0*mV; {reset}", **values)
    window = window and tuple(step * ms for step in window)
    loss = Loss(group, expression, window=window, namespace=DATA)
    assert_checked(group, loss, rule=EProp(surrogate=WIDE, engine=engine))


#: Model → its weights: their base unit, and a size at which the model fires.
MODELS = {
    "alif": ("1", 0.15),
    "lif": ("1", 0.15),
    "adex": ("amp", 150e-12),
    "cuba_alif": ("amp", 220e-12),
    "cuba_lif": ("amp", 150e-12),
    "izhikevich": ("volt", 6e-3),
}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("options", [{"order": math.inf}, {"order": 2}, {"engine": "traces"}])
def test_losses_on_all_states_of_a_model_are_differentiated(options, name):
    defaultclock.dt = 1 * ms
    model, (unit, size) = load_model(name), MODELS[name]
    group = model.group(N)
    one = {f"one_{n}": Quantity(1, dim=group.variables[n].dim) for n in state_names(group)}
    text = " + ".join(f"({n}/one_{n})**2" for n in state_names(group))
    losses = [Loss(group, text, when=when, namespace=one) for when in ("end", "before_thresholds")]
    learner = Learner(rule=EProp(**options), losses=losses, reset_every=T * ms)
    rng = np.random.default_rng(0)
    steps, channels = np.nonzero(rng.random((T, INPUTS)) < 0.4)
    source, made = SpikeGeneratorGroup(INPUTS, channels, steps * ms), []
    for pre in (source, group):
        learning = {"model": f"w : {unit}", "on_pre": model.on_pre, "learner": learner}
        made.append(TrainableSynapses(pre, group, **learning))
        made[-1].connect()
        w = size * rng.standard_normal(len(made[-1]))
        made[-1].w_[:] = abs(w) if pre is source else w
    found = learner.check(network=Network(source, group, *made), synapses=3)
    assert found.passed, str(found)
    assert found.spikes > 5


@pytest.mark.slow
def test_counts_in_windows_one_after_the_other():
    group = neurons(f"{LIF}\ndn/dt = 0*Hz : 1", "v = 0*mV; n += 1")
    group.run_regularly("n = 0", dt=10 * ms)
    loss = Loss(group, "int(timestep(t, dt) % 10 == 9)*(n - 2)**2")
    assert_checked(group, loss, rule=EProp(surrogate=WIDE, order=math.inf))


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, math.inf])
def test_parameters_are_trained_by_losses(order):
    equations = """
        dv/dt = (-v + b)/tau : volt
        tau : second (constant)
        b : volt (constant)
        gain : 1 (constant)
        """
    group = neurons(equations, tau="(15 + 5*i)*ms", b="2*mV", gain="1 + 0.1*i")
    loss = Loss(group, "gain*(v - b - v_data(t, i))**2/mV**2", period=T * ms, namespace=DATA)
    rule = EProp(surrogate=WIDE, order=order)
    assert_checked(group, loss, rule=rule, trainable=["tau", "b", "gain"])


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, math.inf])
def test_parameters_learn_without_any_trained_synapses(order):
    """As where a model is fitted to recordings, with constants of the script in its equations."""
    tau = 20 * ms
    group = neurons("dv/dt = (-v + b)/tau : volt\nb : volt (constant)", b="(9 + 5*i)*mV")
    rule, losses = EProp(surrogate=WIDE, order=order), [membrane(group)]
    learner = Learner(None, rule, losses=losses, trainable=["b"], reset_every=T * ms)
    found = learner.check(network=Network(group), synapses=3)
    assert found.passed and found.spikes and tau, str(found)
    assert len(found.rows) == N


@pytest.mark.slow
def test_a_loss_reaches_synapses_across_plain_ones():
    """Trained inputs of one group, and the loss on another one, which only plain synapses reach."""
    first, second = neurons(), neurons()
    rule = EProp(surrogate=WIDE, order=math.inf)
    net, learner, _ = network(first, membrane(second), rule=rule, weight=8)
    between = Synapses(first, second, "w : 1", on_pre="v_post += w*mV", delay=2 * ms)
    between.connect()
    between.w = "4 + 3*i - 2*j"
    net.add(second, between)
    found = learner.check(network=net, synapses=3)
    assert found.passed, str(found)
    assert any(row.finite_difference != 0 for row in found.rows)


def test_without_spikes_it_is_the_slope_of_the_loss():
    """Two whole runs of Brian2 with a weight a little larger and smaller: nothing is clamped."""

    def run(change):
        group = neurons()
        options = {"rule": NARROW, "weight": 0.15, "recurrent": False}
        net, _, made = network(group, membrane(group), **options)
        spikes = SpikeMonitor(group)
        net.add(spikes)
        made[0].w[3] += change
        net.run(T * ms)
        assert not spikes.num_spikes
        return made[0].grad[3], group.loss[:].sum()

    step = 2.0**-12
    slope = (run(step)[1] - run(-step)[1]) / (2 * step)
    assert slope != 0
    assert run(0)[0] == pytest.approx(slope, rel=1e-8)


# ----------------------------------------------------------- an autograd of the text, in NumPy
FUNCTIONS = {"exp": np.exp, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sqrt": np.sqrt}
atoms = st.sampled_from(["v/(10*mV)", "x", "0.5", "v_data(t, i)/(10*mV)", "(i + 1)/3", "t/(20*ms)"])


def depends_on_a_state(expression):
    return {"v", "x"} & {symbol.name for symbol in str_to_sympy(expression).free_symbols}


expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(st.sampled_from(["sin", "cos", "tanh"]), inner).map(lambda p: f"{p[0]}({p[1]})"),
        inner.map(lambda e: f"exp(-({e})**2)"),
        inner.map(lambda e: f"1/(1.5 + ({e})**2)"),
        inner.map(lambda e: f"sqrt(1.5 + ({e})**2)"),
    ),
    max_leaves=5,
).filter(depends_on_a_state)


def complex_step(expression, when, w, values):
    """The order-1 gradient: one weight gets an imaginary part, spikes are those of the real one.

    All is written out anew: Euler steps, arrivals at the end of a step, a reset that a spike
    z + ψ δd carries out in part.
    """
    rng = np.random.default_rng(1)
    inputs = rng.random((T, INPUTS)) < 0.3
    tiny, gradient = 1e-30, np.zeros((INPUTS, N))
    spikes = 0
    for pre in range(INPUTS):
        weights = w.astype(complex)
        weights[pre] += tiny * 1j
        v, x, loss = np.zeros(N, complex), np.zeros(N, complex), np.zeros(N, complex)
        for t in range(T):
            v, x = v * (1 - 1 / 20), x * (1 - 1 / 10)
            names = {"i": np.arange(N), "t": t * 1e-3, "mV": 1e-3, "ms": 1e-3, **FUNCTIONS}
            names["v_data"] = lambda now, i, t=t: values[t]
            before = eval(expression, names | {"v": v, "x": x})
            distance = v - 15e-3
            psi = 20 * np.maximum(0, 1 - np.abs(distance.real) / 15e-3)
            z = (distance.real > 0) + 1j * psi * v.imag
            spikes += int((distance.real > 0).sum())
            v = v + inputs[t] @ weights * 1e-3
            v, x = v + z.real * -v + 1j * z.imag * -v.real, x + z
            loss += (
                before
                if when == "before_thresholds"
                else eval(expression, names | {"v": v, "x": x})
            )
        gradient[pre] = loss.imag / tiny
    assert spikes > 0
    return gradient


@given(
    expression=expressions,
    when=st.sampled_from(["end", "before_thresholds"]),
    engine=st.sampled_from(["credit", "traces"]),
)
def test_any_expression_has_the_gradient_of_its_text(expression, when, engine):
    group = neurons(FILTERED, "v = 0*mV; x += 1")
    rule = EProp(surrogate=WIDE, engine=engine)
    net, _, made = network(
        group, Loss(group, expression, when=when, namespace=DATA), rule=rule, recurrent=False
    )
    w = np.array(made[0].w[:]).reshape(INPUTS, N)
    net.run(T * ms)
    expected = complex_step(expression, when, w, DATA["v_data"].values)
    found = np.array(made[0].grad[:]).reshape(INPUTS, N)
    np.testing.assert_allclose(found, expected, atol=1e-11 * max(1, abs(expected).max()))


def test_a_name_of_the_loss_may_mean_another_thing_in_subexpressions():
    """The loss of a group whose 'scale' is 2 is compared with one in which all is written out."""

    def run(equations, expression, **names):
        group = neurons(f"{LIF}\nscaled = {equations} : 1")
        group.namespace.update({"scale": 2.0})
        return gradients(group, Loss(group, expression, namespace=names), recurrent=False)

    found = run("scale*v**2/mV**2", "scale*scaled", scale=3.0)
    expected = run("2*v**2/mV**2", "3*scaled")
    assert np.any(expected[0])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_numbers_of_single_precision_give_the_same_but_for_round_off(engine):
    found = all_at_once(engine)
    before = prefs.core.default_float_dtype
    prefs.core.default_float_dtype = np.float32
    try:
        single = all_at_once(engine)
    finally:
        prefs.core.default_float_dtype = before
    assert not np.array_equal(found, single)
    np.testing.assert_allclose(single, found, rtol=1e-3, atol=1e-4 * abs(found).max())


# ----------------------------------------------------------------------- engines, and controls
@pytest.mark.parametrize("interval", [None, 8 * ms])
def test_windows_within_a_trial_give_the_gradient_of_traces(interval):
    found = {}
    for engine in ("traces", "credit"):
        group = neurons(FILTERED, "v = 0*mV; x += 1")
        loss = Loss(group, f"{MEMBRANE} + x**2", namespace=DATA)
        rule = EProp(surrogate=WIDE, engine=engine)
        options = {"reset_every": None, "update_every": interval}
        found[engine], _ = gradients(group, loss, rule=rule, **options)
    np.testing.assert_allclose(found["credit"], found["traces"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_the_check_finds_a_loss_that_is_read_at_another_moment(engine, monkeypatch):
    if engine == "credit":
        add_errors = Sweep._add_errors

        def too_early(self, place):
            self.read_at = {"end": 1}
            add_errors(self, place)

        monkeypatch.setattr(Sweep, "_add_errors", too_early)
    else:
        moments = {"end": module.MOMENTS["before_thresholds"]}
        monkeypatch.setattr(module, "MOMENTS", {**module.MOMENTS, **moments})
    group = neurons()
    rule = EProp(surrogate=WIDE, engine=engine)
    net, learner, _ = network(group, membrane(group, period=T * ms), rule=rule)
    assert not learner.check(network=net, synapses=3).passed


def test_the_number_of_the_step_begins_anew_with_the_period_too():
    found = []
    for phase in ("t/(5*ms)", "t_in_timesteps/5.0", "timestep(t, dt)/5.0"):
        group = neurons()
        loss = Loss(group, f"(v/mV - 3*sin({phase}))**2", period=T * ms)
        net, _, made = network(group, loss)
        net.run(2 * T * ms)
        found.append((*made[0].grad[:], *group.loss[:]))
        assert np.any(made[0].grad[:])
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-12)


def test_the_loss_is_that_of_what_a_monitor_sees():
    group = neurons()
    net, _, _ = network(group, membrane(group, strength=2), Loss(group, "v/mV"))
    monitor = StateMonitor(group, "v", record=True, when="end")
    net.add(monitor)
    net.run(T * ms)
    v = monitor.v / mV
    expected = (2 * (v - DATA["v_data"].values.T * 1e3) ** 2 + v).sum(axis=1)
    np.testing.assert_allclose(group.loss[:], expected, rtol=1e-12)


def test_a_window_is_the_part_of_a_trial_that_counts():
    found = []
    for options, learner in (
        ({"window": (25 * ms, T * ms)}, {}),
        ({}, {"learning_window": (T - 25) * ms}),
    ):
        group = neurons()
        found.append(gradients(group, membrane(group, **options), **learner))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12)
    assert np.any(found[0][0])


def test_gaps_in_the_data_do_not_count():
    values = data().values.copy()
    there = np.random.default_rng(2).random(values.shape) < 0.6
    found = []
    for gaps in (True, False):
        names = {
            "v_data": TimedArray(np.where(there | (not gaps), values, np.nan) * volt, dt=1 * ms),
            "known": TimedArray(there.astype(float), dt=1 * ms),
        }
        group = neurons()
        expression = MEMBRANE if gaps else f"known(t, i)*{MEMBRANE}"
        found.append(gradients(group, Loss(group, expression, gaps=gaps, namespace=names)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
        assert np.any(one)


def test_while_learning_is_off_losses_are_reported_only():
    group = neurons()
    net, learner, made = network(group, membrane(group))
    learner.learning = False
    net.run(T * ms)
    assert not np.any(made[0].grad)
    assert np.all(group.loss[:] > 0)


def test_membranes_learn_to_follow_a_teacher():
    """No readout, and no spikes needed."""
    teacher = neurons()
    options = {"rule": NARROW, "recurrent": False}
    net, _, _ = network(teacher, Loss(teacher, "v/mV"), weight=0.15, **options)
    monitor = StateMonitor(teacher, "v", record=True, when="end")
    net.add(monitor)
    net.run(T * ms)
    names = {"v_data": TimedArray(monitor.v.T, dt=1 * ms)}
    group = neurons()
    options |= {"optimizer": Adam(0.02), "update_every": T * ms}
    loss = Loss(group, MEMBRANE, period=T * ms, namespace=names)
    net, _, _ = network(group, loss, weight=0, **options)
    net.run(T * ms)
    first = group.loss[:].sum()
    net.run(58 * T * ms)
    before = group.loss[:].sum()
    net.run(T * ms)
    assert group.loss[:].sum() - before < 1e-2 * first


def all_at_once(engine, **options):
    """Gradients and losses of a network with every kind of loss, and of its trained parameter."""
    group = neurons(FILTERED + "\ngain : 1 (constant)", "v -= 15*mV; x += 1", gain="1 + 0.1*i")
    values = np.where(np.random.default_rng(2).random((T, N)) < 0.6, 0.3, np.nan)
    gaps = {"known": TimedArray(values, dt=1 * ms)}
    losses = [
        membrane(group, period=20 * ms, window=(5 * ms, 30 * ms)),
        Loss(group, "gain*x**2 + exp(v/(20*mV))", strength=0.1, when="before_thresholds"),
        Loss(group, "(x - known(t, i))**2", gaps=True, namespace=gaps),
    ]
    rule = EProp(surrogate=WIDE, engine=engine, order=math.inf if engine == "credit" else 1)
    parameters = ["gain"] if engine == "credit" else []
    options |= {"trainable": parameters} if parameters else {}
    found, loss = gradients(group, *losses, rule=rule, readout=True, **options)
    return np.concatenate([found, loss, *(group.grad_gain[:] for _ in parameters)])


@pytest.mark.slow
@pytest.mark.standalone
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_programs_give_the_same_numbers(engine, tmp_path):
    expected = all_at_once(engine)
    set_device("cpp_standalone", directory=tmp_path, build_on_run=True)
    try:
        found = all_at_once(engine)
    finally:
        # it still knows of this program, for the next one that is built
        get_device().reinit()
        reset_device()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
@pytest.mark.cython
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_cython_gives_the_same_numbers(engine):
    expected = all_at_once(engine)
    compiled = []
    found = all_at_once(engine, prepare=lambda net: compiled.extend(compile_some(net)[0]))
    assert sum("_losses_" in name for name in compiled) == 2
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


# -------------------------------------------------------------------------------- what is refused
def of_group(expression=MEMBRANE, namespace=None, equations=LIF, **options):
    group = neurons(equations)
    names = {"v_data": data()} if namespace is None else namespace
    return Loss(group, expression, namespace=names, **options)


def run_with(*losses, duration=T * ms, group=None, **options):
    network(group or losses[0].group, *losses, **options)[0].run(duration)


def another_group():
    other = neurons("dv/dt = -v/(9*ms) : volt\nu : 1")
    group = neurons(LIF + "\nu : 1 (linked)")
    group.u = linked_var(other, "u")
    return Loss(group, "u*v/mV")


def a_part():
    group = neurons()
    return Loss(group[:2], "v/mV")


def unreached():
    group = neurons(LIF + "\ndu/dt = -u/(5*ms) : 1")
    run_with(Loss(group, "(u - 1)**2"))


def not_in_the_network():
    """Trained synapses run without the group that one of the losses is on."""
    group, other = neurons(), neurons()
    network(other, Loss(other, "v/mV"), Loss(group, "v/mV"))[0].run(T * ms)


def nothing_of_it_in_the_network():
    group, other = neurons(), neurons()
    network(other, Loss(group, "v/mV"), Loss(other, "v/mV"))[0].run(T * ms)


def another_time_step():
    loss = of_group("v/mV", window=(5 * ms, 10 * ms))
    defaultclock.dt = 0.5 * ms
    run_with(loss)


def two_learners():
    loss = of_group()
    Learner(losses=[loss])
    Learner(losses=[loss])


def several_readouts():
    group = neurons()
    readouts = [LeakyReadout(1, tau=5 * ms, target=np.zeros((T, 1))) for _ in range(2)]
    Learner(readouts, losses=[membrane(group)])


def elsewhere():
    """Trained synapses end on another group, and errors of order 1 stay where they are."""
    group, other = neurons(), neurons()
    net, _, _ = network(other, membrane(group))
    net.add(group)
    net.run(T * ms)


def coarse():
    return {"v_data": TimedArray(np.zeros((T, N)) * mV, dt=2 * ms)}


def with_nan(value=np.nan):
    return {"v_data": TimedArray(np.full((T, N), value) * mV, dt=1 * ms)}


REFUSED = {
    "another dt": (lambda: of_group(namespace=coarse()), "'v_data' has one row every 2. ms"),
    "too short": (lambda: run_with(of_group(), duration=2 * T * ms), "has 40 rows.*80 are needed"),
    "NaN": (lambda: of_group(namespace=with_nan()), r"'v_data' is not finite, first at \[0, 0\]"),
    "nothing but gaps": (lambda: of_group(namespace=with_nan(), gaps=True), "is not finite"),
    "infinite": (lambda: of_group(namespace=with_nan(np.inf), gaps=True), "is not finite"),
    "columns": (
        lambda: of_group(namespace={"v_data": data((T, N + 1))}),
        "has 4 columns, but the group 3 neurons",
    ),
    "a unit": (lambda: of_group("(v - v_data(t, i))**2"), "has the unit .*and a loss has none"),
    "one column": (
        lambda: of_group("(v - a(t, i))/mV", {"a": TimedArray(np.ones(T) * mV, dt=1 * ms)}),
        r"needs 1.; data of one column are data\(t\)",
    ),
    "no number": (lambda: of_group("a*v/mV", {"a": np.nan}), "uses 'a', which is nan"),
    "not finite": (lambda: of_group("v/mV/0"), "cannot be read .it is not finite"),
    "a constant of Brian2": (lambda: of_group("e*v/mV", {"e": 3}), "has 'e', .* of Brian2 already"),
    "a variable": (lambda: of_group("v/mV", {"v": 3}), "has 'v', .* of group 'neurongroup"),
    "a cable": (
        lambda: Loss(SpatialNeuron(Soma(10 * um), "Im = 0*amp/meter**2 : amp/meter**2"), "v/mV"),
        "is a SpatialNeuron.* the compartments as variables of a NeuronGroup",
    ),
    "units that differ": (lambda: of_group("(v - 1)**2"), "Loss.expression"),
    "true or false": (lambda: of_group("v > 3*mV"), "is true or false"),
    "no derivative": (lambda: of_group("int(v > 3*mV)"), "'int' is .* has no useful derivative"),
    "a subexpression without derivative": (
        lambda: of_group("q", equations=LIF + "\nq = int(v > 3*mV) : 1"),
        "Loss.expression = 'q' .*'int' is .* has no useful derivative",
    ),
    "what is stored": (
        lambda: of_group("q", equations=LIF + "\nq = v/mV : 1 (constant over dt)"),
        r"reads 'q', .*take \(constant over dt\) from a subexpression",
    ),
    "random numbers": (lambda: of_group("v/mV*randn()"), "draws random numbers by 'randn'"),
    "unknown": (lambda: of_group("(v - u)/mV"), "uses 'u', which is no variable of this group"),
    "an array": (lambda: of_group("v/mV*a", {"a": np.ones(N)}), "uses 'a', which is"),
    "of another group": (another_group, "reads 'u', a variable of 'neurongroup"),
    "what changes": (
        lambda: of_group("u*v/mV", equations=LIF + "\nu : 1"),
        "reads 'u', which is no state with an equation",
    ),
    "no state": (lambda: of_group("v_data(t, i)/mV"), "depends on no state of the group"),
    "unknown parameter": (
        lambda: run_with(of_group(), trainable=["tau"]),
        "trainable names 'tau'",
    ),
    "on a group that does not learn": (elsewhere, "no feedback reaches it.*or give a loss on"),
    "not in the network": (not_in_the_network, "'neurongroup.*' are not in one network"),
    "nothing in the network": (nothing_of_it_in_the_network, "are not in one network"),
    "another time step": (another_time_step, "created when dt was 1. ms, but the group runs with"),
    "two learners": (two_learners, "already, and cannot learn with that of"),
    "several readouts": (several_readouts, "is not a LeakyReadout.*and losses=.*for a further one"),
    "rewards": (
        lambda: Learner(ActorCriticReadout(2, 20 * ms, 0.9), losses=[of_group()]),
        "has rewards, .*give the losses a Learner of their own",
    ),
    "unreached": (unreached, "no trained weight reaches 'u'"),
    "text": (lambda: of_group("(v -"), "cannot be read"),
    "no text": (lambda: of_group(3), "Loss.expression = 3 must be text"),
    "a part": (a_part, "is a part of group"),
    "no group": (lambda: Loss("v", "v/mV"), "must be a NeuronGroup"),
    "a readout": (lambda: Loss(LeakyReadout(1, 20 * ms), "y"), "is a readout"),
    "strength": (lambda: of_group(strength=np.nan), "Loss.strength"),
    "moment": (lambda: of_group(when="resets"), "Loss.when = 'resets' is not known"),
    "window": (lambda: of_group(window=(9 * ms, 3 * ms)), "ends before it has begun"),
    "half a window": (lambda: of_group(window=3 * ms), "must be a pair of times"),
    "window of no time": (lambda: of_group(window=(0, 3)), "Loss.window"),
    "window and trial": (
        lambda: run_with(of_group(window=(0 * ms, 99 * ms))),
        "Loss.window = .* is a part of a trial, here of 40 steps",
    ),
    "period": (lambda: of_group(period=1.5 * ms), "Loss.period = 1.5 ms is not a multiple"),
    "gaps": (lambda: of_group(gaps=1), "Loss.gaps = 1 must be True or False"),
    "neither": (lambda: Learner(), "Learner.readout is missing"),
    "no list": (lambda: Learner(losses=of_group()), "Learner.losses = .* must be a list"),
    "no losses": (lambda: Learner(losses=["v/mV"]), "give objects of the class Loss"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_from_is_refused_before_the_first_step(case):
    call, message = REFUSED[case]
    kinds = (ValueError, TypeError, NoDerivativeError, DimensionMismatchError, BrianObjectException)
    with pytest.raises(kinds) as caught:
        call()
    error = caught.value
    assert re.search(message, str(error.__cause__ or error), re.DOTALL), error
