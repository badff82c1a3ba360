"""The largest output of a readout, and the sum that makes a softmax of all outputs."""

from brian2.devices.device import get_device

from .code import LearningCode
from .gated import with_own_templates


class SoftmaxNorm(LearningCode):
    """Sets the shared variables of a group ``y_max`` and ``softmax_norm`` in every step.

    ::

        y_max = max_k y_k,     softmax_norm = Σ_k exp(y_k − y_max)

    No exponential is above 1, whatever the outputs are; log-sum-exp is
    ``log(softmax_norm) + y_max``. Brian2 has no maximum over the neurons of a group.

    Parameters
    ----------
    group : Group
        With the variable ``y``.
    moment : Moment
    """

    def __init__(self, group, moment):
        names = ("y", "y_max", "softmax_norm")
        super().__init__(
            group,
            "softmax",
            clock=group.clock,
            when=moment.when,
            order=moment.order,
            name=f"{group.name}_softmax",
            needed_variables=list(names),
            template_kwds={f"of_{name}": group.variables[name] for name in names},
        )
        group.contained_objects.append(self)

    def before_run(self, run_namespace):
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        super().before_run(run_namespace)
