"""A user's script, run up to its first run with a learner, instead of which something else is done.

The script is executed: what it does before that run, it does.
"""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brian2 import BrianObjectException, Network, get_local_namespace

from ..checks import FilePath
from .readout import LeakyReadout


class _Done(BaseException):
    """The exception that ends a script when what was to be done has been done."""

    def __init__(self, result):
        self.result = result


def instead_of_learning(path: FilePath, what: str, do: Callable[..., Any]) -> Any:
    """Run a script, and do something in the place of its first run that has a learner.

    Parameters
    ----------
    path : str or Path
        Is run as ``__main__``.
    what : str
        Is done, in the words of an error: "to check".
    do : callable
        (learner, network, duration, namespace, level) → what is returned. The namespace is that of
        the run; the objects of a magic network are `level` frames up from its caller.

    Returns
    -------
    object

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; or its runs contain no learner.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    run, arguments, folders = Network.run, sys.argv, list(sys.path)

    def instead(network, duration, *args, namespace=None, level=0, **kwds):
        if namespace is None:
            namespace = get_local_namespace(level=level + 1)
        readouts = (obj for obj in network.sorted_objects if isinstance(obj, LeakyReadout))
        learner = next((obj.learner for obj in readouts if obj.learner is not None), None)
        if learner is None:
            return run(network, duration, *args, namespace=namespace, **kwds)
        raise _Done(do(learner, network, duration, namespace, level))

    Network.run = instead
    sys.argv, sys.path = [str(path)], [str(path.resolve().parent), *folders]
    try:
        runpy.run_path(str(path), run_name="__main__")
    except _Done as left:
        return left.result
    except BrianObjectException as error:
        raise error.__cause__ from None
    finally:
        Network.run, sys.argv, sys.path = run, arguments, folders
    raise ValueError(f"{path}: no run of it has a Learner; there is nothing {what}")
