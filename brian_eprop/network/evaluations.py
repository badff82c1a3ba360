"""Evaluations of one's own network: the loss and the gradients of given values, again and again.

An evaluation is a run of the network over one interval between updates, from the state in which
the network was given, random numbers included. In Python it is run step by step, with the code
that was generated once; a C++ standalone program is built once, and called with the values.
"""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from brian2 import Quantity, Synapses, get_device

from ..brian.internals import keep_state, repeatable, return_to_state, steps_of
from ..learning.neuron_losses import check_data
from ..learning.optimizers import FUNCTIONS
from ..learning.updates import Trained
from .runtime import plain_errors

#: Under which name the network keeps the state in which each evaluation begins.
START = "start of an evaluation"


@frozen(eq=False)
class Fitted:
    """A trained variable: whose it is, and its update."""

    owner: Any
    trained: Trained

    @property
    def key(self):
        return f"{self.owner.name}.{self.trained.name}"

    def variable(self, name):
        return self.owner.variables[name]

    def check_bounds(self, values):
        """Raise ValueError for values to start from that no update could have led to."""
        low, high = self.trained.bounds or (-np.inf, np.inf)
        # bounds in float64, values perhaps in float32
        outside = ~np.isclose(values, np.clip(values, low, high), rtol=1e-6, atol=0)
        if outside.any():
            dim = self.variable(self.trained.name).dim
            value, low, high = (Quantity(x, dim=dim) for x in (values[outside][0], low, high))
            raise ValueError(
                f"fit: '{self.key}' = {value!s} is outside of its bounds, {low!s} to {high!s}: "
                "give the network values between them, or other bounds"
            )

    def drawn(self, rng, values):
        """Values between the bounds."""
        low, high = self.trained.bounds or (-np.inf, np.inf)
        if not np.isfinite(high - low):
            raise ValueError(
                f"fit.starts: '{self.key}' has no bounds between which starts could be drawn; give "
                + (
                    "TrainableSynapses(..., bounds=(low, high))"
                    if isinstance(self.owner, Synapses)
                    else f"Learner(trainable={{'{self.trained.name}': (low, high)}})"
                )
            )
        return rng.uniform(low, high, np.shape(values))

    def updated(self, optimizer, values, gradient, moments, number):
        """The values after an update, by the statements that Brian2 runs for it."""
        trained = self.trained
        names = {name: np.zeros_like(values) for name in trained.state(optimizer)} | moments
        names |= {trained.name: values, trained.gradient: gradient, "__updates": number}
        exec(trained.code(optimizer), {**FUNCTIONS, "inf": np.inf}, names)
        moments.update({name: names[name] for name in trained.state(optimizer)})
        return names[trained.name]


class _Evaluations:
    """What is fitted in a network, and what a run of it has come to."""

    def __init__(self, learner, network):
        self.learner, self.network = learner, network
        self.duration = learner.interval * learner.readout.clock.dt
        objects = network.sorted_objects
        self.updates = [u for u in learner.updates if any(obj is u for obj in objects)]
        self.fitted = [Fitted(u.group, trained) for u in self.updates for trained in u.trained]
        if not self.fitted:
            raise ValueError(
                "fit: the learner trains nothing in this network; give Learner(trainable={'tau': "
                "(5*ms, 50*ms)}), or TrainableSynapses(..., learner=learner)"
            )
        begin = round(float(network.t_ / learner.readout.clock.dt_))
        for loss in learner.losses:
            check_data(loss, begin + learner.interval, whole=True)
        #: What the groups with a loss have summed it up in.
        self.losing = [learner.readout, *learner.loss_code]

    def values(self):
        """The present values of what is fitted, by its key."""
        found = {f.key: f.variable(f.trained.name).get_value() for f in self.fitted}
        return {key: np.array(values, dtype=float) for key, values in found.items()}

    def outcome(self):
        """The loss and the gradients of the run that has ended."""
        losses = [group.variables["loss"].get_value() for group in self.losing]
        gradients = {f.key: f.variable(f.trained.gradient).get_value() for f in self.fitted}
        return (
            float(sum(map(np.sum, losses))) / self.learner.trials_per_update,
            {key: np.array(gradient, dtype=float) for key, gradient in gradients.items()},
        )


class InPython(_Evaluations):
    """Evaluations in this process, by code that is generated once; a context."""

    def __init__(self, learner, network, namespace):
        super().__init__(learner, network)
        self.namespace = namespace
        now, trial = learner.progress.now(), learner.trial
        passed = learner.progress.elapsed() if trial and learner.progress.entered() else 0
        if passed or (not trial and now):
            raise ValueError(
                f"fit begins {passed or now} steps after the start of a trial: run the network to "
                "its end first, or fit before the first run"
            )

    def __enter__(self):
        with ExitStack() as stack:
            stack.enter_context(plain_errors())
            stack.enter_context(repeatable(self.network, self.duration, self.namespace))
            # Brian2 looks at gradients when code has run for the last time.
            stack.callback(return_to_state, self.network, "before it is repeated")
            self._clear()
            keep_state(self.network, START)
            self.running = [obj for obj in self.network.sorted_objects if obj.active]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    @contextmanager
    def set_aside(self, values):
        """A context in which the network is as the user has given it, but for the values."""
        self.__exit__()
        given = self.values()
        self._write(values)
        try:
            yield
        finally:
            self._write(given)
            self.__enter__()

    def _clear(self):
        """Forget losses and gradients of before."""
        for group in self.losing:
            group.variables["loss"].set_value(0)
        for fitted in self.fitted:
            fitted.variable(fitted.trained.gradient).set_value(0)

    def _write(self, values):
        for fitted in self.fitted:
            fitted.variable(fitted.trained.name).set_value(values[fitted.key])
        for update in self.updates:
            update.values_changed()

    def evaluate(self, values):
        """The loss and the gradients of values."""
        return_to_state(self.network, START)
        self._write(values)
        for due in steps_of(self.network):
            for obj in self.running:
                if obj.clock in due:
                    obj.run()
        return self.outcome()

    def finish(self, values):
        """Run the network with values, once and as the user would."""
        self._clear()
        self._write(values)
        with plain_errors():
            self.network.run(self.duration, namespace=self.namespace)
        for fitted in self.fitted:
            fitted.variable(fitted.trained.gradient).set_value(0)


def already_run():
    """The error for a C++ standalone program that is there before its fit."""
    return ValueError(
        "fit: the network of a C++ standalone program has run already, and would run again in each "
        "evaluation: fit it before, without run(); after another fit, call device.reinit() and "
        "set_device('cpp_standalone', build_on_run=False), and create the network again"
    )


class InProgram(_Evaluations):
    """Evaluations by a C++ standalone program, which is built once; a context."""

    def __init__(self, learner, network, namespace):
        super().__init__(learner, network)
        self.namespace, self.device = namespace, get_device()
        if network.t_ > 0:
            raise already_run()

    def __enter__(self):
        with plain_errors():
            self.network.run(self.duration, namespace=self.namespace)
        if not self.device.has_been_run:
            self.device.build(**{"directory": None} | self.device.build_options)
        return self

    def __exit__(self, *error):
        pass

    def evaluate(self, values):
        """The loss and the gradients of values."""
        self.finish(values)
        return self.outcome()

    def finish(self, values):
        """Run the program with values."""
        # As device.run does for a dict, which leaves a file for each value that there ever was.
        given = []
        for fitted in self.fitted:
            path = Path("static_arrays") / f"fitted_{fitted.key}.dat"
            dtype = fitted.variable(fitted.trained.name).dtype
            values[fitted.key].astype(dtype).tofile(Path(self.device.project_dir) / path)
            given.append(f"{fitted.key}={path}")
        self.device.run(run_args=given, with_output=False)
