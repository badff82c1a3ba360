"""Run folders: everything that a training run leaves behind.

config.toml       what it was made from; repeats the run
history.jsonl     one object per iteration, written as it happens
weights.npz       the network after training (RecurrentNetwork.load)
recordings/       one trial before and one after training (Recording.load)
figures/          drawn from the above
"""

import json
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2.devices.device import reset_device, set_device
from tqdm import tqdm

from .configuration import Configuration
from .network import RecurrentNetwork
from .network.training import StopTraining
from .plotting.run import save_run_figures
from .recording import Recording


def train(configuration, folder, *, progress=True):
    """Train as configured, and write a run folder.

    Ctrl-C ends training after the present iteration (a second one at once); everything is then
    written as if the run had been configured with so many iterations.

    Parameters
    ----------
    configuration : Configuration
    folder : Path
        Must be new or empty.
    progress : bool
        Show a progress bar with loss and rate.

    Returns
    -------
    history : list of dict
        See :func:`brian_eprop.network.training.fit`.
    interrupted : bool

    Raises
    ------
    FileExistsError
        If there is something in the folder; nothing is changed then.
    OSError
        If the folder cannot be written.
    """
    folder, setup = Path(folder), configuration.setup
    task, network = configuration.make_task(), configuration.make_network()
    _create(folder)
    configuration.write(folder / "config.toml")
    _record(network, configuration, folder / "recordings" / "before.npz")
    history = []
    log = (folder / "history.jsonl").open("w", encoding="utf-8")
    bar = tqdm(total=setup.iterations, disable=not progress, unit="it", desc="preparing")

    def report(entry):
        history.append(entry)
        log.write(json.dumps(entry) + "\n")
        log.flush()
        bar.set_description("training", refresh=False)
        bar.set_postfix_str(f"loss {entry['loss']:.4g}, {entry['rate']:.1f} Hz", refresh=False)
        bar.update()
        if interrupted:
            raise StopTraining

    with log, bar, _device(configuration.device), _counted_interrupts() as interrupted:
        try:
            network.fit(task, setup.iterations, setup.batch_size, [report], seed=configuration.seed)
        except KeyboardInterrupt:
            pass
    network.save(folder / "weights.npz")
    if history:
        _record(network, configuration, folder / "recordings" / "after.npz")
        plot_run(folder)
    return history, bool(interrupted)


def plot_run(folder):
    """Draw the figures of a run folder.

    Returns
    -------
    list of Path

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is not one of a run, or a file in it is damaged; names the file.
    """
    folder = Path(folder)
    history = _read_history(folder / "history.jsonl")
    network = RecurrentNetwork.load(folder / "weights.npz")
    recordings = {
        path.stem: Recording.load(path) for path in sorted((folder / "recordings").glob("*.npz"))
    }
    task = Configuration.read(folder / "config.toml").make_task()
    (folder / "figures").mkdir(exist_ok=True)
    return save_run_figures(folder / "figures", history, network.weights, recordings, task)


def _read_history(path):
    """The entries of a history; a last line that was cut off is left out."""
    if not path.exists():
        raise FileNotFoundError(
            f"'{path.parent}' is not a run folder: there is no '{path.name}' in it; give the "
            "folder that 'brian-eprop train' has written"
        )
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    if not entries:
        raise ValueError(f"'{path}' has no complete iteration; there is nothing to draw")
    return entries


def _create(folder):
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileExistsError(
            f"the run folder '{folder}' exists already; nothing was changed: name another one "
            "with --out, or remove it"
        )
    try:
        (folder / "recordings").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the run folder '{folder}' cannot be written ({error.strerror}); name another one "
            "with --out"
        ) from None


def _record(network, configuration, path):
    """Record one trial of the task with the present weights."""
    task = configuration.make_task()
    inputs, targets = task.sample(np.random.default_rng([configuration.seed, 2]), 1)
    window = getattr(task, "learning_window", None)
    network.record(inputs[0], targets[0], window).save(path)


@contextmanager
def _counted_interrupts():
    """A list that grows with each Ctrl-C; the second one is an exception as usual.

    Brian2 drops objects in weak-reference callbacks, where Python ignores exceptions: a
    KeyboardInterrupt that happens to be raised there is lost.
    """
    seen = []

    def note(*_):
        seen.append(True)
        if len(seen) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _device(name):
    """Brian2's device for the time of the training."""
    set_device(name, build_on_run=False) if name == "cpp_standalone" else set_device(name)
    try:
        yield
    finally:
        reset_device()
