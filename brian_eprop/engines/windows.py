"""Windows of the engine ``credit``: how much of the past is kept, and played backwards at once."""

from ..brian.step_flags import EPISODE
from ..memory import check_memory

#: Longest trial, in steps, whose past is kept as a whole at order 1.
WHOLE = 5000
#: Steps of a window, where the past is not kept as a whole.
SEGMENT = 1000
#: What makes windows whole trials, in messages.
WHOLE_TRIALS = "give the learner reset_every, and an update_every that is a multiple of it"
#: The same at order 1, where long trials are cut into windows.
SHORT_TRIALS = (
    f"give the learner reset_every, of at most {WHOLE} steps, and an update_every that is a "
    "multiple of it"
)


def window_of(learner):
    """The longest window of a learner.

    Parameters
    ----------
    learner : Learner

    Returns
    -------
    steps : int
    carries : bool
        Windows may begin within a trial; what earlier arrivals have left behind is carried
        along per synapse.

    Raises
    ------
    ValueError
        If credit would have to flow back further than that.
    """
    order, trial, interval = learner.rule.order, learner.trial, learner.interval
    if EPISODE in (trial, interval):
        raise ValueError(
            f"Learner.reset_every = {trial!r}, update_every = {interval!r}: credit flows back "
            "from the end of windows of a known length; choose EProp(engine='traces') for "
            "episodes that end when they do"
        )
    whole = trial is not None and (interval is None or interval % trial == 0)
    if order > 1 and not whole:
        raise ValueError(
            f"EProp.order = {order}: credit flows back to the beginning of a trial, so that "
            "trials must be reset, and updates must not be more frequent: "
            f"{WHOLE_TRIALS}; or choose order=1, whose windows may be shorter"
        )
    if learner.trainable and not whole:
        raise ValueError(
            f"Learner.trainable = {list(learner.trainable)}: the gradient of a parameter is "
            f"that of whole trials; {WHOLE_TRIALS}"
        )
    at_once = order > 1 or learner.trainable
    if whole and (at_once or trial <= WHOLE):
        return trial, False
    if learner.readout.rewarded:
        raise ValueError(
            f"'{learner.readout.name}' has rewards, which come after what they are for, so that "
            f"credit flows back to the beginning of a trial: {SHORT_TRIALS}; or choose "
            "EProp(engine='traces')"
        )
    return min([SEGMENT, *(steps for steps in (trial, interval) if steps)]), True


def check_room(learner, window, kept, matrices):
    """Raise MemoryError unless there is room for the past, and for weights as whole matrices.

    Parameters
    ----------
    learner : Learner
    window : int
        Steps.
    kept, matrices : int
        Bytes.
    """
    learning = f"learning with order = {learner.rule.order}"
    keeps = f"{learning} keeps the past of"
    if kept <= matrices:
        what = (
            f"{learning} multiplies by weights as matrices of all pairs of neurons, which with the "
            "past of a trial take, besides the weights,"
        )
        remedy = "let fewer than half of the pairs be connected, or choose order=1"
    elif learner.engine.carries:
        what = f"{keeps} {window} steps, which takes"
        remedy = "make updates more frequent (update_every); or let fewer neurons learn"
    else:
        what = f"{keeps} a trial of {window} steps, which takes"
        remedy = (
            "make trials shorter (reset_every), or choose order=1 with updates within the trial, "
            "whose windows are short; or let fewer neurons learn"
        )
    check_memory(kept + matrices, what, remedy)
