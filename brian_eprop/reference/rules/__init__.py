"""Learning rules, one module each.

A module of this package that defines ``RULE`` is registered by being here.
"""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["RULES", "rule_named"]

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]

#: name → Rule
RULES = {module.RULE.name: module.RULE for module in _modules}


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
