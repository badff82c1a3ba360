"""Cross-validation of set-ups for vowels among the 270 utterances to learn from.

Networks learn from four fifths of each speaker's utterances and are judged by the last fifth, in
turn; the 370 test utterances are not looked at. 54 utterances are few, and so one set-up is better
than another only by all folds and more than one seed.

Usage: python benchmarks/vowels_folds.py [CONFIG] [--folds 0 1 2 3 4] [--seeds 1 2]

CONFIG is a file such as ``brian-eprop config vowels`` writes; without it, what is recommended.
"""

import argparse

import numpy as np
from attrs import evolve
from brian2 import set_device

from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks.vowels import SPEAKERS, read_utterances

FOLDS = 5


def fold(number):
    """The utterances and speakers of one fold, as ``Vowels.split`` has those of its parts."""
    utterances, speakers = read_utterances("TRAIN")
    rng, folds = np.random.default_rng(2026), np.empty(len(speakers), dtype=int)
    for speaker in range(SPEAKERS):
        his = np.flatnonzero(speakers == speaker)
        rng.shuffle(his)
        folds[his] = np.arange(len(his)) % FOLDS
    parts = {
        "train": np.flatnonzero(folds != number),
        "validation": np.flatnonzero(folds == number),
    }
    return {
        part: ([utterances[k] for k in chosen], speakers[chosen]) for part, chosen in parts.items()
    }


def wrong(configuration, number):
    """Fraction of the fold's utterances that are taken for others' after training."""
    setup, task = configuration.setup, configuration.make_task()
    # in place of the split that is drawn once and for all
    task.__dict__["split"] = fold(number)
    network = configuration.make_network()
    network.fit(task, setup.iterations, setup.batch_size, seed=configuration.seed)
    inputs, targets = task.held_out("validation")
    outputs = network.gradients(inputs, targets, task.learning_window).readout
    return task.metric(outputs, targets)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    configuration = (
        Configuration.read(arguments.config)
        if arguments.config
        else Configuration.of_task("vowels")
    )
    set_device("cpp_standalone", build_on_run=False)
    errors = []
    for number in arguments.folds:
        for seed in arguments.seeds:
            errors.append(wrong(evolve(configuration, seed=seed), number))
            print(f"fold {number}, seed {seed}: {errors[-1]:.1%}", flush=True)
    print(f"mean: {np.mean(errors):.2%}")


if __name__ == "__main__":
    main()
