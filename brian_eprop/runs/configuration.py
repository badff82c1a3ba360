"""The configuration of a training run, and its TOML file.

A run folder's ``config.toml`` holds everything that the run was made from: the same file
given to ``brian-eprop train --config`` repeats it.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import tomli_w
from attrs import evolve, field, fields, frozen
from brian2.units import DimensionMismatchError

from ..checks import (
    Feedback,
    FilePath,
    any_seed,
    choice,
    content_of,
    entries,
    number,
    one_of,
    whole,
    whole_number,
)
from ..checks import table as checked_table
from ..files import replacing
from ..learning.losses import FiringRateRegularizer
from ..learning.optimizers import OPTIMIZERS, SCHEDULES
from ..learning.rule import EProp
from ..network import RecurrentNetwork
from ..network.constraints import CONSTRAINTS
from ..network.training import check_criteria
from ..neurons.neuron_model import load_model
from ..quantities import quantity
from ..tasks import TaskWithSetup, TrainingSetup, is_own, load_task
from .values import (
    check_keys,
    drawn_connectivity,
    drawn_delays,
    from_table,
    from_text,
    read_toml,
    require,
    to_toml,
)

Device: TypeAlias = Literal["cpp_standalone", "runtime"]
#: Entries of the set-up that are integers, and those of them that may be left out.
COUNTS = ("iterations", "batch_size", "evaluation_trials", "evaluate_every", "patience")
OPTIONAL = ("evaluate_every", "patience")
#: What a task has that recommends a set-up.
NEEDED = ("defaults", "dt", "n_in", "n_out", "sample")
#: Entries of the set-up that a network is given as they are, and those that end its training.
OF_NETWORKS = (
    *("tau_out", "loss", "normalize", "average", "feedback", "feedback_decay"),
    *("constraints", "trainable", "trainable_delays"),
)
OF_TRAINING = ("goal", "evaluate_every", "evaluation_trials", "patience", "max_rate")
#: What is text in a file and a quantity here.
QUANTITIES = ("tau_out", "rate_target", "max_rate")


@frozen
class Configuration:
    """The configuration of one training run: task, network, training, seed and device.

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
    device: Device = field(default="cpp_standalone", validator=choice(get_args(Device)))
    checkpoint_every: int = field(default=10, validator=whole(1))

    def __attrs_post_init__(self):
        one_of("setup.optimizer", self.setup.optimizer, OPTIMIZERS)
        one_of("setup.feedback", self.setup.feedback, get_args(Feedback))
        for name in COUNTS:
            value = getattr(self.setup, name)
            if name not in OPTIONAL or value is not None:
                whole_number(f"setup.{name}", value)
        for k, (_, count, _) in enumerate(self.setup.neurons):
            whole_number(f"setup.neurons[{k}].count", count)
        check_criteria(self.setup.goal, self.setup.max_rate)

    @classmethod
    def of_task(cls, name: str, **options: Any) -> Self:
        """The configuration that a task recommends."""
        task = load_task(name, **options)
        if lacks := [needed for needed in NEEDED if needed not in dir(task)]:
            raise ValueError(
                f"the task '{type(task).__name__}' of '{name}' has no '{lacks[0]}'; "
                "brian_eprop.tasks describes what a task is"
            )
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
            count = count if neurons is None else neurons
            setup["neurons"] = ((model or old, count, overrides),)
        return evolve(
            self,
            setup=evolve(self.setup, **setup),
            seed=self.seed if seed is None else seed,
            device=self.device if device is None else device,
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
        task, setup = self.make_task(), self.setup
        rng, wiring_rng = (np.random.default_rng([self.seed, k]) for k in (1, 3))
        regularizer = FiringRateRegularizer(setup.rate_target, setup.rate_strength)
        n_in, n_rec, n_out = task.n_in, setup.n_rec, task.n_out
        shapes = {"w_in": (n_in, n_rec), "w_rec": (n_rec, n_rec), "w_out": (n_rec, n_out)}
        sizes = [count for _, count, _ in setup.neurons]
        return RecurrentNetwork(
            list(setup.neurons),
            n_in,
            n_rec,
            n_out,
            dt=task.dt,
            weights=setup.initial_weights(n_in, n_out, rng),
            rule=EProp(order=setup.order),
            optimizer=OPTIMIZERS[setup.optimizer](setup.learning_rate),
            regularizers=[regularizer] if setup.rate_strength else [],
            connectivity=drawn_connectivity(setup.connectivity, sizes, shapes, self.seed),
            delays=drawn_delays(setup.delays, shapes, task.dt, wiring_rng),
            seed=self.seed,
            **{name: getattr(setup, name) for name in OF_NETWORKS},
        )

    @property
    def fit_options(self) -> dict[str, Any]:
        """When training ends: arguments of :func:`brian_eprop.network.training.fit`."""
        return {name: getattr(self.setup, name) for name in OF_TRAINING}

    def text(self) -> str:
        """The configuration as TOML, with all options of the task : str."""
        options, setup = content_of(self.make_task()), content_of(self.setup)
        setup["neurons"] = [
            {"model": str(model), "count": count, "parameters": overrides}
            for model, count, overrides in self.setup.neurons
        ]
        content = content_of(self) | {"options": options, "setup": setup}
        unset = ", ".join(f"setup.{name}" for name, value in setup.items() if value is None)
        text = tomli_w.dumps(to_toml(content))
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
        with naming(path):
            configuration = cls.from_table(table, execute=execute)
            if execute:
                configuration.make_network()
        return configuration

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, execute: bool = True) -> Self:
        """The configuration that a TOML file's table describes; see :meth:`read`."""
        if "sweep" in table:
            raise ValueError("[sweep] makes it many runs: use 'brian-eprop sweep'")
        check_keys(table, [f.name for f in fields(cls)], "")
        require(table, ["task"], "")
        options = checked_table("options", table.get("options"), "[options]")
        options = {name: from_text(value) for name, value in options.items()}
        setup = checked_table("setup", table.get("setup"), "[setup]")
        check_keys(setup, [f.name for f in fields(TrainingSetup)], "setup.")
        for name, convert in CONVERTED.items():
            if name in setup:
                setup[name] = convert(f"setup.{name}", setup[name])
        rest = {k: v for k, v in table.items() if k not in ("task", "options", "setup")}
        if is_own(table["task"]) and not execute:
            return cls(table["task"], TrainingSetup(**setup), options, **rest)
        recommended = cls.of_task(table["task"], **options)
        gains = setup.get("gains", {})
        check_keys(gains, list(recommended.setup.gains), "setup.gains.")
        setup["gains"] = recommended.setup.gains | gains
        return evolve(recommended, **rest, setup=evolve(recommended.setup, **setup))


@contextmanager
def naming(place):
    """A context in which messages of errors begin with where a configuration is written."""
    try:
        yield
    except (ValueError, TypeError, DimensionMismatchError) as error:
        raise ValueError(f"{place}: {error}") from None


def _quantity(key, value):
    try:
        return quantity(value)
    except ValueError as error:
        raise ValueError(f"{key} = {value!r}: {error}") from None


def _bounds(key, value):
    """A quantity, or a list of them as a tuple."""
    if isinstance(value, list):
        return tuple(_quantity(key, bound) for bound in value)
    return _quantity(key, value)


def _by_name(convert, example):
    """The conversion of a table, each entry of which is converted in the same way."""

    def converted(key, value):
        return {k: convert(f"{key}.{k}", v) for k, v in checked_table(key, value, example).items()}

    return converted


_parameters = _by_name(_quantity, '{ tau_m = "20*ms" }')


def _population(key, entry):
    """Model, number of neurons and parameters of a population."""
    entry = checked_table(key, entry, '{ model = "lif", count = 100 }')
    check_keys(entry, ["model", "count", "parameters"], f"{key}.")
    require(entry, ["model", "count"], f"{key}.")
    count = whole_number(f"{key}.count", entry["count"])
    return entry["model"], count, _parameters(f"{key}.parameters", entry.get("parameters"))


def _list_of(convert, example):
    """The conversion of a list, which becomes a tuple."""
    return lambda key, value: tuple(convert(key, entry) for entry in entries(key, value, example))


def _object_of(classes):
    """The conversion of a table ``{kind = "Name", …}`` into an object."""
    return lambda key, value: from_table(key, value, classes)


#: Entries of the set-up that a file writes in another way.
CONVERTED = {name: _quantity for name in QUANTITIES} | {
    "neurons": _list_of(_population, '[{ model = "lif", count = 100 }]'),
    "gains": _by_name(number, "{ w_rec = 0.5 }"),
    "learning_rate": _object_of(SCHEDULES),
    "constraints": _list_of(_object_of(CONSTRAINTS), '[{ kind = "DaleLaw", inhibitory = [1] }]'),
    "trainable": _by_name(_bounds, '{ tau_m = ["5*ms", "50*ms"] }'),
    "trainable_delays": _by_name(_bounds, '{ w_rec = ["0*ms", "20*ms"] }'),
    "connectivity": lambda key, value: checked_table(key, value, "{ layers = true }"),
    "delays": _by_name(_bounds, '{ w_rec = "2*ms" }'),
}
