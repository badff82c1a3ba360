"""The errors that feedback brings to the neurons of a group, summed up in every step.

L_j = Σ_k B_kj error_k, or, where a signal is made of them, error_j = Σ_k B_kj error_k
"""

from ..brian import schedule
from ..brian.code import declare, internal, run_code, sum_over_synapses
from ..calculus.derivatives import NoDerivativeError
from ..calculus.printing import printed
from ..calculus.programs import symbol


class FeedbackSums:
    """The learning signal of a group, or the errors of which a signal makes it.

    Parameters
    ----------
    group : NeuronGroup

    Attributes
    ----------
    summands : list of str
        A variable for each projection along which errors come.
    without_errors : bool
        A signal takes the place of the errors, and is made of none.
    """

    def __init__(self, group):
        self.group, self.summands = group, []
        self.weighed, self.without_errors = "", False
        declare(group, "L")
        self.code = run_code(
            group, "L = 0", schedule.LEARNING_SIGNAL, f"{group.name}_learning_signal"
        )

    @property
    def reach(self):
        """Whether there is a learning signal."""
        return bool(self.summands or self.without_errors)

    def weigh(self, variable, needed):
        """Put the errors into a variable of the group, and not into L."""
        self.weighed, self.without_errors = variable, not needed
        self._sum_up()

    def along(self, synapses, weight, effect):
        """Let errors come backwards along synapses onto the readout.

        Parameters
        ----------
        synapses : Synapses
        weight : str
            What takes the place of the weight.
        effect : sympy.Expr
            What a spike adds to the output, per weight.
        """
        expression = f"{weight}*({printed(effect)})*error_post"
        sum_over_synapses(synapses, expression, self._add(), "pre", schedule.FEEDBACK)

    def along_dense(self, synapses):
        """Let errors come along feedback weights of their own."""
        sum_over_synapses(synapses, "B*error_pre", self._add(), "post", schedule.FEEDBACK)

    def _add(self):
        name = internal("L", str(len(self.summands)))
        declare(self.group, name)
        self.summands.append(name)
        self._sum_up()
        return name

    def _sum_up(self):
        total = " + ".join(self.summands) or "0"
        if self.weighed:
            self.code.abstract_code = f"{self.weighed} = {total}"
        else:
            self.code.abstract_code = f"L = __signal_scale*({total})"


def constant_effect(pathway):
    """What a spike adds to the output per weight, as the errors of a signal come back along it."""
    effect, on_pre = pathway.effects["y"], pathway.synapses.user_on_pre
    if pathway.in_turn or symbol(pathway.synapses.weight) in effect.free_symbols:
        raise NoDerivativeError(
            f"on_pre = '{on_pre}': Learner.signal is made of errors that come back in every step "
            f"along the weight '{pathway.synapses.weight}', to which the output must be "
            "proportional, whatever the state of the source; choose feedback='random'"
        )
    return effect
