"""Rules that keep a part of e-prop's trace, or another error: one file for each."""

from typing import Any

from ..rule import Rule
from .mdgl import MDGL
from .ostl import OSTL
from .ottt import OTTT
from .rflo import RFLO
from .superspike import SuperSpike

#: By name, the rules that a file of a network may hold besides e-prop.
RULES = {cls.__name__: cls for cls in (MDGL, OSTL, OTTT, RFLO, SuperSpike)}

#: Why rules of the reference are no rules of the engines, by their names there.
IN_REFERENCE_ONLY = {
    "decolle": "it is OTTT() with a readout of the layer's own, whose weights are fixed and random "
    "and whose tau is far below dt",
    "modprop": "its credit goes back with one constant slope for all steps, which neurons with "
    "several states do not have",
    "kernl": "it learns a kernel from noise on every state of every neuron, which would change "
    "what the network computes",
    "eprop3": "it learns to predict derivatives from the states of all neurons, a dense regression "
    "besides the network",
}


def check_rule(name: str, rule: Any) -> None:
    """Raise TypeError for what is no rule; for names of rules with what there is instead.

    Parameters
    ----------
    name : str
        Of the argument, in the message.
    rule : object
    """
    if isinstance(rule, Rule):
        return
    known = {cls.__name__.lower(): cls.__name__ for cls in RULES.values()}
    remedy = "give EProp(order=1), or another rule"
    if isinstance(rule, str) and rule.lower() in known:
        remedy = f"give the rule itself, {known[rule.lower()]}()"
    elif isinstance(rule, str) and rule.lower() in IN_REFERENCE_ONLY:
        remedy = (
            f"{IN_REFERENCE_ONLY[rule.lower()]}; brian_eprop.rule_study compares it in your network"
        )
    raise TypeError(f"{name} = {rule!r} is not a rule that runs in Brian2: {remedy}")


__all__ = ["MDGL", "OSTL", "OTTT", "RFLO", "RULES", "SuperSpike", "check_rule"]
