"""Runs an assembled network in this process (Brian2's numpy and cython targets)."""

from contextlib import contextmanager
from types import MappingProxyType

import numpy as np
from brian2 import prefs
from brian2.core.base import BrianObjectException
from brian2.devices.device import reset_device, set_device
from brian2.stateupdaters.base import UnsupportedEquationsException

from ..calculus.derivatives import UnsuitableMethodError
from .assembly import assemble, timed_targets
from .blocks import given, results


class RuntimeNetwork:
    """Brian2 objects that are kept, and run again with other weights, inputs and targets.

    Parameters
    ----------
    description : NetworkDescription
    trials : Trials
    inputs, targets : ndarray
        As for :func:`assemble`.
    """

    def __init__(self, description, trials, inputs, targets):
        self.description, self.trials = description, trials
        self.assembly = assemble(description, trials, inputs, targets)
        self.assembly.network.store("start")

    def run(self, weights, inputs, targets, parameters=MappingProxyType({})):
        """Run all trials.

        Parameters
        ----------
        weights : dict of str to ndarray
        inputs : (total steps, n_in) bool array
        targets : (total steps, n_out) float array
        parameters : mapping of str to (n_rec,) Quantity
            Those that are trained.

        Returns
        -------
        dict of str to ndarray
            See :func:`brian_eprop.devices.blocks.results`.

        Raises
        ------
        KeyboardInterrupt
            If the run was stopped before its end.
        """
        network, objects, dt = self.assembly.network, self.assembly.objects, self.description.dt
        network.restore("start")
        self.assembly.variable("inputs.raster").set_value(inputs.ravel())
        objects["readout"].namespace["target_values"] = timed_targets(targets, dt)
        for name, values in given(self.description, self.trials, weights, parameters).items():
            self.assembly.variable(name).set_value(values)
        with plain_errors():
            network.run(self.trials.total * dt, namespace={})
        if network.t_ < (self.trials.total - 0.5) * float(dt):
            # Brian2 only stops its run at Ctrl-C, with a warning; half a trial is no result.
            raise KeyboardInterrupt

        def read(name):
            return np.array(self.assembly.variable(name).get_value())

        return results(self.description, self.trials, read)


@contextmanager
def plain_errors():
    """Raise what Brian2 wraps in its own exception when a run begins.

    That says where in this package an object was created, which helps no user.
    """
    try:
        yield
    except BrianObjectException as error:
        cause = error.__cause__
        if isinstance(cause, UnsupportedEquationsException):
            cause = UnsuitableMethodError(
                f"RecurrentNetwork.neurons: a 'method' is not for the equations of its model: "
                f"{' '.join(str(cause).split())} Choose another, such as 'exponential_euler', "
                "'euler' or 'rk4'"
            )
        raise cause from None


@contextmanager
def numpy_runtime():
    """Brian2's runtime device and numpy target, whatever the user has set."""
    before = prefs.codegen.target
    set_device("runtime")
    prefs.codegen.target = "numpy"
    try:
        yield
    finally:
        prefs.codegen.target = before
        reset_device()
