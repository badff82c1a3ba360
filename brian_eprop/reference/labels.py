"""Rules written as text: a name, or a name with options like a call."""

from __future__ import annotations

import ast
import math

from .rules import RULES, rule_named

__all__ = ["described_rule", "example_rules", "parse_rule", "rule_label"]

FEEDBACK = ("symmetric", "random", "adaptive")


def parse_rule(text):
    """Name and options of a rule written like a call: ``ok(rank=4)``, ``eprop(order=inf)``.

    Rules that use feedback weights have one option more, ``feedback``: ``symmetric``, or
    ``random`` and ``adaptive``, which differ in training only.

    Returns
    -------
    name : str
    options : dict
    feedback : str or None

    Raises
    ------
    ValueError
        If the text is not of that form, or names no rule.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            name, options = tree.id, {}
        else:
            name = tree.func.id
            if tree.args:
                raise ValueError
            options = {keyword.arg: _literal(keyword.value) for keyword in tree.keywords}
    except (SyntaxError, ValueError, AttributeError):
        raise ValueError(
            f"'{text}' is not a rule; write a name, or a name with options like "
            "'eprop(order=2, truncation=horizon)'"
        ) from None
    rule_named(name)
    feedback = options.pop("feedback", None)
    if feedback is not None:
        _check_feedback(name, feedback)
    return name, options, feedback


def _check_feedback(name, feedback):
    if not RULES[name].uses_feedback:
        raise ValueError(f"rule '{name}' has no feedback weights; leave the option 'feedback' away")
    if feedback not in FEEDBACK:
        raise ValueError(
            f"rule '{name}': 'feedback' is '{feedback}'; give one of {', '.join(FEEDBACK)}"
        )


def _literal(node):
    if isinstance(node, ast.Name):
        return math.inf if node.id == "inf" else node.id
    return ast.literal_eval(node)


def example_rules():
    """Every registered rule with the options of its `examples`, as text.

    Rules with feedback weights get symmetric ones, so that they are compared by what else they
    leave out; e-prop comes with random and adaptive feedback too.
    """
    labels = []
    for name, rule in RULES.items():
        feedback = "symmetric" if rule.uses_feedback else None
        labels += [rule_label(name, options, feedback) for options in rule.examples]
    return [*labels, "eprop(feedback=random)", "eprop(feedback=adaptive)"]


def described_rule(label):
    """The rule of a label, as it is with its options."""
    name, options, _ = parse_rule(label)
    return RULES[name].with_options(options)


def rule_label(name, options, feedback=None):
    """The text that `parse_rule` reads."""
    options = options | ({} if feedback is None else {"feedback": feedback})
    given = ", ".join(f"{option}={value}" for option, value in options.items())
    return f"{name}({given})" if given else name
