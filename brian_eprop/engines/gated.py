"""Code that runs over a whole group, but only in the steps in which a flag is up.

Brian2 has no code object with a condition outside the loop: an update of all weights once a
trial would pass over all synapses at every step. The template here is Brian2's state update
with an ``if`` around the loop. This module is the only one that derives templates.
"""

from functools import cache

from brian2.devices.device import get_device

from .code import LearningCode

TEMPLATES = {".py_": "numpy", ".pyx": "cython", ".cpp": "cpp"}


@cache
def with_own_templates(codeobj_class):
    """The code object class of a target that also knows the templates of this package."""
    templater = codeobj_class.templater
    folder = TEMPLATES[templater.extension]
    derived = templater.derive("brian_eprop.engines", templates_dir=f"templates/{folder}")
    return type(f"Extended{codeobj_class.__name__}", (codeobj_class,), {"templater": derived})


class GatedCode(LearningCode):
    """Runs ``code`` for all elements of ``group`` in the steps in which ``gate`` is not 0.

    Parameters
    ----------
    group : Group
    code : str
        Abstract code.
    gate : str
        A shared variable of the group.
    moment : Moment
    name : str
    """

    def __init__(self, group, code, gate, moment, name):
        super().__init__(
            group,
            "gated",
            code=code,
            clock=group.clock,
            when=moment.when,
            order=moment.order,
            name=name,
            check_units=False,
            needed_variables=[gate],
            template_kwds={"gate": group.variables[gate]},
            # A trial ends for refractory neurons too.
            override_conditional_write=["not_refractory"],
        )

    def before_run(self, run_namespace):
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        super().before_run(run_namespace)
