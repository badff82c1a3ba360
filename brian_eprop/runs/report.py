"""The report of a run folder, finished or not: one page with figures and derived equations.

The equations are MathML, which browsers show by themselves.
"""

import base64
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
import numpy as np
from attrs import frozen
from brian2 import ms

from ..checks import FilePath
from ..files import replacing
from ..learning.losses import LOSSES
from ..network import RecurrentNetwork
from ..network.constraints import MATRICES
from ..network.structures import values_of
from ..network.trained_delays import NAMES
from ..plotting.run import save_run_figures
from ..recording import Recording
from . import folder as files
from .configuration import Configuration
from .folder import CONFIGURATION, Result
from .model_equations import model_equations
from .surroundings import environment
from .verification import GradientCheck, check_gradients


@frozen
class RunContents:
    """The contents of a run folder, finished or not; reading them executes nothing.

    Attributes
    ----------
    folder : Path
    configuration : Configuration
    history : list of dict
        Empty before the first iteration.
    result : Result or None
        None if the run has not ended.
    environment : dict of str to str
        Empty if the run has written none.
    network : RecurrentNetwork or None
        The trained one, else that of the last checkpoint.
    recordings : dict of str to Recording
    """

    folder: Path
    configuration: Configuration
    history: list
    result: Result | None
    environment: dict
    network: RecurrentNetwork | None
    recordings: dict

    def task(self):
        """The task, or the recorded trial of one that is a Python file; None without either."""
        if not self.configuration.own_task:
            return self.configuration.make_task()
        recordings = list(self.recordings.values())
        return RecordedTask(recordings[-1]) if recordings else None

    @classmethod
    def read(cls, folder):
        """Read a run folder.

        Raises
        ------
        FileNotFoundError
            If it is not a run folder.
        ValueError
            If a file in it is damaged; names the file.
        """
        folder = Path(folder)
        files.check_is_run(folder)
        saved = [folder / name for name in (files.WEIGHTS, files.CHECKPOINT)]
        saved = [path for path in saved if path.exists()]
        return cls(
            folder=folder,
            configuration=Configuration.read(folder / files.CONFIGURATION, execute=False),
            history=files.read_history(folder) if (folder / files.HISTORY).exists() else [],
            result=files.read_result(folder),
            environment=files.read_environment(folder),
            network=RecurrentNetwork.load(saved[0]) if saved else None,
            # "before" before "after"
            recordings={p.stem: Recording.load(p) for p in reversed(files.recordings(folder))},
        )


@frozen
class RecordedTask:
    """The one recorded trial, in place of a task that is a Python file and is not executed."""

    recording: Recording

    def sample(self, rng, batch):
        return self.recording.inputs[None], self.recording.target[None]


REPORT = "report.html"
#: Rows of the table of iterations, besides the last.
MILESTONES = 9
#: Columns of that table: the key of an entry, and its title.
COLUMNS = {
    "loss": "Loss",
    "regularization": "Regularization",
    "metric": "Metric",
    "validation": "Validation",
    "rate": "Rate (Hz)",
}
#: Sections of figures, by how the names of their files begin.
SECTIONS = {
    "learning": ("learning",),
    "trial": ("trial", "decision"),
    "weights": ("weights",),
}
#: What figures show, for those who do not see them: by how the names of their files begin.
SHOWN = {
    "learning_curve": "Loss, metric and mean firing rate by iteration; numbers are in the table",
    "learning_alignment": "Cosine and norm of each rule's gradient beside BPTT's by iteration",
    "trial": "Input spikes, spikes, membranes with thresholds, traces, learning signals, output "
    "and target over the time of a trial",
    "decision": "The outputs over the time of a trial, and which of them is the right one",
    "weights": "Each weight matrix as an image, from negative to positive; the table has their "
    "means and standard deviations",
}
ENDINGS = {
    "iterations": "ended after its last iteration",
    "goal": "reached its goal",
    "patience": "ended when validation got no better",
    "interrupted": "was interrupted",
    "diverged": "diverged",
}


def write_report(folder: FilePath) -> tuple[Path, GradientCheck | None]:
    """Write ``report.html`` into a run folder: one file, which needs no other and no network.

    It has how the run ended, learning curves, a trial before and after, the weights, a check of
    the gradients (:func:`check_gradients`), the equations that were derived, the configuration
    and what it ran on. A run that is not finished is reported as far as it has come.

    Nothing in the folder is executed: of a task that is a Python file the recorded trial is taken,
    and decisions are not drawn.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    path : Path
    check : GradientCheck or None
        None if no network has been saved yet.

    Raises
    ------
    FileNotFoundError
        If it is not a run folder.
    ValueError
        If a file in it is damaged; names the file.
    OSError
        If the report cannot be written; an older one stays as it was.
    """
    run = RunContents.read(folder)
    task, check = run.task(), None
    if run.network is not None and task is not None:
        check = check_gradients(run.network, task, run.configuration.seed)
    path = run.folder / REPORT
    with replacing(path, "the report") as file:
        file.write(page(run, task, check).encode())
    return path, check


def page(run: RunContents, task, check: GradientCheck | None, follow: str = "") -> str:
    """The report of a run as HTML.

    Parameters
    ----------
    run : RunContents
    task : task or None
    check : GradientCheck or None
    follow : str
        Where a page that follows the run asks how far it is; "" for one that stays as it is.
    """
    equations = []
    if run.network is not None and task is not None:
        d = run.network.description
        equations = [model_equations(population, d.rule) for population in d.populations]
    milestones = _milestones(run.history)
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": _number, "scientific": _scientific}
    templates.filters |= {"duration": _duration, "base64": _base64}
    return templates.get_template("page.html").render(
        run=run,
        title=Path(run.configuration.task).stem.replace("_", " ").capitalize(),
        setup=run.configuration.setup,
        network=_network(run.network),
        ending=ENDINGS[run.result.ended] if run.result else "has not ended",
        check=check,
        worst=max((row.error for row in check.rows), default=None) if check else None,
        equations=equations,
        figures=_figures(run, task),
        milestones=milestones,
        columns=_columns(milestones),
        matrices=_matrices(run.network),
        toml=(run.folder / CONFIGURATION).read_text(encoding="utf-8"),
        now=environment(),
        follow=follow,
    )


def _columns(milestones):
    """Keys and titles of the columns of the table, those of an alignment of all weights last."""
    known = {k: title for k, title in COLUMNS.items() if any(k in m for m in milestones)}
    aligned = [k for m in milestones for k in m if k.startswith("cosine ") and k.endswith(" all")]
    return known | {k: k.removesuffix(" all").capitalize() for k in aligned}


def _figures(run, task):
    """The figures by section of the report : dict of str to list of (name, alt, data URL)."""
    figures = {section: [] for section in SECTIONS}
    if run.history and run.network is not None:
        with TemporaryDirectory() as folder:
            weights = run.network.weights
            paths = save_run_figures(Path(folder), run.history, weights, run.recordings, task)
            for path in paths:
                section = next(s for s, names in SECTIONS.items() if path.stem.startswith(names))
                url = f"data:image/png;base64,{_base64(path.read_bytes())}"
                name = path.stem.replace("_", " ").capitalize()
                shown = next(text for start, text in SHOWN.items() if path.stem.startswith(start))
                figures[section].append((name, f"{name}: {shown[0].lower()}{shown[1:]}.", url))
    return figures


def _milestones(history):
    """Entries of a history in geometric progression, the best validation, and the last entry."""
    if not history:
        return []
    last = len(history) - 1
    chosen = {0, last, *np.geomspace(1, max(last, 1), MILESTONES).astype(int).tolist()}
    judged = [k for k, entry in enumerate(history) if "validation" in entry]
    if judged:
        chosen.add(min(judged, key=lambda k: history[k]["validation"]))
    return [history[k] for k in sorted(chosen) if k <= last]


def _network(network):
    """The description of a network in words : dict of str to str."""
    if network is None:
        return {}
    d = network.description
    words = {
        "Neurons": " + ".join(f"{p.count} {p.model.name}" for p in d.populations),
        "Inputs": d.n_in,
        "Outputs": f"{d.n_out}, with a time constant of {_number(float(d.tau_out / ms))} ms",
        "Time step": f"{_number(float(d.dt / ms))} ms",
        "Loss": LOSSES[d.loss].title,
        "Rule": d.rule.title,
        "Feedback": d.feedback,
        "Optimizer": f"{type(network.optimizer).__name__}({network.optimizer.learning_rate})",
        "Trained as well": ", ".join(_trained_as_well(network)),
        "Constraints": ", ".join(type(constraint).__name__ for constraint in d.constraints),
        "Updates": network.updates,
    }
    return {name: value for name, value in words.items() if value != ""}


def _trained_as_well(network):
    """The parameters that are trained, and the delays with their mean and range : list of str."""
    d, delays = network.description, []
    for name in d.trainable_delays:
        seconds = np.asarray(values_of(network.parameters[NAMES[name]]))
        present = seconds[values_of(d.connectivity[name])] / float(ms)
        if present.size:
            mean, low, high = map(_number, (present.mean(), present.min(), present.max()))
            delays.append(f"delays of {name} ({mean} ms, from {low} to {high})")
    return [*d.trainable, *delays]


def _matrices(network):
    """Name, shape, number of synapses, mean and standard deviation of each weight matrix."""
    if network is None:
        return []
    rows = []
    for name in MATRICES:
        mask = network.description.connectivity[name]
        values = values_of(network.weights[name])[values_of(mask)]
        rows.append((name, mask.shape, values.size, values.mean(), values.std()))
    return rows


def _number(value):
    if value is None:
        return "–"
    return "∞" if value == math.inf else _minus(f"{value:.4g}")


def _scientific(value):
    return _minus(f"{value:.1e}")


def _minus(text):
    """With a minus in the place of a hyphen, and without the first 0 of an exponent."""
    return text.replace("e-0", "e-").replace("-", "−")


def _duration(seconds):
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"


def _base64(content):
    content = content.encode() if isinstance(content, str) else content
    return base64.b64encode(content).decode()
