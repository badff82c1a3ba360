"""How well rules point along the gradient of back-propagation in a network that was trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from ..checks import FilePath, whole_number
from ..learning.rule import EProp, Rule
from ..learning.rules import MDGL, OSTL, OTTT, RFLO, SuperSpike
from ..network import RecurrentNetwork
from ..network.runtime import numpy_runtime
from ..plotting.alignment import alignment_figure
from ..plotting.style import check_format, save_figures
from ..rule_study.alignment import AlignmentMonitor
from . import folder as files
from .configuration import Configuration

#: What is measured when nobody says which.
DEFAULT = (EProp(), EProp(order=2), EProp(order=3), MDGL(), SuperSpike(), RFLO(), OTTT(), OSTL())


@frozen
class Alignment:
    """The alignment of rules in a network.

    Attributes
    ----------
    trials : int
    columns : dict of str to float
        ``"cosine EProp(order=1) w_rec"`` and so on.
    refused : dict of str to str
        Rules that the network cannot have, and why.
    """

    trials: int
    columns: dict[str, float]
    refused: dict[str, str]

    def __str__(self) -> str:
        cosines = [key.removeprefix("cosine ") for key in self.columns if key.startswith("cosine")]
        lines = [f"{'rule and part':36} {'cosine':>8} {'norm ratio':>11}"]
        lines += [
            f"{name:36} {self.columns[f'cosine {name}']:8.4f} "
            f"{self.columns[f'norm ratio {name}']:11.4f}"
            for name in cosines
        ]
        return "\n".join([*lines, *(f"{rule}: {why}" for rule, why in self.refused.items())])


@numpy_runtime()
def align(
    folder: FilePath,
    rules: Sequence[Rule | str] = DEFAULT,
    *,
    trials: int = 8,
    trust: bool = False,
    figure: FilePath | None = None,
) -> Alignment:
    """Measure rules in the network of a run folder; see `AlignmentMonitor`.

    Parameters
    ----------
    folder : path-like
    rules : sequence of rules and names
    trials : int
        Of the task, drawn anew.
    trust : bool
        Whether a Python file that ``config.toml`` names as the task may be executed.
    figure : path-like, optional
        A file for `brian_eprop.plotting.plot_rule_alignment` of cosines and ratios of norms, which
        ends in .png, .svg or .pdf.

    Returns
    -------
    Alignment

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not the folder of a run that has saved a network, a file in it is damaged, or there
        is no such format.
    MemoryError
        If the network is too large for it, with the number of bytes.
    """
    folder = Path(folder)
    files.check_is_run(folder)
    whole_number("align.trials", trials)
    picture = None if figure is None else Path(figure)
    if picture is not None:
        check_format(picture.suffix.removeprefix("."))
    saved = [folder / name for name in (files.WEIGHTS, files.CHECKPOINT)]
    saved = [path for path in saved if path.exists()]
    if not saved:
        raise ValueError(f"'{folder}' has no network yet: let the run come to its first checkpoint")
    configuration = Configuration.read(folder / files.CONFIGURATION, execute=trust)
    if configuration.own_task and not trust:
        raise ValueError(
            f"'{folder / files.CONFIGURATION}' names the Python file '{configuration.task}' as its "
            "task, which would be executed; if you trust it, give --trust"
        )
    network, task = RecurrentNetwork.load(saved[0]), configuration.make_task()
    inputs, targets = task.sample(np.random.default_rng([configuration.seed, 4]), trials)
    monitor = AlignmentMonitor(rules)
    refused: dict[str, str] = {}
    window = getattr(task, "learning_window", None)
    columns = monitor.of_network(network, inputs, targets, window, refused)
    if picture is not None and columns:
        drawn = {picture.stem: alignment_figure(columns)}
        save_figures(picture.parent, drawn, picture.suffix.removeprefix("."))
    return Alignment(trials, columns, refused)
