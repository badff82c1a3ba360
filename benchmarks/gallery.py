"""Trains to the end what the gallery's examples train for a few iterations only.

    python benchmarks/gallery.py            # all six, about 20 minutes
    python benchmarks/gallery.py vowels

The cells of ``examples/plot_NAME.py`` before the one called "Training" are executed as they are, so
that network and task are those of the example. The history, the weights (in single precision), and
how and when they were made go to ``examples/trained/NAME.npz``, which the example loads.
"""

import argparse
import json
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from brian2 import prefs
from reward_cart_pole import learned

from brian_eprop.files import replacing

EXAMPLES = Path(__file__).parents[1] / "examples"
TRAINING = "\n# %%\n# Training\n"


def set_up(name):
    """The names that an example has defined when its training begins."""
    path = EXAMPLES / f"plot_{name}.py"
    before, training, _ = path.read_text(encoding="utf-8").partition(TRAINING)
    if not training:
        raise ValueError(f"'{path}' has no cell that begins with '# Training'; give it one")
    defined = {"__name__": name}
    exec(compile(before, path, "exec"), defined)
    return defined


def evidence_accumulation(network, task, **_):
    """Until the mean error of ten batches is below 7 %."""
    history = network.fit(task, 500, batch_size=64, seed=1, goal=0.07)
    return {"history": history} | network.weights


def store_recall(network, task, setup, **_):
    """Until the mean error of ten batches is below 5 %."""
    history = network.fit(task, setup.iterations, setup.batch_size, seed=1, goal=0.05)
    return {"history": history} | network.weights


def behaviour(network, task, setup, **_):
    """All iterations of the recommended set-up."""
    history = network.fit(task, setup.iterations, setup.batch_size, seed=0)
    return {"history": history} | network.weights


def vowels(network, task, setup, **_):
    """All iterations of the recommended set-up."""
    history = network.fit(task, setup.iterations, setup.batch_size, seed=0)
    return {"history": history} | network.weights


def trained_time_constants(new_network, task, TRAINABLE, SEEDS, **_):
    """400 iterations of each network: its history, and the time constants that were trained."""
    kept = {}
    for name in TRAINABLE:
        for seed in SEEDS:
            network = new_network(name, seed)
            kept[f"{name}, seed {seed}"] = network.fit(task, 400, batch_size=32, seed=seed)
            for parameter, values in network.parameters.items():
                kept[f"{parameter}, seed {seed}"] = np.asarray(values)
    return kept


def reward_cart_pole(agent, network, **_):
    """300 episodes, or less if that is enough, and the weights that did best."""
    prefs.codegen.target = "cython"  # compiled for minutes once, then twice as fast
    history = learned(agent, 300)
    return {"history": history} | network.weights


TRAININGS = {
    training.__name__: training
    for training in (
        evidence_accumulation,
        store_recall,
        behaviour,
        vowels,
        trained_time_constants,
        reward_cart_pole,
    )
}


def shortened(history):
    """A history as text, its numbers with six digits and without the time that it took."""
    entries = [
        {key: float(f"{value:.6g}") for key, value in entry.items() if key != "seconds"}
        for entry in history
    ]
    return json.dumps(entries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRAININGS))
    names = parser.parse_args().names or list(TRAININGS)
    if unknown := [name for name in names if name not in TRAININGS]:
        parser.error(f"NAME = {unknown[0]}: give {', '.join(TRAININGS)}")
    for name in names:
        content = TRAININGS[name](**set_up(name))
        arrays = {
            key: shortened(value) if isinstance(value, list) else np.float32(value)
            for key, value in content.items()
        }
        versions = ", ".join(
            f"{package} {version(package)}" for package in ("brian_eprop", "brian2")
        )
        made = f"python benchmarks/gallery.py {name}, {date.today()}, {versions}"
        with replacing(EXAMPLES / "trained" / f"{name}.npz", "the training") as file:
            np.savez_compressed(file, made=made, **arrays)
        print(made, flush=True)


if __name__ == "__main__":
    main()
