"""What a '(summed)' variable of a group is a sum of, as products of what each end knows.

::

    s_j = Σ_i Σ_k W_k X_k,i Y_k,j        W: the synapse, X: its source, Y: its target

so that with λ_j = dE/ds_j, in the step in which s is summed up,

    dE/dw_ji   = Σ_t Σ_k W_k' X_k,i Y_k,j λ_j        every step is an arrival
    dE/dX_k,i  = Σ_j W_k Y_k,j λ_j                   of order above 1: across the synapses
    ∂s_j/∂h_j  = Σ_k (Σ_i W_k X_k,i) ∂Y_k,j/∂h_j     a row of the Jacobian of the target's step

For ``I_gap_post = g*(v_pre - v_post)`` these are W = g, X = v, Y = 1 and W = −g, X = 1, Y = v.
"""

from functools import cached_property
from typing import Any

import numpy as np
import sympy
from attrs import frozen
from sympy.core.function import AppliedUndef

from ..brian.code import internal
from ..brian.internals import PARAMETER, SUBEXPRESSION, get_identifiers, parent_group, str_to_sympy
from ..checks import shown
from .arrivals import OF_ALL_SYNAPSES, as_synapses_see_them
from .derivatives import RANDOM, NoDerivativeError, derivative
from .one_step import Piece, state_names, stored_names
from .printing import printed
from .programs import expand, symbol

#: Names in code of synapses that are no constants: X may depend on them.
PASSING = frozenset({"t", "t_in_timesteps"})


@frozen
class Term:
    """One product W·X·Y of a sum.

    Attributes
    ----------
    weight, pre, post : sympy.Expr
        W, X and Y, in names of the synapses, of their source and of their target.
    """

    weight: Any
    pre: Any
    post: Any


@frozen(eq=False)
class Sum:
    """A sum over synapses, read once from the text of the user.

    Attributes
    ----------
    text : str
        As messages show it.
    variable : str
        Of the target, which is set to the sum in each step.
    source, target : Group
        The whole groups.
    weight : str
        "" for synapses that have none.
    terms : tuple of Term
    synaptic : frozenset of str
        Variables of the synapses besides the weight.
    trained : frozenset of str
        Parameters of neurons that are trained.
    """

    text: str
    variable: str
    source: Any
    target: Any
    weight: str
    terms: tuple
    synaptic: frozenset = frozenset()
    trained: frozenset = frozenset()

    @classmethod
    def of(cls, variable, expression, ends, equations, weight="", namespace=None):
        """Read the expression of a summed variable.

        Parameters
        ----------
        variable : str
            As the synapses call it.
        expression : str
        ends : (Group, Group)
            Source and target.
        equations : Equations
            Of the synapses.
        weight : str
            "" for synapses that are not trained.
        namespace : dict, optional
            The synapses' own.

        Raises
        ------
        NoDerivativeError
            Naming what does not split into such products.
        """
        text = f"{variable} = {' '.join(expression.split())} (summed)"
        source, target = map(parent_group, ends)
        if not variable.endswith("_post"):
            raise NoDerivativeError(
                f"'{text}' sums up over the targets of each neuron: turn the synapses around, so "
                "that it is a variable of their target, '…_post'"
            )
        if any(parent_group(end) is not end for end in ends[1:]):
            raise NoDerivativeError(
                f"'{text}' is a sum for a part of group '{target.name}': let the synapses end on "
                "the whole group"
            )
        synaptic = frozenset({*equations.names, *OF_ALL_SYNAPSES, "N"})
        reader = _Reader(text, source, target, synaptic, namespace or {})
        reader.check_names(expression, equations, variable.removesuffix("_post"))
        terms = reader.terms(reader.expression(expression, equations))
        return cls(
            text,
            variable.removesuffix("_post"),
            source,
            target,
            weight,
            tuple(terms),
            synaptic - {weight},
        )

    def effects(self, step):
        """∂s/∂w, in names of the synapse; as `OnPre.effects`."""
        effect = sum(
            derivative(term.weight, symbol(self.weight))
            * _renamed(term.pre, self.source, "_pre")
            * _renamed(term.post, self.target, "_post")
            for term in self.terms
        )
        return {self.variable: effect}

    def holder(self, k):
        """The variable of the target that holds Σ_i W_k X_k,i."""
        return internal("slope", self.variable, str(k))

    def summand(self, k):
        """Code of W_k X_k, in names of the synapses."""
        term = self.terms[k]
        return f"({printed(term.weight)})*({printed(_renamed(term.pre, self.source, '_pre'))})"

    @cached_property
    def sloped(self):
        """Numbers of the terms through which the target's state, or what it learns, acts."""
        own = {symbol(n) for n in {*state_names(self.target), *self.trained}}
        return [k for k, term in enumerate(self.terms) if term.post.free_symbols & own]

    @cached_property
    def piece(self):
        """The sum as a stage of the target's step; what others add to it is given."""
        own = " + ".join(f"{self.holder(k)}*({printed(self.terms[k].post)})" for k in self.sloped)
        statements = ((self.variable, "=", own or "0"),)
        return Piece(f"sum_{self.variable}", statements, sets=self.variable)

    def read(self, group, side):
        """Names of the variables of one end, "pre" or "post", that the sum depends on."""
        names = {s.name for term in self.terms for s in getattr(term, side).free_symbols}
        return names & set(group.variables)


def sum_of(action):
    """The sum that a `SummedVariableUpdater` of plain synapses computes.

    Parameters
    ----------
    action : Action

    Raises
    ------
    NoDerivativeError
    """
    synapses = action.owner
    ends, names = (synapses.source, synapses.target), synapses.namespace or {}
    try:
        return Sum.of(action.effects[0].name, action.code, ends, synapses.equations, "", names)
    except NoDerivativeError as error:
        raise NoDerivativeError(
            f"{action} lets the state of group '{action.source.name}' act on that of "
            f"'{action.target.name}' past its spikes: {error}"
        ) from None


def _renamed(expression, group, suffix):
    """An expression in names of a group in the names that synapses have for them."""
    known = {s: s.name for s in expression.free_symbols if s.name in group.variables}
    shared = PASSING | {"dt"}
    return expression.xreplace(
        {s: symbol(f"{name}{suffix}") for s, name in known.items() if name not in shared}
    )


@frozen
class _Reader:
    """Splits the text of a sum into products."""

    text: str
    source: Any
    target: Any
    synaptic: frozenset
    namespace: dict

    def check_names(self, expression, equations, variable):
        """Raise an error for what changes by itself, and for sums of themselves."""
        for name in sorted(get_identifiers(expression)):
            equation = equations.get(name)
            if equation is not None and equation.type not in (PARAMETER, SUBEXPRESSION):
                raise NoDerivativeError(
                    f"'{self.text}' depends on '{name}' of the synapses, which changes with time: "
                    "let it be a state of the source"
                )
        for group, side in ((self.source, "pre"), (self.target, "post")):
            stored = stored_names(group, state_names(group))
            used = {f"{n}_{side}" for n in stored} | (set(stored) if side == "post" else set())
            for name in sorted(get_identifiers(expression) & used - self.synaptic):
                raise NoDerivativeError(
                    f"'{self.text}' uses '{name}', which is '(constant over dt)' and therefore "
                    "one step old; remove the flag"
                )
        if "summed" not in self.text or variable not in self.target.variables:
            raise NoDerivativeError(f"'{self.text}': the target has no variable '{variable}'")

    def expression(self, text, equations):
        """The expression with what subexpressions stand for, and numbers for names of them."""
        own = {
            symbol(eq.varname): str_to_sympy(eq.expr.code)
            for eq in equations.values()
            if eq.type == SUBEXPRESSION and "summed" not in eq.flags
        }
        pre = {
            symbol(f"{eq.varname}_pre"): _renamed(str_to_sympy(eq.expr.code), self.source, "_pre")
            for eq in getattr(self.source, "user_equations", {}).values()
            if eq.type == SUBEXPRESSION
        }
        post = as_synapses_see_them(self.target, self.synaptic)
        value = expand(str_to_sympy(text), own | pre | post)
        drawn = {f.func.__name__ for f in value.atoms(AppliedUndef)} & RANDOM
        if drawn:
            raise NoDerivativeError(
                f"'{self.text}' draws a random number, '{min(drawn)}()': its derivative would draw "
                "another; draw it into a variable of the source first, in a run_regularly"
            )
        return value.xreplace(self._numbers(get_identifiers(printed(value))))

    def _numbers(self, used):
        """The numbers of the synapses' own namespace, in which Brian2 looks names up.

        Their ends compute X and Y, and must mean the same by what is no number.
        """
        numbers = {}
        for name in sorted(used):
            here = self.namespace.get(name)
            if isinstance(here, int | float | np.number | np.ndarray) and np.ndim(here) == 0:
                numbers[symbol(name)] = sympy.Float(float(here))
                continue
            for group in (self.source, self.target):
                there = (group.namespace or {}).get(name, here)
                if there is not here:
                    raise NoDerivativeError(
                        f"'{self.text}' uses '{name}', which group '{group.name}' has in a "
                        "namespace of its own, and the synapses do not: give it in the namespace "
                        "of the synapses too"
                    )
            if here is not None and name not in (self.source.namespace or {}):
                raise NoDerivativeError(
                    f"'{self.text}' uses '{name}' of the synapses' own namespace, which is "
                    f"{shown(here)}: give a number, or give it in the namespace of group "
                    f"'{self.source.name}' too"
                )
        return numbers

    def terms(self, value):
        """The products; terms that differ in W alone are one."""
        together = {}
        for summand in sympy.Add.make_args(value):
            products = self._product(summand)
            if products is None:
                products = [self._product(s) for s in sympy.Add.make_args(sympy.expand(summand))]
            else:
                products = [products]
            if None in products:
                raise NoDerivativeError(
                    f"'{self.text}': '{printed(summand)}' is no product of what the synapse, its "
                    "source and its target know, such as w*s_pre*(E - v_post): let the source "
                    "have what is transmitted, as a subexpression or a state"
                )
            for weight, pre, post in products:
                together[pre, post] = together.get((pre, post), 0) + weight
        return [Term(weight, *ends) for ends, weight in together.items() if weight != 0]

    def _product(self, summand):
        """W, X and Y of a summand; None if it does not split."""
        factors = {"": sympy.S.One, "pre": sympy.S.One, "post": sympy.S.One}
        for factor in sympy.Mul.make_args(summand):
            sides = {self._side(s.name) for s in factor.free_symbols} - {"constant"}
            if len(sides - {"time"}) > 1 or sides == {"", "time"}:
                return None
            side = min(sides - {"time"}, default="pre" if sides else "")
            factors[side] *= self._own_names(factor, side) if side else factor
        return factors.values()

    def _side(self, name):
        """Which end of the synapse, or the synapse (""), a name belongs to."""
        if name in self.synaptic:
            return ""
        if name in PASSING:
            return "time"
        if name == "dt":
            return "constant"
        if name.endswith("_pre"):
            return "pre"
        return "post" if name.endswith("_post") or name in self.target.variables else "constant"

    def _own_names(self, factor, side):
        """A factor in names of the group at one end."""
        group, names = (self.source if side == "pre" else self.target), {}
        for s in factor.free_symbols:
            own = self._side(s.name) == side
            names[s] = symbol(s.name.removesuffix(f"_{side}")) if own else s
            if not own and s.name in group.variables.keys() - PASSING - {"dt"}:
                raise NoDerivativeError(
                    f"'{self.text}' uses the constant '{s.name}', a name that group "
                    f"'{group.name}' has another meaning for: rename the constant"
                )
        return factor.xreplace(names)
