"""A program that mypy --strict accepts: what users write, with the types that they get."""

from pathlib import Path

import numpy as np
from brian2 import Hz, SpikeGeneratorGroup, ms, second
from numpy.typing import NDArray

from brian_eprop import (
    BPTT,
    Adam,
    Bounds,
    CosineDecay,
    DaleLaw,
    EProp,
    FiringRateRegularizer,
    Gradients,
    LeakyReadout,
    Learner,
    ParameterTraining,
    PiecewiseLinear,
    RecurrentNetwork,
    TrainableSynapses,
    linearize,
    load_model,
    reference,
)
from brian_eprop.checks import Entry
from brian_eprop.plotting import plot_learning_curve, plot_trial
from brian_eprop.reward import Agent
from brian_eprop.runs import Configuration, Result, train


class Echo:
    """A task of the user's, without any base class."""

    def sample(
        self, rng: np.random.Generator, batch: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        inputs = rng.random((batch, 50, 4)) < 0.1
        return inputs, inputs[..., :2].astype(float)

    def metric(self, outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
        return float(np.mean((outputs - targets) ** 2))


class Bandit:
    """An environment of the user's."""

    n_in, n_actions = 4, 2

    def reset(self, seed: int | None = None) -> tuple[NDArray[np.float64], dict[str, object]]:
        return np.full(4, 0.1), {}

    def step(self, action: int) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, object]]:
        return np.full(4, 0.1), float(action), True, False, {}


class Triangle:
    """A surrogate of the user's."""

    def expression(self, x: str) -> str:
        return f"0.3*clip(1 - abs({x}), 0, 1)"


def progress(entry: Entry) -> None:
    print(entry["iteration"], entry["loss"])


def from_arrays() -> float:
    network = RecurrentNetwork(
        [("lif", 6, {"tau_m": 30 * ms}), ("alif", 4, {})],
        n_in=4,
        n_rec=10,
        n_out=2,
        rule=EProp(order=2, surrogate=PiecewiseLinear(0.3, 0.6), reset_path={"v": "explicit"}),
        optimizer=Adam(CosineDecay(1e-2, 1e-3, over=100)),
        regularizers=[FiringRateRegularizer(10 * Hz, 0.5)],
        trainable={"tau_m": (5 * ms, 50 * ms), "beta": ParameterTraining()},
        constraints=[DaleLaw([1]), Bounds(low=-1, matrices=["w_in"])],
        delays={"w_rec": 2 * ms},
        feedback="random",
        seed=1,
    )
    inputs, targets = Echo().sample(np.random.default_rng(0), 3)
    found: Gradients = network.gradients(inputs, targets, learning_window=20)
    network.weights["w_rec"] -= 1e-3 * found.w_rec
    history = network.fit(Echo(), 10, 2, [progress], seed=3, workers=2)
    plot_learning_curve(history, quantity="rate").set_title("rate")
    plot_trial(network.record(inputs[0], targets[0])).savefig("trial.png")
    network.save(Path("network.npz"))
    score: float = RecurrentNetwork.load("network.npz").evaluate(Echo(), inputs, targets)
    spikes: NDArray[np.bool_] = network.simulate(inputs).spikes
    exact = reference.gradients(network, inputs, targets, "bptt")
    return score + float(spikes.mean()) + float(exact.w_rec.max())


def in_brian() -> NDArray[np.float64]:
    source = SpikeGeneratorGroup(4, [0], [0] * ms)
    neurons = load_model("lif").group(10, v_th=0.5)
    readout = LeakyReadout(1, tau=20 * ms, target=np.zeros(100))
    surrogate = Triangle()
    learner = Learner(
        readout,
        rule=BPTT(surrogate),
        feedback=np.ones((1, 10)),
        optimizer=Adam(1e-3),
        update_every=1 * second,
        reset_every=1 * second,
    )
    synapses = TrainableSynapses(source, neurons, learner=learner, bounds=(0, 1))
    synapses.connect(p=0.5)
    print(linearize(neurons, surrogate).A)
    return np.asarray(synapses.w)


def with_rewards() -> float:
    network = RecurrentNetwork("lif", 4, 10, 3, rule=EProp(engine="traces"), optimizer=Adam(1e-3))
    agent = Agent(network, Bandit(), discount=0.9, seed=1)
    agent.learn(10, [print])
    return float(agent.evaluate(5, greedy=True).mean())


def a_run(folder: Path) -> Result:
    configuration = Configuration.of_task("store_recall").changed(seed=2, device="runtime")
    return train(configuration, folder, figures="svg")
