"""A task of one's own that is not quite one: what is wrong is said in words."""

import re
from pathlib import Path

import numpy as np
import pytest

from brian_eprop.network.training import drawn, measured
from brian_eprop.runs import Configuration, train
from brian_eprop.tasks import load_task

pytestmark = pytest.mark.usefixtures("numpy_target")

#: The complete one of the page for developers.
PAGE = (Path(__file__).parents[2] / "docs" / "developers.md").read_text("utf-8")
OWN = re.search(r"```python\n(from dataclasses(?:(?!```).)*?class Loudness.*?)```", PAGE, re.S)[1]
RETURNED, JUDGED = (
    "return inputs, 5 * level[..., np.newaxis]",
    "return float(((outputs - targets) ** 2).mean())",
)


@pytest.fixture
def written(tmp_path):
    def write(was=RETURNED, now=RETURNED):
        assert was in OWN
        (tmp_path / "own.py").write_text(OWN.replace(was, now))
        return str(tmp_path / "own.py")

    return write


@pytest.mark.slow
@pytest.mark.parametrize("now", [RETURNED, "return inputs"])
def test_the_one_of_the_page_trains_and_another_is_refused_on_the_way(written, tmp_path, now):
    configuration = Configuration.of_task(written(RETURNED, now), steps=50).changed(
        iterations=1, device="runtime", neurons=4
    )
    if now == RETURNED:
        train(configuration, tmp_path / "run", progress=False)
        assert (tmp_path / "run" / "result.json").exists()
    else:
        with pytest.raises(TypeError, match=r"'Loudness.sample' returned array"):
            train(configuration, tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ("return None", r"'Loudness.sample' returned None; expected two arrays"),
        ("return inputs", r"'Loudness.sample' returned array"),
        (
            "return inputs[1:], 5 * level[..., np.newaxis]",
            r"asked for 2 trials and returned inputs of the shape \(1, 50, 20\)",
        ),
        ("return inputs, 3.0", r"and targets of the shape \(\)"),
    ],
)
def test_trials_that_are_none_are_refused(written, now, message):
    task = load_task(written(RETURNED, now), steps=50)
    with pytest.raises((TypeError, ValueError), match=message):
        drawn(task, np.random.default_rng(0), 2)


@pytest.mark.parametrize("value", [None, "good"])
def test_metrics_that_are_no_numbers_are_refused(written, value):
    task = load_task(written(JUDGED, f"return {value!r}"))
    with pytest.raises(TypeError, match=rf"metric' returned {value!r}; expected a number"):
        measured(task, np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("def defaults", "def recommended", r"the task 'Loudness' of '.*own.py' has no 'defaults'"),
        ("    n_out = 1\n", "", r"the task 'Loudness' of '.*own.py' has no 'n_out'"),
        (', "feedback": 0.3}', "}", r"setup.gains = .* has no 'feedback'; give a number"),
    ],
)
def test_what_a_set_up_lacks_is_said(written, was, now, message):
    with pytest.raises(ValueError, match=message):
        Configuration.of_task(written(was, now)).make_network()


def test_trials_and_metrics_that_are_right_come_through(written):
    task, rng = load_task(written(), steps=50), np.random.default_rng(0)
    inputs, targets = drawn(task, rng, 3)
    assert inputs.shape == (3, 50, 20) and targets.shape == (3, 50, 1)
    assert measured(task, targets, targets) == 0 < measured(task, targets + 1, targets)
