"""A user's own Brian2 network as the rules of the reference see it.

It runs for one trial, object by object, and is as it was afterwards. The groups that learn are the
recurrent units, one after the other; what else sends spikes along trained synapses are the inputs.
Each way in which spikes act on a group is a gate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from brian2 import Network

from ..brian.internals import parent_group, repeatable, runs_in_python
from ..calculus.printing import printed
from ..checking.own_network import instead_of_learning, network_of
from ..checks import FilePath
from ..engines.history import steps_of as delays_in_steps
from ..network.checked_model import evaluate
from ..reference.problem import Problem
from .own_trial import NetworkNotComparable, Trial
from .recorded_network import (
    RecordedNetwork,
    RecordedPopulation,
    RecordedRun,
    Units,
    check_agreement,
    own_units,
    steps_of,
)
from .recorded_steps import Arrival, RecordedGroup

BPTT = "give the Learner rule=BPTT(), or EProp(order=2) and more"


def problem_of_learner(
    learner: Any, network: Network | None = None, *, namespace: dict | None = None, level: int = 0
) -> Problem:
    """The next trial of a user's own network, with the loss of its readout.

    Parameters
    ----------
    learner : Learner
        Of order 2 or more, with the engine ``credit``, so that all that happened is recorded.
    network : Network, optional
        Default: the one that contains the readout.
    namespace : dict, optional
        Where the names of the user's code are looked up.
    level : int
        How many frames up the objects of a magic network are.

    Returns
    -------
    Problem
        Of one sequence. Its inputs are all groups that send spikes along trained synapses
        without learning; weights that are fixed count like those that are trained.

    Raises
    ------
    NetworkNotComparable
        Naming the object that has no place in it, and the remedy.
    ArithmeticError
        If the steps do not give the gradient that Brian2 has found.
    """
    _check_learner(learner)
    network = network_of(learner, network, level + 1, "compare")
    duration = learner.trial * learner.readout.clock.dt
    first = round(float(network.t / learner.readout.clock.dt))
    with repeatable(network, duration, namespace or {}):
        trial = Trial(learner, network)
        trial.run()
        layout = _Layout(learner, trial)
        run = layout.recorded(first)
        described, found = layout.network(run), layout.gradients()
    steps = steps_of([run], described.cell.states, layout.gates, own_units([run]))
    # one input that is connected to nothing, if there is none
    silent = np.zeros((trial.steps, int(not layout.inputs)))
    inputs = np.concatenate([silent, *(trial.spikes[g] for g in layout.inputs)], axis=1)
    problem = Problem(described, inputs, trial.targets, learner.window, steps=steps)
    _check_outputs(problem, trial, learner.readout)
    check_agreement(problem, found, learner.rule.order)
    return problem


def problem_of_script(path: FilePath) -> Problem:
    """The first trial of the first run of a script that has a learner; see `problem_of_learner`.

    Parameters
    ----------
    path : str or Path
        Is run as ``__main__``; what it does before that run, it does.

    Returns
    -------
    Problem
    """

    def trial(learner, network, duration, namespace, level):
        return problem_of_learner(learner, network, namespace=namespace, level=level)

    return instead_of_learning(path, "to compare rules on", trial)


def _check_learner(learner):
    readout, rule = learner.readout, learner.rule
    of = f"the learner of readout '{readout.name}'"
    reasons = {
        "runs as a compiled program: leave out set_device('cpp_standalone')": not runs_in_python(),
        f"has the engine '{rule.engine}', which keeps no past: {BPTT}": rule.engine != "credit",
        f"has the order 1, which records no paths over synapses: {BPTT}": rule.order == 1,
        f"has the rule {rule.title}, which leaves out paths: {BPTT}": not rule.complete,
        "has rewards, whose rules are others": readout.rewarded,
        "has a signal in place of its errors: compare with a Learner without it": (
            learner.signal is not None
        ),
        "has losses on neurons, of which these rules know nothing: leave losses=[…] out": (
            learner.losses
        ),
        "has several regularizers: give one": len(learner.regularizers) > 1,
        "has float32, in which gradients of rules differ by round-off: set Brian2's preference "
        "core.default_float_dtype = float64": readout.variables["y"].dtype != np.float64,
    }
    for reason, applies in reasons.items():
        if applies:
            raise NetworkNotComparable(f"compare: {of} {reason}")


@frozen(eq=False)
class _Way:
    """Synapses between two learning groups, or from an input to one: a part of w_rec or w_in.

    Attributes
    ----------
    pathway : Pathway
    matrix : {"w_in", "w_rec"}
    gate : int
        Among those that the matrix feeds.
    pre, post : (synapses,) int ndarray
        Rows and columns of the matrix.
    delay : (synapses,) int ndarray
        As the reference counts it: steps beyond the standard delay.
    """

    pathway: Any
    matrix: str
    gate: int
    pre: np.ndarray
    post: np.ndarray
    delay: np.ndarray

    @property
    def synapses(self):
        return self.pathway.synapses

    def values(self, name):
        return np.array(self.synapses.variables[name].get_value())


class _Layout:
    """Where the groups and synapses of a user are in the matrices of the reference.

    Parameters
    ----------
    learner : Learner
    trial : Trial

    Attributes
    ----------
    inputs : list of group
        That send spikes and do not learn, in the order of the rows of w_in.
    ways : list of _Way
    """

    def __init__(self, learner, trial):
        self.learner, self.trial, self.readout = learner, trial, learner.readout
        self.inputs = [g for g in trial.senders if g not in trial.groups]
        self.columns, self.rows = _places(trial.groups), _places(self.inputs)
        self.known = {}
        self.ways, self.outputs = [], []
        for summed in learner.engine.sums:
            raise NetworkNotComparable(
                f"compare: '{summed.synapses.name}' sums states over synapses in every step, which "
                "the rules have no arrivals for: let spikes bring what acts on other neurons"
            )
        for pathway in trial.pathways:
            if pathway.owner is learner.engine.readout:
                self._check_onto_readout(pathway)
                self.outputs.append(pathway)
            else:
                self.ways.append(self._way(pathway))
        number = {"w_in": 1, "w_rec": 1}
        for (_, matrix), gates in self.known.items():
            number[matrix] = max(number[matrix], len(gates))
        self.gates = [((name, g),) for name in number for g in range(number[name])]
        self.shapes = {
            "w_in": (number["w_in"], max(self.rows.stop, 1), self.columns.stop),
            "w_rec": (number["w_rec"], self.columns.stop, self.columns.stop),
        }
        self._check_pairs()

    def _way(self, pathway):
        synapses, group = pathway.synapses, pathway.owner.group
        name = synapses.name
        if pathway.in_turn:
            raise NetworkNotComparable(
                f"compare: what a spike of '{name}' does depends on the state of a neuron, while "
                "the rules have one number for each arrival: let it add its weight"
            )
        if not pathway.effects:
            raise NetworkNotComparable(
                f"compare: spikes go along the plain synapses '{name}', which have no weight that "
                "rules know of: make them TrainableSynapses(..., fixed=True)"
            )
        if pathway.common is None:
            raise NetworkNotComparable(
                f"compare: what a spike of '{name}' does to each unit of its weight, "
                f"{_as_text(pathway.effects)}, differs from synapse to synapse: put what differs "
                "into the weight"
            )
        if not pathway.proportional:
            raise NetworkNotComparable(
                f"compare: what a spike of '{name}' does is not proportional to its weight: leave "
                "out of its on_pre what is not"
            )
        source = parent_group(synapses.source)
        matrix = "w_rec" if source in self.trial.groups else "w_in"
        gates = self.known.setdefault((group, matrix), [])
        arrival = Arrival.of(pathway)
        sign = arrival.early, arrival.place, _as_text(arrival.effect)
        if sign not in gates:
            gates.append(sign)
        delay = pathway.synapses.pre.variables["delay"].get_value()
        pre, post = (synapses.variables[f"_synaptic_{s}"].get_value() for s in ("pre", "post"))
        # early arrivals of inputs have no delay, late ones of recurrent spikes
        later = int(not pathway.early) - int(matrix == "w_rec")
        delay = delays_in_steps(delay, synapses.clock.dt_) + pathway.timing.lag + later
        place = self.columns if matrix == "w_rec" else self.rows
        return _Way(
            pathway,
            matrix,
            gates.index(sign),
            pre + place.first[source],
            post + self.columns.first[group],
            np.broadcast_to(delay, pre.shape),
        )

    def _check_onto_readout(self, pathway):
        synapses = pathway.synapses
        source, name = parent_group(synapses.source), synapses.name
        if source not in self.trial.groups:
            raise NetworkNotComparable(
                f"compare: '{name}' brings spikes of '{source.name}', which does not learn, to the "
                "readout, whose outputs the rules have from the groups that learn: leave it out"
            )
        if not pathway.effects or pathway.common is None or not pathway.proportional:
            raise NetworkNotComparable(
                f"compare: what '{name}' adds to the readout is not its weight times one number: "
                "write on_pre='y_post += w' in TrainableSynapses"
            )
        delay = np.max(synapses.pre.variables["delay"].get_value(), initial=0)
        if delays_in_steps(delay, synapses.clock.dt_) + pathway.timing.lag:
            raise NetworkNotComparable(
                f"compare: spikes reach the readout along '{name}' later than in the step in which "
                "they are fired, for which rules have no place: leave out its delay"
            )

    def _check_pairs(self):
        """Raise an error for neurons that are connected twice in one way, or with two delays."""
        known, delays = set(), {}
        for way in self.ways:
            for i, j, delay in zip(way.pre, way.post, way.delay, strict=True):
                synapse, pair = (way.matrix, way.gate, i, j), (way.matrix, i, j)
                if synapse in known or delays.setdefault(pair, delay) != delay:
                    raise NetworkNotComparable(
                        f"compare: '{way.synapses.name}' connects two neurons that are connected "
                        "already, in the same way or with another delay, for which the rules have "
                        "one place: leave one of the synapses out"
                    )
                known.add(synapse)

    def recorded(self, first):
        """What the trial has left, which began with a step of the simulation."""
        trial, populations = self.trial, []
        for group in trial.groups:
            recorded = RecordedGroup(self.learner.populations[group], first, trial.steps)
            drives = {}
            for way in self.ways:
                if way.pathway.owner.group is group and (way.matrix, way.gate) not in drives:
                    drive = recorded.drive(Arrival.of(way.pathway))
                    drives[way.matrix, way.gate] = drive
            span = slice(self.columns.first[group], self.columns.first[group] + len(group))
            populations.append(RecordedPopulation(span, recorded, trial.states[group], drives))
        spikes = np.concatenate([trial.spikes[group] for group in trial.groups], axis=1)
        return RecordedRun(spikes, populations)

    def network(self, run):
        """The RecordedNetwork."""
        weights = self._matrices(lambda way: way.values(way.synapses.weight))
        existing = self._matrices(lambda way: True)
        delays = self._matrices(lambda way: way.delay)
        readout, learner = self.readout, self.learner
        kappa = readout.variables["__kappa"].get_value().item()
        of_gates = {name: [k for (k,) in self.gates if k[0] == name] for name in self.shapes}
        w_out, mask_out = self._outputs(None)
        strengths = [r.strength for r in learner.regularizers]
        targets = [float(r.target) * readout.clock.dt_ for r in learner.regularizers]
        return RecordedNetwork(
            **{name: array[0] if len(array) == 1 else array for name, array in weights.items()},
            w_out=w_out,
            mask_in=existing["w_in"].any(axis=0),
            mask_rec=existing["w_rec"].any(axis=0),
            mask_out=mask_out,
            delay_in=delays["w_in"].max(axis=0),
            delay_rec=delays["w_rec"].max(axis=0),
            existing={n: e.astype(bool) for n, e in existing.items() if len(e) > 1},
            places={
                way.synapses.name: (
                    way.matrix,
                    way.gate * self.shapes[way.matrix][1] + way.pre,
                    way.post,
                )
                for way in self.ways
            },
            kappa=kappa,
            readout_gain=1 - kappa if readout.normalize else 1.0,
            feedback=self._feedback(),
            loss=readout.loss_name,
            average=readout.average,
            rate_strength=sum(strengths) * self._regularized(),
            rate_target=sum(targets),
            cell=Units.of(
                [g.name for g in self.trial.groups], [run], of_gates["w_in"], of_gates["w_rec"]
            ),
        )

    def gradients(self):
        """What the learner has found for w_in and w_rec."""
        return self._matrices(lambda way: way.values("grad"))

    def _matrices(self, values):
        arrays = {name: np.zeros(shape) for name, shape in self.shapes.items()}
        for way in self.ways:
            arrays[way.matrix][way.gate, way.pre, way.post] = values(way)
        return arrays

    def _outputs(self, variable):
        """Weights onto the readout by a variable of the synapses, and which there are."""
        shape = self.columns.stop, len(self.readout)
        weights, mask = np.zeros(shape), np.zeros(shape, dtype=bool)
        for pathway in self.outputs:
            synapses = pathway.synapses
            effect = evaluate(printed(pathway.common["y"]), self.readout, self.learner.namespace)
            pre, post = (synapses.variables[f"_synaptic_{s}"].get_value() for s in ("pre", "post"))
            rows = pre + self.columns.first[parent_group(synapses.source)]
            values = np.array(synapses.variables[variable or synapses.weight].get_value())
            np.add.at(weights, (rows, post), values * effect[post])
            mask[rows, post] = True
        return weights, mask

    def _feedback(self):
        """B, (n_out, n_rec), or None where the error goes back along the weights themselves."""
        learner = self.learner
        if learner.feedback_is("symmetric"):
            return None
        if learner.feedback_is("adaptive"):
            return self._outputs("B")[0].T
        feedback = np.zeros((len(self.readout), self.columns.stop))
        for synapses in learner.feedback_weights:
            columns = synapses.j[:] + self.columns.first[parent_group(synapses.target)]
            feedback[synapses.i[:], columns] = synapses.B[:]
        return feedback

    def _regularized(self):
        """1 for the neurons whose rates are regularized."""
        groups = self.trial.groups
        return np.concatenate(
            [np.full(len(g), float("__rate_pressure" in g.variables)) for g in groups]
        )


@frozen
class _Places:
    """The first unit of each group among all, and their number."""

    first: dict
    stop: int


def _places(groups):
    edges = np.cumsum([0, *map(len, groups)]).tolist()
    return _Places(dict(zip(groups, edges, strict=False)), edges[-1])


def _as_text(effects):
    return ", ".join(f"{state}: {printed(effect)}" for state, effect in sorted(effects.items()))


def _check_outputs(problem, trial, readout):
    """Raise an error unless outputs and errors are those that Brian2 has found."""
    for name, found, computed in (
        ("outputs", trial.outputs, problem.y[0]),
        ("errors", trial.errors, problem.error[0] / problem.weight.max()),
    ):
        if not np.allclose(found, computed, rtol=1e-9, atol=1e-9 * np.abs(found).max(initial=0)):
            raise NetworkNotComparable(
                f"compare: the {name} of readout '{readout.name}' are not those of its synapses, "
                "its target and its learning window, from the state 0 at the begin of the trial: "
                "let nothing else act on the readout, and learning be on"
            )
