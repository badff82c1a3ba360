"""The trials of a batch, spread over processes of Python, each of which computes a part at a time.

Which parts there are does not depend on the number of processes; see :mod:`.results`.
"""

import functools
import pickle
import signal
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

import cloudpickle
from attrs import evolve
from brian2 import get_logger, prefs, set_device
from joblib import Parallel, delayed

from ..brian.internals import is_standalone, reset_device
from ..checks import is_whole, whole_number
from .results import Joined, Simulation, as_gradients, parts
from .validation import checked_threads

logger = get_logger(__name__)


def processes(count, **options):
    """So many processes of joblib's present backend : joblib.Parallel with these options.

    They leave Ctrl-C and SIGTERM to this process. A terminal sends them to all, and a process
    that ends while it waits for work takes what the others compute with it.
    """
    return Parallel(n_jobs=count, initializer=_ignore_signals, **options)


def _ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def checked_workers(count):
    """A number of processes, or −1 for all that there are : int; ValueError for another one."""
    if is_whole(count) and count == -1:
        return count
    return whole_number("workers", count, why="or -1 for all that there are")


class Workers:
    """Processes that run the trials of a network; to be used in a ``with`` statement.

    Parameters
    ----------
    network : RecurrentNetwork
        Its present weights are used in every call.
    count : int
        1: this process does it. More: so many processes of joblib's present backend, which is
        ``loky`` if none was chosen with :func:`joblib.parallel_config`; −1: all that it has.
    threads : int
        If this process does it: compiled programs that compute at once.

    Raises
    ------
    ValueError
        If the count is neither −1 nor an integer ≥ 1; for threads as in `checked_threads`, and
        for several of both.
    """

    def __init__(self, network, count=1, threads=1):
        self.network, self.threads = network, checked_threads(threads)
        self.count = checked_workers(count)
        if self.count != 1 and self.threads > 1:
            raise ValueError(
                f"workers = {count} and threads = {threads} both divide a batch; leave one of "
                "them 1: threads = 1 on several machines, workers = 1 on one"
            )

    def __enter__(self):
        self._open = ExitStack()
        if self.count != 1:
            # joblib would hash larger arrays and write them to files, in every batch anew
            self._parallel = self._open.enter_context(processes(self.count, max_nbytes=None))
            self._description = cloudpickle.dumps(
                (type(self.network).from_description, self.network.description)
            )
        return self

    def __exit__(self, *exception):
        return self._open.__exit__(*exception)

    def gradients(self, inputs, targets, learning_window=None):
        """As :meth:`RecurrentNetwork.gradients` of a batch, without learning signals."""
        cut = parts(len(inputs))
        if self.count == 1 or len(cut) == 1:
            computed = self.network._sums(inputs, targets, learning_window, self.threads)
        else:
            self.network.prepare(*inputs.shape[:2], learning_window)
            arguments = [(inputs[part], targets[part], learning_window) for part in cut]
            computed = self._joined("_sums", cut, arguments)
        return as_gradients(computed, None, batched=True)

    def simulate(self, inputs):
        """As :meth:`RecurrentNetwork.simulate` of a batch."""
        cut = parts(len(inputs))
        if self.count == 1 or len(cut) == 1:
            return self.network.simulate(inputs, self.threads)
        self.network.prepare(*inputs.shape[:2], learning=False)
        return Simulation(**self._joined("_courses", cut, [(inputs[part],) for part in cut]))

    def _joined(self, method, cut, arguments):
        """The results of a method of the network for each part, put together."""
        state = evolve(self.network.state, moments={})
        device = is_standalone(), prefs.codegen.target, prefs.core.default_float_dtype
        call = delayed(_call)
        tasks = [call(self._description, state, device, method, a) for a in arguments]
        try:
            found = self._parallel(tasks)
        except Exception as error:
            if not _died(error):
                raise
            found = [self._again(task, part) for task, part in zip(tasks, cut, strict=True)]
        whole = Joined()
        for part in found:
            whole.add(part)
        return whole.results()

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
