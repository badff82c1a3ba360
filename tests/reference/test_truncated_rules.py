"""Rules that cut paths, at the edge of a window or at the readout: truncated BPTT, OSTL."""

from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, cell_network, cell_task, gradient, relative
from hypothesis import assume, given
from hypothesis import strategies as st
from random_networks import examples

from brian_eprop.reference import RULES, gradients, simulate
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.rule import Recursion, added
from brian_eprop.reference.step import Simulation

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
# what a wrong formula has to miss by
WRONG = 1e-2
KAPPA = {"kappa": 0.8, "readout_gain": 0.2}


# --------------------------------------------------------------------------------------- ostl


def ostl_by_hand(network, task, reset=1.0):
    """LIF with an explicit reset: the influence of one weight after the other."""
    run = simulate(network, *task)
    learning = network.readout_gain * run.error @ network.w_out.T
    result = {}
    for name, source, lag in (("w_in", run.inputs, 0), ("w_rec", run.spikes * 1.0, 1)):
        total = np.zeros(getattr(network, name).shape)
        for b, i, j in np.ndindex(len(source), *total.shape):
            influence, observed = np.zeros((2, network.n_rec))
            for t in range(source.shape[1]):
                influence = network.alpha * influence + observed @ network.w_rec
                influence -= reset * network.v_th * observed
                influence[j] += source[b, t - lag, i] if t >= lag else 0.0
                observed = run.psi[b, t] * influence
                total[i, j] += learning[b, t] @ observed
        result[name] = total * getattr(network, f"mask_{name[2:]}") / len(source)
    return SimpleNamespace(**result)


def test_ostl_is_the_influence_times_the_error_of_the_step():
    network = cell_network("lif", 5, **KAPPA)
    task = cell_task(network, 5)
    got = gradient(network, task, "ostl")
    assert relative(got, ostl_by_hand(network, task), network) < ROUND_OFF
    assert relative(got, ostl_by_hand(network, task, reset=0.0), network) > WRONG


@pytest.mark.parametrize("name", ALL)
def test_ostl_is_exact_without_a_filter_only(name):
    for kappa, exact in ((0.0, True), (0.8, False)):
        network = cell_network(name, 3, kappa=kappa, density=0.7)
        task = cell_task(network, 3)
        ostl, bptt = (gradient(network, task, rule) for rule in ("ostl", "bptt"))
        assert (relative(ostl, bptt, network) < ROUND_OFF) == exact
        if not exact:
            assert relative(ostl, bptt, network) > WRONG


@pytest.mark.parametrize("name", ALL)
def test_ostl_is_the_gradient_of_a_readout_without_filter_that_makes_the_same_errors(name):
    filtered, instantaneous = (
        cell_network(name, 6, kappa=kappa, readout_gain=0.3) for kappa in (0.8, 0.0)
    )
    inputs, targets = cell_task(filtered, 6)
    error = gradients(filtered, inputs, targets).readout - targets
    same_error = gradients(instantaneous, inputs, targets).readout - error
    ostl = gradient(filtered, (inputs, targets), "ostl")
    bptt = gradient(instantaneous, (inputs, same_error), "bptt")
    assert relative(ostl, bptt, filtered) < ROUND_OFF


@given(examples())
def test_ostl_is_exact_with_delays_and_every_reset(example):
    network = evolve(example.network, kappa=0.0)
    task = (example.inputs, example.targets)
    ostl, bptt = (
        gradients(network, *task, rule, example.learning_window) for rule in ("ostl", "bptt")
    )
    # without a filter the loss of a few steps may see no spike
    assume(bptt.w_in.any())
    assert relative(ostl, bptt, network) < ROUND_OFF


# ----------------------------------------------------------------------------------------- tbptt


class Recorder(Recursion):
    """Keeps what a rule is given."""

    def start(self, batch):
        self.given = []

    def step(self, step, signal):
        self.given.append((step, signal))


def given_to_rules(problem):
    recorder = Recorder(problem.network, None)
    problem.gradient(recorder, RULES["tbptt"])
    return recorder.given


def in_windows(problem, horizon, every):
    """Forward accumulation that starts anew at the edge of each window."""
    given, total, done, errors = given_to_rules(problem), {}, 0, 0
    for end in [*range(every, problem.n_steps, every), problem.n_steps]:
        rtrl = RULES["rtrl"].at_work(problem.network, None)
        rtrl.start(problem.batch)
        for t in range(max(0, end - horizon), end):
            part = rtrl.step(*given[t])
            if t >= done:
                total, errors = added(total, part), errors + 1
        done = end
    assert errors == problem.n_steps
    return problem.result(total, RULES["tbptt"])


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("horizon, every", [(1, 1), (4, 1), (5, 2), (3, 3), (7, 5)])
@pytest.mark.parametrize("name", ALL)
def test_tbptt_is_forward_accumulation_inside_the_windows(name, horizon, every):
    network = cell_network(name, 4, **KAPPA)
    task = cell_task(network, 4)
    got = gradient(network, task, "tbptt", horizon=horizon, every=every)
    expected = in_windows(Problem(network, *task), horizon, every)
    assert relative(got, expected, network) < ROUND_OFF
    for wrong in ((horizon + 1, every), (horizon + 1, every + 1)):
        assert relative(got, in_windows(Problem(network, *task), *wrong), network) > WRONG


@given(examples(), st.integers(1, 12), st.integers(1, 12))
def test_tbptt_cuts_delays_at_the_edge_of_the_window(example, horizon, every):
    every = min(horizon, every)
    task = (example.inputs, example.targets)
    problem = Problem(example.network, *task, example.learning_window)
    options = dict(horizon=horizon, every=every)
    got = gradients(example.network, *task, "tbptt", example.learning_window, **options)
    assert relative(got, in_windows(problem, horizon, every), example.network) < ROUND_OFF


@given(examples(), st.integers(0, 3), st.integers(1, 24))
def test_tbptt_over_the_whole_sequence_is_exact(example, longer, every):
    task = (example.inputs, example.targets)
    horizon = example.inputs.shape[1] + longer
    got = gradients(
        example.network, *task, "tbptt", example.learning_window, horizon=horizon, every=every
    )
    bptt = gradients(example.network, *task, "bptt", example.learning_window)
    assert relative(got, bptt, example.network) < ROUND_OFF


def block_loss(network, task, begin, block, weights):
    """The loss of the steps of a block, where other weights act from the step `begin` on."""
    inputs, targets = task
    simulation, loss = Simulation(network, len(inputs)), 0.0
    for t in range(block.stop):
        step = simulation.step(inputs[:, t], weights if t >= begin else network.parameters)
        if t in block:
            y = step.output @ network.w_out + network.bias_out
            loss += 0.5 * np.sum((y - targets[:, t]) ** 2)
    return loss / len(inputs)


def test_tbptt_is_what_weights_do_that_change_at_the_edge_of_the_window():
    network = cell_network("gru", 5, n_in=2, n_rec=3, **KAPPA)
    task = cell_task(network, 5, n_steps=7)
    blocks, horizon = [range(0, 2), range(2, 4), range(4, 6), range(6, 7)], 3
    differences = {}
    for name in network.blocks:
        weights = network.parameters[name]
        differences[name] = np.zeros_like(weights)
        for index in np.ndindex(weights.shape):
            for sign in (1, -1):
                varied = weights.copy()
                varied[index] += sign * 1e-6
                varied = network.parameters | {name: varied}
                for block in blocks:
                    begin = max(0, block.stop - horizon)
                    loss = block_loss(network, task, begin, block, varied)
                    differences[name][index] += sign * loss / 2e-6
        differences[name] = differences[name].reshape(getattr(network, name).shape)
    got = gradient(network, task, "tbptt", horizon=horizon, every=2)
    # step 1e-6: round-off 1e-9 of each of the losses
    assert relative(got, SimpleNamespace(**differences), network) < 1e-7
    assert relative(gradient(network, task, "bptt"), got, network) > WRONG
