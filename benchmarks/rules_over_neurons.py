"""Which rule is how good on which neuron: the tables and the figure of docs/rules.md.

    python benchmarks/rules_over_neurons.py --figure rules_over_neurons.png      # all of it
    python benchmarks/rules_over_neurons.py --neurons AdEx --seeds 1 --rules 'snap(n=1)' superspike

The same network of six kinds of neurons: 20 Poisson inputs of 100 Hz, 16 excitatory and 4
inhibitory neurons, 30 % of the recurrent connections, two readouts of 20 ms that shall follow sines
for 50 ms, before any training. A recurrent weight is on average half as large as that of an input
('weak') or one and a half times as large ('strong', with which recurrent spikes make the neurons
fluctuate as inputs do; only rules without noise and lessons). Each seed draws connections, weights,
inputs and targets.

Brian2 runs the trial, and every rule of the reference is given its steps. SuperSpike, RFLO and OTTT
are Brian2's own gradients where the reference has them for lif and alif neurons only, and so is
OSTL, which sweeps instead of keeping the influence of all weights. All but 'feedback=random' go
back along the weights of the readout. The numbers are of the weights of inputs and recurrent
connections together; of rules with noise they are means over draws.

Prints Markdown tables, mean and range over seeds, and as the last line JSON with every number.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from attrs import evolve, field, frozen
from brian2 import (
    BrianLogger,
    BrianObjectException,
    Network,
    SpikeGeneratorGroup,
    defaultclock,
    ms,
    nS,
    prefs,
)
from machine import described
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brian_eprop import (
    BPTT,
    OSTL,
    OTTT,
    RFLO,
    LeakyReadout,
    Learner,
    NeuronModel,
    PiecewiseLinear,
    RecurrentNetwork,
    SuperSpike,
    TrainableSynapses,
    load_model,
)
from brian_eprop.plotting.style import BLUE, VERMILLION, prepare
from brian_eprop.reference.computation import described_rule
from brian_eprop.rule_study.brian2_problems import problem_in_brian2
from brian_eprop.rule_study.comparison import compared
from brian_eprop.rule_study.own_networks import problem_of_learner

N_IN, N_E, N_I, N_OUT = 20, 16, 4, 2
N, DENSITY = N_E + N_I, 0.3
DURATION, TAU_OUT, INPUT_RATE = 50, 20, 0.1  # ms, ms, spikes per ms
#: Mean recurrent weight in mean weights of inputs.
COUPLINGS = {"weak": 0.5, "strong": 1.5}
#: How much stronger inhibition is where it is a negative weight: there are four times fewer.
INHIBITION = 4.0
#: Inhibitory conductances in excitatory ones, as in COBA (Vogels & Abbott 2005).
INHIBITORY_CONDUCTANCE = 67 / 6

#: Of draws of rules with noise.
DRAWS = 5
#: Rules of the reference: orders and hops, local ones, truncated, learned, noisy.
NAMES = (
    "rtrl",
    "eprop",
    "eprop(feedback=random)",
    # backwards, hops are the same numbers at a price that does not grow like n⁴
    "eprop_reverse(order=2)",
    "eprop_reverse(order=3)",
    "eprop(order=10, truncation=horizon)",
    "mdgl",
    "snap(n=1)",
    "snap(n=2)",
    "snap(n=3)",
    "ostl",
    "superspike",
    "rflo",
    "ottt",
    "es_d_rtrl",
    "decolle",
    "modprop",
    "tbptt(horizon=10)",
    "kernl",
    "dni",
    "eprop3",
    "uoro(noise=driven)",
    "r_kf_rtrl",
    "kf_rtrl",
    "kf_rtrl(average=4)",
    "ok(rank=1)",
    "ok(rank=4)",
)
#: Of the same names, those that Brian2 runs, on any neurons that they are defined for.
IN_BRIAN2 = {"superspike": SuperSpike(), "rflo": RFLO(), "ottt": OTTT(), "ostl": OSTL()}


def drawn(seed, coupling, steps, dt):
    """Weights in mean weights of inputs, connections, inputs and targets of a seed."""
    rng = np.random.default_rng([seed, 1])
    mask = (rng.random((N, N)) < DENSITY) & ~np.eye(N, dtype=bool)
    sign = np.repeat([1.0, -INHIBITION], [N_E, N_I])[:, np.newaxis]
    w_rec = COUPLINGS[coupling] * sign * rng.exponential(size=(N, N)) * mask
    w_out = rng.normal(0, 1 / np.sqrt(N), (N, N_OUT))
    feedback = rng.normal(0, 1 / np.sqrt(N), (N_OUT, N))
    inputs = rng.random((steps, N_IN)) < INPUT_RATE * dt
    cycles, phase = rng.uniform(1, 4, N_OUT), rng.uniform(0, 2 * np.pi, N_OUT)
    targets = np.sin(2 * np.pi * cycles * np.linspace(0, 1, steps)[:, np.newaxis] + phase)
    matrices = {
        "w_in": rng.exponential(size=(N_IN, N)),
        "w_rec": w_rec,
        "w_out": w_out,
        "feedback": feedback,
    }
    return matrices, mask, inputs, targets


@frozen
class Model:
    """Neurons on which excitation and inhibition act in one way.

    Attributes
    ----------
    model : str
    weight : float
        Mean weight of an input, in the model's unit of weight.
    dt : float
        In ms, as the model suggests.
    parameters : dict
        Other values than the model's.
    """

    model: str
    weight: float
    dt: float
    parameters: dict = field(factory=dict)

    def _network(self, seed, coupling, rule, feedback="symmetric"):
        matrices, mask, inputs, targets = drawn(seed, coupling, round(DURATION / self.dt), self.dt)
        matrices |= {name: self.weight * matrices[name] for name in ("w_in", "w_rec")}
        if feedback == "symmetric":
            del matrices["feedback"]
        network = RecurrentNetwork(
            [(self.model, N, self.parameters)],
            N_IN,
            N,
            N_OUT,
            dt=self.dt * ms,
            tau_out=TAU_OUT * ms,
            weights=matrices,
            connectivity={"w_rec": mask},
            feedback=feedback,
            rule=rule,
        )
        return network, inputs, targets

    def problem(self, seed, coupling):
        """What the rules of the reference are given."""
        return problem_in_brian2(*self._network(seed, coupling, BPTT(), "random"))

    def gradient(self, seed, coupling, rule):
        """By a rule that Brian2 runs, of the weights that exist."""
        network, *trial = self._network(seed, coupling, rule)
        found = network.gradients(*trial)
        mask = network.description.connectivity["w_rec"]
        return np.concatenate([found.w_in.ravel(), found.w_rec[mask]])


@frozen
class Conductances:
    """Neurons on which excitation and inhibition act by conductances, in an own network of Brian2.

    Attributes
    ----------
    model : NeuronModel
        With the conductances g_e and g_i.
    weight : float
        Mean weight of an input, in nS.
    dt : float
        In ms.
    """

    model: NeuronModel
    weight: float
    dt: float = 0.1

    def _network(self, seed, coupling, rule, feedback="symmetric"):
        prefs.codegen.target = "numpy"
        steps = round(DURATION / self.dt)
        matrices, mask, inputs, targets = drawn(seed, coupling, steps, self.dt)
        defaultclock.dt = self.dt * ms
        when, channels = np.nonzero(inputs)
        period = steps * self.dt * ms
        source = SpikeGeneratorGroup(N_IN, channels, when * self.dt * ms, period=period)
        cells = self.model.group(N)
        readout = LeakyReadout(N_OUT, tau=TAU_OUT * ms, target=targets, period=period)
        learner = Learner(readout, rule, feedback=feedback, reset_every=period)
        unit, w_rec = self.weight * nS, np.abs(matrices["w_rec"])
        w_rec[N_E:] *= INHIBITORY_CONDUCTANCE / INHIBITION
        layout = (
            (source, cells, "g_e_post += w", "siemens", matrices["w_in"] * unit, None),
            (cells[:N_E], cells, "g_e_post += w", "siemens", w_rec[:N_E] * unit, mask[:N_E]),
            (cells[N_E:], cells, "g_i_post += w", "siemens", w_rec[N_E:] * unit, mask[N_E:]),
            (cells, readout, "y_post += w", "1", matrices["w_out"], None),
        )
        synapses = []
        for pre, post, on_pre, of_weight, weights, present in layout:
            S = TrainableSynapses(pre, post, f"w : {of_weight}", on_pre=on_pre, learner=learner)
            i, j = np.nonzero(np.ones(weights.shape) if present is None else present)
            S.connect(i=i, j=j)
            S.w = weights[i, j]
            synapses.append(S)
        return Network(source, cells, readout, *synapses), learner, synapses[:3], period

    def problem(self, seed, coupling):
        """What the rules of the reference are given."""
        network, learner, *_ = self._network(seed, coupling, self._of_model(BPTT()), "random")
        return problem_of_learner(learner, network)

    def gradient(self, seed, coupling, rule):
        """By a rule that Brian2 runs, of the weights that exist."""
        network, _, synapses, period = self._network(seed, coupling, self._of_model(rule))
        network.run(period)
        return np.concatenate([S.grad[:] for S in synapses])

    def _of_model(self, rule):
        """The rule with the slope of the model."""
        return evolve(rule, surrogate=self.model.surrogate)


HODGKIN_HUXLEY = load_model("hodgkin_huxley")
#: With the inhibition of COBAHH (Brette et al. 2007).
COBAHH = evolve(
    HODGKIN_HUXLEY,
    name="cobahh",
    equations=HODGKIN_HUXLEY.equations.replace("g_syn", "g_e").replace(
        "g_e*(E_syn - v)", "g_e*(E_syn - v) + g_i*(E_i - v)"
    )
    + "dg_i/dt = -g_i/tau_i : siemens\n",
    parameters={**HODGKIN_HUXLEY.parameters, "E_i": "-80*mV", "tau_i": "10*ms"},
    on_pre="g_e_post += w",
    on_input=None,
)
#: Integrate-and-fire neurons with conductances (Vogels & Abbott 2005; COBA of Brette et al. 2007).
COBA = NeuronModel(
    name="coba",
    equations="""
    dv/dt = (g_L*(E_L - v) + g_e*(E_e - v) + g_i*(E_i - v))/C : volt (unless refractory)
    dg_e/dt = -g_e/tau_e : siemens
    dg_i/dt = -g_i/tau_i : siemens
    """,
    threshold="v > V_th",
    reset="v = E_L",
    refractory="5*ms",
    method="euler",
    parameters={
        **{"C": "200*pF", "g_L": "10*nS", "tau_e": "5*ms", "tau_i": "10*ms"},
        **{"E_L": "-60*mV", "E_e": "0*mV", "E_i": "-80*mV", "V_th": "-50*mV"},
    },
    on_pre="g_e_post += w",
    weight_unit="nS",
    initial={"v": "E_L"},
    surrogate=PiecewiseLinear("0.3/(V_th - E_L)", "V_th - E_L"),
)
NEURONS = {
    "LIF": Model("lif", 0.03, 1.0),
    "ALIF": Model("alif", 0.03, 1.0, {"beta": 0.1, "tau_a": "200*ms"}),
    "AdEx": Model("adex", 100.0, 0.1),
    "Izhikevich": Model("izhikevich", 6.0, 0.1),
    "Hodgkin–Huxley": Conductances(COBAHH, 1.0),
    "Conductances": Conductances(COBA, 0.5),
}


def measured(neuron, seed, coupling, names):
    """{rule: {cosine, error} or {refusal}}, and the rate of the neurons in Hz."""
    problem = neuron.problem(seed, coupling)
    symmetric, rows = problem.with_symmetric_feedback(), {}
    exact = None
    for name in names:
        if name in IN_BRIAN2:
            if exact is None:
                exact = neuron.gradient(seed, coupling, BPTT())
            rows[name] = _of_brian2(neuron, seed, coupling, IN_BRIAN2[name], exact)
            continue
        rule = described_rule(name)
        if coupling != "weak" and (rule.stochastic or rule.learned):
            continue
        seen = problem if "random" in name else symmetric
        (row,) = compared(seen, [name], draws=DRAWS, repeats=1, seed=seed)
        refused = row.refusal is not None
        rows[name] = (
            {"refusal": row.refusal} if refused else {"cosine": row.cosine, "error": row.error}
        )
    spikes = np.array([step.observable[0] for step in problem.steps])
    return rows, 1000 * float(spikes.mean()) / neuron.dt


def _of_brian2(neuron, seed, coupling, rule, exact):
    try:
        found = neuron.gradient(seed, coupling, rule)
    except (ValueError, BrianObjectException) as refusal:
        return {"refusal": str(refusal.__cause__ or refusal)}
    lengths = np.linalg.norm(found) * np.linalg.norm(exact)
    return {
        "cosine": float(found @ exact / lengths),
        "error": float(np.linalg.norm(found - exact) / np.linalg.norm(exact)),
    }


def values_of(results, coupling, neuron, name, quantity):
    """Of all seeds; empty where the rule does not apply."""
    of_seeds = results[coupling].get(neuron, {}).values()
    known = [seed["rules"][name] for seed in of_seeds if name in seed["rules"]]
    return np.array([row[quantity] for row in known if quantity in row])


def title(name):
    """Backwards or forwards, hops are the same numbers."""
    return name.replace("eprop_reverse", "eprop")


def written(value, quantity):
    """With the digits that say something, and the sign of typography."""
    if quantity == "cosine" or 0.01 <= value < 10:
        text = f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".")
    elif 10 <= value < 100:
        text = f"{value:.0f}"
    else:
        mantissa, exponent = f"{value:.0e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def table(results, coupling, names, quantity):
    """Lines of Markdown: mean (lowest – highest) over seeds, – where a rule does not apply."""
    neurons = list(results[coupling])
    lines = [
        f"| {coupling}: {quantity} | {' | '.join(neurons)} |",
        "|---" * (len(neurons) + 1) + "|",
    ]
    for name in names:
        cells = []
        for neuron in neurons:
            values = values_of(results, coupling, neuron, name, quantity)
            if not len(values):
                cells.append("–")
                continue
            mean, low, high = (written(f(values), quantity) for f in (np.mean, np.min, np.max))
            cells.append(mean if low == high else f"{mean} ({low} – {high})")
        if set(cells) != {"–"}:
            lines.append(f"| `{title(name)}` | {' | '.join(cells)} |")
    return "\n".join(lines)


COLORS = {"weak": BLUE, "strong": VERMILLION}


def drawing(results, names):
    """The cosine of each rule: a panel for each kind of neuron, a dot for each seed."""
    neurons = list(results["weak"])
    figure = Figure(
        figsize=(1.0 + 1.5 * len(neurons), 0.9 + 0.17 * len(names)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(neurons), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))[::-1]
    for ax, neuron in zip(axes, neurons, strict=True):
        prepare(ax)
        for place, name in zip(places, names, strict=True):
            applies = False
            for coupling, shift in zip(COUPLINGS, (0.17, -0.17), strict=True):
                values = values_of(results, coupling, neuron, name, "cosine")
                if not len(values):
                    continue
                applies, look = True, {"color": COLORS[coupling]}
                ax.hlines(place + shift, values.min(), values.max(), lw=1.2, alpha=0.5, **look)
                ax.plot(values, np.full(len(values), place + shift), "|", ms=3, mew=0.6, **look)
                ax.plot(values.mean(), place + shift, "o", ms=2.8, **look)
            if not applies:
                ax.text(0.5, place, "refused", color="0.6", ha="center", va="center", fontsize=6)
        for x in (0, 1):
            ax.axvline(x, color="0.8", lw=0.6, zorder=0)
        ax.set_xlim(-1, 1.08)
        ax.set_xticks([-1, 0, 1], ["−1", "0", "1"], fontsize=7)
        ax.set_title(neuron, fontsize=8)
        ax.grid(axis="y", color="0.93", lw=0.5)
        ax.set_axisbelow(True)
    axes[0].set_yticks(places, [title(name) for name in names], fontsize=7)
    axes[0].set_ylim(-0.7, len(names) - 0.3)
    figure.supxlabel("Cosine to BPTT", fontsize=8)
    handles = [
        Line2D([], [], color=COLORS[name], marker="o", ms=3, lw=1.2, label=f"{name} coupling")
        for name in COUPLINGS
    ]
    figure.legend(handles=handles, frameon=False, fontsize=7, loc="outside upper right", ncols=2)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", nargs="*", choices=NEURONS, default=list(NEURONS))
    parser.add_argument("--rules", nargs="*", default=NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--results", type=Path, help="JSON, written after every network; what is in it is not run"
    )
    arguments = parser.parse_args()
    # networks of one trial, which problem_of_learner runs object by object
    BrianLogger.suppress_hierarchy("brian2.core.base")
    results = {coupling: {} for coupling in COUPLINGS}
    if arguments.results and arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    for seed in map(str, range(arguments.seeds)):
        for neuron in arguments.neurons:
            for coupling in COUPLINGS:
                of_seeds = results[coupling].setdefault(neuron, {})
                if seed in of_seeds:
                    continue
                before = time.perf_counter()
                rows, rate = measured(NEURONS[neuron], int(seed), coupling, arguments.rules)
                seconds = time.perf_counter() - before
                of_seeds[seed] = {"rate": rate, "seconds": seconds, "rules": rows}
                print(f"{seed} {neuron} {coupling}: {rate:.0f} Hz, {seconds:.0f} s", flush=True)
                if arguments.results:
                    arguments.results.write_text(json.dumps(results))
    for coupling in COUPLINGS:
        for quantity in ("cosine", "error"):
            print("\n" + table(results, coupling, arguments.rules, quantity))
    if arguments.figure:
        drawing(results, arguments.rules).savefig(arguments.figure, dpi=150)
    print(json.dumps({"machine": described("brian_eprop", "brian2", "numpy"), "results": results}))


if __name__ == "__main__":
    main()
