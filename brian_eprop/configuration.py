"""The configuration of a training run, and its TOML file.

A run folder's ``config.toml`` holds everything that the run was made from: the same file
given to ``brian-eprop train --config`` repeats it.
"""

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import tomli_w
from brian2 import Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS, get_dimensions, get_unit

from .network import RecurrentNetwork
from .neuron_model import load_model
from .optimizers import Adam, GradientDescent
from .quantities import quantity, suggest
from .regularizers import FiringRateRegularizer
from .tasks import TrainingSetup, load_task

DEVICES = ("cpp_standalone", "runtime")
OPTIMIZERS = {"Adam": Adam, "GradientDescent": GradientDescent}


@dataclass(frozen=True)
class Configuration:
    """One training run.

    Attributes
    ----------
    task : str
    options : dict
        Options of the task that differ from its defaults.
    setup : TrainingSetup
        Network and training.
    seed : int
        Of the initial weights and of the trials.
    device : {"cpp_standalone", "runtime"}
    """

    task: str
    setup: TrainingSetup
    options: dict = field(default_factory=dict)
    seed: int = 0
    device: str = "cpp_standalone"

    def __post_init__(self):
        if self.device not in DEVICES:
            raise ValueError(
                f"device = '{self.device}' is not known; choose one of {', '.join(DEVICES)}"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed = {self.seed!r} must be an integer ≥ 0")
        if self.setup.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"setup.optimizer = '{self.setup.optimizer}' is not known; choose one of "
                f"{', '.join(OPTIMIZERS)}"
            )
        for name in ("iterations", "batch_size"):
            value = getattr(self.setup, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r} must be an integer ≥ 1")

    @classmethod
    def of_task(cls, name, **options):
        """The configuration that a task recommends."""
        return cls(name.replace("-", "_"), load_task(name, **options).defaults, options)

    def changed(self, *, model=None, neurons=None, seed=None, device=None, **setup):
        """A copy with some entries replaced; what is None stays.

        ``model`` and ``neurons`` need a network of one population; parameters that the task
        sets for its own model are kept, and must exist in the new one.
        """
        setup = {name: value for name, value in setup.items() if value is not None}
        if model is not None or neurons is not None:
            if len(self.setup.neurons) != 1:
                raise ValueError(
                    "--model and --neurons change a network of one population; this one has "
                    f"{len(self.setup.neurons)}: edit its configuration file and use --config"
                )
            ((old, count, overrides),) = self.setup.neurons
            known = load_model(model or old).parameters
            unknown = sorted(set(overrides) - set(known))
            if unknown:
                raise ValueError(
                    f"the set-up of task '{self.task}' gives neurons the parameter '{unknown[0]}', "
                    f"which model '{model}' does not have; describe the network with --config"
                )
            setup["neurons"] = ((model or old, neurons or count, overrides),)
        return replace(
            self,
            setup=replace(self.setup, **setup),
            seed=self.seed if seed is None else seed,
            device=device or self.device,
        )

    def make_task(self):
        """The task."""
        return load_task(self.task, **self.options)

    def make_network(self):
        """A new network for the task, with its initial weights."""
        task, s = self.make_task(), self.setup
        rng = np.random.default_rng([self.seed, 1])
        regularizers = []
        if s.rate_strength:
            regularizers = [FiringRateRegularizer(s.rate_target, s.rate_strength)]
        return RecurrentNetwork(
            list(s.neurons),
            task.n_in,
            s.n_rec,
            task.n_out,
            dt=task.dt,
            tau_out=s.tau_out,
            loss=s.loss,
            normalize=s.normalize,
            average=s.average,
            feedback=s.feedback,
            weights=s.initial_weights(task.n_in, task.n_out, rng),
            optimizer=OPTIMIZERS[s.optimizer](s.learning_rate),
            regularizers=regularizers,
        )

    def write(self, path):
        """Write the configuration as TOML."""
        setup = {f.name: getattr(self.setup, f.name) for f in fields(self.setup)}
        setup["neurons"] = [
            {"model": str(model), "count": count, "parameters": overrides}
            for model, count, overrides in self.setup.neurons
        ]
        content = {
            "task": self.task,
            "seed": self.seed,
            "device": self.device,
            "options": self.options,
            "setup": setup,
        }
        Path(path).write_text(tomli_w.dumps(_plain(content)), encoding="utf-8")

    @classmethod
    def read(cls, path):
        """Read a configuration; what a file leaves out is as the task recommends.

        Raises
        ------
        ValueError
            Naming the file, the key and its value.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"'{path}' is not TOML: {error}") from None
        try:
            _check_keys(table, [f.name for f in fields(cls)], "")
            if "task" not in table:
                raise ValueError("the key 'task' is missing")
            options = {name: _converted(value) for name, value in table.get("options", {}).items()}
            recommended = cls.of_task(table["task"], **options)
            given = dict(table.get("setup", {}))
            _check_keys(given, [f.name for f in fields(TrainingSetup)], "setup.")
            for name in ("tau_out", "rate_target"):
                if name in given:
                    given[name] = quantity(given[name])
            if "neurons" in given:
                given["neurons"] = tuple(_population(entry) for entry in given["neurons"])
            return replace(
                recommended,
                setup=replace(recommended.setup, **given),
                seed=table.get("seed", recommended.seed),
                device=table.get("device", recommended.device),
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None


def _check_keys(table, known, prefix):
    for key in table:
        if key not in known:
            raise ValueError(
                f"unknown key '{prefix}{key}'{suggest(key, known)}; the keys are {', '.join(known)}"
            )


def _population(entry):
    if not isinstance(entry, dict):
        raise ValueError(f"setup.neurons: {entry!r} is not a table of model, count, parameters")
    _check_keys(entry, ["model", "count", "parameters"], "setup.neurons.")
    parameters = {name: quantity(v) for name, v in entry.get("parameters", {}).items()}
    return entry["model"], entry["count"], parameters


def _converted(value):
    """Text that is a quantity becomes one; other text stays."""
    if isinstance(value, str):
        try:
            return quantity(value)
        except ValueError:
            return value
    return value


def _plain(value):
    """Quantities as text that reads back to the same bits, None left out."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Quantity) and get_dimensions(value) is not DIMENSIONLESS:
        unit = repr(get_unit(get_dimensions(value)))
        if np.ndim(value):
            return [f"{number!r}*{unit}" for number in np.asarray(value).tolist()]
        return f"{float(value)!r}*{unit}"
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value
