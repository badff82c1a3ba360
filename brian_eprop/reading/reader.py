"""The reader of a network before each run, which adds the recorders that learning needs."""

from __future__ import annotations

from brian2 import BrianObject, NetworkOperation
from brian2.units.fundamentalunits import DimensionMismatchError

from ..brian import schedule
from ..brian.code import LearningCode, declare, event_code, see_new_variables
from ..brian.internals import MONITORS, networks_of, runs_in_python
from .actions import in_one_order, running_objects
from .network import NetworkReading, UnreadableNetworkError
from .refusals import check_code, check_names, check_rule
from .watching import BetweenRuns, Watch


class CodeCheck(BrianObject):
    """The object that Brian2 prepares last, and which then looks at the code of all others.

    Parameters
    ----------
    reader : NetworkReader
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, reader):
        clock, name = reader.clock, f"{reader.learner.readout.name}_code_check"
        super().__init__(clock=clock, order=2**31, name=name)
        self.reader = reader

    def before_run(self, run_namespace):
        """Raise what makes compiled code wrong; nothing has been simulated yet."""
        super().before_run(run_namespace)
        check_code(*self.reader.networks())


class NetworkReader(BrianObject):
    """The object by which a learner reads its network whenever Brian2 collects what is to run.

    Brian2 asks each object for those that it contains before it sorts them: so a recorder that
    is contained here is run at its place, although it exists only since the network is known.
    What cannot be read is kept as an error, and raised when the run is prepared.

    Parameters
    ----------
    learner : Learner

    Attributes
    ----------
    reading : NetworkReading or None
        Of the network as it was when it was last read.
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, learner):
        super().__init__(
            clock=learner.readout.clock,
            when="before_start",
            order=-(2**31),
            name=f"{learner.readout.name}_network_reader",
        )
        self.learner, self.reading, self.error = learner, None, None
        self._reads, self._seen, self._user_code = False, None, {}
        self._orders, self._between_runs = {}, BetweenRuns(learner)
        self._code_check = CodeCheck(self)
        self._contained_objects, self._kept = [], [self._code_check]

    @property
    def contained_objects(self):
        """What is to be recorded in the network that is about to run."""
        if not self._reads:
            networks = networks_of(self.learner.readout)
            if len(networks) == 1:
                self._read(networks[0])
        return self._contained_objects

    def read(self):
        """The network as it is now.

        Raises
        ------
        UnreadableNetworkError
            If it cannot be differentiated, or the readout is in no network.
        """
        networks = self.networks()
        if not networks and self.reading is not None and self.error is None:
            return self.reading  # run() has no Network that is left when it returns
        if not networks:
            raise UnreadableNetworkError(
                f"readout '{self.learner.readout.name}' is in no Network yet: create the Network, "
                "or call run() first"
            )
        self._read(networks[0])
        if self.error is not None:
            raise self.error
        return self.reading

    def networks(self):
        """The network that runs, in a list; none if the readout is in no network yet."""
        networks = networks_of(self.learner.readout)
        if len(networks) > 1:
            raise UnreadableNetworkError(
                f"readout '{self.learner.readout.name}' is in {len(networks)} networks, of which "
                "none has run: it is not known which one to read; remove the others"
            )
        return networks

    def _read(self, network):
        if not self.learner.readout.active:
            return
        self._reads = True
        self._code_check.when = network.schedule[-1]
        try:
            objects = running_objects(network)
            if self._moments(objects) == self._seen:
                return
            self.error = None
            self._restore()
            try:
                self.reading = NetworkReading(network, self.learner, self.learner.namespace)
                shared = self.reading.shared_moments()
                self._orders = in_one_order(self.reading.objects, shared)
                self._contained_objects[:] = self._kept
                self.learner.engine.follow(self.reading, self)
                check_rule(self.reading)
                self._contained_objects += self._additions()
            except (ValueError, TypeError, DimensionMismatchError) as error:
                self.error = error
            self._seen = self._moments(running_objects(network))
        finally:
            self._reads = False

    def _moments(self, objects):
        """What runs, and when, as the user has said it."""
        orders = [self._orders.get(obj, (obj.order, obj.order)) for obj in objects]
        return [
            (id(obj), obj.when, before if obj.order == now else obj.order)
            for obj, (before, now) in zip(objects, orders, strict=True)
            if obj is not self and not isinstance(obj, MONITORS)
        ]

    def _restore(self):
        """Give synapses their code, and objects their order, as the user wrote them."""
        for pathway, code in self._user_code.items():
            pathway.code = code
        for obj, (before, now) in self._orders.items():
            if obj.order == now:
                obj.order = before
        self._user_code, self._orders = {}, {}

    def add(self, runner):
        """Let an object run with the network, as it is now."""
        self._contained_objects.append(runner)

    def keep(self, runner):
        """Let an object run with the network from now on."""
        self._kept.append(runner)
        self._contained_objects.append(runner)

    def _additions(self):
        """Code that records when other code runs, and by how much synapses scale a state."""
        added = []
        for group, stages in self.reading.stages.items():
            cleared = []
            for piece in stages.pieces:
                action = stages.actions[piece.name]
                if piece.flag:
                    cleared.append(f"{piece.flag} = 0")
                    added.append(self._flag(group, piece.flag, action))
            for action, _, holder, text in stages.scaled:
                _declare_once(group, holder)
                cleared.append(f"{holder} = 1")
                self._scale(action, group, holder, text)
            if cleared:
                moment = schedule.Moment("before_start", -1)
                name = f"{group.name}_stages"
                added.append(LearningCode(group, "\n".join(cleared), moment, name))
        operations = [obj for obj in self.reading.objects if isinstance(obj, NetworkOperation)]
        for operation in operations:
            before, after = self.reading.just_before(operation), self.reading.just_after(operation)
            added += Watch(operation, self.learner, before, after).runners
        return added

    def _flag(self, group, flag, action):
        _declare_once(group, flag)
        runner = action.runner
        # Before the coefficients that depend on the flag
        moment = self.reading.just_before(runner, part=0.75)
        name = f"{group.name}{flag}"
        if action.kind == "event":
            return event_code(group, action.trigger[1], f"{flag} = 1", moment, name)
        neurons = action.of_part or group
        see_new_variables(neurons)
        return LearningCode(neurons, f"{flag} = 1", moment, name, clock=runner.clock)

    def _scale(self, action, group, holder, text):
        """Let synapses note by how much they scale a state, before they do so."""
        synapses, pathway = action.owner, action.runner
        side = "pre" if pathway.prepost == "post" else "post"
        index = "_presynaptic_idx" if side == "pre" else "_postsynaptic_idx"
        name = f"{holder}_{side}"
        for variables in (synapses.variables, pathway.variables):
            if name not in variables:
                variables.add_reference(name, group, holder, index=index)
        self._user_code.setdefault(pathway, pathway.code)
        pathway.user_code = self._user_code[pathway]
        pathway.code = f"{name} *= ({text})\n{pathway.code}"

    def before_run(self, run_namespace):
        """Raise what could not be read; nothing has been simulated yet."""
        super().before_run(run_namespace)
        self.networks()
        if self.error is not None:
            raise self.error
        self.learner.check_complete()
        if self.reading is not None:
            check_names(self.reading, run_namespace)
            self._between_runs.check(self._seen)

    def after_run(self):
        """Remember how the run has ended."""
        super().after_run()
        if self.reading is not None and runs_in_python():
            self._between_runs.keep(self._seen)


def _declare_once(group, name):
    if name not in group.variables:
        declare(group, name)
