"""The learning rule of the reference: what is said of it, its recursion, options and refusals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from attrs import NOTHING, define, evolve, field, frozen

from ..checks import keep
from .network import Network
from .step import Step


class RuleDoesNotApply(ValueError):
    """A rule is not defined for a network, whatever its options."""


@frozen(eq=False)
class Signal:
    """Error and learning signals of one step.

    Attributes
    ----------
    error : (batch, n_out) ndarray
        ∂E^t/∂y_k.
    target : (batch, n_out) ndarray
    learning : (batch, n_rec) ndarray
        L_j = Σ_k B_kj error_k, ∂E^t/∂o_j for the true weights of the readout.
    rate : (batch, n_rec) ndarray
        ∂E_reg/∂h_j, known at the end of a trial only; 0 for learning online.
    weight : (batch,) ndarray
        How much the step counts; `error` has it as a factor.
    """

    error: np.ndarray
    target: np.ndarray
    learning: np.ndarray
    rate: np.ndarray
    weight: np.ndarray

    def credit(self, step: Step) -> np.ndarray:
        """∂E^t/∂c_j, the direct effect of the states on the loss; (S, batch, n_rec)."""
        return step.readout * self.learning + step.observation * self.rate


@define(eq=False, slots=False)
class Recursion:
    """A rule at work on sequences, step by step.

    The options of the rule are further fields, see :func:`option`.

    Gradients are dicts of block name to (gates, n_pre, n_rec) array, summed over the batch, and
    of the name of a parameter to one of n_rec numbers. Those of all calls of `step` and `finish`
    sum to the gradient of the sequence; entries of absent connections are ignored.

    Parameters
    ----------
    network : Network
    rng : numpy.random.Generator
        The source of all randomness of the rule.
    """

    network: Network
    rng: np.random.Generator

    #: The rule that it computes.
    rule: ClassVar[Rule]

    def refusal(self, reason: str) -> RuleDoesNotApply:
        """The error of a rule that does not apply to the network."""
        return self.rule.refusal(self.network, reason)

    def start(self, batch: int):
        """Begin new sequences; what a rule has learned of the network stays."""

    def step(self, step: Step, signal: Signal) -> dict | None:
        """Take one step, and return what is known of the gradient by then."""

    def finish(self) -> dict | None:
        """End the sequences, and return the rest of the gradient."""


@frozen
class Rule:
    """A way to compute or approximate the gradient: the decorator of its recursion.

    Attributes
    ----------
    name : str
    source : str
        Paper and equation.
    exact : bool
        Whether it gives the full (surrogate) gradient.
    parameters : bool
        Whether it gives the gradients of alpha, rho, beta, v_th and of delays too.
    facing : {"past", "future", "local"}
        Whether it carries the effect of weights on the present state, of the present state on the
        future loss, or neither across units (Marschall, Cho & Savin 2020): then a synapse needs
        its own neurons and a broadcast signal only.
    cells, reason : tuple of str or None, str
        Names of the cells whose networks it is defined for, if not for all, and why only those.
    delays : {"any", "not recurrent", "single"}
        Which delays connections may have: any, none if they are recurrent, or in addition the
        same for all inputs. With "single" F = û ⊗ K for one vector û of presynaptic values, and
        the influence on the states of this step is all that the next step needs.
    causal : bool
        Whether it needs nothing of the future.
    memory, time : (int, int)
        Exponents of n_rec and of T in the numbers stored, and in the operations of one step, for a
        dense network with n_in ∝ n_rec.
    stochastic : bool
    unbiased : bool
        Whether the mean over its randomness is the exact gradient; True for exact rules.
    learned : bool
        Whether it learns something of the network before it is of use.
    uses_feedback : bool
        Whether the learning signal goes through the feedback weights instead of the true w_out.
    parent, change : str or None
        Another rule, and what makes this one of it: an edge of the map of rules.
    examples : tuple of dict
        Options with which the rule is compared and tested when nobody says which.
    varies : function, optional
        Options → what of the above is other with them; what is said here holds for the first of
        the `examples`.
    recursion : class
        The :class:`Recursion` that is decorated; its fields are the options of the rule.
    """

    name: str
    source: str
    facing: str
    cells: tuple[str, ...] | None = None
    reason: str = ""
    delays: Literal["any", "not recurrent", "single"] = "any"
    memory: tuple[int, int] = (2, 0)
    time: tuple[int, int] = (2, 0)
    exact: bool = False
    parameters: bool = False
    causal: bool = True
    stochastic: bool = False
    unbiased: bool = field(default=False)
    learned: bool = False
    uses_feedback: bool = False
    parent: str | None = None
    change: str | None = None
    examples: tuple[dict, ...] = ({},)
    varies: Callable[..., dict] | None = None
    recursion: type = Recursion

    @unbiased.validator
    def _of_an_exact_rule(self, field, value):
        keep(self, field, value or self.exact)

    def __call__(self, recursion: type) -> type:
        """The recursion, whose fields are declared by attrs, with this rule."""
        recursion.rule = evolve(self, recursion=recursion)  # type: ignore[attr-defined]
        return define(recursion, eq=False, slots=False)

    @property
    def local(self) -> bool:
        """Whether a synapse needs its own neurons and a broadcast signal only."""
        return self.facing == "local"

    @property
    def options(self):
        """Names of the options with their defaults; ``inspect.Parameter.empty`` for none."""
        # the first two are the network and the generator of random numbers
        _, _, *options = inspect.signature(self.recursion).parameters.values()
        return {option.name: option.default for option in options}

    def with_options(self, options):
        """The rule as it is described with its options.

        Raises
        ------
        ValueError
            An option that is unknown or missing.
        """
        self._check_names(options)
        return self if self.varies is None else evolve(self, **self.varies(**options))

    def at_work(self, network, rng, **options) -> Recursion:
        """The recursion for a network.

        Raises
        ------
        ValueError
            An unknown option, a value out of range, or a network to which the rule does not apply.
        """
        self._check_names(options)
        self._check_network(network)
        return self.recursion(network, rng, **options)

    def refusal(self, network, reason):
        """The error of a rule that does not apply to a network."""
        units = f"a network of '{network.cell.name}' units"
        return RuleDoesNotApply(f"rule '{self.name}' does not apply to {units}: {reason}")

    def _check_network(self, network):
        if self.cells is not None and network.cell.name not in self.cells:
            known = ", ".join(f"'{name}'" for name in self.cells)
            raise self.refusal(network, f"{self.reason}; it is for {known}")
        longest = network.delay_rec[network.mask_rec].max(initial=0)
        if self.delays != "any" and longest:
            raise self.refusal(
                network, f"'delay_rec' goes up to {longest:g}; it needs recurrent delays of 0"
            )
        delays = np.unique(network.delay_in[network.mask_in])
        if self.delays == "single" and len(delays) > 1:
            raise self.refusal(
                network, f"'delay_in' goes from {delays[0]:g} to {delays[-1]:g}; it needs one value"
            )

    def _check_names(self, options):
        for option in options:
            if option not in self.options:
                known = ", ".join(self.options)
                remedy = f"its options are {known}" if known else "it has no options"
                raise ValueError(
                    f"rule '{self.name}' does not know the option '{option}'; {remedy}"
                )
        for option, default in self.options.items():
            if default is inspect.Parameter.empty and option not in options:
                raise ValueError(
                    f"rule '{self.name}' needs the option '{option}': {self.name}({option}=…)"
                )


def added(total, gradient):
    """The sum of two gradients; either may be None or empty."""
    if not total or not gradient:
        return total or gradient or {}
    return {name: total[name] + gradient[name] for name in total}


def filtered(traces, decay, values):
    """Low-pass filtered values of all blocks, â ← decay â + value; without a trace yet â is 0."""
    return {name: decay * traces.get(name, 0.0) + value for name, value in values.items()}


def option(check: Callable, *arguments: Any, default: Any = NOTHING, **settings: Any) -> Any:
    """The field of an option of a rule, which keeps what a check of `brian_eprop.checks` returns.

    Messages call it "rule 'tbptt': 'horizon'".
    """

    def validator(recursion, attribute, value):
        name = f"rule '{recursion.rule.name}': '{attribute.name}'"
        keep(recursion, attribute, check(name, value, *arguments, **settings))

    return field(default=default, validator=validator)
