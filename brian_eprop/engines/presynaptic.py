"""Projections in the backward pass: every arrival of a spike is given its credit.

grad_ji += Σ_arrivals b·credit_j          and, across recurrent synapses,
dE/dz_i += Σ_j Δ_ji·credit_j              Δ: what the spike adds to the neuron

A delay of d steps that learns has the derivative of a spike that is split between the steps
n = ⌊d⌋ and n + 1 after it:

dE/dd_ji += Σ_spikes Δ_ji·(credit_j one step later − credit_j after n steps)
"""

from collections.abc import Set

import numpy as np
import sympy

from ..brian.code import internal
from ..brian.internals import get_identifiers, is_standalone, known_values, parent_group
from ..calculus.arrivals import check_constant, common_effects, is_synaptic
from ..calculus.derivatives import derivative
from ..calculus.printing import printed
from ..calculus.programs import symbol
from .backward_pass import carry_on, collector, player
from .history import WHOLE_STEP, resize_rows, steps_before, steps_of


class Pathway:
    """A projection, trained or only crossed by credit, in the backward pass.

    Parameters
    ----------
    engine : Credit
    owner : CreditPopulation or CreditReadout
        Where the spikes arrive.
    effects, jumps : dict of str to sympy.Expr
        ∂Δ/∂w and Δ of each state, in names of the synapse.
    states : tuple of str
        Entries of the eligibility vector.
    timing : Timing

    Attributes
    ----------
    on_pre : tuple of (target, operation, expression)
        Statements of learning when a spike arrives: none.
    left_out : frozenset of str
        States that the weight acts on, and that did not count when the synapses were created.
    unread : set of str
        Further states that a spike changes, and that did not count then.
    """

    on_pre = ()
    left_out: frozenset[str] = frozenset()
    unread: Set[str] = frozenset()
    #: Arrivals of a step are passed through one after the other.
    in_turn = False
    #: Names in on_pre whose values are recorded at each arrival.
    recorded: Set[str] = frozenset()

    def __init__(self, engine, owner, effects, jumps, states, timing):
        self.engine, self.owner, self.receiver = engine, owner, owner.receiver
        self.effects, self.jumps, self.states, self.timing = effects, jumps, states, timing
        self.early = timing.early or owner.acts_at_once
        self.later = not timing.without_delay or timing.lag > 0
        self.delay_learns = timing.longest is not None
        self.traces = owner.traces if engine.carries else {}
        self.backwards, self.code, self.heard_parameters = [], "", []

    def jumps_later(self, on_pre, states):
        """Read what a spike does to further states when they count."""
        self._on_pre, self.unread = on_pre, states

    def count(self, step, states):
        """Take what a spike does to states that have come to count in the network that runs.

        Parameters
        ----------
        step : OneStep
            Of the target.
        states : iterable of str
            Those that count.

        Returns
        -------
        set of str
            States of which the arrivals' part cannot be taken any more.
        """
        if not (new := self.unread.intersection(states)):
            return set()
        jumps = self._on_pre.jumps(step, new)
        names = {f"{name}{side}" for name in self.owner.parameters for side in ("", "_post")}
        trained = {*map(symbol, names)}
        late = {
            state
            for state, jump in jumps.items()
            if self.backwards or jump.free_symbols & {*trained, symbol(f"{state}_post")}
        }
        self.jumps = {**self.jumps, **jumps}
        self.unread = self.unread - new
        return late

    @property
    def variables(self):
        """Variables of the synapses, and the state whose unit they have."""
        carried = {f"eps_{s}": s for s in self.states} if self.engine.carries else {}
        carried |= dict.fromkeys(self.traces)
        return {"grad": None} | carried | {internal("next", n): s for n, s in carried.items()}

    def install(self, synapses, attach=None):
        """Add to a Synapses object, which has the variables, what it needs in the backward pass.

        Parameters
        ----------
        synapses : Synapses
        attach : callable, optional
            What lets a recorder of the spikes run with the network, where it exists already.
        """
        self.synapses = synapses
        self.read = {}
        learner = self.engine.learner
        flags = ("__replayed_step", "__window_start", "__window_ends", "__trial_begins")
        learner.share(synapses, *flags, "__episode_ends", "__kappa")
        variables, source = synapses.variables, parent_group(synapses.source)
        kept = self.engine.record_spikes(source, attach)
        variables.add_reference("__kept_spikes", source, kept, index="0")
        split = ("__first_idx", "__second_idx") if self.delay_learns else ()
        for name in ("__row_first", "__row_order", "__arrival_idx", *split):
            variables.add_dynamic_array(name, size=0, dtype=np.int32)
        self._check_constant(self.effects)
        self.common = self._common()
        self.engine.pathways.append(self)
        if not self.effects:
            return
        # Where all synapses of a neuron act alike, as in LIF networks: grad += __arriving_grad,
        # and for synapses with an effect of their own: grad += (gain)*__arriving_grad_v.
        # What they send back: w*__passed_0, summed over the synapses of each source.
        code = [f"grad += {self._credit('__arriving_grad', self.owner.credit_rows)}"]
        if self.engine.carries:
            rows = {f"eps_{s}": f"carry_{s}" for s in self.states} | self.traces
            for name, row in rows.items():
                credit = self._credit(internal("arriving", name), (row,))
                code.append(f"{internal('next', name)} += {credit}")
            carry_on(self)
        if self.delay_learns:
            code.append(self._of_delay())
        self.code = "\n".join([*code, *self._of_parameters()])

    def _of_delay(self):
        """Code of the gradient of the delay."""
        self._check_constant(self.jumps)
        rows = self.owner.credit_rows
        second = self._credit("__second", rows, self.jumps, index="__second_idx")
        first = self._credit("__first", rows, self.jumps, index="__first_idx")
        return f"grad_delay += (({second}) - ({first}))/dt"

    def _check_constant(self, expressions):
        """Raise an error if what arrivals do is another thing when a window has ended."""
        check_constant(self.synapses, self.receiver.group, expressions, self.engine.learner)

    def _common(self):
        """b in names of the target, where it is the same for all synapses; else None."""
        variables = self.synapses.variables
        synaptic = {name for name in variables if is_synaptic(self.synapses, name)}
        common = common_effects(self.effects, synaptic)
        return common if self.effects and len(common) == len(self.effects) else None

    @property
    def proportional(self):
        """Whether a spike does nothing but what is proportional to the weight."""
        if self.common is None:
            return False
        weight = symbol(self.synapses.weight)
        return all(
            (self.jumps.get(s, 0) - weight * self.effects.get(s, 0)).expand() == 0
            for s in {*self.jumps, *self.effects}
        )

    def _credit(self, local, rows, factors=None, index="__arrival_idx"):
        """Code of Σ_state factor·credit (factor: b), reading names that begin with `local`."""
        early, receiver = self.early, self.receiver
        if factors is None and self.common is not None:
            return self._refer(local, receiver.output(self.common, early, rows))
        terms = []
        for state, factor in (factors or self.effects).items():
            output = receiver.output({state: sympy.S.One}, early, rows)
            name = self._refer(f"{local}_{state}", output, index)
            terms.append(f"({printed(factor)})*{name}")
        return " + ".join(terms)

    def _refer(self, local, output, index="__arrival_idx"):
        """A name of the synapse for the credit at the time of its arrival, one for each output."""
        variables, group = self.synapses.variables, self.receiver.group
        known = [name for name, read in self.read.items() if read == (output, index)]
        if known:
            return known[0]
        if self.later:
            kept = self.receiver.delayed(output)
            # One delay for all: a program finds the step in which everything arrives.
            index = "_postsynaptic_idx" if self._alike else index
            variables.add_reference(local, group, kept, index=index)
        else:
            variables.add_reference(local, group, output, index="_postsynaptic_idx")
        self.read[local] = (output, index)
        return local

    @property
    def _outputs(self):
        """The outputs of the receiver that synapses read."""
        return {output for output, _ in self.read.values()}

    def _of_parameters(self):
        """Code of the gradients of parameters of the receiver that arrivals depend on."""
        code = []
        for name in self.owner.parameters:
            names = symbol(name), symbol(f"{name}_post")
            changes = {
                state: sum(derivative(jump, each) for each in names)
                for state, jump in self.jumps.items()
            }
            if changes := {state: change for state, change in changes.items() if change != 0}:
                self._check_constant(changes)
                credit = self._credit(internal("arriving", name), self.owner.credit_rows, changes)
                code.append(f"grad_{name}_post += {credit}")
        return code

    def send_back_to_parameters(self, names, rows):
        """Let credit flow to parameters of the presynaptic neurons that arrivals depend on.

        ::

            dE/dp_i += Σ_j Σ_arrivals ∂Δ_ji/∂p_i·credit_j

        Parameters
        ----------
        names : iterable of str
        rows : tuple of str
            The rows that it comes from.
        """
        for name in names:
            changes = self.changes_along(f"{name}_pre")
            self._check_constant(changes)
            credit = self._credit(internal("heard", name), rows, changes)
            self.code += f"\ngrad_{name}_pre += {credit}"
            self.heard_parameters.append(name)

    def changes_along(self, name):
        """∂Δ/∂name for each state, where it is not 0; a name of the synapses is their own."""
        if is_synaptic(self.synapses, name):
            return {}
        changes = {state: derivative(jump, symbol(name)) for state, jump in self.jumps.items()}
        return {state: change for state, change in changes.items() if change != 0}

    def send_back(self, population, variable, name, weight, row):
        """Let credit flow to the neurons that the spikes came from.

        Parameters
        ----------
        population : CreditPopulation
            These neurons.
        variable : str
            Their variable that receives it.
        name : str
            Of the code.
        weight : str or None
            What takes the place of the weight (feedback weights); the weight's own name else, None
            for synapses that have none.
        row : tuple of str
            The rows that it comes from.
        """
        local = internal("passed", str(len(self.backwards)))
        if self.proportional:
            code = f"{weight}*{self._credit(local, row)}"
        elif weight is not None and weight != self.synapses.weight:
            code = f"{weight}*({self._credit(local, row)})"
        else:
            self._check_constant(self.jumps)
            code = self._credit(local, row, self.jumps)
        place = internal("sum", str(len(self.backwards)))
        self.synapses.variables.add_reference(
            place, population.group, variable, index="_presynaptic_idx"
        )
        self.backwards.append((code, place, name, population))

    @property
    def reach(self):
        """Steps from a spike to its latest arrival; None if only the program will know."""
        if not self.later:
            return 0
        if self.delay_learns:
            return self.timing.longest + 1 + self.timing.lag
        delays = known_values(self.synapses.pre.variables["delay"])
        if not delays.size and is_standalone():
            if self.timing.stated is None:
                return None
            delays = np.array([self.timing.stated])
        return int(steps_of(delays, self.synapses.clock.dt_).max(initial=0)) + self.timing.lag

    def prepare(self, reach):
        """Size the ring buffers of credit for delays of so many steps."""
        for output in self._outputs:
            if self.later:
                self.receiver.reach[output] = max(reach, self.receiver.reach[output])
        if not self.engine.standalone:
            self.sort()

    def sort(self):
        """Find the synapses of each source, and where each synapse finds its credit."""
        variables, n = self.synapses.variables, len(self.receiver.group)
        pre, post = (variables[f"_synaptic_{side}"].get_value() for side in ("pre", "post"))
        counts = np.bincount(pre, minlength=len(parent_group(self.synapses.source)))
        seconds, dt = self.synapses.pre.variables["delay"].get_value(), self.synapses.clock.dt_
        delays = steps_of(seconds, dt)
        values = {
            "__row_first": np.concatenate([[0], np.cumsum(counts)]),
            "__row_order": np.argsort(pre, kind="stable"),
            "__arrival_idx": (delays + self.timing.lag) * n + post,
        }
        if self.delay_learns:
            first = (steps_before(seconds, dt) + self.timing.lag) * n + post
            values |= {"__first_idx": first, "__second_idx": first + n}
        for name, value in values.items():
            resize_rows(variables[name], len(value))
            variables[name].set_value(value.astype(np.int32))

    def begin(self):
        """Code before the backward pass of a window: a program has to look up delays itself."""
        if not (self.later and self.engine.standalone):
            return []
        synapses = self.synapses
        place, delay = synapses.variables["__arrival_idx"], synapses.pre.variables["delay"]
        split = ["__first_idx", "__second_idx"] if self.delay_learns else []
        return [
            player(
                synapses,
                "place_arrivals",
                "",
                f"{synapses.name}_places",
                needed=["__arrival_idx", "_synaptic_post", *split],
                synapses=synapses,
                place=None if self._alike else place,
                delay=delay,
                lag=self.timing.lag,
                reach=max(self.receiver.reach[output] for output in self._outputs),
                n=len(self.receiver.group),
                split=[synapses.variables[name] for name in split],
                whole_step=WHOLE_STEP,
            )
        ]

    def players(self):
        """Code that gives every arrival of the spikes of one step its credit."""
        synapses = self.synapses
        if not self.code:
            return []
        return [
            player(
                synapses,
                "credit",
                self.code,
                f"{synapses.name}_credit",
                needed=["__kept_spikes"],
                synapses=synapses,
                kept=synapses.variables["__kept_spikes"],
                rows=self.engine.rows,
                n_source=len(parent_group(synapses.source)),
                later=self._later(self.code),
                alike=self._alike,
            )
        ]

    def collectors(self):
        """Code that sums what each presynaptic neuron receives."""
        return [self._collector(*flow) for flow in self.backwards if flow[-1].learns]

    def _collector(self, code, place, name, population):
        if not self.engine.standalone:
            return collector(self.synapses, code, place, "_synaptic_pre", name, self._later(code))
        variables, gate = self.synapses.variables, None
        if "psi" in population.adjoint.recorded:
            variables.add_reference("__kept_psi", population.group, "__kept_psi", index="0")
            gate = variables["__kept_psi"]
        needed = [place, *(["__kept_psi"] if gate is not None else [])]
        shared = dict(
            synapses=self.synapses,
            target=variables[place],
            later=self._later(code),
            alike=self._alike,
            gate=gate,
            rows=self.engine.rows,
        )
        if factors := self._factors(code):
            weight, factor = (variables[name] for name in factors)
            needed += factors
            return player(
                self.synapses,
                "collect_product",
                "",
                name,
                needed,
                weight=weight,
                factor=factor,
                **shared,
            )
        return player(
            self.synapses,
            "collect_rows",
            f"_passed = {code}",
            name,
            needed,
            **shared,
        )

    @property
    def numbers_of_matrices(self):
        """How many numbers a program has of weights as whole matrices: see collect_product.cpp.

        Of plain synapses by a condition it is not known before the program runs, and not counted.
        """
        synapses = self.synapses
        products = [code for code, *_, population in self.backwards if population.learns]
        products = [code for code in products if self._factors(code)]
        if not (is_standalone() and products):
            return 0
        listed = int(known_values(synapses.variables["N"]).sum())
        count = max(listed, getattr(synapses, "connected", 0))
        pairs = len(synapses.source) * len(synapses.target)
        return len(products) * pairs if 2 * count > pairs else 0

    def _factors(self, code):
        """Weight and variable of the target whose product code is; None if it is another thing."""
        factors = code.split("*")
        kinds = ["_idx", "_postsynaptic_idx"]
        indices = self.synapses.variables.indices
        return factors if [indices.get(name) for name in factors] == kinds else None

    @property
    def _alike(self):
        """The delay of all synapses in a program, and further steps; None if they may differ."""
        delay = self.synapses.pre.variables["delay"]
        together = is_standalone() and delay.scalar and not self.delay_learns
        return (delay, self.timing.lag) if together else None

    def _later(self, code):
        """The ring buffers of delayed credit that code reads, and their numbers of rows."""
        reach, n, names = self.receiver.reach, len(self.receiver.group), get_identifiers(code)
        read = {
            output: local
            for local, (output, _) in self.read.items()
            if self.later and local in names
        }
        return [
            (self.synapses.variables[local], reach[output] + 1, n) for output, local in read.items()
        ]
