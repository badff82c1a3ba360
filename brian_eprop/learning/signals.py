r"""Third factors: equations of what reaches a neuron as its learning signal.

Without a `Signal` the error of a step is there at once and as it is, L_j = Σ_k B_kj error_k. A
signal puts equations in between: dopamine has kinetics, errors diffuse, a ligand reaches some cell
types, only the sign arrives. They are a NeuronGroup, one "neuron" for each that learns, updated in
the slot ``end``, when the errors of the step are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from brian2 import Equations, NeuronGroup, Quantity, Subgroup, Synapses, get_local_namespace
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError, get_dimensions

from ..brian import schedule
from ..brian.code import declare, run_code, sum_over_synapses
from ..brian.internals import (
    DIFFERENTIAL_EQUATION,
    KNOWN_EVERYWHERE,
    add_to,
    check_equation_units,
    get_identifiers,
    never_runs,
)
from ..checks import check_time, finite_array, in_field, shown, steps, table, unit_name
from ..engines.contract import Learning
from ..engines.history import DelayLine
from .equation_text import (
    DELAYED,
    Call,
    check_of_the_past,
    check_parameters,
    checked_equations,
    constants_of,
    without_calls,
)

#: What feedback brings to a neuron, Σ_k B_kj error_k, and what the signal makes of it.
ERROR, SIGNAL = "error", "L"
EXAMPLE = "L = sign(error) : 1"


def checked_delay(name, delay):
    """A delay, None for none; an error for what is no positive time."""
    return delay if delay is None else check_time(name, delay)


def _matrices(name, matrices):
    checked = {}
    for key, matrix in table(name, matrices, "{'spread': matrix}").items():
        of = f"{name}[{key!r}]"
        if not isinstance(key, str) or not key.isidentifier() or key.startswith("_"):
            raise ValueError(f"{of}: the key must be a name, such as 'spread'")
        if key in KNOWN_EVERYWHERE or key == DELAYED:
            raise ValueError(f"{of}: '{key}' is a name of Brian2 or of signals; choose another one")
        dim = getattr(matrix, "dim", DIMENSIONLESS)
        values = finite_array(of, np.asarray(matrix))
        if values.ndim != 2 or values.shape[0] != values.shape[1]:
            raise ValueError(
                f"{of} has the shape {values.shape}; it must be (n, n), from row to column, for "
                "the n neurons of the group"
            )
        checked[key] = Quantity(values, dim=dim)
    return checked


@frozen(eq=False)
class Signal:
    r"""What reaches a neuron as its learning signal, as Brian2 equations.

    ::

        dE/dW_ji ≈ Σ_t L_j^t F(e_ji)^t          L: the variable of this name in the equations

    Parameters
    ----------
    equations : str
        Must define ``L``, without a unit. Names in them: ``error``, what the feedback brings to the
        neuron, Σ_k B_kj error_k; variables of the neuron itself, as they are at the end of the
        step; numbers and `TimedArray` of the caller; ``delayed(x)``; and ``matrix(x)`` for each of
        ``matrices``, of one variable x.
    delay : Quantity, optional
        ``delayed(x)`` is x this long ago; 0 before the trial began.
    matrices : dict of str to (n, n) array_like, optional
        ``spread(x)`` is Σ_i M_ij x_i for ``{"spread": M}``: how neighbours or cell types act on
        each other (row: from, column: to). A Quantity has its unit in the equations.
    namespace : dict, optional
        Values of names in the equations. Default: what they are to the caller at this moment.

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError
        Naming the argument, its value and what it should be; for names of the neurons and for
        units when the group is given its first trained synapses.

    Notes
    -----
    In the slot ``end`` of a step, when the errors of the step are known, differential equations
    advance by dt with the errors held, by the method that Brian2 chooses (exact if they are
    linear); then L is read. Dynamics, and what is delayed, start anew with each trial. Where no
    learning takes place errors are 0, and L counts as 0 while `Learner.learning` is off.

    The engine ``credit`` records L, one number per neuron and step, and sends it backwards through
    the neurons; with an order above 1 also what a spike does to others' L.

    The equations are a NeuronGroup, ``learner.signals[group]``, which monitors can record and onto
    which synapses may end: spikes of dopaminergic cells by ``on_pre="dopamine_post += 0.1"``.

    Sources: Frémaux & Gerstner 2016, Front. Neural Circuits 9:85 (three factors); Liu et al. 2021,
    PNAS 118:e2111821118 (ligands by cell type); Barretto-Bittar et al. 2026, arXiv 2603.08949
    (errors that diffuse).

    Examples
    --------
    >>> from brian_eprop import Signal
    >>> signal = Signal(
    ...     '''
    ...     ddopamine/dt = (delayed(error) - dopamine)/(200*ms) : 1
    ...     L = sensitivity*dopamine : 1
    ...     ''',
    ...     delay=100 * ms,
    ... )
    """

    equations: str = field()
    delay: Quantity | None = field(default=None, kw_only=True, validator=in_field(checked_delay)())
    matrices: Mapping[str, Any] = field(factory=dict, kw_only=True, validator=in_field(_matrices)())
    namespace: Mapping[str, object] | None = field(default=None, kw_only=True, repr=False)
    #: Equations in which functions are variables, these functions, and the names of the caller.
    _equations: Equations = field(init=False, default=None, repr=False)
    _calls: tuple[Call, ...] = field(init=False, default=(), repr=False)
    _names: Mapping[str, object] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self):
        given = table("Signal.namespace", self.namespace, "{'tau': 200*ms}")
        names = get_local_namespace(level=2)
        checked_equations("Signal.equations", self.equations, EXAMPLE)
        functions = (DELAYED, *self.matrices)
        code, calls = without_calls("Signal.equations", self.equations, functions)
        equations = checked_equations("Signal.equations", code, EXAMPLE)
        check_parameters("Signal.equations", equations)
        self._check_names(equations, calls)
        self._check_functions(calls)
        known = constants_of("Signal.equations", equations, names, given, may_be_unknown=True)
        for name, value in (
            ("_equations", equations),
            ("_calls", calls),
            ("_names", known),
        ):
            object.__setattr__(self, name, value)

    @property
    def reads_errors(self) -> bool:
        """Whether it is made of the errors of the readout."""
        return ERROR in self._equations.identifiers | {call.variable for call in self._calls}

    def _check_names(self, equations, calls):
        if SIGNAL not in equations.names:
            raise ValueError(
                f"Signal.equations = {self.equations!r} do not define '{SIGNAL}', the learning "
                f"signal; add a line such as '{EXAMPLE}'"
            )
        dim = equations[SIGNAL].dim
        if dim is not DIMENSIONLESS:
            raise DimensionMismatchError(
                f"Signal.equations: '{SIGNAL}' has the unit '{unit_name(dim)}', and a learning "
                "signal has none: divide by it"
            )
        taken = equations.names & {ERROR, *(call.held for call in calls)}
        if taken:
            raise ValueError(
                f"Signal.equations define '{min(taken)}', a name that stands for what reaches the "
                "neuron; rename it"
            )
        for equation in equations.values():
            if equation.flags:
                raise ValueError(
                    f"Signal.equations: '{equation.varname}' is flagged "
                    f"{', '.join(map(str, equation.flags))}; remove the flag"
                )

    def _check_functions(self, calls):
        used = {call.function for call in calls}
        if (DELAYED in used) != (self.delay is not None):
            raise ValueError(
                f"Signal.delay = {self.delay!r}: it is that of 'delayed(x)' in the equations, "
                + ("which have none" if self.delay is not None else "which have one; give it")
            )
        unused = self.matrices.keys() - used
        if unused:
            name = min(unused)
            raise ValueError(f"Signal.matrices[{name!r}] is not used: write '{name}(error)', say")

    def _held(self, group):
        """Equations of what stands for functions, with the units of what they act on."""
        lines = []
        for call in self._calls:
            variable = call.variable
            if variable == ERROR:
                dim = DIMENSIONLESS
            elif variable in self._equations.names:
                dim = self._equations[variable].dim
            elif variable in group.variables:
                dim = group.variables[variable].dim
            else:
                raise ValueError(
                    f"Signal.equations: '{call.function}({variable})' is of no variable of the "
                    f"signal or of group '{group.name}'"
                )
            if call.function != DELAYED:
                dim = dim * get_dimensions(self.matrices[call.function])
            lines.append(f"{call.held} : {unit_name(dim)}")
        return Equations("\n".join(lines)) if lines else Equations("")

    def _after(self, held):
        """Whether L reads what stands for a function when the equations have advanced."""
        equations, found = self._equations, {False: False, True: False}
        for equation in equations.values():
            dynamic = equation.type == DIFFERENTIAL_EQUATION
            if dynamic or equation.varname == SIGNAL:
                waiting, seen = [equation.expr.code], set()
                while waiting:
                    names = get_identifiers(waiting.pop()) - seen
                    seen |= names
                    waiting += [
                        equations[n].expr.code
                        for n in names & equations.names
                        if equations[n].type != DIFFERENTIAL_EQUATION
                    ]
                found[not dynamic] |= held in seen
        if all(found.values()):
            raise ValueError(
                f"Signal.equations read '{held}' both for a differential equation, which is about "
                "to advance, and for L, which reads what it has become: give the matrix a second "
                "name"
            )
        return found[True]


def checked_signal(signal, readout, rule, losses):
    """The argument ``signal`` of a learner: a Signal, a dict of them, or None.

    Raises
    ------
    TypeError, ValueError
        For another one, and where no signal can be.
    """
    if signal is None:
        return None
    by_group = dict(signal) if isinstance(signal, Mapping) else {None: signal}
    for group, one in by_group.items():
        if group is not None and (
            not isinstance(group, NeuronGroup) or isinstance(group, Subgroup)
        ):
            raise TypeError(
                f"Learner.signal has the key {shown(group)}; the keys are the NeuronGroups that "
                "learn"
            )
        if not isinstance(one, Signal):
            raise TypeError(
                f"Learner.signal = {shown(one)} is not a Signal; give Signal('{EXAMPLE}'), or a "
                "dict {group: Signal(…)}"
            )
    if rule.hops:
        raise ValueError(
            f"Learner.signal: the rule {type(rule).__name__} sends learning signals on to other "
            "neurons, along the weights; choose EProp(engine='traces')"
        )
    if readout.rewarded or losses:
        what = "rewards, whose TD errors weigh what led to them" if readout.rewarded else "losses"
        raise ValueError(
            f"Learner.signal takes the place of the errors of a LeakyReadout, and readout "
            f"'{readout.name}' has {what}: give one or the other"
        )
    return signal if isinstance(signal, Signal) else by_group


def install_signal(learner: Learning, group, population) -> None:
    """Let the signal of a group, if it has one, take the place of the errors in its L.

    The equations are ``learner.signals[group]``: one "neuron" for each of the group.
    """
    signal = learner.signal
    if isinstance(signal, Mapping):
        signal = signal.get(group)
    if signal is None:
        return
    name, own = f"Signal.equations for group '{group.name}'", signal._equations
    held = signal._held(group)
    equations = own + held
    both = sorted((equations.names - {SIGNAL}) & group.variables.keys())
    if both:
        raise ValueError(
            f"{name} define '{both[0]}', which is a variable of the group, too; rename it"
        )
    external = own.identifiers - equations.names - {ERROR, "t", "dt", "i", "N", "j"}
    unknown = sorted(
        used
        for used in external
        if used not in group.variables
        and used not in signal._names
        and used not in KNOWN_EVERYWHERE
        and not used.startswith("xi")
    )
    if unknown:
        raise ValueError(
            f"{name} use '{unknown[0]}', which is no variable of the signal or of the group, and "
            "no number: define it before, or give it in Signal.namespace"
        )
    numbers = {n: v for n, v in signal._names.items() if n not in group.variables}
    check_of_the_past(name, own, numbers, group.clock.dt_)
    part = NeuronGroup(
        len(group), equations, clock=group.clock, namespace=numbers, name=f"{group.name}_signal*"
    )
    declare(group, "__error")
    part.variables.add_reference(ERROR, group, "__error")
    variables = external | {call.variable for call in signal._calls} - own.names
    for used in sorted(variables & group.variables.keys()):
        index = "0" if group.variables[used].scalar else "_idx"
        part.variables.add_reference(used, group, used, index=index)
    try:
        check_equation_units(name, part)
    except DimensionMismatchError:
        never_runs(part)
        raise
    part.state_updater.when, part.state_updater.order = schedule.SIGNAL
    learner.reset_with_trial(part)
    for call in signal._calls:
        if call.function == DELAYED:
            delay = steps("Signal.delay", signal.delay, group.clock.dt)
            moment = schedule.DELAY_LINES
            DelayLine(learner, part, call.variable, call.held, delay, moment)
        else:
            _couple(part, signal, call)
    population.weigh_errors("__error", needed=signal.reads_errors)
    learner.share(part, "__signal_scale", "__learns")
    part.variables.add_reference("__L", group, "L")
    code = f"__L = __signal_scale*__learns*{SIGNAL}"
    run_code(part, code, schedule.SIGNAL_READ, f"{part.name}_read")
    add_to(group, part)
    learner.signals[group] = part


def _couple(part, signal, call):
    """Sum up what a matrix makes of a variable, in every step."""
    matrix = signal.matrices[call.function]
    if len(matrix) != len(part):
        raise ValueError(
            f"Signal.matrices[{call.function!r}] has the shape {matrix.shape}, but there are "
            f"{len(part)} neurons: give a dict {{group: Signal(…)}} where groups differ"
        )
    pairs = Synapses(
        part, part, "coupling : 1 (constant)", name=f"{part.name}_{call.held}", namespace={}
    )
    values = np.asarray(matrix)
    pre, post = np.nonzero(values)
    pairs.connect(i=pre, j=post)
    pairs.coupling = values[pre, post]
    add_to(part, pairs)
    moment = schedule.SUMS_OF_L if signal._after(call.held) else schedule.SUMS_OF_SIGNAL
    sum_over_synapses(pairs, f"coupling*{call.variable}_pre", call.held, "post", moment)
