"""What must stay as it is within a trial: weights, the code that runs, states between two runs."""

from functools import partial

import numpy as np
import pytest
from brian2 import NetworkOperation, NeuronGroup, Synapses, ms, mV
from own_networks import Small, T, refusal

pytestmark = pytest.mark.usefixtures("numpy_target")


def operation(function, **options):
    return NetworkOperation(function, dt=1 * ms, name="operation", **options)


def scaled(owner, step=None, **options):
    """A function of Python that scales weights in every step, or in one."""

    def others(small):
        synapses = getattr(small, owner)

        def scale(t):
            if step is None or round(t / ms) % T == step:
                synapses.w = 0.9 * np.array(synapses.w)

        return [operation(scale, **options)]

    return others


@pytest.mark.parametrize("engine", ["credit", "traces"])
@pytest.mark.parametrize("owner", ["inputs", "outputs"])
class TestWeights:
    @pytest.mark.first_case_is_fast
    def test_code_that_changes_weights_is_refused(self, owner, engine):
        def others(small):
            getattr(small, owner).run_regularly("w = clip(w, 0, 3)", dt=5 * ms)

        error = refusal(lambda: Small(others=others, engine=engine).run())
        assert f"the weight 'w' of '{owner}'" in error

    @pytest.mark.first_case_is_fast
    def test_python_that_changes_weights_is_refused(self, owner, engine):
        error = refusal(lambda: Small(others=scaled(owner), engine=engine).run())
        assert f"'operation' changes 'w' of the synapses '{owner}' within a trial" in error
        # The error of the readout would come back along other weights
        assert ("counts as given" in error) == (owner == "inputs")

    @pytest.mark.first_case_is_fast
    def test_after_a_trial_weights_may_change(self, owner, engine):
        last = scaled(owner, step=T - 1, when="after_end")
        small, other = Small(others=last, engine=engine), Small(engine=engine)
        small.run()
        other.run()
        np.testing.assert_array_equal(small.gradient, other.gradient)
        assert (getattr(small, owner).w[:] != getattr(other, owner).w[:]).all()

    @pytest.mark.first_case_is_fast
    def test_before_a_trial_weights_may_change(self, owner, engine):
        small, other = Small(others=scaled(owner, step=0), engine=engine), Small(engine=engine)
        synapses = getattr(other, owner)
        synapses.w = 0.9 * np.array(synapses.w)
        small.run()
        other.run()
        assert small.loss == other.loss
        np.testing.assert_array_equal(small.gradient, other.gradient)


def test_a_pathway_of_postsynaptic_spikes_that_changes_weights_is_refused():
    error = refusal(lambda: Small(synapses={"on_post": "w = clip(w + 0.1, 0, 5)"}).run())
    assert "'inputs_post'" in error
    assert "the weight 'w' of 'inputs'" in error


def test_python_that_changes_weights_of_followed_synapses_is_refused():
    def others(small):
        plain = Synapses(small.group, small.group, "w : 1", on_pre="v_post += w*mV", name="plain")
        plain.connect("i != j")
        plain.w = 0.5

        def scale(t):
            plain.w = 0.8 * np.array(plain.w)

        return [plain, operation(scale)]

    error = refusal(lambda: Small(others=others, order=np.inf).run())
    assert "changes 'w' of the synapses 'plain' within a trial" in error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_an_output_that_feeds_back_is_refused(order):
    def others(small):
        back = Synapses(small.readout, small.group, "I_post = 0.3*y_pre*mV : volt (summed)")
        back.connect()
        return [back]

    text = "dv/dt = (I - v)/(20*ms) : volt\nI : volt"
    error = refusal(lambda: Small(text, others, order=order).run())
    assert "brings the output of readout 'answers' back" in error
    assert "'answers' → 'neurons'" in error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("stage", ["state_updater", "thresholder", "resetter"])
def test_a_stage_that_does_not_run_is_refused(stage):
    def others(small):
        runner = getattr(small.group, stage)
        (runner if stage == "state_updater" else runner["spike"]).active = False

    assert "its active is False" in refusal(lambda: Small(others=others).run())


@pytest.mark.slow
@pytest.mark.parametrize("code", ["v = 0.9*v", "v = v**2/(10*mV)"])
def test_code_of_a_sub_group_is_a_stage_of_its_neurons(code):
    def others(small):
        part = small.group[1:4]
        part.run_regularly(code, dt=2 * ms)
        return [part]

    small = Small(others=others)
    found = small.learner.check(T * ms, small.network, synapses=5)
    assert found.passed, str(found)
    assert "depends on the index 'i'" in refusal(
        lambda: Small(others=partial(indexed, "v = 0.1*i*v")).run()
    )


def indexed(code, small):
    part = small.group[1:4]
    part.run_regularly(code, dt=1 * ms)
    return [part]


def test_python_that_changes_a_parameter_says_once_that_it_counts_as_given():
    text = "dv/dt = (I - v)/(20*ms) : volt\nI : volt"

    def others(small):
        def couple(t):
            small.group.I = 0.1 * np.mean(small.group.v)

        return [operation(couple)]

    small = Small(text, others)
    with pytest.warns(UserWarning, match="changes 'I' of group 'neurons'") as caught:
        small.run()
    assert sum("changes 'I'" in str(one.message) for one in caught) == 1
    assert np.abs(small.gradient).max() > 0


def assigned(what):
    """Something that a user does between two runs."""

    def act(small):
        if what == "state":
            small.group.v = 1 * mV
        elif what == "weight":
            small.outputs.w = 2
        elif what == "code":
            small.network.add(small.group.run_regularly("v *= 0.9", dt=1 * ms))
        elif what == "slot":
            small.group.resetter["spike"].when = "before_synapses"
        elif what == "active":
            small.inputs.active = False

    return act


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("engine", ["credit", "traces"])
@pytest.mark.parametrize("what", ["state", "weight", "code", "slot", "active"])
def test_what_is_changed_between_two_runs_within_a_trial_is_refused(what, engine):
    small = Small(engine=engine)
    small.network.run(T / 2 * ms)
    assigned(what)(small)
    error = refusal(lambda: small.network.run(T / 2 * ms))
    never = engine == "traces" and what in ("code", "slot")
    assert ("EProp(engine='credit')" if never else "within a trial") in error


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("what", ["state", "weight"])
def test_what_is_changed_between_two_trials_is_not(what):
    small = Small()
    small.run()
    before = small.gradient
    assigned(what)(small)
    small.run()
    assert np.abs(small.gradient - before).max() > 0


def test_runs_within_a_trial_are_one_run_where_nothing_changes():
    whole, parts = Small(), Small()
    parts.network.run(T / 4 * ms)
    parts.network.store()
    parts.network.run(T / 4 * ms)
    parts.network.restore()
    watched = NeuronGroup(1, "x : 1")
    parts.network.add(watched)
    parts.network.remove(watched)
    parts.network.run(3 * T / 4 * ms)
    whole.run()
    np.testing.assert_array_equal(parts.gradient, whole.gradient)
