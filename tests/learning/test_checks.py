"""Every mistake is refused with a message that names the object, the value and the remedy."""

import re

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    TimedArray,
    defaultclock,
    ms,
    mV,
    nS,
    second,
    volt,
)
from brian2.core.base import BrianObjectException
from brian2.units import DimensionMismatchError

from brian_eprop import (
    Adam,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    TrainableSynapses,
    load_model,
)
from brian_eprop.calculus.derivatives import NoDerivativeError

pytestmark = pytest.mark.usefixtures("numpy_target")
TARGET = np.zeros((50, 2))
PSI = PiecewiseLinear(height=0.3, width=1.0)
UTILIZATION = "w : 1\ndu/dt = -u/(50*ms) : 1 (clock-driven)"


@pytest.fixture(autouse=True)
def one_millisecond():
    defaultclock.dt = 1 * ms


def readout(**changes):
    return LeakyReadout(2, **({"tau": 20 * ms, "target": TARGET, "name": "answers"} | changes))


def lif(n=3, **changes):
    return load_model("lif").group(n, **({"name": "hidden"} | changes))


def learner(**options):
    return Learner(readout(), **options)


def refused(error, *words):
    """The error, with every one of the words in its message."""
    pattern = "".join(f"(?=.*{re.escape(word)})" for word in words)
    return pytest.raises(error, match=f"(?s){pattern}")


class TestReadout:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "changes, error, words",
        [
            ({"tau": 20}, DimensionMismatchError, ["LeakyReadout.tau = 20", "20*ms"]),
            ({"tau": 20 * mV}, DimensionMismatchError, ["LeakyReadout.tau", "must be a time"]),
            ({"tau": -1 * ms}, ValueError, ["LeakyReadout.tau", "positive"]),
            ({"tau": np.nan * ms}, ValueError, ["LeakyReadout.tau", "finite"]),
            ({"tau": [1, 2] * ms}, ValueError, ["LeakyReadout.tau", "one positive"]),
            ({"loss": "hinge"}, ValueError, ["LeakyReadout.loss = 'hinge'", "cross_entropy"]),
            ({"foo": 3}, TypeError, ["LeakyReadout has no argument 'foo'", "tau", "name, dt"]),
            ({"normalise": True}, TypeError, ["LeakyReadout", "'normalise' (did you mean 'norma"]),
            ({"target": TARGET * volt}, DimensionMismatchError, ["LeakyReadout.target", "unit"]),
            (
                {"target": TimedArray(TARGET * volt, dt=1 * ms)},
                DimensionMismatchError,
                ["LeakyReadout.target", "unit"],
            ),
            ({"target": TARGET.T}, ValueError, ["LeakyReadout.target", "(2, 50)", "(steps, 2)"]),
            ({"target": TARGET[:, 0]}, ValueError, ["LeakyReadout.target", "(50,)"]),
            ({"period": 0.5 * ms}, ValueError, ["LeakyReadout.period", "multiple"]),
            ({"period": 5}, DimensionMismatchError, ["LeakyReadout.period", "must be a time"]),
            (
                {"target": TimedArray(TARGET, dt=2 * ms)},
                ValueError,
                ["'answers'", "2. ms", "1. ms"],
            ),
        ],
    )
    def test_arguments(self, changes, error, words):
        with refused(error, *words):
            readout(**changes)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_target_that_is_not_finite(self, value):
        target = TARGET.copy()
        target[7, 1] = value
        with refused(ValueError, "LeakyReadout.target[7, 1]", str(value)):
            readout(target=target)

    def test_a_target_shorter_than_the_run(self):
        group = readout()
        with pytest.raises(BrianObjectException) as raised:
            Network(group).run(51 * ms)
        assert "'answers' has 50 rows" in str(raised.value.__cause__)
        assert "51 are needed" in str(raised.value.__cause__)
        Network(readout(name="exact")).run(50 * ms)

    def test_a_target_shorter_than_its_period(self):
        with pytest.raises(BrianObjectException) as raised:
            Network(readout(period=60 * ms)).run(10 * ms)
        assert "60 are needed" in str(raised.value.__cause__)
        Network(readout(period=50 * ms, name="repeated")).run(200 * ms)

    def test_a_time_step_changed_after_its_creation(self):
        group = readout()
        defaultclock.dt = 0.5 * ms
        with pytest.raises(BrianObjectException) as raised:
            Network(group).run(10 * ms)
        assert "set defaultclock.dt before" in str(raised.value.__cause__)


class TestLearner:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "options, error, words",
        [
            ({"feedback": "direct"}, ValueError, ["Learner.feedback = 'direct'", "'adaptive'"]),
            ({"feedback": np.ones((3, 2))}, ValueError, ["Learner.feedback", "(3, 2)", "(2, n)"]),
            ({"feedback": np.ones(2)}, ValueError, ["Learner.feedback", "(2,)"]),
            ({"feedback": np.full((2, 3), np.nan)}, ValueError, ["Learner.feedback[0, 0] = nan"]),
            ({"feedback": {"hidden": 1}}, TypeError, ["Learner.feedback", "'hidden'"]),
            ({"feedback_decay": 1.0}, ValueError, ["Learner.feedback_decay = 1.0"]),
            ({"feedback_decay": 0.1}, ValueError, ["feedback_decay = 0.1", "'adaptive'"]),
            ({"optimizer": Adam(0.1)}, ValueError, ["Learner.update_every", "1*second"]),
            ({"optimizer": "adam"}, TypeError, ["Learner.optimizer = 'adam'", "Adam(5e-3)"]),
            ({"rule": "eprop"}, TypeError, ["Learner.rule = 'eprop'", "EProp(order=1)"]),
            ({"update_every": 1.5 * ms}, ValueError, ["Learner.update_every", "1.5 ms"]),
            ({"update_every": 10}, DimensionMismatchError, ["Learner.update_every = 10"]),
            ({"reset_every": 10 * mV}, DimensionMismatchError, ["Learner.reset_every"]),
            ({"reset_every": -10 * ms}, ValueError, ["Learner.reset_every", "positive"]),
            (
                {"update_every": 6 * ms, "reset_every": 4 * ms},
                ValueError,
                ["update_every (6 steps)", "reset_every (4 steps)", "multiples"],
            ),
            (
                {"learning_window": 6 * ms, "reset_every": 4 * ms},
                ValueError,
                ["Learner.learning_window", "cannot be longer"],
            ),
            ({"learning_window": 6 * ms}, ValueError, ["learning_window", "needs reset_every"]),
            (
                {"regularizers": [FiringRateRegularizer(10 * Hz, 1.0)]},
                ValueError,
                ["Learner.regularizers", "reset_every or update_every"],
            ),
            (
                {"regularizers": FiringRateRegularizer(10 * Hz, 1.0), "reset_every": 5 * ms},
                TypeError,
                ["Learner.regularizers", "list"],
            ),
        ],
    )
    def test_arguments(self, options, error, words):
        with refused(error, *words):
            learner(**options)

    def test_something_else_than_a_readout(self):
        with refused(TypeError, "Learner.readout", "LeakyReadout"):
            Learner(lif())

    def test_two_learners_on_one_readout(self):
        group = readout()
        Learner(group)
        with refused(ValueError, "'answers' already has a learner"):
            Learner(group)

    def test_a_readout_without_target(self):
        with refused(ValueError, "'answers' has no target", "target=..."):
            Learner(readout(target=None))

    @pytest.mark.parametrize(
        "options",
        [
            {"optimizer": Adam(1e-3)},
            {"rule": EProp(order=2)},
            {"reset": [3], "reset_every": 50 * ms},
        ],
    )
    def test_a_learner_that_was_refused_leaves_its_readout_free(self, options):
        answers = readout()
        with pytest.raises((ValueError, TypeError)):
            Learner(answers, **options)
        assert Learner(answers).readout is answers

    def test_an_average_over_nothing(self):
        with refused(ValueError, "LeakyReadout.average", "reset_every"):
            Learner(readout(average=True))

    @pytest.mark.parametrize(
        "options, words",
        [
            ({"order": 0}, ["EProp.order = 0", "math.inf"]),
            ({"order": 2, "engine": "traces"}, ["EProp.order = 2", "leave out engine='traces'"]),
            ({"engine": "magic"}, ["EProp.engine = 'magic'", "'traces'"]),
            ({"surrogate": 0.3}, ["EProp.surrogate = 0.3", "PiecewiseLinear"]),
            ({"reset_path": {"v": "open"}}, ["EProp.reset_path['v'] = 'open'", "'detached'"]),
        ],
    )
    def test_rules(self, options, words):
        with refused(ValueError, *words):
            EProp(**options)

    def test_reset_paths_are_named_by_text(self):
        with refused(TypeError, "the key 1 of EProp.reset_path", "such as 'v'"):
            EProp(reset_path={1: "implicit"})


class TestSynapses:
    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "options, error, words",
        [
            ({"learner": None}, TypeError, ["TrainableSynapses.learner is missing"]),
            ({"on_pre": {"pre": "v += w"}}, TypeError, ["TrainableSynapses.on_pre"]),
            ({"arrival": "start"}, ValueError, ["TrainableSynapses.arrival = 'start'"]),
            ({"delay": {"pre": 1 * ms}}, TypeError, ["TrainableSynapses.delay", "one pathway"]),
            ({"on_event": "spike"}, ValueError, ["TrainableSynapses.on_event"]),
            ({"weight": "g"}, ValueError, ["TrainableSynapses.weight = 'g'", "'g : 1'"]),
            ({"wait": 1}, TypeError, ["TrainableSynapses has no argument 'wait'", "'weight'"]),
            ({"model": "w : 1 (shared)"}, ValueError, ["'w' is flagged shared"]),
            ({"model": "w : 1 (constant)"}, ValueError, ["'w' is flagged constant"]),
            (
                {"model": "w : 1\ndx/dt = w/second : 1 (clock-driven)"},
                NoDerivativeError,
                ["'x' uses the weight 'w'"],
            ),
            ({"model": "w : 1\ngrad : 1"}, ValueError, ["'grad'", "rename"]),
            ({"bounds": (0, 1)}, ValueError, ["TrainableSynapses.bounds", "no optimizer"]),
            (
                {"on_pre": "v_post += w*v_post"},
                NoDerivativeError,
                ["v_post += w*v_post", "depends on 'v_post'", "reset_every"],
            ),
            ({"on_pre": "v_post += 1"}, NoDerivativeError, ["does not add the weight 'w'"]),
            ({"on_pre": "v_post += w; w += 1"}, NoDerivativeError, ["assigns to the weight"]),
        ],
    )
    def test_arguments(self, options, error, words):
        target = lif()
        with refused(error, *words):
            TrainableSynapses(target, **({"learner": learner()} | options))

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "bounds, error",
        [
            ((1, 0), ValueError),
            ((0, np.nan), ValueError),
            (1, ValueError),
            ((0 * nS, 1 * nS), DimensionMismatchError),
        ],
    )
    def test_bounds(self, bounds, error):
        owner = learner(optimizer=Adam(0.1), update_every=10 * ms)
        with refused(error, "TrainableSynapses.bounds"):
            TrainableSynapses(lif(), learner=owner, bounds=bounds)

    def test_a_learning_rate_that_does_not_fit_the_weight(self):
        for optimizer, expected in ((Adam(0.1), "'volt'"), (GradientDescent(0.1), "'volt2'")):
            owner = learner(optimizer=optimizer, update_every=10 * ms)
            with refused(DimensionMismatchError, "learning_rate = 0.1", "'w'", expected):
                TrainableSynapses(lif(), model="w : volt", on_pre="v += w/volt", learner=owner)

    def test_a_target_that_cannot_learn(self):
        source = PoissonGroup(3, 10 * Hz)
        with refused(TypeError, "PoissonGroup", "NeuronGroup"):
            TrainableSynapses(lif(), source, learner=learner())
        silent = NeuronGroup(2, "dv/dt = -v/(10*ms) : 1", method="exact", name="silent")
        with refused(ValueError, "'silent' has no threshold"):
            TrainableSynapses(lif(), silent, learner=learner())

    def test_a_group_without_surrogate(self):
        group = NeuronGroup(
            2, "dv/dt = -v/(9*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
        )
        with refused(ValueError, "no surrogate", "EProp(surrogate="):
            TrainableSynapses(group, learner=learner())

    @pytest.mark.parametrize(
        ("rule", "options"),
        [
            (EProp(), {}),
            (EProp(surrogate=PSI), {"foo": 3}),
            (EProp(surrogate=PSI), {"name": "no name"}),
            (EProp(surrogate=PSI), {"model": UTILIZATION, "on_pre": "v_post += w*u"}),
        ],
    )
    @pytest.mark.parametrize("feedback", ["symmetric", "random"])
    def test_synapses_that_were_refused_leave_no_trace(self, rule, options, feedback):
        group = NeuronGroup(
            2, "dv/dt = -v/(9*ms) : 1", threshold="v > 1", reset="v = 0", method="exact"
        )
        parts, known = len(group.contained_objects), {*group.variables}
        first = learner(rule=rule, feedback=feedback)
        kept = len(first.readout.contained_objects)
        with pytest.raises((ValueError, TypeError)):
            TrainableSynapses(group, learner=first, **options)
        assert (len(group.contained_objects), {*group.variables}) == (parts, known)
        assert len(first.readout.contained_objects) == kept
        assert not (first.populations or first.feedback_weights or first.projections)
        second = Learner(readout(name="second"), EProp(surrogate=PSI))
        TrainableSynapses(group, learner=second)

    @pytest.mark.parametrize("engine", ["credit", "traces"])
    def test_synapses_that_were_refused_do_no_harm_to_those_there_are(self, engine):
        group = NeuronGroup(
            2,
            "dv/dt = (g - v)/(9*ms) : 1\ndg/dt = -g/(5*ms) : 1",
            threshold="v > 1",
            reset="v = 0",
            method="exact",
        )
        owner = learner(rule=EProp(surrogate=PSI, engine=engine), reset_every=50 * ms)
        first = TrainableSynapses(PoissonGroup(2, 200 * Hz), group, learner=owner)
        options = {"on_pre": "g_post += w", "learner": owner}
        with pytest.raises(ValueError):
            TrainableSynapses(group, name="no name", **options)
        second = TrainableSynapses(group, **options)
        output = TrainableSynapses(group, owner.readout, on_pre="y_post += w", learner=owner)
        for synapses in (first, second, output):
            synapses.connect()
            synapses.w = 1
        Network(group, first.source, first, second, output, owner.readout).run(50 * ms)
        assert np.any(first.grad) and np.any(second.grad)

    def test_two_readouts_with_one_learner(self):
        other = readout(name="other")
        with refused(ValueError, "'other' is not the readout of the learner", "'answers'"):
            TrainableSynapses(lif(), other, on_pre="y_post += w", learner=learner())

    def test_two_learners_on_one_group(self):
        group = lif()
        TrainableSynapses(group, learner=learner())
        second_learner = Learner(readout(name="second"))
        with refused(ValueError, "'hidden'", "cannot learn with that of"):
            TrainableSynapses(group, learner=second_learner)

    def test_a_group_that_has_a_name_of_learning(self):
        group = NeuronGroup(
            2,
            "dv/dt = -v/(9*ms) : 1\npsi : 1",
            threshold="v > 1",
            reset="v = 0",
            method="exact",
            name="mine",
        )
        owner = learner(rule=EProp(surrogate=PiecewiseLinear(0.3, 1.0)))
        with refused(ValueError, "'mine' already has a variable 'psi'", "rename"):
            TrainableSynapses(group, learner=owner)

    @pytest.mark.first_case_is_fast
    @pytest.mark.parametrize(
        "options, words",
        [
            ({"delay": 1 * ms}, ["delay = 1. * msecond", "'answers'"]),
            ({"arrival": "after_groups"}, ["arrival = 'after_groups'", "'answers'"]),
        ],
    )
    def test_what_the_readout_cannot_take(self, options, words):
        owner = learner(rule=EProp(engine="traces"))
        with refused(ValueError, *words):
            TrainableSynapses(lif(), owner.readout, on_pre="y += w", learner=owner, **options)

    def test_an_output_that_is_not_proportional_to_the_weight(self):
        owner = learner(rule=EProp(engine="traces"))
        with refused(NoDerivativeError, "proportional to the weight 'w'"):
            TrainableSynapses(lif(), owner.readout, on_pre="y_post += w**2", learner=owner)

    def test_another_time_step(self):
        owner = learner()
        with refused(ValueError, "'hidden' runs with dt = 0.5 ms", "'answers' with 1. ms"):
            TrainableSynapses(lif(dt=0.5 * ms), learner=owner)

    def test_feedback_of_the_wrong_shape(self):
        owner = learner(feedback=np.ones((2, 4)))
        with refused(ValueError, "'hidden'", "(2, 4)", "(2, 3)"):
            TrainableSynapses(lif(), learner=owner)
        group = lif()
        with refused(ValueError, "'hidden'", "(2, 4)", "(2, 3)"):
            learner(feedback={group: np.ones((2, 4))})

    def test_feedback_for_some_groups_only(self):
        groups = [lif(name=name) for name in ("first", "second")]
        owner = learner(feedback=np.ones((2, 3)))
        TrainableSynapses(groups[0], learner=owner)
        with refused(ValueError, "one array", "'second'", "{group: array}"):
            TrainableSynapses(groups[1], learner=owner)
        owner = learner(feedback={groups[0]: np.ones((2, 3))})
        with refused(ValueError, "no weights for group 'second'"):
            TrainableSynapses(groups[1], learner=owner)


class TestWhenTheRunBegins:
    """Brian2 wraps what is raised there; the message is the cause of its exception."""

    @pytest.fixture
    def parts(self):
        owner = learner()
        group = lif()
        synapses = TrainableSynapses(group, learner=owner, delay=0 * ms, name="recurrent")
        synapses.connect()
        synapses.w = 0.1
        out = TrainableSynapses(group, owner.readout, on_pre="y += w", learner=owner, name="out")
        out.connect()
        return owner.readout, group, synapses, out

    def refused(self, parts, *words):
        with pytest.raises(BrianObjectException) as raised:
            Network(*parts).run(10 * ms)
        for word in words:
            assert word in str(raised.value.__cause__)

    @pytest.mark.slow
    def test_nothing_is_refused_without_a_mistake(self, parts):
        Network(*parts).run(10 * ms)

    def test_a_weight_that_is_not_finite(self, parts):
        parts[2].w[4] = np.nan
        self.refused(parts, "'recurrent'.w[4] = nan", "finite")

    def test_a_weight_that_is_set_to_what_is_not_finite(self, parts):
        with refused(ValueError, "'recurrent'.w[1] = inf", "finite"):
            parts[2].w = [0, np.inf, 0, 0, 0, 0, 0, 0, 0]
        with refused(ValueError, "'recurrent'.w[0] = nan", "finite"):
            parts[2].w = np.nan

    def test_a_delay_after_there_were_none(self, parts):
        parts[2].delay = 2 * ms
        self.refused(parts, "'recurrent' was set to 2. ms", "created with delay=0*ms")

    def test_a_delay_onto_the_readout_of_traces(self):
        owner = learner(rule=EProp(engine="traces"))
        group = lif()
        out = TrainableSynapses(
            group, owner.readout, on_pre="y_post += w", learner=owner, name="out"
        )
        out.connect()
        out.pre.delay = 2 * ms
        self.refused((owner.readout, group, out), "delay = 2. * msecond", "onto readout")

    def test_spikes_moved_to_another_slot(self, parts):
        parts[2].pre.when = "after_groups"
        self.refused(parts, "reach 'recurrent' in the next step", "before creating the synapses")

    def test_a_group_without_feedback(self, parts):
        owner = learner()
        group = lif(name="alone")
        synapses = TrainableSynapses(group, learner=owner)
        synapses.connect()
        self.refused((owner.readout, group, synapses), "'alone' learns", "feedback='random'")

    def test_a_source_moved_to_another_slot(self):
        source = PoissonGroup(3, 10 * Hz, name="noise")
        owner = learner(feedback="random")
        group = lif()
        synapses = TrainableSynapses(source, group, arrival="after_groups", learner=owner)
        synapses.connect()
        source.thresholder["spike"].when = "start"
        self.refused(
            (source, owner.readout, group, synapses),
            "spikes of 'noise' reach",
            "before creating the synapses",
        )


class TestOptimizersAndRegularizers:
    @pytest.mark.parametrize(
        "create, words",
        [
            (lambda: GradientDescent(-1.0), ["GradientDescent.learning_rate = -1.0"]),
            (lambda: Adam(np.nan), ["Adam.learning_rate = nan"]),
            (lambda: Adam([0.1, 0.2]), ["Adam.learning_rate"]),
            (lambda: Adam(0.1, beta_1=1.0), ["Adam.beta_1 = 1.0", "below 1"]),
            (lambda: Adam("fast"), ["Adam.learning_rate = 'fast'"]),
            (lambda: Adam(0.1, beta_2=-0.1), ["Adam.beta_2 = -0.1", "≥ 0"]),
            (lambda: Adam(0.1, epsilon=-1e-8), ["Adam.epsilon = -1e-08"]),
            (lambda: Adam(0.1, epsilon=0), ["Adam.epsilon = 0", "above 0"]),
            (lambda: FiringRateRegularizer(-1 * Hz), ["FiringRateRegularizer.target"]),
            (lambda: FiringRateRegularizer(1 * Hz, np.inf), ["FiringRateRegularizer.strength"]),
        ],
    )
    def test_values(self, create, words):
        with refused(ValueError, *words):
            create()

    def test_a_rate_without_unit(self):
        with refused(DimensionMismatchError, "FiringRateRegularizer.target = 10", "10*Hz"):
            FiringRateRegularizer(10)

    def test_the_duration_is_not_a_rate(self):
        with pytest.raises(DimensionMismatchError):
            FiringRateRegularizer(1 * second)


def test_rates_that_are_named_as_what_poisson_groups_call_them_are_refused():
    rates = TimedArray(np.full((5, 2), 50) * Hz, dt=1 * ms)
    assert rates.values.size  # Brian2 looks for the name in PoissonGroup first, and finds its own
    source = PoissonGroup(2, "rates(t, i)", name="inputs")
    with refused(ValueError, "'inputs'", "'rates' = 'rates(t, i)'", "another name"):
        TrainableSynapses(source, lif(), on_pre="v_post += w", learner=learner())
