"""A recurrent network as Brian2 objects.

    input raster ──► populations ──► readout
                      │      ▲
                      └──────┘

The spikes of input step t act on the membranes of step t, recurrent spikes of step t on step
t+1, and readout spikes on the output of step t (Bellec et al. 2020, Nat. Commun. 11:3625,
Methods, Eqs 6–11).
"""

import numpy as np
from attrs import frozen
from brian2 import Clock, Network, NeuronGroup, TimedArray

from ..brian import schedule
from ..brian.code import DirectSynapses, FastStateUpdater, FastThresholder, LearningCode
from ..engines.eligibility import EverySynapse
from ..learning.learner import Learner
from ..learning.parameters import ParameterTraining
from ..learning.readout import LeakyReadout
from ..learning.rule import EProp
from ..learning.synapses import TrainableSynapses
from .projections import OUTPUTS, SPIKES, blocks, spans

#: How a compiled program calls the input spikes, and the numbers of the readout's target.
RASTER, TARGETS = "inputs.raster", "brian_eprop_targets.values"


@frozen
class Assembly:
    """The Brian2 objects of a network.

    Attributes
    ----------
    objects : dict of str to BrianObject
        Every object that is read or written, by name.
    network : Network
        What runs.
    """

    objects: dict
    network: Network

    def variable(self, name):
        """The Brian2 variable with a full name ``"object.variable"``."""
        owner, variable = name.split(".")
        return self.objects[owner].variables[variable]

    def write(self, values):
        """Set variables, by their full names."""
        for name, array in values.items():
            self.variable(name).set_value(np.ravel(array))


def assemble(description, trials, inputs, readout, others=(), **periods):
    """Create the Brian2 objects of a network: populations, synapses and learner.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    inputs : NeuronGroup
        What fires for the inputs, on the clock of all.
    readout : LeakyReadout
    others : sequence of BrianObject
        What else runs: network operations.
    **periods
        Of trials, as for `Learner`.

    Returns
    -------
    Assembly
    """
    d, clock = description, readout.clock
    populations = [
        p.group(clock=clock, name=f"population_{k}") for k, p in enumerate(d.populations)
    ]
    for group in populations:
        group.thresholder["spike"].__class__ = FastThresholder
        group.state_updater.__class__ = FastStateUpdater
    groups = {"inputs": inputs, **dict(enumerate(populations)), "readout": readout}
    learner = _learner(d, trials, readout, populations, periods)
    objects = {group.name: group for group in groups.values()}
    for block in blocks(d, trials):
        if block.matrix != "feedback":
            objects[block.name] = _connected(d, trials, block, groups, learner)
    network = Network(*objects.values(), *others)
    # what has the delays of the synapses
    paths = [objects[block.name].pre for block in blocks(d, trials) if block.trained_delay]
    objects |= {path.name: path for path in paths}
    objects |= {weights.name: weights for weights in learner.feedback_weights}
    return Assembly(objects, network)


def trial_assembly(description, trials, inputs, targets):
    """The Brian2 objects that run trials of recorded inputs, with monitors of what they do.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    inputs : (total steps, n_in) bool array
        Only its shape is used.
    targets : (total steps, n_out) float array

    Returns
    -------
    Assembly
    """
    d = description
    d.check_trials(trials)
    clock = Clock(d.dt, name="brian_eprop_clock")
    readout = LeakyReadout(
        d.n_out,
        d.tau_out,
        loss=d.loss,
        target=timed_targets(targets, d.dt),
        normalize=d.normalize,
        average=d.average,
        clock=clock,
        name="readout",
    )
    assembly = assemble(
        d,
        trials,
        _raster(inputs.shape, clock),
        readout,
        reset_every=trials.steps * d.dt,
        learning_window=None if trials.window is None else trials.window * d.dt,
    )
    for part in (part for obj in assembly.objects.values() for part in obj.contained_objects):
        if isinstance(part, EverySynapse):
            # Weights are constant, and gradients are looked at between trials
            part.in_blocks = True
    populations = [assembly.objects[f"population_{k}"] for k, _ in enumerate(d.populations)]
    assembly.network.add(
        _kept(readout, OUTPUTS, "record", trials.total, None, ["y"]),
        *(
            _kept(group, SPIKES, "record_raster", trials.total, bool, ["_spikespace"])
            for group in populations
        ),
    )
    return assembly


def _kept(group, name, template, steps, dtype, recorded):
    """Code that writes what a group does into a variable of its own, a row for each step."""
    variables = group.variables
    variables.add_array(name, size=steps * len(group), dtype=dtype)
    variables[name].of_learning = True
    return LearningCode(
        group,
        "",
        schedule.MONITOR_TRACES,
        f"{group.name}_kept",
        template=template,
        needed_variables=[*recorded, name],
        template_kwds={
            "rows": steps,
            "recorded": [(variables[of], variables[name]) for of in recorded],
        },
    )


def timed_targets(targets, dt):
    """The targets as the TimedArray that the readout compares with."""
    name = TARGETS.removesuffix(".values")
    return TimedArray(np.ascontiguousarray(targets, dtype=float), dt=dt, name=name)


def _raster(shape, clock):
    """Neurons that fire as a raster (total steps, n) says, in the slot ``start``.

    The raster is the group's variable ``raster``, to be set before a run: of Brian2's spike
    sources none has data that a compiled program can be given anew.
    """
    steps, n = shape
    group = NeuronGroup(
        n,
        f"position = timestep(t, dt)*{n} + i : integer (constant over dt)",
        threshold="raster",
        reset="",
        clock=clock,
        namespace={},
        name="inputs",
    )
    group.variables.add_array("raster", steps * n, dtype=bool, index="position")
    threshold = group.thresholder["spike"]
    threshold.__class__, threshold.raster = FastThresholder, group.variables["raster"]
    # The spikes of a step must be there before its thresholds.
    threshold.when = "start"
    return group


def _learner(d, trials, readout, populations, periods):
    """The learner of a network, which resets its populations with each trial."""
    feedback = "symmetric"
    if d.feedback != "symmetric":
        zeros = np.zeros((d.n_out, d.n_rec))
        feedback = {g: zeros[:, span] for g, span in zip(populations, spans(d), strict=True)}
    learner = Learner(
        readout,
        # Without synapses that learn it only resets the trials: nothing is kept for a way back.
        rule=d.rule if trials.learning else EProp(engine="traces"),
        feedback=feedback,
        regularizers=d.regularizers,
        trainable=d.trainable if trials.learning else (),
        **periods,
    )
    for group in populations:
        learner.reset_with_trial(group)
    return learner


def _connected(d, trials, block, groups, learner):
    """The synapses of a block, between groups by number of population or name."""
    pre, post = groups[block.pre], groups[block.post]
    if block.matrix == "w_out":
        on_pre = "y_post += w"
    else:
        model = d.populations[block.post].model
        on_pre = model.on_input if block.matrix == "w_in" else model.on_pre
    arrival = "after_groups" if block.matrix == "w_in" else "synapses"
    model = f"w : {block.base_unit}"
    delays = block.delays
    alike = np.ptp(delays) == 0 and not block.trained_delay
    common = {
        "delay": delays[0] * d.dt if alike else None,
        "name": block.name,
        "namespace": {},
        "clock": learner.readout.clock,
    }
    if trials.learning:
        trained = None
        if block.trained_delay:
            bounds = d.trainable_delays[block.matrix].bounds
            trained = {"w": None, "delay": ParameterTraining(bounds=bounds)}
        synapses = TrainableSynapses(
            *(pre, post, model),
            on_pre=on_pre,
            arrival=arrival,
            learner=learner,
            trainable=trained,
            **common,
        )
        if delays.any() and block.matrix == "w_out" and d.feedback in ("symmetric", "adaptive"):
            # A program that is compiled does not know its delays.
            learner.engine.check_delay_onto_readout("w_out", delays.max())
    else:
        synapses = DirectSynapses(pre, post, model, on_pre=on_pre, **common)
        synapses.pre.when = arrival
        if delays.any() or block.trained_delay:
            learner.reset_with_trial(synapses)
    synapses.connect(**block.part.connectivity)
    if not alike:
        synapses.delay = delays * d.dt
    return synapses
