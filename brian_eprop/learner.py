"""The learner: which signals reach which neurons, and what is done with the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from brian2 import Group, Network, NeuronGroup, Quantity
from brian2.core.namespace import get_local_namespace
from numpy.typing import ArrayLike

from . import schedule
from .arguments import BELOW_1, check_seed, number
from .calculus.one_step import parent_group
from .engines.code import declare, on_spike, run_code
from .engines.credit import Credit
from .engines.credit.population import CreditPopulation
from .engines.gated import GatedCode
from .engines.traces import Traces
from .engines.traces.population import Population
from .engines.trials import restore_at_trial_start
from .feedback import FeedbackWeights, checked_feedback, dense_feedback
from .optimizers import Optimizer
from .parameters import Trainable, check_names, checked_trainable, install, own_parameters
from .periods import EPISODE, check_multiples, checked_period, describe_step
from .readout import LeakyReadout
from .regularizers import FiringRateRegularizer
from .rule import EProp
from .types import Feedback

if TYPE_CHECKING:
    from .checking.network_report import NetworkCheck


class Learner:
    """Teaches the trainable synapses that are given to it.

    Gradients are summed over time and, where trials are reset, averaged over the trials
    between two updates.

    Parameters
    ----------
    readout : LeakyReadout or ActorCriticReadout
        Whose error is to be reduced, or whose rewards are to grow. One learner to a readout.
    rule : EProp
    feedback : {"symmetric", "random", "adaptive"}, array_like or dict
        The weights B of the learning signal L_j = Σ_k B_kj error_k: those of the readout's
        synapses; fixed and random, N(0, 1/n_j) for the n_j neurons of a group; starting
        random and then receiving the same updates as the readout's weights (Kolen & Pollack
        1994; Bellec et al. 2020, Methods); or given, (n_out, n_j), with a dict
        {group: array} where several groups learn.
    optimizer : GradientDescent or Adam, optional
        Without one the gradients are summed up, in ``grad``, and no weight changes.
    regularizers : list of FiringRateRegularizer
    update_every : Quantity or "episode", optional
        Interval of the updates; needed with an optimizer.
    reset_every : Quantity or "episode", optional
        Length of a trial: at its end neurons, readout and traces return to the state in
        which the first trial started, and spikes on the way along trained synapses are
        dropped. What fixed synapses carry, and variables of synapses themselves, are left
        alone. Default: nothing is ever reset. ``"episode"``: when the environment of an
        `ActorCriticReadout` ends an episode.
    learning_window : Quantity, optional
        Only errors in this last part of a trial count.
    feedback_decay : float
        Adaptive feedback: the fraction by which readout and feedback weights both shrink at
        each update, so that they align.
    trainable : list of str, or dict of str to (low, high) or ParameterTraining
        Parameters of the learning neurons' equations that are trained as well, one value per
        neuron; their gradients are in the variables ``grad_<name>`` of the groups. Arrivals
        through synapses that are not trained count as given.
    seed : int, optional
        Of the random feedback weights.

    Raises
    ------
    TypeError, ValueError, DimensionMismatchError
        Naming the argument, its value and what it should be.
    """

    def __init__(
        self,
        readout: LeakyReadout,
        rule: EProp | None = None,
        feedback: Feedback | ArrayLike = "symmetric",
        optimizer: Optimizer | None = None,
        regularizers: Sequence[FiringRateRegularizer] = (),
        update_every: Quantity | Literal["episode"] | None = None,
        reset_every: Quantity | Literal["episode"] | None = None,
        *,
        learning_window: Quantity | None = None,
        feedback_decay: float = 0.0,
        trainable: Trainable = (),
        seed: int | None = None,
    ) -> None:
        _check_readout(readout)
        _check_types(rule, optimizer, regularizers)
        must = "be a fraction, at least 0 and below 1"
        feedback_decay = number("Learner.feedback_decay", feedback_decay, must, high=BELOW_1)
        check_seed("Learner.seed", seed)
        if optimizer is not None and update_every is None:
            raise ValueError(
                "Learner.update_every is missing: say how often the optimizer changes the "
                "weights, for example update_every=1*second"
            )
        self.readout, self.rule = readout, rule or EProp()
        self.feedback = checked_feedback(feedback, readout)
        self.feedback_decay = feedback_decay
        if self.feedback_decay and not self.feedback_is("adaptive"):
            raise ValueError(
                f"Learner.feedback_decay = {feedback_decay!r} is for feedback='adaptive' only"
            )
        self.optimizer, self.regularizers = optimizer, tuple(regularizers)
        self.trial = checked_period("reset_every", reset_every, readout)
        self.interval = checked_period("update_every", update_every, readout)
        self.window = checked_period("learning_window", learning_window, readout)
        self._check_durations()
        self.trainable = checked_trainable(trainable)
        if self.trainable and self.rule.engine != "credit":
            raise ValueError(
                f"Learner.trainable = {list(self.trainable)}: parameters have no traces; choose "
                "EProp(engine='credit')"
            )
        self.populations: dict[NeuronGroup, CreditPopulation | Population] = {}
        self.restored: set[Group] = set()
        self._seeds = np.random.SeedSequence(seed)
        describe_step(self)
        run_code(readout, "started = 1", schedule.STARTED, f"{readout.name}_started")
        self.engine = Traces(self) if self.rule.engine == "traces" else Credit(self)
        if self.trial is not None:
            self.reset_with_trial(readout)
        readout.learner = self

    def _check_durations(self):
        if self.window is not None and (self.trial in (None, EPISODE) or self.window > self.trial):
            trial = f"of {self.trial} steps" if isinstance(self.trial, int) else "without length"
            raise ValueError(
                f"Learner.learning_window ({self.window} steps) is the last part of a trial, here "
                f"{trial}: it needs reset_every, and cannot be longer"
            )
        check_multiples(self.trial, self.interval)
        if self.regularizers and self.episode is None:
            raise ValueError(
                "Learner.regularizers: the rate of a neuron is measured over a trial; give "
                "reset_every or update_every"
            )
        if self.readout.average and self.scored is None:
            raise ValueError(
                "LeakyReadout.average divides by the length of the learning window; give the "
                "learner reset_every or learning_window"
            )

    @property
    def episode(self) -> int | str | None:
        """Steps over which rates are measured: a trial, else the interval of the updates."""
        return self.trial or self.interval

    @property
    def scored(self) -> int | str | None:
        """Steps of a trial in which errors count."""
        return self.window or self.trial

    @property
    def trials_per_update(self) -> int:
        """Over how many trials a gradient is the mean."""
        if not self.trial or not self.interval or EPISODE in (self.trial, self.interval):
            return 1
        return max(1, self.interval // self.trial)

    def population(self, group: NeuronGroup) -> CreditPopulation | Population:
        """The neuron-level part of learning of a group, created when first asked for."""
        if group not in self.populations:
            weights = dense_feedback(self, group)
            self.share(group, "signal_scale")
            population = self.engine.population(group)
            self.reset_with_trial(group)
            if self.regularizers:
                self._regularize(group)
            if weights is not None:
                feedback = FeedbackWeights(self.readout, group, weights)
                self.engine.send_back_dense(feedback, population)
            self.populations[group] = population
        return self.populations[group]

    def train_parameters(self, group: NeuronGroup) -> tuple[str, ...]:
        """The trained parameters that a group has; their optimizer is added to it."""
        trained = own_parameters(group, self.trainable)
        for name in trained:
            declare(group, f"grad_{name}")
        if trained and self.optimizer is not None:
            install(group, trained, self)
        return tuple(trained)

    def _regularize(self, group):
        """Count the spikes of a group and turn the count into a pressure on its rate."""
        declare(group, "spike_count")
        declare(group, "rate_pressure")
        on_spike(group, "spike_count += 1", schedule.BEFORE_RESET, f"{group.name}_spike_count")
        self.share(group, "episode_ends")
        steps = self.episode
        if steps == EPISODE:
            self.share(group, "episode_step")
            steps = "(episode_step + 1)"
        total = " + ".join(r.pressure("spike_count", steps) for r in self.regularizers)
        code = f"rate_pressure = signal_scale*({total})\nspike_count = 0"
        name = f"{group.name}_rate_pressure"
        group.contained_objects.append(
            GatedCode(group, code, "episode_ends", schedule.REGULARIZATION, name)
        )

    def share(self, group: Group, *names: str, prefix: str = "") -> None:
        """Make shared variables of the readout known to a group, as ``prefix + name``."""
        for name in names:
            found = group.variables.get(prefix + name)
            if found is None:
                group.variables.add_reference(prefix + name, self.readout, name, index="0")
            elif found is not self.readout.variables[name]:
                # Synapses know the variables of their target by these names too.
                raise ValueError(
                    f"'{group.name}', or a group that it ends on, already has a variable "
                    f"'{prefix + name}', a name that learning needs (or it learns with another "
                    "learner already); rename it in the equations"
                )

    def reset_with_trial(self, group: Group) -> None:
        """Start every trial of a group from the state in which it started the first.

        Groups with trained synapses onto or from them are reset without being asked for.
        """
        group = parent_group(group)
        if self.trial is None or group in self.restored or not isinstance(group, NeuronGroup):
            return
        self.restored.add(group)
        if group is not self.readout:
            self.share(group, "started", "trial_begins")
        restore_at_trial_start(group)

    def feedback_is(self, *kinds: Feedback) -> bool:
        """Whether the feedback is one of the named kinds (and not an array)."""
        return isinstance(self.feedback, str) and self.feedback in kinds

    def next_seed(self) -> np.random.SeedSequence:
        """A seed for the next random weights."""
        return self._seeds.spawn(1)[0]

    def check(
        self,
        duration: Quantity | None = None,
        network: Network | None = None,
        *,
        synapses: int = 20,
        seed: int = 0,
    ) -> NetworkCheck:
        r"""Compare the gradients in this very network with finite differences of it.

        The network runs once and is recorded. Then it runs again and again from the same state
        with the same random numbers, with all spikes clamped to the recorded ones and one
        weight, or trained parameter, moved by ±ε and ±ε/2. With d the distance of a neuron to
        its threshold, read when the threshold is evaluated, and ψ that of the recorded run, the
        gradient of order 1 must be

        ::

            Σ_t ℓ_j^t ψ_j^t ∂d_j^t/∂w        ℓ: what one spike more would change in the loss

        and with ``EProp(engine="traces")`` also e_trace = ψ ∂d/∂w and eps_<state> = ∂state/∂w.
        For order m the deviations ψ δd are delivered along all synapses in the next of m runs,
        for order ∞ in the same run, which makes it the difference of the loss of a network
        whose spikes vary linearly around the recorded ones. No derivative and no statement of
        learning is used: Brian2 evaluates everything from the text of the user.

        Afterwards the network, its weights, its time and its random numbers are as before, and
        no update has been made. What Python code keeps outside Brian2 is not restored.

        Parameters
        ----------
        duration : Quantity, optional
            Default: one trial (``reset_every``).
        network : Network, optional
            Default: the one that contains the readout; else all objects that the caller sees,
            as for :func:`brian2.run`.
        synapses : int
            How many of each projection, and neurons of each trained parameter, are moved: the
            one with the largest gradient, and others at random.
        seed : int
            Of this choice.

        Returns
        -------
        NetworkCheck
            ``passed`` if all agree to 1e-6 of the largest gradient of a projection; ``worst``;
            ``rows``; ``reason`` if the network cannot be checked, or shows nothing. ``print``
            makes a table, the worst synapse first.

        Raises
        ------
        ValueError, TypeError
            For a compiled program, rewards, a time in the middle of a trial, a duration that
            does not fit; and whatever a run of the network raises.
        """
        # The check is built upon the learner.
        from .checking.own_network import check_network

        namespace = get_local_namespace(level=1)
        return check_network(self, duration, network, synapses, seed, namespace, level=1)

    def check_complete(self) -> None:
        """Raise an error if a group learns without a learning signal, or a name is unknown."""
        check_names(self.trainable, [g for g, p in self.populations.items() if p.learns])
        for group, population in self.populations.items():
            if population.learns and not self.engine.reaches(population):
                raise ValueError(
                    f"group '{group.name}' learns, but no feedback reaches it: symmetric and "
                    "adaptive feedback go backwards along a trainable projection onto the "
                    "readout; connect one, or choose feedback='random'"
                )


def _check_readout(readout):
    if not isinstance(readout, LeakyReadout):
        raise TypeError(
            f"Learner.readout = {readout!r} is not a LeakyReadout; each learner reduces the error "
            "of one"
        )
    if readout.learner is not None:
        raise ValueError(
            f"readout '{readout.name}' already has a learner; give all its synapses the same"
        )
    if readout.target is None and not readout.rewarded:
        raise ValueError(
            f"readout '{readout.name}' has no target and therefore no error to learn from; create "
            "it with LeakyReadout(..., target=...)"
        )


def _check_types(rule, optimizer, regularizers):
    if rule is not None and not isinstance(rule, EProp):
        raise TypeError(f"Learner.rule = {rule!r} is not a learning rule; give EProp(...)")
    if optimizer is not None and not hasattr(optimizer, "statements"):
        raise TypeError(
            f"Learner.optimizer = {optimizer!r} is not an optimizer; give one such as Adam(5e-3)"
        )
    known = isinstance(regularizers, list | tuple)
    if not known or not all(hasattr(one, "pressure") for one in regularizers):
        raise TypeError(
            f"Learner.regularizers = {regularizers!r} is not a list of regularizers, such as "
            "[FiringRateRegularizer(10*Hz, 0.1)]"
        )
