"""The readout in the backward pass: an adjoint like any other.

Its error is filtered by what is still to come:

    λ_y^t = κ λ_y^{t+1} + g error^t          the credit of a spike that arrives in step t

With rewards an error counts by the advantage of its step, in which TD errors are summed up on
the way: A^t = δ^t + γ A^{t+1}, or δ^t where t + 1 ends the episode.
"""

from typing import ClassVar

from sympy import sympify

from ..brian import schedule
from ..brian.code import declare, internal
from ..brian.internals import add_to
from ..calculus.adjoint import END
from ..calculus.printing import printed
from .backward_pass import row_variable
from .history import Recorder
from .postsynaptic import Receiver


class CreditReadout:
    """The readout of a learner.

    Parameters
    ----------
    readout : LeakyReadout
    engine : Credit
    """

    #: What synapses carry along besides the eligibility vector.
    traces: ClassVar[dict] = {}
    #: A spike changes the output, and the error, of the step in which it arrives.
    acts_at_once = True
    credit_rows = ("credit",)
    #: The readout has nothing but weights to learn.
    parameters = ()

    def __init__(self, readout, engine):
        self.group, self.engine = readout, engine
        recorded = ["error", "td_error", "__continued"] if readout.rewarded else ["error"]
        self.receiver = Receiver(readout, engine, lambda early: 0)
        self.receiver.keep(dict.fromkeys(recorded, END))
        of_rewards = ["__advantage", "__continued"] if readout.rewarded else []
        of_step = [] if engine.learner.rule.filtered else ["__instant_y"]
        carried = ["__carry_y_y", "__credit_filter"] if engine.carries else []
        for variable in ("credit_y", *of_step, *of_rewards, *carried):
            declare(readout, variable, shared=variable == "__credit_filter")
        kept = {name: internal("kept", name) for name in recorded}
        name = f"{readout.name}_recorder"
        code = "__continued = __credit_decay" if readout.rewarded else ""
        recorder = Recorder(engine, readout, code, schedule.RECORD_ERROR, name, kept)
        add_to(readout, recorder)

    def begin(self):
        """Code that runs before the backward pass of a window."""
        code = ["__credit_filter = 1/__kappa"] if self.engine.carries else []
        code.append("credit_y = 0")
        if self.group.rewarded:
            code.append("__advantage = 0")
        if self.engine.carries:
            code.append("__carry_y_y = 1")
        return self.receiver.begin(code)

    def player(self):
        """Code of one step of the backward pass."""
        code = ["__credit_filter = __kappa*__credit_filter"] if self.engine.carries else []
        credit = "__gain*__signal_scale*__past_error"
        if self.group.rewarded:
            credit += "*__advantage"
        if not self.engine.learner.rule.filtered:
            code.append(f"__instant_y = {credit}")
        code.append(f"credit_y = __kappa*credit_y + {credit}")
        if self.group.rewarded:
            # The TD error of the step before becomes known in a step.
            code.append("__advantage = __past_td_error + __past_continued*__advantage")
        if self.engine.carries:
            code.append("__carry_y_y = __kappa*__carry_y_y")
        outputs = list(self.receiver.outputs.values())
        return self.receiver.player("sweep", [*code, *self._put_out(outputs)], outputs)

    @staticmethod
    def _put_out(outputs):
        """Credit of the spikes of a step, for each way in which they act."""
        lines = []
        for output in outputs:
            credit = " + ".join(row_variable(row, "y") for row in output.rows)
            effect = printed(sympify(output.effects["y"]))
            lines.append(f"{output.name} = ({effect})*({credit})")
        return lines
