"""Eligibility traces of delays: a spike one step later minus the spike itself, kept per synapse.

A spike that is split linearly between the steps n = ⌊d⌋ and n + 1 after it drives, for dE/dd,

    eps_d ← A eps_d + D (later − first)        first: Δ of spikes that arrive after n steps
    e_d = c·eps_d        ē_d ← κ ē_d + g e_d        grad_delay += L ē_d/dt        later ← first

with the coefficients of the weight's traces (eligibility.py) and Δ what a spike adds to a state.
The simulation delivers all of a spike after the rounded delay, which may be a step too late for
``first``: a pathway of its own, with the delay rounded down, tells when that is.
"""

from attrs import define
from brian2.units.fundamentalunits import DIMENSIONLESS

from ..brian import schedule
from ..brian.code import internal, run_if, see_target
from ..brian.internals import (
    ArrayVariable,
    assigned_names,
    code_of,
    is_standalone,
    restart_queue,
    statements_of,
)
from ..calculus.arrivals import WITHOUT_DELAY, is_synaptic
from ..calculus.derivatives import NoDerivativeError
from ..calculus.printing import printed
from .history import WHOLE_STEP, steps_before
from .presynaptic_traces import next_value
from .trials import dropped_at_trial_start

#: The pathway along which traces hear of a spike after ⌊d⌋ steps.
FIRST = "first_arrival"
E_BAR, E_SUM = internal("e_bar", "delay"), internal("e_sum", "delay")


@define(slots=False)
class DelayTraces:
    """The code of the gradient of delays.

    Attributes
    ----------
    jumps : dict of str to sympy.Expr
        Δ of each state, in names of the synapse.
    variables : dict of str to str or None
        Variables of the synapses, and the state whose unit they have.
    pathways : dict of str to str
        Code of a further pathway, by its name.
    advance : str
        Statements for every synapse in every step.
    regularized : bool
        The sum of e_d over the trial is needed.
    """

    jumps: dict
    variables: dict
    pathways: dict
    advance: str
    regularized: bool

    def dimensions(self, target):
        """The units of the variables, which do not depend on that of the weight."""
        units = {v: target.variables[s].dim for v, s in self.variables.items() if s is not None}
        return dict.fromkeys(self.variables, DIMENSIONLESS) | units

    def install(self, synapses, learner):
        """Add to synapses that exist what hears of first arrivals, and what ends a trial."""
        self._check_constant(synapses)
        first = getattr(synapses, FIRST)
        first.when, first.user_code = synapses.arrival, ""
        learner.share(first, "trial_step")
        first.variables.add_reference("trained_delay", synapses.pre, "delay")
        if self.regularized:
            code = f"grad_delay += __rate_pressure_post*{E_SUM}/dt\n{E_SUM} = 0"
            see_target(synapses, code)
            name = f"{synapses.name}_regularization_of_delays"
            run_if("__episode_ends", synapses, code, schedule.TRIAL_GRADIENT, name)

    def _check_constant(self, synapses):
        """Raise an error if a spike does another thing one step later."""
        changed = assigned_names(statements_of(synapses.pre.code))
        names = {s.name for jump in self.jumps.values() for s in jump.free_symbols}
        for name in sorted(names):
            variable = synapses.variables.get(name)
            if is_synaptic(synapses, name):
                constant = name not in changed and isinstance(variable, ArrayVariable)
                constant = constant and name not in synapses.equations.diff_eq_names
            else:
                constant = variable is None or variable.constant
            if not constant:
                raise NoDerivativeError(
                    f"what a spike of '{synapses.name}' does depends on '{name}', which may be "
                    "another number one step later, and traces of delays look at it once: "
                    f"{WITHOUT_DELAY}"
                )


def traces_of_delays(learner, linearization, on_pre, timing, at_synapse, regularized):
    """What synapses need whose delays learn.

    Parameters
    ----------
    learner : Learner
    linearization : Linearization
        Of the neurons and the weight.
    on_pre : OnPre
    timing : Timing
    at_synapse : callable
        The name, or number, of a coefficient in code of the synapses.
    regularized : bool
        The sum of e over the trial is needed.

    Raises
    ------
    NoDerivativeError
        For arrivals whose effect is not known one step before, or after.
    """
    entries, step = linearization.coefficients, linearization.step
    jumps = on_pre.jumps(step)
    clamped = step.clamped & jumps.keys()
    if jumps.keys() - {*linearization.states} or entries.waits or (timing.early and clamped):
        raise NoDerivativeError(
            f"on_pre = '{on_pre.text}': traces of delays go through spikes that change what the "
            "weight acts on, in neurons without sums over synapses, and not before a threshold "
            "onto what is held while refractory; choose EProp(engine='credit')"
        )
    eps = {name: internal("eps_delay", name) for name in linearization.states}
    first, later, drive = (
        {name: internal(kind, name) for name in jumps} for kind in ("first", "later", "drive")
    )
    # For LIF neurons:
    #
    # __drive_v = __later_v - __first_v
    # __later_v = __first_v
    # __first_v = 0
    # _e_delay = psi_post*__eps_delay_v
    # __e_bar_delay = __kappa*__e_bar_delay + __gain*_e_delay
    # grad_delay += L_post*__e_bar_delay/dt
    # _next_delay_v = __A_v_v_post*__eps_delay_v + __A_v_v_post*__drive_v
    # __eps_delay_v = _next_delay_v
    advance = []
    for name in jumps:
        gate = "int(not_refractory_post)*" if name in clamped else ""
        advance += [
            f"{drive[name]} = {gate}({later[name]} - {first[name]})",
            f"{later[name]} = {first[name]}",
            f"{first[name]} = 0",
        ]
        if timing.early:
            advance.append(f"{eps[name]} += {drive[name]}")
    arrived = {} if timing.early else drive
    read = [f"{at_synapse(entry)}*{eps[name]}" for name, entry in entries.c.items()]
    kept = f"__kappa*{E_BAR} + " if learner.rule.filtered else ""
    advance += [
        f"_e_delay = {' + '.join(read) or '0'}",
        f"{E_BAR} = {kept}__gain*_e_delay",
        f"grad_delay += L_post*{E_BAR}/dt",
        *([f"{E_SUM} += _e_delay"] if regularized else []),
    ]
    owed = [f"{at_synapse(entry)}*{eps[name]}" for name, entry in entries.owed.items()]
    owed += [
        f"{at_synapse(entry)}*{arrived[name]}"
        for name, entry in entries.owed_arrived.items()
        if name in arrived
    ]
    advance += [f"grad_delay += ({' + '.join(owed)})/dt"] if owed else []
    advance += [
        f"_next_delay_{row} = {next_value(entries, row, eps, arrived, at_synapse)}" for row in eps
    ]
    advance += [f"{eps[row]} = _next_delay_{row}" for row in eps]
    heard = [(first[name], "+=", printed(jump)) for name, jump in jumps.items()]
    variables = {v: name for kept in (eps, first, later, drive) for name, v in kept.items()}
    return DelayTraces(
        jumps,
        variables | dict.fromkeys([E_BAR, *([E_SUM] if regularized else [])]),
        {FIRST: code_of(dropped_at_trial_start([], on_pre.weight, timing.lag, heard))},
        "\n".join(advance),
        regularized,
    )


def place_first_arrivals(synapses):
    """Let first arrivals be those of the present delays, rounded down."""
    first = getattr(synapses, FIRST)
    if is_standalone():
        # Which delays there are is known when the program runs
        first.delay = f"floor(trained_delay/dt + {WHOLE_STEP!r})*dt"
        return
    dt = synapses.clock.dt_
    steps = steps_before(synapses.pre.variables["delay"].get_value(), dt)
    first.variables["delay"].set_value(steps * dt)


def restart_first_arrivals(synapses):
    """The same within a run, between two trials."""
    place_first_arrivals(synapses)
    restart_queue(getattr(synapses, FIRST))
