"""A user's script, run up to its first run with a learner, which is checked instead."""

import runpy
import sys
from pathlib import Path

from brian2 import Network
from brian2.core.base import BrianObjectException
from brian2.core.namespace import get_local_namespace

from ..readout import LeakyReadout
from .own_network import check_network


class _Checked(BaseException):
    """Leaves the script: what comes after the run is of no interest."""

    def __init__(self, found):
        self.found = found


def check_script(path, synapses=20, seed=0):
    """Run a script, and check the learner of its first run that has one.

    Parameters
    ----------
    path : str or Path
        Is run as ``__main__``; what it does before that run, it does.
    synapses, seed : int
        As for :meth:`Learner.check`.

    Returns
    -------
    NetworkCheck

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; or its runs contain no learner.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    run, arguments, folders = Network.run, sys.argv, list(sys.path)

    def checked(network, duration, *args, namespace=None, level=0, **kwds):
        readouts = (obj for obj in network.sorted_objects if isinstance(obj, LeakyReadout))
        learner = next((obj.learner for obj in readouts if obj.learner is not None), None)
        if learner is None:
            names = get_local_namespace(level=level + 1) if namespace is None else namespace
            return run(network, duration, *args, namespace=names, **kwds)
        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        length = duration if learner.trial is None else None
        found = check_network(learner, length, network, synapses, seed, namespace, level)
        raise _Checked(found)

    Network.run = checked
    sys.argv, sys.path = [str(path)], [str(path.resolve().parent), *folders]
    try:
        runpy.run_path(str(path), run_name="__main__")
    except _Checked as left:
        return left.found
    except BrianObjectException as error:
        raise error.__cause__ from None
    finally:
        Network.run, sys.argv, sys.path = run, arguments, folders
    raise ValueError(f"{path}: no run of it has a Learner; there is nothing to check")
