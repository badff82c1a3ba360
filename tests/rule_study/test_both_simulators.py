"""A task is one thing: Brian2 and the reference learn it alike, whichever it was written for."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from brian2 import Hz, ms
from matplotlib.figure import Figure

from brian_eprop import Adam, EProp, RecurrentNetwork
from brian_eprop.plotting import plot_learning_curve
from brian_eprop.reference import draw_network
from brian_eprop.rule_study import TASKS, train
from brian_eprop.tasks import load_task

pytestmark = pytest.mark.usefixtures("numpy_target")

SHORT = {"cue": 8 * ms, "delay": 5 * ms, "rate": 200 * Hz}
#: name → the task, and of which side it is
EXAMPLES = {
    "pattern_generation": load_task("pattern_generation", n_in=20, steps=50),
    "temporal_xor": load_task("temporal_xor", answer=6 * ms, **SHORT),
    "delayed_match": load_task(
        "delayed_match", stimulus=8 * ms, delay=5 * ms, answer=6 * ms, rate=200 * Hz
    ),
    "string_memorization": TASKS["string_memorization"](length=3, delay=4),
    "add": TASKS["add"](delays=(1, 3), steps=20),
    "mimic": TASKS["mimic"](n_in=6, n_out=2, n_teacher=4, steps=20),
}


@dataclass
class Replayed:
    """A task whose batches are the same whatever the generator: those of seeds 0, 1, 2, …"""

    task: object
    drawn: list = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.task, name)

    def sample(self, rng, batch):
        self.drawn.append(batch)
        return self.task.sample(np.random.default_rng(len(self.drawn)), batch)


def network_for(task):
    loss = task.defaults.loss if hasattr(task, "defaults") else task.loss
    return RecurrentNetwork(
        [("lif", 4, {"v_th": 0.3}), ("alif", 4, {"v_th": 0.3})],
        task.n_in,
        8,
        task.n_out,
        loss=loss,
        average=True,
        rule=EProp(),
        optimizer=Adam(1e-2),
        seed=3,
    )


def columns(history, *names):
    return np.array([[entry[name] for name in names] for entry in history])


@pytest.mark.slow_unless(name=["pattern_generation", "temporal_xor"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_both_simulators_learn_a_task_alike(name):
    task = EXAMPLES[name]
    network = network_for(task)
    same = network.reference_network()
    in_brian2 = network.fit(Replayed(task), 4, batch_size=2)
    training = train(same, Replayed(task), "eprop", Adam(1e-2), 4, batch=2)
    found, expected = (
        columns(history, "iteration", "loss", "metric") for history in (in_brian2, training.history)
    )
    assert in_brian2[0]["rate"] > 0 and len(set(expected[:, 1])) == 4
    # round-off, over four updates
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for matrix in ("w_in", "w_rec", "w_out"):
        learned = getattr(training.network, matrix)
        assert np.any(learned != getattr(same, matrix))
        np.testing.assert_allclose(network.weights[matrix], learned, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["anbn", "copy"])
def test_steps_that_count_in_some_trials_only_are_for_the_reference(name):
    task = TASKS[name]()
    with pytest.raises(ValueError, match=r"targets\[0, 0, 0\] = nan; each must be finite"):
        network_for(task).fit(task, 1)
    network = draw_network("elman", task.n_in, 8, task.n_out, loss=task.loss, seed=1)
    assert np.isfinite(train(network, task, iterations=1).history[0]["loss"])


def test_a_learning_window_longer_than_a_trial_is_refused_on_both_sides():
    task = TASKS["mimic"](n_in=3, n_out=2, n_teacher=4, steps=5)
    object.__setattr__(task, "learning_window", 6)
    message = r"learning_window = 6 must be an integer between 1 and the 5 steps"
    with pytest.raises(ValueError, match=message):
        network_for(task).fit(task, 1)
    with pytest.raises(ValueError, match=message):
        train(network_for(task).reference_network(), task, iterations=1)


def test_histories_of_both_are_drawn_alike():
    task = EXAMPLES["add"]
    network = network_for(task)
    training = train(network.reference_network(), task, iterations=3)
    for history in (network.fit(task, 3), training.history):
        for quantity in ("loss", "metric"):
            ax = plot_learning_curve(history, quantity=quantity, ax=Figure().subplots())
            (drawn,) = ax.lines
            np.testing.assert_array_equal(drawn.get_xdata(), [0, 1, 2])
            np.testing.assert_array_equal(drawn.get_ydata(), columns(history, quantity)[:, 0])
