"""The trials of a batch, spread over processes.

Given the weights, trials are independent. A batch is cut into calls of equal numbers of trials,
whatever the number of processes, and the gradients of the calls are added in the order of the
trials: the result is the same to the last bit for any number of processes.
"""

import functools
import pickle
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

import cloudpickle
from attrs import evolve
from brian2 import get_logger, prefs, set_device
from joblib import Parallel, delayed

from ..brian.internals import is_standalone, reset_device
from ..checks import is_whole, whole_number
from .results import joined_gradients, joined_simulations

logger = get_logger(__name__)


#: Trials in a call at most: what a call costs besides its trials then hardly counts.
TRIALS_IN_A_CALL = 16


def calls(batch):
    """How a batch is cut: equal slices of at most 16 trials, so that one program serves all.

    Parameters
    ----------
    batch : int

    Returns
    -------
    list of slice
    """
    size = max(n for n in range(1, TRIALS_IN_A_CALL + 1) if batch % n == 0)
    return [slice(start, start + size) for start in range(0, batch, size)]


class Workers:
    """Processes that run the trials of a network; to be used in a ``with`` statement.

    Parameters
    ----------
    network : RecurrentNetwork
        Its present weights are used in every call.
    count : int
        1: this process does it. More: so many processes of joblib's present backend, which is
        ``loky`` if none was chosen with :func:`joblib.parallel_config`; −1: all that it has.

    Raises
    ------
    ValueError
        If the count is neither −1 nor an integer ≥ 1.
    """

    def __init__(self, network, count=1):
        self.network = network
        all_of_them = is_whole(count) and count == -1
        self.count = count if all_of_them else whole_number("workers", count)

    def __enter__(self):
        self._open = ExitStack()
        if self.count != 1:
            # joblib would hash larger arrays and write them to files, in every batch anew
            self._parallel = self._open.enter_context(Parallel(n_jobs=self.count, max_nbytes=None))
            self._description = cloudpickle.dumps(
                (type(self.network).from_description, self.network.description)
            )
        return self

    def __exit__(self, *exception):
        return self._open.__exit__(*exception)

    def gradients(self, inputs, targets, learning_window=None):
        """As :meth:`RecurrentNetwork.gradients` of a batch, without learning signals."""
        parts = calls(len(inputs))
        arguments = [(inputs[part], targets[part], learning_window) for part in parts]
        return joined_gradients(self._run("_gradients_alone", parts, arguments))

    def simulate(self, inputs):
        """As :meth:`RecurrentNetwork.simulate` of a batch."""
        parts = calls(len(inputs))
        return joined_simulations(self._run("simulate", parts, [(inputs[part],) for part in parts]))

    def _run(self, method, parts, arguments):
        if self.count == 1 or len(parts) == 1:
            return [getattr(self.network, method)(*a) for a in arguments]
        self._prepare(arguments[0])
        state = evolve(self.network.state, moments={})
        device = is_standalone(), prefs.codegen.target, prefs.core.default_float_dtype
        call = delayed(_call)
        tasks = [call(self._description, state, device, method, a) for a in arguments]
        try:
            return self._parallel(tasks)
        except Exception as error:
            if not _died(error):
                raise
            return [self._again(task, part) for task, part in zip(tasks, parts, strict=True)]

    def _prepare(self, arguments):
        """Compile the program once, in this process, before all of them need it."""
        inputs, *more = arguments
        window = more[1] if more else None
        self.network.prepare(*inputs.shape[:2], window, learning=bool(more))

    def _again(self, task, part):
        """One call after the other, to find out which one ends its process."""
        where = f"trials {part.start} to {part.stop - 1} of the batch"
        logger.warn(f"a process died; running {where} again", "died")
        try:
            return self._parallel([task])[0]
        except Exception as error:
            if not _died(error):
                raise
            raise RuntimeError(
                f"the process that ran {where} died, twice: was it killed, or is there too little "
                "memory? Use fewer workers or a smaller batch; the weights are those of the last "
                "complete update"
            ) from error


def _died(error):
    # The second is dask's, which may not be installed.
    return isinstance(error, BrokenProcessPool) or type(error).__name__ == "KilledWorker"


@functools.lru_cache(maxsize=4)
def _network(description):
    """The network of a worker, kept with its compiled programs for the next call."""
    make, described = pickle.loads(description)
    return make(described)


def _call(description, state, device, method, arguments):
    """One call of a method of the network, in a process of the pool."""
    standalone, prefs.codegen.target, prefs.core.default_float_dtype = device
    set_device("cpp_standalone", build_on_run=False) if standalone else set_device("runtime")
    try:
        network = _network(description)
        network.state = state
        return getattr(network, method)(*arguments)
    finally:
        reset_device()
