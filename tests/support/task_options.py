"""Options of tasks that cannot do without: an environment with trials, and recorded events."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np

from brian_eprop.tasks import load_task


class TwoSides:
    """Trials as NeuroGym has them: fixation, a noisy stimulus on one of two sides, an answer."""

    dt = 20
    observation_space = SimpleNamespace(shape=(3,), low=-np.ones(3), high=np.full(3, 2.0))
    action_space = SimpleNamespace(n=3)

    def __init__(self):
        self.seed(0)

    def seed(self, number):
        self.rng = np.random.RandomState(number)

    def new_trial(self):
        stimulus, side = self.rng.randint(5, 10), self.rng.randint(2)
        self.ob = np.zeros((stimulus + 5, 3))
        self.ob[:-5, 0] = 1
        self.ob[:-5, 1 + side] = 1 + 0.2 * self.rng.standard_normal(stimulus)
        self.gt = np.zeros(stimulus + 5, int)
        self.gt[-5:] = 1 + side


def write_events(path, labels, channels=12, seed=0, attributes=(("channels", 12),)):
    """An event file as SHD has it: the channels of a class fire more in its trials."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float64), ("units", np.uint16)):
            shape = (len(labels),)
            file.create_dataset(f"spikes/{name}", shape, dtype=h5py.vlen_dtype(np.dtype(kind)))
        for row, label in enumerate(labels):
            n = rng.integers(20, 40)
            own = (label * 4 + rng.integers(4, size=n)) % channels
            units = np.where(rng.random(n) < 0.7, own, rng.integers(channels, size=n))
            file["spikes/times"][row] = np.sort(rng.uniform(0, 0.09, n))
            file["spikes/units"][row] = units
        file["labels"] = np.asarray(labels)
        for name, value in attributes:
            file.attrs[name] = value
    return path


@cache
def recorded():
    """The path of an event file of three classes, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(write_events(folder / "events.h5", np.arange(60) % 3))


def options_of(name):
    """What a task needs besides its defaults, which a configuration can hold."""
    from brian2 import ms

    if name.replace("-", "_") == "recorded":
        return {"train": recorded(), "duration": 90 * ms}
    if name.replace("-", "_") == "environment_trials":
        _register()
        return {"environment": "TwoSides-v0", "duration": 300 * ms}
    return {}


@cache
def _register():
    import gymnasium

    class Environment(TwoSides, gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 2.0, (3,))
        action_space = gymnasium.spaces.Discrete(3)

        def __init__(self):
            TwoSides.__init__(self)

    gymnasium.register("TwoSides-v0", Environment)


def made(name, **options):
    """A task with what it needs."""
    return load_task(name, **options_of(name) | options)
