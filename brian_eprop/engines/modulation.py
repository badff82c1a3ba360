"""One hop in the engine ``traces``: what a trace does to other neurons in the next step.

Forwards in time the effect of a synapse i → j on another neuron k needs a number for each three
of them. A product of two filtered factors needs one for each neuron instead (Liu et al. 2021, PNAS
118(51) e2111821118, and the causal form of the authors' program):

    ψ̄_k ← κ ψ̄_k + (1 − κ) c_k · D_k b        the slope of k, from an arrival to a spike
    M_j  = Σ_k m_kj L_k ψ̄_k                   along the synapses j → k
    grad_ji += M_j F_κ(e_ji)^{t−1}

with m_kj the weights of these synapses, or another variable of theirs. In the first step of a trial
nothing has arrived from other neurons, and the slope is 0.
"""

import numpy as np
from attrs import define
from brian2 import NeuronGroup

from ..brian import schedule
from ..brian.code import declare, internal, run_code, see_target, sum_over_synapses
from ..brian.internals import parent_group
from ..calculus.printing import printed

#: The shared variables of the readout that the slopes are filtered with.
SHARED = ("__kappa", "__trial_begins")


@define(eq=False)
class _Way:
    """Synapses along which a modulation may come back.

    Attributes
    ----------
    weight : str
        The variable of the synapses that is m.
    activity : str
        L ψ̄ of the target; empty if there is none.
    refusal : str
        Why there is none.
    """

    weight: str
    activity: str
    refusal: str
    synapses: object = None

    def refuse(self, why):
        """Raise the error of synapses along which no modulation can come back."""
        raise ValueError(
            f"MDGL goes back along synapses from neurons that learn, but spikes of "
            f"'{self.synapses.name}' {why}: let them arrive in the slot 'synapses', without delay, "
            "and with the same effect for each unit of weight"
        )


class Modulation:
    """The modulations M of the populations of a learner.

    Parameters
    ----------
    learner : Learner
    """

    def __init__(self, learner):
        self.learner, self.totals = learner, {}
        self.waiting, self.linked = [], []

    def begin(self, group):
        """Give a group its M, which is 0 until synapses of its own send one back."""
        declare(group, "__modulation")
        self.learner.share(group, *SHARED)
        name = f"{group.name}_modulation"
        self.totals[group] = run_code(group, "__modulation = 0", schedule.MODULATION, name), []

    def way(self, on_pre, linearization, effects, timing):
        """The slope of a population, for the arrivals of one projection."""
        group, source = parent_group(on_pre.target), parent_group(on_pre.source)
        entries, weight = linearization.coefficients, self.learner.rule.modulation or on_pre.weight
        refusals = {
            "arrive before the threshold of the step": timing.early,
            "do not act alike on all neurons": linearization.arrivals.keys() - effects.keys(),
        }
        refusal = next((text for text, applies in refusals.items() if applies), "")
        if refusal or not isinstance(source, NeuronGroup):
            return _Way(weight, "", refusal)
        terms = [
            f"({printed(entries.c[row])})*({printed(entry)})*({printed(effects[column])})"
            for column, rows in entries.D.items()
            for row, entry in rows.items()
            if row in entries.c
        ]
        number = str(sum(name.startswith("__slope") for name in group.variables))
        slope, activity = internal("slope", number), internal("activity", number)
        for name in (slope, activity):
            declare(group, name)
        code = (
            f"{slope} = (1 - __trial_begins)*(__kappa*{slope} + "
            f"(1 - __kappa)*({' + '.join(terms) or '0'}))\n{activity} = L*{slope}"
        )
        run_code(group, code, schedule.SLOPE, f"{group.name}_slope_{number}")
        return _Way(weight, activity, "")

    def install(self, way, synapses):
        """Let M come back along synapses, now or when their source learns."""
        way.synapses = synapses
        if way.weight not in synapses.variables:
            raise ValueError(
                f"MDGL.modulation = '{way.weight}' is no variable of synapses '{synapses.name}'; "
                f"declare it in their model, for example '{way.weight} : 1 (constant)'"
            )
        self.waiting.append(way)
        for each in list(self.waiting):
            source = parent_group(each.synapses.source)
            if source not in self.totals:
                continue
            self.waiting.remove(each)
            if each.refusal:
                each.refuse(each.refusal)
            self.linked.append(each)
            runner, summands = self.totals[source]
            name = internal("M", str(len(summands)))
            declare(source, name)
            summands.append(name)
            expression = f"{each.weight}*{each.activity}_post"
            see_target(each.synapses, expression)
            sum_over_synapses(each.synapses, expression, name, "pre", schedule.MODULATORS)
            runner.abstract_code = f"__modulation = {' + '.join(summands)}"

    def check_delays(self):
        """Raise an error for synapses with delays, along which a modulation comes back."""
        for way in self.linked:
            if way.synapses.timing.without_delay:
                continue
            try:
                delayed = np.any(way.synapses.pre.variables["delay"].get_value())
            except NotImplementedError:
                way.refuse("may have delays, which are not known yet (give delay=0*ms)")
            if delayed:
                way.refuse("have delays")
