"""The files of a run folder, written so that a process may be killed at any moment.

config.toml       what it was made from; repeats the run
begun.toml        the same, as it was when training was last started; --resume compares the two
environment.json  with what it was made, when it was last started: versions, machine, commit
history.jsonl     one object per iteration, written as it happens
checkpoint.npz    the network while it is trained; from here training goes on
best.npz          the network with the best validation so far, if there are validations
weights.npz       the network after training (RecurrentNetwork.load)
result.json       how training ended; written last
recordings/       one trial before and one after training (Recording.load)
figures/          drawn from the above
"""

import errno
import fcntl
import json
import os
import tomllib
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from attrs import asdict, field, frozen

from ..checks import choice, real, whole
from ..files import is_abandoned, make_folder, remove_abandoned, replacing
from ..network.training import goal_reached, out_of_patience
from .surroundings import commit, environment
from .values import differences, read_toml

Ending: TypeAlias = Literal["iterations", "goal", "patience", "interrupted", "diverged"]
CONFIGURATION, HISTORY, RESULT = "config.toml", "history.jsonl", "result.json"
BEGUN = "begun.toml"
ENVIRONMENT = "environment.json"
CHECKPOINT, BEST, WEIGHTS = "checkpoint.npz", "best.npz", "weights.npz"
RECORDINGS, FIGURES = "recordings", "figures"
#: Keys that may change in a run that has begun: when it ends, and what is written meanwhile.
CHANGEABLE = (
    "checkpoint_every",
    "setup.iterations",
    "setup.goal",
    "setup.patience",
    "setup.evaluate_every",
)


def create(folder):
    """Make the folder of a new run.

    A folder counts as empty if a process was killed before it had written the configuration.

    Raises
    ------
    FileExistsError
        If there is something in it; nothing is changed then.
    OSError
        If it cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and not is_empty(folder)):
        remedy = f"go on with --resume '{folder}', or " if (folder / CONFIGURATION).exists() else ""
        raise FileExistsError(
            f"the run folder '{folder}' exists already; nothing was changed: {remedy}name another "
            "one with --out, or remove it"
        )
    make_folder(folder, "the run folder")


def is_empty(folder):
    """Whether a folder has only empty folders, and unfinished files of ended processes."""
    return all(path.is_dir() or is_abandoned(path) for path in folder.rglob("*"))


def read_history(folder):
    """The entries of a run's history; a last line that was cut off is left out.

    Raises
    ------
    FileNotFoundError
        If it is not a run folder.
    ValueError
        If it is damaged; names the file.
    """
    check_is_run(folder, HISTORY)
    path, entries = folder / HISTORY, []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except (json.JSONDecodeError, RecursionError):
                break
            entry["iteration"], entry["loss"], entry["rate"], entry["seconds"]
            entries.append(entry)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"'{path}' is damaged or is not the history of a run ({error!r}); put it back, or "
            "remove it"
        ) from None
    return entries


def check_is_run(folder, name=CONFIGURATION):
    """Raise FileNotFoundError if a folder lacks a file that every run folder has."""
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"'{folder}' is not a run folder: there is no '{name}' in it; give the folder that "
            "'brian-eprop train' has written"
        )


def check_unchanged(folder, configuration):
    """Raise an error if a key was edited since training began that may not change.

    Raises
    ------
    ValueError
        Naming the file, the keys, their old and their new values.
    """
    path = folder / CONFIGURATION
    if not (folder / BEGUN).exists():
        raise ValueError(
            f"'{folder / BEGUN}' is missing, so that nobody knows whether '{path}' was edited "
            "since training began; if it was not, copy it there"
        )
    begun = read_toml(folder / BEGUN)
    changed = differences(begun, tomllib.loads(configuration.text()))
    refused = [
        f"{key} = {_written(new)} (was {_written(old)})"
        for key, (old, new) in changed.items()
        if key not in CHANGEABLE
    ]
    if refused:
        raise ValueError(
            f"'{path}' was edited since training began, and cannot have {', '.join(refused)} now; "
            f"put it back, or train anew with --config '{path}' and another folder with --out. In "
            f"a run that has begun only {', '.join(CHANGEABLE)} may change"
        )


def _written(value):
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)


def write_result(folder, result):
    """Write the outcome of a run as JSON."""
    with replacing(folder / RESULT, "the result") as file:
        file.write(json.dumps(asdict(result), indent=2).encode())


def write_environment(folder):
    """Write versions and machine of this process as JSON."""
    with replacing(folder / ENVIRONMENT, "the environment") as file:
        file.write(json.dumps(environment() | commit(), indent=2).encode())


def read_result(folder):
    """The outcome of a run : Result; None if it has not ended.

    Raises
    ------
    ValueError
        If it is damaged or not complete; names the file.
    """
    return _read_json(folder / RESULT, Result, ": the run then counts as unfinished")


def read_environment(folder):
    """Versions and machine of a run : dict of str to str, empty if there is no such file.

    Raises
    ------
    ValueError
        If it is damaged; names the file.
    """
    return _read_json(folder / ENVIRONMENT, dict) or {}


def _read_json(path, make, consequence=""):
    """The object made from the entries of a JSON file, None if there is no file."""
    try:
        return make(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"'{path}' is damaged ({error}); put it back, or remove it{consequence}"
        ) from None


class HistoryFile:
    """The history of a run as a file that grows line by line, and the lock on its folder.

    What processes that were killed have left unfinished in the run's folder is removed.

    Parameters
    ----------
    folder : Path
    entries : list of dict
        What it begins with, in place of what there is.

    Raises
    ------
    BlockingIOError
        If another process writes it.
    """

    def __init__(self, folder, entries):
        self._lock = (folder / f".{HISTORY}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"the run in '{folder}' is being trained by another process; wait for it, or end it"
            ) from None
        for place in (folder, folder / RECORDINGS, folder / FIGURES):
            remove_abandoned(place)
        with replacing(folder / HISTORY, "the history") as file:
            file.write("".join(_line(entry) for entry in entries).encode())
        # Without a buffer: what cannot be written must not come up again when the file is closed.
        self._file = (folder / HISTORY).open("ab", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._lock.close()

    def add(self, entry):
        """Append an entry; other programs see it at once."""
        line = _line(entry).encode()
        try:
            complete = self._file.write(line) == len(line)
        except OSError as error:
            raise type(error)(
                error.errno, f"cannot write the history '{self._file.name}': {error.strerror}"
            ) from error
        if not complete:
            raise OSError(errno.ENOSPC, f"the history '{self._file.name}' has no room for a line")

    def sync(self):
        """Wait until the history is on the disk."""
        os.fsync(self._file.fileno())


def _line(entry):
    return json.dumps(entry) + "\n"


def recordings(folder):
    """Paths of the recordings : list of Path."""
    return sorted(Path(folder / RECORDINGS).glob("*.nc"))


@frozen
class Result:
    """The outcome of a run: its ending, and losses, rates and metrics at the end.

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

    ended: Ending = field(validator=choice(get_args(Ending)))
    diagnosis: str
    iterations: int = field(validator=whole(0))
    first_loss: float | None
    loss: float | None
    rate: float | None
    metric: float | None
    validation: float | None
    test: float | None
    seconds: float = field(validator=real())


def ending(configuration, history):
    """The criterion that ended a history: "goal", "patience" or "iterations"."""
    setup = configuration.setup
    if history and setup.goal is not None and goal_reached(history, setup.goal):
        return "goal"
    if history and setup.patience is not None and out_of_patience(history, setup.patience):
        return "patience"
    return "iterations"


def result_of(configuration, history, interrupted, diagnosis, test):
    """The Result of a run with this history."""

    def recent(name):
        values = [entry[name] for entry in history[-10:] if name in entry]
        return float(np.mean(values)) if values else None

    ended = ending(configuration, history)
    if diagnosis:
        ended = "diverged"
    elif interrupted and ended == "iterations" and len(history) < configuration.setup.iterations:
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
