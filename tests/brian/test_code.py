"""Names: what learning adds to a network meets no name of a user, and shows public names only."""

import re
from functools import cache

import numpy as np
import pytest
from brian2 import BrianLogger, Hz, NeuronGroup, StateMonitor, Synapses, ms, start_scope
from brian2.utils.logger import catch_logs
from own_networks import SPIKING, TOLERANCE, WEIGHTS, Small, T, refusal

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    LeakyReadout,
    Learner,
    TrainableSynapses,
)
from brian_eprop.brian.step_flags import FLAGS
from brian_eprop.reward import ActorCriticReadout

pytestmark = pytest.mark.usefixtures("numpy_target")

LIF = "dv/dt = (drive*mV - v)/(20*ms) : volt (unless refractory)"
TRIALS = {"regularizers": [FiringRateRegularizer(10 * Hz, 1.0)]}
#: Every way of learning that has variables of its own.
KINDS = {
    "credit": {"order": 2, "learner": TRIALS | {"optimizer": Adam(0.1), "update_every": T * ms}},
    "windows": {"learner": TRIALS | {"update_every": T / 4 * ms}},
    "parameters": {"learner": {"trainable": ["rest"]}},
    "traces": {"engine": "traces", "learner": TRIALS},
    "updates": {
        "engine": "traces",
        "learner": {"optimizer": Adam(0.1), "update_every": T / 2 * ms},
    },
}
#: What users may record.
PUBLIC = re.compile(
    "psi|L|grad|grad_rest|e_trace|e_bar|eps_(v|y)|y|y_target|error|loss|credit_(v|y)|learning"
    "|trial_step|tau_out"
)
#: What a plain network has.
OWN = {"v", "drive", "rest", "w", "N", "i", "j", "t", "dt", "t_in_timesteps", "rates", "lastspike"}
OWN |= {
    "not_refractory",
    "N_pre",
    "N_post",
    "N_incoming",
    "N_outgoing",
    "delay",
    "period",
    "spike_time",
}


def decaying_synapses(small):
    """Synapses that scale the state, and trained ones with a delay, from neurons to neurons."""
    small.recurrent = TrainableSynapses(
        small.group,
        small.group,
        on_pre="v_post += w*mV",
        learner=small.learner,
        delay=2 * ms,
        name="recurrent",
    )
    small.recurrent.connect()
    small.recurrent.w = 0.3
    if small.learner.rule.engine == "traces":
        return [small.recurrent]
    scaling = Synapses(small.source, small.group, on_pre="v_post *= 0.99")
    scaling.connect()
    scaling.pre.order = 1
    return [small.recurrent, scaling]


def learning(kind, equations=LIF, drive="rest", **options):
    """A small network that learns in one of the ways."""
    text = f"{equations}\ndrive = {drive} : 1\nrest : 1 (constant)"
    return Small(text, decaying_synapses, refractory=2 * ms, **KINDS[kind] | options)


def objects(small):
    """Everything that has variables which learning may add to."""
    return (small.group, small.readout, small.inputs, small.recurrent, small.outputs)


@cache
def variables(kind):
    """The names of all variables of a network that has run."""
    small = learning(kind)
    small.run()
    owners = [*objects(small), *(s.pre for s in (small.inputs, small.recurrent, small.outputs))]
    return sorted({name for owner in owners for name in owner.variables})


@cache
def internal_names(kind):
    """What the internal variables would be called without underscores."""
    names = {n.lstrip("_") for n in variables(kind) if n.startswith("__")}
    return sorted(n for n in names if not n.endswith(("_pre", "_post")))


@cache
def names_of_brian2():
    """Names with an underscore that plain groups and synapses have."""
    start_scope()
    group = NeuronGroup(2, "dv/dt = -v/(9*ms) : volt", **SPIKING)
    synapses = Synapses(group, group, "w : 1", on_pre="v_post += w*mV")
    return {n for o in (group, synapses, synapses.pre) for n in o.variables if n[0] == "_"}


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", KINDS)
def test_a_variable_that_learning_adds_is_public_or_begins_with_two_underscores(kind):
    for name in variables(kind):
        of_brian2 = name in names_of_brian2() or re.match("_(drive|y_target)_", name)
        own = re.sub("_(pre|post)$", "", name)
        known = {name, own} & OWN or PUBLIC.fullmatch(own) or of_brian2
        assert known or name.startswith("__"), name
    assert len(internal_names(kind)) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_flags_of_the_step_are_in_their_table(kind):
    readout = learning(kind).readout
    shared = {n for n, v in readout.variables.items() if n.startswith("__") and v.scalar}
    # a filter of the backward pass, and where a trial started
    others = {n for n in shared if n == "__credit_filter" or n.startswith("__start_")}
    assert shared - others <= FLAGS.keys()
    missing = {flag.of for name, flag in FLAGS.items() if name not in shared}
    assert missing <= {"rewards", "window"}


ROLES = ("constant", "parameter", "state", "of_synapses")


class Roles:
    """Networks in which a user has called something by given names, to the same effect."""

    @staticmethod
    def constant(kind, names, values):
        constants = dict(zip(names, values, strict=True))
        return learning(kind, drive=f"rest + {' + '.join(names)}", names=constants)

    @staticmethod
    def parameter(kind, names, values):
        lines = "\n".join(f"{name} : 1" for name in names)
        small = learning(kind, f"{LIF}\n{lines}", f"rest + {' + '.join(names)}")
        for name, value in zip(names, values, strict=True):
            setattr(small.group, name, value)
        return small

    @staticmethod
    def state(kind, names, values):
        lines = "\n".join(
            f"d{name}/dt = ({value!r} - {name})/(9*ms) : 1"
            for name, value in zip(names, values.tolist(), strict=True)
        )
        return learning(kind, f"{LIF}\n{lines}", f"rest + {names[0]}")

    @staticmethod
    def of_synapses(kind, names, values):
        model = "\n".join(["w : 1", *(f"{name} : 1 (constant)" for name in names)])
        on_pre = f"v_post += w*(1 + 0.1*({' + '.join(names)}))*mV"
        small = learning(kind, model=model, on_pre=on_pre)
        for name, value in zip(names, values, strict=True):
            setattr(small.inputs, name, value)
        return small


#: Every role in both engines, and every way of learning with one role.
MEETINGS = [(kind, role) for kind in ("credit", "traces") for role in ROLES]
MEETINGS += [("windows", "constant"), ("parameters", "parameter"), ("updates", "of_synapses")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "role"), MEETINGS)
def test_a_user_may_have_any_internal_name(kind, role):
    names = internal_names(kind)
    values = np.sin(np.arange(len(names)))

    def outcome(names):
        small = getattr(Roles, role)(kind, names, values)
        small.run()
        assert small.spikes.num_spikes > 10
        parts = [small.readout.loss[:], *(s.w[:] for s in objects(small)[2:])]
        gradients = [s.grad[:] for s in objects(small)[2:]]
        assert np.any(gradients[0] != 0) or np.any(small.inputs.w[:] != WEIGHTS)
        return np.concatenate([*parts, *gradients])

    expected = outcome([f"of_mine_{k}" for k in range(len(names))])
    np.testing.assert_allclose(outcome(names), expected, rtol=TOLERANCE, atol=1e-12)


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_states_have_no_internal_names(kind):
    small = learning(kind)
    small.run()
    for owner in objects(small):
        recorded = StateMonitor(owner, True, record=[0]).record_variables
        for name in {*owner.get_states(), *recorded}:
            own = re.sub("_(pre|post)$", "", name)
            assert name in OWN or own in OWN or PUBLIC.fullmatch(own), (owner.name, name)


def test_lists_of_states_of_a_readout_with_rewards():
    """All that its description names, and nothing else."""
    readout = ActorCriticReadout(2, 20 * ms, 0.9)
    Learner(readout, EProp(engine="traces"), reset_every="episode")
    described = f"{ActorCriticReadout.__doc__} {LeakyReadout.__doc__} trial_step tau_out"
    for name in {*readout.get_states(), *readout.equations.names} - OWN:
        assert re.search(rf"\b{name}\b", described), name


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_warned_of_names_in_what_the_user_has_not_written(kind):
    small = learning(kind)
    # Of Brian2's names users write some, and Brian2 itself for their refractoriness
    used = {name for owner in objects(small) for name in owner.variables}
    used -= OWN | {"v_post", "y_post"}
    used |= {"target_values", "target_period", "y_pre", "B", "kappa", "i", "j", "delay"}
    namespace = dict.fromkeys(used | {"clip", "exp"}, 3.0)
    BrianLogger._log_messages.clear()  # of which Brian2 tells once
    with catch_logs() as logs:
        small.network.run(T * ms, namespace=namespace)
        small.network.run(T * ms, namespace=namespace)
    assert [message for _, _, message in logs] == []


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "kind, name",
    [("credit", name) for name in ("psi", "credit_v", "grad")]
    + [("traces", name) for name in ("psi", "L", "grad", "e_trace", "e_bar", "eps_v")],
)
@pytest.mark.parametrize("role", ["constant", "of_synapses"])
def test_a_constant_with_a_public_name_is_refused_or_means_itself(kind, name, role):
    def build(name):
        if role == "constant":
            return learning(kind, drive=f"rest + {name}", names={name: 0.7})
        return learning(kind, on_pre=f"v_post += w*(1 + {name})*mV")

    def run(name, found):
        found.append(build(name))
        found[0].network.run(T * ms, namespace={name: 0.7})

    found, expected = [], []
    error = refusal(lambda: run(name, found))
    if error is not None:
        assert f"'{name}'" in error
        return
    run("of_mine", expected)
    np.testing.assert_allclose(found[0].loss, expected[0].loss, rtol=TOLERANCE)
    np.testing.assert_allclose(found[0].inputs.w[:], expected[0].inputs.w[:], rtol=TOLERANCE)
