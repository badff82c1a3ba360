"""What people get wrong, and a call that does: the messages are kept in data/messages.txt.

``python tests/support/bad_inputs.py`` writes that file anew; read what has changed
before it is kept.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
from brian2 import (
    BrianLogger,
    Hz,
    Network,
    NeuronGroup,
    PoissonGroup,
    TimedArray,
    defaultclock,
    ms,
    mV,
    nS,
    prefs,
    volt,
)
from scipy.sparse import coo_array, csr_array, dok_array

import brian_eprop as eprop
from brian_eprop import (
    BPTT,
    Adam,
    Bounds,
    CosineDecay,
    DaleLaw,
    DeepR,
    EProp,
    FiringRateRegularizer,
    GradientDescent,
    LeakyReadout,
    Learner,
    Loss,
    MultiGaussian,
    ParameterTraining,
    PiecewiseLinear,
    RecurrentNetwork,
    StepDecay,
    TrainableSynapses,
    WeightDecay,
    linearize,
    load_model,
)
from brian_eprop.network.connectivity import fixed_degree, layers, random_sparse
from brian_eprop.recording import Recording
from brian_eprop.runs import Configuration
from brian_eprop.tasks import load_task

MESSAGES = Path(__file__).parents[1] / "data" / "messages.txt"
X, Y = np.ones((10, 2), dtype=bool), np.zeros((10, 1))


def net(**options):
    return RecurrentNetwork("lif", 2, 3, 1, **({"seed": 0, "optimizer": Adam(1e-3)} | options))


def population(**overrides):
    return RecurrentNetwork([("lif", 3, overrides)], 2, 3, 1)


def readout(**options):
    return LeakyReadout(1, **({"tau": 20 * ms, "target": Y, "name": "answers"} | options))


def learner(**options):
    return Learner(readout(), **options)


def loss(expression="(v/mV - data(t, i))**2", data=None, **options):
    data = TimedArray(np.zeros((10, 2)), dt=1 * ms) if data is None else data
    return Loss(plain(name="rows"), expression, namespace={"data": data}, **options)


def loss_on_a_part():
    group = plain(name="rows")
    return Loss(group[:1], "v/mV")


def fitted(network=None, into_network=False, **options):
    given = dict(optimizer=Adam(0.1), update_every=10 * ms, reset_every=10 * ms)
    made = learner(**given | options)
    return eprop.fit(made, Network(made.readout) if into_network else network)


class Signal:
    """As Neo has it."""

    def __init__(self, magnitude, step, units="mV"):
        self.magnitude, self.units = magnitude, units
        if step is not None:
            self.sampling_period = Signal(float(step) * 1e3, None, "ms")

    def __repr__(self):
        return f"Signal({self.units})"


def signals(trials, **options):
    return eprop.recorded_signals(trials, 5 * ms, 1 * ms, **options)


def spikes(trials, **options):
    return eprop.recorded_spikes(trials, 5 * ms, 1 * ms, **options)


def cells(**overrides):
    return load_model("lif").group(3, **({"name": "hidden", "dt": 1 * ms} | overrides))


def plain(threshold="v > 15*mV", reset="v = 0*mV", equations="dv/dt = -v/(9*ms) : volt", **options):
    about = {"threshold": threshold, "reset": reset, "method": "euler", "namespace": {}}
    return NeuronGroup(2, equations, **(about | {"name": "mine"} | options))


def synapses(target=None, rule=None, **options):
    target = cells() if target is None else target
    return TrainableSynapses(target, learner=learner(rule=rule), **options)


def model(**changes):
    about = dict(
        name="mine",
        equations="dv/dt = -v/tau : 1",
        threshold="v > 1",
        reset="v = 0",
        method="exact",
        parameters={"tau": 10 * ms},
        on_pre="v_post += w",
        surrogate=PiecewiseLinear(0.3, 1.0),
    )
    return eprop.NeuronModel(**(about | changes))


def configuration(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_text(text)
        return Configuration.read(path)


def damaged_file(load, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(b"half of it")
        return load(path)


def recording(**changes):
    wide = dict(inputs=2, spikes=3, readout=1, target=1, error=1, learning_signal=3)
    few = dict(membrane=1, threshold=1, psi=1, e_trace=1, e_bar=1)
    arrays = {name: np.zeros((10, size)) for name, size in (wide | few).items()}
    about = dict(dt=1 * ms, neurons=[0], synapses=["in 0 → 1"])
    return Recording(**(arrays | about | changes))


class Deaf:
    """A task without trials."""

    def __repr__(self):
        return "Deaf()"


class Endless:
    """A task whose inputs do not fit."""

    def sample(self, rng, batch):
        return np.ones((batch, 10, 5), dtype=bool), np.zeros((batch, 10, 1))


NAN = Y + np.nan
LINES = 'task = "temporal_xor"\n'

BAD_INPUTS = {
    # rules and surrogates
    "the order of a rule is a fraction": lambda: EProp(order=1.5),
    "the order is text": lambda: EProp(order="inf"),
    "traces of a higher order": lambda: EProp(order=2, engine="traces"),
    "an engine that is not there": lambda: EProp(engine="trace"),
    "a surrogate by its name": lambda: EProp(surrogate="PiecewiseLinear"),
    "a reset path that is not there": lambda: EProp(reset_path={"v": "none"}),
    "a reset path without variable": lambda: BPTT(reset_path="detached"),
    "a surrogate of negative height": lambda: PiecewiseLinear(-0.3, 1.0),
    "a surrogate of width 0": lambda: PiecewiseLinear(0.3, 0.0),
    "a surrogate with one unit": lambda: PiecewiseLinear(0.3, 15 * mV),
    "a surrogate that is no code": lambda: PiecewiseLinear("0.3/", "v_th"),
    "a surrogate per neuron": lambda: PiecewiseLinear([0.3, 0.4], 1.0),
    "a scale with unit": lambda: MultiGaussian(0.5 * mV, 15 * mV),
    # optimizers, learning rates, regularizers, constraints
    "a negative learning rate": lambda: GradientDescent(-0.1),
    "a learning rate that is nan": lambda: Adam(np.nan),
    "a learning rate as text": lambda: Adam("1e-3"),
    "β₁ of 1": lambda: Adam(0.1, beta_1=1.0),
    "ε with unit": lambda: Adam(0.1, epsilon=1 * mV),
    "a rate that grows": lambda: StepDecay(0.1, factor=2.0, every=10),
    "a step every half update": lambda: StepDecay(0.1, factor=0.5, every=0.5),
    "a rate that changes its unit": lambda: CosineDecay(1 * mV, 0.1, 10),
    "a target rate without unit": lambda: FiringRateRegularizer(10),
    "a target rate that is a time": lambda: FiringRateRegularizer(10 * ms),
    "a strength with unit": lambda: FiringRateRegularizer(10 * Hz, 1 * mV),
    "Dale's law by name": lambda: DaleLaw("lif"),
    "Dale's law for inputs": lambda: DaleLaw([0], matrices=["w_in"]),
    "bounds in the wrong order": lambda: Bounds(1.0, 0.0),
    "bounds with units": lambda: Bounds(0 * mV, 1 * mV),
    "a matrix that is not there": lambda: Bounds(0.0, 1.0, matrices=["w_inn"]),
    "one matrix as text": lambda: WeightDecay(0.1, matrices="w_in"),
    "a decay above 1": lambda: WeightDecay(1.5),
    "a density above 1": lambda: DeepR(2.0),
    "bounds of a parameter that are one": lambda: ParameterTraining(bounds=5 * ms),
    "an optimizer of a parameter by name": lambda: ParameterTraining(optimizer="adam"),
    # connectivity
    "more synapses than neurons": lambda: fixed_degree(3, 3, 4, seed=0),
    "a density of 0": lambda: random_sparse(3, 3, 0.0, seed=0),
    "'no' for False": lambda: random_sparse(3, 3, 0.5, seed=0, autapses="no"),
    "a layer without neurons": lambda: layers([5, 0], 2, 1),
    "layers as a number": lambda: layers(5, 2, 1),
    # neuron models
    "a model that is not there": lambda: load_model("alfi"),
    "a file that is not there": lambda: load_model("mine.toml"),
    "equations that are none": lambda: model(equations="v' = -v/tau"),
    "equations of the wrong unit": lambda: model(equations="dv/dt = -v : 1"),
    "a name that nobody knows": lambda: model(equations="dv/dt = (I - v)/tau : 1"),
    "a threshold of two conditions": lambda: model(threshold="v > 1 and v < 2"),
    "a threshold of the wrong unit": lambda: model(threshold="v > 15*mV"),
    "a reset that is none": lambda: model(reset="v <- 0"),
    "no reset": lambda: model(reset=None),
    "a method that is not there": lambda: model(method="runge_kutta"),
    "a parameter without unit": lambda: model(parameters={"tau": 10}),
    "a negative time constant": lambda: model(parameters={"tau": -10 * ms}),
    "an unreadable parameter": lambda: model(parameters={"tau": "10 ms"}),
    "parameters as a list": lambda: model(parameters=["tau"]),
    "a weight that does not fit": lambda: model(weight_unit="mV"),
    "a name of Brian2's": lambda: model(parameters={"tau": 10 * ms, "lastspike": 1.0}),
    "refractoriness of the wrong unit": lambda: model(refractory="2*mV"),
    "neurons: none": lambda: load_model("lif").group(0),
    "neurons: a parameter that is not there": lambda: cells(tau=20 * ms),
    "neurons: the wrong unit": lambda: cells(tau_m=20 * mV),
    "neurons: the wrong number of values": lambda: cells(tau_m=[10, 20] * ms),
    "neurons: a value that is nan": lambda: cells(v_th=np.nan),
    "neurons: a state as a parameter": lambda: cells(v=0.5),
    "neurons: dt without unit": lambda: cells(dt=1.0),
    # readout and learner
    "a readout without outputs": lambda: LeakyReadout(0, 20 * ms),
    "a time constant without unit": lambda: readout(tau=20),
    "a time constant as text": lambda: readout(tau="20*ms"),
    "a loss that is not there": lambda: readout(loss="mae"),
    "a target of the wrong shape": lambda: readout(target=np.zeros((10, 3))),
    "a target that is nan": lambda: readout(target=NAN),
    "a target with unit": lambda: readout(target=Y * volt),
    "a period between two steps": lambda: readout(period=1.5 * ms),
    "average='yes'": lambda: readout(average="yes"),
    "a learner without readout": lambda: Learner(cells()),
    "a readout without target": lambda: Learner(readout(target=None)),
    "an optimizer without updates": lambda: learner(optimizer=Adam(0.1)),
    "an optimizer by name": lambda: learner(optimizer="adam", update_every=10 * ms),
    "updates without unit": lambda: learner(optimizer=Adam(0.1), update_every=10),
    "updates that do not fit trials": lambda: learner(
        optimizer=Adam(0.1), update_every=6 * ms, reset_every=10 * ms
    ),
    "a feedback that is not there": lambda: learner(feedback="fixed"),
    "feedback of the wrong shape": lambda: learner(feedback=np.ones((2, 3))),
    "feedback that is nan": lambda: learner(feedback=np.full((1, 3), np.nan)),
    "a learning window without trials": lambda: learner(learning_window=5 * ms),
    "a learning window longer than a trial": lambda: learner(
        learning_window=20 * ms, reset_every=10 * ms
    ),
    "one regularizer": lambda: learner(regularizers=FiringRateRegularizer()),
    # losses on the neurons
    "a loss with a unit": lambda: loss("(v - 3*mV)**2"),
    "a loss of another unit": lambda: loss("(v - 3)**2"),
    "a loss that draws": lambda: loss("v/mV*randn()"),
    "a loss that is a condition": lambda: loss("v > 3*mV"),
    "a loss without derivative": lambda: loss("int(v > 3*mV)"),
    "a loss on what is not there": lambda: loss("(u - 1)**2"),
    "a loss on no state": lambda: loss("i + 1"),
    "a loss that is no expression": lambda: loss("(v -"),
    "a loss on a part of a group": loss_on_a_part,
    "a loss on no group": lambda: Loss("cells", "v/mV"),
    "a loss on a readout": lambda: Loss(readout(), "y**2"),
    "a loss with data of another dt": lambda: loss(data=TimedArray(np.zeros((10, 2)), dt=2 * ms)),
    "a loss with data that are nan": lambda: loss(
        data=TimedArray(np.full((10, 2), np.nan), dt=1 * ms)
    ),
    "a loss with columns for others": lambda: loss(data=TimedArray(np.zeros((10, 9)), dt=1 * ms)),
    "a loss compared with an array": lambda: loss("(v/mV - data)**2", np.ones(3)),
    "a loss at an unknown moment": lambda: loss(when="resets"),
    "a loss in half a window": lambda: loss(window=5 * ms),
    "a loss in a window that ends early": lambda: loss(window=(5 * ms, 2 * ms)),
    "a loss in a window without trials": lambda: learner(losses=[loss(window=(0 * ms, 5 * ms))]),
    "a loss with a period of half steps": lambda: loss(period=1.5 * ms),
    "one loss": lambda: learner(losses=loss()),
    "losses as text": lambda: learner(losses=["v/mV"]),
    "neither readout nor losses": lambda: Learner(),
    # fits
    "a fit of a network of arrays": lambda: eprop.fit(net()),
    "a fit without optimizer": lambda: eprop.fit(learner()),
    "a fit without network": lambda: fitted(),
    "a fit of a group": lambda: fitted(network=plain()),
    "a fit of another network": lambda: fitted(network=Network()),
    "a fit with a penalty on rates": lambda: fitted(regularizers=[FiringRateRegularizer()]),
    "a fit with adaptive feedback": lambda: fitted(feedback="adaptive"),
    "a fit of half a trial": lambda: fitted(reset_every=20 * ms),
    "a fit that trains nothing": lambda: fitted(into_network=True),
    "recorded signals of another dt": lambda: signals([Signal(np.zeros((5, 2)), 2 * ms)]),
    "recorded signals that are too short": lambda: signals([X[:4]]),
    "recorded signals that are too long": lambda: signals([X, X]),
    "recorded signals with a gap": lambda: signals([np.full((5, 2), np.nan)]),
    "recorded signals of one more neuron": lambda: signals([np.zeros((5, 2)), np.zeros((5, 3))]),
    "recorded signals of two units": lambda: signals([np.zeros((5, 2)), np.zeros((5, 2)) * mV]),
    "recorded signals of an unknown unit": lambda: signals(
        [Signal(np.zeros((5, 2)), 1 * ms, "furlong")]
    ),
    "one recorded signal": lambda: signals(Signal(np.zeros((5, 2)), 1 * ms)),
    "no recorded signals": lambda: signals([]),
    "recorded signals that are text": lambda: signals(["a"]),
    "recorded spikes after the trial": lambda: spikes([[[1, 6] * ms]]),
    "recorded spikes before the trial": lambda: spikes([[[-1, 3] * ms]]),
    "recorded spikes in one step": lambda: spikes([[[1, 1.5] * ms]]),
    "recorded spikes of one more neuron": lambda: spikes([[[1] * ms], [[1] * ms, [2] * ms]]),
    "recorded spikes of too many neurons": lambda: spikes([[[1] * ms, [2] * ms]], n=1),
    "recorded spikes in volts": lambda: spikes([[[1, 2] * mV]]),
    "recorded spikes that are a number": lambda: spikes([3]),
    "a decay of 1": lambda: learner(feedback="adaptive", feedback_decay=1.0),
    "a decay of random feedback": lambda: learner(feedback="random", feedback_decay=0.1),
    "one trained parameter as text": lambda: learner(trainable="tau_m"),
    "a negative seed": lambda: learner(seed=-1),
    # synapses
    "synapses without learner": lambda: TrainableSynapses(cells()),
    "synapses of the class of learners": lambda: TrainableSynapses(cells(), learner=Learner),
    "synapses from an array": lambda: TrainableSynapses(X, cells(), learner=learner()),
    "synapses onto inputs": lambda: TrainableSynapses(
        cells(), PoissonGroup(3, 10 * Hz, name="noise"), learner=learner()
    ),
    "a weight that is no parameter": lambda: synapses(model="g : 1"),
    "a weight that is constant": lambda: synapses(model="w : 1 (constant)"),
    "a model of synapses that is none": lambda: synapses(model="w"),
    "on_pre that is none": lambda: synapses(on_pre="v_post + w"),
    "on_pre without weight": lambda: synapses(on_pre="v_post += 1"),
    "on_pre of a name that is not there": lambda: synapses(on_pre="u_post += w"),
    "on_pre that multiplies": lambda: synapses(on_pre="v_post *= w"),
    "an arrival that is not there": lambda: synapses(arrival="groups"),
    "bounds without optimizer": lambda: synapses(bounds=(0, 1)),
    "a delay without unit": lambda: synapses(delay=2),
    "a negative delay": lambda: synapses(delay=-2 * ms),
    "neurons without surrogate": lambda: synapses(plain(), on_pre="v_post += w*mV"),
    "a surrogate of the wrong unit": lambda: synapses(
        plain(), EProp(surrogate=PiecewiseLinear(0.3, 1.0)), on_pre="v_post += w*mV"
    ),
    "neurons without threshold": lambda: synapses(
        NeuronGroup(2, "v : 1", name="mine", namespace={})
    ),
    "weights that are nan": lambda: _weights(np.nan),
    "equations that linearize to nothing": lambda: linearize("lif"),
    "a path through what is not reset": lambda: linearize(cells(), reset_path={"u": "explicit"}),
    # networks from arrays
    "no inputs": lambda: RecurrentNetwork("lif", 0, 3, 1),
    "a network of a model that is not there": lambda: RecurrentNetwork("liff", 2, 3, 1),
    "populations that do not add up": lambda: RecurrentNetwork([("lif", 2, {})], 2, 3, 1),
    "a population without parameters": lambda: RecurrentNetwork([("lif", 3)], 2, 3, 1),
    "a parameter that no model has": lambda: population(tau=20 * ms),
    "a step without unit": lambda: net(dt=1),
    "a step that is a weight": lambda: net(dt=1 * nS),
    "a loss by another name": lambda: net(loss="crossentropy"),
    "a matrix by another name": lambda: net(weights={"win": np.ones((2, 3))}),
    "a matrix that is transposed": lambda: net(weights={"w_in": np.ones((3, 2))}),
    "a matrix with unit": lambda: net(weights={"w_in": np.ones((2, 3)) * mV}),
    "a matrix that is nan": lambda: net(weights={"w_in": np.full((2, 3), np.nan)}),
    "a mask of numbers": lambda: net(connectivity={"w_rec": np.ones((3, 3))}),
    "a sparse matrix in another format": lambda: net(weights={"w_rec": dok_array((3, 3))}),
    "a synapse that is given twice": lambda: net(
        weights={"w_rec": coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(3, 3))}
    ),
    "a sparse matrix that is transposed": lambda: net(weights={"w_in": csr_array((3, 2))}),
    "a sparse mask of numbers": lambda: net(connectivity={"w_rec": csr_array(np.ones((3, 3)))}),
    "sparse weights and another sparse mask": lambda: net(
        weights={"w_rec": csr_array(np.ones((3, 3)))},
        connectivity={"w_rec": csr_array(np.eye(3, dtype=bool))},
    ),
    "sparse weights and a dense mask": lambda: net(
        weights={"w_rec": csr_array(np.ones((3, 3)))},
        connectivity={"w_rec": np.ones((3, 3), dtype=bool)},
    ),
    "a delay where there is no synapse": lambda: net(
        connectivity={"w_rec": csr_array(np.eye(3, dtype=bool))},
        delays={"w_rec": csr_array(np.ones((3, 3))) * ms},
    ),
    "adaptive feedback along sparse weights": lambda: net(
        weights={"w_out": csr_array(np.ones((3, 1)))}, feedback="adaptive"
    ),
    "a delay between two steps": lambda: net(delays={"w_rec": 1.5 * ms}),
    "a delay for what has none": lambda: net(delays={"feedback": 1 * ms}),
    "a rule by name": lambda: net(rule="eprop"),
    "a learning rate with unit": lambda: net(optimizer=Adam(1 * mV)),
    "a parameter that cannot be trained": lambda: net(trainable=["tau_x"]),
    "bounds of a time constant from 0": lambda: net(trainable={"tau_m": (0 * ms, 9 * ms)}),
    "a constraint alone": lambda: net(constraints=Bounds(0.0, 1.0)),
    "Dale's law for a population too many": lambda: net(constraints=[DaleLaw([1])]),
    "a method that does not suit": lambda: RecurrentNetwork(
        [("adex", 3, {"method": "exact"})], 2, 3, 1, dt=0.1 * ms
    ).simulate(X),
    "inputs of the wrong width": lambda: net().gradients(np.ones((10, 3)), Y),
    "inputs that are rates": lambda: net().gradients(X * 0.5, Y),
    "targets that are too short": lambda: net().gradients(X, Y[:5]),
    "targets that are nan": lambda: net().gradients(X, NAN),
    "targets that are no probabilities": lambda: net(loss="cross_entropy").gradients(X, Y),
    "a window longer than the trial": lambda: net().gradients(X, Y, learning_window=11),
    "a window in milliseconds": lambda: net().gradients(X, Y, learning_window=5 * ms),
    "delays without bounds": lambda: net(trainable_delays=["w_rec"]),
    "delays that may come to be negative": lambda: net(
        trainable_delays={"w_rec": (-1 * ms, 5 * ms)}
    ),
    "delays of what has none": lambda: net(trainable_delays={"feedback": (0 * ms, 5 * ms)}),
    "delays that may outgrow the trial": lambda: net(
        trainable_delays={"w_rec": (0 * ms, 50 * ms)}
    ).gradients(X, Y),
    "a delay longer than the trial": lambda: net(delays={"w_rec": 20 * ms}).gradients(X, Y),
    "a batch to record": lambda: net().record(np.stack([X, X]), np.stack([Y, Y])),
    "a neuron too many to record": lambda: net().record(X, Y, neurons=[3]),
    "a weight that was set to nan": lambda: _set_weight(np.nan),
    "gradients that are an array": lambda: net().apply(X),
    "an update without optimizer": lambda: net(optimizer=None).apply(net().gradients(X, Y)),
    "training on nothing": lambda: net().fit(Deaf(), 1),
    "training on inputs that do not fit": lambda: net().fit(Endless(), 1),
    "no iterations": lambda: net().fit(Endless(), 0),
    "patience without evaluation": lambda: net().fit(Endless(), 1, patience=2),
    "a goal without metric": lambda: net().fit(Endless(), 1, goal=0.1),
    "a largest rate without unit": lambda: net().fit(Endless(), 1, max_rate=200),
    "workers: none": lambda: net().fit(Endless(), 1, workers=0),
    "threads: none": lambda: net().gradients(X, Y, threads=0),
    "threads without a program": lambda: net().fit(Endless(), 1, threads=2),
    # files
    "a network that was not saved": lambda: RecurrentNetwork.load("mine.npz"),
    "half a network": lambda: damaged_file(RecurrentNetwork.load, "mine.npz"),
    "half a recording": lambda: damaged_file(Recording.load, "trial.nc"),
    "a recording of nan": lambda: recording(readout=NAN),
    "a recording of two lengths": lambda: recording(inputs=X[:5]),
    # tasks and configurations
    "a task that is not there": lambda: load_task("evidence-acumulation"),
    "an option that a task does not have": lambda: load_task("temporal_xor", cues=3),
    "an option without unit": lambda: load_task("temporal_xor", cue=20),
    "a rate that is too high": lambda: load_task("temporal_xor", rate=5000 * Hz),
    "a configuration without task": lambda: configuration("seed = 1"),
    "a configuration that is not TOML": lambda: configuration("task = "),
    "a key that is not there": lambda: configuration(LINES + "sed = 1"),
    "a key of the setup that is not there": lambda: configuration(LINES + "[setup]\nbatch = 3"),
    "a device that is not there": lambda: configuration(LINES + 'device = "gpu"'),
    "iterations as text": lambda: configuration(LINES + '[setup]\niterations = "many"'),
}


def _weights(value):
    one = synapses(name="recurrent")
    one.connect()
    one.w = value


def _set_weight(value):
    one = net()
    one.weights["w_in"][1, 2] = value
    one.simulate(X)


def error_of(call):
    """What a call raises; None if nothing."""
    try:
        call()
    except Exception as error:
        return error
    return None


#: What Brian2 says of a syntax error, up to our remedy.
BRIAN2_SAYS = r"(they do not parse:|statement failed:|Parsing failed).+?(?=; |$)"


def messages():
    """What each bad input gives, without the names of folders that differ each time, and without
    what Brian2 says of a syntax error, which differs by its version."""
    defaultclock.dt = 1 * ms
    found = {}
    for what, call in BAD_INPUTS.items():
        error = error_of(call)
        said = "nothing" if error is None else f"{type(error).__name__}: {error}"
        said = re.sub(rf"{tempfile.gettempdir()}/\w+", "…", said)
        found[what] = re.sub(BRIAN2_SAYS, r"\1 …", said)
    return found


def as_text(found):
    return "".join(f"# {what}\n{said}\n\n" for what, said in found.items())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    BrianLogger.suppress_hierarchy("brian2")
    prefs.codegen.target = "numpy"
    MESSAGES.write_text(as_text(messages()), encoding="utf-8")
