"""Each group has the ψ that is given for it, in both engines, at every order, and in the check."""

import math

import numpy as np
import pytest
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    defaultclock,
    ms,
    mV,
    volt,
)

from brian_eprop import (
    BPTT,
    EProp,
    Exponential,
    FastSigmoid,
    Formula,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    RecurrentNetwork,
    TrainableSynapses,
    load_model,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

T, N = 40, 3
WIDE, OWN = PiecewiseLinear(20 / volt, 15 * mV), Formula("exp(-abs(x)/(8*mV))/(30*mV)")


def two_groups(rule, trained=True, feedback="symmetric"):
    """Inputs → excitatory ⇄ inhibitory, and both → readout: (network, learner, gradients).

    ``rule`` is a function of the two groups. Without ``trained``, synapses of the inhibitory
    group do not learn.
    """
    defaultclock.dt = 1 * ms
    rng = np.random.default_rng(4)
    steps, channels = np.nonzero(rng.random((T, 6)) < 0.3)
    source = SpikeGeneratorGroup(6, channels, steps * ms, period=T * ms)
    groups = [
        NeuronGroup(
            N,
            f"dv/dt = -v/({tau}*ms) : volt",
            threshold="v > 12*mV",
            reset="v -= 12*mV",
            method="exact",
            name=name,
        )
        for name, tau in (("excitatory", 20), ("inhibitory", 12))
    ]
    exc, inh = groups
    R = LeakyReadout(1, tau=15 * ms, target=rng.standard_normal((T, 1)), period=T * ms)
    L = Learner(R, rule(exc, inh), reset_every=T * ms, feedback=feedback, seed=2)
    learning, objects = [], []
    for pre, post, scale in ((source, exc, 6), (source, inh, 5), (exc, inh, 4), (inh, exc, -4)):
        if post is inh and not trained:
            S = Synapses(pre, post, "w : 1", on_pre="v_post += w*mV")
        else:
            S = TrainableSynapses(pre, post, on_pre="v_post += w*mV", learner=L)
            learning.append(S)
        S.connect()
        S.w = scale * (0.5 + rng.random(len(S)))
        objects.append(S)
    for pre in (exc, inh)[: 1 + trained]:
        S = TrainableSynapses(pre, R, on_pre="y_post += w", learner=L)
        S.connect()
        S.w = rng.standard_normal(len(S))
        objects.append(S)
    return Network(source, exc, inh, R, *objects), L, learning


def gradients(rule, **options):
    network, _, learning = two_groups(rule, **options)
    network.run(T * ms)
    found = [np.array(S.grad) for S in learning]
    assert all(np.any(grad) for grad in found)
    return found


def differ(one, other):
    return [not np.allclose(a, b, rtol=1e-6) for a, b in zip(one, other, strict=True)]


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["credit", "traces"])
def test_each_group_has_its_own(engine):
    # onto excitatory, onto inhibitory, excitatory → inhibitory, inhibitory → excitatory
    own = gradients(lambda exc, inh: EProp(engine=engine, surrogate={exc: WIDE, inh: OWN}))
    wide = gradients(lambda exc, inh: EProp(engine=engine, surrogate=WIDE))
    formula = gradients(lambda exc, inh: EProp(engine=engine, surrogate=OWN))
    for k, expected in enumerate((wide, formula, formula, wide)):
        # the same code runs, but sums of spikes onto a target have another order
        np.testing.assert_allclose(own[k], expected[k], rtol=1e-12)
    assert all(differ(wide, formula))


def test_both_engines_agree():
    rules = [
        lambda exc, inh, engine=engine: EProp(engine=engine, surrogate={exc: WIDE, inh: OWN})
        for engine in ("credit", "traces")
    ]
    for credit, traces in zip(*map(gradients, rules), strict=True):
        # sums of 40 steps in another order
        np.testing.assert_allclose(credit, traces, rtol=1e-10, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "trained"), [(1, True), (2, False), (math.inf, True), (math.inf, False)]
)
def test_the_check_knows_the_surrogate_of_each_group(order, trained):
    network, learner, _ = two_groups(
        lambda exc, inh: EProp(order=order, surrogate={exc: WIDE, inh: OWN}), trained=trained
    )
    found = learner.check(network=network, synapses=2)
    assert found.passed, str(found)
    assert found.spikes > 10
    assert any(row.finite_difference != 0 for row in found.rows)


@pytest.mark.slow
def test_the_check_finds_that_two_surrogates_are_taken_for_each_other():
    network, learner, _ = two_groups(lambda exc, inh: EProp(surrogate={exc: WIDE, inh: OWN}))
    exc, inh = learner.rule.surrogate
    network.run(0 * ms)  # code is generated with these
    object.__setattr__(learner.rule, "surrogate", {exc: OWN, inh: WIDE})
    assert not learner.check(network=network, synapses=3).passed


@pytest.mark.slow
def test_a_group_that_does_not_learn_has_its_own_on_the_path_of_credit():
    one, other = (
        gradients(lambda exc, inh, psi=psi: BPTT(surrogate={exc: WIDE, inh: psi}), trained=False)
        for psi in (WIDE, OWN)
    )
    assert all(differ(one, other))
    both = gradients(lambda exc, inh: BPTT(surrogate=WIDE), trained=False)
    for a, b in zip(one, both, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)  # sums of spikes in another order


def test_a_group_that_is_not_named_keeps_that_of_its_model():
    def learner(rule):
        lif = load_model("lif").group(2, surrogate=FastSigmoid(0.3, 1.0), name="of_a_model")
        R = LeakyReadout(1, tau=20 * ms, target=np.zeros((T, 1)), period=T * ms)
        plain = NeuronGroup(1, "v : 1", threshold="v > 1", name="plain")
        L = Learner(R, rule(plain), reset_every=T * ms)
        TrainableSynapses(lif, lif, on_pre="v_post += w", learner=L)
        return L, plain

    learner(lambda plain: EProp(surrogate={plain: WIDE}))
    L, plain = learner(lambda plain: EProp(surrogate={}))
    with pytest.raises(ValueError, match=r"group 'plain' has no surrogate.*one for each group"):
        TrainableSynapses(plain, plain, on_pre="v_post += w", learner=L)


def test_a_group_that_is_neither_named_nor_of_a_model_is_refused():
    with pytest.raises(ValueError, match=r"group 'inhibitory' has no surrogate.*excitatory: …"):
        two_groups(lambda exc, inh: EProp(surrogate={exc: WIDE}))


def test_keys_are_whole_groups_with_a_threshold():
    group = NeuronGroup(4, "v : 1", threshold="v > 1", name="mine")
    silent = NeuronGroup(4, "v : 1", name="silent")
    with pytest.raises(TypeError, match="has the key 'mine', which is no NeuronGroup"):
        EProp(surrogate={"mine": WIDE})
    with pytest.raises(ValueError, match="is a part of group 'mine'"):
        EProp(surrogate={group[:2]: WIDE})
    with pytest.raises(ValueError, match="'silent', which has no threshold"):
        EProp(surrogate={silent: WIDE})
    with pytest.raises(ValueError, match=r"EProp\.surrogate of group 'mine' = 0\.3 is not"):
        EProp(surrogate={group: 0.3})
    with pytest.raises(ValueError, match="is not a surrogate"):
        EProp(surrogate=Exponential)


def test_a_rule_is_a_value():
    group, other = (NeuronGroup(1, "v : 1", threshold="v > 1") for _ in range(2))
    given = {group: WIDE}
    rule = EProp(surrogate=given)
    assert rule == EProp(surrogate={group: WIDE})
    assert hash(rule) == hash(EProp(surrogate={group: WIDE}))
    assert rule != EProp(surrogate={other: WIDE})
    assert hash(EProp(surrogate=WIDE, reset_path={"v": "explicit"})) is not None
    assert f"name='{group.name}'" in repr(rule)
    given[group] = OWN
    assert rule.surrogate_of(group) == WIDE
    assert rule.surrogate_of(other) is None


def test_a_recurrent_network_has_them_in_its_populations():
    group = NeuronGroup(1, "v : 1", threshold="v > 1")
    options = dict(n_in=2, n_rec=3, n_out=1)
    with pytest.raises(ValueError, match="give each population its surrogate"):
        RecurrentNetwork(neurons="lif", **options, rule=EProp(surrogate={group: WIDE}))
    psi = Formula("0.3*exp(-abs(x))")
    network = RecurrentNetwork(**options, neurons=[("lif", 3, {"surrogate": psi})])
    assert network.description.populations[0].learning_with(EProp()).surrogate == psi
