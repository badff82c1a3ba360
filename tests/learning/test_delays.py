"""Delays that learn in a user's own network: gradients, updates between trials, refusals."""

import math

import numpy as np
import pytest
from attrs import evolve
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    defaultclock,
    ms,
    mV,
    prefs,
    second,
)
from brian2.core.base import BrianObjectException
from brian2.units import DimensionMismatchError
from brian_networks import DT, build
from compiled_programs import compile_players, compile_some, program_in
from random_networks import random_network, random_task

from brian_eprop import (
    Adam,
    EProp,
    GradientDescent,
    LeakyReadout,
    Learner,
    ParameterTraining,
    PiecewiseLinear,
    TrainableSynapses,
    fit,
    load_model,
    reference,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.engines import presynaptic

pytestmark = pytest.mark.usefixtures("numpy_target")

# other order of the sums, over at most a hundred steps
ROUND_OFF = 1e-10
STEPS_PER_SECOND = 1 / float(DT)
DELAYS = ("delay_in", "delay_rec")
SURROGATE = PiecewiseLinear(height=0.3, width=1.0)


def random_delays(seed=0, high=4):
    """Of every kind: whole, rounded up and rounded down."""
    rng = np.random.default_rng(seed)
    delays = {"delay_in": rng.uniform(0, high, (3, 5)), "delay_rec": rng.uniform(0, high, (5, 5))}
    for values in delays.values():
        values[0] = np.round(values[0])
    return delays


def problem(seed=3, **changes):
    network = random_network(
        seed, feedback=None, rounded=True, **(random_delays() | {"mask_rec": None} | changes)
    )
    return network, random_task(seed, "mse")


def built(network, task, order=1, **options):
    trained = {"state_delays": False, "trained": ("w", "delay")}
    return build(network, *task, order=order, **(trained | options))


def of_synapses(made, network, name):
    """dE/dd of the synapses as a matrix, per step and averaged over the trials."""
    synapses = made.synapses[f"w_{name}"]
    found = np.zeros(getattr(network, f"w_{name}").shape)
    values = synapses.variables["grad_delay"].get_value() / STEPS_PER_SECOND
    found[synapses.i[:], synapses.j[:]] = values / made.n_trials
    return found


def assert_gradients_are_those_of_the_reference(order=1, prepare=None, **changes):
    network, task = problem(**changes)
    made = built(network, task, order)
    if prepare is not None:
        prepare(made)
    made.run()
    of_weights = made.gradients
    order = 60 if math.isinf(order) else order
    expected = reference.gradients(network, *task, "eprop_reverse", order=order, parameters=DELAYS)
    assert expected.spikes.sum() > 20
    for name in ("in", "rec"):
        found, of_delay = of_synapses(made, network, name), expected.parameters[f"delay_{name}"]
        assert np.abs(of_delay).max() > 0.1
        assert np.abs(found - of_delay).max() < ROUND_OFF * np.abs(of_delay).max()
        of_weight = getattr(expected, f"w_{name}")
        assert np.allclose(of_weights[f"w_{name}"], of_weight, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, math.inf])
def test_gradients_are_those_of_the_reference(order):
    assert_gradients_are_those_of_the_reference(order)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 8, 9, 11])
@pytest.mark.parametrize("kind", ["lif", "alif"])
def test_gradients_of_random_networks(seed, kind):
    paths = {"v": "implicit"} if seed % 2 else {}
    assert_gradients_are_those_of_the_reference(
        order=seed % 3 + 1, seed=seed, kind=kind, reset_path=paths
    )


@pytest.mark.slow
@pytest.mark.cython
def test_gradients_in_cython():
    names, compiled = ("synapses_in_credit", "synapses_rec_credit"), []

    def of_delays(made):
        compiled.append(compile_players(made.learner, names))

    assert_gradients_are_those_of_the_reference(order=2, prepare=of_delays)
    assert compiled == [[*names]]


@pytest.mark.slow
@pytest.mark.standalone
def test_gradients_in_a_program_that_sets_its_own_delays(tmp_path):
    """Which delays there are is known when the program runs."""

    def gradient():
        network, synapses, _, duration = coincidence(trials=2)
        synapses.delay = "(2.3 + 3.2*i)*ms"
        network.run(duration, namespace={})
        return np.array(synapses.grad_delay_)

    expected = gradient()
    assert np.abs(expected).min() > 0
    with program_in(tmp_path):
        np.testing.assert_allclose(gradient(), expected, rtol=1e-12)


@pytest.mark.standalone
def test_a_program_does_not_change_its_delays(tmp_path):
    with program_in(tmp_path):
        network, _, _, duration = coincidence(optimizer=Adam(0.1), trials=2)
        with pytest.raises(BrianObjectException) as raised:
            network.run(duration, namespace={})
    assert "whose queues of spikes are made when a run begins" in str(raised.value.__cause__)


def test_credit_of_another_step_is_seen():
    # one step off, as if n were one more: not the gradient
    network, task = problem()
    made = built(network, task)
    made.run()
    off = {name: getattr(network, name) + 1.0 for name in DELAYS}
    other = reference.gradients(network, *task, "eprop", parameters=DELAYS).parameters["delay_in"]
    later = reference.gradients(
        evolve(network, **off), *task, "eprop", parameters=DELAYS
    ).parameters["delay_in"]
    found = of_synapses(made, network, "in")
    assert np.abs(found - other).max() < ROUND_OFF * np.abs(other).max()
    assert np.abs(found - later).max() > 0.1 * np.abs(other).max()


# ----------------------------------------------------------------------------- the check
def checked(order, trials=1):
    """What `Learner.check` finds in a recurrent network of neurons that adapt, and its delays."""
    network, task = problem(kind="alif", beta=0.1)
    made = built(network, task, order)
    late = TrainableSynapses(
        made.neurons,
        made.readout,
        on_pre="y_post += w",
        learner=made.learner,
        trainable=("w", "delay"),
        name="late",
    )
    late.connect()
    late.w, late.delay = 0.7, "(0.2 + i*0.9)*ms"
    made.network.add(late)
    duration = trials * made.learner.trial * made.readout.clock.dt
    return made, made.learner.check(duration, made.network, synapses=4)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(("order", "trials"), [(1, 1), (1, 2), (2, 1), (math.inf, 1)])
def test_the_check_moves_a_little_of_each_spike_to_the_next_step(order, trials):
    made, found = checked(order, trials)
    assert found.passed and found.spikes > 5, str(found)
    rows = [row for row in found.rows if row.quantity == "grad_delay"]
    assert {row.projection for row in rows} == {"synapses_in", "synapses_rec", "late"}
    assert all(
        any(row.finite_difference for row in rows if row.projection == name)
        for name in ("synapses_in", "synapses_rec", "late")
    )
    # nothing is left of it
    assert not any("check" in name for s in made.learner.projections for name in s.variables)


VARIANTS = {
    "inputs in the step itself": dict(arrival="after_groups", when="start"),
    "inputs a step later": dict(arrival="after_groups", order=2),
    "held while refractory": dict(
        clamp=" (unless refractory)", refractory=3 * ms, order=2, feedback="random"
    ),
    "parts of a group": dict(first=2, order=math.inf),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_networks_as_people_write_them_pass_the_check_of_their_delays(name):
    options = dict(arrival="synapses", when="thresholds", order=1, feedback="symmetric", first=0)
    options |= dict(clamp="", refractory=False) | VARIANTS[name]
    defaultclock.dt, steps, rng = 1 * ms, 40, np.random.default_rng(0)
    times, channels = np.nonzero(rng.random((steps, 6)) < 0.25)
    source = SpikeGeneratorGroup(
        6, channels, times * ms, period=steps * ms, when=options["when"], name="source"
    )
    neurons = NeuronGroup(
        5,
        "dv/dt = -v/(12*ms) : 1" + options["clamp"],
        threshold="v > 1",
        reset="v = 0",
        refractory=options["refractory"],
        method="exact",
        name="neurons",
    )
    target = rng.normal(size=(steps, 2))
    readout = LeakyReadout(2, 10 * ms, target=target, period=steps * ms, name="out")
    rule = EProp(order=options["order"], surrogate=SURROGATE)
    learner = Learner(readout, rule, options["feedback"], reset_every=steps * ms, seed=1)
    made, first = [], options["first"]
    for pre, post, size, name in (
        (source, neurons, 0.5, "in"),
        (neurons[first:], neurons[: 5 - first], 0.3, "rec"),
    ):
        synapses = TrainableSynapses(
            pre,
            post,
            on_pre="v_post += w",
            learner=learner,
            arrival=options["arrival"] if pre is source else "synapses",
            trainable=("w", "delay"),
            name=name,
        )
        synapses.connect()
        synapses.w = size * rng.exponential(size=len(synapses))
        synapses.delay = rng.uniform(0, 6, len(synapses)) * ms
        made.append(synapses)
    onto = TrainableSynapses(neurons, readout, on_pre="y_post += w", learner=learner, name="onto")
    onto.connect()
    onto.w = rng.normal(size=len(onto))
    found = learner.check(network=Network(source, neurons, readout, *made, onto), synapses=4)
    assert found.passed and found.spikes > 20, str(found)
    rows = [row for row in found.rows if row.quantity == "grad_delay"]
    assert len(rows) == 8 and sum(row.finite_difference != 0 for row in rows) > 6


def test_the_check_finds_credit_of_another_step(monkeypatch):
    right = presynaptic.steps_before
    monkeypatch.setattr(presynaptic, "steps_before", lambda *of: right(*of) + 1)
    _, found = checked(1)
    wrong = {(row.projection, row.quantity) for row in found.rows if not row.passed}
    assert not found.passed
    assert wrong == {(name, "grad_delay") for name in ("synapses_in", "synapses_rec", "late")}


# ----------------------------------------------------------------------------- updates
def coincidence(training=None, optimizer=None, trials=1, **for_synapses):
    """Two inputs at 5 and 11 ms, one neuron, and a readout that is to rise at 20 ms."""
    defaultclock.dt = 1 * ms
    steps = 40
    times = np.concatenate([[5, 11] + steps * k * np.ones(2) for k in range(trials)])
    source = SpikeGeneratorGroup(2, [0, 1] * trials, times * ms, name="source")
    neuron = load_model("lif").group(1, tau_m=5 * ms, v_th=1.5, name="neuron")
    target = np.zeros((steps, 1))
    target[20:30] = 1.0
    readout = LeakyReadout(1, tau=5 * ms, target=np.tile(target, (trials, 1)), name="out")
    learner = Learner(
        readout,
        rule=EProp(),
        optimizer=optimizer,
        update_every=None if optimizer is None else steps * ms,
        reset_every=steps * ms,
    )
    training = {"delay": (0 * ms, 30 * ms)} if training is None else training
    synapses = TrainableSynapses(
        source, neuron, learner=learner, trainable=training, name="in", **for_synapses
    )
    synapses.connect()
    synapses.w = 1.0
    synapses.delay = [5.0, 2.3] * ms
    onto = TrainableSynapses(neuron, readout, on_pre="y_post += w", learner=learner, fixed=True)
    onto.connect()
    onto.w = 1.0
    monitor = SpikeMonitor(neuron, name="spikes")
    network = Network(source, neuron, readout, synapses, onto, monitor)
    return network, synapses, learner, steps * trials * ms


def test_an_update_is_the_step_of_the_optimizer_between_trials():
    training = {"delay": ParameterTraining(scale=2 * ms)}
    network, synapses, _, duration = coincidence(training, trials=1)
    network.run(duration, namespace={})
    gradient = np.array(synapses.grad_delay_)
    assert np.abs(gradient).max() > 0
    # one trial and the beginning of the next: p ← p − scale² η dE/dp
    network, synapses, _, duration = coincidence(training, GradientDescent(0.05), trials=2)
    before = np.array(synapses.delay_)
    network.run(duration / 2, namespace={})
    assert np.allclose(synapses.delay_, before - 0.05 * 0.002**2 * gradient, rtol=0, atol=1e-15)
    assert np.all(synapses.grad_delay_ == 0)
    # weights that are not named stay
    assert np.all(synapses.w == 1.0)


@pytest.mark.parametrize(
    "target", ["numpy", pytest.param("cython", marks=[pytest.mark.slow, pytest.mark.cython])]
)
def test_updates_within_a_run_are_those_between_runs(target):
    training = {"delay": ParameterTraining(bounds=(0 * ms, 30 * ms))}
    optimizer, trials = Adam(0.8), 6
    network, within, _, duration = coincidence(training, optimizer, trials=trials)
    if target == "cython":
        compiled, _ = compile_some(network, lambda obj: obj.name == "in_optimizer")
        assert compiled == ["in_optimizer"]
    network.run(duration, namespace={})
    spikes = np.array(network["spikes"].t_)
    prefs.codegen.target = "numpy"
    network, between, _, _ = coincidence(training, optimizer, trials=trials)
    seen = []
    for _ in range(trials):
        network.run(duration / trials, namespace={})
        seen.append(np.array(between.delay_))
    assert np.array_equal(within.delay_, between.delay_)
    assert np.array_equal(spikes, network["spikes"].t_)
    # by more than a step, so that the queue matters
    assert np.abs(seen[-1] - [5e-3, 2.3e-3]).max() > 1e-3


def test_a_delay_that_is_changed_is_that_of_the_next_trials_spikes():
    # a delay so long that spikes of the trial before are still under way when it shrinks
    network, synapses, _, duration = coincidence(optimizer=GradientDescent(1e4), trials=3)
    synapses.delay = [29.6, 29.6] * ms
    arrived = []
    network.run(duration, namespace={})
    arrived = network["spikes"].t_
    low, high = 0.0, 0.030
    assert np.all((synapses.delay_ >= low) & (synapses.delay_ <= high))
    # no spike of a trial makes the neuron fire in the next before its own inputs
    phase = np.round(np.asarray(arrived) / 1e-3).astype(int) % 40
    assert np.all(phase >= 5)


def test_delays_have_the_optimizer_that_is_theirs():
    """The weights that of the learner, within the same update."""
    gradients = {}
    for optimizers in ((None, None), (GradientDescent(1e-3), GradientDescent(20.0))):
        of_weights, of_delays = optimizers
        training = {"w": None, "delay": ParameterTraining((0 * ms, 30 * ms), optimizer=of_delays)}
        network, synapses, _, duration = coincidence(training, of_weights, trials=2)
        w, delay = np.array(synapses.w), np.array(synapses.delay_)
        network.run(duration / 2, namespace={})
        if of_weights is None:
            gradients = {"w": np.array(synapses.grad), "delay": np.array(synapses.grad_delay_)}
            continue
        moved = -20.0 * float(ms) ** 2 * gradients["delay"]
        assert np.abs(moved).min() > 1e-4 and np.abs(gradients["w"]).min() > 0.1
        assert np.allclose(synapses.delay_ - delay, moved, rtol=0, atol=1e-15)
        assert np.allclose(synapses.w - w, -1e-3 * gradients["w"], rtol=0, atol=1e-15)


def test_fit_follows_delays():
    """Losses and gradients of an evaluation are those of a network that begins with its delays."""
    network, synapses, learner, duration = coincidence(optimizer=Adam(0.5))
    # one spike of the neuron, as of a teacher
    synapses.w = 1.2
    start = np.array(synapses.delay_)
    result = fit(learner, network, iterations=6, progress=False)
    seen = [entry["loss"] for entry in result.history]
    assert len(set(seen)) > 2 and result.loss == min(seen)
    best = np.asarray(result.weights["in.delay"])
    assert np.abs(best - start).max() > 5e-4
    again, other, _, _ = coincidence()
    other.w, other.delay = 1.2, best * second
    again.run(duration, namespace={})
    assert np.sum(again["out"].loss) == pytest.approx(result.loss, rel=1e-12)


def test_a_network_is_restored_with_its_delays():
    network, synapses, _, duration = coincidence(optimizer=GradientDescent(100.0), trials=3)
    seen = StateMonitor(synapses, "delay", record=True, dt=40 * ms, when="start")
    network.add(seen)
    network.store("start")
    network.run(duration, namespace={})
    first, spikes = np.array(synapses.delay_), np.array(network["spikes"].t_)
    assert np.abs(first - [5e-3, 2.3e-3]).max() > 1e-3
    assert np.array_equal(seen.delay_[:, 0], [5e-3, 2.3e-3]) and np.any(np.diff(seen.delay_))
    network.restore("start")
    assert np.array_equal(synapses.delay_, [5e-3, 2.3e-3])
    network.run(duration, namespace={})
    assert np.array_equal(synapses.delay_, first)
    assert np.array_equal(network["spikes"].t_, spikes)


def test_delays_find_each_other():
    """Two spikes 6 ms apart make a neuron fire once they arrive together."""
    training = {"delay": ParameterTraining(bounds=(0 * ms, 25 * ms))}
    network, synapses, _, duration = coincidence(training, Adam(0.3), trials=80)
    network.run(duration, namespace={})
    spikes, trial = network["spikes"].t_, 0.040
    first = np.sum(spikes < trial)
    arrivals = np.array([5.0, 11.0]) + np.asarray(synapses.delay / ms)
    assert first == 0
    assert np.sum(spikes > 70 * trial) >= 8
    assert abs(arrivals[0] - arrivals[1]) < 2


ADAPTING = """
dv/dt = (-(v + 70*mV) + 2*mV*exp((v + 50*mV)/(2*mV)) + I - a)/(10*ms) : volt
da/dt = -a/(60*ms) : volt
dI/dt = -I/(5*ms) : volt
"""


@pytest.mark.slow
def test_weights_and_delays_of_recurrent_neurons_that_adapt_learn_together():
    """Exponential neurons of two types, order 2, all that is onto them is trained."""
    defaultclock.dt, steps, rng = 0.5 * ms, 100, np.random.default_rng(0)
    trial = 0.5 * steps * ms
    times, channels = np.nonzero(rng.random((steps, 10)) < 0.1)
    source = SpikeGeneratorGroup(10, channels, 0.5 * times * ms, period=trial)
    spiking = dict(
        threshold="v > -40*mV", reset="v = -65*mV; a += 2*mV", method="exponential_euler"
    )
    excitatory, inhibitory = (NeuronGroup(n, ADAPTING, **spiking) for n in (8, 3))
    excitatory.v = inhibitory.v = -70 * mV
    target = np.sin(np.arange(steps) / 12)
    readout = LeakyReadout(1, 10 * ms, target=target, period=trial)
    learner = Learner(
        readout,
        EProp(order=2, surrogate=PiecewiseLinear(0.3 / (20 * mV), 20 * mV)),
        optimizer=Adam(0.05),
        reset_every=trial,
        update_every=trial,
    )
    training = {"w": None, "delay": ParameterTraining((0 * ms, 10 * ms), optimizer=Adam(0.2))}
    made = []
    for pre, post, sign, size in (
        (source, excitatory, "+", 15),
        (source, inhibitory, "+", 15),
        (excitatory, inhibitory, "+", 6),
        (inhibitory, excitatory, "-", 10),
        (excitatory, excitatory, "+", 3),
    ):
        on_pre = f"I_post {sign}= w*mV"
        synapses = TrainableSynapses(
            pre, post, on_pre=on_pre, learner=learner, bounds=(0, 50), trainable=training
        )
        synapses.connect(condition="i != j" if pre is post else None)
        synapses.w = size * rng.exponential(size=len(synapses))
        synapses.delay = rng.uniform(0, 5, len(synapses)) * ms
        made.append(synapses)
    onto = TrainableSynapses(excitatory, readout, on_pre="y_post += w", learner=learner)
    onto.connect()
    onto.w = 0.3 * rng.normal(size=len(onto))
    loss = StateMonitor(readout, "loss", record=0, dt=trial)
    network = Network(source, excitatory, inhibitory, readout, *made, onto, loss)
    found = learner.check(network=network, synapses=2)
    assert found.passed and found.spikes > 100, str(found)
    before = [np.array(synapses.delay_) for synapses in made]
    network.run(21 * trial, namespace={})
    losses = np.diff(loss.loss[0])
    assert losses[-3:].mean() < 0.3 * losses[0]
    for synapses, delays in zip(made, before, strict=True):
        after = np.array(synapses.delay_)
        assert np.abs(after - delays).max() > 1e-3
        assert after.min() >= 0 and after.max() <= 0.010


def test_delays_onto_the_readout_learn():
    network, task = problem(delay_in=0, delay_rec=0)
    made = built(network, task, trained=None)
    readout, neurons, learner = made.readout, made.neurons, made.learner
    extra = TrainableSynapses(
        neurons,
        readout,
        on_pre="y_post += w",
        learner=learner,
        trainable=("w", "delay"),
        name="late",
    )
    extra.connect()
    extra.w = 0.7
    extra.delay = "(0.2 + i*0.9)*ms"
    made.network.add(extra)
    made.run()
    by_hand = np.zeros(len(extra))
    # y of the readout is linear in what arrives: dE/dd = w Σ_spikes (λ(s+n+1) − λ(s+n))
    y = reference_outputs(network, task, extra)
    error, kappa = y - task[1], network.kappa
    lam = np.zeros((*error.shape[:2], network.n_out))
    for t in reversed(range(error.shape[1])):
        following = lam[:, t + 1] if t + 1 < error.shape[1] else 0.0
        lam[:, t] = error[:, t] + kappa * following
    spikes = reference.simulate(network, *task).spikes
    lam = np.concatenate([lam, np.zeros((len(lam), 10, network.n_out))], axis=1)
    for k, (i, j) in enumerate(zip(extra.i[:], extra.j[:], strict=True)):
        n = math.floor(0.2 + i * 0.9 + 1e-9)
        for trial, t in zip(*np.nonzero(spikes[:, :, i]), strict=True):
            by_hand[k] += (
                0.7 * network.readout_gain * (lam[trial, t + n + 1, j] - lam[trial, t + n, j])
            )
    assert np.abs(by_hand).max() > 0.1
    assert np.allclose(extra.grad_delay_ / STEPS_PER_SECOND, by_hand, rtol=0, atol=1e-9)


def reference_outputs(network, task, extra):
    """Outputs with what a second projection, delayed and rounded, adds."""
    y = reference.simulate(network, *task).readout.copy()
    spikes = reference.simulate(network, *task).spikes
    added = np.zeros_like(y)
    for i, j in zip(extra.i[:], extra.j[:], strict=True):
        d = math.floor(0.2 + i * 0.9 + 0.5)
        late = np.zeros(spikes.shape[:2])
        late[:, d:] = spikes[:, : spikes.shape[1] - d, i]
        added[:, :, j] += 0.7 * network.readout_gain * late
    low = np.zeros_like(y)
    for t in range(y.shape[1]):
        low[:, t] = added[:, t] + (network.kappa * low[:, t - 1] if t else 0.0)
    return y + low


# ----------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("training", "error", "message"),
    [
        (("w", "tau"), ValueError, r"names 'tau'; synapses train their weight, 'w', and 'delay'"),
        ("delay", TypeError, r"\('w', 'delay'\)"),
        ({"delay": (-1 * ms, 5 * ms)}, ValueError, r"no spike arrives before it was sent"),
        ({"delay": (0 * ms, 50 * ms)}, ValueError, r"reach over a trial of 40. ms"),
        ({"delay": (5 * ms, 1 * ms)}, ValueError, r"the first must not be above the second"),
        (
            {"delay": (0, 5)},
            DimensionMismatchError,
            r"in the unit of the trained variable, 'second'",
        ),
        ({"delay": (0 * ms, math.inf * ms)}, ValueError, r"reach over a trial"),
        ({"delay": (math.nan * ms, 5 * ms)}, ValueError, r"must not be above"),
        ({"w": (0, 1), "delay": None}, ValueError, r"bounds of the weight are those of"),
        ({"delay": ParameterTraining(scale=2)}, DimensionMismatchError, r"'delay'\].scale"),
    ],
)
def test_what_cannot_be_trained_is_refused(training, error, message):
    with pytest.raises(error, match=message):
        coincidence(training, Adam(0.1))


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match=r"delay = 2\. \* msecond is one number for all synapses"):
        coincidence(delay=2 * ms)
    with pytest.raises(ValueError, match=r"with fixed=True: leave fixed out"):
        coincidence(fixed=True)
    network, synapses, _, duration = coincidence()
    synapses.delay = [35, 1] * ms
    with pytest.raises(BrianObjectException) as raised:
        network.run(duration, namespace={})
    assert "a delay of 'in' is 35. ms; give delays from 0. s to 30. ms" in str(
        raised.value.__cause__
    )


@pytest.mark.parametrize("delay", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("training", [{"w": None}, {"delay": (0 * ms, 30 * ms)}], ids=str)
def test_a_delay_that_is_no_time_to_come_is_refused(delay, training):
    network, synapses, _, duration = coincidence(training)
    synapses.delay = [delay, 1] * ms
    with pytest.raises(BrianObjectException) as raised:
        network.run(duration, namespace={})
    assert "a delay of 'in' is " in str(raised.value.__cause__)


def test_delays_between_two_steps_are_rounded_as_brian2_does():
    """Where they do not learn, too; halves up."""
    arrived = []
    for delays in ([5.0, 20.0], [5.49, 20.5], [4.5, 20.49]):
        network, synapses, _, duration = coincidence({"w": None})
        synapses.w, synapses.delay = 3.0, delays * ms
        network.run(duration, namespace={})
        arrived.append(list(np.round(network["spikes"].t / ms).astype(int)))
    assert arrived[0] == arrived[2] and arrived[1] == [arrived[0][0], arrived[0][1] + 1]


def test_windows_without_the_gradient_are_refused():
    defaultclock.dt = 1 * ms
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((40, 1)))
    learner = Learner(readout)
    neuron = load_model("lif").group(1)
    with pytest.raises(ValueError, match="whole trials"):
        TrainableSynapses(neuron, neuron, learner=learner, trainable=("delay",))
    # nothing has been left behind
    TrainableSynapses(neuron, neuron, learner=learner)


def test_arrivals_that_see_a_state_are_refused():
    defaultclock.dt = 1 * ms
    readout = LeakyReadout(1, 5 * ms, target=np.zeros((40, 1)))
    learner = Learner(readout, rule=EProp(surrogate=SURROGATE), reset_every=40 * ms)
    neuron = NeuronGroup(
        1, "dv/dt = -v/(10*ms) : 1", threshold="v > 1", reset="v -= 1", method="exact"
    )
    with pytest.raises(NoDerivativeError, match="leave 'delay' out of"):
        TrainableSynapses(
            neuron, neuron, on_pre="v_post += w*(2 - v_post)", learner=learner, trainable=["delay"]
        )
    summed = "w : 1\ns_post = w*v_pre : 1 (summed)"
    with pytest.raises(ValueError, match="has no delay"):
        group = NeuronGroup(1, "dv/dt = (s - v)/(10*ms) : 1\ns : 1", threshold="v > 1")
        TrainableSynapses(group, group, summed, learner=learner, trainable=["delay"])
