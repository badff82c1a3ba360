"""The readout on the way back: its error, filtered by what is still to come.

λ_y^t = κ λ_y^{t+1} + g error^t          the credit of a spike that arrives in step t

With rewards an error counts by the advantage of its step, in which TD errors are summed up on
the way: A^t = δ^t + γ A^{t+1}, or δ^t where t + 1 ends the episode.
"""

from typing import ClassVar

from sympy import sympify

from ... import schedule
from ...calculus.adjoint import END
from ...calculus.statements import printed
from ...names import internal
from ..code import declare
from .receiver import Receiver
from .recording import Recorder
from .sweep import row_variable


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
        declare(readout, "credit_y")
        if readout.rewarded:
            declare(readout, "__advantage")
            declare(readout, "__continued")
        if engine.carries:
            declare(readout, "__carry_y_y")
            declare(readout, "__credit_filter", shared=True)
        kept = {name: internal("kept", name) for name in recorded}
        name = f"{readout.name}_recorder"
        code = "__continued = __credit_decay" if readout.rewarded else ""
        recorder = Recorder(engine, readout, code, schedule.RECORD_ERROR, name, kept)
        readout.contained_objects.append(recorder)

    def begin(self):
        """Code that runs before the way back begins."""
        code = ["__credit_filter = 1/__kappa"] if self.engine.carries else []
        code.append("credit_y = 0")
        if self.group.rewarded:
            code.append("__advantage = 0")
        if self.engine.carries:
            code.append("__carry_y_y = 1")
        return self.receiver.begin(code)

    def player(self):
        """Code of one step of the way back."""
        code = ["__credit_filter = __kappa*__credit_filter"] if self.engine.carries else []
        credit = "credit_y = __kappa*credit_y + __gain*__signal_scale"
        if self.group.rewarded:
            # The TD error of the step before becomes known in a step.
            code.append(f"{credit}*__advantage*__past_error")
            code.append("__advantage = __past_td_error + __past_continued*__advantage")
        else:
            code.append(f"{credit}*__past_error")
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
