"""Sums over synapses in the backward pass: every step is an arrival of what is summed up.

For s_j = Σ_i Σ_k W_k X_k,i Y_k,j (sums.py), with λ_j = dE/ds_j in the step in which s is summed up,
of all rows that count,

    grad_ji  += Σ_k W_k' Σ_t X_k,i^t (Y_k,j λ_j)^t        one matrix product per window
    λ_i[q]   += Σ_k ∂X_k,i/∂q Σ_j W_k (Y_k,j λ_j)         in each step, of order above 1
    dE/dp_i  += Σ_t Σ_k ∂X_k,i/∂p Σ_j W_k (Y_k,j λ_j)     for a trained parameter p of the source

X and Y are recorded just before Brian2 sums up, and Y λ is kept while the window is played
backwards. What the sum does to the state of its own target is a stage of the target's step.
"""

from functools import partial

import numpy as np
from brian2 import Expression

from ..brian import schedule
from ..brian.code import LearningSum, declare, internal
from ..brian.internals import add_to
from ..calculus.derivatives import derivative
from ..calculus.printing import printed
from ..calculus.programs import symbol
from .backward_pass import carry_on, collector, player, row_variable
from .history import Recorder, resize_rows

#: Synapses per pair of neurons from which on the products of all pairs are computed at once.
DENSE = 0.05
#: Numbers that are multiplied at once, where they are not.
BLOCK = 2**20


def _may_change(group, name):
    return not (group.variables[name].constant or group.variables[name].read_only)


class SummedPathway:
    """Synapses with a sum, trained or only crossed by credit, in the backward pass.

    Parameters
    ----------
    engine : Credit
    owner : CreditPopulation
        Of the target.
    total : Sum
    states : tuple of str
        Entries of the eligibility vector of its weights.

    Attributes
    ----------
    on_pre : tuple
        Statements of learning when a spike arrives: none.
    """

    on_pre = ()

    def __init__(self, engine, owner, total, states=()):
        self.engine, self.owner, self.receiver, self.sum = engine, owner, owner.receiver, total
        self.states, self.traces = states, owner.traces if engine.carries else {}
        self.source, self.inflows, self.slopes = None, {}, {}

    @property
    def variables(self):
        """Variables of the synapses, and the state whose unit they have."""
        carried = {f"eps_{s}": s for s in self.states} if self.engine.carries else {}
        carried |= dict.fromkeys(self.traces)
        carried |= {internal("next", n): s for n, s in carried.items()}
        products = {n for names in self.products.values() for n in names}
        return {"grad": None} | carried | dict.fromkeys(sorted(products))

    @property
    def receiving(self):
        """The rows of credit that each variable of the synapses is given: {variable: rows}."""
        rows = {"grad": self.owner.credit_rows}
        if self.engine.carries:
            carried = {f"eps_{s}": f"carry_{s}" for s in self.states} | self.traces
            rows |= {internal("next", name): (row,) for name, row in carried.items()}
        return rows

    @property
    def products(self):
        """The variables that hold Σ_t X_k Y_k λ: {variable that is given it: [one per term]}."""
        return {
            name: [internal("product", name, str(k)) for k in self.trained]
            for name in self.receiving
        }

    @property
    def trained(self):
        """W' of the terms that depend on the weight, by their numbers."""
        if not self.sum.weight:
            return {}
        slopes = (derivative(term.weight, symbol(self.sum.weight)) for term in self.sum.terms)
        return {k: slope for k, slope in enumerate(slopes) if slope != 0}

    def install(self, synapses, attach=None):
        """Add to a Synapses object what it needs; as `Pathway.install`."""
        self.synapses, self.name = synapses, synapses.name
        attach = attach or partial(add_to, synapses)
        self.updater = synapses.summed_updaters[f"{self.sum.variable}_post"]
        learner = self.engine.learner
        for group in (synapses, self.sum.source, self.sum.target):
            learner.share(group, "__replayed_step", "__window_start")
        flags = ("__window_ends", "__trial_begins", "__episode_ends", "__kappa")
        learner.share(synapses, *(flags if self.trained else ()))
        terms, moment = self.sum.terms, schedule.just_before(self.updater)
        self.x = [internal(self.name, "x", str(k)) for k in range(len(terms))]
        self.y = {
            k: internal(self.name, "y", str(k))
            for k, term in enumerate(terms)
            if not term.post.is_number
        }
        for name in self.x:
            declare(self.sum.source, name)
            self.sum.source.variables.add_dynamic_array(internal("kept", name), size=0)
        for name in self.y.values():
            declare(self.sum.target, name)
        self.receiver.factors |= dict.fromkeys(self.y.values(), self.sum.piece.name)
        self.receiver.keep(self.receiver.recorded)
        # For I_gap_post = g*(v_pre - v_post), with the names that synapses 'gap' give them:
        # __gap_x_0 = v; __gap_x_1 = 1 in the source, and __gap_y_1 = v in the target
        code = [f"{n} = {printed(term.pre)}" for n, term in zip(self.x, terms, strict=True)]
        kept = {n: internal("kept", n) for n in self.x}
        source, target = self.sum.source, self.sum.target
        self.of_source = Recorder(
            self.engine, source, "\n".join(code), moment, f"{self.name}_sources", kept
        )
        code = [f"{n} = {printed(terms[k].post)}" for k, n in self.y.items()]
        kept = {n: internal("kept", n) for n in self.y.values()}
        self.of_target = Recorder(
            self.engine, target, "\n".join(code), moment, f"{self.name}_targets", kept
        )
        self.recorders = [self.of_source, *([self.of_target] if self.y else [])]
        for k in self.sum.sloped:
            self._refer("pre", source, self.x[k])
            self._refer("post", target, self.sum.holder(k))
            expression = Expression(f"({printed(terms[k].weight)})*{self.x[k]}_pre")
            name = f"{self.sum.holder(k)}_post"
            updater = LearningSum(expression, name, synapses, target, "N_post", "_synaptic_post")
            self.recorders.append(updater)
        for recorder in self.recorders:
            attach(recorder)
        if self.trained:
            self._keep_products()
        self.engine.sums.append(self)

    def _refer(self, side, group, name):
        """Let the synapses see a variable of one of their ends."""
        known, reference = self.synapses.variables, f"{name}_{side}"
        if reference not in known:
            known.add_reference(reference, group, name, index=f"_{side}synaptic_idx")

    def _keep_products(self):
        for k in self.trained:
            self._refer_to_kept("x", k, self.sum.source, internal("kept", self.x[k]))
            for name, rows in self.receiving.items():
                kept = self.receiver.kept_whole(self._output(k, rows))
                self._refer_to_kept(name, k, self.sum.target, kept)
        if self.engine.carries:
            carry_on(self)

    def _refer_to_kept(self, name, k, group, kept):
        reference = internal("kept", name, str(k))
        self.synapses.variables.add_reference(reference, group, kept, index="0")

    def _factors(self):
        """For each product of a term: its variable, and the kept numbers of the two ends."""
        variables = self.synapses.variables
        for name, products in self.products.items():
            for k, product in zip(self.trained, products, strict=True):
                kept = (internal("kept", n, str(k)) for n in ("x", name))
                yield variables[product], *(variables[n] for n in kept)

    def _output(self, k, rows):
        """The credit of X_k: Y_k λ, of these rows."""
        y = symbol(internal("past", self.y[k])) if k in self.y else self.sum.terms[k].post
        return self.receiver.output({self.sum.variable: y}, True, rows, self.sum.piece.name)

    def prepare(self, rows):
        """Size the ring buffers for so many steps."""
        source = self.sum.source
        for name in (*self.x, *self.slopes.values()):
            resize_rows(source.variables[internal("kept", name)], rows * len(source))

    @property
    def numbers_per_step(self):
        """How many numbers are kept of each step, besides those of the target."""
        return len(self.sum.source) * (len(self.x) + len(self.slopes))

    def follow(self, reading, reader):
        """Record just before the sum, where it is in the network that runs."""
        parts = {LearningSum: 0.7}
        for recorder in self.recorders:
            part = parts.get(type(recorder), 0.9)
            recorder.when, recorder.order = reading.just_before(self.updater, part=part)

    def send_back(self, population):
        """Let credit flow to the states of the sources, of the row before each.

        Parameters
        ----------
        population : CreditPopulation
            Of the source.
        """
        if self.source is not None:
            return
        self.source, code = population, []
        group = self.sum.source
        read = sorted(self.sum.read(group, "pre"))
        varied = [n for n in read if _may_change(group, n) or n in population.parameters]
        for k, term in enumerate(self.sum.terms):
            slopes = {q: derivative(term.pre, symbol(q)) for q in varied}
            for q, slope in slopes.items():
                if slope != 0:
                    name = self.slopes[k, q] = internal(self.name, "slope", str(k), q)
                    declare(group, name)
                    declare(group, internal("past", name))
                    group.variables.add_dynamic_array(internal("kept", name), size=0)
                    code.append(f"{name} = {printed(slope)}")
        passed = sorted({k for k, _ in self.slopes})
        for row, origin in self.engine.rows_with_inflow.items():
            for k in passed:
                name = self.inflows[row, k] = internal(self.name, row, "inflow", str(k))
                declare(group, name)
                output, local = self._output(k, (origin,)), internal("passed", row, str(k))
                known = self.synapses.variables
                known.add_reference(local, self.sum.target, output, index="_postsynaptic_idx")
                known.add_reference(
                    internal("sum", row, str(k)), group, name, index="_presynaptic_idx"
                )
        kept = {n: internal("kept", n) for n in (*self.x, *self.slopes.values())}
        code.insert(0, self.of_source.abstract_code)
        self.of_source.change("\n".join(code), kept, schedule.just_before(self.updater))

    @property
    def read_elsewhere(self):
        """States of the source that the sum reads, whether or not credit flows to them yet."""
        group, of_source = self.sum.source, [term.pre for term in self.sum.terms]
        return frozenset(
            q
            for q in self.sum.read(group, "pre")
            if _may_change(group, q) and any(derivative(x, symbol(q)) != 0 for x in of_source)
        )

    def collectors(self):
        """Code that sums up what each source receives, after the sweep of a step."""
        players = []
        for row, k in self.inflows:
            code = f"({printed(self.sum.terms[k].weight)})*{internal('passed', row, str(k))}"
            place = internal("sum", row, str(k))
            name = f"{self.name}_{row}_inflow_{k}"
            players.append(collector(self.synapses, code, place, "_synaptic_pre", name))
        return players

    def taking_in(self):
        """Code that adds what came back to the credit of the sources' states and parameters."""
        if not self.inflows:
            return []
        group, lines = self.sum.source, []
        states, parameters = self.source.adjoint.states, self.source.parameters
        for (row, k), inflow in self.inflows.items():
            for (of, q), slope in self.slopes.items():
                if of == k and q in {*states, *parameters}:
                    receives = row_variable(row, q) if q in states else f"grad_{q}"
                    lines.append(f"{receives} += {internal('past', slope)}*{inflow}")
        variables = group.variables
        replayed = [
            (variables[internal("past", n)], variables[internal("kept", n)])
            for n in self.slopes.values()
        ]
        return [
            player(
                group,
                "sweep",
                "\n".join(lines),
                f"{self.name}_take_in",
                needed=[v.name for pair in replayed for v in pair],
                rows=self.engine.rows,
                replayed=replayed,
                outputs=[],
                later=[],
                whole=[],
            )
        ]

    def player(self):
        """Code that gives the weights their gradient, at the end of a window."""
        # For w*r_pre: grad += (1)*__product_grad_0
        code = "\n".join(
            f"{name} += ({printed(slope)})*{product}"
            for name, products in self.products.items()
            for slope, product in zip(self.trained.values(), products, strict=True)
        )
        if not self.engine.standalone:
            return player(self.synapses, "stateupdate", code, f"{self.name}_credit")
        sizes = len(self.sum.source), len(self.sum.target)
        kept = [internal("kept", n, str(k)) for n in ("x", *self.products) for k in self.trained]
        return player(
            self.synapses,
            "products",
            code,
            f"{self.name}_credit",
            needed=[*kept, *(n for names in self.products.values() for n in names)],
            products=[(p, x, sizes[0], credit, sizes[1]) for p, x, credit in self._factors()],
            rows=self.engine.rows,
        )

    def multiply(self, steps):
        """Compute Σ_t X_i^t (Y_j λ_j)^t for each synapse, in NumPy.

        Parameters
        ----------
        steps : (T,) int array
            Of the window.
        """
        variables, rows = self.synapses.variables, steps % self.engine.rows
        pre, post = (variables[f"_synaptic_{side}"].get_value() for side in ("pre", "post"))
        for product, *ends in self._factors():
            x, credit = (end.get_value().reshape(self.engine.rows, -1)[rows] for end in ends)
            if len(pre) > DENSE * x.shape[1] * credit.shape[1]:
                values = (x.T @ credit)[pre, post]
            else:
                values, block = np.zeros(len(pre)), max(1, BLOCK // max(1, len(pre)))
                for t in range(0, len(steps), block):
                    part = slice(t, t + block)
                    values += np.einsum("ts,ts->s", x[part][:, pre], credit[part][:, post])
            product.set_value(values)
