"""The largest output of a readout, and the sum that makes a softmax of all outputs."""

from brian2.devices.device import get_device

from .code import LearningCode
from .gated import with_own_templates


class SoftmaxNorm(LearningCode):
    """Sets shared variables of a group, ``__y_max`` and ``__softmax_norm``, in every step.

    ::

        y_max = max_k y_k,     softmax_norm = Σ_k exp(y_k − y_max)

    No exponential is above 1, whatever the outputs are; log-sum-exp is
    ``log(__softmax_norm) + __y_max``. Brian2 has no maximum over the neurons of a group.

    Parameters
    ----------
    group : Group
        With these variables and ``y``.
    moment : Moment
    """

    def __init__(self, group, moment):
        used = {"of_y": "y", "of_largest": "__y_max", "of_norm": "__softmax_norm"}
        super().__init__(
            group,
            "softmax",
            clock=group.clock,
            when=moment.when,
            order=moment.order,
            name=f"{group.name}_softmax",
            needed_variables=list(used.values()),
            template_kwds={role: group.variables[name] for role, name in used.items()},
        )
        group.contained_objects.append(self)

    def before_run(self, run_namespace):
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        super().before_run(run_namespace)
