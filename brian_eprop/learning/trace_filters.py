r"""Filters of eligibility traces: what of them is still there when a learning signal arrives."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from brian2 import Equations, NeuronGroup, Quantity, Synapses, get_local_namespace
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError

from ..brian import schedule
from ..brian.internals import (
    SUBEXPRESSION,
    check_equation_units,
    never_runs,
    word_substitute,
)
from ..calculus.programs import integrator_code
from ..checks import in_field, shown, steps, table, unit_name
from ..engines.contract import Learning
from ..engines.history import DelayLine
from .equation_text import (
    DELAYED,
    Call,
    check_parameters,
    checked_equations,
    constants_of,
    without_calls,
)
from .signals import checked_delay

TRACE, FILTERED = "e_trace", "e_bar"
#: Names that synapses that learn have already.
RESERVED = (TRACE, "grad", "credit_trace")
EXAMPLE = "de_bar/dt = (e_trace - e_bar)/(500*ms) : 1"


@frozen(eq=False)
class TraceFilter:
    r"""What follows the eligibility trace, as Brian2 equations.

    ::

        dE/dW_ji ≈ Σ_t L_j^t e_bar_ji^t         e_bar: the variable of this name in the equations

    Without one it is the filter of the readout, e_bar^t = κ e_bar^{t−1} + g e_trace^t.

    Parameters
    ----------
    equations : str
        Must define ``e_bar``. Names in them: ``e_trace``, ``delayed(x)``, the time step dt and
        numbers. All variables are without unit, and each of them one per synapse.
    delay : Quantity, optional
        ``delayed(x)`` is x this long ago, 0 before the trial began; kept for every synapse.
    namespace : dict, optional
        Values of names in the equations. Default: what they are to the caller at this moment.

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError
        Naming the argument, its value and what it should be.

    Notes
    -----
    Differential equations advance by dt with e_trace^t held, exactly if they are linear; e_bar
    then meets the learning signal of the same step. They start with 0 in each trial. Examples::

        e_bar = e_trace : 1                                     none
        de_bar/dt = (e_trace - e_bar)/tau : 1                   low-pass
        dx/dt = (e_trace - x)/tau : 1
        de_bar/dt = (x - e_bar)/tau : 1                         cascade
        e_bar = (slow - fast)/(tau_slow - tau_fast) * ms : 1    double exponential
        de_bar/dt = (e_trace - delayed(e_trace))/dt : 1         hard window, as long as the delay
    """

    equations: str = field()
    delay: Quantity | None = field(default=None, kw_only=True, validator=in_field(checked_delay)())
    namespace: Mapping[str, object] | None = field(default=None, kw_only=True, repr=False)
    #: Variables of a synapse besides e_bar, and the code that moves them and e_bar on.
    states: tuple[str, ...] = field(init=False, default=(), repr=False)
    code: str = field(init=False, default="", repr=False)
    _calls: tuple[Call, ...] = field(init=False, default=(), repr=False)
    #: What Brian2 reads the equations by: a compiled program names it, though it never runs.
    _group: NeuronGroup = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self):
        name = "TraceFilter.equations"
        given = table("TraceFilter.namespace", self.namespace, "{'tau': 500*ms}")
        names = get_local_namespace(level=2)
        checked_equations(name, self.equations, EXAMPLE)
        code, calls = without_calls(name, self.equations, (DELAYED,))
        equations = checked_equations(name, code, EXAMPLE)
        check_parameters(name, equations)
        self._check(equations, calls)
        inputs = {TRACE, *(call.held for call in calls)}
        known = constants_of(name, equations, names, given | dict.fromkeys(inputs, 0))
        numbers = {n: v for n, v in known.items() if n not in inputs}
        lines = "\n".join(f"{held} : 1" for held in sorted(inputs))
        group = NeuronGroup(
            1, equations + Equations(lines), namespace=numbers, name="trace_filter*"
        )
        never_runs(group)
        check_equation_units(name, group)
        code = integrator_code(group, {})
        if equations[FILTERED].type == SUBEXPRESSION:
            filtered = dict(
                group.equations.get_substituted_expressions(
                    group.variables, include_subexpressions=True
                )
            )
            code += f"\n{FILTERED} = {filtered[FILTERED].code}"
        code = word_substitute(code, {n: f"({float(v)!r})" for n, v in numbers.items()})
        states = equations.diff_eq_names - {FILTERED} | {call.held for call in calls}
        for attribute, value in (
            ("states", tuple(sorted(states))),
            ("code", code.strip()),
            ("_calls", calls),
            ("_group", group),
        ):
            object.__setattr__(self, attribute, value)

    def _check(self, equations, calls):
        if FILTERED not in equations.names:
            raise ValueError(
                f"TraceFilter.equations = {self.equations!r} do not define '{FILTERED}', what is "
                f"multiplied by the learning signal; write for example '{EXAMPLE}'"
            )
        if (DELAYED in {call.function for call in calls}) != (self.delay is not None):
            raise ValueError(
                f"TraceFilter.delay = {self.delay!r}: it is that of 'delayed(x)' in the equations, "
                + ("which have none" if self.delay is not None else "which have one; give it")
            )
        for equation in equations.values():
            if equation.dim is not DIMENSIONLESS:
                raise DimensionMismatchError(
                    f"TraceFilter.equations: '{equation.varname}' has the unit "
                    f"'{unit_name(equation.dim)}', and traces have none: divide by it"
                )
            taken = equation.varname in RESERVED or equation.varname.startswith("eps_")
            if equation.flags or taken:
                raise ValueError(
                    f"TraceFilter.equations: '{equation.varname}' "
                    + ("is a name of learning; rename it" if taken else "has a flag; remove it")
                )
        if "t" in equations.identifiers or equations.is_stochastic:
            raise ValueError(
                "TraceFilter.equations depend on the time t, or on noise: a filter is the same at "
                "all times; let a Signal depend on t"
            )
        for call in calls:
            if call.variable not in equations.diff_eq_names | {TRACE}:
                raise ValueError(
                    f"TraceFilter.equations: 'delayed({call.variable})' is neither of 'e_trace' "
                    "nor of a variable with a differential equation"
                )

    def install(self, learner: Learning, synapses: Synapses) -> None:
        """Let synapses keep what is delayed."""
        for call in self._calls:
            delay = steps("TraceFilter.delay", self.delay, synapses.clock.dt)
            moment = schedule.DELAY_LINES_OF_TRACES
            DelayLine(learner, synapses, call.variable, call.held, delay, moment)


def checked_filter(trace_filter, rule):
    """The argument ``trace_filter`` of a learner; an error where there can be none."""
    if trace_filter is None:
        return None
    if not isinstance(trace_filter, TraceFilter):
        raise TypeError(
            f"Learner.trace_filter = {shown(trace_filter)} is not a TraceFilter; give for example "
            f"TraceFilter('{EXAMPLE}')"
        )
    if rule.engine != "traces":
        raise ValueError(
            "Learner.trace_filter: the engine 'credit' has no traces, and filters errors by what "
            "the readout does; choose EProp(engine='traces')"
        )
    if not rule.filtered or rule.hops:
        raise ValueError(
            f"Learner.trace_filter: the rule {type(rule).__name__} says itself what follows its "
            "traces; choose EProp(engine='traces')"
        )
    return trace_filter
