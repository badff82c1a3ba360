"""Code that runs for every synapse in every step."""

from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject
from brian2.devices.device import get_device

from ..code import LearningCode
from ..gated import with_own_templates


class EverySynapse(LearningCode):
    """Abstract code for all of a projection, in each step.

    Brian2's state update would look up the neurons of each synapse. In C++ standalone programs
    synapses onto consecutive neurons are passed over without, in a loop that a compiler can
    vectorize.
    """

    def __init__(self, synapses, code, moment, name):
        super().__init__(
            synapses,
            "stateupdate",
            code=code,
            clock=synapses.clock,
            when=moment.when,
            order=moment.order,
            name=name,
            check_units=False,
            template_kwds={"synapses": synapses},
        )

    def before_run(self, run_namespace):
        """Choose the template of the present target."""
        target = get_device().code_object_class()
        standalone = target is CPPStandaloneCodeObject
        self.template = "every_synapse" if standalone else "stateupdate"
        self.codeobj_class = with_own_templates(target) if standalone else None
        super().before_run(run_namespace)
