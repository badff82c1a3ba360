"""A user's own network: which one is checked, for how long, what cannot be; that of a script."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import (
    BrianObjectException,
    Network,
    Quantity,
    collect,
    get_local_namespace,
    magic_network,
)

from ..brian.internals import networks_of, runs_in_python
from ..checks import FilePath, check_seed, steps, whole_number
from .clamped_run import ClampedNetwork
from .linear_spikes import NotCheckable
from .moved_weights import DifferenceCheck
from .report import NetworkCheck


def check_network(learner, duration, network, synapses, seed, namespace, level):
    """Compare a learner's gradients with finite differences of the network that it is in.

    Parameters
    ----------
    learner, duration, network, synapses, seed
        As for :meth:`Learner.check`.
    namespace : dict
        Where the names of the user's code are looked up.
    level : int
        How many frames up the objects of a magic network are.

    Returns
    -------
    NetworkCheck
    """
    whole_number("Learner.check.synapses", synapses)
    check_seed("Learner.check.seed", seed)
    if not runs_in_python():
        raise ValueError(
            "Learner.check runs the network again and again, which a compiled program cannot: "
            "leave out set_device('cpp_standalone') for the check; the numbers are the same"
        )
    if learner.readout.variables["y"].dtype != np.float64:
        raise ValueError(
            "Learner.check looks for differences that round-off hides in float32, with which "
            f"readout '{learner.readout.name}' was made; set Brian2's preference "
            "core.default_float_dtype = float64 for the check"
        )
    if learner.readout.rewarded:
        raise ValueError(
            f"readout '{learner.readout.name}' has rewards, whose gradient is no difference of a "
            "loss that is known; check the network with a LeakyReadout and a target"
        )
    if learner.signal is not None or learner.trace_filter is not None:
        which = "signal" if learner.signal is not None else "trace_filter"
        raise ValueError(
            f"Learner.{which} makes of the gradient what is no difference of a loss; check the "
            f"network with a Learner without {which}, whose traces are the same"
        )
    network = network_of(learner, network, level + 1)
    duration = _duration(learner, duration, network)
    rule = learner.rule
    n = round(float(duration) / learner.readout.clock.dt_)
    title = f"order {rule.order}, engine '{rule.engine}', {n} steps"
    if not rule.complete:
        why = f"{rule.title} leaves out paths, which differences of the loss have"
        return NetworkCheck(title, n, 0, (), f"cannot be checked: {why}")
    try:
        with ClampedNetwork(network, learner, duration, namespace) as run:
            return DifferenceCheck(run, synapses, seed).report(title)
    except NotCheckable as why:
        return NetworkCheck(title, n, 0, (), f"cannot be checked: {why}")


def network_of(learner, network, level, caller="Learner.check"):
    """The network of the user, or one of all objects that the user sees."""
    readout = learner.readout
    if network is not None:
        if not isinstance(network, Network):
            raise TypeError(f"{caller}.network = {network!r} is not a Network")
        if not any(obj is readout for obj in network.sorted_objects):
            raise ValueError(f"{caller}.network does not contain readout '{readout.name}'; add it")
        return network
    for network in networks_of(readout):
        return network
    objects = collect(level + 1)
    if not any(obj is readout for obj in objects):
        raise ValueError(
            f"{caller}: no network contains readout '{readout.name}'; give the argument network"
        )
    network = Network()
    # Network.add refuses objects that have run, though it is their network that is repeated.
    network.objects |= objects
    if readout._network == magic_network.id:
        network.t_ = magic_network.t_
    return network


def _duration(learner, duration, network):
    """How long to run: one trial, if nothing else is said."""
    dt, trial = learner.readout.clock.dt, learner.trial
    if duration is None:
        if trial is None:
            raise ValueError(
                "Learner.check.duration is missing: without reset_every a trial has no length; "
                "give for example duration=200*ms"
            )
        return trial * dt
    n = steps("Learner.check.duration", duration, dt)
    if trial and n % trial:
        raise ValueError(
            f"Learner.check.duration = {duration!s} is not a multiple of a trial (reset_every = "
            f"{trial * dt!s}), at whose end gradients are complete"
        )
    return Quantity(duration)


class _Done(BaseException):
    """The exception that ends a script when what was to be done has been done."""

    def __init__(self, result):
        self.result = result


def instead_of_learning(path: FilePath, what: str, do: Callable[..., Any]) -> Any:
    """Run a script, and do something in the place of its first run that has a learner.

    The script is executed: what it does before that run, it does.

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
        learners = [(obj, getattr(obj, "learner", None)) for obj in network.sorted_objects]
        of_readouts = (found for obj, found in learners if found and found.readout is obj)
        learner = next(of_readouts, None)
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
