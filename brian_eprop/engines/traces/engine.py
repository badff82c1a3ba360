"""How a learner's synapses and feedback are made for learning with traces."""

from ... import schedule
from ...calculus.arrivals import arrivals
from ...calculus.derivatives import NoDerivativeError
from ...calculus.one_step import one_step, parent_group, symbol
from ...calculus.statements import printed
from ...names import internal
from ..code import see_new_variables, sum_over_synapses
from .eligibility import of_neurons, of_readout
from .population import Population


class Traces:
    """Learning by eligibility traces that are advanced in every step.

    Parameters
    ----------
    learner : Learner
    """

    def __init__(self, learner):
        self.learner = learner

    def population(self, group):
        """The group as one that has coefficients and a learning signal."""
        return Population(group, self.learner.rule)

    def onto_neurons(self, target, on_pre, weight, names, synaptic, timing):
        """Plan synapses onto a population."""
        population = self.learner.population(parent_group(target))
        eligibility = of_neurons(
            self.learner,
            *population.linearize(on_pre, weight, names, synaptic),
            early=timing.early,
            uniform_delay=timing.unconditional,
            regularized=bool(self.learner.regularizers),
        )
        see_new_variables(target)
        return eligibility

    def onto_readout(self, target, on_pre, weight, names, timing):
        """Plan synapses onto the readout."""
        effect = arrivals(on_pre, weight, target, one_step(target, names))["y"]
        if symbol(weight) in effect.free_symbols:
            raise NoDerivativeError(
                f"on_pre = '{on_pre}': the output must be proportional to the weight '{weight}'"
            )
        return of_readout(self.learner, effect, uniform_delay=timing.unconditional)

    def send_back(self, eligibility, population, weight):
        """Let the error flow backwards along synapses onto the readout."""
        signal = population.add_signal(internal("L", str(len(population.signals))))
        expression = f"{weight}*({printed(eligibility.effect)})*error_post"
        sum_over_synapses(eligibility.synapses, expression, signal, "pre", schedule.FEEDBACK)

    def send_back_dense(self, synapses, population):
        """Let the error flow to a population along feedback weights of their own."""
        signal = population.add_signal(internal("L", str(len(population.signals))))
        sum_over_synapses(synapses, "B*error_pre", signal, "post", schedule.FEEDBACK)

    @property
    def followed_synapses(self):
        """Plain synapses along which errors flow back: none."""
        return ()

    def used_later(self):
        """Variables of synapses that are read when a window has ended: none."""
        return ()

    def follow(self, reading, reader):
        """Raise an error unless traces follow all that happens in the network that runs.

        Parameters
        ----------
        reading : NetworkReading
        reader : NetworkReader
        """
        for group, stages in reading.stages.items():
            self.learner.populations[group].follow(stages, reading.position, reader)
        reading.check_paths(crosses=False)

    def reaches(self, population):
        """Whether the error of the readout has an effect on a population."""
        return bool(population.signals)
