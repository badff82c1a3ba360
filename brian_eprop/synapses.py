"""Trainable synapses: Brian2 Synapses that know the gradient of their weights."""


import re

import numpy as np
from brian2 import Equations, NeuronGroup, Quantity, Synapses, ms
from brian2.core.namespace import get_local_namespace
from brian2.equations.equations import PARAMETER
from brian2.units.fundamentalunits import fail_for_dimension_mismatch

from . import schedule
from .calculus.derivatives import NoDerivativeError
from .calculus.linearization import arrivals
from .calculus.one_step import one_step, parent_group, symbol
from .calculus.statements import printed
from .engines import traces
from .engines.gated import GatedCode
from .engines.population import sum_over_synapses

#: Slots in which spikes may arrive: after the threshold (they act on the next step), or
#: between state update and threshold (they act on this one).
ARRIVALS = ("synapses", "after_groups")
SLOTS = ("start", "groups", "thresholds", "synapses", "resets", "end")


class TrainableSynapses(Synapses):
    r"""Synapses whose weights follow the gradient that a learner asks for.

    It is a :class:`brian2.Synapses`: connect, set weights and delays, monitor and index it
    as usual. It adds the variables (i: pre, j: post)

        eps_<state>   eligibility vector s_ji = ∂(state of j)/∂w
        e_trace       eligibility trace e_ji = c_j · s_ji
        e_bar         F_κ(e_ji)^t = κ F_κ(e_ji)^{t−1} + g e_ji^t
        grad          dE/dw, summed since the last update

    (Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 13–14, 28), and to the target ``psi`` and
    the learning signal ``L``. Monitors see e_trace, e_bar, L and grad of a step in the slot
    ``after_end``, and the eps that made this e_trace in ``before_end``.

    Parameters
    ----------
    source, target : SpikeSource, NeuronGroup or Subgroup
        As for Synapses. The target is a group with a threshold, or the learner's readout.
    model : str
        Equations of the synapses; the weight must be a parameter among them.
    on_pre : str
        Must add (something proportional to) the weight to a variable of the target.
    weight : str
        Which variable is trained.
    learner : Learner
    arrival : {"synapses", "after_groups"}
        The slot in which spikes act on the target: after the threshold (Brian2's default; a
        spike acts in the next step), or before it (an input of the same step).
    bounds : (low, high), optional
        Weights are clipped to this interval after each update.
    delay : Quantity, optional
        One delay for all synapses. ``delay=0*ms`` tells that there will be none: traces
        that depend on the presynaptic neuron alone are then kept per neuron. Without it
        each synapse may have its own, as usual.
    **as_synapses
        Everything else that Synapses takes.

    Raises
    ------
    NoDerivativeError
        If the effect of the weight on the target cannot be differentiated; names why.
    ValueError, TypeError
        For an argument that does not fit; names it, its value and the remedy.
    """

    def __init__(
        self,
        source,
        target=None,
        model="w : 1",
        on_pre="v_post += w",
        weight="w",
        learner=None,
        *,
        arrival="synapses",
        bounds=None,
        delay=None,
        namespace=None,
        **as_synapses,
    ):
        target = source if target is None else target
        _check_arguments(on_pre, learner, arrival, as_synapses)
        equations = Equations(model)
        _check_weight(equations, weight)
        names = get_local_namespace(level=1) | (namespace or {})
        to_readout = parent_group(target) is learner.readout
        if to_readout:
            delay = _no_delay(delay, learner)
        # Spikes of one trial must not arrive in the next.
        lag = int(arrival == "after_groups" and not _fires_early(source))
        without_delay = delay is not None and np.ndim(delay) == 0 and float(delay) == 0
        may_cross = learner.trial is not None and (lag or not without_delay)
        local = without_delay and not may_cross

        if to_readout:
            effect = _effect_on_readout(on_pre, weight, target, names)
            eligibility = traces.of_readout(effect, uniform_delay=local)
            signal = _feedback_signal(source, learner)
            added = ["B : 1"] if signal and learner.feedback_is("adaptive") else []
        else:
            population = learner.population(parent_group(target))
            synaptic = set(equations.names) - {weight}
            eligibility = traces.of_neurons(
                population.linearize(on_pre, weight, names, synaptic),
                early=arrival == "after_groups",
                uniform_delay=local,
                regularized=bool(learner.regularizers),
            )
            _see_new_variables(target)
            signal, added = None, []
        added += [f"{name} : 1" for name in eligibility.variables]
        if learner.optimizer is not None:
            learner.optimizer.check_unit(weight, equations[weight].dim)
            added += [f"{name} : 1" for name in learner.optimizer.state]
        clash = set(Equations("\n".join(added)).names) & set(equations.names)
        if clash:
            raise ValueError(
                f"the model of the synapses defines '{min(clash)}', a name that learning adds "
                "itself; rename it"
            )
        code = f"{on_pre}\n{eligibility.on_pre}"
        if may_cross:
            code = _dropped_at_trial_start(code, weight, lag)
        super().__init__(
            source,
            target,
            equations + Equations("\n".join(added)),
            on_pre=code,
            delay=delay,
            namespace=namespace,
            **as_synapses,
        )
        for name in ("learner", "weight", "arrival"):
            self.add_attribute(name)
        self.learner, self.weight, self.arrival = learner, weight, arrival
        self.pre.when = arrival
        if signal:
            backwards = "B" if learner.feedback_is("adaptive") else f"{weight}*({printed(effect)})"
            sum_over_synapses(self, f"{backwards}*error_post", signal, "pre", schedule.FEEDBACK)
        traces.install(self, eligibility, learner, arrival)
        if may_cross:
            learner.share(self.pre, "trial_step")
        if learner.optimizer is not None:
            self._add_optimizer(bounds, adaptive=to_readout and learner.feedback_is("adaptive"))
        learner.reset_with_trial(source)
        learner.synapses.append(self)

    def _add_optimizer(self, bounds, adaptive):
        learner = self.learner
        learner.share(self, "update_due", "updates")
        weights = [self.weight, "B"] if adaptive else [self.weight]
        code = [f"gradient = grad/{learner.trials_per_update}", learner.optimizer.statements]
        for name in weights:
            kept = f"{1 - learner.feedback_decay!r}*{name}" if adaptive else name
            code.append(f"{name} = {kept} - step")
        if bounds is not None:
            low, high = _checked_bounds(bounds, self.variables[self.weight].dim)
            code.append(f"{self.weight} = clip({self.weight}, {low!r}, {high!r})")
        code.append("grad = 0")
        self.contained_objects.append(
            GatedCode(
                self, "\n".join(code), "update_due", schedule.OPTIMIZER, f"{self.name}_optimizer"
            )
        )

    def before_run(self, run_namespace):
        """Check what may have been changed since the synapses were created."""
        super().before_run(run_namespace)
        if self.pre.when != self.arrival:
            raise ValueError(
                f"the spikes of '{self.name}' were moved to the slot '{self.pre.when}', but its "
                f"traces are made for '{self.arrival}'; create it with arrival='{self.pre.when}'"
            )
        for group in (self.source, self.target, self):
            if group.clock.dt_ != self.learner.readout.clock.dt_:
                raise ValueError(
                    f"'{group.name}' runs with dt = {group.clock.dt!s} but the readout "
                    f"'{self.learner.readout.name}' with {self.learner.readout.clock.dt!s}; "
                    "learning needs one time step"
                )
        self.learner.check_complete()


def _check_arguments(on_pre, learner, arrival, as_synapses):
    if learner is None:
        raise TypeError(
            "TrainableSynapses.learner is missing; give the Learner that trains them, or use "
            "brian2.Synapses for fixed weights"
        )
    if not isinstance(on_pre, str):
        raise TypeError(
            f"TrainableSynapses.on_pre = {on_pre!r} must be text: one pathway carries the weight"
        )
    if arrival not in ARRIVALS:
        raise ValueError(f"TrainableSynapses.arrival = '{arrival}' is not one of {ARRIVALS}")
    if "on_event" in as_synapses:
        raise ValueError("TrainableSynapses.on_event: the gradient is that of spikes only")


def _check_weight(equations, weight):
    if weight not in equations.names or equations[weight].type != PARAMETER:
        raise ValueError(
            f"TrainableSynapses.weight = '{weight}' is not a parameter of the model; the model "
            f"must have a line '{weight} : 1'"
        )
    if "shared" in equations[weight].flags or "constant" in equations[weight].flags:
        raise ValueError(
            f"the weight '{weight}' is flagged {', '.join(equations[weight].flags)}; a trained "
            "weight changes and is one per synapse: remove the flag"
        )
    for equation in equations.values():
        if equation.expr is not None and weight in equation.identifiers:
            raise NoDerivativeError(
                f"the equation of '{equation.varname}' uses the weight '{weight}', which would "
                "act between spikes; a trainable weight acts through on_pre only"
            )


def _no_delay(delay, learner):
    if delay is not None and np.any(np.asarray(delay) != 0):
        raise ValueError(
            f"delay = {delay!r} of synapses onto readout '{learner.readout.name}': the engine "
            "'traces' pairs the error of a step with the spikes of that step; use no delay here"
        )
    return 0 * ms


def _fires_early(source):
    """Whether the spikes of a source are there before the threshold of the same step."""
    group = parent_group(source)
    thresholder = getattr(group, "thresholder", {}).get("spike", group)
    return SLOTS.index(thresholder.when.removeprefix("before_").removeprefix("after_")) < (
        SLOTS.index("thresholds")
    )


def _effect_on_readout(on_pre, weight, target, names):
    effects = arrivals(on_pre, weight, target, one_step(target, names))
    effect = effects["y"]
    if symbol(weight) in effect.free_symbols:
        raise NoDerivativeError(
            f"on_pre = '{on_pre}': the output must be proportional to the weight '{weight}'"
        )
    return effect


def _feedback_signal(source, learner):
    """A summand of the source's learning signal, if feedback goes back along its synapses."""
    group = parent_group(source)
    if not (learner.feedback_is("symmetric", "adaptive") and isinstance(group, NeuronGroup)):
        return None
    population = learner.population(group)
    signal = population.add_signal(f"L_{len(population.signals)}_{learner.readout.name}")
    _see_new_variables(source)
    return signal


def _see_new_variables(group):
    """Let a sub-group see variables that its parent was given later."""
    for name in parent_group(group).variables:
        if name not in group.variables:
            group.variables.add_reference(name, parent_group(group), name)
            if parent_group(group).variables[name].scalar:
                group.variables.indices[name] = "0"


def _dropped_at_trial_start(code, weight, lag):
    """Let spikes that were emitted before the trial began act on nothing."""
    emitted = f"_emitted = int(trial_step >= timestep(delay, dt) + {lag})"
    lines = [emitted]
    for line in code.split("\n"):
        lines.append(re.sub(rf"\b{weight}\b", f"({weight}*_emitted)", line))
    return "\n".join(
        f"{line}*_emitted" if line.startswith(("eps_", "arrived_")) else line for line in lines
    )


def _checked_bounds(bounds, dimensions):
    low, high = bounds
    for value in (low, high):
        fail_for_dimension_mismatch(
            value, Quantity(1, dim=dimensions), "TrainableSynapses.bounds = {value}", value=value
        )
    if not float(low) <= float(high):
        raise ValueError(f"TrainableSynapses.bounds = {bounds!r}: the lower must be below")
    return float(low), float(high)
