"""Whole networks that nobody has written: drawn by hypothesis, as the scripts that make them.

A network is its script. What a failing test prints is what has run: save it and run it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

STEPS = 30
#: Names that users give to a parameter, an adaptation variable, or a constant of theirs.
NAMES = ("kappa", "gain", "started", "psi", "L", "grad", "w", "counts", "window_start", "loss")
NAMES += ("learning", "e_trace", "spiked", "y", "error", "B", "A", "c", "N0", "lag", "rate_")
#: Ones of theirs that meet none of ours: most networks are to be accepted.
OWN_NAMES = ("gain_", "k_rel", "excitability", "strength", "x_0")
#: Of synapses, in the names that scripts give them.
KINDS = ("trained_", "plain_", "output_")
SLOTS = ("start", "groups", "thresholds", "synapses", "resets", "end")

HEADER = """
import numpy as np
from brian2 import *
from brian_eprop import *

prefs.codegen.target = "numpy"
defaultclock.dt = 1*ms
seed({seed})
rng = np.random.default_rng({seed})
T = {steps}
STIM = TimedArray(rng.random(T), dt=1*ms)
SLOW_STIM = TimedArray(rng.random(T), dt=3*ms)
steps_in, channels = np.nonzero(rng.random((T, {n_in})) < 0.45)
inputs = SpikeGeneratorGroup({n_in}, channels, steps_in*ms, period=T*ms)
R = LeakyReadout({n_out}, tau={tau_out}*ms, target={target}, period=T*ms{readout})
L = Learner(R, EProp(order={order}, engine="{engine}", surrogate={surrogate}{reset_path}),
            reset_every=T*ms{learner})
"""

#: What takes the place of the package in a network that does not learn.
PLAIN = """
from brian_eprop import FastSigmoid, PiecewiseLinear

def LeakyReadout(n, tau, **_):
    return NeuronGroup(n, "dy/dt = -y/tau : 1", namespace={"tau": tau}, method="exact")

def TrainableSynapses(source, target, model="w : 1", on_pre="", on_post=None, **others):
    delay = {name: others[name] for name in ("delay",) if name in others}
    return Synapses(source, target, model, on_pre=on_pre, on_post=on_post, **delay)

def Learner(*_, **__): ...

EProp = Learner
"""


@dataclass(frozen=True)
class WholeNetwork:
    """A network of Brian2 that learns, as a script.

    Attributes
    ----------
    text : str
        Makes ``network`` and ``L``, its learner, of an engine that is to be filled in.
    engine : {"credit", "traces"}
        That it is drawn with.
    other : {"credit", "traces", ""}
        The one to compare with; "" if there is none.
    """

    text: str
    engine: str
    other: str

    def script(self, engine=""):
        return self.text.replace("ENGINE", engine or self.engine)

    def plain(self):
        """The same network of Brian2 alone, in which nothing learns."""
        return self.script().replace("from brian_eprop import *", PLAIN)

    def __repr__(self):
        run = "network.run(T*ms)\nprint(L.check(T*ms, network, synapses=4))\n"
        return f"WholeNetwork:\n{self.script()}{run}"


@dataclass
class Cells:
    """What the rest of a script has to know of a population."""

    name: str
    n: int
    u: str  # of the membrane, to be multiplied with: "*mV" or ""
    states: list = field(default_factory=list)
    gain: str = ""
    adaptation: str = ""
    event: str = ""
    learns: bool = True


class Script:
    """Lines of a script, and the names of what goes into the Network."""

    def __init__(self, draw):
        self.draw = draw
        self.lines, self.objects = [], []
        self.made = 0
        self.has_events = self.rarely(15)

    def pick(self, *values):
        return self.draw(st.sampled_from(values))

    def rarely(self, percent=12):
        return self.draw(st.integers(0, 99)) >= 100 - percent

    def number(self, low, high):
        """A number with few digits."""
        return round(low + (high - low) * self.draw(st.integers(0, 20)) / 20, 3)

    def add(self, *lines):
        self.lines += lines

    def new(self, kind, call):
        self.made += 1
        name = f"{kind}_{self.made}"
        self.add(f"{name} = {call}")
        self.objects.append(name)
        return name

    def user_name(self, taken=()):
        chosen = self.pick(*NAMES) if self.rarely(8) else self.pick(*OWN_NAMES)
        return chosen if chosen not in taken else f"{chosen}2"

    # ------------------------------------------------------------- populations

    def population(self, k, unit):
        """A group of neurons with equations of its own."""
        u = "*mV" if unit == "volt" else ""
        cells = Cells(f"P{k}", self.pick(2, 3, 4), u, ["v"])
        drive, lines = f"{self.number(-2, 4)}{u} - v", []
        if self.rarely(35):
            cells.states.append("I")
            lines.append(f"dI/dt = -I/({self.number(3, 9)}*ms) : {unit}")
            drive += " + 2*I"
        if self.rarely(25):
            cells.states.append("g")
            lines.append(f"dg/dt = -g/({self.number(3, 9)}*ms) : 1")
            drive += f" + g*(40{u} - v)"
        if self.rarely(35):
            a = cells.adaptation = self.user_name() if self.rarely(40) else "a"
            cells.states.append(a)
            lines.append(f"d{a}/dt = (0.2*v - {a})/({self.number(15, 60)}*ms) : {unit}")
            drive += f" - {a}"
        if self.rarely(20):
            drive += self.pick(f" + 4*STIM(t){u}", f" + 4*SLOW_STIM(t){u}")
        if self.rarely(10):
            drive += f" + 2{u}/(1 + exp((8{u} - v)/(3{u or '*1'})))".replace("(3*1)", "3")
        noise = f" + 0.5{u}*xi*(10*ms)**-0.5" if self.rarely(8) else ""
        if self.rarely(45):
            cells.gain = self.user_name(taken=cells.states)
            drive = f"{cells.gain}*({drive})"
        constant = ""
        if self.rarely(20):
            constant = self.user_name(taken=[*cells.states, cells.gain])
            drive = f"{constant}*({drive})"
        refractory = self.pick(None, None, None, "2*ms", "3*ms", "t > lastspike + 2*ms")
        if refractory and refractory.startswith("t >"):
            refractory = self.pick("v > 14" + u, f"timestep(t - lastspike, dt) <= {k + 1}")
        held = " (unless refractory)" if refractory and self.rarely(50) else ""
        lines.insert(0, f"dv/dt = ({drive})/({self.number(6, 20)}*ms){noise} : {unit}{held}")
        threshold, lowered = f"v > 10{u}", ""
        if self.rarely(12):
            cells.states.append("b")
            lines.append("db/dt = -b/(25*ms) : 1")
            threshold, lowered = f"v > 10{u} + b{u}", "b += 2"
        gate = self.pick(*[""] * 8, " and not_refractory", " and t > 5*ms")
        if "not_refractory" in gate and not refractory:
            gate = ""
        reset = [self.pick(*[f"v = 0{u}"] * 3, f"v -= 10{u}", "v *= 0.2", ""), lowered]
        if cells.adaptation and self.rarely(50):
            reset.append(f"{cells.adaptation} += 1{u}")
        if self.rarely(8):
            lines.append("fired : boolean")
            reset.append("fired = True")
        if self.rarely(8):
            lines.append("n_fired : integer")
            reset.append("n_fired += 1")
        if self.rarely(3):
            reset[0] = f"v = 4*rand(){u}"
        reset = "; ".join(filter(None, reset))
        options, link = f'threshold="{threshold}{gate}"', ""
        if reset:
            options += f', reset="{reset}"'
        method = self.pick("euler", "euler", "exponential_euler", "rk2") if not noise else "euler"
        if refractory:
            options += f', refractory="{refractory}"'
        if constant:
            options += f', namespace={{"{constant}": {self.number(0.8, 1.2)}}}'
        if self.has_events:
            cells.event = "high"
            options += f', events={{"high": "v > 6{u}"}}'
        if cells.gain:
            link = self.gain_of(cells, lines)
        equations = "\n    ".join(lines)
        self.add("", f'{cells.name} = NeuronGroup({cells.n}, """\n    {equations}\n    """,')
        self.add(f'    {options}, method="{method}")')
        self.objects.append(cells.name)
        self.add(f"{cells.name}.v = {self.pick(0, 0, 3)}{u}", *link)
        self.writers(cells)
        return cells

    def gain_of(self, cells, lines):
        """How the gain of the membrane comes to have its value; the lines after the group."""
        gain, name = cells.gain, cells.name
        kind = self.pick(
            *["parameter"] * 3, "regularly", "regularly", "array", "summed", "linked", "operation"
        )
        if kind == "array":
            lines.append(f"{gain} = 0.8 + 0.4*STIM(t) : 1")
            cells.gain = ""
            return []
        flag = {"linked": " (linked)", "parameter": self.pick("", *[" (constant)"] * 3)}.get(
            kind, ""
        )
        lines.append(f"{gain} : 1{flag}")
        first = f"{name}.{gain} = 1"
        if kind == "parameter":
            return [first]
        if kind == "regularly":
            code = self.pick(
                f"{gain} = 0.8 + 0.4*STIM(t)",
                f"{gain} *= 0.98",
                f"{gain} += 0.02",
                f"{gain} = 0.9 + 0.2*rand()",
                f"{gain} = 1 + 0.02*v" + ("/mV" if cells.u else ""),
            )
            return [first, self.regularly(name, code)]
        if kind == "operation":
            operation = f"set_{name}"
            self.objects.append(operation)
            when = self.pick("start", "before_groups", "end")
            return [
                first,
                f"def {operation}(t):",
                f"    {name}.{gain} = 0.8 + 0.4*float(STIM(t))",
                f"{operation} = NetworkOperation({operation}, dt=1*ms, when='{when}')",
            ]
        helper = f"helper_{name}"
        self.objects.append(helper)
        s = self.pick("s = 0.8 + 0.4*STIM(t) : 1", "ds/dt = (0.5 - s)/(40*ms) : 1")
        made = [f'{helper} = NeuronGroup({cells.n}, "{s}", method="euler")']
        if "ds" in s:
            made.append(f"{helper}.s = 1")
        if kind == "linked":
            return [*made, f"{name}.{gain} = linked_var({helper}, 's')"]
        self.objects.append(f"summed_{name}")
        return [
            *made,
            f'summed_{name} = Synapses({helper}, {name}, "{gain}_post = s_pre : 1 (summed)")',
            f"summed_{name}.connect(j='i')",
        ]

    def regularly(self, name, code):
        options = self.pick(*["dt=1*ms"] * 4, "dt=2*ms", "dt=5*ms")
        when = self.pick(*["start"] * 4, "before_groups", "after_groups", "before_thresholds")
        when = self.pick(when, when, when, "before_synapses", "before_resets", "end")
        return f"{name}.run_regularly('{code}', {options}, when='{when}')"

    def writers(self, cells):
        """Other code that changes states of the group."""
        u, name = cells.u, cells.name
        for _ in range(self.pick(0, 0, 0, 0, 1, 1, 2)):
            code = self.pick(
                "v *= 0.9",
                f"v += 0.5{u}",
                f"v = clip(v, -3{u}, 1000{u})",
                f"v = v - 0.1*(v - 2{u})",
                f"v += 0.5*rand(){u}",
                *[f"{x} *= 0.9" for x in cells.states[1:]],
                *[f"{x} = 0.9*{x}" for x in cells.states[1:]],
            )
            self.add(self.regularly(name, code))
        if cells.event:
            code = self.pick(
                *["v *= 0.8", f"v -= 1{u}", *[f"{x} *= 0.7" for x in cells.states[1:]]],
                *([f"{cells.gain} *= 0.9"] if cells.gain and self.rarely(50) else []),
            )
            self.add(f"{name}.run_on_event('high', '{code}')")
        if self.rarely(5):
            slot = self.pick("before_synapses", "after_groups", "end")
            self.add(f"if 'spike' in {name}.resetter:")
            self.add(f"    {name}.resetter['spike'].when = '{slot}'")
        if self.rarely(3):
            slot = self.pick("before_thresholds", "after_synapses")
            self.add(f"{name}.thresholder['spike'].when = '{slot}'")

    # ------------------------------------------------------------- projections

    def connect(self, name, source, n_source, target):
        same = source == target.name
        if n_source == target.n and self.rarely(25):
            self.add(f"{name}.connect(j='i')")
        elif same:
            self.add(f'{name}.connect(condition="i != j")')
        else:
            self.add(self.pick(*[f"{name}.connect()"] * 3, f"{name}.connect(p=0.7)"))

    def moments(self, name, trained):
        """Delays of a projection, and when it runs."""
        delay = self.pick("", "", "", f"{name}.delay = '(1 + i%3)*ms'", f"{name}.delay = 2*ms")
        if delay:
            self.add(delay)
        # At the same moment, Brian2 runs them in the order of their names.
        order = self.made if not trained and self.rarely(90) else self.pick(*[-1] * 12, 1, 2)
        if order != -1:
            self.add(f"{name}.pre.order = {order}")
        if self.rarely(3):
            self.add(f"{name}.pre.when = '{self.pick('after_groups', 'before_resets', 'end')}'")
        if self.rarely(2):
            self.add(f"{name}.active = False")

    def trained(self, source, n_source, target, weight):
        u = target.u
        arrivals = [f"v_post += w{u}"] * 2
        if "I" in target.states:
            arrivals += [f"I_post += 0.5*w{u}"] * 3
        if "g" in target.states:
            arrivals += ["g_post += 0.03*w"] * 3
        if target.gain and self.rarely(30):
            arrivals.append(f"v_post += w*{target.gain}_post{u}")
        if target.states[1:]:
            arrivals.append(
                f"v_post += w{u}; {target.states[-1]}_post += 0.1*w"
                + (u if target.states[-1] not in "gb" else "")
            )
        if self.rarely(2):
            arrivals = [f"v_post += w*(20{u} - v_post)/20"]
        options = ""
        if self.rarely(10):
            options += ", fixed=True"
        if self.rarely(10):
            options += ", arrival='after_groups'"
        if self.rarely(5):
            options += ", delay=0*ms"
        model = "w : 1"
        if self.rarely(6):
            model, options = "w : 1\\nx : 1", options + ", on_post='x += 1'"
        on_pre = self.pick(*arrivals)
        name = self.new(
            "trained",
            f'TrainableSynapses({source}, {target.name}, "{model}", on_pre="{on_pre}", '
            f"learner=L{options})",
        )
        self.connect(name, source, n_source, target)
        if "delay=0" not in options:
            self.moments(name, True)
        self.add(f"{name}.w = {weight}")

    def plain(self, source, n_source, target, event=""):
        u, model = target.u, ""
        codes = [f"v_post += 1.5{u}"] * 3 + [f"v_post -= 1.5{u}", "v_post *= 0.9"]
        codes += [f"v_post = clip(v_post + 1{u}, -5{u}, 1000{u})", "v_post = 0.8*v_post"]
        codes += [f"{x}_post *= 0.9" for x in target.states[1:]]
        codes += ["SHORT_TERM", "PLASTIC", "GAIN"]
        on_pre, on_post = self.pick(*codes), ""
        if on_pre == "GAIN":
            if target.gain:
                on_pre = self.pick(f"{target.gain}_post *= 0.98", f"{target.gain}_post += 0.02")
            else:
                on_pre = f"v_post += 1{u}"
        if on_pre == "SHORT_TERM":
            model = "dx/dt = (1 - x)/(30*ms) : 1 (event-driven)"
            on_pre = f"v_post += 2*x{u}; x *= 0.7"
        if on_pre == "PLASTIC":
            model = "w : 1\\ndtr/dt = -tr/(20*ms) : 1 (event-driven)"
            on_pre = f"v_post += w{u}; tr += 1"
            on_post = ", on_post='w = clip(w + 0.05*tr, 0, 3)'"
        if self.rarely(2):
            on_post = f", on_post='v_post += 0.2{u}'"
        event = f", on_event='{event}'" if event else ""
        name = self.new(
            "plain",
            f'Synapses({source}, {target.name}, "{model}", on_pre="{on_pre}"{on_post}{event})',
        )
        self.connect(name, source, n_source, target)
        self.moments(name, False)
        if "w : 1" in model:
            self.add(f"{name}.w = 1.5")


@st.composite
def whole_networks(draw):
    """A WholeNetwork."""
    s = Script(draw)
    n_in, n_out = s.pick(3, 4), s.pick(1, 2)
    order = s.pick("1", "1", "1", "2", "3", "inf", "inf")
    loss = s.pick("", "", "", ', loss="cross_entropy"') if n_out > 1 else ""
    target = f"rng.standard_normal((T, {n_out}))"
    if loss:
        target = f"np.eye({n_out})[np.arange(T) % {n_out}]"
    learner = f', feedback="{s.pick("symmetric", "symmetric", "random", "adaptive")}", seed=3'
    if s.rarely(20):
        learner += ", learning_window=20*ms"
    populations = range(s.pick(1, 1, 1, 2, 2, 3))
    unit = s.pick("1", "volt")
    cells = [s.population(k, unit) for k in populations]
    reset_path = ", reset_path={'high': 'detached'}" if s.has_events and s.rarely(85) else ""
    parameters = [c.gain for c in cells if c.gain]
    trains = bool(parameters) and s.rarely(12)
    if trains:
        learner += f', trainable=["{parameters[0]}"]'
    if cells[0].u:
        shape = s.pick("FastSigmoid(0.03/mV, 10*mV)", "PiecewiseLinear(0.05/mV, 9*mV)")
    else:
        shape = s.pick("FastSigmoid(0.03, 10)", "PiecewiseLinear(0.05, 9)")
    s.add("")
    for k, c in enumerate(cells):
        if k == 0 or s.rarely(40):
            scale = s.number(4, 8)
            s.trained("inputs", n_in, c, f"{scale}*(1 + rng.standard_normal(len({{name}})))")
        if k and s.rarely(85):
            s.trained("P0", cells[0].n, c, "3*(1 + rng.standard_normal(len({name})))")
        if s.rarely(55):
            other = s.pick(*cells)
            s.trained(other.name, other.n, c, "rng.standard_normal(len({name}))")
        if s.rarely(30):
            s.plain("inputs", n_in, c)
        if s.rarely(20):
            other = s.pick(*cells)
            event = other.event if other.event and s.rarely(50) else ""
            s.plain(other.name, other.n, c, event)
    for k, c in enumerate(cells):
        if k == 0 or s.rarely(70):
            plain = s.rarely(8)
            call = f'Synapses({c.name}, R, "w : 1", on_pre="y_post += w")'
            if not plain:
                call = f'TrainableSynapses({c.name}, R, on_pre="y_post += w", learner=L)'
            name = s.new("output", call)
            s.add(f"{name}.connect()", f"{name}.w = rng.standard_normal(len({name}))")
            if s.rarely(8):
                s.add(f"{name}.delay = 2*ms")
    lines = [line for line in s.lines]
    for k, line in enumerate(lines):
        if "{name}" in line:
            lines[k] = line.replace("{name}", line.split(".w = ")[0])
    objects = ["inputs", "R", *s.objects]
    if s.rarely(4):
        # Brian2 itself wants to have the groups of synapses that it runs.
        objects.remove(s.pick(*[o for o in s.objects if o.startswith(KINDS)]))
    lines += ["", f"network = Network({', '.join(objects)})"]
    if s.rarely(8):
        inner = draw(st.permutations(SLOTS[1:5]))
        lines.append(f"network.schedule = {['start', *inner, 'end']}")
    readout = loss + s.pick("", "", ", normalize=True")
    text = HEADER.format(
        seed=draw(st.integers(0, 99)),
        steps=STEPS,
        n_in=n_in,
        n_out=n_out,
        tau_out=s.number(3, 20),
        target=target,
        readout=readout,
        order=f"{order}" if order != "inf" else "math.inf",
        engine="ENGINE",
        surrogate=shape,
        reset_path=reset_path,
        learner=learner,
    )
    text = "import math\n" + text.lstrip() + "\n".join(lines) + "\n"
    engine = s.pick("credit", "credit", "traces") if order == "1" and not trains else "credit"
    other = {"credit": "traces", "traces": "credit"}[engine]
    return WholeNetwork(text, engine, other if order == "1" and not trains else "")
