"""Where in Brian2's time step everything happens, and why there.

Brian2 runs a step as start → groups (state update) → thresholds → synapses → resets → end,
and inside a slot by ``order``, then alphabetically by name. Nothing here leaves the order to
the alphabet.
"""

from typing import NamedTuple


class Moment(NamedTuple):
    """Slot and order of an object in Brian2's schedule."""

    when: str
    order: float


def just_before(obj):
    """The last moment before an object runs: Brian2 sorts the objects of a slot by their order."""
    return Moment(obj.when, obj.order - 0.5)


#: Which step of the trial this is: everything else of the step may ask for it. Brian2 itself
#: stores '(constant over dt)' subexpressions in this slot, at the order of their group (0).
CLOCK = Moment("before_start", -3)
#: Trials start from the remembered state before anything of the step happens. Not at the end
#: of the last step, where monitors still want to see it.
TRIAL_START = Moment("before_start", -2)
#: b, where it is the same for all synapses: arrivals use it from the first step on.
ARRIVAL_EFFECT = Moment("before_start", -1)
#: The output before this step's spikes, for a readout that scales its inputs.
OUTPUT_BEFORE_ARRIVALS = Moment("before_synapses", 0)
#: Sums over synapses are there (Brian2 runs them one order before the groups), and no state has
#: been updated: what traces are moved on with, and the pass over synapses that moves them on.
SLOPES_OF_SUMS = Moment("groups", -0.6)
BEFORE_UPDATE = Moment("groups", -0.5)
MOVE_ON = Moment("groups", -0.4)
#: The losses on a group that read its state before the threshold of the step.
LOSS_BEFORE_THRESHOLD = Moment("before_thresholds", 999)
#: ψ, c and whether a neuron fires need the membrane before spikes arrive and before the
#: reset; 1000 leaves room for whatever the user computes in the slot.
AT_THRESHOLD = Moment("before_thresholds", 1000)
#: What the reset is about to do to each neuron, after the arrivals of this step.
BEFORE_RESET = Moment("before_resets", 1000)
#: The gain of the inputs of a readout, after all its inputs have arrived.
OUTPUT_AFTER_ARRIVALS = Moment("after_synapses", 0)
#: Policy and value are there when the slot `before_end` begins, in which an environment acts.
VALUE = Moment("after_resets", 0)
POLICY = Moment("after_resets", 1)

# From here on everything of the step is known: all in the slot `end`, in this order.
SOFTMAX = Moment("end", 0)
ERROR = Moment("end", 1)
#: The losses on a group that read what arrivals and reset have left of its state.
LOSS_AT_END = Moment("end", 1)
#: What follows from the end of an episode.
EPISODE = Moment("end", 2)
FEEDBACK = Moment("end", 2)
LEARNING_SIGNAL = Moment("end", 3)
#: Equations of a signal: what matrices make of the present state, the update, what they make of
#: the new one, L, and what will be needed after a delay.
SUMS_OF_SIGNAL = Moment("end", 3.1)
SIGNAL = Moment("end", 3.2)
SUMS_OF_L = Moment("end", 3.3)
SIGNAL_READ = Moment("end", 3.4)
DELAY_LINES = Moment("end", 3.5)
#: What a neuron tells those whose spikes reach it, before A and D become those of the next step.
SLOPE = Moment("end", 3.6)
MODULATORS = Moment("end", 3.7)
MODULATION = Moment("end", 3.8)
#: A and D carry the eligibility vector from this step to the next: after the reset.
COEFFICIENTS = Moment("end", 4)
#: The trace of a readout's synapses contains the spikes of the present step.
READOUT_TRACES = Moment("end", 4)
#: e^t from s^t, then the gradient, then s^{t+1}, in one pass over the synapses.
TRACES = Moment("end", 5)
DELAY_LINES_OF_TRACES = Moment("end", 5.5)
#: Presynaptic traces are read by that pass: they move on after it.
PRESYNAPTIC_TRACES = Moment("end", 6)
REGULARIZATION = Moment("end", 7)
TRIAL_GRADIENT = Moment("end", 8)
#: A step is kept when all of it is known, and a window replayed when its last step is kept.
RECORD_ERROR = Moment("end", 7)
RECORD_SPIKES = Moment("end", 8)
REPLAY = Moment("end", 9)
CARRY = Moment("end", 10)
OPTIMIZER = Moment("end", 11)
STARTED = Moment("end", 12)

#: Slots in which a monitor sees e_trace, e_bar, L and grad of the step that has just been
#: computed, and eps_* in the value that this e_trace was made from.
MONITOR_TRACES = Moment("after_end", 0)
MONITOR_ELIGIBILITY_VECTOR = Moment("before_end", 0)
