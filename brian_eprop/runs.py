"""Training runs: from a configuration to a run folder, to its end or, later, on to its end."""

import signal
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from brian2.devices.device import reset_device, set_device
from tqdm import tqdm

from . import run_folder
from .configuration import Configuration
from .network import RecurrentNetwork
from .network.stopping import goal_reached, out_of_patience
from .network.training import StopTraining, TrainingDiverged, held_out_trials
from .plotting.run import save_run_figures
from .recording import Recording
from .run_folder import HistoryFile, read_history, read_result, write_result

__all__ = ["Result", "plot_run", "resume", "train"]


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    ended : {"iterations", "goal", "patience", "interrupted", "diverged"}
    diagnosis : str
        What went wrong, if it diverged.
    iterations : int
    first_loss, loss, rate, metric : float or None
        Of the first iteration, and means over the last ten.
    validation : float or None
        The best.
    test : float or None
        The metric of trials that were used for nothing else.
    seconds : float
    """

    ended: str
    diagnosis: str
    iterations: int
    first_loss: float | None
    loss: float | None
    rate: float | None
    metric: float | None
    validation: float | None
    test: float | None
    seconds: float


def train(configuration, folder, *, workers=1, progress=True):
    """Train as configured, and write a run folder.

    Ctrl-C ends training after the present iteration (a second one at once), and so does SIGTERM;
    everything is then written as if the run had been configured with so many iterations.

    Parameters
    ----------
    configuration : Configuration
    folder : Path
        Must be new or empty.
    workers : int
        Processes, see :func:`brian_eprop.network.training.fit`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Result

    Raises
    ------
    FileExistsError
        If there is something in the folder; nothing is changed then.
    OSError
        If the folder cannot be written; what was saved before stays as it was.
    """
    folder = Path(folder)
    network = configuration.make_network()
    run_folder.create(folder)
    configuration.write(folder / run_folder.CONFIGURATION)
    return _run(configuration, folder, network, [], workers, progress)


def resume(folder, *, iterations=None, workers=1, progress=True):
    """Go on with a run that was killed or interrupted, as if nothing had happened.

    It starts from the last checkpoint; iterations after it are repeated, with the same trials.

    Parameters
    ----------
    folder : Path
    iterations : int, optional
        Another number of iterations, to train for longer.
    workers, progress
        As for :func:`train`.

    Returns
    -------
    Result

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no run in the folder, or a file in it is damaged; names the file.
    BlockingIOError
        If another process trains it.
    """
    folder = Path(folder)
    if not (folder / run_folder.CONFIGURATION).exists():
        raise FileNotFoundError(
            f"there is no run to go on with in '{folder}': it has no '{run_folder.CONFIGURATION}'"
        )
    configuration = Configuration.read(folder / run_folder.CONFIGURATION)
    if iterations is not None and iterations != configuration.setup.iterations:
        configuration = configuration.changed(iterations=iterations)
        configuration.write(folder / run_folder.CONFIGURATION)
    finished = read_result(folder)
    if finished is not None and finished["ended"] != "interrupted":
        if finished["ended"] != "iterations" or finished["iterations"] >= _total(configuration):
            return Result(**finished)
    network, history = configuration.make_network(), []
    if (folder / run_folder.CHECKPOINT).exists():
        network = RecurrentNetwork.load(folder / run_folder.CHECKPOINT)
        history = read_history(folder)[: network.updates]
        if len(history) < network.updates:
            raise ValueError(
                f"'{folder / run_folder.HISTORY}' has {len(history)} complete entries, but there "
                f"have been {network.updates} updates: it was changed or damaged; put it back, or "
                "train anew"
            )
    return _run(configuration, folder, network, history, workers, progress)


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
    history = read_history(folder)
    if not history:
        raise ValueError(
            f"'{folder / run_folder.HISTORY}' has no complete iteration; there is nothing to draw"
        )
    network = RecurrentNetwork.load(folder / run_folder.WEIGHTS)
    recordings = {path.stem: Recording.load(path) for path in run_folder.recordings(folder)}
    task = Configuration.read(folder / run_folder.CONFIGURATION).make_task()
    figures = folder / run_folder.FIGURES
    figures.mkdir(exist_ok=True)
    return save_run_figures(figures, history, network.weights, recordings, task)


def _total(configuration):
    return configuration.setup.iterations


def _run(configuration, folder, network, history, workers, progress):
    """All that follows the preparation of a folder: train, judge, record, draw."""
    recordings, task = folder / run_folder.RECORDINGS, configuration.make_task()
    with (
        HistoryFile(folder, history) as log,
        _interrupts() as interrupted,
        _device(configuration.device),
    ):
        if not network.updates:
            recordings.mkdir(exist_ok=True)
            _record(network, configuration, recordings / "before.nc")
        bar = tqdm(total=_total(configuration), initial=len(history), disable=not progress)
        with bar:
            run = _Training(configuration, folder, network, task, log, bar, history, interrupted)
            try:
                diagnosis = run.fit(workers)
            except OSError as error:
                raise OSError(
                    f"{error}; '{folder}' keeps what was saved: when there is room, go on with "
                    f"'brian-eprop train --resume {folder}'"
                ) from error
        test = None
        if history and hasattr(task, "metric"):
            trials = configuration.setup.evaluation_trials
            held_out = held_out_trials(task, "test", trials, configuration.seed)
            test = network.evaluate(task, *held_out, workers=workers)
    network.save(folder / run_folder.WEIGHTS)
    result = _result(configuration, history, bool(interrupted), diagnosis, test)
    if history:
        _record(network, configuration, recordings / "after.nc")
        plot_run(folder)
    write_result(folder, asdict(result))
    return result


@dataclass(frozen=True)
class _Training:
    """What happens around the iterations of a run."""

    configuration: Configuration
    folder: Path
    network: RecurrentNetwork
    task: object
    log: HistoryFile
    bar: tqdm
    history: list
    interrupted: list

    def fit(self, workers):
        """Train; returns what went wrong, or ''."""
        setup, left = self.configuration.setup, _total(self.configuration) - len(self.history)
        if left <= 0 or self._over():
            return ""
        self.bar.set_description("preparing")
        try:
            self.network.fit(
                self.task,
                left,
                setup.batch_size,
                [self._report],
                seed=self.configuration.seed,
                workers=workers,
                previous=tuple(self.history),
                **self.configuration.fit_options,
            )
        except TrainingDiverged as error:
            return str(error)
        except KeyboardInterrupt:
            pass
        return ""

    def _over(self):
        return _ending(self.configuration, self.history) in ("goal", "patience")

    def _report(self, entry):
        found = [e["validation"] for e in self.history if "validation" in e]
        if "validation" in entry and entry["validation"] < min(found, default=np.inf):
            self.network.save(self.folder / run_folder.BEST)
        self.history.append(entry)
        self.log.add(entry)
        if self.network.updates % self.configuration.checkpoint_every == 0:
            self.log.sync()
            self.network.save(self.folder / run_folder.CHECKPOINT)
        self.bar.set_description("training", refresh=False)
        metric = f", metric {entry['metric']:.3g}" if "metric" in entry else ""
        text = f"loss {entry['loss']:.4g}{metric}, {entry['rate']:.1f} Hz"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update()
        if self.interrupted:
            raise StopTraining


def _ending(configuration, history):
    """Why a history ended where it did."""
    setup = configuration.setup
    if history and setup.goal is not None and goal_reached(history, setup.goal):
        return "goal"
    if history and setup.patience is not None and out_of_patience(history, setup.patience):
        return "patience"
    return "iterations"


def _result(configuration, history, interrupted, diagnosis, test):
    def recent(name):
        values = [entry[name] for entry in history[-10:] if name in entry]
        return float(np.mean(values)) if values else None

    ended = _ending(configuration, history)
    if diagnosis:
        ended = "diverged"
    elif interrupted and ended == "iterations" and len(history) < _total(configuration):
        ended = "interrupted"
    return Result(
        ended=ended,
        diagnosis=diagnosis,
        iterations=len(history),
        first_loss=history[0]["loss"] if history else None,
        loss=recent("loss"),
        rate=recent("rate"),
        metric=recent("metric"),
        validation=min((e["validation"] for e in history if "validation" in e), default=None),
        test=test,
        seconds=history[-1]["seconds"] if history else 0.0,
    )


def _record(network, configuration, path):
    """Record one trial of the task with the present weights."""
    task = configuration.make_task()
    inputs, targets = task.sample(np.random.default_rng([configuration.seed, 2]), 1)
    window = getattr(task, "learning_window", None)
    network.record(inputs[0], targets[0], window).save(path)


@contextmanager
def _interrupts():
    """A list that grows with each Ctrl-C or SIGTERM; the second one is an exception as usual.

    Brian2 drops objects in weak-reference callbacks, where Python ignores exceptions: a
    KeyboardInterrupt that happens to be raised there is lost.
    """
    seen = []

    def note(*_):
        seen.append(True)
        if len(seen) > 1:
            raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Python allows it in the main thread only
        before = {}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _device(name):
    """Brian2's device for the time of the training."""
    set_device(name, build_on_run=False) if name == "cpp_standalone" else set_device(name)
    try:
        yield
    finally:
        reset_device()
