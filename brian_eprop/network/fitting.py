"""Fits of one's own network to data: evaluations from one state, start after start.

An evaluation has the loss and the gradients of all that a learner trains (`evaluations`). What
follows is the learner's own update, its statements run by NumPy, so that bounds, scales and
optimizers are those of training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from attrs import frozen
from brian2 import Network, Quantity, Synapses, get_device, get_local_namespace
from tqdm import tqdm

from ..brian.internals import is_standalone, networks_of, runs_in_python
from ..brian.step_flags import EPISODE
from ..checks import Entry, Floats, check_seed, flag, number, shown, whole_number
from ..learning.learner import Learner
from .evaluations import InProgram, InPython, already_run
from .training import Alignment, TrainingDiverged, check_alignment, ended_by
from .validation import entries_of


@frozen(eq=False)
class FitResult:
    """What a fit has found.

    Attributes
    ----------
    loss : float
        The lowest, E of an interval between updates divided by its trials.
    parameters : dict of str to Quantity
        The trained parameters with this loss, one value per neuron, by ``"group.name"``.
    weights : dict of str to Quantity
        The trained weights, and delays, with this loss, one per synapse, by ``"synapses.w"`` and
        ``"synapses.delay"``.
    start : int
        From which start they come; 0 is the one in which the network was given.
    ended : tuple of str
        Why the search from each start ended: "iterations", "patience", "callback", "interrupted",
        "diverged" (loss or gradient no longer finite) or "flat" (all gradients 0 at its start).
    history : list of dict
        One entry per iteration: ``start``, ``iteration``, ``loss``, ``seconds`` (since the fit
        began); with ``iteration`` and ``loss`` as `plot_learning_curve` wants them.
    evaluations : int
        How often the network was run, the run at the end not counted.
    seconds : float
    """

    loss: float
    parameters: dict[str, Quantity]
    weights: dict[str, Quantity]
    start: int
    ended: tuple[str, ...]
    history: list[Entry]
    evaluations: int
    seconds: float

    def losses(self, start: int) -> Floats:
        """The loss in each iteration from a start."""
        return np.array([entry["loss"] for entry in self.history if entry["start"] == start])

    def __str__(self) -> str:
        lines = [
            f"loss {self.loss:.4g} from start {self.start} of {len(self.ended)} "
            f"({', '.join(self.ended)}), {self.evaluations} evaluations in {self.seconds:.1f} s"
        ]
        for name, values in (self.parameters | self.weights).items():
            many = f" … ({len(values)})" if len(values) > 4 else ""
            lines.append(f"{name:24} {values[:4]!s}{many}")
        return "\n".join(lines)


def fit(
    learner: Learner,
    network: Network | None = None,
    *,
    iterations: int = 100,
    starts: int = 1,
    patience: int | None = None,
    tolerance: float = 1e-3,
    callbacks: Sequence[Callable[[Entry], object]] = (),
    progress: bool = True,
    seed: int | None = None,
    alignment: Alignment | None = None,
) -> FitResult:
    """Fit what a learner trains in one's own network, parameters and weights, to its losses.

    Each iteration runs the network for ``update_every`` of the learner, all trials of the data,
    from the state in which it is given, random numbers included, and updates by the learner's
    optimizer, within the bounds of `ParameterTraining` and `TrainableSynapses`. The best values of
    all iterations are kept, and at the end the network runs with them once more: monitors hold
    this run, as they would that of :meth:`brian2.Network.run`.

    In C++ standalone mode the program is built once and called for each evaluation: create the
    network with ``set_device("cpp_standalone", build_on_run=False)``, ``seed(1)`` if it draws
    random numbers, and do not run it before. In Python it may have run, to the end of a trial.

    Parameters
    ----------
    learner : Learner
        With an optimizer, and ``update_every`` for the length of the data.
    network : Network, optional
        Default: the one that contains the learner's readout, or group.
    iterations : int
        At most so many from each start.
    starts : int
        The values that the network is given with are the first start; the others are drawn
        between the bounds.
    patience : int, optional
        A start ends when in so many iterations in a row no loss was below (1 − tolerance) times
        the lowest before.
    tolerance : float
    callbacks : sequence of callable
        Each is called with the entry of every iteration; may raise
        :class:`~brian_eprop.network.training.StopTraining`, which ends the fit.
    progress : bool
        Show a bar, with the loss and the best so far.
    seed : int, optional
        Of the starts that are drawn.
    alignment : AlignmentMonitor, optional
        Of `brian_eprop.rule_study`: how rules point along the gradient of back-propagation, on the
        first trial of every so many evaluations; in Python only.

    Returns
    -------
    FitResult
        Also after Ctrl-C, with the best until then.

    Raises
    ------
    TypeError, ValueError, DimensionMismatchError
        Naming the argument, its value and what it should be; and whatever the first run of the
        network raises, for data that do not fit or a loss that nothing trained reaches.
    TrainingDiverged
        If no start has a loss that is finite.
    """
    if not isinstance(learner, Learner):
        raise TypeError(
            f"fit.learner = {shown(learner)} is not a Learner; a RecurrentNetwork has a method fit"
        )
    if is_standalone() and get_device().has_been_run:
        raise already_run()
    optimizer = _check_learner(learner)
    network = _network_of(learner, network)
    whole_number("fit.iterations", iterations)
    whole_number("fit.starts", starts)
    if patience is not None:
        whole_number("fit.patience", patience)
    number("fit.tolerance", tolerance, "be a number from 0 to 1", high=1.0)
    callbacks = entries_of("fit.callbacks", callbacks, Callable, "function of an entry", "print")
    flag("fit.progress", progress)
    check_seed("fit.seed", seed)
    check_alignment(alignment)
    if alignment is not None and is_standalone():
        raise ValueError(
            "fit.alignment looks at what single steps have left, which a compiled program does not "
            "show: leave out set_device('cpp_standalone'), or alignment"
        )
    evaluated = InProgram if is_standalone() else InPython
    run = evaluated(learner, network, get_local_namespace(level=1))
    search = _Search(run, optimizer, iterations, starts, patience, tolerance, callbacks, alignment)
    learner.optimizer = None
    try:
        with run, tqdm(total=iterations * starts, disable=not progress) as bar:
            search.all_starts(np.random.SeedSequence(seed), bar)
        run.finish(search.best)
    finally:
        if runs_in_python():
            learner.optimizer = optimizer
    return search.result()


def _check_learner(learner):
    """The optimizer of a learner; an error unless it can fit its network."""
    if learner.optimizer is None:
        raise ValueError(
            "fit: Learner.optimizer is missing; create the learner with one, for example "
            "optimizer=Adam(0.02), and with update_every, the length of the data"
        )
    if learner.readout.rewarded or EPISODE in (learner.interval, learner.trial):
        raise ValueError(
            f"fit: readout '{learner.readout.name}' has rewards, and no loss is known; give the "
            "Learner losses, or a LeakyReadout with a target"
        )
    if learner.regularizers:
        raise ValueError(
            "fit: the penalty of Learner.regularizers is no part of the loss by which the best "
            "values are chosen; give the Learner a Loss on the number of spikes instead"
        )
    if learner.feedback_is("adaptive"):
        raise ValueError(
            "fit: Learner.feedback = 'adaptive' learns besides what is fitted; choose 'symmetric'"
        )
    if learner.trial and learner.interval < learner.trial:
        dt = learner.readout.clock.dt
        raise ValueError(
            f"fit: Learner.update_every = {learner.interval * dt!s} is a part of a trial "
            f"(reset_every = {learner.trial * dt!s}); an evaluation has whole trials"
        )
    return learner.optimizer


def _network_of(learner, network):
    """The network that contains the readout of a learner."""
    readout = learner.readout
    if network is None:
        having = networks_of(readout)
        if not having:
            raise ValueError(
                f"fit: no network contains readout '{readout.name}'; make one of all objects, "
                "network = Network(collect()), and give it"
            )
        return having[0]
    if not isinstance(network, Network):
        raise TypeError(f"fit.network = {shown(network)} is not a Network")
    if not any(obj is readout for obj in network.sorted_objects):
        raise ValueError(f"fit.network does not contain readout '{readout.name}'; add it")
    return network


class _Search:
    """Descents from one start after the other, and the best of what they have come by.

    Parameters
    ----------
    run : InPython or InProgram
    optimizer, iterations, starts, patience, tolerance, callbacks, alignment
        As for `fit`.
    """

    def __init__(
        self, run, optimizer, iterations, starts, patience, tolerance, callbacks, alignment
    ):
        self.alignment = alignment
        self.run, self.optimizer = run, optimizer
        self.iterations, self.starts = iterations, starts
        self.patience, self.tolerance, self.callbacks = patience, tolerance, callbacks
        self.loss, self.best, self.start = np.inf, None, 0
        self.ended, self.history, self.evaluations = [], [], 0
        self.began = time.perf_counter()

    def all_starts(self, seed, bar):
        """Descend from the present values, and from values that are drawn."""
        given = self.run.values()
        for fitted in self.run.fitted:
            fitted.check_bounds(given[fitted.key])
        beginnings = [given]
        for start in range(1, self.starts):
            rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(start,)))
            beginnings.append({f.key: f.drawn(rng, given[f.key]) for f in self.run.fitted})
        for start, values in enumerate(beginnings):
            bar.set_description(f"start {start + 1} of {self.starts}", refresh=False)
            try:
                self.ended.append(self.descend(start, values, bar))
            except KeyboardInterrupt:
                if self.best is None:
                    raise
                self.ended.append("interrupted")
            if self.ended[-1] in ("interrupted", "callback"):
                break
        if self.best is None:
            raise TrainingDiverged(
                "fit: the loss is not finite at any start; look at what the neurons do there, or "
                "take narrower bounds"
            )
        if set(self.ended) == {"flat"}:
            raise ValueError(
                f"fit: all gradients are 0 at {'the start' if self.starts == 1 else 'all starts'}: "
                "nothing that is trained changes the loss there, as where no spike arrives, no "
                "neuron comes near its threshold, or Learner.learning is off; give other values"
            )

    def descend(self, start, values, bar):
        """Update values until there is a reason to end; returns it."""
        moments, found = {f.key: {} for f in self.run.fitted}, []
        for iteration in range(self.iterations):
            loss, gradients = self.evaluate(values)
            finite = all(np.isfinite(gradient).all() for gradient in gradients.values())
            if not np.isfinite(loss) or not finite:
                return "diverged"
            if loss < self.loss:
                self.loss, self.best, self.start = loss, values, start
            found.append(loss)
            entry = {"start": start, "iteration": iteration, "loss": loss}
            if self.alignment is not None and self.alignment.due(iteration):
                with self.run.set_aside(values):
                    entry |= self.alignment.of_learner(
                        self.run.learner, self.run.network, self.run.namespace, iteration
                    )
            self.history.append(entry | {"seconds": time.perf_counter() - self.began})
            bar.set_postfix_str(f"loss {loss:.4g}, best {self.loss:.4g}", refresh=False)
            bar.update()
            if ended_by(self.callbacks, self.history[-1]):
                return "callback"
            if not iteration and not any(gradient.any() for gradient in gradients.values()):
                return "flat"
            if self.patience is not None and _no_better(found, self.patience, self.tolerance):
                return "patience"
            values = {
                f.key: f.updated(
                    self.optimizer, values[f.key], gradients[f.key], moments[f.key], iteration + 1
                )
                for f in self.run.fitted
            }
        return "iterations"

    def evaluate(self, values):
        """The loss and the gradients of values; the first time twice, which must agree."""
        self.evaluations += 1
        found = self.run.evaluate(values)
        if self.evaluations == 1:
            self.evaluations += 1
            again, _ = self.run.evaluate(values)
            if not np.isclose(found[0], again, rtol=1e-10, atol=0, equal_nan=True):
                raise ValueError(
                    f"fit: the loss of the same values was {found[0]:.6g} and {again:.6g} the "
                    "second time. In C++ standalone mode let Brian2's random numbers be the same "
                    "in each run, by seed(1) before it; in Python let no NetworkOperation keep "
                    "variables of its own"
                )
        return found

    def result(self):
        """What was found : FitResult."""
        kinds: dict[bool, dict[str, Quantity]] = {True: {}, False: {}}
        for fitted in self.run.fitted:
            dim = fitted.variable(fitted.trained.name).dim
            of_kind = kinds[isinstance(fitted.owner, Synapses)]
            of_kind[fitted.key] = Quantity(self.best[fitted.key], dim=dim)
        return FitResult(
            self.loss,
            kinds[False],
            kinds[True],
            self.start,
            tuple(self.ended),
            self.history,
            self.evaluations,
            time.perf_counter() - self.began,
        )


def _no_better(losses, patience, tolerance):
    """Whether none of the last losses was below what the best before them asks for."""
    recent, before = losses[-patience:], losses[:-patience]
    return bool(before) and min(recent) >= (1 - tolerance) * min(before)
