"""Neuron models that nobody has written down, and networks of them."""

from __future__ import annotations

import math

import numpy as np
from brian2 import Hz, Quantity, get_dimensions, ms, mV
from hypothesis import strategies as st

from brian_eprop import EProp, FiringRateRegularizer, NeuronModel, RecurrentNetwork
from brian_eprop.neurons.model_checks import RESET_PATHS
from brian_eprop.neurons.surrogates import SURROGATES, Formula, MultiGaussian

N_IN, STEPS = 3, 24
#: Kinds of terms beside the leak; "{X}" is the unit of the membrane.
CURRENT = "dI/dt = -I/tau_s : {X}"
ADAPTATION = "da/dt = (coupling*(v - v_r) - a)/tau_a : {X}"
SLOW = "db/dt = -b/tau_a : 1"
DRIVES = {"I": "{g}*I", "a": "- a"}
METHODS = ("euler", "exponential_euler", "rk2", "rk4", "exact")


def chosen(draw, *values):
    return draw(st.sampled_from(values))


@st.composite
def models(draw, name="mine"):
    """A NeuronModel of one to three state variables, and the scale of its weights.

    Returns
    -------
    model : NeuronModel
    scale : float
        Weights of this size make it fire, in the model's unit of weights.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    unit, X = chosen(draw, (1, "1"), (10 * mV, "volt"))
    states = draw(st.sets(st.sampled_from(["I", "a", "b"]), max_size=2))
    parameters = {
        "tau_m": rng.uniform(5, 20) * ms,
        "v_th": rng.uniform(0.8, 1.2) * unit,
        "v_r": rng.uniform(-0.2, 0.2) * unit,
    }
    drive, lines = "v_r - v", []
    if "I" in states:
        lines.append(CURRENT)
        parameters["tau_s"] = rng.uniform(3, 9) * ms
        drive += " + 2*I"
    if "a" in states:
        lines.append(ADAPTATION)
        parameters["coupling"] = rng.uniform(0.1, 0.5)
        drive += " - a"
    if "b" in states:
        lines.append(SLOW)
    if states & {"a", "b"}:
        parameters["tau_a"] = rng.uniform(20, 60) * ms
    if draw(st.booleans()):
        parameters["delta"] = rng.uniform(0.1, 0.3) * unit
        drive += " + delta/(1 + exp((v_th - v)/delta))"
    if draw(st.booleans()):
        lines.append(f"drive = {drive} : {{X}}")
        drive = "drive"
    refractory = chosen(draw, None, "t_ref", "2*ms")
    if refractory == "t_ref":
        parameters["t_ref"] = int(rng.integers(0, 4)) * ms
    held = " (unless refractory)" if refractory and draw(st.booleans()) else ""
    lines.insert(0, f"dv/dt = ({drive})/tau_m : {{X}}{held}")

    reset = [chosen(draw, "v = v_r", "v -= v_th - v_r", "v = v_r + 0.3*(v - v_r)", "")]
    threshold = chosen(draw, "v > v_th", "v_th < v")
    if "a" in states and draw(st.booleans()):
        reset.append("a += 0.2*v_th")
    if "b" in states:
        reset.append("b += 1")
        threshold = "v > v_th + 0.3*b*(v_th - v_r)"
    reset = "\n".join(filter(None, reset))
    changed = [name for name in ("v", "a", "b") if f"{name} " in reset.replace("\n", " \n")]
    arrival = chosen(draw, "v_post += w{u}", "w_scaled = w{u}\nv_post += 2*w_scaled")
    if "I" in states:
        arrival = chosen(draw, arrival, "I_post += w{u}", "v_post += 0.5*w{u}\nI_post += w{u}")
    if draw(st.booleans()):
        parameters["strength"] = rng.uniform(0.8, 1.2)
        arrival = arrival.replace("w{u}", "w{u}*strength_post")
    # the weight has the unit, or the code has
    weight_unit, in_code = chosen(draw, (X, ""), ("1", "" if X == "1" else "*volt"))
    kind = chosen(draw, *SURROGATES.values())
    shape = chosen(draw, ("0.3/v_th", "v_th"), (0.3 / unit, 1.1 * unit))
    if kind is Formula:
        surrogate = Formula(f"0.3*exp(-abs(x)/(2*{X}))/{X}")
    else:
        surrogate = kind(0.4, shape[1]) if kind is MultiGaussian else kind(*shape)
    model = NeuronModel(
        name=name,
        equations="\n".join(lines).format(X=X),
        threshold=threshold,
        reset=reset,
        # SymPy solves three coupled equations exactly, but takes minutes
        method=chosen(draw, *METHODS[: 5 if states <= {"I"} else 4]),
        parameters=parameters,
        on_pre=arrival.format(u=in_code),
        surrogate=surrogate,
        refractory=refractory,
        weight_unit=weight_unit,
        initial=chosen(draw, {}, {"v": "v_r"}, {"v": "0.5*v_th"}),
        reset_path={n: chosen(draw, *RESET_PATHS) for n in changed if draw(st.booleans())},
    )
    return model, float(Quantity(unit))


@st.composite
def networks(draw):
    """A RecurrentNetwork of such neurons with any options, and trials for it.

    Returns
    -------
    network, inputs, targets, learning_window
    """
    kinds = [draw(models(f"model_{k}")) for k in range(chosen(draw, 1, 1, 2))]
    counts = [chosen(draw, 1, 2, 3) for _ in kinds]
    n_rec, n_out, batch = sum(counts), chosen(draw, 1, 2), chosen(draw, 1, 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = np.repeat([size for _, size in kinds], counts)
    weights = {
        "w_in": rng.exponential(0.6, (N_IN, n_rec)) * scale,
        "w_rec": rng.normal(0, 0.3, (n_rec, n_rec)) * scale,
    }
    neurons = []
    for (model, _), count in zip(kinds, counts, strict=True):
        varied = {
            name: value * rng.uniform(0.9, 1.1, count)
            for name, value in model.parameters.items()
            if name != "t_ref" and draw(st.booleans())
        }
        neurons.append((model, count, varied))
    connectivity = {}
    shapes = {"w_in": (N_IN, n_rec), "w_rec": (n_rec, n_rec), "w_out": (n_rec, n_out)}
    for matrix, shape in shapes.items():
        if draw(st.booleans()):
            connectivity[matrix] = rng.random(shape) < 0.8
            connectivity[matrix][0] = True
    order = chosen(draw, 1, 1, 2, 3, math.inf)
    known = {}
    for model, _ in kinds:
        for name, value in model.parameters.items():
            known.setdefault(name, set()).add(get_dimensions(value))
    initial = "".join(code for model, _ in kinds for code in model.initial.values())
    trainable = [
        name
        for name, dimensions in sorted(known.items())
        if name != "t_ref" and name not in initial and len(dimensions) == 1
    ]
    network = RecurrentNetwork(
        neurons,
        N_IN,
        n_rec,
        n_out,
        dt=chosen(draw, 0.5, 1.0) * ms,
        tau_out=rng.uniform(3, 30) * ms,
        # with one output, the softmax has no error
        loss=chosen(draw, "mse", "cross_entropy" if n_out > 1 else "mse"),
        normalize=draw(st.booleans()),
        average=draw(st.booleans()),
        feedback=chosen(draw, "symmetric", "random", rng.normal(size=(n_out, n_rec))),
        weights=weights,
        connectivity=connectivity,
        rule=EProp(order=order),
        regularizers=[FiringRateRegularizer(20 * Hz, 30.0)] if draw(st.booleans()) else [],
        trainable=trainable if draw(st.booleans()) else [],
        seed=int(rng.integers(1000)),
    )
    inputs = rng.random((batch, STEPS, N_IN)) < 0.5
    targets = rng.dirichlet(np.ones(n_out), (batch, STEPS))
    return network, inputs, targets, chosen(draw, None, 1, 10)
