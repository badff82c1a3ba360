"""Sweeps: a grid of configurations and seeds, each a run of its own, and one table of them all.

    task = "evidence_accumulation"

    [sweep]
    seed = [1, 2, 3]
    "setup.learning_rate" = [1e-3, 5e-3]

    [sweep.variants.symmetric]
    setup.feedback = "symmetric"

    [sweep.variants."LIF only"]
    setup.neurons = [{ model = "lif", count = 100 }]

Runs that are finished are not repeated; those that were killed go on from their checkpoints.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import field, fields, frozen
from brian2 import prefs
from joblib import delayed

from ..checks import FigureFormat, FilePath, shown, suggest, table
from ..files import make_folder, remove_abandoned, write_netcdf
from ..network.workers import checked_workers, processes
from ..plotting.run import save_sweep_figures
from ..plotting.style import check_format
from .configuration import Configuration, naming
from .folder import CONFIGURATION, read_history, read_result
from .interrupts import interrupts
from .run import resume, train
from .surroundings import ERRORS
from .values import check_keys, read_toml

if TYPE_CHECKING:
    import xarray as xr

#: What of a result and of a history goes into the table, and what it is.
RESULTS = {
    "test": "metric of new trials after training",
    "metric": "metric of training trials, mean of the last 10 iterations",
    "validation": "best metric of the validation trials",
    "loss": "loss, mean of the last 10 iterations",
    "rate": "mean firing rate, mean of the last 10 iterations",
    "iterations": "number of updates",
    "seconds": "duration of the training",
}
CURVES = {
    "loss": "loss of an iteration",
    "metric": "metric of an iteration",
    "rate": "mean firing rate in an iteration",
}
UNITS = {"rate": "Hz", "seconds": "s"}
#: What a sweep writes beside the folders of its runs.
OWN_FILES = re.compile(r"table\.nc|(learning_curves|results)\.(png|svg|pdf)|\.stop", re.IGNORECASE)
#: One of them, while it is being stopped.
STOP = ".stop"


@frozen
class Sweep:
    """A grid of configurations: a base, values of its keys, and variants.

    Attributes
    ----------
    base : dict
        The content of a configuration file.
    grid : dict of str to list
        Values by key; a dot leads into a table, as in ``"setup.learning_rate"``.
    variants : dict of str to dict
        Parts of a configuration by the name of the variant.
    """

    base: dict[str, Any]
    grid: dict[str, list[Any]] = field(factory=dict)
    variants: dict[str, dict[str, Any]] = field(factory=dict)

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Read a sweep from a TOML file, and check every configuration in it.

        Raises
        ------
        ValueError
            Naming the file, the key and its value.
        """
        base = read_toml(path)
        with naming(path):
            check_keys(base, ["sweep", *(f.name for f in fields(Configuration))], "")
            grid = table("sweep", base.pop("sweep", None), "[sweep] with seed = [1, 2, 3]")
            if not grid:
                raise ValueError(
                    "there is no table [sweep] that says what is varied, such as seed = [1, 2, 3]; "
                    "for one run use 'brian-eprop train --config'"
                )
            variants = table("sweep.variants", grid.pop("variants", None), "[sweep.variants.slow]")
            for key, values in grid.items():
                if not isinstance(values, list) or not values:
                    raise ValueError(
                        f"sweep.{key} = {shown(values)} must be a list of values, such as "
                        f'"setup.order" = [1, 2]{suggest(key, ["variants"])}'
                    )
            for name, changes in variants.items():
                if not isinstance(changes, dict):
                    raise ValueError(
                        f"sweep.variants.{name} = {changes!r} must be a part of a configuration"
                    )
            sweep = cls(base, grid, variants)
            _check_folders(sweep.points())
            for point in sweep.points():
                with naming(f"in {label(point)}"):
                    sweep.configuration(point).make_network()
        return sweep

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The dimensions of the grid and their values : dict of str to list."""
        variants = {"variant": list(self.variants)} if self.variants else {}
        return variants | self.grid

    def points(self) -> list[dict[str, Any]]:
        """All points of the grid : list of dict."""
        return [
            dict(zip(self.axes, values, strict=True))
            for values in itertools.product(*self.axes.values())
        ]

    def configuration(self, point: Mapping[str, Any]) -> Configuration:
        """The configuration at a point."""
        content = self.base
        for key, value in point.items():
            changes = self.variants[value] if key == "variant" else value
            if key != "variant":
                for name in reversed(key.split(".")):
                    changes = {name: changes}
            content = _merged(content, changes)
        return Configuration.from_table(content)


def label(point):
    """The text of a point of the grid, which is also the name of its folder : str."""
    parts = (value if k == "variant" else f"{k}={_text(value)}" for k, value in point.items())
    return re.sub(r"[^\w.=,+ -]", "_", ", ".join(parts))


def _check_folders(points):
    """Raise ValueError unless every point has a folder of its own.

    Also where a file system takes capitals, or ways to write an accent, for the same.
    """
    by_folder = {}
    for point in points:
        name = label(point)
        if name in ("", ".", "..") or OWN_FILES.fullmatch(name):
            raise ValueError(f"{_named(point)} would be the folder '{name}'; give it another name")
        same = by_folder.setdefault(unicodedata.normalize("NFC", name).casefold(), point)
        if same is not point:
            raise ValueError(
                f"{_named(same)} and {_named(point)} would be one folder, '{name}'; give them "
                "names that differ in letters, digits or . = , + -"
            )


def _named(point):
    return ", ".join(f"{key} {value!r}" for key, value in point.items())


def run_sweep(
    sweep: Sweep,
    folder: FilePath,
    *,
    workers: int = 1,
    report: Callable[[str], object] = print,
    figures: FigureFormat = "png",
) -> tuple[xr.Dataset, dict[str, str]]:
    """Run what is missing of a sweep, then write its table and, of iterations there are, figures.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
        One folder in it for each run.
    workers : int
        Runs at the same time; −1 for as many as joblib's present backend has.
    report : callable
        Is given a line of text when a run has ended.
    figures : {"png", "svg", "pdf"}
        Format of the sweep's figures, and of those of its runs.

    Returns
    -------
    table : xarray.Dataset
        See :func:`sweep_table`.
    failed : dict of str to str
        Errors, by the label of the run.

    Raises
    ------
    ValueError
        If the folder has the run of another configuration where one of this sweep belongs,
        figures have no such format, or there is no such number of workers.
    OSError
        If the folder cannot be made.
    KeyboardInterrupt
        After Ctrl-C, or SIGTERM, when the runs in progress have ended their iteration and written
        what there is; at once at the second one. What is missing is for the next call.
    """
    check_format(figures)
    workers = checked_workers(workers)
    folder = Path(folder)
    make_folder(folder, "the folder of the sweep")
    remove_abandoned(folder)
    jobs = {label(point): sweep.configuration(point) for point in sweep.points()}
    for name, configuration in jobs.items():
        _check_same(folder / name, configuration)
    missing = [name for name in jobs if not _finished(folder / name)]
    report(f"{len(jobs)} runs, {len(jobs) - len(missing)} of them finished before")
    failed, stop = {}, folder / STOP
    stop.unlink(missing_ok=True)  # of a sweep that was killed
    try:
        with interrupts(stop, tell=True) as stopped:
            calls = (
                delayed(_train_one)(
                    jobs[name], folder / name, name, figures, prefs.codegen.target, stop
                )
                for name in missing
                if not stopped
            )
            parallel = processes(workers, return_as="generator_unordered")
            # closed before the file is gone: no run begins after that
            with closing(parallel(calls)) as ended:
                for name, text, error in filter(None, ended):
                    report(f"{name}: {text}")
                    if error:
                        failed[name] = error
            if stopped:
                raise KeyboardInterrupt
    finally:
        stop.unlink(missing_ok=True)
    results = sweep_table(sweep, folder)
    write_netcdf(results, folder / "table.nc", "the table of the sweep")
    if results.sizes["iteration"]:
        save_sweep_figures(folder, results, figures)
    return results, failed


def sweep_table(sweep: Sweep, folder: FilePath) -> xr.Dataset:
    """The results and learning curves of a sweep as one table.

    Parameters
    ----------
    sweep : Sweep
    folder : Path

    Returns
    -------
    xarray.Dataset
        With one dimension for each key that is varied (``variant``, ``seed``, …): results of the
        runs, nan where there is none; ``ended`` as text; and, along ``iteration`` as well, the
        curves ``curve_loss``, ``curve_metric`` and ``curve_rate``.
    """
    import xarray as xr

    axes, points = sweep.axes, sweep.points()
    shape = tuple(len(values) for values in axes.values())
    results = [read_result(Path(folder) / label(point)) for point in points]
    histories = [
        read_history(Path(folder) / label(point)) if result else []
        for point, result in zip(points, results, strict=True)
    ]
    dims, variables = tuple(axes), {}
    for name, meaning in RESULTS.items():
        values = [getattr(result, name, None) for result in results]
        numbers = np.array([np.nan if value is None else value for value in values], dtype=float)
        variables[name] = (dims, numbers.reshape(shape), _attributes(name, meaning))
    ended = np.array([getattr(result, "ended", "missing") for result in results], dtype=object)
    variables["ended"] = (dims, ended.reshape(shape), {"long_name": "how training ended"})
    longest = max(len(history) for history in histories)
    for name, meaning in CURVES.items():
        curves = np.full((len(points), longest), np.nan)
        for curve, history in zip(curves, histories, strict=True):
            curve[: len(history)] = [entry.get(name, np.nan) for entry in history]
        values = curves.reshape((*shape, longest))
        variables[f"curve_{name}"] = ((*dims, "iteration"), values, _attributes(name, meaning))
    coords = {key: [v if _plain(v) else _text(v) for v in values] for key, values in axes.items()}
    attributes = {"task": str(sweep.base["task"]), "sweep": json.dumps(sweep.base)}
    return xr.Dataset(variables, coords | {"iteration": np.arange(longest)}, attributes)


def _train_one(configuration, folder, name, figures, target, stop):
    """Train one run in a process of its own.

    Returns
    -------
    name, text, error : str
        Its label, a line about it, and its error or ""; None if the sweep was stopped before.
    """
    prefs.codegen.target = target
    with interrupts(stop) as stopped:
        if stopped:
            return None
        try:
            if (folder / CONFIGURATION).exists():
                # the sweep names the same task, see _check_same
                result = resume(folder, trust=True, progress=False, figures=figures)
            else:
                result = train(configuration, folder, progress=False, figures=figures)
        except ERRORS as error:
            return name, f"failed: {error}", str(error)
    test = "" if result.test is None else f", test {result.test:.4g}"
    text = f"ended by {result.ended} after {result.iterations} iterations"
    return name, f"{text} and {result.seconds:.0f} s{test}", result.diagnosis


def _finished(folder):
    result = read_result(folder)
    return result is not None and result.ended != "interrupted"


def _check_same(folder, configuration):
    path = folder / CONFIGURATION
    if path.exists() and path.read_text(encoding="utf-8") != configuration.text():
        raise ValueError(
            f"'{folder}' holds a run of another configuration; name another folder with --out, or "
            "remove it"
        )


def _merged(content, changes):
    """A configuration's content in which some entries are replaced, in tables within it too."""
    merged = dict(content)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _attributes(name, meaning):
    return {"long_name": meaning, "units": UNITS.get(name, "1")}


def _plain(value):
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _text(value):
    # "inf" as in TOML, not "Infinity"
    return str(value) if isinstance(value, str | float) else json.dumps(value)
