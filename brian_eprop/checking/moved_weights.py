r"""Finite differences of the loss of a user's own Brian2 network, with linearized spikes.

All spikes are clamped to those of a recorded run. One weight is moved by ε, Brian2 runs again,
and the distance d of each neuron to its threshold is read when the threshold is evaluated. With
ψ of the recorded run, the deviation of a spike is ψ δd, and

    dE/dw = Σ_t ℓ_j^t ψ_j^t ∂d_j^t/∂w + ∂E/∂w (directly)

where ℓ is what a spike more would change in the loss. For order m, deviations of the spikes are
delivered in a run of their own, whose deviations are delivered in the next, m − 1 times; for
order ∞ in the same run.
"""

import math
from collections import defaultdict

import numpy as np
from attrs import field, frozen

from ..brian.internals import whole_group
from .credit_of_spikes import CreditOfSpikes
from .linear_spikes import Given, NotCheckable
from .report import TOLERANCE, CheckedDerivative, NetworkCheck

#: Changes of a weight, relative to the weights of the projection. Two of them, this one and its
#: half, cancel the leading error (Richardson); smaller ones are tried where they disagree.
CHANGES = (2.0**-13, 2.0**-17, 2.0**-21)


class DifferenceCheck:
    """Gradients of a recorded run, and finite differences of it.

    Parameters
    ----------
    run : ClampedNetwork
    synapses : int
        Of each projection.
    seed : int
    """

    def __init__(self, run, synapses, seed):
        self.run, self.learner, self.order = run, run.learner, run.learner.rule.order
        self.synapses, self.rng = synapses, np.random.default_rng(seed)
        self.begin = round(float(run.network.t) / run.readout.clock.dt_)
        trial = self.learner.trial
        if trial and self.begin % trial:
            raise ValueError(
                f"Learner.check begins in the middle of a trial, {self.begin % trial} of {trial} "
                "steps after its start; run the network to the end of the trial first"
            )
        if not trial and self.begin:
            raise ValueError(
                "Learner.check: the network has run already, and without reset_every its traces "
                "hold what came before; check before the first run, or give reset_every"
            )
        self.symmetric = self.learner.feedback_is("symmetric")

    def report(self, title):
        """Record, move each weight, and compare."""
        run = self.run
        self._choose_states()
        self.traces = defaultdict(list)
        run.record(self._before_end, self._after)
        self.targets = list(self._targets())
        run.check_repeats()
        self.credit = CreditOfSpikes(run, self.begin, self.rng)
        if self.credit.fails and not self.symmetric:
            raise NotCheckable(
                f"readout '{run.readout.name}' is not the leaky integrator that it should be: "
                "something else acts on it"
            )
        spikes = sum(self.credit.spikes[group].sum() for group in run.populations)
        chosen = {target: self._chosen(target) for target in self.targets}
        measured = self._together(chosen) if self.order == 1 else {}
        rows = [
            row
            for target, synapses in chosen.items()
            if synapses
            for row in self._rows(target, synapses, measured.get(target, {}))
        ]
        rows.sort(key=lambda row: (row.passed, -np.nan_to_num(row.error, nan=np.inf)))
        title = f"{title}, {int(spikes)} spikes"
        off = tuple(s.name for s in run.projections if not s.active)
        return NetworkCheck(title, run.steps, int(spikes), tuple(rows), self._vacuous(rows), off)

    def _vacuous(self, rows):
        if not rows:
            return "nothing was compared: the network has no trainable synapses of this learner"
        learning = [p for p in self.run.populations.values() if not isinstance(p.surrogate, Given)]
        if learning and not any(self.credit.spikes[p.group].any() for p in learning):
            return "nothing was shown: no neuron that learns fires; give stronger weights or input"
        if learning and not any(p.psi.any() for p in learning):
            return "nothing was shown: ψ is 0 throughout; give a wider surrogate or stronger input"
        return ""

    @property
    def _switched_on(self):
        """The projections whose spikes arrive; the gradients of the others say nothing."""
        return [s for s in self.run.projections if s.active]

    def _choose_states(self):
        """The states whose eligibility vector is kept."""
        self.vectors = {}
        if self.learner.rule.engine != "traces":
            return
        for s in self._switched_on:
            population = self.run.populations.get(whole_group(s.target))
            if population is None:
                continue
            known = population.group.variables
            added = s.variables.keys() - s.model_names
            self.vectors[s] = [name for name in known if f"eps_{name}" in added]
            population.states |= {name: [] for name in self.vectors[s]}

    def _before_end(self):
        for s, states in self.vectors.items():
            for name in states:
                self.traces[s, f"eps_{name}"].append(_of_synapses(s, f"eps_{name}"))

    def _after(self):
        for s in self.vectors:
            self.traces[s, "e_trace"].append(_of_synapses(s, "e_trace"))

    def _targets(self):
        """What is moved: projections and parameters, with their recorded gradients."""
        for s in self._switched_on:
            post = np.array(s.variables["_synaptic_post"].get_value())
            weights, gradient = s.variables[s.weight], _of_synapses(s, "grad")
            yield Moved(s.name, s, weights, gradient, whole_group(s.target), post)
            if s in self.run.splits:
                split, gradient = self.run.splits[s], _of_synapses(s, "grad_delay")
                yield Moved(
                    s.name,
                    s,
                    split.moved,
                    gradient,
                    whole_group(s.target),
                    post,
                    quantity="grad_delay",
                    unit=split.dt,
                )
        for group, names in self.run.parameters.items():
            for name in names:
                gradient = group.variables[f"grad_{name}"].get_value().copy()
                values, neurons = group.variables[name], np.arange(len(group))
                yield Moved(f"{group.name}.{name}", None, values, gradient, group, neurons)

    def _rows(self, target, chosen, measured):
        for k in chosen:
            if k not in measured or not self._agrees(target, k, measured[k]):
                measured[k] = self._alone(target, k)
        largest = max(
            np.abs(target.gradient).max(initial=0), *(abs(m["grad"][0]) for m in measured.values())
        )
        for k in chosen:
            value = target.gradient[k]
            yield self._row(target, k, target.quantity, value, *measured[k]["grad"], largest)
        for name in measured[chosen[0]]:
            if name != "grad":
                yield from self._trace_rows(target, chosen, measured, name)

    def _chosen(self, target):
        """Which synapses are moved: that of the largest gradient, and random ones."""
        n = len(target.gradient)
        order = self.rng.permutation(n)
        if n and np.isfinite(target.gradient).all():
            best = int(np.abs(target.gradient).argmax())
            order = np.concatenate([[best], order[order != best]])
        return [int(k) for k in order[: self.synapses]]

    def _agrees(self, target, k, measured):
        value, uncertainty = measured["grad"]
        scale = max(np.abs(target.gradient).max(), abs(value)) * TOLERANCE
        return uncertainty <= scale and abs(value - target.gradient[k]) <= scale

    def _together(self, chosen):
        """Measure what acts on different neurons of a group in the same runs.

        Returns nothing for a group of which one neuron acts on another, or on another group.
        """
        measured = defaultdict(dict)
        for group in self.run.populations:
            places = [(t, k) for t, ks in chosen.items() if t.group is group for k in ks]
            if self.credit.fails or self._crosses(group, places):
                continue
            found = {}
            for together in _rounds(places):
                far, near = self._differences(together, CHANGES[0])
                if near["loss"] != 0:
                    break
                for target, k in together:
                    found[target, k] = self._richardson(target, k, far, near, own=True)
            else:
                for (target, k), values in found.items():
                    measured[target][k] = values
        return measured

    def _crosses(self, group, places):
        """Whether what is done to one of these neurons moves another's distance to its threshold.

        Of every two of them there is a run in which one is moved, and not the other: those whose
        number has a 1, or a 0, in one of its binary digits.
        """
        one_each = {target.post[k]: (target, k) for target, k in places}
        for digit in range(max(1, (len(one_each) - 1).bit_length())):
            for value in (0, 1):
                neurons = [j for n, j in enumerate(one_each) if n >> digit & 1 == value]
                if not neurons:
                    continue
                sizes = CHANGES[0] * self.rng.uniform(0.5, 1, len(neurons))
                changes = [
                    (target.variable, k, size * target.unit)
                    for (target, k), size in zip(map(one_each.get, neurons), sizes, strict=True)
                ]
                still = np.ones(len(group), dtype=bool)
                still[neurons] = False
                moved = {k[1]: m for k, m in self._side(changes).items() if k[0] == "moved"}
                if any(np.any(m[:, still] if g is group else m) for g, m in moved.items()):
                    return True
        return False

    def _alone(self, target, k):
        """Measure one synapse; with smaller changes where the difference has not converged."""
        best = None
        for change in CHANGES:
            far, near = self._differences([(target, k)], change)
            values = self._richardson(target, k, far, near, own=False)
            if best is None or values["grad"][1] < best["grad"][1]:
                best = values
            scale = max(np.abs(target.gradient).max(), abs(best["grad"][0]))
            if not best["grad"][1] > 0.1 * TOLERANCE * scale:
                break
        return best

    def _differences(self, moved, change):
        """Central differences by a change of some synapses, and by half of it, per change.

        Returns
        -------
        list of dict
            "loss": float; ("spikes", group), ("moved", group): (T, n) arrays of ψ δd, summed over
            all hops, and of δd where ψ counts; ("state", group, name): (T, n) array.
        """
        differences = []
        for size in (change, change / 2):
            plus, minus = (
                self._side([(t.variable, k, sign * size * t.unit) for t, k in moved])
                for sign in (1, -1)
            )
            differences.append({key: (plus[key] - minus[key]) / (2 * size) for key in plus})
        return differences

    def _side(self, changes):
        run = self.run
        live = math.isinf(self.order)
        distances = run.repeat(changes, live=live, onto_readout=live and self.symmetric)
        side = {
            ("state", p.group, name): np.array(values)
            for p in run.populations.values()
            for name, values in p.states.items()
        }
        loss = run.loss
        spikes, moved = self._deviations(distances)
        hop, total = spikes | self._deviations_of_sums(live), dict(spikes)
        for _ in range(0 if live else int(min(self.order, run.steps + 1)) - 1):
            if not (any(d.any() for d in hop.values()) or run.has_moved):
                break
            hop, _ = self._deviations(run.repeat(deviations=hop))
            hop |= self._deviations_of_sums(live)
            loss += run.loss - self.credit.loss
            total = {group: total[group] + hop[group] for group in total}
        if self.symmetric and not live and self.credit.fails:
            run.repeat(deviations=total, onto_readout=True)
            loss += run.loss - self.credit.loss
        for group in total:
            side["spikes", group], side["moved", group] = total[group], moved[group]
        return side | {"loss": loss}

    def _deviations_of_sums(self, live):
        """What varied in the sources of sums over synapses, in the run that has ended."""
        return {} if live else {obj: s.deviations() for obj, s in self.run.sums.items()}

    def _deviations(self, distances):
        spikes, moved = {}, {}
        for group, distance in distances.items():
            population = self.run.populations[group]
            # Where ψ is 0 the distance may well be no number
            change = np.subtract(distance, population.distance)
            if isinstance(population.surrogate, Given) and np.any(change):
                raise NotCheckable(
                    f"spikes of group '{group.name}' would count, and it has no surrogate "
                    "derivative; give EProp(surrogate=...)"
                )
            moved[group] = np.where(population.psi == 0, 0, change)
            spikes[group] = population.psi * moved[group]
        return spikes, moved

    def _gradient(self, target, k, differences, own):
        """dE/dw from differences, in the unit of the change."""
        spikes = {key[1]: d for key, d in differences.items() if key[0] == "spikes"}
        if own:
            j, spikes = target.post[k], {target.group: np.zeros_like(spikes[target.group])}
            spikes[target.group][:, j] = differences["spikes", target.group][:, j]
        counted = not (self.symmetric and (math.isinf(self.order) or self.credit.fails))
        return differences["loss"] + self.credit.of(spikes, readout=counted)

    def _richardson(self, target, k, far, near, own):
        """Value and uncertainty of each quantity of a synapse."""

        def extrapolated(of):
            coarse, fine = np.asarray(of(far)) / target.unit, np.asarray(of(near)) / target.unit
            best = (4 * fine - coarse) / 3
            return best, np.abs(best - fine)

        value, uncertainty = extrapolated(lambda d: self._gradient(target, k, d, own))
        values = {"grad": (float(value), float(uncertainty))}
        # the traces that synapses show are those of the weight
        if target.quantity == "grad" and target.synapses in self.vectors:
            group, j = target.group, target.post[k]
            values["e_trace"] = extrapolated(lambda d: d["spikes", group][:, j])
            for name in self.vectors[target.synapses]:
                values[f"eps_{name}"] = extrapolated(lambda d, n=name: d["state", group, n][:, j])
        return values

    def _trace_rows(self, target, chosen, measured, name):
        recorded = np.array(self.traces[target.synapses, name])
        largest = max(np.abs(recorded).max(), *(np.abs(measured[k][name][0]).max() for k in chosen))
        for k in chosen:
            value, uncertainty = measured[k][name]
            differs = np.abs(value - recorded[:, k])
            t = int(np.nan_to_num(differs, nan=np.inf).argmax())
            yield self._row(target, k, name, recorded[t, k], value[t], np.max(uncertainty), largest)

    @staticmethod
    def _row(target, k, quantity, value, difference, uncertainty, largest):
        remark, error = "", np.nan
        if largest > 0:
            error = abs(value - difference) / largest
            uncertainty = uncertainty / largest
        elif largest == 0:
            remark, uncertainty = "0 throughout, which shows nothing", np.nan
        else:
            remark = "not a number"
        i, j = -1, k
        if target.synapses is not None:
            i, j = int(target.synapses.i[k]), int(target.synapses.j[k])
        numbers = map(float, (value, difference, error, uncertainty))
        return CheckedDerivative(target.name, quantity, i, j, *numbers, remark)


@frozen(eq=False)
class Moved:
    """A projection's weights or delays, or a group's parameter, which are moved one by one.

    Parameters
    ----------
    name : str
    synapses : TrainableSynapses or None
    variable : Variable
    gradient : (n,) array
        That of the recorded run.
    group : Group
        Where it acts.
    post : (n,) int array
        On which neurons of it.
    quantity : str
        The name of the gradient.
    unit : float, optional
        What a change is relative to. Default: the size of the values.
    """

    name: str
    synapses: object
    variable: object
    gradient: np.ndarray
    group: object
    post: np.ndarray
    quantity: str = "grad"
    unit: float = field()

    @unit.default
    def _magnitude(self):
        values = np.asarray(self.variable.get_value(), dtype=float)
        size = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
        return size if size > 0 and math.isfinite(size) else 1.0


def _rounds(places):
    """Lists of (target, synapse) of which no two act on the same neuron."""
    rounds = []
    for target, k in places:
        for together in rounds:
            if all(target.post[k] != other.post[m] for other, m in together):
                together.append((target, k))
                break
        else:
            rounds.append([(target, k)])
    return rounds


def _of_synapses(synapses, name):
    """A variable as synapses see it : (synapses,) array."""
    values, index = synapses.variables[name].get_value(), synapses.variables.indices[name]
    return values.copy() if index == "_idx" else values[synapses.variables[index].get_value()]
