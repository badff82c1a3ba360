"""Neurons of any model on torch tensors: the code that Brian2 compiles, phase by phase.

A spike is a step function whose derivative is ψ; everything else torch differentiates.
"""

import numpy as np
import pytest
from brian2.equations.equations import SUBEXPRESSION
from brian2.parsing.rendering import NumpyNodeRenderer
from brian2.parsing.statements import parse_statement

from brian_eprop.network.checked_model import NAMESPACE, evaluate, state_names
from brian_eprop.network.reference_conversion import surrogate_kind
from brian_eprop.neurons.model_checks import threshold_distance
from brian_eprop.reference.surrogates import SURROGATES

torch = pytest.importorskip("torch")
torch.set_num_threads(1)


def tensor(values, **options):
    return torch.tensor(np.array(values, dtype=float), **options)


def _of_tensors(function):
    return lambda x: function(torch.as_tensor(x, dtype=torch.float64))


#: What the code may call, for tensors instead of arrays.
FUNCTIONS = NAMESPACE | {
    "exp": _of_tensors(torch.exp),
    "exprel": lambda x: torch.expm1(x) / x,
    "int": lambda x: x.double(),
    "logical_not": torch.logical_not,
    "timestep": lambda t, dt: torch.floor((t + 1e-3 * dt) / dt),
}


class Spike(torch.autograd.Function):
    """A function of the distance to the threshold, whose value and derivative are given."""

    @staticmethod
    def forward(ctx, distance, z, psi):
        ctx.save_for_backward(psi)
        return z

    @staticmethod
    def backward(ctx, upstream):
        (psi,) = ctx.saved_tensors
        return upstream * psi, None, None


class Code:
    """Statements of Brian2, to be executed on a dict of tensors, which is not changed."""

    def __init__(self, text):
        lines, renderer = [], NumpyNodeRenderer()
        for line in filter(None, (line.split("#")[0].strip() for line in text.split("\n"))):
            name, operator, expression, _ = parse_statement(line)
            expression = renderer.render_expr(expression)
            # in place, it would change tensors that autograd remembers
            change = f"{name} {operator[:-1]} " if operator != "=" else ""
            lines.append(f"{name} = {change}({expression})")
        self.code = compile("\n".join(lines), "<Brian2>", "exec")

    def __call__(self, values):
        values = dict(values)
        exec(self.code, {"__builtins__": {}} | FUNCTIONS, values)
        return values


def _initial_values(group, shape, states):
    values = {
        name: tensor(group.variables[name].get_value())
        for name, equation in group.equations.items()
        if equation.type != SUBEXPRESSION
    }
    values |= {name: values[name].expand(shape) for name in states}
    values["lastspike"] = torch.full(shape, -1e4, dtype=torch.float64)
    values["not_refractory"] = torch.ones(shape, dtype=bool)
    return values | {"dt": tensor(group.clock.dt)}


class Population:
    """Neurons of one model in the phases of a time step; states are tensors (…, n).

    Parameters
    ----------
    described : PopulationDescription
    rule : EProp
    dt : Quantity
    shape : tuple of int
        Of the states.
    parameters : dict of str to (n,) tensor
        Instead of those in the description, whose values the surrogate keeps.
    smooth : bool
        Neurons emit ∫ψ, of which ψ is the true derivative, but are reckoned to fire at the
        threshold.
    """

    def __init__(self, described, rule, dt, shape, parameters, smooth):
        group = described.group(dt=dt)
        group._network = ""  # it is only read: Brian2 need not warn that it never ran
        self.model, self.dt, self.smooth = described.learning_with(rule), float(dt), smooth
        self.states = state_names(group)
        self.values = _initial_values(group, shape, self.states) | parameters
        self.refractory = group._refractory is not False
        flags = {name: equation.flags for name, equation in group.user_equations.items()}
        self.held = [n for n in self.states if self.refractory and "unless refractory" in flags[n]]

        group.state_updater.update_abstract_code({})
        code = group.state_updater.abstract_code
        first, _, rest = code.partition("\n") if self.refractory else ("", "", code)
        self.leave_refractoriness, self.update_states = Code(first), Code(rest)
        self.distance = Code(f"_distance = {threshold_distance(self.model.threshold)}")
        self.run_reset = Code(self.model.reset)
        self.on_arrival = {
            "after_groups": Code(self.model.on_input),
            "synapses": Code(self.model.on_pre),
        }
        self.surrogate = SURROGATES[surrogate_kind(self.model.surrogate)]
        form = (getattr(self.model.surrogate, name, 0.0) for name in ("height", "width", "h", "s"))
        self.form = [
            evaluate(value, group, {}) if isinstance(value, str) else float(np.asarray(value))
            for value in form
        ]

    def update(self, t):
        self.values["t"] = tensor(t * self.dt)
        self.values = self.leave_refractoriness(self.values)
        changed = self.update_states(self.values)
        if self.held:
            # The formula of a held state may be 0/0, which `where` would differentiate
            everyone = torch.ones_like(self.values["not_refractory"])
            free = self.update_states(self.values | {"not_refractory": everyone})
            changed |= {name: free[name] for name in self.held}
        self._take_over(changed)

    def arrive(self, slot, arrived):
        """Spikes act; as on_pre is linear in w, through one sum of weights (…, n)."""
        at_synapse = {f"{name}_post": value for name, value in self.values.items()}
        changed = self.on_arrival[slot](at_synapse | {"w": arrived})
        self._take_over({name: changed[f"{name}_post"] for name in self.states})

    def _take_over(self, changed):
        """New values of the states, of those that are held only outside refractoriness."""
        for name in self.held:
            ready, before = self.values["not_refractory"], self.values[name]
            changed[name] = torch.where(ready, changed[name], before)
        self.values |= {name: changed[name] for name in self.states}

    def fire(self):
        """z, with ψ for its derivative."""
        distance, ready = self.distance(self.values)["_distance"], self.values["not_refractory"]
        fires = (distance > 0) & ready
        value = self._of_surrogate("integral", distance) * ready if self.smooth else fires.double()
        z = Spike.apply(distance, value, self._of_surrogate("derivative", distance) * ready)
        self.values["lastspike"] = torch.where(fires, self.values["t"], self.values["lastspike"])
        if self.refractory:
            self.values["not_refractory"] = ready & ~fires
        return z

    def _of_surrogate(self, what, distance):
        return tensor(getattr(self.surrogate, what)(distance.detach().numpy(), *self.form))

    def reset(self, implicit, explicit):
        """(1 − z) h + z R(h), with the z of the path that each state has."""
        z = {"implicit": implicit, "explicit": explicit, "detached": implicit.detach()}
        after, before = self.run_reset(self.values), self.values
        self.values = dict(before)
        for name in self.states:
            if after[name] is not before[name]:
                own = z[self.model.reset_path.get(name, "implicit")]
                self.values[name] = (1 - own) * before[name] + own * after[name]
