"""The configuration of a training run, and its TOML file.

A run folder's ``config.toml`` holds everything that the run was made from: the same file
given to ``brian-eprop train --config`` repeats it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import tomli_w
from attrs import evolve, field, fields, frozen
from brian2.units import DimensionMismatchError

from ..checks import (
    Device,
    FilePath,
    any_seed,
    choice,
    fields_of,
    number,
    one_of,
    quantity,
    whole,
    whole_number,
)
from ..files import replacing
from ..learning.optimizers import OPTIMIZERS, SCHEDULES
from ..learning.rule import EProp, FiringRateRegularizer
from ..network import RecurrentNetwork
from ..network.constraints import CONSTRAINTS
from ..network.training import check_criteria
from ..neurons.neuron_model import load_model
from ..tasks import TaskWithSetup, TrainingSetup, is_own, load_task
from .values import (
    check_keys,
    drawn_connectivity,
    drawn_delays,
    from_table,
    from_text,
    read_toml,
    sequence,
    subtable,
    to_toml,
)

DEVICES = ("cpp_standalone", "runtime")
#: Entries of the set-up that are integers, and those of them that may be left out.
COUNTS = ("iterations", "batch_size", "evaluation_trials", "evaluate_every", "patience")
OPTIONAL = ("evaluate_every", "patience")
#: What is text in a file and a quantity here.
QUANTITIES = ("tau_out", "rate_target", "max_rate")


@frozen
class Configuration:
    """One training run.

    Attributes
    ----------
    task : str
        Name of a task, or path of a file with one.
    options : dict
        Options of the task that differ from its defaults.
    setup : TrainingSetup
        Network and training.
    seed : int
        Of the initial weights and of the trials.
    device : {"cpp_standalone", "runtime"}
    checkpoint_every : int
        Iterations after which training that was killed can go on.
    """

    task: str
    setup: TrainingSetup
    options: dict[str, Any] = field(factory=dict)
    seed: int = field(default=0, validator=any_seed())
    device: Device = field(default="cpp_standalone", validator=choice(DEVICES))
    checkpoint_every: int = field(default=10, validator=whole(1))

    def __attrs_post_init__(self):
        one_of("setup.optimizer", self.setup.optimizer, OPTIMIZERS)
        for name in COUNTS:
            value = getattr(self.setup, name)
            if name not in OPTIONAL or value is not None:
                whole_number(f"setup.{name}", value)
        check_criteria(self.setup.goal, self.setup.max_rate)

    @classmethod
    def of_task(cls, name: str, **options: Any) -> Self:
        """The configuration that a task recommends."""
        task = load_task(name, **options)
        known = str(Path(name).resolve()) if is_own(name) else name.replace("-", "_")
        return cls(known, task.defaults, options)

    def changed(
        self,
        *,
        model: str | None = None,
        neurons: int | None = None,
        seed: int | None = None,
        device: Device | None = None,
        **setup: Any,
    ) -> Self:
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
        return evolve(
            self,
            setup=evolve(self.setup, **setup),
            seed=self.seed if seed is None else seed,
            device=device or self.device,
        )

    @property
    def own_task(self) -> bool:
        """Whether the task is a Python file, which :meth:`make_task` executes."""
        return is_own(self.task)

    def make_task(self) -> TaskWithSetup:
        """The task; if it is a Python file, that is executed."""
        return load_task(self.task, **self.options)

    def make_network(self) -> RecurrentNetwork:
        """A new network for the task, with its initial weights."""
        task, s = self.make_task(), self.setup
        rng = np.random.default_rng([self.seed, 1])
        regularizers = []
        if s.rate_strength:
            regularizers = [FiringRateRegularizer(s.rate_target, s.rate_strength)]
        sizes = [count for _, count, _ in s.neurons]
        shapes = {
            "w_in": (task.n_in, s.n_rec),
            "w_rec": (s.n_rec, s.n_rec),
            "w_out": (s.n_rec, task.n_out),
        }
        wiring_rng = np.random.default_rng([self.seed, 3])
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
            feedback_decay=s.feedback_decay,
            rule=EProp(order=s.order),
            optimizer=OPTIMIZERS[s.optimizer](s.learning_rate),
            regularizers=regularizers,
            constraints=s.constraints,
            connectivity=drawn_connectivity(
                s.connectivity, sizes, task.n_in, task.n_out, self.seed
            ),
            delays=drawn_delays(s.delays, shapes, task.dt, wiring_rng),
            trainable=s.trainable,
            seed=self.seed,
        )

    @property
    def fit_options(self) -> dict[str, Any]:
        """When training ends: arguments of :func:`brian_eprop.network.training.fit`."""
        names = ("goal", "evaluate_every", "evaluation_trials", "patience", "max_rate")
        return {name: getattr(self.setup, name) for name in names}

    def text(self) -> str:
        """The configuration as TOML, with all options of the task : str."""
        task = self.make_task()
        setup = {f.name: getattr(self.setup, f.name) for f in fields(TrainingSetup)}
        setup["neurons"] = [
            {"model": str(model), "count": count, "parameters": overrides}
            for model, count, overrides in self.setup.neurons
        ]
        content = {f.name: getattr(self, f.name) for f in fields(Configuration)}
        options = {f.name: getattr(task, f.name) for f in fields_of(type(task))}
        unset = ", ".join(f"setup.{name}" for name, value in setup.items() if value is None)
        text = tomli_w.dumps(to_toml(content | {"options": options, "setup": setup}))
        return (f"# not set: {unset}\n" if unset else "") + text

    def write(self, path: FilePath) -> None:
        """Write the configuration as TOML; an old file is replaced when the new one is complete."""
        with replacing(path, "the configuration") as file:
            file.write(self.text().encode())

    @classmethod
    def read(cls, path: FilePath, *, execute: bool = True) -> Self:
        """Read a configuration; what a file leaves out is as the task recommends.

        Parameters
        ----------
        path : path-like
        execute : bool
            Whether a task that is a Python file may be executed, to ask what it recommends. If
            not, the file must be complete, as that of a run folder is.

        Raises
        ------
        ValueError
            Naming the file, the key and its value.
        """
        table = read_toml(path)
        try:
            return cls.from_table(table, execute=execute)
        except (ValueError, TypeError, DimensionMismatchError) as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, execute: bool = True) -> Self:
        """The configuration that a TOML file's content describes; see :meth:`read`."""
        check_keys(table, [f.name for f in fields(cls)], "")
        if "task" not in table:
            raise ValueError("the key 'task' is missing")
        options = subtable("options", table.get("options", {}), "[options]")
        options = {name: from_text(value) for name, value in options.items()}
        given = subtable("setup", table.get("setup", {}), "[setup]")
        check_keys(given, [f.name for f in fields(TrainingSetup)], "setup.")
        for name, convert in CONVERTED.items():
            if name in given:
                given[name] = convert(given[name])
        own = {k: v for k, v in table.items() if k not in ("task", "options", "setup")}
        if is_own(table["task"]) and not execute:
            return cls(table["task"], TrainingSetup(**given), options, **own)
        recommended = cls.of_task(table["task"], **options)
        gains = given.get("gains", {})
        check_keys(gains, list(recommended.setup.gains), "setup.gains.")
        given["gains"] = recommended.setup.gains | gains
        return evolve(recommended, **own, setup=evolve(recommended.setup, **given))


def _population(entry):
    entry = subtable("setup.neurons", entry, '{ model = "lif", count = 100 }')
    check_keys(entry, ["model", "count", "parameters"], "setup.neurons.")
    for name in ("model", "count"):
        if name not in entry:
            raise ValueError(f"setup.neurons: {entry!r} has no '{name}'")
    key, example = "setup.neurons.parameters", '{ tau_m = "20*ms" }'
    parameters = subtable(key, entry.get("parameters", {}), example)
    parameters = {name: _quantity(f"{key}.{name}", v) for name, v in parameters.items()}
    return entry["model"], entry["count"], parameters


def _populations(entries):
    example = '[{ model = "lif", count = 100 }]'
    return tuple(map(_population, sequence("setup.neurons", entries, example)))


def _gains(table):
    table = subtable("setup.gains", table, "{ w_rec = 0.5 }")
    return {name: number(f"setup.gains.{name}", value) for name, value in table.items()}


def _constraints(entries):
    key, example = "setup.constraints", '[{ kind = "DaleLaw", inhibitory = [1] }]'
    return tuple(from_table(key, entry, CONSTRAINTS) for entry in sequence(key, entries, example))


def _trainable(table):
    key = "setup.trainable"
    return {
        name: tuple(
            _quantity(f"{key}.{name}", bound)
            for bound in sequence(f"{key}.{name}", bounds, '["5*ms", "50*ms"]')
        )
        for name, bounds in subtable(key, table, '{ tau_m = ["5*ms", "50*ms"] }').items()
    }


def _delays(table):
    key = "setup.delays"
    return {
        name: tuple(_quantity(f"{key}.{name}", end) for end in value)
        if isinstance(value, list)
        else _quantity(f"{key}.{name}", value)
        for name, value in subtable(key, table, '{ w_rec = "2*ms" }').items()
    }


def _quantity(key, value):
    try:
        return quantity(value)
    except ValueError as error:
        raise ValueError(f"{key} = {value!r}: {error}") from None


#: Entries of the set-up that a file writes in another way.
CONVERTED = {name: partial(_quantity, f"setup.{name}") for name in QUANTITIES} | {
    "neurons": _populations,
    "gains": _gains,
    "learning_rate": lambda value: from_table("setup.learning_rate", value, SCHEDULES),
    "constraints": _constraints,
    "trainable": _trainable,
    "connectivity": lambda table: subtable("setup.connectivity", table, "{ layers = true }"),
    "delays": _delays,
}
