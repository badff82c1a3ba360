"""Learning rules, a module for each family of them.

Every :class:`~brian_eprop.reference.rule.Rule` of a module of this package is registered by being
here.
"""

from __future__ import annotations

import importlib
import pkgutil

from ..rule import Rule

__all__ = [
    "RULES",
    "rule_named",
]

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]

_rules = (r for module in _modules for r in vars(module).values() if isinstance(r, Rule))
#: name → Rule
RULES = {rule.name: rule for rule in sorted(_rules, key=lambda rule: rule.name)}


def rule_named(name):
    """The rule of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in RULES:
        known = ", ".join(f"'{known}'" for known in RULES)
        raise ValueError(f"unknown rule '{name}'; the known rules are {known}")
    return RULES[name]
