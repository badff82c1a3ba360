"""The gradient of a feed-forward layer of every model is that of torch's autograd.

Without recurrent synapses, and with every path through the reset kept, e-prop is the exact
gradient with ψ for the derivative of a spike. Here torch runs the text that Brian2 compiles,
statement by statement, and differentiates it.
"""

import numpy as np
import pytest
from brian2 import Network, Quantity, SpikeGeneratorGroup, SpikeMonitor, ms, prefs
from brian2.stateupdaters.base import StateUpdateMethod

from brian_eprop import (
    EProp,
    LeakyReadout,
    Learner,
    TrainableSynapses,
    available_models,
    load_model,
)
from brian_eprop.checking.checked_network import firing_scale, weight_equation
from brian_eprop.checking.comparison import KINDS
from brian_eprop.checking.probing import NAMESPACE, evaluate, state_names
from brian_eprop.reference.surrogates import SURROGATES

torch = pytest.importorskip("torch")
prefs.codegen.target = "numpy"

N_IN, N, N_OUT, STEPS = 4, 3, 2, 200
TAU_STEPS = 20
#: Brian2 needs several seconds to solve these exactly; their solution is tested elsewhere.
METHOD = {"cuba_lif": "euler", "cuba_alif": "euler"}
DT = {"lif": 1 * ms, "alif": 1 * ms, "hodgkin_huxley": 0.05 * ms}


class Spike(torch.autograd.Function):
    """A step function whose derivative is given."""

    @staticmethod
    def forward(ctx, distance, fires, psi):
        ctx.save_for_backward(psi)
        return fires.double()

    @staticmethod
    def backward(ctx, upstream):
        (psi,) = ctx.saved_tensors
        return upstream * psi, None, None


FUNCTIONS = NAMESPACE | {
    "exp": lambda x: torch.exp(torch.as_tensor(x, dtype=torch.float64)),
    "exprel": lambda x: torch.expm1(x) / x,
    "int": lambda x: x.double(),
    "timestep": lambda t, dt: torch.round(torch.as_tensor(t / dt, dtype=torch.float64)),
}


def run(code, values):
    # in-place statements (v -= 1) must not change what was kept of the tensors
    values |= {n: v.clone() for n, v in values.items() if isinstance(v, torch.Tensor)}
    exec(code, {"__builtins__": {}} | FUNCTIONS, values)
    return values


def torch_gradient(model, group, inputs, w, w_out, target):
    """Spikes of the layer and dE/dw, by executing the model's code in torch."""
    states = state_names(group)
    dt = float(group.clock.dt)
    names = group.equations.names | group.equations.identifiers | {"dt"}
    update = StateUpdateMethod.apply_stateupdater(
        group.equations,
        group.resolve_all(names, {}, user_identifiers=set()),
        group.state_updater.method_choice,
    )
    update = "\n".join(line.strip() for line in update.split("\n"))
    values = {n: torch.tensor(getattr(group, f"{n}_")[:]) for n in group.equations}
    values |= {"dt": dt, "lastspike": torch.full((N,), -1e4, dtype=torch.float64)}
    held = [n for n in states if "unless refractory" in group.user_equations[n].flags]
    high, low = model.threshold.split(">")
    refractory = group._refractory
    height, width = (evaluate(getattr(model.surrogate, n), group, {}) for n in ("height", "width"))
    surrogate = SURROGATES[KINDS[type(model.surrogate).__name__]].derivative
    ready = torch.ones(N, dtype=bool)
    w = torch.tensor(w, requires_grad=True)
    w_out, target = torch.tensor(w_out), torch.tensor(target)
    y, loss, raster = torch.zeros(N_OUT, dtype=torch.float64), 0.0, []
    for t in range(STEPS):
        values["t"] = t * dt
        if isinstance(refractory, str):
            found = eval(refractory, {"__builtins__": {}} | FUNCTIONS, values)
            if ">" in refractory:
                ready = ready | ~found
            else:
                ready = FUNCTIONS["timestep"](values["t"] - values["lastspike"], dt) >= (
                    FUNCTIONS["timestep"](found, dt)
                )
        values["not_refractory"] = ready
        before = {name: values[name] for name in held}
        run(update, values)
        for name in held:
            values[name] = torch.where(ready, values[name], before[name])
        distance = run(f"_x = ({high}) - ({low})", values)["_x"]
        psi = surrogate(distance.detach().numpy(), height, width, 0.0, 0.0) * ready.numpy()
        fires = (distance > 0) & ready
        z = Spike.apply(distance, fires, torch.tensor(psi))
        raster.append(fires.numpy())
        if refractory is not False:
            ready = ready & ~fires
        values["lastspike"] = torch.where(fires, torch.tensor(t * dt).double(), values["lastspike"])
        y = np.exp(-1 / TAU_STEPS) * y + z @ w_out
        loss = loss + 0.5 * ((y - target[t]) ** 2).sum()
        # all spikes of a step act through one sum of weights: on_pre is linear in w
        arrived = torch.tensor(inputs[t]).double() @ w
        before = {name: values[name] for name in states}
        at_synapse = {f"{n}_post": v for n, v in values.items()} | {"w": arrived}
        run(model.on_pre, at_synapse)
        for name in states:
            heard = ready if name in held else torch.ones(N, dtype=bool)
            values[name] = torch.where(heard, at_synapse[f"{name}_post"], before[name])
        before = {name: values[name] for name in states}
        after = run(model.reset, dict(values))
        for name in states:
            values[name] = before[name] + z * (after[name] - before[name])
    loss.backward()
    return np.array(raster), w.grad.numpy()


@pytest.mark.parametrize("name", available_models())
def test_gradient_of_a_feed_forward_layer_is_that_of_autograd(name):
    model, dt = load_model(name), DT.get(name, 0.1 * ms)
    rng = np.random.default_rng(4)
    inputs = rng.random((STEPS, N_IN)) < 0.1
    w = rng.exponential(size=(N_IN, N))
    method = METHOD.get(name, model.method)

    def build(n):
        return model.group(n, dt=dt, method=method)

    w = w * firing_scale(model, build, inputs, w, dt)
    w_out, target = rng.normal(size=(N, N_OUT)), rng.normal(size=(STEPS, N_OUT))

    group = build(N)
    raster, expected = torch_gradient(model, group, inputs, w, w_out, target)

    steps, indices = np.nonzero(inputs)
    source = SpikeGeneratorGroup(N_IN, indices, steps * dt, dt=dt)
    readout = LeakyReadout(N_OUT, tau=TAU_STEPS * dt, target=target, dt=dt)
    implicit = {name: "implicit" for name in model.reset_path}
    learner = Learner(readout, rule=EProp(reset_path=implicit))
    common = {"learner": learner, "namespace": {}, "dt": dt}
    synapses = TrainableSynapses(source, group, weight_equation(model), model.on_pre, **common)
    synapses.connect()
    synapses.variables["w"].set_value(w[synapses.i[:], synapses.j[:]])
    output = TrainableSynapses(group, readout, "w : 1", "y_post += w", **common)
    output.connect()
    output.w = w_out[output.i[:], output.j[:]]
    monitor = SpikeMonitor(group)
    Network(source, group, readout, synapses, output, monitor).run(STEPS * dt, namespace={})

    found = np.zeros((STEPS, N), dtype=bool)
    found[np.rint(Quantity(monitor.t) / dt).astype(int), monitor.i] = True
    assert found.sum() >= 4 and np.array_equal(found, raster)
    gradient = np.asarray(synapses.grad).reshape(N_IN, N)
    assert np.abs(expected).max() > 0
    # products of a few hundred Jacobians in another order of summation
    assert np.abs(gradient - expected).max() < 1e-8 * np.abs(expected).max()
