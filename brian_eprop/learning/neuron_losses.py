r"""Losses on any variables of the neurons themselves.

A `Loss` is an expression ℓ of the state h of a group, read at one moment of each step, so that

    E = Σ_t Σ_j ℓ(h_j^t, t)  (+ the loss of the readout)

Its code computes ℓ and ∂ℓ/∂h there, one variable of the group per state: the *error* of the state.
The engine ``credit`` adds the recorded error to the adjoint of the state, λ ← λ + ∂ℓ/∂h, at the
moment at which ℓ reads it; ``traces`` multiplies it by the eligibility vector of this moment,
grad ← grad + ∂ℓ/∂h · s. Of order 1 is what a synapse does to the loss of its own neuron; λ of order
m carries it across synapses. What spikes do is seen by states that the reset changes (a count, a
filtered spike train, "has not fired yet"), whose path z → h the linearization knows already.
"""

import ast
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
import sympy
from attrs import field, frozen
from brian2 import (
    Function,
    NeuronGroup,
    Quantity,
    Subgroup,
    TimedArray,
    get_local_namespace,
)
from brian2.units.fundamentalunits import DIMENSIONLESS, DimensionMismatchError

from ..brian import schedule
from ..brian.code import internal
from ..brian.internals import (
    KNOWN_EVERYWHERE,
    get_identifiers,
    is_boolean_expression,
    last_step,
    parse_expression_dimensions,
    str_to_sympy,
    word_substitute,
)
from ..calculus.derivatives import NoDerivativeError, derivative
from ..calculus.one_step import drawing, state_names, subexpressions_of
from ..calculus.printing import printed
from ..calculus.programs import check_no_diffusion, expand, resolved, symbol
from ..checks import choice, in_field, real, shown, steps, table, text, truth, unit_name
from .loss_data import check_array, check_rows, without_gaps
from .readout import LeakyReadout

#: When in a step a loss may read the state, and where that is in the schedule.
MOMENTS = {
    "end": schedule.LOSS_AT_END,
    "before_thresholds": schedule.LOSS_BEFORE_THRESHOLD,
}
#: What the variables of a group that change by themselves are called.
PASSING = ("t", "t_in_timesteps", "dt", "i", "N")


def _whole_group(name, group):
    if isinstance(group, Subgroup):
        raise ValueError(
            f"{name} = '{group.name}' is a part of group '{group.source.name}': give the whole "
            "group, and let the expression be 0 for the others, as in int(i < 10)*(…)"
        )
    if not isinstance(group, NeuronGroup):
        raise TypeError(f"{name} = {shown(group)} must be a NeuronGroup")
    check_no_diffusion(group)
    if isinstance(group, LeakyReadout):
        raise ValueError(
            f"{name} = '{group.name}' is a readout: give a LeakyReadout its loss by target=..."
        )
    return group


def _expression(name, expression):
    code = " ".join(text(name, expression, "(v - v_data(t, i))**2/mV**2").split())
    try:
        value = str_to_sympy(code)
        if value.has(sympy.nan, sympy.oo, sympy.zoo):
            raise ValueError("it is not finite")
    except (ValueError, TypeError, SyntaxError, KeyError, NotImplementedError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"{name} = {expression!r} cannot be read ({said}); write for example "
            "'(v - v_data(t, i))**2/mV**2'"
        ) from None
    return code


def _as_given(name):
    """The name that the caller knows data by."""
    return name.removeprefix(internal("given", ""))


def _span(name, window):
    if window is None:
        return None
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise TypeError(
            f"{name} = {shown(window)} must be a pair of times since the trial began, such as "
            "(50*ms, 100*ms)"
        )
    return tuple(window)


@frozen(eq=False)
class Loss:
    r"""A loss on the neurons themselves: a Brian2 expression of the variables of a group.

    ::

        E = strength Σ_t Σ_j ℓ(h_j^t, t)          summed over the steps of the window

    It is differentiated symbolically. Errors of order 1 are those of each neuron's own loss by its
    own synapses; higher orders send them across synapses, and order ∞ is exact.

    Parameters
    ----------
    group : NeuronGroup
        A whole group; one without a threshold, of rate units, acts through its states alone.
    expression : str
        ℓ, without a unit, such as ``"(v - v_data(t, i))**2/mV**2"``: of states, constant
        parameters and subexpressions of the group, the time t, the index i, numbers of the caller,
        and `TimedArray` with one row per time step.
    strength : float
        What it is multiplied by, beside other losses.
    window : (start, stop), optional
        It counts in the steps start ≤ t < stop of each trial only. The learning window of the
        learner applies besides.
    when : {"end", "before_thresholds"}
        The moment of the step at which it reads the variables: after arrivals and reset, as a
        monitor with ``when="end"`` and, one step later, every default StateMonitor; or what the
        threshold is compared with, before the reset.
    period : Quantity, optional
        The time t in the expression, and the number of the step, begin anew with this period, for
        example the length of a trial.
    gaps : bool
        NaN in data are gaps: of this neuron in this step nothing counts.
    namespace : dict, optional
        Values of names in the expression. Default: what they are to the caller at this moment.

    Attributes
    ----------
    states : tuple of str
        The states of the group that ℓ depends on.

    Raises
    ------
    ValueError, TypeError, DimensionMismatchError, NoDerivativeError
        Naming the argument, its value and what it should be.

    Notes
    -----
    The group is given the variable ``loss``: Σ_t of its losses in their windows, one value per
    neuron, whether or not learning is on. A loss on spikes is one on a state that they change::

        dx/dt = -x/tau : 1        reset: x += 1      van Rossum distance: (x - x_data(t, i))**2
        dn/dt = 0*Hz : 1          reset: n += 1      counts and rates, read at the end of a window
        da/dt = 0*Hz : 1          reset: a = 0       a = 1 until the first spike: Σ_t a is its step
    """

    group: NeuronGroup = field(
        validator=in_field(_whole_group)(), repr=lambda group: f"'{group.name}'"
    )
    expression: str = field(validator=in_field(_expression)())
    strength: float = field(default=1.0, kw_only=True, validator=real())
    window: tuple[Quantity, Quantity] | None = field(
        default=None, kw_only=True, validator=in_field(_span)()
    )
    when: Literal["end", "before_thresholds"] = field(
        default="end", kw_only=True, validator=choice(tuple(MOMENTS))
    )
    period: Quantity | None = field(default=None, kw_only=True)
    gaps: bool = field(default=False, kw_only=True, validator=truth())
    namespace: Mapping[str, object] | None = field(default=None, kw_only=True, repr=False)
    states: tuple[str, ...] = field(init=False, default=())
    #: The value in names of the group and of `_data`, and as an expression.
    _code: str = field(init=False, default="", repr=False)
    _value: object = field(init=False, default=None, repr=False)
    #: What names stand for that are none of the group's, and factors that are 0 in gaps.
    _data: Mapping[str, object] = field(init=False, factory=dict, repr=False)
    _seen: tuple[str, ...] = field(init=False, default=(), repr=False)
    #: First step of the window, and the one after it; steps of a period.
    _steps: tuple[int, int] | None = field(init=False, default=None, repr=False)
    _period_steps: int | None = field(init=False, default=None, repr=False)
    #: Time step of the group when the loss was created.
    _dt: Quantity | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self):
        given, dt = table("Loss.namespace", self.namespace, "{'v_data': data}"), self.group.clock.dt
        names = get_local_namespace(level=2) | given
        self._set("_dt", dt)
        if self.window is not None:
            start, stop = (steps("Loss.window", end, dt, may_be_zero=True) for end in self.window)
            if start >= stop:
                raise ValueError(f"Loss.window = {self.window!r} ends before it has begun")
            self._set("_steps", (start, stop))
        if self.period is not None:
            self._set("_period_steps", steps("Loss.period", self.period, dt))
        data = self._known(names)
        self._check_unit(names | data)
        self._set("_data", {internal("given", name): value for name, value in data.items()})
        # Names and the time of the loss, and not those of the group's subexpressions.
        of_loss = {name: internal("given", name) for name in data}
        if self.period is not None:
            of_loss["t"] = f"((timestep(t, dt) % {self._period_steps})*dt)"
            of_loss["t_in_timesteps"] = f"(t_in_timesteps % {self._period_steps})"
        self._set("_code", word_substitute(self.expression, of_loss))
        equations = subexpressions_of(self.group.equations)
        self._set("_value", expand(str_to_sympy(self._code), equations))
        self._set("states", self._read_states())
        for state in self.states:
            self._slope(state)
        self._look_at_data()

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    @property
    def _shown(self):
        return f"Loss.expression = {self.expression!r} of group '{self.group.name}'"

    def _known(self, names):
        """What names stand for that are neither variables of the group nor known to Brian2."""
        group, data = self.group, {}
        for name in sorted(get_identifiers(self.expression)):
            known = name in group.variables or name in {"and", "or", "not", "True", "False"}
            given = (self.namespace or {}).get(name)
            if given is not None and (known or name in KNOWN_EVERYWHERE):
                if known or not isinstance(given, TimedArray):
                    owner = f"group '{group.name}'" if known else "Brian2"
                    raise ValueError(
                        f"{self._shown}: Loss.namespace has '{name}', which is a name of {owner} "
                        "already; choose another"
                    )
            if known:
                continue
            if name not in group.namespace and name not in names:
                if name in KNOWN_EVERYWHERE:
                    continue
                raise ValueError(
                    f"{self._shown} uses '{name}', which is no variable of this group, and no "
                    "number or TimedArray here: define it before, or give it in Loss.namespace"
                )
            value = {**names, **group.namespace, **(self.namespace or {})}[name]
            if name in KNOWN_EVERYWHERE and not isinstance(value, TimedArray):
                continue
            kinds = int | float | np.number | Quantity | Function
            if not isinstance(value, kinds) or (isinstance(value, Quantity) and np.ndim(value)):
                raise TypeError(
                    f"{self._shown} uses '{name}', which is {shown(value)}: give a number, a "
                    "TimedArray, or a constant parameter of the group with one value per neuron"
                )
            if not isinstance(value, Function) and not np.isfinite(value):
                raise ValueError(f"{self._shown} uses '{name}', which is {value!s}, no number")
            data[name] = value
        return data

    def _check_unit(self, names):
        group, code = self.group, self.expression
        known = resolved(group, get_identifiers(code), names)
        if drawn := drawing(group, get_identifiers(code), names):
            raise ValueError(
                f"{self._shown} draws random numbers by '{drawn}', other ones for the loss than "
                "for its derivative: draw them in the equations of the group, or give a TimedArray"
            )
        try:
            unit = parse_expression_dimensions(code, known)
        except DimensionMismatchError as error:
            raise DimensionMismatchError(f"{self._shown}: {error}") from None
        except SyntaxError as error:
            raise ValueError(
                f"{self._shown}: {error.msg}; data of one column are data(t), others data(t, i)"
            ) from None
        if is_boolean_expression(code, known):
            raise ValueError(f"{self._shown} is true or false: a loss is a number")
        if unit is not DIMENSIONLESS:
            raise DimensionMismatchError(
                f"{self._shown} has the unit '{unit_name(unit)}', and a loss has none: divide by "
                "it, as in (v - 10*mV)**2/mV**2"
            )

    def _read_states(self):
        """The states among the variables that the loss reads; an error for what else changes."""
        group, read = self.group, {s.name for s in self._value.free_symbols}
        known = state_names(group)
        for name in sorted(read & group.variables.keys() - {*known, *PASSING}):
            variable = group.variables[name]
            if variable.owner is not None and variable.owner.name != group.name:
                raise ValueError(
                    f"{self._shown} reads '{name}', a variable of '{variable.owner.name}': its "
                    "derivative would lead there; give a loss on that group, or copy what counts "
                    "as given into a TimedArray"
                )
            if not variable.constant:
                raise ValueError(
                    f"{self._shown} reads '{name}', which is no state with an equation, and may "
                    f"change: flag it as constant, '{name} : … (constant)', if it is given, or "
                    "write an equation; take (constant over dt) from a subexpression"
                )
        states = tuple(name for name in known if name in read)
        if not states:
            raise ValueError(
                f"{self._shown} depends on no state of the group, so that no gradient reaches it; "
                f"its states are {', '.join(known)}"
            )
        return states

    def _slope(self, name):
        """Code of strength · ∂ℓ/∂(a state or parameter); "" where that is 0."""
        try:
            slope = derivative(self._value, symbol(name))
        except NoDerivativeError as error:
            raise NoDerivativeError(f"{self._shown}: {error}") from None
        if slope == 0:
            return ""
        return "*".join((repr(float(self.strength)), f"({printed(slope)})", *self._seen))

    def _look_at_data(self):
        """Check the arrays that the loss is compared with; leave out their gaps."""
        seen, data = [], dict(self._data)
        for call in ast.walk(ast.parse(self._code, mode="eval")):
            name = getattr(getattr(call, "func", None), "id", None)
            array = self._data.get(name)
            if not isinstance(array, TimedArray):
                continue
            arguments = [ast.unparse(argument) for argument in call.args]
            check_array(self._shown, _as_given(name), array, arguments, self.group)
            if not np.isfinite(array.values).all():
                there = internal("seen", name)
                given = self._shown, _as_given(name), array, self.gaps
                data[name], data[there] = without_gaps(*given)
                seen.append(f"{there}({', '.join(arguments)})")
        self._set("_data", data)
        self._set("_seen", tuple(dict.fromkeys(seen)))

    def _check_times(self):
        """Raise an error for another time step than before, and for data that end too early."""
        if float(self._dt) != self.group.clock.dt_:
            raise ValueError(
                f"{self._shown} was created when dt was {self._dt!s}, but the group runs with "
                f"{self.group.clock.dt!s}: set defaultclock.dt before"
            )
        check_data(self, last_step(self.group.clock))


def check_data(loss: Loss, needed: int, whole: bool = False) -> None:
    """Raise ValueError for data that end before so many steps, or ``whole`` after them."""
    code, needed = ast.unparse(ast.parse(loss._code)), loss._period_steps or needed
    for name, array in loss._data.items():
        if isinstance(array, TimedArray):
            # What is read at another time may reach further than the run
            every = whole and re.search(rf"\b{name}\(t[,)]", code) is not None
            check_rows(loss._shown, _as_given(name), array, needed, every)
