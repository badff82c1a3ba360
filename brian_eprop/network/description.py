"""Description of a recurrent network as plain data that validates itself.

Nothing of Brian2's simulation is here: :mod:`brian_eprop.network.assembly` makes objects from it,
:mod:`brian_eprop.network.training_state` writes it to files.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from attrs import evolve, field, frozen
from brian2 import Quantity, second
from scipy.sparse import issparse

from ..checks import (
    BELOW_1,
    MOST,
    choice,
    keep,
    real,
    suggest,
    time,
    truth,
    whole,
)
from ..engines.history import steps_of
from ..learning.feedback import FEEDBACKS
from ..learning.losses import LOSSES, FiringRateRegularizer
from ..learning.parameters import Trainable, checked_trainable
from ..learning.rule import Rule
from ..learning.rules import check_rule
from .constraining import check_constraints
from .constraints import CONSTRAINTS, MATRICES, Constraint
from .parameters import check_trainable
from .projections import spans
from .structures import checked_structure, fitted, values_of
from .trained_delays import (
    NAMES,
    check_bounds_within,
    check_trained_delays,
    check_within,
    checked_training,
    rounded_delays,
)
from .validation import (
    check_key,
    check_synapses,
    checked_mask,
    checked_quantity,
    entries_of,
)

#: Of a step: what rounding leaves of a multiple of dt.
ROUNDING = 1e-6


@frozen(eq=False, kw_only=True)
class NetworkDescription:
    """A network without its weights: all that its Brian2 objects are made from.

    Parameters are those of :class:`RecurrentNetwork`, but for

    Parameters
    ----------
    populations : sequence of PopulationDescription
    feedback : {"symmetric", "random", "adaptive", "given"}
    """

    _shown_class: ClassVar = "RecurrentNetwork"

    n_in: int = field(validator=whole(1))
    n_out: int = field(validator=whole(1))
    dt: Quantity = field(validator=time())
    tau_out: Quantity = field(validator=time())
    loss: str = field(validator=choice(LOSSES))
    normalize: bool = field(validator=truth())
    average: bool = field(validator=truth())
    feedback: str = field()
    feedback_decay: float = field(validator=real("be in [0, 1)", high=BELOW_1))
    trainable: Trainable = field(factory=dict)
    populations: tuple = field()
    connectivity: Mapping = field(factory=dict)
    trainable_delays: Trainable = field(factory=dict)
    delays: Mapping = field(factory=dict)
    rule: Rule = field()
    regularizers: Sequence[FiringRateRegularizer] = field()
    constraints: Sequence[Constraint] = field(default=())

    @feedback.validator
    def _check_name_of_feedback(self, field, feedback):
        if feedback not in (*FEEDBACKS, "given"):
            raise ValueError(
                f"RecurrentNetwork.feedback = {feedback!r} is not known"
                f"{suggest(feedback, FEEDBACKS)}; choose one of "
                f"{', '.join(map(repr, FEEDBACKS))}, or give an array (n_out, n_rec)"
            )

    @trainable.validator
    def _check_trainable(self, field, trainable):
        if self.feedback_decay and self.feedback != "adaptive":
            raise ValueError(
                f"RecurrentNetwork.feedback_decay = {self.feedback_decay!r} is for "
                "feedback='adaptive' only"
            )
        keep(self, field, MappingProxyType(checked_trainable(trainable)))

    @populations.validator
    def _give_own_values(self, field, populations):
        keep(self, field, tuple(p.with_own_values(self.trainable) for p in populations))

    @connectivity.validator
    def _check_masks(self, field, connectivity):
        for name in connectivity:
            check_key("connectivity", name, MATRICES)
        masks = {name: self._mask(name, connectivity.get(name)) for name in MATRICES}
        keep(self, field, MappingProxyType(masks))

    def _mask(self, name, given):
        """Which synapses a matrix has: an array of booleans, or a sparse one of its synapses."""
        shape = self.shapes[name]
        if issparse(given):
            if given.shape != shape:
                raise ValueError(
                    f"weights or connectivity['{name}'] is a sparse array of shape {given.shape}; "
                    f"it must be {shape} (row = pre, column = post)"
                )
            return checked_structure(name, given)
        mask = np.ones(shape, dtype=bool) if given is None else checked_mask(name, given, shape)
        if given is None and name == "w_rec":
            np.fill_diagonal(mask, False)
        mask.setflags(write=False)
        return mask

    @trainable_delays.validator
    def _check_training_of_delays(self, field, trainings):
        keep(self, field, checked_training(trainings))

    @delays.validator
    def _check_delays(self, field, delays):
        start = {name: 0 * second for name in self.trainable_delays if name not in delays}
        for name, delay in start.items():
            check_within(self, name, f"RecurrentNetwork.delays['{name}']", delay)
        times = {name: self._checked_delay(name, delay) for name, delay in delays.items()}
        keep(self, field, MappingProxyType(times))

    def _checked_delay(self, name, delay):
        check_key("RecurrentNetwork.delays", name, MATRICES)
        where, shape = f"RecurrentNetwork.delays['{name}']", self.shapes[name]
        mask, must = self.connectivity[name], "a time, such as 2*ms"
        if issparse(delay):
            if not issparse(mask):
                raise ValueError(
                    f"{where} is sparse, but weights and connectivity['{name}'] are not; give them "
                    "as sparse arrays too, or the delays as a dense one"
                )
            delay = fitted(where, delay, mask)
            times = delay.data * second
        else:
            remedy = f"give one time, or {shape} of them (row = pre, column = post)"
            shapes = ((), shape)
            if issparse(mask):
                remedy = "give one time, or a csr_array of them in seconds, such as matrix*ms"
                shapes = ((),)
            delay = times = checked_quantity(where, delay, second.dim, must, shapes, remedy)
        steps = np.asarray(times / self.dt)
        wrong = ~np.isfinite(steps) | (steps < 0)
        check_synapses(where, delay, times, wrong, " must be finite and ≥ 0")
        if name in self.trainable_delays:
            check_within(self, name, where, delay)
            return delay
        wrong = np.abs(steps - np.rint(steps)) > ROUNDING
        check_synapses(where, delay, times, wrong, f" is not a multiple of dt = {self.dt!s}")
        return delay

    @rule.validator
    def _check_rule(self, field, rule):
        check_rule("RecurrentNetwork.rule", rule)
        if isinstance(rule.surrogate, Mapping):
            raise ValueError(
                "RecurrentNetwork.rule: EProp.surrogate names groups, but this network makes its "
                "own; give each population its surrogate, as in "
                "neurons=[('lif', 80, {'surrogate': PiecewiseLinear(height=0.3, width=1.0)}), …]"
            )
        models = [population.learning_with(rule) for population in self.populations]
        known = sorted({name for model in models for name in model.reset_path})
        for name in rule.reset_path:
            if name not in known:
                raise ValueError(
                    f"EProp.reset_path names '{name}', which is no variable of the neurons that "
                    f"the reset changes{suggest(name, known)}; there are {', '.join(known)}"
                )
        if rule.engine == "traces" and self.delay_steps("w_out").any():
            raise ValueError(
                f"RecurrentNetwork.delays['w_out'] are up to {self.longest_delay('w_out')!s}, but "
                "traces, and recordings of them, pair the error of a step with the spikes of that "
                "step; choose rule=EProp(engine='credit') and do not record, or no delay here"
            )
        check_trainable(self)
        check_trained_delays(self)

    @regularizers.validator
    def _check_regularizers(self, field, regularizers):
        example = "FiringRateRegularizer(10*Hz, 0.1)"
        name, kind = "RecurrentNetwork.regularizers", FiringRateRegularizer
        keep(self, field, entries_of(name, regularizers, kind, "regularizer", example))

    @constraints.validator
    def _check_constraints(self, field, constraints):
        kinds, names = tuple(CONSTRAINTS.values()), ", ".join(CONSTRAINTS)
        name = "RecurrentNetwork.constraints"
        keep(self, field, entries_of(name, constraints, kinds, "constraint", names))
        check_constraints(self)

    @property
    def n_rec(self):
        return sum(p.count for p in self.populations)

    @property
    def shapes(self):
        """Shape of every weight matrix : dict of str to (rows, columns)."""
        n_in, n_rec, n_out = self.n_in, self.n_rec, self.n_out
        return {
            "w_in": (n_in, n_rec),
            "w_rec": (n_rec, n_rec),
            "w_out": (n_rec, n_out),
            "feedback": (n_out, n_rec),
        }

    def delay_steps(self, name, parameters=MappingProxyType({})):
        """Delay of each synapse of a matrix in time steps : int ndarray.

        Of its shape, or, if it is sparse, (n_synapses,). Of trained delays the present ones, if
        they are among the parameters, else those at the start.
        """
        times = self.delays.get(name, 0 * self.dt)
        if name in self.trainable_delays:
            times = parameters.get(NAMES[name], times)
        times = np.asarray(values_of(times))
        steps = steps_of(times, float(self.dt))
        mask = self.connectivity.get(name)
        return np.broadcast_to(steps, mask.data.shape if issparse(mask) else self.shapes[name])

    def longest_delay(self, name):
        """The longest delay of a matrix : Quantity."""
        return self.delay_steps(name).max(initial=0) * self.dt

    def check_trials(self, trials):
        """Raise an error for trials that are too many, too short for a delay, or teach nothing."""
        check_bounds_within(self, trials)
        for name in self.delays:
            steps = self.delay_steps(name)
            problem = (
                f", but a trial has {trials.steps} steps of {self.dt!s}: its spikes would never "
                "arrive; make delays shorter or trials longer"
            )
            mask = self.connectivity[name]
            late, where = values_of(mask) & (steps >= trials.steps), "RecurrentNetwork.delays"
            check_synapses(f"{where}['{name}']", mask, steps * self.dt, late, problem)
        for name, columns in (("inputs", self.n_in), ("outputs", self.n_out)):
            if trials.total * columns > MOST:
                raise ValueError(
                    f"{trials.count} trials of {trials.steps} steps with {columns} {name} are "
                    f"{trials.total * columns} numbers, more than Brian2 can count ({MOST}); give "
                    "fewer trials at once, or shorter ones"
                )
        if trials.learning:
            self._check_feedback()

    def _check_feedback(self):
        """Raise an error where feedback goes back along no synapse, or to nothing that learns."""
        if self.feedback == "symmetric" and not self.connectivity["w_out"].sum():
            raise ValueError(
                "connectivity['w_out'] has no synapse, along which feedback='symmetric' would go "
                "back: nothing can be learned; connect the readout"
            )
        for k, span in enumerate(spans(self)):
            ends = any(self.connectivity[name][:, span].sum() for name in ("w_in", "w_rec"))
            if self.feedback != "symmetric" and not ends:
                raise ValueError(
                    f"no synapse of connectivity['w_in'] or ['w_rec'] ends on population {k} "
                    f"({self.populations[k].model.name}): its feedback, '{self.feedback}', has "
                    "nothing to teach; connect it, or choose feedback='symmetric'"
                )

    def with_parameters(self, parameters):
        """The same network with other values of its trained parameters, not to be trained.

        Delays are rounded to steps.

        Parameters
        ----------
        parameters : dict of str to Quantity or csr_array
        """
        of_neurons = {n: values for n, values in parameters.items() if n in self.trainable}
        populations = [
            p.with_values({name: values[span] for name, values in of_neurons.items()})
            for span, p in zip(spans(self), self.populations, strict=True)
        ]
        delays = rounded_delays(self, parameters)
        return evolve(
            self, populations=populations, trainable={}, delays=delays, trainable_delays={}
        )
