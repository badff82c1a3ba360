"""Code and variables that learning adds to Brian2 groups, and their names.

Internal variables begin with two underscores: no name of a user begins with an underscore in
Brian2, and what does is in no list of states. With one underscore Brian2 makes names of its own
from those of users, ``_v`` for the next value of ``v``; with two only those of integrators'
intermediate steps, ``__k_1_v``.

Brian2 has no code object with a condition outside its loop: an update of all weights once a trial
would pass over all synapses in every step. ``GatedCode`` has the ``if`` around the loop.
"""

from contextlib import contextmanager
from functools import cache

from brian2 import Synapses
from brian2.core.namespace import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS, DEFAULT_UNITS
from brian2.devices.device import RuntimeDevice, get_device
from brian2.equations.codestrings import Expression
from brian2.groups.group import CodeRunner
from brian2.groups.subgroup import Subgroup
from brian2.synapses.synapses import SummedVariableUpdater
from brian2.units.fundamentalunits import DIMENSIONLESS
from brian2.utils.stringtools import get_identifiers


def of_learning(obj):
    """Whether an object was added by learning, and not by the user."""
    return getattr(obj, "of_learning", False)


class LearningCode(CodeRunner):
    """Code that learning adds to a group."""

    of_learning = True
    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, *args, **kwds):
        # Brian2 warns of names that mean two things in what the user has written, not here
        super().__init__(*args, user_code="", **kwds)

    def before_run(self, run_namespace):
        """Generate the code."""
        super().before_run(unhidden(run_namespace, self.group))


class LearningSum(SummedVariableUpdater):
    """A sum over synapses that learning adds."""

    of_learning = True

    def before_run(self, run_namespace):
        """Generate the code."""
        super().before_run(unhidden(run_namespace, self.group))


def unhidden(run_namespace, group):
    """The names around ``run()`` that code of a group may mean by what it uses.

    Names of the group and of Brian2 go before all others. Brian2 warns of others of the same name,
    which is for code that the user has written.
    """
    own = group.variables.keys() | (group.namespace or {}).keys()
    hidden = own | DEFAULT_FUNCTIONS.keys() | DEFAULT_CONSTANTS.keys() | DEFAULT_UNITS.keys()
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
        if isinstance(get_device(), RuntimeDevice):
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
        own = name.removesuffix("_post")
        if is_internal(name) and own != name:
            index = "0" if target.variables[own].scalar else "_postsynaptic_idx"
            synapses.variables.add_reference(name, target, own, index=index)


def group_code(group, code, moment, name, template="stateupdate", clock=None, **kwds):
    """Abstract code for all of a group in each step."""
    return LearningCode(
        group,
        template,
        code=code,
        clock=clock or group.clock,
        when=moment.when,
        order=moment.order,
        name=name,
        check_units=False,
        **kwds,
    )


def event_code(group, event, code, moment, name):
    """Abstract code for the neurons of a group with an event in this step."""
    space = f"_{event}space"
    return group_code(
        group,
        code,
        moment,
        name,
        template="reset",
        needed_variables=[space],
        template_kwds={"eventspace_variable": group.variables[space]},
        override_conditional_write=["not_refractory"],
    )


def run_code(group, code, moment, name, template="stateupdate", **kwds):
    """Run abstract code for all of a group in each step, as part of the group."""
    runner = group_code(group, code, moment, name, template, **kwds)
    group.contained_objects.append(runner)
    return runner


def on_spike(group, code, moment, name):
    """Run abstract code for the neurons of a group that have just fired."""
    runner = event_code(group, "spike", code, moment, name)
    group.contained_objects.append(runner)
    return runner


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
    synapses.contained_objects.append(updater)


PREFIX = "__"


def internal(*parts):
    """The internal name that is made of parts, which may be internal names themselves."""
    return PREFIX + "_".join(part.removeprefix(PREFIX) for part in parts)


def is_internal(name):
    """Whether a name is one that users never see."""
    return name.startswith(PREFIX)


TEMPLATES = {".py_": "numpy", ".pyx": "cython", ".cpp": "cpp"}


@cache
def with_own_templates(codeobj_class):
    """The code object class of a target that also knows the templates of this package."""
    templater = codeobj_class.templater
    folder = TEMPLATES[templater.extension]
    derived = templater.derive("brian_eprop.brian", templates_dir=f"templates/{folder}")
    return type(f"Extended{codeobj_class.__name__}", (codeobj_class,), {"templater": derived})


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
            "gated",
            code=code,
            clock=group.clock,
            when=moment.when,
            order=moment.order,
            name=name,
            check_units=False,
            needed_variables=[gate],
            template_kwds={"gate": group.variables[gate]},
            # A trial ends for refractory neurons too.
            override_conditional_write=["not_refractory"],
        )

    def before_run(self, run_namespace):
        self.codeobj_class = with_own_templates(get_device().code_object_class())
        super().before_run(run_namespace)


def parent_group(group):
    """The whole group that a sub-group is a part of (itself if it is not one)."""
    if not isinstance(group, Subgroup):
        return group
    # A sub-group holds a weak proxy, which is neither hashable nor identical to its group; a
    # bound method has the group itself.
    return group.source.before_run.__self__
