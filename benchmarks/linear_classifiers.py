"""What linear classifiers make of the recordings that networks learn from.

Logistic regression reads either the recordings themselves or the spikes that encode them,
counted in bins of time. A spiking network that is worse than both has not learned much; its
readout sees no more than the last steps of a trial, a classifier sees all of it at once.

What networks learn from varies from draw to draw (``jitter``), and so may what a classifier
learns from: with 10 draws it has ten varied copies of each trial, with 0 the trials as recorded.

The strength of the penalty is chosen by the validation trials; test trials are used once.

Usage: python benchmarks/linear_classifiers.py [--bins 1 3 10] [--draws 0 10]
"""

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brian_eprop.tasks import load_task

TASKS = "vowels", "digits"
PENALTIES = 10.0 ** np.arange(-3, 3)


def recorded(task, part):
    """The recordings as rows of numbers: pixels, or utterances stretched to ten frames."""
    examples, _ = task.split[part]
    if isinstance(examples, np.ndarray):
        return examples
    rows = []
    for frames in examples:
        place = np.linspace(0, len(frames) - 1, 10)
        known = np.arange(len(frames))
        rows.append(np.concatenate([np.interp(place, known, channel) for channel in frames.T]))
    return np.array(rows)


def trials(task, part, draws=1):
    """Inputs and labels of all trials of a part, those to learn from drawn so many times."""
    if part != "train":
        inputs, targets = task.held_out(part)
        return inputs, targets[:, 0].argmax(axis=1)
    rng, size = np.random.default_rng(0), len(task.split[part][1])
    # as many as there are: each of them once
    drawn = [task.sample(rng, size) for _ in range(draws)]
    inputs, targets = (np.concatenate(both) for both in zip(*drawn, strict=True))
    return inputs, targets[:, 0].argmax(axis=1)


def counted(inputs, bins):
    """Spikes of every input in each of so many equal parts of the trial, as rows."""
    counts = [cut.sum(axis=1) for cut in np.array_split(inputs, bins, axis=1)]
    return np.concatenate(counts, axis=1)


def wrong(parts):
    """Fraction of wrong decisions on (validation, test) of the best penalty."""
    found = []
    for penalty in PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=5000))
        model.fit(*parts["train"])
        found.append([1 - model.score(*parts[part]) for part in ("validation", "test")])
    return min(found, key=lambda errors: errors[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bins", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 10])
    arguments = parser.parse_args()
    print(f"{'task':8} {'what is read':34} {'numbers':>7} {'validation':>11} {'test':>7}")
    for name in TASKS:
        task = load_task(name)
        exact = load_task(name, jitter=0.0)
        parts = {part: (recorded(task, part), task.split[part][1]) for part in task.split}
        readings = {"recordings": parts}
        for draws in arguments.draws:
            heard = task if draws else exact
            spikes = {part: trials(heard, part, max(draws, 1)) for part in task.split}
            varied = f", {draws} draws" if draws else ""
            for bins in arguments.bins:
                readings[f"spikes in {bins} bin(s){varied}"] = {
                    part: (counted(inputs, bins), labels)
                    for part, (inputs, labels) in spikes.items()
                }
        for reading, parts in readings.items():
            validation, test = wrong(parts)
            size = parts["train"][0].shape[1]
            print(f"{name:8} {reading:34} {size:7} {validation:11.1%} {test:7.1%}")


if __name__ == "__main__":
    main()
