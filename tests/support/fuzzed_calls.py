"""Every public function with arguments that are right, and what is put in place of one of them."""

from __future__ import annotations

import functools

import numpy as np
from brian2 import Hz, Network, NeuronGroup, ms, mV, second
from brian2.units import DimensionMismatchError

import brian_eprop as eprop
from brian_eprop.tasks.digits import Digits

OURS = (ValueError, TypeError, DimensionMismatchError)
STEPS = 8

#: What nobody means, and what somebody means who has misread the documentation.
JUNK = {
    "None": None,
    "nan": np.nan,
    "inf": np.inf,
    "minus_one": -1,
    "zero": 0,
    "fraction": 2.5,
    "huge": 10**30,
    "text": "x",
    "code": "v +",
    "volts": 3 * mV,
    "time": 3 * ms,
    "no_time": 0 * ms,
    "nan_seconds": np.nan * second,
    "two_times": [1, 2] * ms,
    "empty": [],
    "cube": np.zeros((2, 3, 4)),
    "object": object(),
    "true": True,
    "table": {"x": 1},
    "complex": 1j,
    "names": ["x"],
    "bytes": b"x",
}
#: No argument of any function may be one of these.
NEVER = ("object", "complex", "bytes")
#: What a message calls an argument by.
ALIASES = {"name_or_path": "neuron model", "neurons": "neuron model"}


def rng():
    return np.random.default_rng(0)


def surrogate():
    return eprop.PiecewiseLinear(0.3, 1.0)


def readout(**options):
    return eprop.LeakyReadout(1, 20 * ms, target=np.zeros((STEPS, 1)), **options)


def learner(**options):
    return eprop.Learner(readout(), **options)


def lif(n=3):
    return eprop.load_model("lif").group(n)


def network(**options):
    return eprop.RecurrentNetwork("lif", 2, 3, 1, seed=0, optimizer=eprop.Adam(1e-3), **options)


def trial():
    return rng().random((STEPS, 2)) < 0.5, np.zeros((STEPS, 1))


class Echo:
    """A task."""

    def sample(self, rng, batch):
        return rng.random((batch, STEPS, 2)) < 0.5, np.zeros((batch, STEPS, 1))

    def metric(self, outputs, targets):
        return float(np.mean((outputs - targets) ** 2))


def fit_arguments():
    equations = "dv/dt = -v/tau : 1\ntau : second (constant)"
    group = NeuronGroup(3, equations, threshold="v > 1", reset="v = 0", method="exact")
    group.v, group.tau = 0.5, 20 * ms
    made = eprop.Learner(
        rule=eprop.EProp(surrogate=surrogate()),
        losses=[eprop.Loss(group, "v**2")],
        optimizer=eprop.Adam(0.01),
        update_every=STEPS * ms,
        reset_every=STEPS * ms,
        trainable={"tau": (5 * ms, 50 * ms)},
    )
    return dict(
        learner=made,
        network=Network(group),
        iterations=2,
        alignment=None,
        starts=1,
        patience=2,
        tolerance=0.1,
        callbacks=[],
        progress=False,
        seed=1,
    )


def verdict(function, arguments, name, junk):
    """What is wrong with how a function takes junk as one of its arguments; None if nothing is.

    Parameters
    ----------
    function : callable
    arguments : dict
        Right ones.
    name : str
    junk : str
        A key of `JUNK`.
    """
    try:
        function(**(arguments | {name: JUNK[junk]}))
    except OURS as error:
        said = str(error)
        if name not in said and ALIASES.get(name, name) not in said:
            return f"{type(error).__name__} without the name of the argument: {said}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        if junk in NEVER:
            return "accepted"
    return None


def calls():
    """Name → (function, its arguments as a function of nothing)."""

    def shape():
        return dict(height=0.3, width=1.0)

    found = {
        "PiecewiseLinear": (eprop.PiecewiseLinear, shape),
        "Exponential": (eprop.Exponential, shape),
        "FastSigmoid": (eprop.FastSigmoid, shape),
        "Arctan": (eprop.Arctan, shape),
        "Formula": (eprop.Formula, lambda: dict(psi="exp(-abs(x))")),
        "MultiGaussian": (eprop.MultiGaussian, lambda: shape() | dict(h=0.15, s=6.0)),
        "EProp": (
            eprop.EProp,
            lambda: dict(
                order=1, engine="credit", surrogate=surrogate(), reset_path={"v": "implicit"}
            ),
        ),
        **{
            name: (
                getattr(eprop, name),
                lambda name=name: dict(
                    engine="credit", surrogate=surrogate(), reset_path={"v": "implicit"}
                ),
            )
            for name in ("OSTL", "OTTT", "RFLO", "Rule", "SuperSpike")
        },
        "MDGL": (
            eprop.MDGL,
            lambda: dict(
                engine="traces",
                surrogate=surrogate(),
                reset_path={"v": "implicit"},
                modulation="m",
            ),
        ),
        "BPTT": (eprop.BPTT, lambda: dict(surrogate=surrogate(), reset_path={"v": "implicit"})),
        "GradientDescent": (eprop.GradientDescent, lambda: dict(learning_rate=0.1)),
        "Adam": (
            eprop.Adam,
            lambda: dict(learning_rate=0.1, beta_1=0.9, beta_2=0.99, epsilon=1e-8),
        ),
        "StepDecay": (eprop.StepDecay, lambda: dict(start=0.1, factor=0.5, every=3)),
        "CosineDecay": (eprop.CosineDecay, lambda: dict(start=0.1, end=0.01, over=3)),
        "FiringRateRegularizer": (
            eprop.FiringRateRegularizer,
            lambda: dict(target=10 * Hz, strength=1.0),
        ),
        "Loss": (
            eprop.Loss,
            lambda: dict(
                group=lif(),
                expression="v**2",
                strength=1.0,
                window=(1 * ms, 3 * ms),
                when="end",
                period=4 * ms,
                gaps=False,
                namespace={},
            ),
        ),
        "Signal": (
            eprop.Signal,
            lambda: dict(
                equations="L = delayed(error) + m(error) : 1",
                delay=2 * ms,
                matrices={"m": np.eye(3)},
                namespace={},
            ),
        ),
        "TraceFilter": (
            eprop.TraceFilter,
            lambda: dict(
                equations="de_bar/dt = (e_trace - delayed(e_trace))/dt : 1",
                delay=2 * ms,
                namespace={},
            ),
        ),
        "DaleLaw": (eprop.DaleLaw, lambda: dict(inhibitory=[0], matrices=["w_rec"])),
        "Bounds": (eprop.Bounds, lambda: dict(low=0.0, high=1.0, matrices=["w_in"])),
        "WeightDecay": (eprop.WeightDecay, lambda: dict(rate=0.1, matrices=["w_in"])),
        "DeepR": (
            eprop.DeepR,
            lambda: dict(density=0.5, temperature=0.1, l1=0.1, matrices=["w_in"], seed=0),
        ),
        "ParameterTraining": (
            eprop.ParameterTraining,
            lambda: dict(bounds=(1 * ms, 9 * ms), scale=3 * ms, optimizer=eprop.Adam(0.1)),
        ),
        "load_model": (eprop.load_model, lambda: dict(name_or_path="lif")),
        "NeuronModel": (
            eprop.NeuronModel,
            lambda: dict(
                name="mine",
                equations="dv/dt = -v/tau : 1",
                threshold="v > 1",
                reset="v = 0",
                method="exact",
                parameters={"tau": 10 * ms},
                on_pre="v_post += w",
                surrogate=surrogate(),
                refractory="2*ms",
                on_input="v_post += w",
                weight_unit="1",
                initial={"v": "0.5"},
                reset_path={"v": "implicit"},
                description="",
                reference="",
            ),
        ),
        "NeuronModel.group": (
            eprop.load_model("alif").group,
            lambda: dict(
                N=3,
                surrogate=surrogate(),
                tau_m=10 * ms,
                beta=0.1,
                t_ref=2 * ms,
                dt=1 * ms,
                method="exact",
                name="cells",
            ),
        ),
        "LeakyReadout": (
            eprop.LeakyReadout,
            lambda: dict(
                n=1,
                tau=20 * ms,
                loss="mse",
                target=np.zeros((STEPS, 1)),
                period=STEPS * ms,
                normalize=False,
                average=False,
                name="answers",
                dt=1 * ms,
            ),
        ),
        "Learner": (
            eprop.Learner,
            lambda: dict(
                readout=readout(),
                rule=eprop.EProp(),
                feedback="adaptive",
                optimizer=eprop.Adam(0.1),
                regularizers=[eprop.FiringRateRegularizer()],
                signal=None,
                trace_filter=None,
                losses=[],
                update_every=STEPS * ms,
                reset_every=STEPS * ms,
                learning_window=2 * ms,
                learn="t > 1*ms",
                reset=[],
                feedback_decay=0.1,
                trainable=["tau_m"],
                given=[],
                seed=1,
            ),
        ),
        "fit": (eprop.fit, fit_arguments),
        "recorded_signals": (
            eprop.recorded_signals,
            lambda: dict(trials=[np.zeros((STEPS, 2))], trial=STEPS * ms, dt=1 * ms, gaps=False),
        ),
        "recorded_spikes": (
            eprop.recorded_spikes,
            lambda: dict(
                trials=[[[1, 3] * ms, [2] * ms]], trial=STEPS * ms, dt=1 * ms, n=3, name="spikes*"
            ),
        ),
        "TrainableSynapses": (
            eprop.TrainableSynapses,
            lambda: dict(
                source=lif(),
                target=lif(),
                model="w : 1",
                on_pre="v_post += w",
                weight="w",
                learner=learner(optimizer=eprop.Adam(0.1), update_every=STEPS * ms),
                arrival="synapses",
                bounds=(0, 1),
                fixed=False,
                trainable=("w",),
                delay=2 * ms,
                namespace={},
                name="synapses_of_mine",
                method="exact",
                dt=1 * ms,
            ),
        ),
        "linearize": (
            eprop.linearize,
            lambda: dict(
                target=lif(),
                surrogate=surrogate(),
                reset_path={"v": "implicit"},
                on_pre="v_post += w",
                weight="w",
                namespace={},
                synaptic=(),
            ),
        ),
        "fixed_degree": (
            eprop.connectivity.fixed_degree,
            lambda: dict(n_pre=4, n_post=4, degree=2, seed=0, autapses=False, sparse=True),
        ),
        "random_sparse": (
            eprop.connectivity.random_sparse,
            lambda: dict(n_pre=4, n_post=4, density=0.5, seed=0, autapses=False, sparse=True),
        ),
        "layers": (
            eprop.connectivity.layers,
            lambda: dict(sizes=[2, 3], n_in=2, n_out=1, recurrent=True),
        ),
        "Digits": (
            Digits,
            lambda: dict(shown=40 * ms, answer=20 * ms, jitter=0.15, dt=1 * ms),
        ),
        "RecurrentNetwork": (
            eprop.RecurrentNetwork,
            lambda: dict(
                neurons=[("lif", 3, {"tau_m": 10 * ms})],
                n_in=2,
                n_rec=3,
                n_out=1,
                dt=1 * ms,
                tau_out=20 * ms,
                loss="mse",
                normalize=False,
                average=False,
                feedback="adaptive",
                feedback_decay=0.1,
                weights={"w_in": np.ones((2, 3))},
                connectivity={"w_rec": ~np.eye(3, dtype=bool)},
                delays={"w_rec": 2 * ms},
                rule=eprop.EProp(),
                optimizer=eprop.Adam(0.1),
                regularizers=[eprop.FiringRateRegularizer()],
                trainable=["tau_m"],
                trainable_delays={"w_rec": (0 * ms, 2 * ms)},
                constraints=[eprop.WeightDecay(0.1)],
                seed=0,
            ),
        ),
    }
    mine, task = network(), Echo()
    inputs, targets = trial()
    of_mine = functools.cache(lambda: mine.gradients(inputs, targets))
    found |= {
        "RecurrentNetwork.gradients": (
            mine.gradients,
            lambda: dict(inputs=inputs, targets=targets, learning_window=3, threads=1),
        ),
        "RecurrentNetwork.simulate": (mine.simulate, lambda: dict(inputs=inputs, threads=1)),
        "RecurrentNetwork.record": (
            mine.record,
            lambda: dict(
                inputs=inputs,
                targets=targets,
                learning_window=3,
                neurons=2,
                synapses_per_neuron=1,
            ),
        ),
        "RecurrentNetwork.apply": (
            mine.apply,
            lambda: dict(gradients=of_mine()),
        ),
        "RecurrentNetwork.evaluate": (
            mine.evaluate,
            lambda: dict(
                task=task, inputs=inputs[None], targets=targets[None], workers=1, threads=1
            ),
        ),
        "RecurrentNetwork.prepare": (
            mine.prepare,
            lambda: dict(trials=1, steps=STEPS, learning_window=3, learning=True),
        ),
        "RecurrentNetwork.fit": (
            mine.fit,
            lambda: dict(
                task=task,
                iterations=1,
                batch_size=1,
                callbacks=[],
                seed=0,
                workers=1,
                threads=1,
                goal=0.0,
                evaluate_every=1,
                evaluation_trials=1,
                patience=1,
                max_rate=1e6 * Hz,
                previous=[],
            ),
        ),
    }
    return found
