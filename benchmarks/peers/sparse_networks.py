"""Sparse networks in the hands of several programs: what the benchmark of scale compares.

Every way is a function of a problem, the order of the rule and a number of calls, which returns
`Measured`. It runs in a process of its own.
"""

import os
import subprocess
import tempfile
import time
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    defaultclock,
    device,
    ms,
    prefs,
    set_device,
)
from scipy.sparse import coo_array, csc_array, csr_array

from brian_eprop import (
    EProp,
    LeakyReadout,
    Learner,
    RecurrentNetwork,
    TrainableSynapses,
    load_model,
)
from peers.brian_networks import program_clocks

__all__ = ["WAYS", "Measured", "Problem", "memory"]

STEPS, N_IN = 500, 100
#: Synapses of each neuron: onto other neurons, and from inputs; one more goes to the readout.
OUTGOING, INCOMING = 90, 9
#: Standard deviations of the weights, times √(synapses of a neuron): about 15 spikes/s.
GAINS = {"w_in": 0.55, "w_rec": 0.55, "w_out": 0.03}
TAU = 30 * ms


class Measured(NamedTuple):
    """What a way took.

    Attributes
    ----------
    seconds : list of float
        Processor time of each call, in Python and in the program that computes.
    inside : list of float or None
        Of the simulation alone.
    program_bytes : int
        Largest memory of the program that was compiled, but for what Python sees as well.
    spikes : int
        Of the recurrent neurons, in one call.
    """

    seconds: list
    inside: list | None
    program_bytes: int
    spikes: int


class Problem:
    """n neurons with 100 synapses each, and a trial.

    Attributes
    ----------
    weights : dict of str to csr_array or ndarray
    inputs : (T, n_in) bool array
    targets : (T, 1) array
    """

    def __init__(self, model, n):
        self.model, self.n = model, n
        rng = np.random.default_rng(0)

        def matrix(name, kind, each, chosen, shape):
            values = GAINS[name] * rng.standard_normal(chosen.size) / np.sqrt(each)
            ends = np.arange(0, chosen.size + 1, each, dtype=np.int32)
            return kind((values, chosen.astype(np.int32).ravel(), ends), shape=shape)

        # The others in a circle, beginning with the next one
        others = np.arange(n)[:, np.newaxis] + 1 + _different(rng, n, n - 1, OUTGOING)
        others = np.sort(others % n, axis=1)
        channels = _different(rng, n, N_IN, INCOMING)
        self.weights = {
            "w_rec": matrix("w_rec", csr_array, OUTGOING, others, (n, n)),
            "w_in": csr_array(matrix("w_in", csc_array, INCOMING, channels, (N_IN, n))),
            "w_out": GAINS["w_out"] * rng.standard_normal((n, 1)) / np.sqrt(n),
        }
        self.inputs = rng.random((STEPS, N_IN)) < 0.05
        self.inputs[:2] = False  # NEST loses something of the first two steps
        self.targets = rng.standard_normal((STEPS, 1))

    @property
    def synapses(self):
        """How many there are."""
        return self.n * (OUTGOING + INCOMING + 1)

    def events(self, spikes):
        """How often spikes arrive at synapses in a trial with so many recurrent spikes."""
        arriving = self.inputs.sum(axis=0) @ np.diff(self.weights["w_in"].indptr)
        return int(arriving) + spikes * (OUTGOING + 1)


def _different(rng, rows, among, number):
    """So many different ones of a range in each row, rising: one of each of as many parts."""
    width = among // number
    return width * np.arange(number) + rng.integers(0, width, (rows, number))


def memory(pid="self"):
    """Memory of a process, in bytes, as Linux says: the most, the present, and of this shared."""
    with open(f"/proc/{pid}/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return [1024 * int(found[name].split()[0]) for name in ("VmHWM", "VmRSS", "RssShmem")]


def arrays(problem, order, calls):
    """A RecurrentNetwork as a compiled program: gradients from sparse arrays."""
    set_device("cpp_standalone", build_on_run=False)
    network = RecurrentNetwork(
        [(problem.model, problem.n, {"tau_m": TAU})],
        *(N_IN, problem.n, 1),
        tau_out=TAU,
        weights=problem.weights,
        rule=EProp(order=order),
    )
    seconds, inside = [], []
    for _ in range(calls):
        before = time.process_time()
        found = network.gradients(problem.inputs, problem.targets)
        after = time.process_time()
        simulation, program = program_clocks(network)
        seconds.append(after - before + program)
        inside.append(simulation)
    (compiled,) = network._networks.values()
    most, _, shared = memory(compiled.programs[0].process.pid)
    return Measured(seconds, inside, most - shared, int(found.spikes.sum()))


def script(problem, order, calls):
    """A script of Brian2 with TrainableSynapses, which a compiled program runs."""
    set_device("cpp_standalone", build_on_run=False, directory=None)
    defaultclock.dt = 1 * ms
    readout = LeakyReadout(1, TAU, target=problem.targets.ravel())
    learner = Learner(readout, rule=EProp(order=order), reset_every=STEPS * ms)
    return _script(problem, calls, readout, TrainableSynapses, learner=learner)


def brian2(problem, order, calls):
    """The same script with the Synapses of Brian2, which learn nothing."""
    set_device("cpp_standalone", build_on_run=False, directory=None)
    defaultclock.dt = 1 * ms
    readout = NeuronGroup(1, "dy/dt = -y/tau : 1", method="exact", namespace={"tau": TAU})
    return _script(problem, calls, readout, Synapses)


def _script(problem, calls, readout, kind, **options):
    """Measure the program of a script with synapses of a kind."""
    # Brian2 compiles all files at once, whatever the machine
    prefs.devices.cpp_standalone.extra_make_args_unix = [f"-j{os.cpu_count()}"]
    model, (steps, channels) = load_model(problem.model), np.nonzero(problem.inputs)
    neurons = model.group(problem.n, tau_m=TAU)
    inputs = SpikeGeneratorGroup(N_IN, channels, steps * ms)
    network = Network(readout, neurons, inputs, SpikeMonitor(neurons, record=False, name="fired"))
    for name, pre, post, on_pre in (
        ("w_out", neurons, readout, "y_post += w"),
        ("w_in", inputs, neurons, model.on_pre),
        ("w_rec", neurons, neurons, model.on_pre),
    ):
        entries = coo_array(problem.weights[name])
        synapses = kind(pre, post, "w : 1", on_pre=on_pre, **options)
        synapses.connect(i=entries.row, j=entries.col)
        synapses.w = entries.data
        network.add(synapses)
    device.insert_code("before_network_run", "const std::clock_t started = std::clock();")
    device.insert_code(
        "after_network_run",
        "std::cout << (double)(std::clock() - started)/CLOCKS_PER_SEC << std::endl"
        " << _array_fired_N[0] << std::endl;",
    )
    # not ru_maxrss, which begins with the memory of whoever started a program
    device.insert_code(
        "after_end",
        'std::ifstream status("/proc/self/status");'
        "for (std::string line; std::getline(status, line);)"
        ' if (line.rfind("VmHWM:", 0) == 0) std::cout << std::stol(line.substr(6)) << std::endl;',
    )
    network.run(STEPS * ms)
    device.build(**dict(device.build_options) | {"run": False})
    seconds, inside, most = [], [], 0
    for _ in range(calls):
        with tempfile.TemporaryFile() as printed:
            program = subprocess.Popen(["./main"], cwd=device.project_dir, stdout=printed)
            _, status, used = os.wait4(program.pid, 0)
            program.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            simulated, spikes, kilobytes = map(float, printed.read().split())
        seconds.append(used.ru_utime + used.ru_stime)
        inside.append(simulated)
        most = max(most, 1024 * int(kilobytes))
    device.delete(force=True)
    return Measured(seconds, inside, most, int(spikes))


def nest(problem, order, calls):
    """NEST's e-prop, in this process."""
    from peers.nest_network import gradient_of

    model, n = load_model(problem.model), problem.n
    parameters = {"beta": 0.0, "tau_a": TAU} | dict(model.parameters) | {"tau_m": TAU}
    each = {
        "alpha": np.exp(-ms / parameters["tau_m"]),
        "rho": np.exp(-ms / parameters["tau_a"]),
        "beta": parameters["beta"],
        "v_th": parameters["v_th"],
        "n_ref": parameters["t_ref"] / ms,
        "surrogate_height": 0.3 / parameters["v_th"],
        "surrogate_width": parameters["v_th"],
        "rate_target": 0.0,
        "rate_strength": 0.0,
    }
    network = SimpleNamespace(
        **problem.weights,
        **{name: np.full(n, float(value)) for name, value in each.items()},
        **{"n_in": N_IN, "n_rec": n, "kappa": float(np.exp(-ms / TAU)), "readout_gain": 1.0},
        **{"loss": "mse", "average": False, "feedback": None},
    )
    inputs, targets = problem.inputs[np.newaxis], problem.targets[np.newaxis]
    call, seconds = gradient_of(network, inputs, targets, STEPS, "e-prop"), []
    for _ in range(calls):
        before = time.process_time()
        found = call()
        seconds.append(time.process_time() - before)
    return Measured(seconds, None, 0, round(float(found.rate) * STEPS * n))


#: What is compared: how it is called, what must be importable, and the function.
WAYS = {
    "arrays": ("arrays", "brian_eprop", arrays),
    "script": ("Brian2 script", "brian_eprop", script),
    "brian2": ("Brian2, no learning", "brian2", brian2),
    "nest": ("NEST e-prop", "nest", nest),
}
