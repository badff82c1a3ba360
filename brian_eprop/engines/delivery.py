"""Spikes that go straight to their synapses, where there is no delay (C++ standalone).

Brian2 pushes each synapse of each spike through a queue, and runs the synapses' code over
what it finds there. Without a delay the queue holds nothing: the template ``deliver`` runs the
same code over the synapses of each spike, in the same order, in a loop that a compiler
can vectorize where the targets of a neuron are consecutive.
"""

from brian2 import Synapses
from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject
from brian2.devices.device import get_device
from brian2.groups.group import CodeRunner
from brian2.synapses.synapses import SynapticPathway

from .gated import with_own_templates


class DirectPathway(SynapticPathway):
    """A presynaptic pathway without delay, and in C++ standalone programs without a queue.

    Elsewhere it is Brian2's. A program ends with an error if a delay was set after all.
    """

    def create_code_objects(self, run_namespace):
        codeobj_class = get_device().code_object_class()
        if codeobj_class is not CPPStandaloneCodeObject:
            super().create_code_objects(run_namespace)
            return
        self.template = "deliver"
        self.codeobj_class = with_own_templates(codeobj_class)
        self.needed_variables = [self.eventspace_name]
        self.template_kwds = {
            "synapses": self.synapses,
            "events": self.source.variables[self.eventspace_name],
        }
        # Not Brian2's method, which creates the queue
        CodeRunner.create_code_objects(self, run_namespace)


class DirectSynapses(Synapses):
    """Synapses whose presynaptic pathways are direct if they are created with ``delay=0*ms``."""

    def _add_updater(self, code, prepost, objname=None, delay=None, event="spike"):
        objname = super()._add_updater(code, prepost, objname, delay, event)
        if prepost == "pre" and delay is not None and float(delay) == 0:
            # Brian2 names the class of its pathways in the middle of this method.
            getattr(self, objname).__class__ = DirectPathway
        return objname
