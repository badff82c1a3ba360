"""Training runs: a configuration is trained into a run folder, or resumed from its checkpoint."""

import shlex
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..checks import FigureFormat, FilePath
from ..network import RecurrentNetwork
from ..network.training import (
    StopTraining,
    TrainingDiverged,
    check_alignment,
    drawn,
    held_out_trials,
)
from ..network.workers import Workers
from ..plotting.animation import LearningAnimation, check_animation
from ..plotting.run import save_run_figures
from ..plotting.style import check_format
from ..recording import Recording
from ..rule_study import AlignmentMonitor
from . import folder as files
from .configuration import Configuration
from .folder import (
    HistoryFile,
    Result,
    check_unchanged,
    ending,
    read_history,
    read_result,
    result_of,
    write_environment,
    write_result,
)
from .interrupts import interrupts
from .surroundings import brian2_device

#: Of an animation, about: each is a trial that is simulated once more.
FRAMES = 40


def train(
    configuration: Configuration,
    folder: FilePath,
    *,
    workers: int = 1,
    progress: bool = True,
    figures: FigureFormat = "png",
    animation: FilePath | None = None,
    alignment: AlignmentMonitor | None = None,
) -> Result:
    """Train as configured, and write a run folder.

    Ctrl-C ends training after the present iteration, and so does SIGTERM: everything is then
    written as if the run had been configured with so many iterations. A second one ends the
    process at once, as kill -9 does: training can go on from the last checkpoint.

    Parameters
    ----------
    configuration : Configuration
    folder : Path
        Must be new or empty.
    workers : int
        Processes, see :func:`brian_eprop.network.training.fit`.
    progress : bool
        Show a progress bar.
    figures : {"png", "svg", "pdf"}
        Their format.
    animation : path-like, optional
        A film of learning to write, see :class:`brian_eprop.plotting.LearningAnimation`.
    alignment : AlignmentMonitor, optional
        Rules whose gradients are compared with that of back-propagation: columns of the history,
        and a figure.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If figures or the animation have no such format, or there is no such number of workers.
    TypeError
        If `alignment` is no monitor.
    FileExistsError
        If there is something in the folder; nothing is changed then.
    OSError
        If the folder cannot be written; what was saved before stays as it was.
    KeyboardInterrupt
        At the second Ctrl-C.
    """
    folder = Path(folder)
    _check_pictures(figures, animation)
    check_alignment(alignment)
    network = configuration.make_network()
    Workers(network, workers)  # refuses a wrong number
    files.create(folder)
    configuration.write(folder / files.CONFIGURATION)
    write_environment(folder)
    pictures = figures, animation
    return _run(configuration, folder, network, [], workers, progress, pictures, alignment)


def resume(
    folder: FilePath,
    *,
    iterations: int | None = None,
    trust: bool = False,
    workers: int = 1,
    progress: bool = True,
    figures: FigureFormat = "png",
    animation: FilePath | None = None,
    alignment: AlignmentMonitor | None = None,
) -> Result:
    """Go on with a run that was killed or interrupted, as if nothing had happened.

    It starts from the last checkpoint; iterations after it are repeated, with the same trials.
    What of ``config.toml`` was edited meanwhile is taken over if it says when training ends, or
    what is written in it; anything else is refused.

    Parameters
    ----------
    folder : Path
    iterations : int, optional
        Another number of iterations, to train for longer; at least those that have been done.
    trust : bool
        Whether a Python file that ``config.toml`` names as the task may be executed.
    workers, progress, figures, animation, alignment
        As for :func:`train`.

    Returns
    -------
    Result

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no run in the folder, or a file in it is damaged; names the file. If the
        configuration was edited where it may not be; names the keys. If the task is a Python file
        that is not trusted; it is not executed then.
    BlockingIOError
        If another process trains it.
    KeyboardInterrupt
        At the second Ctrl-C.
    """
    folder = Path(folder)
    _check_pictures(figures, animation)
    check_alignment(alignment)
    if not (folder / files.CONFIGURATION).exists():
        early = folder.is_dir() and files.is_empty(folder)
        raise FileNotFoundError(
            f"there is no run to go on with in '{folder}': it has no '{files.CONFIGURATION}'"
            + ("; it was ended before training began, so train it with --out again" * early)
        )
    configuration = Configuration.read(folder / files.CONFIGURATION, execute=trust)
    if configuration.own_task and not trust:
        raise ValueError(
            f"'{folder / files.CONFIGURATION}' names the Python file '{configuration.task}' as its "
            "task, which would be executed; if you know what is in it, add --trust (trust=True)"
        )
    finished = read_result(folder)
    if finished is not None or (folder / files.CHECKPOINT).exists():
        check_unchanged(folder, configuration)
    network, history = None, []
    if (folder / files.CHECKPOINT).exists():
        network = RecurrentNetwork.load(folder / files.CHECKPOINT)
        history = read_history(folder)[: network.updates]
        if len(history) < network.updates:
            raise ValueError(
                f"'{folder / files.HISTORY}' has {len(history)} complete entries, but there "
                f"have been {network.updates} updates: it was changed or damaged; put it back, or "
                "train anew"
            )
    done = finished.iterations if finished is not None else len(history)
    if iterations is not None and iterations < done:
        raise ValueError(
            f"iterations = {iterations}: the run in '{folder}' has had {done} already; give at "
            "least as many"
        )
    if iterations is not None and iterations != configuration.setup.iterations:
        configuration = configuration.changed(iterations=iterations)
        configuration.write(folder / files.CONFIGURATION)
    if finished is not None and _stays_finished(finished, configuration, folder):
        return finished
    network = network or configuration.make_network()
    Workers(network, workers)
    write_environment(folder)
    pictures = figures, animation
    return _run(configuration, folder, network, history, workers, progress, pictures, alignment)


def plot_run(folder: FilePath, format: FigureFormat = "png") -> list[Path]:
    """Draw the figures of a run folder.

    Nothing in it is executed: of a task that is a Python file, decisions are not drawn.

    Parameters
    ----------
    folder : Path
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is not one of a run, or a file in it is damaged; names the file.
    """
    folder = Path(folder)
    files.check_is_run(folder)
    configuration = Configuration.read(folder / files.CONFIGURATION, execute=False)
    task = None if configuration.own_task else configuration.make_task()
    return _draw(folder, task, format)


def _draw(folder, task, format):
    """Draw the figures of a run folder : list of Path."""
    history = read_history(folder)
    if not history:
        raise ValueError(
            f"'{folder / files.HISTORY}' has no complete iteration; there is nothing to draw"
        )
    network = RecurrentNetwork.load(folder / files.WEIGHTS)
    recordings = {path.stem: Recording.load(path) for path in files.recordings(folder)}
    figures = folder / files.FIGURES
    figures.mkdir(exist_ok=True)
    return save_run_figures(figures, history, network.weights, recordings, task, format)


def _stays_finished(result, configuration, folder):
    """Whether a run that has ended would have ended with the present configuration too."""
    if result.ended in ("interrupted", "diverged"):
        return result.ended == "diverged"
    return (
        result.iterations >= configuration.setup.iterations
        or ending(configuration, read_history(folder)) != "iterations"
    )


def _check_pictures(figures, animation):
    check_format(figures)
    if animation is not None:
        check_animation(animation)


def _run(configuration, folder, network, history, workers, progress, pictures, alignment):
    """Train the network of a prepared folder, test it, record a trial and draw the figures."""
    figures, animation = pictures
    recordings, task, setup = (
        folder / files.RECORDINGS,
        configuration.make_task(),
        configuration.setup,
    )
    with (
        HistoryFile(folder, history) as log,
        interrupts(tell=progress) as interrupted,
        brian2_device(configuration.device),
    ):
        configuration.write(folder / files.BEGUN)
        if not network.updates:
            recordings.mkdir(exist_ok=True)
            _record(network, configuration, recordings / "before.nc")
        with tqdm(total=setup.iterations, initial=len(history), disable=not progress) as bar:
            films = [_film(animation, network, configuration)] if animation else []
            report = _reporter(configuration, folder, network, history, log, bar, interrupted)
            fit = partial(_fit, configuration, network, task, [*films, report], history)
            try:
                diagnosis = fit(workers, alignment)
            except OSError as error:
                trust = " --trust" if configuration.own_task else ""
                raise OSError(
                    f"{error}; '{folder}' keeps what was saved: when that is mended, go on with "
                    f"'brian-eprop train --resume {shlex.quote(str(folder))}{trust}'"
                ) from error
        test = None
        if history and hasattr(task, "metric"):
            held_out = held_out_trials(task, "test", setup.evaluation_trials, configuration.seed)
            test = network.evaluate(task, *held_out, workers=workers)
    network.save(folder / files.WEIGHTS)
    result = result_of(configuration, history, bool(interrupted), diagnosis, test)
    if history:
        _record(network, configuration, recordings / "after.nc")
        _draw(folder, task, figures)
    for film in films:
        film.save()
    write_result(folder, result)
    return result


def _fit(configuration, network, task, callbacks, history, workers, alignment):
    """Train for the iterations that are left : the diagnosis of a divergence, else ''."""
    left = configuration.setup.iterations - len(history)
    if left <= 0 or ending(configuration, history) != "iterations":
        return ""
    try:
        network.fit(
            task,
            left,
            configuration.setup.batch_size,
            callbacks,
            seed=configuration.seed,
            workers=workers,
            previous=tuple(history),
            alignment=alignment,
            **configuration.fit_options,
        )
    except TrainingDiverged as error:
        return str(error)
    return ""


def _reporter(configuration, folder, network, history, log, bar, interrupted):
    """The callback of training that writes history and checkpoints, and shows the progress."""
    bar.set_description("preparing")

    def report(entry):
        best = min((e["validation"] for e in history if "validation" in e), default=np.inf)
        if entry.get("validation", np.inf) < best:
            network.save(folder / files.BEST)
        history.append(entry)
        log.add(entry)
        stop = bool(interrupted)
        if stop or network.updates % configuration.checkpoint_every == 0:
            log.sync()
            network.save(folder / files.CHECKPOINT)
        bar.set_description("training", refresh=False)
        metric = f", metric {entry['metric']:.3g}" if "metric" in entry else ""
        text = f"loss {entry['loss']:.4g}{metric}, {entry['rate']:.1f} Hz"
        bar.set_postfix_str(text, refresh=False)
        bar.update()
        if stop:
            raise StopTraining

    return report


def _record(network, configuration, path):
    """Record one trial of the task with the present weights."""
    network.record(*_shown_trial(configuration)).save(path)


def _film(path, network, configuration):
    """The animation of a run, of about `FRAMES` frames."""
    every = max(1, configuration.setup.iterations // FRAMES)
    return LearningAnimation(path, network, *_shown_trial(configuration), every=every)


def _shown_trial(configuration):
    """Inputs, targets and learning window of the trial that recordings and films show."""
    task = configuration.make_task()
    inputs, targets = drawn(task, np.random.default_rng([configuration.seed, 2]), 1)
    return inputs[0], targets[0], getattr(task, "learning_window", None)
