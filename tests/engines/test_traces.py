"""Brian2's eligibility traces are the reference's, in every step."""

import numpy as np
import pytest
from attrs import evolve
from brian2.core.base import BrianObjectException
from brian_networks import BLOCKS, KINDS, build, difference, examples
from hypothesis import given
from random_networks import random_network, random_task

from brian_eprop.brian.schedule import Moment
from brian_eprop.engines import trace_population
from brian_eprop.reference import eligibility_traces, gradients, simulate

# Both sides compute in float64; sums of some hundred terms are taken in different orders.
TOLERANCE = 1e-10

pytestmark = pytest.mark.usefixtures("numpy_target")


def run_recorded(network, inputs, targets, **options):
    """A run with the largest deviation of everything that is recorded in each step."""
    brian = build(network, inputs, targets, engine="traces", **options)
    signals = brian.monitor(None, ["psi", "L"])
    traces, vectors = {}, {}
    for name in ("w_in", "w_rec"):
        traces[name] = brian.monitor(name, ["e_trace", "e_bar"])
        states = [s for s in ("eps_v", "eps_a") if s in brian.synapses[name].variables]
        vectors[name] = brian.monitor(name, states, when="before_end")
    brian.run()
    run = simulate(network, inputs)
    window = options.get("learning_window")
    expected = gradients(network, inputs, targets, rule="eprop", learning_window=window)
    assert expected.spikes.sum() > 0 and np.abs(run.psi).sum() > 0
    per_trial = (brian.n_trials, brian.n_steps, -1)
    found = {
        "spikes": difference(brian.raster, expected.spikes.astype(int)),
        "psi": difference(signals.psi.T.reshape(per_trial), run.psi),
        "L": difference(signals.L.T.reshape(per_trial), expected.learning_signal),
        "y": difference(brian.output.y.T.reshape(per_trial), expected.readout),
        "loss": difference(brian.loss, expected.loss),
    }
    reference = eligibility_traces(network, inputs)
    for name in ("w_in", "w_rec"):
        for variable in ("e_trace", "e_bar", *vectors[name].record_variables):
            monitor = traces[name] if variable.startswith("e_") else vectors[name]
            values = brian.recorded(name, getattr(monitor, variable))
            expected_values = getattr(reference[name], variable)
            found[f"{variable} {name}"] = difference(values, expected_values)
    for name in BLOCKS:
        assert np.any(getattr(expected, name) != 0)
        found[f"gradient {name}"] = difference(brian.gradients[name], getattr(expected, name))
    return brian, found


def assert_equal(found):
    wrong = {name: value for name, value in found.items() if not value < TOLERANCE}
    assert not wrong


@given(examples())
def test_traces_signals_and_gradients_equal_the_reference(example):
    network, inputs, targets, options = example
    _, found = run_recorded(network, inputs, targets, **options)
    assert_equal(found)


@pytest.mark.first_case_is_fast
@pytest.mark.slow_unless(delay=[5])
@pytest.mark.parametrize("surrogate", KINDS)
@pytest.mark.parametrize("delay", [0, 1, 5, "synaptic"])
def test_every_surrogate_with_every_kind_of_delay(surrogate, delay):
    changes = {} if delay == "synaptic" else {"delay_in": delay, "delay_rec": delay}
    network = random_network(11, surrogate=surrogate, **changes)
    assert_equal(run_recorded(network, *random_task(11, "mse"))[1])


@pytest.mark.slow
@pytest.mark.parametrize("n_ref", range(6))
def test_every_refractory_period(n_ref):
    network = random_network(5, n_ref=n_ref, max_delay=0)
    assert_equal(run_recorded(network, *random_task(5, "mse"))[1])


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("autapses", [False, True])
def test_autapses(autapses):
    mask = np.ones((5, 5), dtype=bool) if autapses else None
    network = random_network(6, mask_rec=mask, w_rec=np.full((5, 5), 0.2))
    brian, found = run_recorded(network, *random_task(6, "mse"))
    assert_equal(found)
    assert np.any(np.diag(brian.gradients["w_rec"]) != 0) == autapses


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("path_v", ["implicit", "explicit", "detached"])
@pytest.mark.parametrize("path_a", ["implicit", "explicit", "detached"])
def test_every_reset_path(path_v, path_a):
    network = random_network(7, reset_path={"v": path_v, "a": path_a})
    assert_equal(run_recorded(network, *random_task(7, "mse"))[1])


def keeps(brian, name, variable="eps_v"):
    """The group that holds a variable that the synapses see."""
    return brian.synapses[name].variables[variable].owner.name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lif", "alif"])
def test_a_trace_of_the_presynaptic_neuron_alone_is_kept_there(kind):
    network = random_network(8, kind, alpha=0.9, max_delay=0)
    brian, found = run_recorded(network, *random_task(8, "mse"), kind=kind)
    assert_equal(found)
    assert keeps(brian, "w_in") == "inputs"
    assert keeps(brian, "w_rec") == "hidden"
    assert keeps(brian, "w_out", "eps_y") == "hidden"
    if kind == "alif":
        assert keeps(brian, "w_in", "eps_a") == "synapses_in"


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize(
    "changes, options",
    [
        ({"max_delay": 0}, {}),
        ({"alpha": 0.9, "max_delay": 0, "reset_path": {"v": "implicit"}}, {}),
        ({"alpha": 0.9}, {}),
        ({"alpha": 0.9, "max_delay": 0}, {"state_delays": False}),
    ],
    ids=["tau_m differs", "reset in the trace", "delays differ", "delays could differ"],
)
def test_a_trace_that_depends_on_the_target_is_kept_per_synapse(changes, options):
    network = random_network(9, **changes)
    brian, found = run_recorded(network, *random_task(9, "mse"), **options)
    assert_equal(found)
    assert keeps(brian, "w_in") == "synapses_in"
    assert keeps(brian, "w_rec") == "synapses_rec"


class TestWhatMustFail:
    """Mistakes that are easily made are seen by the comparison."""

    network = random_network(10, max_n_ref=2, max_delay=0)
    task = random_task(10, "mse")

    def wrong(self, **options):
        found = run_recorded(self.network, *self.task, **options)[1]
        return {name for name, value in found.items() if value > 1e-3}

    def test_nothing_is_wrong_without_a_mistake(self):
        assert self.wrong() == set()

    @pytest.mark.slow
    def test_a_jump_that_forgets_the_decay_of_the_same_step(self):
        assert {"psi", "eps_v w_rec", "gradient w_rec"} <= self.wrong(on_pre="v_post += w")

    @pytest.mark.slow
    def test_an_input_that_acts_one_step_late(self):
        late = "v_post += w*exp(dt_post/tau_m_post)"
        assert {"psi", "eps_v w_in", "gradient w_in"} <= self.wrong(
            on_input=late, arrival="synapses"
        )

    @pytest.mark.slow
    def test_a_trace_with_the_wrong_time_constant(self):
        alpha = self.network.alpha * 0.98
        correct = self.network
        brian = build(correct, *self.task).run()
        expected = gradients(evolve(correct, alpha=alpha), *self.task, rule="eprop")
        assert difference(brian.gradients["w_rec"], expected.w_rec) > 1e-3

    @pytest.mark.slow
    def test_psi_after_the_reset(self, monkeypatch):
        moments = {**trace_population._MOMENTS, "before_thresholds": Moment("after_resets", 0)}
        monkeypatch.setattr(trace_population, "_MOMENTS", moments)
        with pytest.raises(BrianObjectException) as raised:
            self.wrong()
        assert "after the state update" in str(raised.value.__cause__)
        monkeypatch.setattr(trace_population.TracePopulation, "follow", lambda *_: None)
        wrong = self.wrong()
        assert {"psi", "e_trace w_in", "gradient w_in", "gradient w_rec"} <= wrong
        assert "spikes" not in wrong
