"""Arrivals of one step in the backward pass, one after the other as they happened.

An arrival may depend on the state h of its target that it changes, as in
``v_post += w*(E - v_post)``, and on what its neuron is at this moment, as in
``I_post += w*u_pre*x_pre``. Arrivals of a step act in the order of Brian2's queue: those of earlier
spikes first, then by the number of the neuron and of the synapse. With h_k, the state just before
arrival k of K,

    h_{k+1} = h_k + Δ_k(h_k)        S_k = Π_{l>k} (1 + ∂Δ_l/∂h)
    grad_k += ∂Δ_k/∂w S_k λ         dE/dz_i += Δ_k S_k λ         dE/du_i += ∂Δ_k/∂u S_k λ

with λ the adjoint after all arrivals of the pathway. The state before the first one, and u, are
recorded in each step; what is between them is computed again. A spike that did not happen has its
place in the order, too: dE/dz_i is that of a spike that counts by z_i = 0.
"""

import numpy as np
import sympy
from brian2 import prefs

from ..brian import schedule
from ..brian.code import declare, internal
from ..brian.internals import (
    add_to,
    assigned_names,
    catch_logs,
    get_identifiers,
    parent_group,
    runs_in_python,
    statements_of,
)
from ..calculus.arrivals import check_constant
from ..calculus.derivatives import derivative
from ..calculus.printing import printed
from ..calculus.programs import symbol
from .backward_pass import collector, player
from .history import Recorder, resize_rows, steps_of
from .presynaptic import Pathway

#: Local names of a synapse: the state before its arrival, and ∂(state after the last)/∂(after it).
BEFORE, AFTER = "__before", "__after"
#: The same while arrivals are passed through, per neuron; what is recorded of the source.
NOW, STILL, SEEN, OPEN = "__now", "__still", "__seen", "__now_open"


class ArrivalsInTurn(Pathway):
    """A projection whose arrivals depend on the state they change, or on the presynaptic neuron.

    Parameters
    ----------
    engine, owner, effects, jumps, states, timing
        As of `Pathway`.
    seen : list of str
        Variables of the source that an arrival depends on and that change with time.

    Attributes
    ----------
    own : dict of str to sympy.Expr
        The jump of each state that depends on this state.
    """

    in_turn = True

    def __init__(self, engine, owner, effects, jumps, states, timing, seen):
        super().__init__(engine, owner, effects, jumps, states, timing)
        self.seen, self.own, self.heard = seen, own_jumps(jumps), []
        self.recorders, self.recorded = [], {f"{name}_pre" for name in seen}
        self.recorded |= {f"{state}_post" for state in self.own}
        self.clamped = set() if owner is engine.readout else owner.step.clamped & self.own.keys()
        self.place = {}

    def install(self, synapses, attach=None):
        """Add to a Synapses object what it needs in the backward pass; see `Pathway.install`."""
        self.synapses = synapses
        self._check(synapses)
        variables, target = synapses.variables, self.receiver.group
        for name in ("__first", "__order", "__arriving", "__steps"):
            variables.add_dynamic_array(name, size=0, dtype=np.int32)
        for name in ("__arrived", *(f"{n}_{s}" for s in self.own for n in (BEFORE, AFTER))):
            variables.add_dynamic_array(name, size=0)
        now = {self._see(f"{NOW}_{s}", target, "post"): s for s in self.own}
        if self.clamped:
            now[self._see(OPEN, target, "post")] = "int(not_refractory)"
        self.still = [self._see(f"{STILL}_{state}", target, "post") for state in self.own]
        seen = {
            self._see(f"{SEEN}_{n}", parent_group(synapses.source), "pre"): n for n in self.seen
        }
        source = parent_group(synapses.source)
        for side, group, values in (("pre", source, seen), ("post", target, now)):
            if values:
                self._record(side, group, values, attach)
        super().install(synapses, attach)

    def _check(self, synapses):
        """Raise an error for what is not replayed in the order in which it happens."""
        name = synapses.name
        for group in (parent_group(synapses.source), self.receiver.group):
            for eq in getattr(group, "user_equations", {}).values():
                used = {eq.varname, f"{eq.varname}_pre", f"{eq.varname}_post"}
                if "constant over dt" in eq.flags and used & get_identifiers(synapses.pre.code):
                    raise ValueError(
                        f"what a spike of '{name}' does depends on '{eq.varname}' of group "
                        f"'{group.name}', which is '(constant over dt)': remove the flag"
                    )
        learner, own = self.engine.learner, getattr(synapses, "learner", None)
        carried = learner.trial is not None and self.later and synapses not in learner.restored
        if own is not learner and carried:
            raise ValueError(
                f"'{name}' may carry spikes from one trial into the next, and what they do depends "
                f"on the state of a neuron: give it delay=0*ms, or Learner(reset=[{name}]), so "
                "that its spikes under way are dropped at the end of a trial"
            )
        changed = set(assigned_names(statements_of(synapses.pre.code)))
        for seen in self.seen:
            own = {f"{seen}_post", seen} & changed - synapses.equations.names
            if own and parent_group(synapses.source) is self.receiver.group:
                raise ValueError(
                    f"'{name}' changes '{seen}' of neurons whose own spikes depend on it, as "
                    f"'{seen}_pre', in the same step: let them depend on a variable that only "
                    "their reset changes"
                )
            if f"{seen}_pre" in changed:
                raise ValueError(
                    f"'{name}' changes '{seen}_pre' once for each of its synapses, and the next "
                    "one depends on it: let the reset of the presynaptic neurons change it"
                )

    def _see(self, local, group, side):
        """A variable of a group for these synapses alone, which they see by a local name."""
        name = internal(self.synapses.name, local)
        declare(group, name)
        self.synapses.variables.add_reference(local, group, name, index=f"_{side}synaptic_idx")
        return name

    def _record(self, side, group, values, attach):
        """Record, just before the spikes of a step arrive, variables as expressions of a group."""
        kept = {name: internal("kept", name) for name in values}
        for name in kept.values():
            group.variables.add_dynamic_array(name, size=0)
        code = "\n".join(f"{name} = {value}" for name, value in values.items())
        moment, name = schedule.just_before(self.synapses.pre), self.synapses.name
        recorder = Recorder(self.engine, group, code, moment, f"{name}_recorder_{side}", kept)
        (attach or (lambda obj: add_to(group, obj)))(recorder)
        self.recorders.append(recorder)

    def follow(self, reading):
        """Record where the arrivals are in the network that runs.

        Raises
        ------
        ValueError
            If the alphabet decides whether what arrivals depend on changes before them.
        """
        pathway, source = self.synapses.pre, parent_group(self.synapses.source)
        read = {source.variables[n]: n for n in self.seen}
        read |= {self.receiver.group.variables[s]: s for s in self.own}
        for action in reading.user_actions:
            runner = action.runner
            at_once = (runner.when, runner.order) == (pathway.when, pathway.order)
            if runner is not pathway and at_once and action.effects_on(read):
                name = read[action.effects_on(read)[0].variable]
                raise ValueError(
                    f"{action} changes '{name}', on which the spikes of '{self.synapses.name}' "
                    f"depend, at the same moment: give {runner.name} another order"
                )
        moment = reading.just_before(pathway)
        for recorder in self.recorders:
            recorder.change(recorder.abstract_code, recorder.recorded, moment)

    def prepare_recording(self, rows):
        """Size the ring buffers for so many steps."""
        for recorder in self.recorders:
            variables, n = recorder.group.variables, len(recorder.group)
            for name in recorder.recorded.values():
                resize_rows(variables[name], rows * n)

    @property
    def numbers_kept(self):
        """Of each step."""
        return sum(len(r.recorded) * len(r.group) for r in self.recorders)

    def _check_constant(self, expressions):
        group, learner = self.receiver.group, self.engine.learner
        check_constant(self.synapses, group, expressions, learner, self.recorded)

    def _common(self):
        return None

    def _credit(self, local, rows, factors=None):
        """Code of Σ_state factor·S·credit, with what was there when the spike arrived."""
        terms = []
        for state, factor in (factors or self.effects).items():
            output = self.receiver.output(
                {state: sympy.S.One}, self.early, rows, through=self.synapses.name
            )
            after = f"*{AFTER}_{state}" if state in self.own else ""
            credit = self._refer(f"{local}_{state}", output)
            terms.append(f"({printed(self.as_replayed(factor))}){after}*{credit}")
        return " + ".join(terms)

    def _refer(self, local, output):
        """A name of the synapse for the credit of the step of its arrival."""
        variables, group = self.synapses.variables, self.receiver.group
        variables.add_reference(local, group, output, index="_postsynaptic_idx")
        self.read[local] = output
        return local

    def as_replayed(self, expression):
        """An expression of on_pre with the values of the moment of the arrival."""
        names = {symbol(f"{s}_post"): symbol(f"{BEFORE}_{s}") for s in self.own}
        names |= {symbol(f"{n}_pre"): symbol(f"{SEEN}_{n}") for n in self.seen}
        return expression.xreplace(names)

    def send_back_to(self, population, state, row, origin):
        """Let credit flow to a state of the presynaptic neurons that arrivals depend on."""
        changes = self.changes_along(f"{state}_pre")
        local = internal("passed", state, str(len(self.heard)))
        code = f"({self._credit(local, (origin,), changes)})*__arrived"
        place = internal("sum", state, str(len(self.heard)))
        variable = population.add_summand(f"_heard_{row}_{state}")
        index = "_presynaptic_idx"
        self.synapses.variables.add_reference(place, population.group, variable, index=index)
        name = f"{self.synapses.name}_{row}_{state}_inflow"
        self.heard.append((code, place, name, population))

    @property
    def whole(self):
        """Whether spikes that did not happen count, too: those that credit flows back to."""
        return any(flow[-1].learns for flow in (*self.backwards, *self.heard))

    def prepare(self, reach):
        """Size what the arrivals of a step are listed in."""
        self.longest = reach
        if prefs.codegen.target == "numpy" and runs_in_python():
            self._check_one_by_one()
        source = parent_group(self.synapses.source)
        for _, place, _, _ in self.backwards:
            ring = internal("ring", place)
            variables = self.synapses.variables
            if ring not in variables:
                variables.add_dynamic_array(ring, size=0)
            resize_rows(variables[ring], (reach + 1) * len(source))
        if not self.engine.standalone:
            self.sort()

    def _check_one_by_one(self):
        """Raise an error for code that NumPy runs statement by statement for all arrivals."""
        read, written = set(), []
        for name, operation, value in statements_of(self.synapses.pre.code):
            read |= get_identifiers(value)
            state = name.removesuffix("_post")
            if name in read or (operation == "=" and state in self.own):
                return  # Brian2 passes through the arrivals, one after the other
            written += [state] * (state in self.own)
        written = [state for state in self.own if written.count(state) > 1]
        if written:
            raise ValueError(
                f"'{self.synapses.name}' changes '{written[0]}' in several statements, each "
                "of which Brian2's target 'numpy' runs for all spikes of a step before the next, "
                "unlike its other targets: write one, such as 'v_post += w*(E - v_post)', or "
                "choose another target"
            )

    def sort(self):
        """Order the synapses as their spikes arrive: by delay, from the longest, and by source."""
        variables, n = self.synapses.variables, len(parent_group(self.synapses.source))
        pre = variables["_synaptic_pre"].get_value()
        delays = steps_of(self.synapses.pre.variables["delay"].get_value(), self.synapses.clock.dt_)
        steps = np.broadcast_to(delays + self.timing.lag, pre.shape)
        place = (self.longest - steps) * n + pre
        counts = np.bincount(place, minlength=(self.longest + 1) * n)
        values = {
            "__first": np.concatenate([[0], np.cumsum(counts)]),
            "__order": np.argsort(place, kind="stable"),
            "__steps": steps,
        }
        for name, value in values.items():
            resize_rows(variables[name], len(value))
            variables[name].set_value(value.astype(np.int32))
        resize_rows(variables["__arriving"], len(pre) + 1)
        for name in self._per_synapse:
            resize_rows(variables[name], len(pre))

    @property
    def _per_synapse(self):
        names = [f"{n}_{s}" for s in self.own for n in (BEFORE, AFTER)]
        return ["__arrived", *names]

    def begin(self):
        """Code before the backward pass of a window."""
        variables = self.synapses.variables
        rings = [variables[internal("ring", place)] for _, place, _, _ in self.backwards]
        return [
            player(
                self.synapses,
                "order_arrivals",
                "",
                f"{self.synapses.name}_order",
                needed=[
                    "_synaptic_pre",
                    *("__first", "__order", "__steps", "__arriving"),
                    *self._per_synapse,
                    *(ring.name for ring in rings),
                ],
                synapses=self.synapses,
                delay=self.synapses.pre.variables["delay"],
                lag=self.timing.lag,
                reach=self.longest,
                n_source=len(parent_group(self.synapses.source)),
                per_synapse=[variables[name] for name in self._per_synapse],
                rings=rings,
            )
        ]

    def players(self):
        """Code that gives every arrival of a step its credit."""
        code = [] if self.whole else self._replayed()
        if self.code:
            grad = "\n".join(self.code_of_credit) if self.whole else self.code
            code.append(self._in_turn(grad, "credit"))
        return code

    def collectors(self):
        """Code that sums what each presynaptic neuron receives."""
        if not self.whole:
            return []
        return [
            *self._replayed(),
            *(self._collector(*flow) for flow in self.backwards if flow[-1].learns),
            *(
                collector(self.synapses, code, place, "_synaptic_pre", name)
                for code, place, name, population in self.heard
                if population.learns
            ),
        ]

    @property
    def code_of_credit(self):
        """Code of the gradients where synapses without an arrival are passed over as well."""
        for target, _, value in statements_of(self.code):
            yield f"{target} += ({value})*__arrived"

    def _replayed(self):
        """Code that lists the arrivals of a step and passes through them, forwards and backwards.

        For ``v_post += w*(E - v_post)``, order 1:

            __before_v = __now_v
            __now_v += w*(E - __before_v)

        and backwards

            __after_v = __still_v
            __still_v *= 1 + (-w)
        """
        synapses, variables = self.synapses, self.synapses.variables
        source = parent_group(synapses.source)
        replayed = [
            (r.group.variables[name], r.group.variables[kept], len(r.group))
            for r in self.recorders
            for name, kept in r.recorded.items()
        ]
        locals_of = {v.name: local for local, v in self._seen_variables().items()}
        ones = [f"{STILL}_{state}" for state in self.own]
        code = [
            player(
                synapses,
                "list_arrivals",
                "",
                f"{synapses.name}_arrivals",
                needed=["__kept_spikes", "__first", "__order", "__arriving", "__arrived"]
                + [locals_of[past.name] for past, _, _ in replayed]
                + [*ones, *self._references(kept for _, kept, _ in replayed)],
                rows=self.engine.rows,
                reach=self.longest,
                n_source=len(source),
                n_target=len(self.receiver.group),
                kept=variables["__kept_spikes"],
                whole=self.whole,
                replayed=replayed,
                ones=[variables[name] for name in ones],
            )
        ]
        if not self.own:
            return code
        forwards, backwards = [], []
        for state, jump in self.own.items():
            gates = [OPEN] if state in self.clamped else []
            gates += ["__arrived"] if self.whole else []
            gate = "".join(f"*{name}" for name in gates)
            change = self.as_replayed(jump)
            slope = self.as_replayed(own_slope(jump, state))
            forwards += [
                f"{BEFORE}_{state} = {NOW}_{state}",
                f"{NOW}_{state} += ({printed(change)}){gate}",
            ]
            backwards += [
                f"{AFTER}_{state} = {STILL}_{state}",
                f"{STILL}_{state} *= 1 + ({printed(slope)}){gate}",
            ]
        code.append(self._in_turn("\n".join(forwards), "forwards"))
        code.append(self._in_turn("\n".join(backwards), "backwards", reverse=True))
        return code

    def _seen_variables(self):
        """What synapses see of groups, by the local names."""
        names = [f"{n}_{s}" for s in self.own for n in (NOW, STILL)]
        names += [f"{SEEN}_{n}" for n in self.seen] + ([OPEN] if self.clamped else [])
        return {name: self.synapses.variables[name] for name in names}

    def _references(self, kept):
        """Names of the synapses for ring buffers of other groups."""
        variables, names = self.synapses.variables, []
        for variable in kept:
            if variable.name not in variables:
                variables.add_reference(variable.name, variable.owner, variable.name, index="0")
            names.append(variable.name)
        return names

    def _in_turn(self, code, name, *, reverse=False):
        """Code for the synapses at which spikes arrive in a step, in their order or backwards."""
        made = player(
            self.synapses,
            "in_turn",
            code,
            f"{self.synapses.name}_{name}",
            needed=["__arriving"],
            reverse=reverse,
        )

        def without_warning(run_namespace):
            # Brian2 warns of code that depends on the order of synapses: this one is in order
            with catch_logs():
                return made(run_namespace)

        return without_warning

    def _collector(self, code, place, name, population):
        """Credit of spikes, summed in the step in which the neuron fires."""
        variables, ring = self.synapses.variables, internal("ring", place)
        return player(
            self.synapses,
            "pass_back",
            f"_passed = {code}",
            name,
            needed=[place, ring, "__steps", "_synaptic_pre"],
            target=variables[place],
            ring=variables[ring],
            reach=self.longest,
            n_source=len(parent_group(self.synapses.source)),
        )


def own_jumps(jumps):
    """The jumps that depend on the state that jumps, {state: jump}, in names of the synapse."""
    return {
        state: jump for state, jump in jumps.items() if symbol(f"{state}_post") in jump.free_symbols
    }


def own_slope(jump, state):
    """∂Δ/∂h of the state that jumps, in names of the synapse."""
    return derivative(jump, symbol(f"{state}_post"))
