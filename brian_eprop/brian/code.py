"""Code and variables that learning adds to Brian2 groups, and their names.

Internal variables begin with two underscores: no name of a user begins with an underscore in
Brian2, and what does is in no list of states. With one underscore Brian2 makes names of its own
from those of users, ``_v`` for the next value of ``v``; with two only those of integrators'
intermediate steps, ``__k_1_v``.

Brian2 has no code object with a condition outside its loop: an update of all weights once a trial
would pass over all synapses in every step. ``GatedCode`` has the ``if`` around the loop.
"""

from contextlib import contextmanager
from copy import copy
from functools import cache

from brian2 import CodeRunner, Expression, Synapses, get_device
from brian2.units.fundamentalunits import DIMENSIONLESS

from .internals import (
    KNOWN_EVERYWHERE,
    StateUpdater,
    SummedVariableUpdater,
    SynapticPathway,
    Thresholder,
    add_to,
    create_runner_codeobj,
    get_identifiers,
    is_standalone,
    parent_group,
    runs_in_python,
)


def of_learning(obj):
    """Whether an object was added by learning, and not by the user."""
    return getattr(obj, "of_learning", False)


class OfLearning:
    """A runner of code that learning adds."""

    of_learning = True

    def before_run(self, run_namespace):
        """Generate the code for the present target."""
        self.codeobj_class = with_own_templates()
        super().before_run(unhidden(run_namespace, self.group))


class LearningCode(OfLearning, CodeRunner):
    """Abstract code of learning, run for all of a group at one moment of each step."""

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, group, code, moment, name, template="stateupdate", clock=None, **kwds):
        super().__init__(
            group,
            template,
            code=code,
            clock=clock or group.clock,
            when=moment.when,
            order=moment.order,
            name=name,
            check_units=False,
            # Brian2 warns of names that mean two things in what the user has written, not here
            user_code="",
            **kwds,
        )


class LearningSum(OfLearning, SummedVariableUpdater):
    """A sum over synapses that learning adds, into a variable of learning: these have no unit."""

    def before_run(self, run_namespace):
        """Prepare the code, without the check of units."""
        super(SummedVariableUpdater, self).before_run(unhidden(run_namespace, self.group))


def unhidden(run_namespace, group):
    """The names around ``run()`` that code of a group may mean by what it uses.

    Names of the group and of Brian2 go before all others. Brian2 warns of others of the same name,
    which is for code that the user has written.
    """
    hidden = KNOWN_EVERYWHERE | group.variables.keys() | (group.namespace or {}).keys()
    return {name: v for name, v in run_namespace.items() if name not in hidden}


def check_free(group, name):
    """Raise an error if a group has a variable of this name already."""
    if name in group.variables:
        raise ValueError(
            f"group '{group.name}' already has a variable '{name}', a name that learning needs "
            "(or it learns with another learner already); rename it in the equations"
        )


def declare(group, name, *, shared=False, dtype=None, dimensions=DIMENSIONLESS):
    """Add a variable to a group that exists already."""
    check_free(group, name)
    kind = {"dtype": dtype, "dimensions": dimensions}
    if shared:
        group.variables.add_array(name, size=1, scalar=True, index="0", **kind)
    elif isinstance(group, Synapses):
        size = 0
        if runs_in_python():
            size = int(group.variables["_synaptic_pre"].size)
        elif group._connect_called:
            raise ValueError(
                f"'{group.name}' was connected already: in C++ standalone mode its variables must "
                "be there before; call connect() after it was given to the learner"
            )
        group.variables.add_dynamic_array(name, size=size, **kind)
        group.register_variable(group.variables[name])
    else:
        group.variables.add_array(name, size=len(group), **kind)
    group.variables[name].of_learning = True


@contextmanager
def without_names(names, *groups):
    """Hide variables of some groups for a while: Brian2 refuses synapses that have their names.

    Yields
    ------
    dict of int to list of str
        What is hidden, by the id of the group.
    """
    hidden, kept = {}, {}
    for group in groups:
        variables = getattr(getattr(group, "variables", None), "_variables", None)
        if variables is not None and id(group) not in hidden:
            hidden[id(group)] = [name for name in variables if name in names]
            kept[id(group)] = variables, dict(variables)
            for name in hidden[id(group)]:
                del variables[name]
    try:
        yield hidden
    finally:
        for variables, whole in kept.values():
            variables.clear()
            variables.update(whole)


@contextmanager
def unchanged_if_refused(*owners):
    """Take back what groups, and what knows of them, were given before an error was raised.

    Parameters
    ----------
    *owners : object
        Their lists, dicts and sets are kept, and those of their ``variables``.
    """
    tables = [owner.variables for owner in owners if hasattr(owner, "variables")]
    kinds = [type(variables) for variables in tables]
    kept = [
        (container, copy(container))
        for holder in (*owners, *tables)
        for container in vars(holder).values()
        if isinstance(container, list | dict | set)
    ]
    try:
        yield
    except BaseException:
        for variables, kind in zip(tables, kinds, strict=True):
            variables.__class__ = kind
        for container, content in kept:
            container.clear()
            (container.extend if isinstance(container, list) else container.update)(content)
        raise


def see_new_variables(group):
    """Let a sub-group see variables that its parent was given later."""
    parent = parent_group(group)
    for name, variable in parent.variables.items():
        if name not in group.variables:
            group.variables.add_reference(name, parent, name)
            if variable.scalar:
                group.variables.indices[name] = "0"


def see_target(synapses, code):
    """Let synapses see the internal variables of their target that code asks for.

    Parameters
    ----------
    synapses : Synapses
    code : str
        In which they are called ``__name_post``: Brian2 has such references for names of users.
    """
    target = parent_group(synapses.target)
    for name in sorted(get_identifiers(code) - synapses.variables.keys()):
        variable = name.removesuffix("_post")
        if is_internal(name) and variable != name:
            index = "0" if target.variables[variable].scalar else "_postsynaptic_idx"
            synapses.variables.add_reference(name, target, variable, index=index)


def event_code(group, event, code, moment, name):
    """Abstract code for the neurons of a group with an event in this step."""
    space = f"_{event}space"
    return LearningCode(
        group,
        code,
        moment,
        name,
        template="reset",
        needed_variables=[space],
        template_kwds={"eventspace_variable": group.variables[space]},
        override_conditional_write=["not_refractory"],
    )


def run_code(group, code, moment, name):
    """Run abstract code for all of a group in each step, as part of the group."""
    runner = LearningCode(group, code, moment, name)
    add_to(group, runner)
    return runner


def run_if(gate, group, code, moment, name):
    """Run abstract code for all of a group in the steps in which a shared variable is not 0."""
    add_to(group, GatedCode(group, code, gate, moment, name))


def on_spike(group, code, moment, name):
    """Run abstract code for the neurons of a group that have just fired."""
    add_to(group, event_code(group, "spike", code, moment, name))


def sum_over_synapses(synapses, expression, variable, side, moment):
    """Set a variable of the source (``"pre"``) or target to a sum over its synapses, per step.

    Brian2 offers this, as '(summed)', for variables of the group's equations only; learning
    adds its variables to groups that exist already.
    """
    group = synapses.source if side == "pre" else synapses.target
    see_new_variables(group)
    name = f"{variable}_{side}"
    if name not in synapses.variables:
        index = "_presynaptic_idx" if side == "pre" else "_postsynaptic_idx"
        synapses.variables.add_reference(name, group, variable, index=index)
    updater = LearningSum(
        Expression(expression), name, synapses, group, f"N_{side}", f"_synaptic_{side}"
    )
    updater.when, updater.order = moment
    add_to(synapses, updater)


PREFIX = "__"


def internal(*parts):
    """The internal name that is made of parts, which may be internal names themselves."""
    return PREFIX + "_".join(part.removeprefix(PREFIX) for part in parts)


def is_internal(name):
    """Whether a name is one that users never see."""
    return name.startswith(PREFIX)


TEMPLATES = {".py_": "numpy", ".pyx": "cython", ".cpp": "cpp"}


@cache
def _with_own_templates(codeobj_class):
    templater = codeobj_class.templater
    folder = TEMPLATES[templater.extension]
    derived = templater.derive("brian_eprop.brian", templates_dir=f"templates/{folder}")
    return type(f"Extended{codeobj_class.__name__}", (codeobj_class,), {"templater": derived})


def with_own_templates():
    """The code object class of the present target that also knows the templates of this package."""
    return _with_own_templates(get_device().code_object_class())


def code_object(group, code, run_namespace, template="stateupdate", **kwds):
    """Abstract code for all of a group, to be called when it is to run."""
    return create_runner_codeobj(
        group,
        code,
        template,
        unhidden(run_namespace, group),
        user_code="",
        check_units=False,
        codeobj_class=with_own_templates(),
        **kwds,
    )


class GatedCode(LearningCode):
    """Runs ``code`` for all elements of ``group`` in the steps in which ``gate`` is not 0.

    Parameters
    ----------
    group : Group
    code : str
        Abstract code.
    gate : str
        A shared variable of the group.
    moment : Moment
    name : str
    """

    def __init__(self, group, code, gate, moment, name):
        super().__init__(
            group,
            code,
            moment,
            name,
            template="gated",
            needed_variables=[gate],
            template_kwds={"gate": group.variables[gate]},
            # A trial ends for refractory neurons too.
            override_conditional_write=["not_refractory"],
        )


class FastThresholder(Thresholder):
    """A threshold that standalone programs test for all neurons in one loop without branches.

    Give a group's own thresholder this class.
    """

    raster = None

    def create_code_objects(self, run_namespace):
        if is_standalone():
            self.template, self.codeobj_class = "fired", with_own_templates()
            self.template_kwds["kept_row"] = self.raster
            if self.raster is not None:
                self.needed_variables = [*self.needed_variables, "t_in_timesteps"]
        super().create_code_objects(run_namespace)


class FastStateUpdater(StateUpdater):
    """A state update that standalone programs compute for several neurons at once.

    To know who is refractory Brian2 compares numbers that are cut off to integers, which few
    processors can do for several at once. It makes no difference: what they are compared with is
    an integer. Give a group's own state updater this class.
    """

    def update_abstract_code(self, run_namespace):
        super().update_abstract_code(run_namespace)
        if is_standalone():
            self.abstract_code = self.abstract_code.replace(
                "not_refractory = timestep(t - lastspike, dt) >=",
                "not_refractory = (t - lastspike + 0.001*dt)/dt >=",
            )


class DirectPathway(SynapticPathway):
    """A presynaptic pathway with one delay for all, in C++ programs by rows of synapses.

    Brian2 pushes each synapse of each spike through a queue, and runs the synapses' code over
    what it finds there. With one delay it is enough that neurons wait in the queue; without a delay
    nobody waits. The template ``deliver`` runs the same code over the synapses of each spike that
    arrives, in the same order, in a loop that a compiler can vectorize where the targets of a
    neuron are consecutive. Elsewhere the pathway is Brian2's. A program ends with an error if one
    that was created without a delay has one after all.
    """

    delayed = False

    def create_code_objects(self, run_namespace):
        if not is_standalone():
            super().create_code_objects(run_namespace)
            return
        self.template = "deliver"
        self.codeobj_class = with_own_templates()
        self.needed_variables = [self.eventspace_name]
        self.template_kwds = {
            "synapses": self.synapses,
            "events": self.source.variables[self.eventspace_name],
            "pathway": self,
            "delayed": self.delayed,
        }
        # Not Brian2's method, which pushes synapses
        CodeRunner.create_code_objects(self, run_namespace)


class DirectSynapses(Synapses):
    """Synapses whose presynaptic pathways are direct if they are created with a delay.

    Attributes
    ----------
    connected : int
        How many synapses a program will create between all pairs of neurons, or all but those to
        itself: Brian2 knows only those whose neurons are listed.
    """

    connected = 0

    def connect(self, condition=None, *args, level=0, **kwds):
        super().connect(condition, *args, level=level + 1, **kwds)
        if condition in (None, "i != j") and not (args or kwds):
            n_pre, n_post = len(self.source), len(self.target)
            self.connected += n_pre * n_post - (0 if condition is None else min(n_pre, n_post))

    def _add_updater(self, code, prepost, objname=None, delay=None, event="spike"):
        objname = super()._add_updater(code, prepost, objname, delay, event)
        if prepost == "pre" and delay is not None:
            # Brian2 names the class of its pathways in the middle of this method.
            pathway = getattr(self, objname)
            pathway.__class__, pathway.delayed = DirectPathway, float(delay) != 0
        return objname
