"""The page: what is in a run folder, put into the template."""

import base64
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
import numpy as np
from brian2 import ms

from ..atomic_write import replacing
from ..constraints import MATRICES
from ..plotting.run import save_run_figures
from ..runs.environment import environment
from ..runs.folder import CONFIGURATION
from ..types import FilePath
from .contents import RunContents
from .equations import model_equations
from .gradient_check import GradientCheck, check_gradients

__all__ = ["write_report"]

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
MIME = {".png": "image/png", ".svg": "image/svg+xml"}
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
        If the folder is none of a run.
    ValueError
        If a file in it is damaged; names the file.
    OSError
        If the report cannot be written; an older one stays as it was.
    """
    run = RunContents.read(folder)
    task, check, equations = run.task(), None, []
    if run.network is not None and task is not None:
        check = check_gradients(run.network, task, run.configuration.seed)
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
    text = templates.get_template("page.html").render(
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
        columns={k: title for k, title in COLUMNS.items() if any(k in m for m in milestones)},
        matrices=_matrices(run.network),
        toml=(run.folder / CONFIGURATION).read_text(encoding="utf-8"),
        now=environment(),
    )
    path = run.folder / REPORT
    with replacing(path, "the report") as file:
        file.write(text.encode())
    return path, check


def _figures(run, task):
    """By section, a list of (name, data URL)."""
    found = {section: [] for section in SECTIONS}
    if run.history and run.network is not None:
        with TemporaryDirectory() as folder:
            weights = run.network.weights
            paths = save_run_figures(Path(folder), run.history, weights, run.recordings, task)
            for path in paths:
                section = next(s for s, names in SECTIONS.items() if path.stem.startswith(names))
                url = f"data:{MIME[path.suffix]};base64,{_base64(path.read_bytes())}"
                found[section].append((path.stem.replace("_", " "), url))
    return found


def _milestones(history):
    """Entries at times that grow by the same factor, the best validation, and the last."""
    if not history:
        return []
    last = len(history) - 1
    chosen = {0, last, *np.geomspace(1, max(last, 1), MILESTONES).astype(int).tolist()}
    judged = [k for k, entry in enumerate(history) if "validation" in entry]
    if judged:
        chosen.add(min(judged, key=lambda k: history[k]["validation"]))
    return [history[k] for k in sorted(chosen) if k <= last]


def _network(network):
    """What the network is, in words : dict of str to str."""
    if network is None:
        return {}
    d = network.description
    words = {
        "Neurons": " + ".join(f"{p.count} {p.model.name}" for p in d.populations),
        "Inputs": d.n_in,
        "Outputs": f"{d.n_out}, with a time constant of {_number(float(d.tau_out / ms))} ms",
        "Time step": f"{_number(float(d.dt / ms))} ms",
        "Loss": {"mse": "mean squared error", "cross_entropy": "cross-entropy"}[d.loss],
        "Rule": f"e-prop of order {_number(d.rule.order)}",
        "Feedback": d.feedback,
        "Optimizer": f"{type(network.optimizer).__name__}({network.optimizer.learning_rate})",
        "Trained as well": ", ".join(d.trainable),
        "Constraints": ", ".join(type(constraint).__name__ for constraint in d.constraints),
        "Updates": network.updates,
    }
    return {name: value for name, value in words.items() if value != ""}


def _matrices(network):
    """Of each weight matrix: name, shape, number of synapses, mean and standard deviation."""
    if network is None:
        return []
    rows = []
    for name in MATRICES:
        mask = network.description.connectivity[name]
        values = network.weights[name][mask]
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
