"""What a learner does with the gradient: updates, feedback, trials."""

import numpy as np
import pytest
from attrs import evolve
from brian2 import (
    Network,
    NeuronGroup,
    PoissonGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    ms,
    run,
    seed,
    start_scope,
)
from brian_networks import BLOCKS, DT, build, connect, difference, spike_source
from covering import parametrize_pairs
from random_networks import random_network, random_task

from brian_eprop import (
    Adam,
    EProp,
    GradientDescent,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    StepDecay,
    TrainableSynapses,
    load_model,
)
from brian_eprop.calculus.derivatives import NoDerivativeError
from brian_eprop.learning.rule import ENGINES
from brian_eprop.reference import gradients

pytestmark = pytest.mark.usefixtures("numpy_target")
TOLERANCE = 1e-10


def gradient_descent(weights, gradient, state, n, rate=0.01):
    return weights - rate * gradient


def adam(weights, gradient, state, n, rate=0.01):
    m, s = state.get("m", 0.0), state.get("s", 0.0)
    state["m"] = m = 0.9 * m + 0.1 * gradient
    state["s"] = s = 0.999 * s + 0.001 * gradient**2
    return weights - rate * np.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (np.sqrt(s) + 1e-8)


def decaying(weights, gradient, state, n):
    return gradient_descent(weights, gradient, state, n, 0.01 * 0.5 ** ((n - 1) // 2))


OPTIMIZERS = {
    "descent": (GradientDescent(0.01), gradient_descent),
    "adam": (Adam(0.01), adam),
    "decaying": (GradientDescent(StepDecay(0.01, 0.5, every=2)), decaying),
}


def several_updates(network, inputs, targets, trials, update, bounds=None):
    """The reference's weights after an update for every ``trials`` trials."""
    states = {name: {} for name in BLOCKS}
    for n, start in enumerate(range(0, len(inputs), trials), 1):
        own = slice(start, start + trials)
        found = gradients(network, inputs[own], targets[own], rule="eprop")
        new = {}
        for name in BLOCKS:
            weights = update(getattr(network, name), getattr(found, name), states[name], n)
            new[name] = weights if bounds is None else np.clip(weights, *bounds)
        network = evolve(network, **new)
    return network


@pytest.mark.slow
@parametrize_pairs(
    engine=list(ENGINES), optimizer=list(OPTIMIZERS), trials=[1, 2], feedback=["symmetric", "given"]
)
def test_updates_are_those_of_the_reference(engine, optimizer, trials, feedback):
    changes = {"feedback": None} if feedback == "symmetric" else {}
    network = random_network(21, rate_strength=3.0, rate_target=0.1, **changes)
    inputs, targets = random_task(21, "mse", batch=6)
    statements, update = OPTIMIZERS[optimizer]
    every = trials * inputs.shape[1] * DT
    options = dict(engine=engine, optimizer=statements, update_every=every)
    brian = build(network, inputs, targets, **options).run()
    expected = several_updates(network, inputs, targets, trials, update)
    assert brian.spikes.num_spikes > 50
    for name in BLOCKS:
        assert difference(getattr(expected, name), getattr(network, name)) > 1e-3
        assert difference(brian.matrix(name, "w"), getattr(expected, name)) < TOLERANCE
        assert np.all(brian.matrix(name, "grad") == 0)


@pytest.mark.slow
def test_bounds_clip_the_weights_after_each_update():
    network = random_network(22)
    inputs, targets = random_task(22, "mse", batch=4)
    bounds = (-0.4, 0.5)
    brian = build(
        network,
        inputs,
        targets,
        optimizer=GradientDescent(0.01),
        update_every=inputs.shape[1] * DT,
        bounds=bounds,
    ).run()
    expected = several_updates(network, inputs, targets, 1, gradient_descent, bounds)
    for name in BLOCKS:
        assert difference(brian.matrix(name, "w"), getattr(expected, name)) < TOLERANCE
        weights = np.asarray(brian.synapses[name].w)
        assert weights.min() >= bounds[0] and weights.max() <= bounds[1]
        assert np.any(np.isin(weights, bounds))


def online_descent(network, inputs, targets, every, rate):
    """e-prop of a network without delays and refractoriness; weights change while it runs."""
    w = {name: getattr(network, name).copy() for name in BLOCKS}
    masks = {"w_in": network.mask_in, "w_rec": network.mask_rec, "w_out": network.mask_out}
    grad = {name: np.zeros_like(w[name]) for name in BLOCKS}
    v, a, z, arriving = np.zeros((4, len(network.v_th)))
    y = np.zeros(network.n_out)
    filtered = np.zeros(len(v))
    eps_v, eps_a, e_bar = ({n: np.zeros_like(w[n]) for n in ("w_in", "w_rec")} for _ in range(3))
    psi, n_spikes = np.zeros(len(v)), 0
    for t in range(len(inputs)):
        v = network.alpha * v + inputs[t] @ w["w_in"] + arriving - network.v_th * z
        a = network.rho * a + z
        for name, x in (("w_in", inputs[t].astype(float)), ("w_rec", z)):
            eps_a[name] = psi * eps_v[name] + (network.rho - network.beta * psi) * eps_a[name]
            eps_v[name] = network.alpha * eps_v[name] + x[:, np.newaxis]
        distance = v - network.v_th - network.beta * a
        shape = np.maximum(0, 1 - np.abs(distance) / network.surrogate_width)
        psi = network.surrogate_height * shape
        z = (distance > 0).astype(float)
        n_spikes += z.sum()
        y = network.kappa * y + z @ w["w_out"]
        error = y - targets[t]
        signal = w["w_out"] @ error
        filtered = network.kappa * filtered + z
        grad["w_out"] += np.outer(filtered, error)
        for name in ("w_in", "w_rec"):
            e_trace = psi * (eps_v[name] - network.beta * eps_a[name])
            e_bar[name] = network.kappa * e_bar[name] + e_trace
            grad[name] += signal * e_bar[name]
        arriving = z @ w["w_rec"]  # a spike is delivered before the weights change
        if (t + 1) % every == 0:
            for name in BLOCKS:
                w[name] = np.where(masks[name], w[name] - rate * grad[name], 0)
                grad[name][:] = 0
    assert n_spikes > 10
    return w


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ENGINES)
def test_a_rate_is_measured_over_the_interval_of_the_updates_without_trials(engine):
    network = random_network(29, rate_strength=30.0, rate_target=0.1)
    inputs, targets = random_task(29, "mse", batch=1)
    rate = GradientDescent(0.01)
    every = inputs.shape[1] * DT
    options = dict(engine=engine, reset=False, optimizer=rate, update_every=every)
    brian = build(network, inputs, targets, **options).run()
    expected = several_updates(network, inputs, targets, 1, gradient_descent)
    task_only = evolve(network, rate_strength=0.0)
    without = several_updates(task_only, inputs, targets, 1, gradient_descent)
    for name in ("w_in", "w_rec"):
        assert difference(brian.matrix(name, "w"), getattr(expected, name)) < TOLERANCE
        assert difference(getattr(without, name), getattr(expected, name)) > 1e-3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_step_of_arrays_is_that_of_the_synapses(optimizer):
    statements, update = OPTIMIZERS[optimizer]
    rng = np.random.default_rng(1)
    state, expected_state = {}, {}
    for n in range(1, 5):
        gradient = rng.normal(size=(3, 4))
        expected = -update(np.zeros((3, 4)), gradient, expected_state, n)
        np.testing.assert_allclose(statements.step(gradient, state, n), expected, rtol=1e-13)
    assert set(state) == set(statements.state)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("every", [1, 5])
def test_weights_that_change_while_the_network_runs(engine, every):
    network = random_network(23, n_ref=0, max_delay=0, feedback=None)
    inputs, targets = (x.reshape(-1, x.shape[-1]) for x in random_task(23, "mse", batch=3))
    brian = build(
        network,
        inputs,
        targets,
        engine=engine,
        reset=False,
        optimizer=GradientDescent(0.01),
        update_every=every * DT,
    ).run()
    expected = online_descent(network, inputs, targets, every, 0.01)
    for name in BLOCKS:
        assert difference(expected[name], getattr(network, name)) > 1e-3
        assert difference(brian.matrix(name, "w"), expected[name]) < TOLERANCE


class TestFeedback:
    network = random_network(24, feedback=None)
    task = random_task(24, "mse")

    def test_adaptive_feedback_is_carried_by_the_readout_synapses(self):
        brian = build(self.network, *self.task, feedback="adaptive", seed=1)
        feedback = brian.matrix("w_out", "B")
        brian.run()
        expected = gradients(evolve(self.network, feedback=feedback.T), *self.task, rule="eprop")
        symmetric = gradients(self.network, *self.task, rule="eprop")
        for name in BLOCKS:
            assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE
        assert difference(symmetric.w_rec, expected.w_rec) > 0.1

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("optimizer", [GradientDescent(0.01), Adam(0.01)])
    def test_adaptive_feedback_aligns_as_fast_as_it_decays(self, optimizer):
        inputs, targets = random_task(24, "mse", batch=5)
        decay = 0.2
        brian = build(
            self.network,
            inputs,
            targets,
            feedback="adaptive",
            feedback_decay=decay,
            optimizer=optimizer,
            update_every=inputs.shape[1] * DT,
        )
        before = brian.matrix("w_out", "B") - self.network.w_out
        brian.run()
        after = brian.matrix("w_out", "B") - brian.matrix("w_out", "w")
        # B and w receive the same steps, so that only their decay changes the difference
        assert difference(after, (1 - decay) ** 5 * before) < TOLERANCE
        assert difference(brian.matrix("w_out", "w"), self.network.w_out) > 0.1

    def test_without_decay_both_receive_the_same_updates(self):
        inputs, targets = random_task(24, "mse", batch=3)
        brian = build(
            self.network,
            inputs,
            targets,
            feedback="adaptive",
            optimizer=GradientDescent(0.01),
            update_every=inputs.shape[1] * DT,
        )
        before = brian.matrix("w_out", "B")
        brian.run()
        moved = brian.matrix("w_out", "w") - self.network.w_out
        assert np.abs(moved).max() > 0.01
        assert difference(brian.matrix("w_out", "B") - before, moved) < TOLERANCE

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("kind", ["random", "adaptive"])
    def test_random_feedback_is_reproduced_by_its_seed(self, kind):
        def weights(seed):
            brian = build(self.network, *self.task, feedback=kind, seed=seed)
            if kind == "adaptive":
                return np.array(brian.synapses["w_out"].B)
            return np.array(brian.readout.contained_objects[-1].B)

        np.testing.assert_array_equal(weights(3), weights(3))
        assert np.all(weights(3) != weights(4))
        assert 0.2 < np.std(weights(5)) * np.sqrt(5) < 2

    def test_random_feedback_is_what_the_reference_gets_as_an_array(self):
        brian = build(self.network, *self.task, feedback="random", seed=2)
        weights = np.asarray(brian.readout.contained_objects[-1].B).reshape(2, 5)
        brian.run()
        expected = gradients(evolve(self.network, feedback=weights), *self.task, rule="eprop")
        for name in BLOCKS:
            assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE


class TestTrials:
    network = random_network(25, max_n_ref=5, max_delay=4)
    task = random_task(25, "mse", batch=3)

    def assert_equals_reference(self, brian, network=None, task=None):
        network, task = network or self.network, task or self.task
        expected = gradients(network, *task, rule="eprop")
        np.testing.assert_array_equal(brian.raster, expected.spikes)
        assert expected.spikes.sum() > 20
        assert difference(brian.loss, expected.loss) < TOLERANCE
        for name in BLOCKS:
            assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE

    def test_trials_are_a_batch(self):
        self.assert_equals_reference(build(self.network, *self.task).run())

    def test_without_reset_they_are_not(self):
        brian = build(self.network, *self.task, reset=False).run()
        with pytest.raises(AssertionError):
            self.assert_equals_reference(brian)

    def test_without_reset_they_are_one_long_trial(self):
        task = tuple(x.reshape(1, -1, x.shape[-1]) for x in self.task)
        brian = build(self.network, *task, reset=False).run()
        self.assert_equals_reference(brian, task=task)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize("max_delay", [0, 4])
    def test_recurrent_spikes_that_arrive_before_the_threshold(self, max_delay):
        network = random_network(26, max_delay=max_delay)
        brian = build(network, *self.task, arrival_rec="after_groups", on_pre="v_post += w").run()
        self.assert_equals_reference(brian, network)

    def test_a_delay_that_brian_rounds_up(self):
        brian = build(self.network, *self.task)
        for name in ("w_in", "w_rec"):
            synapses = brian.synapses[name]
            delays = np.asarray(synapses.delay)
            synapses.delay = np.maximum(delays - 0.4 * float(DT), 0) * 1e3 * ms
        self.assert_equals_reference(brian.run())

    def test_the_initial_state_is_remembered(self):
        network, (inputs, targets) = self.network, self.task
        same = np.stack([inputs[0]] * 3)
        brian = build(network, same, np.stack([targets[0]] * 3))
        brian.neurons.v = "0.1*i"
        brian.neurons.a = 0.3
        brian.neurons.lastspike = "(i - 5)*ms"
        v = brian.monitor(None, "v", when="before_thresholds")
        brian.run()
        v = v.v.T.reshape(3, 24, 5)
        np.testing.assert_array_equal(v[0], v[1])
        np.testing.assert_array_equal(v[0], v[2])
        np.testing.assert_array_equal(brian.raster[0], brian.raster[2])
        at_rest = build(network, same, np.stack([targets[0]] * 3)).run()
        assert np.any(at_rest.raster != brian.raster)

    def test_a_run_in_pieces_is_one_run(self):
        brian = build(self.network, *self.task)
        for steps in (10, 20, 30, 12):
            brian.network.run(steps * DT, namespace={})
        self.assert_equals_reference(brian)

    def test_store_and_restore(self):
        brian = build(self.network, *self.task)
        brian.network.store()
        brian.network.run(30 * DT, namespace={})
        brian.network.restore()
        self.assert_equals_reference(brian.run())

    def test_average_and_learning_window(self):
        inputs, targets = random_task(27, "cross_entropy", batch=2)
        network = random_network(27, loss="cross_entropy", average=True, readout_gain=1.0)
        brian = build(network, inputs, targets, learning_window=7).run()
        expected = gradients(network, inputs, targets, rule="eprop", learning_window=7)
        everything = gradients(network, inputs, targets, rule="eprop")
        for name in BLOCKS:
            assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE
            assert difference(getattr(everything, name), getattr(expected, name)) > 0.01
        assert difference(brian.loss, expected.loss) < TOLERANCE


class TestOtherNetworks:
    network = random_network(28, "lif", alpha=0.9, max_delay=0, n_ref=2, v_th=0.6, feedback=None)
    task = random_task(28, "mse")

    def readout(self, targets):
        defaultclock.dt = DT
        targets = targets.reshape(-1, targets.shape[-1])
        return LeakyReadout(2, tau=-1 / np.log(self.network.kappa) * ms, target=targets)

    def project(self, source, readout, learner):
        synapses = TrainableSynapses(source, readout, on_pre="y_post += w", learner=learner)
        connect(synapses, self.network.w_out, self.network.mask_out)
        return synapses

    def test_a_group_written_by_the_user_in_a_magic_network(self):
        start_scope()
        network = evolve(self.network, surrogate_height=0.4, surrogate_width=0.5)
        inputs, targets = self.task
        n_steps = inputs.shape[1]
        tau, threshold = -1 / np.log(0.9) * ms, 0.6  # noqa: F841 (used in the equations)
        readout = self.readout(targets)
        neurons = NeuronGroup(
            5,
            "dv/dt = -v/tau : 1",
            threshold="v > threshold",
            reset="v -= threshold*exp(dt/tau)",
            refractory=2 * ms,
            method="exact",
        )
        learner = Learner(
            readout,
            rule=EProp(surrogate=PiecewiseLinear(0.4, 0.5), reset_path={"v": "explicit"}),
            reset_every=n_steps * DT,
        )
        source = spike_source(inputs)
        w_in = TrainableSynapses(source, neurons, arrival="after_groups", learner=learner)
        connect(w_in, network.w_in, network.mask_in)
        w_rec = TrainableSynapses(neurons, neurons, on_pre="v += w*exp(dt/tau)", learner=learner)
        connect(w_rec, network.w_rec, network.mask_rec)
        w_out = self.project(neurons, readout, learner)
        spikes = SpikeMonitor(neurons)
        run(len(inputs) * n_steps * DT)
        expected = gradients(network, inputs, targets, rule="eprop")
        assert spikes.num_spikes == expected.spikes.sum() > 0
        for synapses, name in ((w_in, "w_in"), (w_rec, "w_rec"), (w_out, "w_out")):
            found = np.asarray(synapses.grad) / len(inputs)
            values = getattr(expected, name)[synapses.i[:], synapses.j[:]]
            assert difference(found, values) < TOLERANCE

    def test_fixed_synapses_beside_trainable_ones(self):
        brian = build(self.network, *self.task)
        brian.network.remove(brian.synapses["w_rec"])
        brian.synapses["w_rec"].active = False
        fixed = Synapses(brian.neurons, on_pre=brian.neurons.neuron_model.on_pre, model="w : 1")
        connect(fixed, self.network.w_rec, self.network.mask_rec)
        brian.network.add(fixed)
        brian.run()
        expected = gradients(self.network, *self.task, rule="eprop")
        for name in ("w_in", "w_out"):
            assert difference(brian.gradients[name], getattr(expected, name)) < TOLERANCE

    def test_a_poisson_source(self):
        """Its spikes come with the thresholds, and so act one step later."""
        seed(1)
        _, targets = self.task
        n_steps = targets.shape[1]
        readout = self.readout(targets)
        source = PoissonGroup(3, 300 / (1000 * ms))
        neurons = load_model("lif").group(
            5, tau_m=-1 / np.log(0.9) * ms, v_th=0.6, t_ref=2 * ms, name="poisson_driven"
        )
        learner = Learner(readout, reset_every=n_steps * DT)
        objects = [source, neurons, readout]
        projections = []
        for on_pre, arrival, half in (
            ("v_post += w", "after_groups", 0.5),
            ("v_post += w*exp(dt/tau_m_post)", "synapses", 0.5),
        ):
            synapses = TrainableSynapses(
                source, neurons, on_pre=on_pre, arrival=arrival, learner=learner
            )
            connect(synapses, half * self.network.w_in, self.network.mask_in)
            projections.append(synapses)
        objects += [*projections, self.project(neurons, readout, learner)]
        arrived, spikes = SpikeMonitor(source), SpikeMonitor(neurons)
        Network(*objects, arrived, spikes).run(len(targets) * n_steps * DT, namespace={})
        inputs = np.zeros((*targets.shape[:2], 3), dtype=bool)
        step = np.rint(arrived.t / DT).astype(int)
        # a spike of the last step of a trial would arrive in the next
        kept = (step + 1) % n_steps != 0
        inputs[(step // n_steps)[kept], (step % n_steps)[kept] + 1, arrived.i[:][kept]] = True
        network = evolve(
            self.network,
            w_rec=np.zeros((5, 5)),
            surrogate_height=None,
            surrogate_width=None,
        )
        expected = gradients(network, inputs, targets, rule="eprop")
        assert spikes.num_spikes == expected.spikes.sum() > 10
        for synapses in projections:
            found = np.asarray(synapses.grad).reshape(3, 5) / len(targets)
            assert difference(found, expected.w_in) < TOLERANCE

    def test_connect_sees_the_names_of_its_caller(self):
        distance = 2
        brian = build(self.network, *self.task)
        synapses = TrainableSynapses(brian.neurons, learner=brian.learner)
        synapses.connect(condition="abs(i - j) == distance")
        assert set(zip(synapses.i, synapses.j, strict=True)) == {
            (i, j) for i in range(5) for j in range(5) if abs(i - j) == distance
        }

    def test_two_learners_may_listen_to_one_group(self):
        """Each keeps the traces of its own readout."""
        _, targets = self.task
        brian = build(self.network, *self.task)
        second = LeakyReadout(2, tau=50 * ms, target=targets.reshape(-1, 2), name="slow")
        learner = Learner(second, feedback="random")
        synapses = self.project(brian.neurons, second, learner)
        brian.network.add(second, synapses)
        brian.run()
        expected = gradients(self.network, *self.task, rule="eprop")
        assert difference(brian.gradients["w_out"], expected.w_out) < TOLERANCE
        # the second readout is never reset
        filtered, y, expected_slow = np.zeros(5), np.zeros(2), np.zeros((5, 2))
        for z, target in zip(brian.raster.reshape(-1, 5), targets.reshape(-1, 2), strict=True):
            y = np.exp(-1 / 50) * y + z @ self.network.w_out
            filtered = np.exp(-1 / 50) * filtered + z
            expected_slow += np.outer(filtered, y - target)
        assert difference(np.asarray(synapses.grad).reshape(5, 2), expected_slow) < TOLERANCE

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "recovery, strengths",
        [
            ("strength : 1", (1, 0.5, 0.25)),
            ("dstrength/dt = (1 - strength)/(5*ms) : 1 (event-driven)", None),
        ],
    )
    def test_an_effect_that_the_spike_itself_changes(self, recovery, strengths):
        """The trace of a depressing synapse has the effect that the membrane has."""
        defaultclock.dt = 1 * ms
        inputs = np.zeros((1, 10, 1), dtype=bool)
        inputs[0, [1, 4, 5], 0] = True
        readout = LeakyReadout(1, tau=20 * ms, target=np.ones(10))
        neurons = load_model("lif").group(1, tau_m=10 * ms, v_th=100.0)
        source = spike_source(inputs)
        rule = EProp(engine="traces")
        learner = Learner(readout, rule, feedback="random", reset_every=10 * ms)
        synapses = TrainableSynapses(
            source,
            neurons,
            f"w : 1\n{recovery}",
            on_pre="v_post += w*strength; strength *= 0.5",
            arrival="after_groups",
            learner=learner,
        )
        synapses.connect()
        synapses.w, synapses.strength = 2, 1
        Network(source, neurons, readout, synapses).run(10 * ms, namespace={})
        decay = np.exp(-1 / 10)
        if strengths is None:
            second = 1 - 0.5 * np.exp(-3 / 5)
            strengths = (1, second, 1 - (1 - 0.5 * second) * np.exp(-1 / 5))
        expected = np.dot(strengths, decay ** np.array([8, 5, 4]))
        assert abs(neurons.v[0] - 2 * expected) < TOLERANCE
        # eps has made the step to the next trace already
        assert abs(synapses.eps_v[0] - decay * expected) < TOLERANCE

    @pytest.mark.parametrize(
        "recovery",
        ["strength : 1", "dstrength/dt = (1 - strength)/(5*ms) : 1 (event-driven)"],
    )
    def test_credit_cannot_know_it_later(self, recovery):
        readout = LeakyReadout(1, tau=20 * ms, target=np.ones(10))
        neurons = load_model("lif").group(1)
        learner = Learner(readout, feedback="random", reset_every=10 * ms)
        on_pre = "v_post += w*strength; strength *= 0.5"
        with pytest.raises(NoDerivativeError, match="depends on 'strength', which changes"):
            TrainableSynapses(
                neurons, neurons, f"w : 1\n{recovery}", on_pre=on_pre, learner=learner
            )
