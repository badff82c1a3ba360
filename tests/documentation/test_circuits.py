"""The two circuits of the gallery learn: fewer trials of the very scripts, in one program each.

What is asserted is far from chance: of a learner that sends errors to the wrong cells, or with the
wrong sign, neither circuit is better after learning than before.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from brian2 import defaultclock, device, seed, set_device

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.standalone, pytest.mark.optimized]


@pytest.fixture(autouse=True)
def standalone(monkeypatch):
    """The device of the scripts, which are started without arguments, is not left to others."""
    monkeypatch.setattr(sys, "argv", ["script"])
    monkeypatch.syspath_prepend(EXAMPLES.parent / "benchmarks")
    yield
    device.reinit()
    set_device("runtime")


def test_a_decision_circuit_learns_to_decide():
    """After Wang 2002: in the first of 16 updates it decides in no trial, right or wrong."""
    import gallery

    parts = gallery.set_up("decision_circuit")
    set_device("cpp_standalone", directory=None)
    defaultclock.dt = parts["DT"]
    seed(1)
    rng, updates = np.random.default_rng(1), 16
    coherence = parts["training_trials"](updates, rng)
    network, synapses, monitors = parts["circuit"](coherence, rng, learn=None, rate=0.08)
    network.run(len(coherence) * parts["TRIAL"])
    choice, _, rates = parts["decisions"](monitors["output"].y[:], coherence)
    decided = (choice != 0).reshape(updates, -1)
    right = parts["right"](choice, coherence).reshape(updates, -1)
    assert rates[:, : len(coherence) // 8].mean() > 1  # Hz: it fires
    assert decided[:2].mean() < 0.2
    assert decided[-5:].mean() > 0.6
    # of these 80 trials; the share of a coin has the standard deviation 0.056
    assert right[-5:].mean() > 0.5 + 3 * 0.056
    # the inputs of a direction find the pool of its answer
    of_dots, of_cells = parts["N_DOTS"], parts["N_E"] // 2
    weights, i, j = (getattr(synapses["inputs"], name)[:] for name in "wij")
    same = (i >= of_dots) == (j >= of_cells)
    assert weights[same].mean() > weights[~same].mean() + 0.1


def test_facilitating_synapses_learn_to_remember():
    """After Mongillo et al. 2008: four updates of the utilisation U, which begins too low."""
    script = (EXAMPLES / "plot_working_memory.py").read_text("utf-8").partition("\nfigure, axes")[0]
    trials = "TESTS, UPDATES, BATCH = 16, 4, 16"
    script, changed = re.subn(r"^TESTS, UPDATES, BATCH = .*$", trials, script, flags=re.MULTILINE)
    assert changed == 1
    found = {"__name__": "plot_working_memory"}
    exec(compile(script, "plot_working_memory.py", "exec"), found)
    learned, right = found["learned"], found["right"]
    # a step of Adam is at most 0.1 of the scale 0.2: a wrong sign would keep U at 0.005
    assert np.mean(learned > 0.02) > 0.9
    # 14 of 16 are right by chance once in 500 times
    assert right[found["before"]].mean() < 0.8
    assert right[found["after"]].mean() > 0.85
