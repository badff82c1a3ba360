"""The postsynaptic end of projections: the credit of arrivals, in the form synapses ask for."""

from attrs import evolve, frozen

from ..brian.code import declare, internal
from ..brian.internals import get_identifiers
from .backward_pass import player
from .history import resize_rows


@frozen
class Output:
    """The credit of arrivals that have the same effect, summed over rows and states.

    Attributes
    ----------
    name : str
        The variable that holds it.
    rows : tuple of str
        The rows that are summed.
    effects : dict of str to sympy.Expr
        b of each state, in names of the group.
    early : bool
        The arrivals are before the threshold.
    place : int
        How many stages of the step are before the arrivals, or belong to them.
    stage : str
        The stage that they are a part of; "" for spikes.
    through : str
        The only synapses that ask for it: their arrivals have a place of their own; "" for all.
    """

    name: str
    rows: tuple
    effects: dict
    early: bool
    place: int = 0
    stage: str = ""
    through: str = ""


class Receiver:
    """A group with the variables that its incoming synapses read in the backward pass.

    Parameters
    ----------
    group : NeuronGroup
    engine : Credit
    alone : callable
        The number of stages before an arrival that is early (True) or late (False), for the group
        on its own.

    Attributes
    ----------
    recorded : dict of str to str
        The stage before which each variable is recorded, by its name.
    factors : dict of str to str
        The same, for variables that others record.
    whole : dict of str to str
        The ring buffer that keeps an output for all steps of a window, by its name.
    """

    def __init__(self, group, engine, alone):
        self.group, self.engine, self.alone, self.places = group, engine, alone, {}
        self.own_places = {}
        self.outputs, self.reach, self.recorded = {}, {}, {}
        self.factors, self.whole = {}, {}

    def keep(self, recorded):
        """Record these variables in ring buffers, and no others but the factors."""
        self.recorded = {**recorded, **self.factors}
        for name in self.recorded:
            if internal("past", name) not in self.group.variables:
                declare(self.group, internal("past", name))
                self.group.variables.add_dynamic_array(internal("kept", name), size=0)

    def arrange(self, stages, position, pathways):
        """Place arrivals among the stages of the step.

        Parameters
        ----------
        stages : dict of str to float
            Where each stage runs, in order.
        position : dict of str to int
            Where objects run, by their names.
        pathways : list of Pathway
            That end here.

        Raises
        ------
        ValueError
            If spikes that act alike arrive at different moments.
        """
        places, self.own_places = {}, {}
        for pathway in pathways:
            name = pathway.synapses.pre.name
            if pathway.in_turn:
                # By how much they scale the state is the last stage before the credit
                place = sum(stage <= position[name] for stage in stages.values())
                self.own_places[pathway.synapses.name] = place
                continue
            place = sum(stage < position[name] for stage in stages.values())
            if places.setdefault(pathway.early, (place, name))[0] != place:
                raise ValueError(
                    f"'{name}' and '{places[pathway.early][1]}' end on group '{self.group.name}', "
                    "and other code changes its state between them: give their .pre the same slot "
                    "and order, as in .pre.when = 'synapses'"
                )
        self.places = {early: place for early, (place, _) in places.items()}
        self.places |= {name: place + 1 for place, name in enumerate(stages)}
        for key, output in self.outputs.items():
            place = self.place(output.early, output.stage, output.through)
            self.outputs[key] = evolve(output, place=place)

    def place(self, early, stage="", through=""):
        """How many stages of the step are before arrivals; see `Output`."""
        if through in self.own_places:
            return self.own_places[through]
        moment = stage or early
        return self.places[moment] if moment in self.places else self.alone(early)

    def output(self, effects, early, rows, stage="", through=""):
        """The name of an output, made when it is first asked for; see `Output`."""
        acting = tuple(sorted((s, str(e)) for s, e in effects.items()))
        key = (early, rows, stage, acting, through)
        if key not in self.outputs:
            name = internal("arriving", str(len(self.outputs)))
            declare(self.group, name)
            place = self.place(early, stage, through)
            self.outputs[key] = Output(name, rows, effects, early, place, stage, through)
        return self.outputs[key].name

    def kept_whole(self, output):
        """The ring buffer that keeps an output for all steps of a window."""
        if output not in self.whole:
            self.whole[output] = f"{output}_whole"
            self.group.variables.add_dynamic_array(self.whole[output], size=0)
        return self.whole[output]

    def delayed(self, output):
        """The ring buffer that delays an output by the synaptic delay."""
        name = f"{output}_later"
        if name not in self.group.variables:
            self.group.variables.add_dynamic_array(name, size=0)
            self.reach[output] = 0
        return name

    def prepare(self, rows):
        """Size the ring buffers for so many steps."""
        for name in self.recorded:
            resize_rows(self.group.variables[internal("kept", name)], rows * len(self.group))
        for name in self.whole.values():
            resize_rows(self.group.variables[name], rows * len(self.group))

    def prepare_outputs(self):
        """Size the ring buffers of the credit of delayed arrivals: each row is there twice."""
        for output, reach in self.reach.items():
            size = 2 * (reach + 1) * len(self.group)
            resize_rows(self.group.variables[f"{output}_later"], size)

    def begin(self, code):
        """Code that runs before the backward pass of a window."""
        later = [self.group.variables[f"{output}_later"] for output in self.reach]
        return player(
            self.group,
            "begin",
            "\n".join(code),
            f"{self.group.name}_begin",
            needed=[kept.name for kept in later],
            later=later,
        )

    def player(self, name, code, outputs):
        """Code of one step of the backward pass, which writes these outputs."""
        variables, text = self.group.variables, "\n".join(code)
        names = get_identifiers(text)
        replayed = [
            (variables[internal("past", n)], variables[internal("kept", n)])
            for n in self.recorded
            if internal("past", n) in names
        ]
        later = [
            (variables[o.name], variables[f"{o.name}_later"], self.reach[o.name] + 1)
            for o in outputs
            if o.name in self.reach
        ]
        whole = [
            (variables[o.name], variables[self.whole[o.name]])
            for o in outputs
            if o.name in self.whole
        ]
        needed = [v.name for pair in replayed for v in pair] + [o.name for o in outputs]
        needed += [kept.name for _, kept in whole]
        return player(
            self.group,
            "sweep",
            text,
            f"{self.group.name}_{name}",
            needed=needed + [kept.name for _, kept, _ in later],
            rows=self.engine.rows,
            replayed=replayed,
            outputs=[variables[o.name] for o in outputs],
            whole=whole,
            later=later,
        )
