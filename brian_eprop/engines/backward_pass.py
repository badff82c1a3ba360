"""The backward pass: the statements of each of its steps, and the code that replays a window.

A *row* is one adjoint of a group: ``credit`` is λ = dE/dh, summed over all paths or, with a
limited number of hops, over those without explicit edges; ``credit1`` is that over paths of one
explicit edge, and so on.

For a LIF neuron with an explicit reset, order 1, the finished text is

    _gamma_credit = __credit_signal
    _credit_v_threshold = credit_v + (__past_psi)*_gamma_credit
    __arriving_0 = _credit_v_threshold                    (spikes before the threshold)
    credit_v = (__constant_F_v_v)*_credit_v_threshold

A window that begins within a trial also owes credit to the arrivals before it. Their effect is in
the eligibility vector at the begin of the window, s, and in the filtered trace before it, ē:

    grad ← grad + λ·s + κ ℓ ē          ℓ_j^t = g Σ_{t'≥t} κ^{t'−t} L_j^{t'} of this window
    s ← V s + …                        V: product of A over the window, one adjoint per state
    ē ← κ^T ē + v·s + …                v: the adjoint of Σ_t κ^{T−1−t} c·s^t

so that synapses move on once per window and not once per step.
"""

import weakref
from functools import partial

import numpy as np
import sympy
from attrs import frozen
from brian2 import CodeRunner

from ..brian import schedule
from ..brian.code import LearningCode, code_object, internal, run_if, see_target
from ..brian.internals import last_step
from ..calculus.adjoint import OPEN, transposed
from ..calculus.one_step import symbol
from ..calculus.printing import printed
from .trials import at_trial_start


@frozen
class Row:
    """One adjoint of a group.

    Attributes
    ----------
    name : str
        ``credit`` has the variables ``credit_<state>``, others have internal ones.
    source : str
        What is added to γ, as code.
    explicit : str
        The row whose credit comes in along the explicit path through the reset; "" for none.
    """

    name: str
    source: str
    explicit: str = ""


def row_variable(row, state):
    """The variable of a group that holds a row of credit, or what is carried, for a state."""
    return f"credit_{state}" if row == "credit" else internal(row, state)


def past(expression, adjoint):
    """An expression of recorded names in the names of what is replayed."""
    return expression.xreplace({symbol(n): symbol(internal("past", n)) for n in adjoint.recorded})


class Sweep:
    """The statements of one step of the backward pass of a group.

    Attributes
    ----------
    after_threshold, before_threshold : list of str
        Statements for the stages after the threshold, and from the threshold to the start of
        the step.

    Parameters
    ----------
    adjoint : Adjoint
    rows : list of Row
    credit_rows : tuple of str
        The rows whose sum is the credit of a parameter.
    outputs : iterable of Output
        What synapses ask for.
    clamped : frozenset of str
        States that ignore arrivals during refractoriness.
    read_at : dict of str to int
        How many stages of the step are before each moment at which losses read the state.
    heard : list of (str, str, str)
        Row, state, and the name of what arrivals that depend on the state owe to it: they are
        behind the threshold, and nothing changes the state in between.
    """

    def __init__(self, adjoint, rows, credit_rows, outputs, clamped, read_at, heard):
        self.heard = heard
        self.adjoint, self.rows, self.credit_rows = adjoint, rows, credit_rows
        self.outputs, self.clamped, self.read_at = list(outputs), clamped, read_at
        self.names = {r.name: {s: row_variable(r.name, s) for s in adjoint.states} for r in rows}
        self.gamma = {row.name: [row.source] if row.source else [] for row in rows}
        self.parameters = {name: [] for name in adjoint.parameters}
        self.after_threshold, self.before_threshold = [], []
        self.lines = self.after_threshold
        self._run()

    def _run(self):
        transitions = self.adjoint.transitions
        self._add_errors(len(transitions))
        self._put_out(len(transitions))
        for place, transition in reversed(list(enumerate(transitions))):
            if transition.stage == "threshold":
                self.lines = self.before_threshold
                for row, state, owed in self.heard:
                    local = f"_{row}_{state}_heard"
                    self.lines.append(f"{local} = {self.names[row][state]} + {owed}")
                    self.names[row][state] = local
                self._threshold(transition)
            else:
                self._stage(transition)
            self._add_errors(place)
            self._put_out(place)
        for row, names in self.names.items():
            for state, name in names.items():
                if name != row_variable(row, state):
                    self.lines.append(f"{row_variable(row, state)} = {name}")
        for name, terms in self.parameters.items():
            self.lines.append(f"grad_{name} += {' + '.join(terms) or '0'}")

    def _stage(self, transition):
        """λ ← Mᵀ λ, and what the spike and parameters did in this stage."""
        for row in self.rows:
            for entries, source in (
                (transition.implicit, row.name),
                (transition.explicit, row.explicit),
            ):
                if source and entries:
                    self.gamma[row.name].append(self._times(entries, self.names[source]))
        for name, effects in transition.parameters.items():
            if effects:
                local = f"_{name}_{transition.stage}"
                terms = [self._times(effects, self.names[row]) for row in self.credit_rows]
                self.lines.append(f"{local} = {' + '.join(terms)}")
                self.parameters[name].append(local)
        after = {}
        for row in self.rows:
            names = self.names[row.name]
            after[row.name] = dict(names)
            for column, entries in transition.matrix.items():
                local = f"_{row.name}_{column}_{transition.stage}"
                self.lines.append(f"{local} = {self._times(entries, names)}")
                after[row.name][column] = local
        self.names = after

    def _threshold(self, transition):
        """λ ← λ + c γ."""
        for row in self.rows:
            names = self.names[row.name]
            gamma = f"_gamma_{row.name}"
            self.lines.append(f"{gamma} = {' + '.join(self.gamma[row.name]) or '0'}")
            for state, slope in transition.c.items():
                local = f"_{row.name}_{state}_threshold"
                slope = printed(past(slope, self.adjoint))
                self.lines.append(f"{local} = {names[state]} + ({slope})*{gamma}")
                names[state] = local
        total = " + ".join(f"_gamma_{row}" for row in self.credit_rows)
        for name, effects in transition.parameters.items():
            for effect in effects.values():
                self.parameters[name].append(f"({printed(past(effect, self.adjoint))})*({total})")

    def _times(self, entries, names):
        return transposed({s: past(e, self.adjoint) for s, e in entries.items()}, names)

    def _add_errors(self, place):
        """λ ← λ + ∂ℓ/∂h, where losses read the state: after all arrivals of this moment."""
        names = self.names["credit"]
        for moment, errors in self.adjoint.errors.items():
            for state, error in errors.items() if self.read_at[moment] == place else ():
                local = f"_credit_{state}_read_{moment}"
                self.lines.append(f"{local} = {names[state]} + {internal('past', error)}")
                names[state] = local

    def _put_out(self, place):
        """Credit of the arrivals at this moment of the step."""
        for output in self.outputs:
            if output.place != place:
                continue
            terms = []
            for state, effect in output.effects.items():
                credit = " + ".join(self.names[row][state] for row in output.rows)
                gate = f"*{internal('past', OPEN[output.early])}" if state in self.clamped else ""
                factor = "" if effect == sympy.S.One else f"({printed(effect)})*"
                terms.append(f"{factor}({credit}){gate}")
            self.lines.append(f"{output.name} = {' + '.join(terms)}")


def player(owner, template, code, name, needed=(), **template_kwds):
    """Code of the backward pass of one step, and the template that runs it.

    Parameters
    ----------
    owner : Group
        Whose variables the code uses.
    template : str
    code : str
        Abstract code.
    name : str
    needed : iterable of str
        Variables of the owner that the template uses.
    **template_kwds
        What else the template asks for.

    Returns
    -------
    callable
        Namespace of a run → what runs the code, compiled for the present device and target.
    """
    return partial(
        code_object,
        owner,
        code,
        template=template,
        name=f"{name}_codeobject*",
        needed_variables=list(needed),
        template_kwds=template_kwds,
        override_conditional_write=["not_refractory"],
    )


class Replay(LearningCode):
    """The backward pass of a window: runs its code for every step, and for those of its tail.

    Parameters
    ----------
    engine : Credit
    """

    def __init__(self, engine):
        readout = engine.learner.readout
        super().__init__(readout, "", schedule.REPLAY, f"{readout.name}_replay", template="replay")
        self.engine = engine

    def before_run(self, run_namespace):
        """Generate the code of the backward pass."""
        engine, variables = self.engine, self.group.variables
        engine.prepare()
        variables["__run_end"].set_value(last_step(self.group.clock))
        begin, step, finish = (
            [made(run_namespace) for made in group] for group in engine.players()
        )
        self.begin, self.step, self.finish = begin, step, finish
        self.flags = [variables[n] for n in ("__window_ends", "__window_start", "__replayed_step")]
        if engine.standalone:
            self.template_kwds = {
                "begin": begin,
                "step": step,
                "finish": finish,
                "tail": engine.tail,
            }
            super().before_run(run_namespace)
        else:
            self.code_objects[:] = [weakref.proxy(code) for code in (*begin, *step, *finish)]
            super(CodeRunner, self).before_run(run_namespace)

    def run(self):
        """Brian2's runtime device calls this in every step; compiled programs have replay.cpp."""
        ends, start, replayed = self.flags
        if not ends.get_value()[0]:
            return
        now = int(self.group.variables["t_in_timesteps"].get_value()[0])
        trial_start = now - int(self.group.variables["trial_step"].get_value()[0])
        first = max(int(start.get_value()[0]) - self.engine.tail, trial_start)
        for code in self.begin:
            code()
        for step in range(now, first - 1, -1):
            replayed.set_value(step)
            for code in self.step:
                code()
        self.engine.multiply(np.arange(int(start.get_value()[0]), now + 1))
        for code in self.finish:
            code()
        start.set_value(now + 1)


def carry_on(pathway):
    """Add the code that carries the eligibility vector of a projection to the next window.

    Parameters
    ----------
    pathway : Pathway
        With its synapses.
    """
    synapses, states, learner = pathway.synapses, pathway.states, pathway.engine.learner
    carried = {f"eps_{s}": f"carry_{s}" for s in states} | pathway.traces
    owed = [f"credit_{s}_post*eps_{s}" for s in states]
    if "e_bar" in pathway.traces:
        owed.append("__kappa*__credit_signal_post*e_bar")
    kept = {"e_bar": "__credit_filter*__kappa*e_bar + ", "__e_sum": "__e_sum + "}
    code = [f"grad += {' + '.join(owed)}"]
    for name, row in carried.items():
        moved = " + ".join(f"{row_variable(row, s)}_post*eps_{s}" for s in states)
        code.append(f"_moved_{row} = {kept.get(name, '')}{moved} + {internal('next', name)}")
    code += [
        f"{name} = _moved_{row}\n{internal('next', name)} = 0" for name, row in carried.items()
    ]
    if "__e_sum" in pathway.traces:
        code.append("grad += __episode_ends*__rate_pressure_post*__e_sum")
        code.append("__e_sum = (1 - __episode_ends)*__e_sum")
    learner.share(synapses, "__credit_filter")
    see_target(synapses, "\n".join(code))
    name = f"{synapses.name}_carry"
    run_if("__window_ends", synapses, "\n".join(code), schedule.CARRY, name)
    if learner.trial is not None:
        cleared = "\n".join(f"{name} = 0" for name in carried)
        at_trial_start(synapses, cleared, f"{synapses.name}_trial_start")


def collector(synapses, code, place, index, name, later=()):
    """Code that sets a variable of a group to a sum over synapses, for one step of the past."""
    variables = synapses.variables
    return player(
        synapses,
        "collect",
        f"_passed = {code}",
        name,
        needed=[place, index],
        synapses=synapses,
        target=variables[place],
        index=variables[index],
        later=later,
    )
