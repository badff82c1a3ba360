"""Comparing learning rules on one network: tables, figures and the files they are kept in.

comparison.json   the settings, and every number of the tables
table.txt         what was printed
figures/          drawn from the above
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import asdict, evolve, field, frozen
from attrs.validators import optional
from tqdm import tqdm

from ..checks import FigureFormat, FilePath, any_seed, choice, whole, whole_number
from ..files import make_folder, replacing
from ..learning.optimizers import Adam
from ..network import RecurrentNetwork
from ..plotting.rules import save_comparison_figures
from ..plotting.style import check_format
from ..reference import RULES, draw_network
from ..reference.computation import described_rule, example_rules, parse_rule, rule_label
from ..reference.problem import Problem
from ..reference.rule import RuleDoesNotApply
from .brian2_problems import network_of_model, problem_in_brian2
from .comparison import Comparison, compared
from .learning import train
from .own_networks import problem_of_script
from .tasks import TASKS


def format_table(table: Sequence[Comparison]) -> str:
    """Comparisons as text: one rule a line, those that do not apply below.

    Parameters
    ----------
    table : list of :class:`brian_eprop.rule_study.comparison.Comparison`

    Returns
    -------
    str
    """
    head = ("rule", "error", "±", "cosine", "±", "bias", "stored", "flop/step", "µs/step", "")
    rows = [head]
    for row in table:
        if row.refusal is None:
            rule = described_rule(row.label)
            spread = (f"{row.error_spread:.2g}", f"{row.cosine_spread:.2g}")
            rows.append(
                (
                    row.label,
                    f"{row.error:.2g}",
                    spread[0] if rule.stochastic else "",
                    f"{row.cosine:.3f}",
                    spread[1] if rule.stochastic else "",
                    f"{row.bias:.2g}" if rule.stochastic else "",
                    f"{row.memory:.3g}",
                    f"{row.operations:.3g}",
                    f"{1e6 * row.seconds:.3g}",
                    _kind(rule),
                )
            )
    lines = _aligned(rows, left={0, len(head) - 1})
    refused = [f"{row.label}: {row.refusal}" for row in table if row.refusal is not None]
    return "\n".join(lines + (["", *refused] if refused else [])) + "\n"


def format_rules() -> str:
    """All rules as text: what they are, what they cost, and where they come from."""
    rows = [("rule", "kind", "facing", "memory", "time/step", "source")]
    for name, registered in RULES.items():
        for options in registered.examples:
            rule = registered.with_options(options)
            costs = (_power(rule.memory), _power(rule.time))
            source = rule.source if options is registered.examples[0] else ""
            label = rule_label(name, options)
            rows.append((label, _kind(rule), rule.facing, *costs, source))
    return "\n".join(_aligned(rows, left=set(range(6)))) + "\n"


def _kind(rule):
    """What is known of a rule's gradient, in words."""
    kind = ["exact" if rule.exact else "unbiased" if rule.unbiased else "biased"]
    kind += ["causal"] * rule.causal + ["local"] * rule.local + ["learned"] * rule.learned
    return ", ".join(kind)


def _power(exponents):
    """The powers of units and steps in words: n²T for (2, 1)."""
    powers = ("", "{}", "{}²", "{}³", "{}⁴")
    return "".join(powers[k].format(name) for k, name in zip(exponents, "nT", strict=True))


def _aligned(rows, left):
    """Lines of columns of one width each, the columns in `left` to the left."""
    columns = []
    for k, column in enumerate(zip(*rows, strict=True)):
        width, justified = max(map(len, column)), str.ljust if k in left else str.rjust
        columns.append([justified(text, width) for text in column])
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]


#: Probability of a spike per step and input.
INPUT_RATE = 0.05
#: Backwards, hops are the same numbers at a price that does not grow like n⁴.
ORDERS = {
    "hops": "eprop_reverse(order={}, feedback=symmetric)",
    "horizon": "eprop(order={}, truncation=horizon, feedback=symmetric)",
}
#: Steps, and draws of stochastic rules, in the measurement of costs.
COST_STEPS = 10
COSTS = ("memory", "operations", "seconds")
#: Of adaptive feedback, as in the TIMIT experiment of Bellec et al. 2020.
FEEDBACK_DECAY = 0.01


@frozen
class RuleComparison:
    """A comparison of learning rules on one network: its settings, and how it is run.

    Attributes
    ----------
    cell : str
        Units of a random network, a key of `brian_eprop.reference.CELLS`.
    model : str or None
        A neuron model, or its file, whose random network is taken instead; Brian2 runs it, and
        the rules see its steps.
    script : str or None
        A Brian2 script of the user, whose first trial of the first run with a learner is taken
        instead; it is executed up to there.
    weights : str or None
        File of a trained RecurrentNetwork that is taken instead; Brian2 runs it, likewise.
    n_in, n_rec, n_out : int
        Sizes of a random network.
    density : float
        Fraction of recurrent connections.
    steps, batch : int
        Length and number of the sequences.
    rules : tuple of str
        As `brian_eprop.reference.computation.parse_rule` reads them; empty: all, with the options
        of their examples.
    draws : int
        Of stochastic rules.
    orders : int
        Largest order of the curve of e-prop's error; 0 leaves it out.
    sizes : tuple of int
        Numbers of units at which the cost is measured, with as many inputs; empty leaves it out.
    task : str or None
        Task on which the rules learn, a key of `brian_eprop.rule_study.TASKS`.
    iterations, seeds : int
        Length of the training, and how often it is done.
    update : {"sequence", "step"}
    learning_rate : float
        Of Adam.
    seed : int
    """

    cell: str = "alif"
    model: str | None = None
    script: str | None = None
    weights: str | None = None
    n_in: int = 10
    n_rec: int = 20
    n_out: int = 2
    density: float = 1.0
    steps: int = field(default=50, validator=whole(1))
    batch: int = field(default=1, validator=whole(1))
    rules: tuple[str, ...] = field(default=())
    draws: int = field(default=50, validator=whole(1))
    orders: int = field(default=8, validator=whole(0))
    sizes: tuple[int, ...] = field(default=())
    task: str | None = field(default=None, validator=optional(choice(TASKS)))
    iterations: int = field(default=200, validator=whole(1))
    seeds: int = field(default=3, validator=whole(1))
    update: Literal["sequence", "step"] = "sequence"
    learning_rate: float = 3e-3
    seed: int = field(default=0, validator=any_seed())

    @rules.validator
    def _check_rules(self, field, rules):
        for text in rules:
            described_rule(text)

    def __attrs_post_init__(self):
        given = {name: getattr(self, name) for name in ("model", "script", "weights")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) > 1:
            raise ValueError(
                f"RuleComparison has {' and '.join(f'{n} = {v!r}' for n, v in given.items())}, "
                "which are different networks; leave one of them away"
            )
        drawn = {"task": self.task, "sizes": self.sizes}
        if self.model is not None:
            del drawn["sizes"]
        for name, value in drawn.items() if given and not self.weights else ():
            if value:
                raise ValueError(
                    f"RuleComparison.{name} = {value!r} is for random networks of a cell of the "
                    f"reference, not for {next(iter(given.values()))!r}, which Brian2 runs; leave "
                    f"{name!r} away"
                )

    @sizes.validator
    def _check_sizes(self, field, sizes):
        for size in sizes:
            whole_number("RuleComparison.sizes: a number of units", size, 2)

    def run(
        self, folder: FilePath, *, progress: bool = True, figures: FigureFormat = "png"
    ) -> list[Comparison]:
        """Compare, and write a folder.

        Parameters
        ----------
        folder : Path
            Must be new or empty.
        progress : bool
            Show progress bars.
        figures : {"png", "svg", "pdf"}
            Their format.

        Returns
        -------
        list of Comparison

        Raises
        ------
        FileExistsError
            If there is something in the folder; nothing is changed then.
        OSError
            If it cannot be made.
        ValueError
            For what cannot be compared, and figures without such a format; nothing is written.
        """
        check_format(figures)
        folder = Path(folder)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise FileExistsError(
                f"the folder '{folder}' exists already; nothing was changed: name another one "
                "with --out, or remove it"
            )
        rules = self.rules or tuple(example_rules())
        problem = self._problem()
        bar = tqdm(rules, disable=not progress, desc="comparing", unit="rule")
        table = [self._compared([rule], problem)[0] for rule in bar]
        # no rule has been refused, and the rest may take hours
        make_folder(folder, "the folder")
        results = {
            "settings": asdict(self),
            "rules": [asdict(row) for row in table],
            "orders": self._orders(problem),
            "costs": self._costs(rules, progress),
            "learning": {"scores": {}, "failures": {}},
        }
        (folder / "figures").mkdir(exist_ok=True)
        self._write(folder, results, table, figures)
        if self.task is not None:
            # may take hours: what there is by now is safe
            results["learning"] = self._learning(rules, progress)
            self._write(folder, results, table, figures)
        return table

    def _write(self, folder, results, table, figures):
        # NaN, which JSON does not know, becomes null
        known = json.loads(json.dumps(results), parse_constant=lambda constant: None)
        text = json.dumps(known, indent=1)
        for name, content in (("comparison.json", text), ("table.txt", format_table(table))):
            with replacing(folder / name, "the comparison") as file:
                file.write(content.encode())
        described = {row.label: described_rule(row.label) for row in table}
        registry = list(RULES.values())
        save_comparison_figures(folder / "figures", results, described, registry, figures)

    def _network(self, n_in, n_rec, n_out, **settings):
        """A random network of the cell."""
        settings = {"density": self.density, "seed": self.seed} | settings
        return draw_network(self.cell, n_in, n_rec, n_out, **settings)

    def _problem(self):
        """The sequences that the network has run through."""
        if self.script is not None:
            return problem_of_script(self.script)
        rng = np.random.default_rng([self.seed, 1])
        if self.weights is not None:
            network = RecurrentNetwork.load(self.weights)
            inputs = self._inputs(rng, network.description.n_in)
            return problem_in_brian2(network, inputs, self._targets(network.description, rng))
        if self.model is not None:
            return self._problem_of_model(self._inputs(rng, self.n_in), self.n_rec, self.n_out, rng)
        network = self._network(self.n_in, self.n_rec, self.n_out)
        inputs = self._inputs(rng, self.n_in)
        return Problem(network, inputs, self._targets(network, rng))

    def _problem_of_model(self, inputs, n_rec, n_out, rng):
        settings = {"density": self.density, "seed": self.seed}
        network = network_of_model(self.model, inputs, n_rec, n_out, **settings)
        return problem_in_brian2(network, inputs, self._targets(network.description, rng))

    def _inputs(self, rng, n_in):
        return rng.random((self.batch, self.steps, n_in)) < INPUT_RATE

    def _targets(self, network, rng):
        """Sines of random periods and phases, or one random class for each sequence."""
        if network.loss == "cross_entropy":
            classes = rng.integers(network.n_out, size=self.batch)
            one_hot = np.eye(network.n_out)[classes]
            return np.repeat(one_hot[:, np.newaxis], self.steps, axis=1)
        shape = (self.batch, 1, network.n_out)
        cycles, phase = rng.uniform(1, 4, shape), rng.uniform(0, 2 * np.pi, shape)
        t = np.arange(self.steps)[:, np.newaxis] / self.steps
        return np.sin(2 * np.pi * cycles * t + phase)

    def _compared(self, rules, problem, **settings):
        """The comparison of rules on one problem, with the settings of the study or others."""
        return compared(problem, rules, **{"draws": self.draws, "seed": self.seed} | settings)

    def _orders(self, problem):
        """Relative errors of e-prop of order 1, 2, … with true readout weights."""
        curves = {}
        for truncation, rule in ORDERS.items() if self.orders else ():
            rules = [rule.format(order) for order in range(1, self.orders + 1)]
            table = self._compared(rules, problem, repeats=1)
            curves[truncation] = [row.error for row in table]
        return curves

    def _costs(self, rules, progress):
        """Numbers stored, operations and seconds per step of every rule at every size."""
        costs = {}
        for n in tqdm(self.sizes, disable=not progress or not self.sizes, desc="measuring costs"):
            n_out = min(self.n_out, n - 1)
            rng = np.random.default_rng([self.seed, 3])
            for row in self._compared(rules, self._problem_of_size(n, n_out, rng), draws=1):
                if row.refusal is None:
                    of_rule = costs.setdefault(row.label, {name: [] for name in COSTS})
                    for name in COSTS:
                        of_rule[name].append(getattr(row, name))
        for label, of_rule in costs.items():
            rule = described_rule(label)
            (memory, _), (time, _) = rule.memory, rule.time
            of_rule["exponents"] = {"memory": memory, "operations": time, "seconds": time}
        return costs

    def _problem_of_size(self, n, n_out, rng):
        """Few sequences of a network of n units and n inputs."""
        # what is measured does not depend on the activity, but nothing can be compared without
        if self.model is not None:
            inputs = rng.random((1, self.steps, n)) < INPUT_RATE
            return self._problem_of_model(inputs, n, n_out, rng)
        network = self._network(n, n, n_out)
        inputs = rng.random((1, COST_STEPS, n)) < 0.5
        return Problem(network, inputs, rng.normal(size=(1, COST_STEPS, n_out)))

    def _learning(self, rules, progress):
        """Scores (seeds, iterations) of every rule, trained on the task, and why one has none."""
        scores, failures = {}, {}
        for label in tqdm(rules, disable=not progress, desc=f"learning {self.task}", unit="rule"):
            try:
                scores[label] = [self._scores(*parse_rule(label), k) for k in range(self.seeds)]
            except (RuleDoesNotApply, ArithmeticError) as error:
                failures[label] = str(error)
        return {"scores": scores, "failures": failures}

    def _scores(self, name, options, feedback, k):
        """Scores of one training by a rule."""
        task = TASKS[self.task]()
        settings = {"loss": task.loss, "average": True, "seed": [self.seed, k]}
        network = self._network(task.n_in, self.n_rec, task.n_out, **settings)
        if feedback == "symmetric":
            network = evolve(network, feedback=None)
        elif feedback == "adaptive":
            options = options | {"adaptive_feedback": True, "decay": FEEDBACK_DECAY}
        options = options | {"batch": self.batch, "update": self.update, "seed": k}
        training = train(network, task, name, Adam(self.learning_rate), self.iterations, **options)
        return [entry["metric"] for entry in training.history]
