"""What an engine, its plan of a projection and its populations promise, and what a learner does.

In the order in which a learner calls them:

1. ``engine.population(group)``, for each group when its first trained synapses are created, and
   with losses, followed by ``engine.learn_from_losses``, when the learner is;
2. ``engine.onto_neurons(…)`` or ``engine.onto_readout(…)``, once per trained projection: a
   :class:`Plan`, whose ``on_pre`` and variables are part of the Synapses, and ``plan.install``
   when these exist;
3. ``engine.send_back`` or ``send_back_dense``, once per projection along which errors go back;
4. ``engine.follow``, at the begin of each run, when the network that runs has been read;
5. ``engine.reaches``, ``followed_synapses`` and ``used_later`` from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from brian2 import NeuronGroup, Synapses

from ..calculus.arrivals import OnPre
from ..calculus.sums import Sum


class Population(Protocol):
    """The neuron-level part of learning of one group: ψ, coefficients, learning signal."""

    group: NeuronGroup

    @property
    def learns(self) -> bool:
        """Whether trained synapses, or trained parameters, belong to the group."""

    @property
    def errors(self) -> Mapping[str, Mapping[str, str]]:
        """∂ℓ/∂h of the losses on the group, by the moment at which they read it."""

    @property
    def driven(self) -> set[str]:
        """States through which its trained synapses act on what counts."""

    def linearize(self, on_pre: OnPre, namespace: Mapping[str, Any]) -> Any:
        """The linear system of the arrivals of one projection (A, b, c)."""

    def follow(self, stages: Any, position: Any, reader: Any) -> None:
        """Take the one-step map from the stages that change the group in the network that runs."""

    @property
    def between_steps(self) -> Any:
        """What other code does between the steps of the group."""


class Plan(Protocol):
    """How one projection learns: what its Synapses have and run for it."""

    on_pre: Sequence[tuple[str, str, str]]
    variables: Mapping[str, Any]

    def install(self, synapses: Synapses) -> None:
        """Add to synapses that exist what runs besides their own code."""


class Engine(Protocol):
    """The way in which the sum over eligibility traces is computed."""

    @property
    def window(self) -> int | None:
        """Longest window that is replayed, in steps; None if none is."""

    @property
    def carries(self) -> bool:
        """Whether windows may begin within a trial."""

    def population(self, group: NeuronGroup) -> Population:
        """The neuron-level part of learning of a group."""

    def learn_from_losses(self, population: Any) -> None:
        """Let a group learn from losses on it, whether or not it has trained synapses."""

    def onto_neurons(self, on_pre: OnPre, names: Mapping[str, Any], timing: Any) -> Plan:
        """Plan synapses onto neurons."""

    def onto_neurons_by_sums(self, total: Sum, names: Mapping[str, Any]) -> Plan:
        """Plan synapses that neurons sum up in every step."""

    def onto_readout(self, on_pre: OnPre, names: Mapping[str, Any], timing: Any) -> Plan:
        """Plan synapses onto the readout."""

    def send_back(self, plan: Any, population: Any, weight: str) -> None:
        """Let errors flow backwards along synapses onto the readout."""

    def send_back_dense(self, synapses: Synapses, population: Any) -> None:
        """Let errors flow to a population along feedback weights of their own."""

    def check_delay_onto_readout(self, name: str, reach: int) -> None:
        """Raise an error for delays, in steps, along which this engine sends no errors back."""

    def follow(self, reading: Any, reader: Any) -> None:
        """Take what runs from the network; raise an error unless all of it is followed."""

    def reaches(self, population: Any) -> bool:
        """Whether errors of the readout, or losses of its own, have an effect on a population."""

    @property
    def summed(self) -> Mapping[str, Sum]:
        """Sums over synapses that are differentiated, by the names of what computes them."""

    @property
    def followed_synapses(self) -> Sequence[Synapses]:
        """Synapses that are not trained, along which errors flow back."""

    def heard(self, group: NeuronGroup) -> frozenset[str]:
        """Names of variables of a group that its spikes count by when they arrive."""

    def hears(self, synapses: Synapses) -> set[Any]:
        """Variables of the source that arrivals may depend on: credit follows, or none is due."""

    def used_later(self) -> Sequence[Any]:
        """Variables of synapses that are read when a window has ended."""


class Projection(Protocol):
    """Trained synapses, as a learner and its engine see them."""

    name: str
    weight: str
    source: Any
    target: Any
    acts: Any


class Learning(Protocol):
    """A learner, as what belongs to it sees it: its readout, its updates, its engine."""

    readout: Any
    reader: Any
    rule: Any
    progress: Any
    trial: int | str | None
    interval: int | str | None
    window: int | None
    engine: Engine
    namespace: dict[str, object]
    updates: list[Any]
    signal: Any
    signals: dict[NeuronGroup, NeuronGroup]
    trace_filter: Any
    restored: set[Any]
    parameters_restored: set[NeuronGroup]
    populations: dict[NeuronGroup, Any]
    projections: list[Any]

    @property
    def optimizer(self) -> Any:
        """What turns gradients into changes of the weights."""

    def losses_of(self, group: NeuronGroup) -> Mapping[str, Any]:
        """What computes the losses on a group, by the moment at which they read its state."""

    def errors_of(self, group: NeuronGroup) -> Mapping[str, Mapping[str, str]]:
        """∂ℓ/∂h of the losses on a group: {moment: {state: variable}}."""

    def check_complete(self) -> None:
        """Raise an error if something that learning needs is missing, switched off or unknown."""

    def share(self, group: Any, *names: str, prefix: str = "") -> None:
        """Let a group see step flags of the readout."""

    def reset_with_trial(self, group: Any) -> None:
        """Return a group to its state at the begin of the first trial, at each begin."""

    def warn_of_what_goes_on(self) -> None:
        """Name once what no trial resets."""
