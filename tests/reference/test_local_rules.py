"""Truncated rules and rules of spiking networks equal their papers' formulas, written as loops.

The loops go over sequences, synapses and steps. They share with the rules the arrays of a
simulated trial at most.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve
from cell_networks import ALL, SPIKING, cell_network, cell_task, gradient, relative
from hypothesis import assume, given
from hypothesis import strategies as st
from random_networks import random_network, random_task

from brian_eprop.reference import RULES, gradients, simulate
from brian_eprop.reference.problem import Problem
from brian_eprop.reference.surrogates import pseudo_derivative
from brian_eprop.rule_study.operations import stored_numbers

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
# what a wrong formula has to miss by
WRONG = 1e-2
ONE_ALPHA = {"alpha": 0.85}
KAPPA = {"kappa": 0.8, "readout_gain": 0.2}
LEAKS = {"leaky_rate": 0.3, "elman": 1.0}
OPTIONS = {"tbptt": {"horizon": 4, "every": 2}}
CELLS_OF = {
    "tbptt": ALL,
    "rflo": ("elman", "jordan", "leaky_rate"),
    "ostl": ALL,
    "ottt": SPIKING,
    "superspike": SPIKING,
    "decolle": SPIKING,
    "es_d_rtrl": ALL,
}


def network_of(name, seed=1, **changes):
    """A network to which all rules apply that apply to the cell."""
    return cell_network(name, seed, **((ONE_ALPHA if name in SPIKING else {}) | changes))


def at_work(rule, network):
    return RULES[rule].at_work(network, np.random.default_rng(0), **OPTIONS.get(rule, {}))


def output_error(network, y, targets):
    """∂E/∂y of one sequence in one step."""
    if network.loss == "cross_entropy":
        y = np.exp(y) / np.sum(np.exp(y))
    return y - targets


# ------------------------------------------------------- three factors: superspike, ottt, decolle


def three_factors(network, run, learning, rate, kappa, decay, psi, late):
    """Σ_t L_j^t F_κ(e_ij)^t + r_j Σ_t e_ij^t with e_ij = ψ_j × filtered presynaptic spikes."""
    batch, n_steps, n_rec = psi.shape
    result = {}
    for name, source, lag in (("w_in", run.inputs, 0), ("w_rec", run.spikes * 1.0, 1)):
        total = np.zeros((source.shape[2], n_rec))
        for b, i, j in np.ndindex(batch, *total.shape):
            potential = filtered = 0.0
            for t in range(n_steps):
                s = t - lag - late
                potential = decay[j] * potential + (source[b, s, i] if s >= 0 else 0.0)
                e = psi[b, t, j] * potential
                filtered = kappa * filtered + e
                total[i, j] += learning[b, t, j] * filtered + rate[b, j] * e
        result[name] = total * getattr(network, f"mask_{name[2:]}") / batch
    return SimpleNamespace(**result)


def local_learning(network, run, targets, weight, readout):
    """Learning signals of DECOLLE."""
    learning = np.zeros(run.psi.shape)
    for b, t in np.ndindex(learning.shape[:2]):
        error = output_error(network, run.spikes[b, t] @ readout, targets[b, t])
        learning[b, t] = weight[t] * readout @ error
    return learning


def expected(rule, network, task, window=None, seed=0, scale=0.5, **wrong):
    """The gradient of a three-factor rule; what is in `wrong` replaces the right thing."""
    run = simulate(network, *task, window)
    n_steps = run.psi.shape[1]
    gain, kappa = network.readout_gain, 0.0
    if rule == "superspike":
        kappa = network.kappa
        feedback = network.w_out.T if network.feedback is None else network.feedback
        learning = gain * run.error @ feedback
    elif rule == "ottt":
        learning = gain * run.error @ network.w_out.T
    else:
        bound = scale / np.sqrt(network.n_rec)
        shape = (network.n_rec, network.n_out)
        readout = np.random.default_rng(seed).uniform(-bound, bound, shape)
        weight = np.arange(n_steps) >= n_steps - (window or n_steps)
        weight = weight / weight.sum() if network.average else weight
        learning = local_learning(network, run, task[1], weight, readout)
    excess = run.spikes.mean(axis=1) - network.rate_target
    scale = 1 / (window or n_steps) if network.average else 1
    rate = scale * network.rate_strength * excess / n_steps
    right = dict(kappa=kappa, decay=network.alpha, psi=run.psi, late=0)
    return three_factors(network, run, learning, rate, **(right | wrong))


def psi_after_reset(network, task):
    run = simulate(network, *task)
    distance = run.v - network.v_th * run.spikes - run.threshold
    return pseudo_derivative(network, distance) * ~run.silent


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", SPIKING)
@pytest.mark.parametrize("rule", ["superspike", "ottt", "decolle"])
def test_three_factor_rules_are_products_of_their_factors(rule, name):
    for seed, window, changes in (
        (1, None, {"kappa": 0.0}),
        (2, 7, KAPPA | {"loss": "cross_entropy", "average": True, "rate_strength": 30.0}),
        (3, None, {"density": 0.5, "feedback": None, "rate_strength": 30.0, "rate_target": 0.1}),
    ):
        network = cell_network(name, seed, **(ONE_ALPHA | changes))
        task = cell_task(network, seed)
        got = gradient(network, task, rule, learning_window=window, seed=seed)
        by_hand = expected(rule, network, task, window, seed)
        for block in network.blocks:
            assert relative(got, by_hand, network, [block]) < ROUND_OFF


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", ["superspike", "ottt", "decolle"])
def test_the_comparison_sees_a_wrong_factor(rule):
    network = network_of("lif", **KAPPA)
    task = cell_task(network, n_steps=20)
    got = gradient(network, task, rule, seed=0)
    assert relative(got, expected(rule, network, task), network) < ROUND_OFF
    wrong = {
        "another decay": dict(decay=0.9 * network.alpha),
        "ψ after the reset": dict(psi=psi_after_reset(network, task)),
        "presynaptic values of the step before": dict(late=1),
        "another filter": dict(kappa=0.5),
    }
    for what, change in wrong.items():
        assert relative(got, expected(rule, network, task, **change), network) > WRONG, what


def test_superspike_has_a_potential_of_each_synapse_where_membranes_differ():
    network = cell_network("lif", 4)
    assert len(set(network.alpha)) == network.n_rec
    task = cell_task(network, 4)
    got = gradient(network, task, "superspike")
    assert relative(got, expected("superspike", network, task), network) < ROUND_OFF


@given(
    st.integers(0, 10**6),
    st.sampled_from(["detached", "explicit"]),
    st.sampled_from([0, 4]),
    st.sampled_from(["mse", "cross_entropy"]),
)
def test_superspike_is_eprop_of_lif_without_the_reset(seed, reset, max_delay, loss):
    changes = dict(reset_path={"v": reset}, loss=loss, rate_strength=30.0)
    network = random_network(seed, kind="lif", max_delay=max_delay, **changes)
    task = random_task(seed, loss)
    eprop = gradients(network, *task, "eprop")
    assume(eprop.spikes.sum() >= 10)
    assert relative(gradients(network, *task, "superspike"), eprop, network) < ROUND_OFF


@pytest.mark.parametrize(
    "changes", [{"kind": "alif"}, {"kind": "lif", "reset_path": {"v": "implicit"}}]
)
def test_superspike_leaves_out_adaptation_and_implicit_reset(changes):
    network = random_network(3, **changes)
    task = random_task(3, "mse")
    superspike, eprop = (gradients(network, *task, rule) for rule in ("superspike", "eprop"))
    assert relative(superspike, eprop, network) > WRONG


def test_ottt_is_symmetric_eprop_of_lif_without_a_filter():
    task = None
    for kappa, same in ((0.0, True), (0.8, False)):
        network = network_of("lif", kappa=kappa, feedback=None)
        task = task or cell_task(network, n_steps=20)
        ottt, eprop = (gradient(network, task, rule) for rule in ("ottt", "eprop"))
        assert (relative(ottt, eprop, network) < ROUND_OFF) == same


def test_decolle_sees_neither_the_readout_nor_targets_that_do_not_count():
    network = network_of("lif")
    inputs, targets = cell_task(network, n_steps=20)
    settings = dict(rule="decolle", learning_window=5, seed=0)
    first = gradients(network, inputs, targets, **settings)
    other = targets.copy()
    other[:, :-5] += 1
    second = gradients(evolve(network, w_out=-network.w_out), inputs, other, **settings)
    assert relative(second, first, network) == 0
    other = targets + 1
    assert relative(gradients(network, inputs, other, **settings), first, network) > WRONG
    settings["seed"] = 1
    assert relative(gradients(network, inputs, targets, **settings), first, network) > WRONG


def test_decolle_draws_a_readout_of_the_given_scale():
    network = cell_network("lif", n_rec=100, n_out=100, **ONE_ALPHA)
    drawn = RULES["decolle"].at_work(network, np.random.default_rng(0), scale=3.0).local_readout
    # the largest of 10⁴ uniform numbers is within 1e-3 of the bound, unless once in e¹⁰ times
    assert np.abs(drawn).max() == pytest.approx(0.3, rel=1e-3)


# --------------------------------------------------------------------------------------- rflo


def rflo_by_hand(network, task, leak, kept=None, late=0):
    """Murray's unit and rule, forwards and all, for one synapse after the other."""
    kept = 1 - leak if kept is None else kept
    total = {name: np.zeros(getattr(network, name).shape) for name in ("w_in", "w_rec", "bias")}
    for inputs, targets in zip(*task, strict=True):
        h, o = np.zeros((2, network.n_rec))
        trace = {name: np.zeros_like(array) for name, array in total.items()}
        filtered = {name: np.zeros_like(array) for name, array in total.items()}
        for t, x in enumerate(inputs):
            phi = np.tanh(x @ network.w_in + h @ network.w_rec + network.bias)
            before, h = h, (1 - leak) * h + leak * phi
            o = network.kappa * o + network.readout_gain * h
            y = o @ network.w_out + network.bias_out
            learning = output_error(network, y, targets[t]) @ network.feedback
            seen = inputs[t - late] if t >= late else np.zeros_like(x)
            pre = {"w_in": seen, "w_rec": before, "bias": None}
            for name, array in total.items():
                for index in np.ndindex(array.shape):
                    j = index[-1]
                    arrival = 1.0 if name == "bias" else pre[name][index[0]]
                    immediate = leak * (1 - phi[j] ** 2) * arrival
                    trace[name][index] = kept * trace[name][index] + immediate
                    new = network.readout_gain * trace[name][index]
                    filtered[name][index] = network.kappa * filtered[name][index] + new
                    array[index] += learning[j] * filtered[name][index]
    return SimpleNamespace(**{name: array / len(task[0]) for name, array in total.items()})


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("changes", [{}, KAPPA, KAPPA | {"loss": "cross_entropy"}])
def test_rflo_is_the_rule_of_murray(name, changes):
    network = cell_network(name, 2, **changes)
    task = cell_task(network, 2)
    got = gradient(network, task, "rflo")
    for block in network.blocks:
        by_hand = rflo_by_hand(network, task, LEAKS[name])
        assert relative(got, by_hand, network, [block]) < ROUND_OFF


def test_the_comparison_sees_a_wrong_leak_and_late_inputs():
    network = cell_network("leaky_rate", 2)
    task = cell_task(network, 2)
    got = gradient(network, task, "rflo")
    assert relative(got, rflo_by_hand(network, task, 0.3, kept=0.6), network) > WRONG
    assert relative(got, rflo_by_hand(network, task, 0.3, late=1), network) > WRONG


@pytest.mark.parametrize("name", CELLS_OF["rflo"])
def test_rflo_is_eprop_through_random_feedback(name):
    network = cell_network(name, 3, **KAPPA)
    assert network.feedback is not None
    task = cell_task(network, 3)
    rflo, eprop, bptt = (gradient(network, task, rule) for rule in ("rflo", "eprop", "bptt"))
    assert relative(rflo, eprop, network) < ROUND_OFF
    assert relative(rflo, bptt, network) > WRONG
    turned = cell_network(name, 3, **KAPPA, feedback=-network.feedback)
    np.testing.assert_array_equal(gradient(turned, task, "rflo").w_rec, -rflo.w_rec)


# ------------------------------------------------------------------------------------- es_d_rtrl


def smoothed_product(rank, implicit, drive, arrival, credit, corrected=True):
    """ES-D-RTRL for one weight: D (T, S, S), K (T, S, G), û (T,), ∂E/∂c (T, S) → (G,)."""
    decay = (rank - 1) / (rank + 1)
    x, f, total = 0.0, np.zeros(drive.shape[1:]), np.zeros(drive.shape[2])
    for t in range(len(arrival)):
        x = decay * x + arrival[t]
        f = decay * implicit[t] @ f + (1 - decay) * drive[t]
        mean = f / (1 - decay ** (t + 1)) if corrected else f
        total += credit[t] @ mean * x
    return total


def alif_jacobians(network, run, b, j):
    """D and K of states (v, a, o): explicit reset, implicit adaptation, leaky readout."""
    implicit, drive, last = np.zeros((run.psi.shape[1], 3, 3)), [], 0.0
    for t, psi in enumerate(run.psi[b, :, j]):
        base = np.array(
            [[network.alpha[j], 0], [last, network.rho[j] - network.beta[j] * last]], dtype=float
        )
        q = network.readout_gain * np.array([psi, -network.beta[j] * psi])
        implicit[t, :2, :2], implicit[t, 2, :2], implicit[t, 2, 2] = base, q @ base, network.kappa
        drive.append([[1.0], [0.0], [q[0]]])
        last = psi
    return implicit, np.array(drive)


def es_d_rtrl_of_alif(network, task, rank, late=0, **wrong):
    run = simulate(network, *task)
    batch, n_steps, n_rec = run.psi.shape
    learning = run.error @ network.w_out.T
    result = {}
    for name, source, lag in (("w_in", run.inputs, 0), ("w_rec", run.spikes * 1.0, 1)):
        total = np.zeros((source.shape[2], n_rec))
        arrivals = np.zeros_like(source)
        arrivals[:, lag:] = source[:, : n_steps - lag]
        for b, i, j in np.ndindex(batch, *total.shape):
            implicit, drive = alif_jacobians(network, run, b, j)
            credit = np.zeros((n_steps, 3))
            credit[:, 2] = learning[b, :, j]
            implicit = np.roll(implicit, late, axis=0)
            arrival = arrivals[b, :, i]
            total[i, j] += smoothed_product(rank, implicit, drive, arrival, credit, **wrong)[0]
        result[name] = total * getattr(network, f"mask_{name[2:]}") / batch
    return SimpleNamespace(**result)


def es_d_rtrl_of_lstm(network, task, rank):
    """The gates i, f, g, o of Hochreiter & Schmidhuber and Gers et al., forwards and all."""
    kappa, gain, n = network.kappa, network.readout_gain, network.n_rec
    total = {name: np.zeros(getattr(network, name).shape) for name in ("w_in", "w_rec", "bias")}
    for inputs, targets in zip(*task, strict=True):
        h, c, out = np.zeros((3, n))
        implicit, drive, learning = [], [], []
        pre = {"w_in": inputs, "w_rec": [], "bias": np.ones((len(inputs), 1))}
        for x, target in zip(inputs, targets, strict=True):
            pre["w_rec"].append(h)
            u = network.w_in.swapaxes(1, 2) @ x + network.w_rec.swapaxes(1, 2) @ h + network.bias
            i, f, o = 1 / (1 + np.exp(-u[[0, 1, 3]]))
            g, before = np.tanh(u[2]), c
            c = f * before + i * g
            h = o * np.tanh(c)
            out = kappa * out + gain * h
            y = out @ network.w_out + network.bias_out
            learning.append(output_error(network, y, target) @ network.w_out.T)
            q = gain * np.array([o * (1 - np.tanh(c) ** 2), np.tanh(c)])
            jacobian, gains = np.zeros((3, 3, n)), np.zeros((3, 4, n))
            jacobian[0, 0], jacobian[2, 0], jacobian[2, 2] = f, q[0] * f, kappa
            gains[0, :3] = g * i * (1 - i), before * f * (1 - f), i * (1 - g**2)
            gains[1, 3] = o * (1 - o)
            gains[2] = q[0] * gains[0] + q[1] * gains[1]
            implicit.append(jacobian)
            drive.append(gains)
        implicit, drive, learning = np.array(implicit), np.array(drive), np.array(learning)
        for name, array in total.items():
            for i, j in np.ndindex(np.shape(pre[name])[1], n):
                credit = np.zeros((len(inputs), 3))
                credit[:, 2] = learning[:, j]
                arrival = np.array(pre[name])[:, i]
                of_gates = smoothed_product(rank, implicit[..., j], drive[..., j], arrival, credit)
                array[(slice(None), j) if name == "bias" else (slice(None), i, j)] += of_gates
    return SimpleNamespace(**{name: array / len(task[0]) for name, array in total.items()})


@pytest.mark.parametrize("rank", [1, 4, 19])
def test_es_d_rtrl_is_the_product_of_two_smoothed_factors(rank):
    for name, oracle in (("alif", es_d_rtrl_of_alif), ("lstm", es_d_rtrl_of_lstm)):
        network = cell_network(name, 6, **KAPPA)
        task = cell_task(network, 6)
        got = gradient(network, task, "es_d_rtrl", rank=rank)
        by_hand = oracle(network, task, rank)
        for block in network.blocks:
            assert relative(got, by_hand, network, [block]) < ROUND_OFF


def test_the_comparison_sees_wrong_smoothing():
    network = cell_network("alif", 6, **KAPPA)
    task = cell_task(network, 6)
    got = gradient(network, task, "es_d_rtrl", rank=4)
    for wrong in ({"corrected": False}, {"late": 1}):
        assert relative(got, es_d_rtrl_of_alif(network, task, 4, **wrong), network) > WRONG
    assert relative(got, es_d_rtrl_of_alif(network, task, 5), network) > WRONG


def test_es_d_rtrl_smooths_over_ranks_of_19_by_default():
    network = cell_network("gru", 7)
    task = cell_task(network, 7)
    results = [gradient(network, task, "es_d_rtrl", **o) for o in ({}, {"rank": 19}, {"rank": 18})]
    assert relative(results[0], results[1], network) == 0
    assert relative(results[0], results[2], network) > 0


def test_es_d_rtrl_of_rank_1_is_eprop_of_units_without_memory():
    network = cell_network("elman", 8, feedback=None)
    task = cell_task(network, 8)
    eprop = gradient(network, task, "eprop")
    assert relative(gradient(network, task, "es_d_rtrl", rank=1), eprop, network) < ROUND_OFF


def test_es_d_rtrl_is_biased_for_a_single_unit():
    alone = dict(n_rec=1, w_rec=np.zeros((1, 1)), feedback=None)
    network = cell_network("leaky_rate", 9, **alone)
    task = cell_task(network, 9)
    eprop, bptt = (gradient(network, task, rule) for rule in ("eprop", "bptt"))
    assert relative(eprop, bptt, network) < ROUND_OFF
    for rank in (1, 4, 19, 1000):
        assert relative(gradient(network, task, "es_d_rtrl", rank=rank), bptt, network) > 0.1


# -------------------------------------------------------------------------------- all of the rules


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", CELLS_OF)
def test_batch_is_the_mean_of_its_sequences_for_every_cell(rule):
    for name in CELLS_OF[rule]:
        network = network_of(name, 6, density=0.6, **KAPPA)
        inputs, targets = cell_task(network, 6, batch=3)
        options = OPTIONS.get(rule, {}) | {"seed": 0}
        together = gradients(network, inputs, targets, rule, **options)
        alone = [
            gradients(network, x, y, rule, **options) for x, y in zip(inputs, targets, strict=True)
        ]
        mean = {b: np.mean([getattr(g, b) for g in alone], axis=0) for b in network.blocks}
        assert relative(together, SimpleNamespace(**mean), network) < ROUND_OFF
        assert not together.w_rec[..., ~network.mask_rec].any()


@pytest.mark.parametrize("rule", CELLS_OF)
def test_nothing_is_left_of_the_sequences_before(rule):
    network = network_of(CELLS_OF[rule][0])
    task = cell_task(network, n_steps=9)
    options = OPTIONS.get(rule, {}) | {"seed": 0}
    once, twice = (gradient(network, task, rule, repetitions=n, **options) for n in (1, 2))
    assert relative(twice, once, network) == 0


REFUSALS = [
    ("rflo", "lif", {}, {}, "'rflo' does not apply to a network of 'lif' units: .*'leaky_rate'"),
    ("rflo", "lstm", {}, {}, "'rflo' does not apply to a network of 'lstm' units"),
    ("ottt", "gru", {}, {}, "'ottt' does not apply .* 'gru' units: its traces decay with a mem"),
    ("ottt", "alif", {}, {}, "'ottt' does not apply .* 'alpha' goes from 0.81.*'superspike'"),
    ("ottt", "lif", ONE_ALPHA | {"delay_rec": 2}, {}, "'ottt' .* 'delay_rec' goes up to 2"),
    ("decolle", "elman", {}, {}, "'decolle' does not apply to a network of 'elman' units"),
    ("decolle", "lif", {}, {}, "'decolle' does not apply .* 'alpha' goes from"),
    ("decolle", "lif", ONE_ALPHA, {"scale": 0}, "'decolle': 'scale' = 0 must be"),
    ("decolle", "lif", ONE_ALPHA, {"scale": "big"}, "'scale' = 'big'"),
    ("superspike", "leaky_rate", {}, {}, "'superspike' does not apply .* potential"),
    ("es_d_rtrl", "lif", {"delay_rec": 1}, {}, "'es_d_rtrl' .* 'delay_rec' goes up to 1"),
    ("es_d_rtrl", "lstm", {}, {"rank": 2.5}, "'es_d_rtrl': 'rank' = 2.5 must be an integer"),
    ("tbptt", "lstm", {}, {}, "'tbptt' needs the option 'horizon'"),
    ("tbptt", "lstm", {}, {"horizon": 0}, "'tbptt': 'horizon' = 0"),
    ("tbptt", "lstm", {}, {"horizon": 5, "every": 0}, "'tbptt': 'every' = 0"),
    ("tbptt", "lstm", {}, {"horizon": 2, "every": 3}, "'every' is 3, but 'horizon' is 2"),
]


@pytest.mark.parametrize("rule, name, changes, options, message", REFUSALS)
def test_refusals_say_why(rule, name, changes, options, message):
    network = cell_network(name, **changes)
    with pytest.raises(ValueError, match=message):
        gradients(network, *cell_task(network), rule, **options)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("rule", CELLS_OF)
def test_numbers_stored_grow_as_the_rule_says(rule):
    stored = {}
    for n, n_steps in ((4, 9), (8, 9), (8, 18)):
        network = network_of(CELLS_OF[rule][0], n_in=n, n_rec=n)
        problem = Problem(network, *cell_task(network, n_steps=n_steps))
        recursion = at_work(rule, network)
        problem.gradient(recursion, RULES[rule])
        stored[n, n_steps] = stored_numbers(recursion)
    assert stored[4, 9] > 0
    of_n, of_time = RULES[rule].memory
    assert np.log2(stored[8, 9] / stored[4, 9]) == pytest.approx(of_n, abs=0.15)
    assert np.log2(stored[8, 18] / stored[8, 9]) == of_time


@pytest.mark.parametrize("rule", CELLS_OF)
def test_only_local_rules_do_without_the_recurrent_weights(rule):
    network = network_of(CELLS_OF[rule][0], **KAPPA)
    problem = Problem(network, *cell_task(network))
    with_weights = problem.gradient(at_work(rule, network), RULES[rule])
    elsewhere = {lag: np.full_like(w, np.pi) for lag, w in problem.steps[0].recurrent.items()}
    problem.steps = [evolve(step, recurrent=elsewhere) for step in problem.steps]
    without = problem.gradient(at_work(rule, network), RULES[rule])
    same = all(np.array_equal(with_weights[name], without[name]) for name in network.blocks)
    assert same == RULES[rule].local


@pytest.mark.parametrize("rule", CELLS_OF)
def test_feedback_weights_matter_to_the_rules_that_say_so(rule):
    name = CELLS_OF[rule][0]
    network = network_of(name)
    task = cell_task(network)
    options = OPTIONS.get(rule, {}) | {"seed": 0}
    turned = network_of(name, feedback=-network.feedback)
    pair = [gradients(n, *task, rule, **options) for n in (network, turned)]
    sign = -1 if RULES[rule].uses_feedback else 1
    np.testing.assert_array_equal(pair[0].w_rec, sign * pair[1].w_rec)
    assert np.any(pair[0].w_rec)


@pytest.mark.parametrize("rule", CELLS_OF)
def test_rules_that_need_no_future_pay_as_they_go(rule):
    assert RULES[rule].causal and not RULES[rule].exact and not RULES[rule].unbiased
    network = network_of(CELLS_OF[rule][0])
    problem = Problem(network, *cell_task(network, n_steps=8))
    recursion = at_work(rule, network)
    problem.gradient(recursion, RULES[rule])
    # a whole number of blocks has been paid for
    assert recursion.finish() is None
