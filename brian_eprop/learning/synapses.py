"""Trainable synapses: Brian2 Synapses with the gradient of their weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2 import (
    Equations,
    Function,
    Group,
    NeuronGroup,
    Quantity,
    SpikeSource,
    TimedArray,
    get_local_namespace,
    ms,
    second,
)
from brian2.units.fundamentalunits import DIMENSIONLESS

from ..brian.code import DirectSynapses, declare, is_internal, unchanged_if_refused, without_names
from ..brian.internals import code_of, get_identifiers, parent_group, word_substitute
from ..calculus.arrivals import OF_ALL_SYNAPSES, OnPre
from ..calculus.derivatives import NoDerivativeError
from ..calculus.programs import checked_statements
from ..calculus.sums import Sum
from ..checks import flag, refuse_change, shown, table, unit_name
from ..engines.delay_traces import place_first_arrivals
from ..engines.populations import explain_missing_traces
from ..engines.trials import Timing, dropped_at_trial_start
from . import synapse_checks as validation
from .delays import DelayUpdate, check_delays, checked_trained, longest_delay, trained_delay
from .feedback import random_feedback
from .learner import Learner
from .learner_checks import constants_among
from .parameters import Trainable
from .updates import Trained, Update, checked_bounds

#: Attributes that cannot be changed any more, and the arguments that they come from.
FIXED = {"learner": "learner", "weight": "weight", "arrival": "arrival", "timing": "delay"}


class TrainableSynapses(DirectSynapses):
    r"""Synapses whose weights are changed by gradient descent on the loss of a readout.

    It is a :class:`brian2.Synapses`: connect, set weights and delays, monitor and index it
    as usual. It adds the variable (i: pre, j: post)

    ::

        grad          dE/dw, summed since the last update, in SI units

    which is complete at the end of a window: of a trial, or of an interval between updates.
    With ``EProp(engine="traces")`` it is up to date in every step, and there are also

    ::

        eps_<state>   eligibility vector s_ji = ∂(state of j)/∂w
        e_trace       eligibility trace e_ji = c_j · s_ji
        e_bar         F_κ(e_ji)^t = κ F_κ(e_ji)^{t−1} + g e_ji^t

    (Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 13–14, 28), and in the target ``psi`` and
    the learning signal ``L``. Monitors see e_trace, e_bar, L and grad of a step in the slot
    ``after_end``, and the eps that made this e_trace in ``before_end``.

    Parameters
    ----------
    source, target : SpikeSource, NeuronGroup or Subgroup
        As for Synapses. The target is a group with a threshold, one with a loss or (of order above
        1) that others sum up, or the learner's readout.
    model : str
        Equations of the synapses; the weight must be a parameter among them. It may be a part of
        one sum over synapses, ``s_total_post = w*s_pre : 1 (summed)``, of products of
        what the synapse, its source and its target know: then every step is an arrival, of
        ``s_pre`` at the start of the step (graded synapses, gap junctions, rate units).
    on_pre : str, optional
        Must add (something proportional to) the weight to a variable of the target. Default:
        ``"v_post += w"``, unless the weight is a part of a sum over synapses in ``model``.
    weight : str
        Which variable is trained.
    learner : Learner
    arrival : {"synapses", "after_groups"}
        The slot in which spikes act on the target: after the threshold (Brian2's default; a
        spike acts in the next step), or before it (an input of the same step).
    bounds : (low, high), optional
        Weights are clipped to this interval after each update.
    fixed : bool
        The weights stay as they are; credit of order above 1 flows across the synapses all the
        same.
    trainable : list of str, or dict of str to (low, high) or ParameterTraining, optional
        What learns: the weight alone by default; ``("w", "delay")`` the delay of each synapse too,
        and ``("delay",)`` only that. A delay is a real number of its own, ``synapses.delay``, which
        Brian2 rounds to time steps; ``grad_delay`` is dE/dd in loss per second, see Notes. Bounds
        are from 0 to the length of a trial if no others are given, ``{"delay": (1*ms, 20*ms)}``;
        the optimizer works on delay/scale, with a scale of 1 ms by default.
    delay : Quantity, optional
        One delay for all synapses, which makes compiled programs faster: spikes are delivered
        row by row. ``delay=0*ms`` tells that there will be none, and traces that depend on the
        presynaptic neuron alone are then kept per neuron. Without it each synapse may have its
        own, as usual.
    namespace : dict, optional
        As for Synapses.
    **as_synapses
        Everything else that Synapses takes.

    Raises
    ------
    NoDerivativeError
        If the effect of the weight on the target cannot be differentiated; names why.
    ValueError, TypeError
        For an argument that does not fit; names it, its value and the remedy.
    DimensionMismatchError
        For bounds, or an optimizer's learning rate, that do not fit the weight's unit.

    Notes
    -----
    With adaptive feedback the synapses onto the readout also have a variable ``B``, drawn
    from N(0, 1/n) for n presynaptic neurons at every :meth:`connect`; set it afterwards to
    choose other values.

    The gradient of a delay of d steps is that of a spike of which a part of 1 − f arrives after
    n = ⌊d⌋ steps and a part of f = d − n one step later,

    .. math:: \frac{dE}{dd_{ji}} = w_{ji} \sum_s (λ_j^{s+n+1} − λ_j^{s+n})

    with the sum over spikes s and λ what an arrival of unit weight adds to the loss, of any order.
    Where d is whole it is the derivative to longer delays. Spikes themselves arrive after the
    rounded delay, so that it is the slope of split spikes along the trajectory of rounded ones.
    Delays learn in whole trials: with the engine ``credit`` at any order, and with ``traces`` onto
    neurons. An update between trials makes the
    queue of spikes anew, which a C++ standalone program cannot: it is refused there.
    """

    def __init__(
        self,
        source: SpikeSource,
        target: Group | None = None,
        model: str | Equations = "w : 1",
        on_pre: str | None = None,
        weight: str = "w",
        learner: Learner | None = None,
        *,
        arrival: str = "synapses",
        bounds: tuple[float | Quantity, float | Quantity] | None = None,
        fixed: bool = False,
        trainable: Trainable | None = None,
        delay: Quantity | None = None,
        namespace: Mapping[str, Any] | None = None,
        **as_synapses: Any,
    ) -> None:
        target = source if target is None else target
        learner = validation.checked_learner(learner)
        validation.check_arguments(
            source, target, on_pre, learner, arrival, delay, type(self), as_synapses
        )
        validation.check_time_step(learner, source, target)
        equations = validation.checked_equations(model)
        fixed = flag("TrainableSynapses.fixed", fixed)
        namespace = table("TrainableSynapses.namespace", namespace, "{'tau': 20*ms}")
        validation.check_weight(equations, weight)
        fixed, training = checked_trained(trainable, weight, fixed)
        summed = validation.summed_weight(equations, weight, on_pre, delay, parent_group(target))
        longest = longest_delay(training, learner, delay, summed)
        on_pre = ("v_post += w" if summed is None else "") if on_pre is None else on_pre
        statements = checked_statements("TrainableSynapses.on_pre", on_pre)
        validation.check_bounds_are_used(bounds, learner)
        if bounds is not None:
            bounds = checked_bounds("TrainableSynapses.bounds", bounds, equations[weight].dim)
        optimizer = None if fixed else learner.optimizer
        if optimizer is not None:
            optimizer.check_unit(weight, equations[weight].dim)
        whole = parent_group(target)
        names = get_local_namespace(level=1) | namespace
        learner.namespace.update(constants_among(names))
        synaptic = set(equations.names) | OF_ALL_SYNAPSES
        # What is derived is computed in the groups, whose names may mean something else.
        known = synaptic | whole.variables.keys()
        in_numbers = _with_constants(on_pre, statements, namespace, names, known, target)
        onto_readout = whole is learner.readout
        if onto_readout and validation.errors_in_time(learner):
            validation.check_delay_is_given(learner, training)
            validation.check_no_delay_onto_readout(delay, learner)
            delay = 0 * ms
        ends = (source, target, whole, parent_group(source))
        owners = (learner, learner.engine, learner.readout, *ends)
        # A group that learns already has taken note of what it was given
        with unchanged_if_refused(*(() if whole in learner.populations else owners)):
            engine = learner.engine
            if summed is not None:
                timing = Timing(early=True, lag=0, without_delay=True, crosses_trials=False)
                of_sum = summed.varname, summed.expr.code
                total = Sum.of(*of_sum, (source, target), equations, weight, namespace)
                plan = engine.onto_neurons_by_sums(total, names)
            else:
                timing = Timing.of(source, arrival, delay, learner, longest)
                derived = OnPre(
                    on_pre,
                    in_numbers,
                    weight,
                    target,
                    frozenset(synaptic - {weight}),
                    source,
                    in_turn=learner.rule.engine == "credit" and not onto_readout,
                    delay_learns=training is not None,
                )
                planned = engine.onto_readout if onto_readout else engine.onto_neurons
                plan = planned(derived, names, timing)
            feedback = _feedback(learner, source, weight) if onto_readout else None
            dimensions = _dimensions(plan, feedback, equations[weight].dim, target)
            if training is not None:
                dimensions["grad_delay"] = DIMENSIONLESS / second.dim
            if (of_delays := getattr(plan, "delays", None)) is not None:
                dimensions |= of_delays.dimensions(whole)
            public = {name: dim for name, dim in dimensions.items() if not is_internal(name)}
            added = Equations(
                "\n".join(f"{name} : {unit_name(dim)}" for name, dim in public.items())
            )
            validation.check_names(equations, added.names)
            # The effect of an arrival is in terms of what is there before on_pre changes it.
            code = [*plan.on_pre, *statements]
            if timing.crosses_trials:
                changes = _by_both_names(whole) if getattr(plan, "in_turn", False) else None
                code = dropped_at_trial_start(statements, weight, timing.lag, plan.on_pre, changes)
            if summed is not None:
                code = []
            on_spike = code_of(code) if code else None
            if of_delays is not None:
                on_spike = {"pre": on_spike} | of_delays.pathways
            super().__init__(
                source,
                target,
                equations + added,
                on_pre=on_spike,
                delay=delay,
                namespace=namespace,
                **as_synapses,
            )
            attributes = ("learner", "weight", "arrival", "timing", "fixed", "user_on_pre", "acts")
            attributes += ("model_names", "derived_namespace", "error_along", "trained_delay")
            for name in attributes:
                self.add_attribute(name)
            self.fixed, self.user_on_pre, self.trained_delay = fixed, on_pre, training
            self.model_names, self.derived_namespace = frozenset(equations.names), dict(namespace)
            self.learner, self.weight, self.arrival, self.timing = learner, weight, arrival, timing
            for name, dim in dimensions.items():
                if name not in public:
                    declare(self, name, dimensions=dim)
                # not the user's, whom Brian2 would warn of names
                self.variables[name].of_learning = True
            #: What runs where the weight acts
            self.acts = self.pre if summed is None else self.summed_updaters[summed.varname]
            if summed is None:
                self.pre.when, self.pre.user_code = arrival, on_pre
            if learner.rule.engine == "credit":
                explain_missing_traces(self)
            if timing.crosses_trials:
                learner.share(self.pre, "trial_step")
            plan.install(self)
            #: The variable along which the error comes back: the weight, "B", or None
            self.error_along = feedback
            if feedback is not None:
                self._send_back(plan, feedback)
            if learner.interval is not None and not (fixed and training is None):
                self._add_update(bounds, ["B"] if feedback == "B" else [])
            learner.reset_with_trial(source)
            learner.projections.append(self)

    def connect(self, *args: Any, level: int = 0, **kwds: Any) -> None:
        """Add synapses; see :meth:`brian2.Synapses.connect`."""
        super().connect(*args, level=level + 1, **kwds)
        if self.error_along == "B":
            self.B = "random_feedback(i*second, j)"

    def __setattr__(self, name, value, level=0):
        if name in FIXED and self.__dict__.get(name) is not None:
            remedy = f"create other synapses, TrainableSynapses(..., {FIXED[name]}=...)"
            refuse_change("TrainableSynapses", name, remedy)
        if name == self.__dict__.get("weight") and not isinstance(value, str):
            validation.check_finite(self, value)
        if name == "delay" and self.__dict__.get("learner") is not None:
            validation.check_delay_may_be_set(self, value)
        # One frame further from the names of the user, which text may use
        super().__setattr__(name, value, level=level + 1)

    def _create_variables(self, equations, user_dtype=None):
        """The variables; a neuron's may have the name of a synapse's, as `w` in AdEx models.

        In on_pre and in indexing the name is that of the synapse, and ``name_post`` that of the
        neuron.
        """
        sides = {"pre": self.source, "post": self.target}
        with without_names(equations.names, *sides.values()) as hidden:
            super()._create_variables(equations, user_dtype=user_dtype)
        for side, group in sides.items():
            for name in hidden.get(id(group), ()):
                index = "0" if group.variables[name].scalar else f"_{side}synaptic_idx"
                self.variables.add_reference(f"{name}_{side}", group, name, index=index)

    def _send_back(self, plan, feedback):
        """Let the error go backwards along these synapses to the neurons they come from."""
        learner, source = self.learner, self.source
        if feedback == "B":
            weights = random_feedback(len(self.target), len(source), learner.next_seed())
            # The same in every device, also where the synapses are not known before the run
            self.namespace["random_feedback"] = TimedArray(weights.T, dt=1 * second)
        learner.engine.send_back(plan, learner.population(parent_group(source)), feedback)

    def _add_update(self, bounds, moving_along):
        learner, weight = self.learner, self.weight
        kept = f"{1 - learner.feedback_decay!r}*" if moving_along else ""
        change = [f"{name} = {kept}{name} - _step" for name in (weight, *moving_along)]
        dim, mean = self.variables[weight].dim, f"grad/{learner.trials_per_update}"
        trained, kind = [], Update
        if not self.fixed:
            trained.append(Trained(weight, "grad", weight, dim, mean, tuple(change), bounds))
        if self.trained_delay is not None:
            trained.append(trained_delay(self, self.trained_delay, learner))
            kind = DelayUpdate
        kind(self, learner, lambda: trained, f"{self.name}_optimizer")

    def before_run(self, run_namespace: Mapping[str, Any]) -> None:
        """Check what may have been changed since the synapses were created."""
        super().before_run(run_namespace)
        _check_namespace(self)
        validation.check_before_run(self)
        if self.trained_delay is not None:
            check_delays(self)
            if self.learner.rule.engine == "traces":
                place_first_arrivals(self)
        self.learner.check_complete()

    def after_run(self) -> None:
        """Raise an error if gradients that no optimizer has looked at are not finite."""
        super().after_run()
        validation.check_gradient(self)


def _dimensions(plan, feedback, of_weight, target):
    """The variables that learning adds, and their dimensions; losses and spikes have none."""
    dimensions = {
        name: (DIMENSIONLESS if state is None else target.variables[state].dim) / of_weight
        for name, state in plan.variables.items()
    }
    return dimensions | ({"B": DIMENSIONLESS} if feedback == "B" else {})


def _by_both_names(group):
    """Variables of a target by the names that synapses have for them."""
    return dict(group.variables) | {f"{n}_post": v for n, v in group.variables.items()}


def _feedback(learner, source, weight):
    """The variable that weights errors on their way back along synapses, or None for none."""
    if not isinstance(parent_group(source), NeuronGroup):
        return None
    if learner.feedback_is("adaptive"):
        return "B"
    return weight if learner.feedback_is("symmetric") else None


def _with_constants(on_pre, statements, namespace, names, known, target):
    """Statements with the numbers of the synapses' own namespace in the place of their names.

    Parameters
    ----------
    on_pre : str
        As the user wrote it, and as ``statements``.
    statements : list of (target, operation, expression)
    namespace, names : dict
        The argument ``namespace``, and all names that are known to the caller.
    known : set of str
        Names of variables, which go before those of a namespace.
    target : Group

    Raises
    ------
    ValueError
        For a function of the synapses' own, or a name that means something else to the target.
    """
    of_target, numbers = parent_group(target).namespace or {}, {}
    for name in sorted(get_identifiers(on_pre)):
        if name in known or name.removesuffix("_post") in known or name.endswith("_pre"):
            continue
        drawn = names.get(name)
        if isinstance(drawn, Function) and not drawn.stateless:
            raise NoDerivativeError(
                f"on_pre = {on_pre!r} draws random numbers from '{name}': draw them into a "
                "variable of the synapses first, in a run_regularly"
            )
        if name in namespace:
            value = namespace[name]
            if not isinstance(value, int | float | np.number | np.ndarray) or np.ndim(value):
                raise NoDerivativeError(
                    f"on_pre = {on_pre!r} uses '{name}' of TrainableSynapses.namespace, which is "
                    f"{shown(value)}: what a spike does must be told in numbers and variables; "
                    "give a number"
                )
            numbers[name] = f"({float(value)!r})"
        elif name in of_target:
            raise ValueError(
                f"on_pre = {on_pre!r} uses '{name}', which the target '{target.name}' has in a "
                "namespace of its own, and the synapses do not: give it in "
                "TrainableSynapses.namespace too, or rename it"
            )
    return [(name, operation, word_substitute(v, numbers)) for name, operation, v in statements]


def _check_namespace(synapses):
    """Raise an error if a constant of the synapses was changed since they were created."""
    for name, value in synapses.derived_namespace.items():
        if name in get_identifiers(synapses.user_on_pre):
            now = synapses.namespace.get(name)
            if not (value is now or np.array_equal(value, now)):
                raise ValueError(
                    f"'{synapses.name}'.namespace['{name}'] was changed from {value!s} to {now!s} "
                    "after its effect had been derived; create the synapses with the new value"
                )
