"""The learner: learning signals of the neurons, gradients of the weights, and their updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from brian2 import (
    Group,
    Network,
    NetworkOperation,
    NeuronGroup,
    Quantity,
    Synapses,
    get_local_namespace,
)
from numpy.typing import ArrayLike

from ..brian.code import declare, internal, unchanged_if_refused
from ..brian.internals import add_to, parent_group, runs_in_python
from ..brian.step_flags import EPISODE, NEVER, Progress, declare_flags, describe_step
from ..checking import NetworkCheck
from ..checking.own_network import check_network
from ..checks import (
    BELOW_1,
    Feedback,
    check_not_compiled,
    check_seed,
    flag,
    number,
    refuse_change,
    shown,
)
from ..engines.contract import Engine, Population, Projection
from ..engines.credit import Credit
from ..engines.traces import Traces
from ..reading import NetworkReader, NetworkReading
from .feedback import FeedbackWeights, checked_feedback, dense_feedback
from .learner_checks import (
    check_complete,
    check_durations,
    check_types,
    checked_condition,
    checked_objects,
    checked_period,
    checked_readout,
    constants_among,
)
from .loss_code import LossCode, install_losses
from .losses import FiringRateRegularizer, regularize
from .neuron_losses import Loss
from .optimizers import Optimizer, checked_optimizer
from .parameters import Trainable, checked_trainable, install, own_parameters
from .readout import LeakyReadout
from .rule import EProp, Rule
from .signals import Signal, checked_signal, install_signal
from .trace_filters import TraceFilter, checked_filter
from .trial_resets import reset_parameters_too, reset_with_trial, warn_of_what_goes_on
from .updates import Attach, Update

#: What may be assigned to a learner.
CHANGEABLE = ("learning", "optimizer")
#: Arguments whose attributes have another name.
ARGUMENTS = {"trial": "reset_every", "interval": "update_every", "window": "learning_window"}


class Learner:
    """The rule, the feedback and the optimizer by which the synapses of a network learn.

    Gradients are summed over time and, where trials are reset, averaged over the trials
    between two updates.

    Parameters
    ----------
    readout : LeakyReadout or ActorCriticReadout, optional
        Whose error is to be reduced, or whose rewards are to grow. One learner to a readout. With
        losses on the neurons themselves none is needed; the attribute is then one that listens to
        nothing, and runs with the first loss's group.
    rule : Rule
        `EProp` of some order, or one that keeps a part of it.
    feedback : {"symmetric", "random", "adaptive"}, array_like or dict
        The weights B of the learning signal L_j = Σ_k B_kj error_k: those of the readout's
        synapses; fixed and random, N(0, 1/n_j) for the n_j neurons of a group; starting
        random and then receiving the same updates as the readout's weights (Kolen & Pollack
        1994; Bellec et al. 2020, Methods); or given, (n_out, n_j), with a dict
        {group: array} where several groups learn.
    optimizer : GradientDescent or Adam, optional
        Without one the gradients are summed up, in ``grad``, and no weight changes. Another one
        may be assigned between two runs: see `Learner.optimizer`.
    regularizers : list of FiringRateRegularizer
    update_every : Quantity or "episode", optional
        Interval of the updates; needed with an optimizer.
    reset_every : Quantity or "episode", optional
        Length of a trial: at its end neurons, readout and traces return to the state in
        which the first trial started, and spikes on the way along trained synapses are
        dropped. What plain synapses carry, variables of synapses, and parameters of neurons are
        left alone unless ``reset`` names them. Trials are counted from the step in which the
        learner's objects enter the network: what the neurons do before is no trial. Default:
        nothing is ever reset. ``"episode"``: when the environment of an `ActorCriticReadout` ends
        an episode.
    signal : Signal or dict of NeuronGroup to Signal, optional
        A third factor: equations of what reaches a neuron in place of the errors.
    trace_filter : TraceFilter, optional
        What follows the eligibility trace in place of the readout's filter F_κ.
    losses : list of Loss
        On variables of the neurons themselves, besides that of the readout.
    learning_window : Quantity, optional
        Only errors in this last part of a trial count.
    learn : str, optional
        When to learn, as a Brian2 expression of the time t: ``"t < 60*second"``. See
        `Learner.learning`. Constants are those of the caller at this moment.
    reset : list of NeuronGroup or Synapses
        What else returns, at the end of a trial, to where it was when the first one started: all
        parameters of a group that are not constant; variables of synapses, and what they carry.
        For synapses that are created later: `reset_with_trial`.
    feedback_decay : float
        Adaptive feedback: the fraction by which readout and feedback weights both shrink at
        each update, so that they align.
    trainable : list of str, or dict of str to (low, high) or ParameterTraining
        Parameters of the learning neurons' equations that are trained as well, one value per
        neuron; their gradients are in the variables ``grad_<name>`` of the groups. Arrivals
        through synapses that are not trained count as given.
    given : list of NetworkOperation
        Functions of Python that may change the state of learning groups: what they do counts as
        given. Others that do are refused.
    seed : int, optional
        Of the random feedback weights.

    Raises
    ------
    TypeError, ValueError, DimensionMismatchError
        Naming the argument, its value and what it should be.
    """

    def __init__(
        self,
        readout: LeakyReadout | None = None,
        rule: Rule | None = None,
        feedback: Feedback | ArrayLike = "symmetric",
        optimizer: Optimizer | None = None,
        regularizers: Sequence[FiringRateRegularizer] = (),
        update_every: Quantity | Literal["episode"] | None = None,
        reset_every: Quantity | Literal["episode"] | None = None,
        *,
        signal: Signal | Mapping[NeuronGroup, Signal] | None = None,
        trace_filter: TraceFilter | None = None,
        losses: Sequence[Loss] = (),
        learning_window: Quantity | None = None,
        learn: str | None = None,
        reset: Sequence[NeuronGroup | Synapses] = (),
        feedback_decay: float = 0.0,
        trainable: Trainable = (),
        given: Sequence[NetworkOperation] = (),
        seed: int | None = None,
    ) -> None:
        losses = checked_objects("Learner.losses", losses, "[Loss(group, 'v/mV')]", Loss)
        check_types(rule, regularizers)
        readout = checked_readout(readout, losses, signal)
        checked_optimizer("Learner.optimizer", optimizer)
        must = "be a fraction, at least 0 and below 1"
        feedback_decay = number("Learner.feedback_decay", feedback_decay, must, high=BELOW_1)
        check_seed("Learner.seed", seed)
        self.readout = readout
        self.rule: Rule = rule or EProp()
        self.signal = checked_signal(signal, readout, self.rule, losses)
        self.trace_filter = checked_filter(trace_filter, self.rule)
        self.feedback = checked_feedback(feedback, readout)
        self.feedback_decay = feedback_decay
        if self.feedback_decay and not self.feedback_is("adaptive"):
            raise ValueError(
                f"Learner.feedback_decay = {feedback_decay!r} is for feedback='adaptive' only"
            )
        self.regularizers = tuple(regularizers)
        self.trial = checked_period("reset_every", reset_every, readout)
        self.interval = checked_period("update_every", update_every, readout)
        self.window = checked_period("learning_window", learning_window, readout)
        check_durations(self)
        kinds = NeuronGroup, Synapses
        reset = checked_objects("Learner.reset", reset, "[inhibitory_synapses]", *kinds)
        if reset and self.trial is None:
            raise ValueError(
                "Learner.reset names what returns to its start at the end of a trial, but there "
                "are no trials; give Learner reset_every"
            )
        self.given = checked_objects("Learner.given", given, "[operation]", NetworkOperation)
        self.trainable = checked_trainable(trainable)
        if self.trainable:
            self.rule.check_parameters("Learner.trainable", self.trainable)
        self.populations: dict[NeuronGroup, Population] = {}
        self.signals: dict[NeuronGroup, NeuronGroup] = {}
        self.projections: list[Projection] = []
        self.feedback_weights: list[FeedbackWeights] = []
        self.namespace: dict[str, object] = {}
        self.updates: list[Update] = []
        self.restored, self.parameters_restored = set[Group](), set[NeuronGroup]()
        self.loss_code: dict[NeuronGroup, dict[str, LossCode]] = {}
        self._seeds, self._warned = np.random.SeedSequence(seed), False
        self._optimizer: Optimizer | None = None
        self._last_kind: type[Optimizer] | None = None
        self.losses, groups = losses, dict.fromkeys(loss.group for loss in losses)
        names = get_local_namespace(level=1)
        with unchanged_if_refused(readout, *groups):
            condition = checked_condition(learn, readout, names)
            declare_flags(readout, "learner")
            readout.variables["__last_step"].set_value(NEVER)
            self.progress = Progress(readout, self.trial)
            self.optimizer = optimizer
            self.engine: Engine = Traces(self) if self.rule.engine == "traces" else Credit(self)
            describe_step(readout, self, condition)
            self.loss_code = install_losses(self, losses)
            if losses:
                self.namespace.update(constants_among(names))
            for group in groups:
                self.engine.learn_from_losses(self.population(group))
            if self.trial is not None:
                self.reset_with_trial(readout)
            self.reader = NetworkReader(self)
            add_to(readout, self.reader)
            reset_parameters_too(self, reset)
            readout.learner = self

    @property
    def network(self) -> NetworkReading:
        """The network that runs: which of its objects are differentiated, and which count as given.

        Raises
        ------
        UnreadableNetworkError
            If something in it changes a learning group and cannot be differentiated.
        """
        return self.reader.read()

    def __setattr__(self, name, value):
        made = self.__dict__.get("readout") is not None and self.readout.learner is self
        if made and name not in CHANGEABLE and not name.startswith("_"):
            argument = ARGUMENTS.get(name, name)
            refuse_change(
                "Learner", name, f"give a new Learner, of a new readout, {argument}={shown(value)}"
            )
        super().__setattr__(name, value)

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer, which turns gradients into updates; None: they are only summed up.

        One that is assigned acts from the next run on. Of the same kind as before, an Adam with
        another rate say, it goes on with the moments and the number of the update; one of another
        kind starts anew.
        """
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Optimizer | None) -> None:
        checked_optimizer("Learner.optimizer", optimizer)
        check_not_compiled("Learner.optimizer")
        if optimizer is not None:
            if self.interval is None:
                raise ValueError(
                    "Learner.update_every is missing: say how often the optimizer changes the "
                    "weights, for example update_every=1*second"
                )
            for update in self.updates:
                update.check(optimizer)
            if self.updates and type(optimizer) is not self._last_kind:
                self._clear(optimizer)
            for update in self.updates:
                update.adopt(optimizer)
            self._last_kind = type(optimizer)
        self._optimizer = optimizer
        self.readout.variables["__updates_on"].set_value(float(optimizer is not None))

    def _clear(self, optimizer):
        """Let an optimizer of another kind than before start from update 0, without moments."""
        if not runs_in_python():
            raise ValueError(
                f"Learner.optimizer = {optimizer!r}: a C++ standalone program keeps the variables "
                "of the optimizer that the Learner was created with; create it with this one"
            )
        self.readout.variables["__updates"].set_value(0)
        for update in self.updates:
            update.clear()

    @property
    def learning(self) -> bool:
        """Whether errors count; together with the condition ``learn``, where one was given.

        While learning is off the network runs and trials go on, the loss is reported, and errors
        are 0: nothing is added to gradients, no rate is regularized, and no weight moves. Learning
        may be switched between two steps of a trial or of a window: the gradient is that of the
        errors of those steps in which it was on. What these have left behind waits for the next
        update that is due while it is on. The rate of a neuron in a trial counts if learning is on
        in its last step, and rewards count for what was done while it was on.

        May be assigned between two runs. A C++ standalone program takes it as an argument:
        ``device.run(run_args={readout.learning: False})``.
        """
        try:
            return bool(self.readout.variables["learning"].get_value()[0])
        except NotImplementedError:
            raise ValueError(
                "Learner.learning is not known before the C++ standalone program has run"
            ) from None

    @learning.setter
    def learning(self, learning: bool) -> None:
        check_not_compiled("Learner.learning")
        self.readout.variables["learning"].set_value(flag("Learner.learning", learning))

    def start_trial(self) -> None:
        """Let a trial begin with the next step, and take the present state to return to.

        The time until then is no trial, and part of no interval between updates. The trial that
        is under way must be at its end, or nothing of it may have been learned from, since an
        average over trials knows no parts of them.

        Raises
        ------
        ValueError
            If the learner has no trials, or has learned from a part of one; and in C++
            standalone mode, in which it is not known before the program runs.
        """
        self.progress.start_trial()

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

    def population(self, group: NeuronGroup) -> Population:
        """Pseudo-derivatives and learning signals of a group, added when first asked for."""
        if group not in self.populations:
            weights = dense_feedback(self, group)
            self.share(group, "__signal_scale")
            population = self.engine.population(group)
            install_signal(self, group, population)
            self.reset_with_trial(group)
            if self.regularizers and "spike" in group.events:
                regularize(self, group)
            if weights is not None:
                feedback = FeedbackWeights(self.readout, group, weights)
                self.feedback_weights.append(feedback)
                self.engine.send_back_dense(feedback, population)
            self.populations[group] = population
        return self.populations[group]

    def check_complete(self) -> None:
        """Raise an error if something that learning needs is missing, switched off or unknown."""
        check_complete(self)

    def train_parameters(self, group: NeuronGroup, attach: Attach | None = None) -> tuple[str, ...]:
        """Names of the trained parameters of a group, which is given their updates."""
        trained = own_parameters(group, self.trainable)
        for name in trained:
            declare(group, f"grad_{name}")
        if trained and self.interval is not None:
            install(group, trained, self, attach)
        return tuple(trained)

    def losses_of(self, group: NeuronGroup) -> dict[str, LossCode]:
        """What computes the losses on a group, by the moment at which they read its state."""
        return self.loss_code.get(group, {})

    def errors_of(self, group: NeuronGroup) -> dict[str, dict[str, str]]:
        """∂ℓ/∂h of the losses on a group: {moment: {state: variable}}."""
        return {moment: code.errors for moment, code in self.losses_of(group).items()}

    def share(self, group: Group, *names: str, prefix: str = "") -> None:
        """Make shared variables of the readout known to a group, as ``__<prefix>_<name>``."""
        for name in names:
            reference = internal(prefix, name) if prefix else internal(name)
            variable = group.variables.get(reference)
            if variable is None:
                group.variables.add_reference(reference, self.readout, name, index="0")
            elif variable is not self.readout.variables[name]:
                raise ValueError(
                    f"'{group.name}' learns with the learner of readout '{variable.owner.name}' "
                    f"already, and cannot learn with that of '{self.readout.name}' too; give all "
                    "its synapses one learner, and put both outputs into one readout"
                )

    def reset_with_trial(self, group: Group) -> None:
        """Start every trial of a group from the state in which it started the first.

        Groups with trained synapses onto or from them are reset without being asked for. Synapses
        are not: variables that their equations or pathways change return to where they started (a
        trained weight does not), and spikes on the way along them are dropped.

        Parameters
        ----------
        group : NeuronGroup or Synapses
        """
        reset_with_trial(self, parent_group(group))

    def warn_of_what_goes_on(self) -> None:
        """Warn, once, of states that the end of a trial does not reset."""
        if self.trial is not None and not self._warned:
            self._warned = True
            warn_of_what_goes_on(self)

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
            For a compiled program, float32, rewards, a time in the middle of a trial, a duration
            that does not fit; and whatever a run of the network raises.
        """
        namespace = get_local_namespace(level=1)
        return check_network(self, duration, network, synapses, seed, namespace, level=1)
