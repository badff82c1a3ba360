"""Every semi-private name of Brian2 that is used, and what its objects are asked for.

No other module imports from Brian2's modules, but for its units: the others use what
``import brian2`` exports, and this; what is imported here and not used keeps its name.
"""

import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2 import (
    DEFAULT_CONSTANTS,
    DEFAULT_FUNCTIONS,
    DEFAULT_UNITS,
    EventMonitor,
    Function,
    Network,
    PopulationRateMonitor,
    StateMonitor,
    Subgroup,
    get_device,
)
from brian2.codegen.codeobject import create_runner_codeobj
from brian2.codegen.translation import analyse_identifiers
from brian2.core.variables import (
    ArrayVariable,
    DynamicArrayVariable,
    Subexpression,
    Variable,
    Variables,
)
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import RuntimeDevice, reset_device
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    PARAMETER,
    SUBEXPRESSION,
    EquationError,
)
from brian2.equations.unitcheck import check_units_statements
from brian2.groups.neurongroup import Resetter, StateUpdater, Thresholder
from brian2.parsing.expressions import is_boolean_expression, parse_expression_dimensions
from brian2.parsing.rendering import NodeRenderer
from brian2.parsing.statements import parse_statement
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from brian2.units.fundamentalunits import DimensionMismatchError
from brian2.utils.logger import catch_logs
from brian2.utils.stringtools import get_identifiers, word_substitute

#: How Brian2 compiles a C++ standalone program.
COMPILE_SOURCE = CPPStandaloneDevice.compile_source
MONITORS = (StateMonitor, EventMonitor, PopulationRateMonitor)
#: Constants, functions and units of Brian2, which every piece of code may use.
KNOWN_EVERYWHERE = DEFAULT_CONSTANTS.keys() | DEFAULT_FUNCTIONS.keys() | DEFAULT_UNITS.keys()


# ---------------------------------------------------------------------------- text
def statements_of(code):
    """(target, operation, expression) of each statement of abstract code."""
    lines = (line.split("#")[0] for line in code.split("\n"))
    statements = (text.strip() for line in lines for text in line.split(";"))
    return [parse_statement(text)[:3] for text in statements if text]


def code_of(statements):
    """Abstract code of statements."""
    return "\n".join(" ".join(statement) for statement in statements)


def assigned_names(statements):
    """Names on the left side of statements, in order."""
    return list(dict.fromkeys(target for target, _, _ in statements))


# ------------------------------------------------------------------------- devices
def is_standalone():
    """Whether Brian2 writes a C++ program that runs later."""
    return isinstance(get_device(), CPPStandaloneDevice)


def runs_in_python():
    """Whether Brian2 simulates when it is asked to, in this process."""
    return isinstance(get_device(), RuntimeDevice)


def generated_sources(device):
    """The source files of a project that Brian2 has generated, relative to its folder."""
    return device.writer.source_files


def compile_standalone_with(compile_project):
    """Let a function compile all C++ standalone programs, but those for Microsoft's compiler.

    Parameters
    ----------
    compile_project : callable
        Of the source files, the folder, ``debug`` and ``clean``.
    """

    def compile_source(device, directory, compiler, debug, clean):
        if compiler == "msvc":
            COMPILE_SOURCE(device, directory, compiler, debug, clean)
            return
        started = time.time()
        sources = generated_sources(device)
        compile_project(sources, Path(directory), debug=debug, clean=clean)
        device.timers["compile"]["make"] = time.time() - started

    CPPStandaloneDevice.compile_source = compile_source


def last_step(clock):
    """The number of the step with which the present run ends."""
    return clock._i_end


# ------------------------------------------------------------------------ networks
def networks_of(obj):
    """The networks that an object is in; the one that has run it alone, if any has."""
    known = [ref() for ref in Network.__instances__()]
    having = [net for net in known if net is not None and _contains(net, obj)]
    return [net for net in having if net.id == obj._network] or having


def _contains(net, obj):
    """Whether an object is in a network, by itself or as a part of another."""
    parts = (part for whole in net.objects for part in whole._contained_objects)
    return any(o is obj for o in (*net.objects, *parts))


def never_runs(obj):
    """Say that an object is only read: Brian2 need not warn that it was in no network."""
    obj._network = ""


def keep_state(network, name):
    """Keep the present state of a network, under a name, with that of its random numbers."""
    Network.store(network, name)  # that of a magic network would collect other objects


def return_to_state(network, name):
    """Put a network, and random numbers, into a state that was kept."""
    Network.restore(network, name, restore_random_state=True)


@contextmanager
def repeatable(network, duration, namespace):
    """Prepare a network for `steps_of` it, again and again; afterwards it is as it was.

    Parameters
    ----------
    network : Network
    duration : Quantity
    namespace : dict
        Where the names in the code of its objects are looked up.
    """
    objects = network.sorted_objects
    run_by, stored = [(obj, obj._network) for obj in objects], dict(network._stored_state)
    keep_state(network, "before it is repeated")
    try:
        network._clocks = {obj.clock for obj in objects}
        for clock in network._clocks:
            clock.set_interval(network.t, network.t + duration)
        for obj in objects:
            obj._network = None
        network.before_run(namespace)
        yield
    finally:
        for obj in objects:
            if obj.active and obj.code_objects:
                obj.after_run()
        return_to_state(network, "before it is repeated")
        network._stored_state = stored
        for obj, identity in run_by:
            obj._network = identity


def steps_of(network):
    """The steps of a run of a prepared network: the clocks whose objects run in each.

    As in Network.run, which would generate all code again.
    """
    variables = {
        clock: [clock.variables[name].get_value() for name in ("timestep", "t", "dt")]
        for clock in network._clocks
    }
    network._clock_variables = variables
    clock, due = network._nextclocks()
    while variables[clock][0][0] < last_step(clock):
        network.t_ = variables[clock][1][0]
        yield due
        for clock in due:
            timestep, t, dt = variables[clock]
            timestep[0] += 1
            t[0] = timestep[0] * dt[0]
        clock, due = network._nextclocks()


def contained(group):
    """The objects that run with a group."""
    return group.contained_objects


def add_to(group, obj):
    """Let an object run with a group, in whatever network the group is."""
    contained(group).append(obj)


# ---------------------------------------------------------------------------- code
def generated_code(network):
    """All code of a run that has been prepared; in a C++ program, of all that it does."""
    if is_standalone():
        return [*get_device().code_objects.values()]
    return [code for obj in network.sorted_objects if obj.active for code in obj.code_objects]


def arrays_of_functions(code):
    """(function, name, values) of each array that functions bring into a piece of compiled code."""
    if code.class_name == "numpy":
        return []
    waiting = [v for v in code.variables.values() if isinstance(v, Function)]
    found, seen = [], set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        implementation = function.implementations[code.__class__]
        brought = implementation.get_namespace(code.owner) or {}
        found += [(function, *item) for item in brought.items() if isinstance(item[1], np.ndarray)]
        waiting += (implementation.dependencies or {}).values()
    return found


def not_compiled(code):
    """Whether Cython refused a piece of code, which Brian2 would leave out of the run."""
    return any(
        compiled is None and text.strip() and "EMPTY_CODE_BLOCK" not in text
        for block, compiled in getattr(code, "compiled_code", {}).items()
        for text in [getattr(code.code, block, None) or ""]
    )


# -------------------------------------------------------------------------- groups
def check_equation_units(name, group):
    """Raise an error that names the equations of a group if their units do not fit."""
    try:
        group.equations.check_units(group, run_namespace={})
    except DimensionMismatchError as error:
        raise DimensionMismatchError(f"{name}: {' '.join(str(error).split())}") from None


def remove_variables(group, names):
    """Take variables away that were added to a group, as far as they are there."""
    for name in names:
        group.variables._variables.pop(name, None)
        group.variables.indices.pop(name, None)


def known_values(variable):
    """The values of a variable; none where a compiled program will compute them."""
    try:
        return np.atleast_1d(variable.get_value())
    except NotImplementedError:
        return np.zeros(0)


def itself(obj):
    """The object behind a weak proxy, which is neither hashable nor identical to it."""
    # A bound method has the object.
    return obj.before_run.__self__


def parent_group(group):
    """The whole group that a sub-group is a part of (itself if it is not one)."""
    return itself(group.source) if isinstance(group, Subgroup) else group


def whole_group(group):
    """The whole group behind a sub-group, or behind a weak proxy of one."""
    return parent_group(itself(group))


def refractoriness(group):
    """The refractory period: a Quantity, text, or False for none."""
    return getattr(group, "_refractory", False)


def pathways(synapses):
    """What synapses do at spikes and other events of their source and target."""
    return synapses._pathways


def restart_queue(pathway):
    """Drop the spikes under way along a pathway, and deliver the next ones with its delays."""
    pathway.queue._restore_from_full_state(None)
    pathway.initialise_queue()


def before_run_of_queue(pathway):
    """The function of a C++ program that prepares the queue of a pathway for its delays."""
    return f"_before_run_{pathway._pushspikes_codeobj.name}"


def reset_of(group):
    """The statements of the reset at a spike; none for a group without."""
    return statements_of(group.event_codes.get("spike", ""))


def fires_by(group):
    """What runs where spikes of a group are found: its thresholder, or the group itself."""
    return getattr(group, "thresholder", {}).get("spike", group)
