"""Every semi-private name of Brian2 that is used, and what its objects are asked for.

No other module imports from Brian2's modules, but for its units: the others use what
``import brian2`` exports, and this; what is imported here and not used keeps its name.
"""

from brian2 import (
    DEFAULT_CONSTANTS,
    DEFAULT_FUNCTIONS,
    DEFAULT_UNITS,
    Network,
    Subgroup,
    get_device,
)
from brian2.codegen.codeobject import create_runner_codeobj
from brian2.codegen.translation import analyse_identifiers
from brian2.core.network import _get_all_objects
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
from brian2.utils.logger import catch_logs
from brian2.utils.stringtools import get_identifiers, word_substitute

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


def last_step(clock):
    """The number of the step with which the present run ends."""
    return clock._i_end


# ------------------------------------------------------------------------ networks
def all_objects(network):
    """The objects of a network, contained ones included."""
    return _get_all_objects(network.objects)


def networks_of(obj):
    """The networks that an object is in; the one that has run it alone, if any has."""
    known = [ref() for ref in Network.__instances__()]
    having = [net for net in known if net is not None and any(o is obj for o in net.objects)]
    return [net for net in having if net.id == obj._network] or having


def never_runs(obj):
    """Say that an object is only read: Brian2 need not warn that it was in no network."""
    obj._network = ""


def contained(group):
    """The objects that run with a group."""
    return group.contained_objects


def add_to(group, obj):
    """Let an object run with a group, in whatever network the group is."""
    contained(group).append(obj)


# -------------------------------------------------------------------------- groups
def itself(obj):
    """The object behind a weak proxy, which is neither hashable nor identical to it."""
    # A bound method has the object.
    return obj.before_run.__self__


def parent_group(group):
    """The whole group that a sub-group is a part of (itself if it is not one)."""
    return itself(group.source) if isinstance(group, Subgroup) else group


def refractoriness(group):
    """The refractory period: a Quantity, text, or False for none."""
    return getattr(group, "_refractory", False)


def pathways(synapses):
    """What synapses do at spikes and other events of their source and target."""
    return synapses._pathways


def reset_of(group):
    """The statements of the reset at a spike; none for a group without."""
    return statements_of(group.event_codes.get("spike", ""))


def fires_by(group):
    """What runs where spikes of a group are found: its thresholder, or the group itself."""
    return getattr(group, "thresholder", {}).get("spike", group)
