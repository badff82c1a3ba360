"""Generating a network's program (Brian2's C++ standalone mode), in a folder that is kept."""

import errno
import gc
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from brian2 import Synapses, get_logger, set_device

from ..brian.fast_build import compile_project
from ..brian.internals import (
    CPPStandaloneDevice,
    DynamicArrayVariable,
    before_run_of_queue,
    generated_sources,
    pathways,
    reset_device,
)
from ..files import alone
from .assembly import RASTER, TARGETS, trial_assembly
from .projections import blocks, kept_names, result_names, trained
from .resident import shared_size
from .runtime import plain_errors

logger = get_logger(__name__)

NO_ROOM = os.strerror(errno.ENOSPC)
ELSEWHERE = "set the environment variable BRIAN_EPROP_CACHE to a folder that can be written"

#: The file that says how to talk to a program; written last, so that it also says that the
#: folder is complete.
INTERFACE = "brian_eprop.json"
#: Added to the makefile of a project.
CALLED = """
main.o: CXXFLAGS += -include brian_eprop_calls.h
# A small program takes longer to find its libraries than to run
REFUSED := $(shell echo 'int main() {}' \\
	| $(CXX) -x c++ - $(LFLAGS) -static -o static.o 2>&1 || echo yes)
LFLAGS += $(if $(REFUSED),,-static)
"""

#: C++ that is no template, and where it is.
TEMPLATES = Path(__file__).parent.parent / "brian" / "templates" / "cpp"
#: The file in which the C++ of calls is kept for the compiler, and what it includes.
CALLS, CALLS_HEADER = "brian_eprop_calls.cpp", "brian_eprop_calls.h"
#: How a program calls the simulated seconds of a call, which has as many trials as there is room
#: for, or fewer.
DURATION = "brian_eprop_call.duration"
#: Runs the network whenever it is called, and leaves the program: it takes the place of Brian2's
#: run. Brian2 2.9 asks the operating system for the time in every step, which takes as long as the
#: rest of the step of a small network.
RUN = """
{{
    brian_eprop::Calls calls(args, {size});
    const auto *duration = calls.place<double>(1);
    {spent}
    {shared}
    auto *seconds = calls.place<double>(2);
    {restored}
    // Python may write from now on.
    calls.answer();
    while (calls.next())
    {{
        const std::clock_t started = std::clock();
        {clock}.set_interval(0.0, *duration);
        for (; {clock}.running(); {clock}.tick())
        {{
            if ({clock}.timestep[0] % 256 == 0 && calls.abandoned())
                return 1;
            for (const auto &object : {network}.objects)
                if (object.second)
                    object.second();
        }}
        seconds[0] = (double)(std::clock() - started)/CLOCKS_PER_SEC;
        seconds[1] = calls.seconds();
        calls.answer();
    }}
    return 0;
}}
"""


def interface(folder):
    """How to talk to the program in a folder; None if there is none that is complete.

    Returns
    -------
    dict
        ``given``: dtype and size by full name of a variable that the program reads;
        ``results``: those of what it writes.
    """
    try:
        found = json.loads((folder / INTERFACE).read_text())
        complete = found.keys() == {"given", "results"} and os.access(folder / "main", os.X_OK)
    except (OSError, ValueError, AttributeError):
        return None
    return found if complete else None


def build(folder, description, trials, inputs, targets):
    """Generate and compile the program beside its final place, then move it there.

    Parameters
    ----------
    folder : Path
        An incomplete program in it is replaced.
    description, trials, inputs, targets
        As for :func:`trial_assembly`.

    Raises
    ------
    OSError
        If the folder cannot be written, or is full.
    RuntimeError
        If the compiler fails.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_suffix(".lock")):
            if interface(folder) is None:
                _build_beside(folder, description, trials, inputs, targets)
                # Brian2's objects refer to one another, and hold 40 bytes for each synapse
                gc.collect()
    except OSError as error:
        raise OSError(
            f"compiled networks cannot be kept in '{folder.parent}' ({error}); {ELSEWHERE}"
        ) from error


def _build_beside(folder, *arguments):
    """Build in a folder of another name, while nobody else builds this program."""
    building = f"building_{folder.name}_"
    for left in folder.parent.glob(f"{building}*"):
        # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=building))
    try:
        _build(folder, made, *arguments)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _build(folder, made, description, trials, inputs, targets):
    """Build in the folder ``made``, which then becomes the program's."""
    logger.info(f"compiling the network (kept in '{folder}' for the next time)", "compile")
    # A device of its own: what the user has prepared on Brian2's stays as it is.
    device = CPPStandaloneDevice()
    set_device(device, directory=str(made), build_on_run=False, with_output=False)
    try:
        assembly = trial_assembly(description, trials, inputs, targets)
        for code in _reserve(device, assembly, blocks(description, trials)):
            device.insert_code("before_start", code)
        # Which arrays there are is known once they run.
        device.insert_code("before_network_run", f'#include "{CALLS}"')
        with plain_errors():
            assembly.network.run(trials.total * description.dt, namespace={})
        interface = _interface(assembly, description, trials)
        (made / CALLS).write_text(_calls(device, assembly, description, trials, interface))
        options = {"directory": str(made), "compile": False, "run": False}
        device.build(**dict(device.build_options) | options)
        _compile(device, made)
        (made / INTERFACE).write_text(json.dumps(interface))
    finally:
        reset_device()
    _move(made, folder)


def _compile(device, made):
    """Compile the generated program; removes what is not needed after."""
    shutil.copy(TEMPLATES / CALLS_HEADER, made)
    try:
        compile_project(generated_sources(device), made, CALLED)
    except RuntimeError as error:
        if NO_ROOM not in str(error):
            raise
        raise RuntimeError(f"{ELSEWHERE}: {error}") from error
    for leftover in (file for end in ("o", "d", "gch") for file in made.rglob(f"*.{end}")):
        leftover.unlink()


def _reserve(device, assembly, projections):
    """C++ that makes room for all synapses at once; Brian2's programs add one after the other."""
    for block in projections:
        for name in ("_synaptic_pre", "_synaptic_post"):
            variable = assembly.objects[block.name].variables[name]
            array = device.get_array_name(variable, access_data=False)
            yield f"brian::{array}.reserve({block.part.count});"


def _interface(assembly, description, trials):
    """What Python and the program exchange; see :func:`interface`."""
    d, projections = description, blocks(description, trials)
    names = ("weight", "gradient", "delay", "delay_gradient")
    synapses = {getattr(b, name): b for b in projections for name in names}

    def arrays(names):
        for name in names:
            variable = assembly.variable(name)
            size = synapses[name].part.count if name in synapses else variable.size
            yield name, [np.dtype(variable.dtype).str, int(size)]

    given = [RASTER, *(b.weight for b in projections), *(p.variable for p in trained(d))]
    given += [b.delay for b in projections if b.trained_delay]
    return {
        "given": {
            DURATION: ["<f8", 1],
            **dict(arrays(given)),
            TARGETS: ["<f8", trials.total * d.n_out],
        },
        "results": {
            **dict(arrays(result_names(d, trials))),
            "seconds": ["<f8", 2],
        },
    }


def _calls(device, assembly, description, trials, interface):
    """C++ that takes the place of Brian2's run, and of all that comes after it."""

    def array(variable):
        name = device.get_array_name(variable, access_data=False)
        return name if isinstance(variable, DynamicArrayVariable) else f"{name}, _num_{name}"

    def statements(function, arguments):
        return "\n    ".join(f"{function}({argument});" for argument in arguments)

    targets = TARGETS.replace(".", "_")
    given = [name for name in interface["given"] if name != DURATION]
    exchanged = [*given, *result_names(description, trials)]
    shared = {name: assembly.variable(name) for name in exchanged if name != TARGETS}
    written = [*given, *kept_names(description)]
    unchanged = {shared[name] for name in written if name != TARGETS}
    of_shared = {name: array(variable) for name, variable in shared.items()}
    of_shared[TARGETS] = f"{targets}, _num_{targets}"
    delayed = {b.delay.split(".")[0] for b in blocks(description, trials) if b.trained_delay}
    pathway_names = [
        f"{pathway.name}, {before_run_of_queue(pathway)}"
        if pathway.name in delayed
        else pathway.name
        for synapses in assembly.objects.values()
        if isinstance(synapses, Synapses)
        for pathway in pathways(synapses)
    ]
    # Brian2's copies of what a script has given its arrays
    spent = [n for n in device.static_arrays if n.startswith("_static_array_")]
    spent += [device.get_array_name(v) for v in device.arrays if _of_connect(v)]
    return RUN.format(
        size=shared_size(interface),
        spent=statements("calls.free", spent),
        shared=statements("calls.share", (of_shared[name] for name in exchanged)),
        restored=statements(
            "calls.restore",
            [
                *(array(v) for v in device.arrays if _changes(v) and v not in unchanged),
                *pathway_names,
            ],
        ),
        clock=assembly.objects["readout"].clock.name,
        network=assembly.network.name,
    )


def _changes(variable):
    """Whether a run begins with the values of an array, and changes them.

    Ring buffers, which groups have, are written before they are read; indices of synapses are
    worked out once.
    """
    if not isinstance(variable, DynamicArrayVariable):
        return not _of_connect(variable)
    floating = np.issubdtype(variable.dtype, np.floating)
    return isinstance(variable.owner, Synapses) and floating and not variable.constant


def _of_connect(variable):
    """Whether an array is what synapses were connected by, which no run reads."""
    return isinstance(variable.owner, Synapses) and variable.name in ("sources", "targets")


def _move(made, folder):
    """Put a program in its place, unless another process has been faster."""
    if interface(folder) is None and folder.exists():
        # What is there is damaged. Renaming is one step, so that nobody sees half of it.
        folder.rename(made / "damaged")
        shutil.rmtree(made / "damaged")
    try:
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if interface(folder) is None:
            raise
