"""Published models as Brian2 scripts: each learns and passes the check, or is refused.

The files of tests/corpus hold no code of learning; their projections are made to learn here.
"""

from functools import cache, partial
from importlib import import_module
from pathlib import Path

import corpus_table
import numpy as np
import pytest
from brian2 import (
    NetworkOperation,
    NeuronGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    ms,
    second,
    seed,
)
from brian2.core.names import Nameable
from brian2.units import DimensionMismatchError

import brian_eprop
from brian_eprop import EProp, LeakyReadout, Learner, TrainableSynapses
from brian_eprop.brian.internals import parent_group

pytestmark = pytest.mark.usefixtures("names", "numpy_target")

PACKAGE = Path(brian_eprop.__file__).parent
#: Run by every call of pytest: of each kind one, and among them refused ones.
FAST = {
    "bellec_2020",
    "brette_gerstner_2005",
    "destexhe_1994",
    "jolivet_2006",
    "maass_2002",
    "song_2000",
}
ACCEPTED = [name for name in corpus_table.MODELS if "REFUSED" not in corpus_table.constants(name)]
REFUSED = [name for name in corpus_table.MODELS if name not in ACCEPTED]


def models(names):
    """One test for each model; the slow part of the tests has most of them."""
    marked = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in names]
    return pytest.mark.parametrize("name", marked)


class Learning(Synapses):
    """Synapses that would learn, and do not."""


def prepared(name):
    """The script of a model, in its time step."""
    Nameable.__instances__().clear()  # names, by which Brian2 sorts, are the same again
    script = import_module(f"corpus.{name}")
    defaultclock.dt = script.DT
    seed(1)
    return script


def learning_groups(net, kind):
    """The groups onto which projections of a class end."""
    names = {parent_group(obj.target).name for obj in net.objects if isinstance(obj, kind)}
    return [obj for obj in net.objects if isinstance(obj, NeuronGroup) and obj.name in names]


def trained(script, trial=None):
    """The network of a script, all of whose projections learn, with two outputs; its learner.

    Where credit is given in whole trials only, the whole script is one, or `trial`.
    """
    steps = round(script.DURATION / script.DT)
    target = np.random.default_rng(2).standard_normal((steps, 2))
    readout = LeakyReadout(2, tau=20 * ms, target=target, name="output")
    rule = EProp(surrogate=script.SURROGATE, engine=getattr(script, "ENGINE", "credit"))
    trial = (trial or script.DURATION) if getattr(script, "IN_TRIALS", False) else None
    learner = Learner(readout, rule, update_every=trial, reset_every=trial)
    weight = getattr(script, "WEIGHT", "w")
    net = script.network(partial(TrainableSynapses, learner=learner, weight=weight))
    groups = learning_groups(net, TrainableSynapses)
    for group in groups:
        options = {"model": "w_out : 1", "on_pre": "y_post += w_out", "weight": "w_out"}
        outputs = TrainableSynapses(group, readout, learner=learner, **options)
        outputs.connect()
        outputs.w_out = "randn()"
        net.add(outputs)
    net.add(readout)
    return net, learner, groups


def spikes_of(script, net, groups, duration):
    """When which neurons of some groups fire."""
    monitors = {group.name: SpikeMonitor(group) for group in groups}
    net.add(*monitors.values())
    seed(2)
    net.run(duration, namespace=vars(script))
    return {name: (np.array(m.i), np.array(m.t)) for name, m in monitors.items()}


@cache
def plain_spikes(name):
    script = prepared(name)
    net = script.network(Learning)
    return spikes_of(script, net, learning_groups(net, Learning), script.DURATION)


def cause(error):
    """Brian2 wraps what is raised before a run."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def raised_by_us(error):
    """Whether an error comes from the package, and not from what the package calls."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return PACKAGE in Path(trace.tb_frame.f_code.co_filename).parents


@pytest.mark.first_case_is_fast
@models(corpus_table.MODELS)
def test_a_published_model_fires(name):
    fired = plain_spikes(name)
    assert fired, "no projection of the script would learn"
    for group, (neurons, _) in fired.items():
        assert len(neurons) >= 5, f"group '{group}' fires {len(neurons)} times"


@pytest.mark.slow
@models(ACCEPTED)
def test_a_published_model_learns_with_the_right_gradient(name):
    """Right: as finite differences of the network itself, over the first part of the run."""
    fifth = np.sort(np.concatenate([times for _, times in plain_spikes(name).values()]))[4]
    script = prepared(name)
    # Names of the equations are looked up where the check is called: in the script
    call = "learner.check(steps*DT, net, synapses=1, seed=1)"
    # Enough for spikes; a difference over a long time is one of chaos
    enough = min(fifth / float(script.DT), 400)
    for most in (n for n in (100, 200, 400) if n >= enough):
        steps = min(round(60 * ms / script.DT), round(script.DURATION / script.DT), most)
        net, learner, _ = trained(prepared(name), steps * script.DT)
        projections = {obj.name for obj in net.objects if isinstance(obj, TrainableSynapses)}
        report = eval(call, vars(script), {"learner": learner, "net": net, "steps": steps})
        moved = {row.projection for row in report.rows if row.finite_difference != 0}
        if report.spikes >= 3 and projections <= moved:
            break
    assert report.passed, str(report)
    assert report.spikes >= 3, str(report)
    assert projections <= moved, f"nothing flows to {projections - moved}\n{report}"


@models(REFUSED)
def test_a_published_model_that_cannot_learn_is_refused_before_the_first_step(name):
    """By an error of ours, with the words that the script expects."""
    script, steps = prepared(name), []
    with pytest.raises(Exception) as raised:
        net, _, _ = trained(script)
        net.add(NetworkOperation(lambda: steps.append(1), when="start", order=-1000))
        net.run(script.DURATION, namespace=vars(script))
    error = cause(raised.value)
    assert script.REFUSED in str(error)
    assert isinstance(error, ValueError | TypeError | DimensionMismatchError)
    assert raised_by_us(error)
    assert not steps


@pytest.mark.first_case_is_fast
@models(ACCEPTED)
def test_learning_without_an_optimizer_leaves_a_published_model_as_it_is(name):
    """The spikes are those of the script without learning: no name of ours meets one of its own."""
    plain = plain_spikes(name)
    # until all groups have fired several times
    end = max(np.sort(times)[:10][-1] for _, times in plain.values()) * second
    script = prepared(name)
    net, _, groups = trained(script)
    learning = spikes_of(script, net, groups, end)
    assert plain.keys() == learning.keys()
    for group, (neurons, times) in plain.items():
        before = times < float(end - script.DT / 2)
        assert before.sum() >= 4
        np.testing.assert_array_equal((neurons[before], times[before]), learning[group])


def test_there_are_forty_published_models_and_a_table_of_them_that_is_current():
    assert len(corpus_table.MODELS) >= 40
    assert set(corpus_table.MODELS) >= FAST
    assert corpus_table.PAGE.read_text("utf-8") == corpus_table.page(), (
        "run python tests/support/corpus_table.py"
    )
