"""Generating and compiling a network's program (Brian2's C++ standalone mode), one at a time.

Most of the time of Brian2's makefile goes into reading the same headers for each of some fifty
source files, of which every piece of code is one: here they are compiled a few files at a time,
for users' own programs too (`fast_build`).
"""

import errno
import fcntl
import gc
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2 import Synapses, get_logger, prefs, set_device

from ..brian.internals import (
    CPPStandaloneDevice,
    DynamicArrayVariable,
    before_run_of_queue,
    compile_standalone_with,
    generated_sources,
    pathways,
    reset_device,
)
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

#: The makefile of a project: that of Brian2 for other sources. What depends on what is found while
#: compiling, not in a pass of its own over all files before it.
MAKEFILE = "brian_eprop.mk"
MAKE = """
override SRCS = {sources}
override DEPS =
include makefile
FLAGS := $(CXXFLAGS) -MMD -MP
CXXFLAGS = $(FLAGS) -include brian_eprop_common.h
brian_eprop_common.h.gch: brian_eprop_common.h makefile
	$(CXX) $(FLAGS) -MF brian_eprop_common.d -x c++-header $< -o $@
$(filter-out objects.o,$(OBJS)): brian_eprop_common.h.gch
# makes, reads and writes each array once: it takes longer to optimize than to run
objects.o: CXXFLAGS = $(FLAGS) -O0
-include $(OBJS:.o=.d) brian_eprop_common.d
"""
COMMON_HEADERS = """
#include "objects.h"
#include "brianlib/common_math.h"
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
"""
#: Small sources of Brian2 that can be in one file.
SMALL = ("network.cpp", "run.cpp", "synapses_classes.cpp")

#: What a piece of code begins with, and the functions that others call.
INCLUDES = re.compile(r"(\s*#\s*include[^\n]*\n)*")
FUNCTIONS = re.compile(r"^void (_(?:before_|after_)?run_\w+)\(\)", re.MULTILINE)
#: What does not stay within the namespace that is put around a piece of code; Brian2's own
#: definitions are the same everywhere.
LEAVES_NAMESPACE = re.compile(
    r"^\s*#\s*+(?!(if|ifdef|ifndef|else|elif|endif|pragma)\b|define _brian_)", re.MULTILINE
)

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


def fast_build() -> None:
    """Let Brian2's C++ standalone programs be compiled in a third of the time or less.

    One line of a script, anywhere before the program is built; it holds for all that the process
    builds after it. Compiler, flags and threads are those of Brian2's preferences, and so are the
    numbers. A script that is run again compiles what has changed. With Microsoft's compiler,
    programs are compiled by Brian2 as before.

    Examples
    --------
    >>> from brian2 import set_device
    >>> from brian_eprop import fast_build
    >>> fast_build()
    >>> set_device("cpp_standalone")  # doctest: +SKIP
    """
    compile_standalone_with(compile_project)


def compile_project(sources, folder, more="", debug=False, clean=False):
    """Compile a project.

    Parameters
    ----------
    sources : iterable of str
        Source files, as Brian2 lists them.
    folder : Path
    more : str
        Lines that are added to the makefile.
    debug : bool
        Show what the compiler says even if it succeeds.
    clean : bool
        Compile what has not changed, too.

    Raises
    ------
    RuntimeError
        If it fails, with what the compiler says.
    """
    merged = _merge(sorted(sources), folder)
    _write(folder / "brian_eprop_common.h", COMMON_HEADERS)
    _write(folder / MAKEFILE, MAKE.format(sources=" ".join(merged)) + more)
    options = prefs.devices.cpp_standalone
    command = [*options.make_cmd_unix.split(), *options.extra_make_args_unix, "-f", MAKEFILE]
    command += ["--always-make"] * clean
    try:
        done = subprocess.run(command, cwd=folder, capture_output=not debug, text=True)
    except FileNotFoundError as error:
        raise RuntimeError(
            f"the program cannot be compiled: '{error.filename}' is not installed; install make "
            "and a C++ compiler, or use Brian2's runtime device"
        ) from error
    if done.returncode != 0:
        said = (done.stderr or "")[-4000:]
        raise RuntimeError(
            f"the program could not be compiled ('{' '.join(command)}' in '{folder}'):\n{said}"
        )


def _merge(sources, folder):
    """Write files that contain as many sources as can be compiled together.

    Returns
    -------
    list of str
        The files to compile. What is linked first is what linkers take if functions are there
        twice: these are before 'objects.cpp', which is not optimized.
    """
    pieces, apart = {}, []
    for name in sources:
        if name in SMALL:
            pieces[name] = [], f'#include "{name}"\n'
        elif name.startswith("code_objects/"):
            text = (folder / name).read_text()
            start = INCLUDES.match(text).end()
            if LEAVES_NAMESPACE.search(text, start):
                apart.append(name)
            else:
                includes = map(str.strip, text[:start].splitlines())
                pieces[name] = list(filter(None, includes)), _in_namespace(name, text, start)
        else:
            apart.append(name)
    merged = []
    for share in _shares(list(pieces.values())):
        # What several include is included once, before all namespaces.
        headers = dict.fromkeys(header for includes, _ in share for header in includes)
        merged.append(f"brian_eprop_{len(merged)}.cpp")
        _write(folder / merged[-1], "\n".join([*headers, *(code for _, code in share)]))
    return [*merged, *apart]


def _shares(pieces):
    """Pieces divided among the processors, large and small ones alike."""
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    return [pieces[k::processors] for k in range(min(processors, len(pieces)))]


def _in_namespace(name, text, start):
    """A piece of code, of which helpers have the names of others', behind its functions."""
    own, line, code = f"of_{Path(name).stem}", text[:start].count("\n") + 1, text[start:]
    calls = (f"void {f}() {{ {own}::{f}(); }}\n" for f in FUNCTIONS.findall(code))
    # Whoever reads an error of the compiler wants to know where in Brian2's file it is.
    return f'namespace {own} {{\n#line {line} "{name}"\n{code}\n}}\n{"".join(calls)}'


def _write(file, text):
    """Write a file unless it has this text already, so that it is not compiled again."""
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


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


#: Brian2's device, and the network that it builds, are those of the whole process.
_THREADS = threading.Lock()


@contextmanager
def alone(path):
    """Let all others wait; a process that dies lets them in.

    Parameters
    ----------
    path : Path
        Of a file that is there meanwhile, and left by a process that is killed: that does no harm.
    """
    entered = False
    with _THREADS:
        while not entered:
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Who held it has removed the file, and another may have locked a new one.
                entered = _is_open(path, lock)
                try:
                    if entered:
                        yield
                finally:
                    if entered:
                        path.unlink(missing_ok=True)


def _is_open(path, file):
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
