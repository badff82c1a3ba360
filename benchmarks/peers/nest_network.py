"""The original e-prop family of NEST: models ``eprop_*_bsshslm_2020``, one thread.

Trials follow one another in one simulation; a synapse gets the gradient of a trial at its first
spike in a later one. As NEST knows times, a step is a millisecond here.
"""

from itertools import groupby

import nest
import numpy as np
from scipy.sparse import issparse

from peers import Found, trials

__all__ = ["NestNetwork", "gradient_of", "once"]

SYNAPSE = "eprop_synapse_bsshslm_2020"
STEP = {"delay": 1.0}
#: Steps from one of the generators to the recurrent neurons, the readout, and its softmax.
GENERATOR, DELAYS = 1, 3
#: How many calls the generators have spikes for.
CALLS = 20


class NestNetwork:
    """A network and all the trials that it will see.

    Parameters
    ----------
    network : brian_eprop.reference.SpikingNetwork
        Or any object with its attributes. All-to-all without autapses, or sparse; triangular ψ.
    inputs : (calls, batch, T, n_in) bool ndarray
    targets : (calls, batch, T, n_out) ndarray
    window : int
        Number of last steps that count.
    optimizer : dict
        NEST's parameters of it.

    Attributes
    ----------
    scale : float
        NEST's weights of readout and feedback are those of the network times this.
    """

    def __init__(self, network, inputs, targets, window, optimizer):
        # NEST's readout and traces have the gain 1 − κ; another one is in the weights after it
        self.scale = network.readout_gain / (1 - network.kappa)
        self.calls, self.batch, self.steps, _ = inputs.shape
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.ResetKernel()
        nest.set(
            resolution=1.0,
            local_num_threads=1,
            eprop_update_interval=float(self.steps),
            eprop_learning_window=float(window),
            eprop_reset_neurons_on_update=True,
        )
        self.sources = nest.Create("parrot_neuron", network.n_in)
        self.neurons = recurrent_neurons(network)
        self.readout = nest.Create(
            "eprop_readout_bsshslm_2020",
            network.w_out.shape[1],
            {
                "C_m": 1.0,
                "E_L": 0.0,
                "V_m": 0.0,
                "tau_m": steps_of(network.kappa),
                "loss": {"mse": "mean_squared_error"}.get(network.loss, network.loss),
                "regular_spike_arrival": False,
            },
        )
        self._connect(network, optimizer | {"batch_size": self.batch})
        self._generate(*(x.reshape(-1, x.shape[-1]) for x in (inputs, targets)))
        self.recorder = nest.Create("spike_recorder")
        nest.Connect(self.neurons, self.recorder)
        self.done = 0

    def _connect(self, network, optimizer):
        common = {"optimizer": optimizer, "average_gradient": network.average}
        nest.SetDefaults(SYNAPSE, common)
        plastic = {"synapse_model": SYNAPSE, "tau_m_readout": steps_of(network.kappa)} | STEP
        dense = {"rule": "all_to_all", "allow_autapses": False}
        feedback = network.w_out.T if network.feedback is None else network.feedback
        feedback, w_out = self.scale * feedback, self.scale * network.w_out
        broadcast = {"synapse_model": "eprop_learning_signal_connection_bsshslm_2020"} | STEP
        for pre, post, weights, synapse in (
            (self.sources, self.neurons, network.w_in, plastic),
            (self.neurons, self.neurons, network.w_rec, plastic),
            (self.neurons, self.readout, w_out, plastic),
            (self.readout, self.neurons, feedback, broadcast),
        ):
            if issparse(weights):
                connect_sparse(pre, post, weights, synapse)
            else:
                weights = np.ascontiguousarray(weights.T)
                nest.Connect(pre, post, dense, synapse | {"weight": weights})
        if network.loss == "cross_entropy":
            softmax = {"synapse_model": "rate_connection_delayed", "receptor_type": 1} | STEP
            nest.Connect(self.readout, self.readout, dense, softmax)

    def _generate(self, inputs, targets):
        """Let generators have all steps of all trials, (steps, n_in) and (steps, n_out)."""
        spikes = nest.Create("spike_generator", inputs.shape[1])
        spikes.set([{"spike_times": np.flatnonzero(x) + float(GENERATOR)} for x in inputs.T])
        nest.Connect(spikes, self.sources, "one_to_one", STEP)
        signal = nest.Create("step_rate_generator", targets.shape[1])
        times = np.arange(len(targets)) + float(GENERATOR + DELAYS)
        signal.set([{"amplitude_times": times, "amplitude_values": y} for y in targets.T])
        into_target = {"synapse_model": "rate_connection_delayed", "receptor_type": 2} | STEP
        nest.Connect(signal, self.readout, "one_to_one", into_target)

    def run(self):
        """Simulate the trials of the next call; return spikes per neuron and step up to now."""
        if self.done == self.calls:
            raise RuntimeError(f"the generators have spikes for {self.calls} calls only")
        # the readout's last step of the first call is over so much later
        late = 0 if self.done else GENERATOR + DELAYS + 1
        nest.Simulate(float(self.batch * self.steps + late))
        self.done += 1
        simulated = self.done * self.batch * self.steps * len(self.neurons)
        return self.recorder.n_events / simulated

    def weights(self):
        """Present weights by block, (n_pre, n_post)."""
        found = {}
        for name, pre, post in (
            ("w_in", self.sources, self.neurons),
            ("w_rec", self.neurons, self.neurons),
            ("w_out", self.neurons, self.readout),
        ):
            of = nest.GetConnections(pre, post, SYNAPSE).get(["source", "target", "weight"])
            rows = np.asarray(of["source"]) - pre[0].global_id
            columns = np.asarray(of["target"]) - post[0].global_id
            found[name] = np.zeros((len(pre), len(post)))
            found[name][rows, columns] = of["weight"]
        return found


def connect_sparse(pre, post, weights, synapse):
    """The synapses of a sparse matrix, which NEST takes as pairs of neurons."""
    pairs = weights.tocoo()
    ends = (np.array(group.tolist())[k] for group, k in ((pre, pairs.row), (post, pairs.col)))
    delays = np.full(pairs.nnz, synapse["delay"])
    synapse = synapse | {"weight": pairs.data, "delay": delays}
    nest.Connect(*ends, "one_to_one", synapse)


def steps_of(decay):
    """Time constant of a decay per step."""
    return float(-1 / np.log(decay))


def recurrent_neurons(network):
    """LIF where β = 0, ALIF elsewhere, in populations of neighbours of one kind."""
    populations = []
    for adaptive, own in groupby(range(network.n_rec), lambda j: bool(network.beta[j])):
        own = list(own)
        kind = "eprop_iaf_adapt_bsshslm_2020" if adaptive else "eprop_iaf_bsshslm_2020"
        values = {
            "V_th": network.v_th,
            "tau_m": -1 / np.log(network.alpha),
            "t_ref": network.n_ref.astype(float),
            "surrogate_gradient_height": network.surrogate_height,
            "surrogate_gradient_width": network.surrogate_width,
            "f_target": 1000 * network.rate_target,
            "c_reg": network.rate_strength,
        }
        if adaptive:
            values |= {"adapt_beta": network.beta, "adapt_tau": -1 / np.log(network.rho)}
        common = {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "regular_spike_arrival": True}
        common["surrogate_gradient_function"] = "piecewise_linear"
        population = nest.Create(kind, len(own), common)
        population.set({name: array[own].tolist() for name, array in values.items()})
        populations.append(population)
    return sum(populations[1:], populations[0])


def gradient_of(network, inputs, targets, window, kind):
    """A call that runs all trials with learning at the rate 0: weights and spikes stay the same.

    It may be called `CALLS` times; see :func:`.jax_networks.gradient_of`.
    """
    repeated = [np.broadcast_to(x, (CALLS, *x.shape)) for x in (inputs, targets)]
    running = NestNetwork(network, *repeated, window, {"type": "gradient_descent", "eta": 0.0})
    return lambda: Found({}, None, running.run())


def once(network, inputs, targets, window):
    """The gradient, read from weights before and after one update of size 1."""
    optimizer = {"type": "gradient_descent", "eta": 1.0}
    running = NestNetwork(network, inputs[None], targets[None], window, optimizer)
    last = float(np.prod(inputs.shape[:2]) + DELAYS)
    final = nest.Create("spike_generator", 1, {"spike_times": [last]})
    nest.Connect(final, running.sources + running.neurons, "all_to_all", {"weight": 1000.0})
    before = running.weights()
    rate = running.run()
    after = running.weights()
    gradients = {name: before[name] - after[name] for name in before}
    gradients["w_out"] *= running.scale
    return Found(gradients, None, rate)


def train(network, task, batch, iterations, kind):
    """Train with Adam; see :func:`.jax_networks.train`. NEST's losses are not recorded.

    The learning rate of the readout is that of NEST's weights, see `NestNetwork.scale`.
    """
    drawn = [trials(task, batch, k) for k in range(iterations)]
    inputs, targets = (np.stack(values) for values in zip(*drawn, strict=True))
    window = getattr(task, "learning_window", task.steps)
    adam = {name: getattr(network.optimizer, name) for name in ("beta_1", "beta_2", "epsilon")}
    adam |= {"type": "adam", "eta": network.optimizer.learning_rate}
    running = NestNetwork(network.reference_network(), inputs, targets, window, adam)
    return ((None, running.run(), None, 0.0) for _ in range(iterations))
