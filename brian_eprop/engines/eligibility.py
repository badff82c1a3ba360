"""Eligibility traces of synapses: the Brian2 code that advances them in every step.

Per synapse and step, with the coefficients of the postsynaptic neuron (traces.py):

    e_trace = c·s         e_bar ← κ e_bar + g e_trace         grad ← grad + L e_bar + ∂ℓ/∂s·s
    s ← A s + D b x       x: spikes that arrived after the threshold, ℓ: losses on the neuron

An entry of s whose dynamics are the same for all neurons of the target, and that is driven
by all spikes without delay, depends on the presynaptic neuron alone (for LIF: the low-pass of
its spike train). It is kept once per presynaptic neuron, as a variable of the source.
"""

from attrs import define

from ..brian import schedule
from ..brian.code import LearningCode, internal, run_if, see_target
from ..brian.internals import add_to, get_identifiers, is_standalone
from ..calculus.printing import printed
from .delay_traces import traces_of_delays
from .presynaptic_traces import (
    PresynapticTraces,
    install_presynaptic,
    next_value,
    presynaptic_states,
    presynaptic_traces,
)
from .trials import at_trial_start

#: So many steps of compiled networks are computed at once.
BLOCK = 8


class EverySynapse(LearningCode):
    """Abstract code for all of a projection, in each step.

    Brian2's state update would look up the neurons of each synapse. In C++ standalone programs
    synapses onto consecutive neurons are passed over without, in a loop that a compiler can
    vectorize. The time that takes is that of reading and writing the synapses' numbers, which is
    done once for several steps where nothing else sees them before the end of a trial.

    Attributes
    ----------
    changed_elsewhere : bool
        Whether arriving spikes, or other code of a step, write the numbers, too.
    in_blocks : bool
        Whether nothing else reads or writes them within a trial.
    """

    in_blocks = False

    def __init__(self, synapses, code, moment, name, changed_elsewhere):
        super().__init__(synapses, code, moment, name, template_kwds={"synapses": synapses})
        self.changed_elsewhere = changed_elsewhere

    def before_run(self, run_namespace):
        """Choose the template of the present target."""
        self.template = "every_synapse" if is_standalone() else "stateupdate"
        if is_standalone() and self.in_blocks and not self.changed_elsewhere:
            self.template = "synapses_in_blocks"
            variables = self.group.variables
            names = sorted(get_identifiers(self.abstract_code) & variables.keys())
            used = dict.fromkeys(variables[name] for name in names)
            own = [v for v in used if v.owner.name == self.group.name]
            self.template_kwds |= {
                "block": BLOCK,
                "of_synapses": own,
                "of_neurons": [v for v in used if v not in own and not v.scalar],
                "shared": [v for v in used if v not in own and v.scalar],
            }
        super().before_run(run_namespace)


#: Shared variables of the readout that the code of synapses reads.
SHARED = ("__kappa", "__gain", "__signal_scale", "__trial_begins", "__episode_ends")


@define(slots=False)
class Eligibility:
    """The code of a projection that computes its traces and its gradient.

    Attributes
    ----------
    learner : Learner
    variables : dict of str to str or None
        Variables of the synapses, and the state whose unit they have.
    on_pre : list of (target, operation, expression)
        Statements when a spike arrives, before those of the user.
    advance : str
        Statements for every synapse in every step.
    presynaptic : PresynapticTraces or None
    effect : sympy.Expr, optional
        Onto the readout: ∂(jump of y)/∂w of an arriving spike.
    move_on : str
        Statements for every synapse just before the state update of the target, where sums over
        synapses come before it.
    way : object, optional
        How a modulation comes back along the synapses; see modulation.py.
    delays : DelayTraces, optional
        Where delays learn.
    """

    learner: object
    variables: dict
    on_pre: list
    advance: str
    presynaptic: PresynapticTraces | None
    effect: object = None
    move_on: str = ""
    way: object = None
    delays: object = None

    def install(self, synapses):
        """Add the code to a Synapses object that has the variables."""
        self.synapses = synapses
        name, learner = synapses.name, self.learner
        learner.share(synapses, *SHARED)
        if learner.readout.rewarded:
            learner.share(synapses, "td_error", "__credit_decay")
        if self.presynaptic is not None:
            install_presynaptic(synapses, self.presynaptic, learner, synapses.arrival)
        see_target(synapses, self.advance)
        traces = f"{name}_traces"
        every = EverySynapse(
            synapses,
            self.advance,
            schedule.TRACES,
            traces,
            changed_elsewhere=bool(self.on_pre or self.move_on),
        )
        add_to(synapses, every)
        if "e_bar" in self.variables and learner.trace_filter is not None:
            learner.trace_filter.install(learner, synapses)
        if self.move_on:
            see_target(synapses, self.move_on)
            self.mover = EverySynapse(
                synapses, self.move_on, schedule.MOVE_ON, f"{name}_move_on", changed_elsewhere=True
            )
            add_to(synapses, self.mover)
        cleared = [v for v in self.variables if v not in ("grad", "e_trace")]
        if self.delays is not None:
            self.delays.install(synapses, learner)
            cleared += self.delays.variables
        if learner.trial is not None and cleared:
            at_trial_start(synapses, "\n".join(f"{v} = 0" for v in cleared), f"{name}_trial_start")
        if self.way is not None:
            learner.engine.modulation.install(self.way, synapses)
        if "__e_sum" in self.variables:
            code = "grad += __rate_pressure_post*__e_sum\n__e_sum = 0"
            see_target(synapses, code)
            moment = schedule.TRIAL_GRADIENT
            run_if("__episode_ends", synapses, code, moment, f"{name}_regularization")


def of_neurons(learner, linearization, effects, *, early, uniform_delay, regularized, delays=None):
    """Eligibility of synapses onto spiking neurons.

    Parameters
    ----------
    learner : Learner
    linearization : Linearization
    effects : dict of str to sympy.Expr
        b of a state as a number or a variable of the target, where all synapses have the same.
    early : bool
        Spikes arrive between state update and threshold, and act in the same step.
    uniform_delay : bool
        All spikes arrive without delay.
    regularized : bool
        The sum of e over the trial is needed.
    delays : tuple of (OnPre, Timing), optional
        Of synapses whose delays learn.
    """
    states, entries = linearization.states, linearization.coefficients
    uniform_delay = uniform_delay and not entries.waits
    before = presynaptic_states(linearization, effects) if uniform_delay else ()
    at_synapses = [name for name in states if name not in before]
    spikes = [name for name in linearization.arrivals if name not in entries.G]
    # What arrives after the threshold must not enter the trace of this step.
    waiting = [] if early else [name for name in spikes if name in at_synapses]

    on_pre = []
    for name in (n for n in spikes if n in at_synapses):
        gate = "*int(not_refractory_post)" if name in linearization.step.clamped else ""
        target = internal("arrived", name) if name in waiting else f"eps_{name}"
        on_pre.append((target, "+=", f"({printed(linearization.arrivals[name])}){gate}"))

    def at_synapse(entry):
        return printed(entry) if entry.is_number else f"{entry}_post"

    eps = {name: f"eps_{name}" for name in states}
    arrived = {name: internal("arrived", name) for name in waiting}
    if not early:
        # At a presynaptic entry that reaches a postsynaptic one within the step
        there = [name for name in before if name in effects]
        arrived |= {name: f"{at_synapse(effects[name])}*__arrived" for name in there}
    # For LIF neurons, and spikes with a delay:
    #
    # on_pre:  __arrived_v += (exp(dt_post/tau_m_post))
    #
    # advance: e_trace = psi_post*eps_v
    #          e_bar = __kappa*e_bar + __gain*e_trace
    #          grad += L_post*e_bar
    #          _next_v = __A_v_v_post*eps_v + __A_v_v_post*__arrived_v
    #          eps_v = _next_v
    #          __arrived_v = 0
    read = (f"{at_synapse(entry)}*eps_{name}" for name, entry in entries.c.items())
    trace_filter = learner.trace_filter
    filtered = [f"e_bar = {'__kappa*e_bar + ' if learner.rule.filtered else ''}__gain*e_trace"]
    advance = [
        f"e_trace = {' + '.join(read) or '0'}",
        # what the trace of the step before has done to other neurons
        *(["_hop = __modulation_post*e_bar"] if learner.rule.hops else []),
        *(filtered if trace_filter is None else trace_filter.code.split("\n")),
        *_gradient(learner, "L_post*e_bar" + " + _hop" * learner.rule.hops),
        *_of_losses(entries, arrived, at_synapse),
        *(["__e_sum += e_trace"] if regularized else []),
    ]
    # For a sum, as s_post = w*r_pre:
    #
    # move_on: _x_s = r_pre
    #          _next_v = __late_A_v_v_post*eps_v + __G_s_v_post*_x_s
    move_on = [f"_x_{n} = {printed(linearization.arrivals[n])}" for n in entries.G]
    summed = {name: f"_x_{name}" for name in entries.G}
    move_on += [
        f"_next_{row} = {next_value(entries, row, eps, arrived, at_synapse, summed)}"
        for row in at_synapses
    ]
    move_on += [f"eps_{row} = _next_{row}" for row in at_synapses]
    move_on += [f"{internal('arrived', name)} = 0" for name in waiting]
    if not entries.waits:
        advance, move_on = [*advance, *move_on], []
    if delays is not None:
        delays = traces_of_delays(learner, linearization, *delays, at_synapse, regularized)
        advance.append(delays.advance)
    variables = {f"eps_{n}": n for n in at_synapses} | {internal("arrived", n): n for n in waiting}
    others = ("e_trace", "e_bar", *_gradient_variables(learner), *(["__e_sum"] * regularized))
    others += () if trace_filter is None else trace_filter.states
    variables |= dict.fromkeys(others)
    return Eligibility(
        learner,
        variables=variables,
        on_pre=on_pre,
        advance="\n".join(advance),
        presynaptic=presynaptic_traces(entries, effects, before, early) if before else None,
        move_on="\n".join(move_on),
        delays=delays,
    )


def of_readout(learner, effect, *, uniform_delay):
    """Eligibility of synapses onto a leaky readout: the low-pass of their spikes.

    dE/dW_kj = Σ_t error_k^t g F_κ(z_j)^t (Bellec et al. 2020, Nat. Commun. 11:3625, Eq. 29).

    Parameters
    ----------
    learner : Learner
    effect : sympy.Expr
        ∂(jump of y)/∂w of an arriving spike.
    uniform_delay : bool
        All spikes arrive without delay.
    """
    gradient = "\n".join(_gradient(learner, "__signal_scale*__gain*error_post*eps_y"))
    summed = dict.fromkeys(_gradient_variables(learner))
    if uniform_delay and effect.is_number:
        advance = f"{{eps_y}} = {{__kappa}}*{{eps_y}} + {printed(effect)}*{{__arrived}}\n"
        presynaptic = PresynapticTraces(
            variables=("eps_y", "__arrived"),
            on_spike="{__arrived} += 1",
            advance=advance + "{__arrived} = 0",
            shared=(),
            moment=schedule.READOUT_TRACES,
        )
        return Eligibility(learner, summed, [], gradient, presynaptic, effect)
    return Eligibility(
        learner,
        variables={**summed, "eps_y": "y", "__arrived_y": "y"},
        on_pre=[("__arrived_y", "+=", printed(effect))],
        advance=f"eps_y = __kappa*eps_y + __arrived_y\n__arrived_y = 0\n{gradient}",
        presynaptic=None,
        effect=effect,
    )


def _gradient(learner, term):
    """Code that adds to the gradient what a synapse contributes in a step, x.

    With rewards it counts by all TD errors that follow, of which the last is known now:
    Σ_t δ^t F_γλ(x)^t, λ = 1 (Bellec et al. 2020, Nat. Commun. 11:3625, Eqs 34–37).
    """
    if not learner.readout.rewarded:
        return [f"grad += {term}"]
    return [
        "grad += __td_error*credit_trace",
        f"credit_trace = __credit_decay*credit_trace + {term}",
    ]


def _of_losses(entries, arrived, at):
    """Code that adds to the gradient what losses on the neuron owe to the synapse in this step."""
    owed = [f"{at(entry)}*eps_{name}" for name, entry in entries.owed.items()]
    owed += [
        f"{at(entry)}*{arrived[name]}"
        for name, entry in entries.owed_arrived.items()
        if name in arrived
    ]
    return [f"grad += {' + '.join(owed)}"] if owed else []


def _gradient_variables(learner):
    return ("grad", "credit_trace") if learner.readout.rewarded else ("grad",)
