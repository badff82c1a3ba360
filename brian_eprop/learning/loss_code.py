"""The code of losses: their values and errors, one object per group and moment of the step."""

from ..brian.code import LearningCode, declare, internal
from ..brian.internals import (
    add_to,
    itself,
    parent_group,
    word_substitute,
)
from ..calculus.printing import looked_up_once
from ..engines.contract import Learning
from .neuron_losses import MOMENTS


class LossCode(LearningCode):
    """The losses of a group that read its state at one moment of the step, and their errors.

    Parameters
    ----------
    learner : Learner
    group : NeuronGroup
    when : str
        A key of `MOMENTS`.
    losses : list of Loss

    Attributes
    ----------
    errors : dict of str to str
        The variable that holds ∂ℓ/∂h, by state.
    """

    def __init__(self, learner: Learning, group, when, losses):
        super().__init__(group, "", MOMENTS[when], f"{group.name}_losses_{when}")
        self.learner, self.losses = learner, losses
        learner.share(group, "__counts", "__scored", "__signal_scale", "trial_step")
        states = dict.fromkeys(state for loss in losses for state in loss.states)
        self.errors = {state: internal("error", state, when) for state in states}
        for name in (*self.errors.values(), "loss"):
            if name != "loss" or not getattr(group.variables.get(name), "of_learning", False):
                declare(group, name)
        # Each has names of its own for what it is compared with.
        self.renamed = [
            {name: internal("loss", str(number), name) for name in loss._data}
            for number, loss in enumerate(losses)
        ]
        add_to(group, self)

    def before_run(self, run_namespace):
        """Check what may have changed, and write the code."""
        self.learner.check_complete()
        for loss in self.losses:
            loss._check_times()
            self._check_reached(loss)
        self.abstract_code = self._code()
        data = {
            known: loss._data[name]
            for loss, renamed in zip(self.losses, self.renamed, strict=True)
            for name, known in renamed.items()
        }
        super().before_run({**run_namespace, **data})

    def _code(self):
        # For one loss (v - u(t, i))**2/mV**2 in the steps from 10 to 20 of a trial:
        #
        # _in_0 = int(__trial_step >= 10)*int(__trial_step < 20)
        # _row_0 = __loss_0_given_u(t, i)
        # __error_v_end = __counts*__signal_scale*(_in_0*1.0*(2*(v - _row_0)/mV**2))
        # loss += __scored*__signal_scale*(_in_0*1.0*((v - _row_0)**2/mV**2))
        inside, lines = [""] * len(self.losses), []
        for number, loss in enumerate(self.losses):
            if loss._steps is not None:
                inside[number] = f"_in_{number}*"
                start, stop = loss._steps
                window = f"int(__trial_step >= {start})*int(__trial_step < {stop})"
                lines.append(f"_in_{number} = {window}")

        def total(of_each):
            terms = zip(inside, map(of_each, self.losses), self.renamed, strict=True)
            return " + ".join(
                f"{place}{word_substitute(code, names)}" for place, code, names in terms if code
            )

        first = len(lines)
        for state, error in self.errors.items():
            slopes = total(lambda loss, state=state: loss._slope(state))
            lines.append(f"{error} = __counts*__signal_scale*({slopes})")
        for name in self._trained:
            if slopes := total(lambda loss, name=name: loss._slope(name)):
                lines.append(f"grad_{name} += __counts*__signal_scale*({slopes})")
        values = total(
            lambda loss: "*".join((repr(float(loss.strength)), f"({loss._code})", *loss._seen))
        )
        lines.append(f"loss += __scored*__signal_scale*({values})")
        functions = {known for renamed in self.renamed for known in renamed.values()}
        lines[first:] = looked_up_once("\n".join(lines[first:]), functions)
        return "\n".join(lines)

    @property
    def _trained(self):
        """Names of the trained parameters of the group."""
        return [name for name in self.learner.trainable if f"grad_{name}" in self.group.variables]

    def _check_reached(self, loss):
        """Raise an error for a loss that no trained weight or parameter has an effect on."""
        learner, group = self.learner, itself(self.group)
        crossed = learner.engine.followed_synapses if learner.rule.order > 1 else ()
        reached = (
            self._trained
            or learner.populations[group].driven & set(loss.states)
            or any(parent_group(synapses.target) is group for synapses in crossed)
        )
        if not reached:
            raise ValueError(
                f"{loss._shown}: no trained weight reaches {', '.join(map(repr, loss.states))}, so "
                "that its gradient is 0 throughout: train synapses onto the group that act on it, "
                "TrainableSynapses(..., learner=learner), or a parameter of it; an EProp of higher "
                "order crosses synapses"
            )


def install_losses(learner: Learning, losses) -> dict:
    """Let groups compute the losses on them.

    Returns
    -------
    dict of NeuronGroup to dict of str to LossCode
        By the moment at which they read the state.
    """
    together: dict = {}
    for loss in losses:
        if loss._steps is not None and (
            not isinstance(learner.trial, int) or loss._steps[1] > learner.trial
        ):
            length = f"of {learner.trial} steps" if learner.trial else "without length"
            raise ValueError(
                f"Loss.window = {loss.window!r} is a part of a trial, here {length}: give Learner "
                "a longer reset_every"
            )
        if loss.group.clock.dt_ != learner.readout.clock.dt_:
            raise ValueError(
                f"Loss.group = '{loss.group.name}' runs with dt = {loss.group.clock.dt!s} but "
                f"readout '{learner.readout.name}' with {learner.readout.clock.dt!s}; learning "
                "needs one time step"
            )
        together.setdefault(loss.group, {}).setdefault(loss.when, []).append(loss)
    return {
        group: {when: LossCode(learner, group, when, found) for when, found in moments.items()}
        for group, moments in together.items()
    }
