"""Code that is not part of a time step: it runs in every step of the way back."""

from brian2.codegen.codeobject import create_runner_codeobj
from brian2.devices.device import get_device

from ..code import unhidden
from ..gated import with_own_templates


class Player:
    """A piece of code, and the template that runs it for one step of the past.

    Parameters
    ----------
    owner : Group
        Whose variables the code uses.
    template : str
    code : str
        Abstract code.
    name : str
    needed : iterable of str
        Variables of the owner that the template uses.
    **template_kwds
        What else the template asks for.
    """

    def __init__(self, owner, template, code, name, needed=(), **template_kwds):
        self.owner, self.template, self.code, self.name = owner, template, code, name
        self.needed, self.template_kwds = list(needed), template_kwds

    def code_object(self, run_namespace):
        """Generate and compile the code for the present device and target."""
        made = create_runner_codeobj(
            self.owner,
            self.code,
            self.template,
            unhidden(run_namespace, self.owner),
            user_code="",
            name=f"{self.name}_codeobject*",
            check_units=False,
            needed_variables=self.needed,
            template_kwds=self.template_kwds,
            override_conditional_write=["not_refractory"],
            codeobj_class=with_own_templates(get_device().code_object_class()),
        )
        return made
