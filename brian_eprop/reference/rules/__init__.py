"""Learning rules, a module for each family of them.

Every recursion with a :class:`~brian_eprop.reference.rule.Rule` in a module of this package is
registered by being here.
"""

from __future__ import annotations

import importlib
import pkgutil

from ...checks import one_of
from ..rule import Recursion

__all__ = ["RULES", "rule_named"]

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]

_members = (member for module in _modules for member in vars(module).values())
_recursions = (m for m in _members if isinstance(m, type) and issubclass(m, Recursion))
_rules = {r.rule.name: r.rule for r in _recursions if hasattr(r, "rule")}
#: name → Rule
RULES = dict(sorted(_rules.items()))


def rule_named(name):
    """The rule of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    return RULES[one_of("rule", name, RULES)]
