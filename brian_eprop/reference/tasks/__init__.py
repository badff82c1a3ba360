"""Tasks with which learning rules for recurrent networks are compared, one module each.

A module of this package that defines ``TASK`` is registered by being here.
"""

from __future__ import annotations

import importlib
import pkgutil

from .task import Trials

__all__ = ["TASKS", "Trials"]

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]

#: name → class of the task
TASKS = {module.TASK.name: module.TASK for module in _modules if hasattr(module, "TASK")}
