"""Generating and compiling a network's program (Brian2's C++ standalone mode), one at a time."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2 import get_logger, set_device

from ..brian.internals import CPPStandaloneDevice, DynamicArrayVariable, reset_device
from .assembly import TARGETS, trial_assembly
from .projections import blocks, result_names, trained
from .runtime import plain_errors

logger = get_logger(__name__)

NO_ROOM = os.strerror(errno.ENOSPC)
ELSEWHERE = "set the environment variable BRIAN_EPROP_CACHE to a folder that can be written"

#: The file that says how to talk to a program; written last, so that it also says that the
#: folder is complete.
INTERFACE = "brian_eprop.json"

#: Added to Brian2's makefile. It spends most of its time reading the same headers for each of
#: its hundred source files, and on optimizing code that reads and writes arrays once.
FASTER_MAKE = """
CXXFLAGS += -include brian_eprop_common.h
brian_eprop_common.h.gch: brian_eprop_common.h
	$(CXX) $(filter-out -include brian_eprop_common.h,$(CXXFLAGS)) -x c++-header $< -o $@
$(OBJS): brian_eprop_common.h.gch
objects.o: CXXFLAGS += -O1
# A small program takes longer to find its libraries than to run
REFUSED := $(shell echo 'int main() {}' \\
	| $(CXX) -x c++ - $(LFLAGS) -static -o static.o 2>&1 || echo yes)
LFLAGS += $(if $(REFUSED),,-static)
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

namespace brian_eprop {

// A file of arrays. Each follows its length, so that a part of the file is not taken for all.
class Results
{
    std::FILE *file;

    template <class T> void put(const T *values, size_t n)
    {
        std::fwrite(values, sizeof(T), n, file);
    }

public:
    explicit Results(const std::string &path) : file(std::fopen(path.c_str(), "wb"))
    {
        if (!file)
        {
            std::perror(path.c_str());
            std::exit(1);
        }
    }

    ~Results() { std::fclose(file); }

    template <class T> void add(const T *values, int64_t length)
    {
        put(&length, 1);
        put(values, length);
    }

    template <class T> void add(std::vector<T> &values) { add(values.data(), values.size()); }

    template <class T> void add(DynamicArray2D<T> &values)
    {
        const int64_t length = (int64_t)values.n*values.m;
        put(&length, 1);
        for (int i=0; i<(int)values.n; i++)
            put(&values(i, 0), values.m);
    }
};

}
"""

#: Runs the network and leaves the program. Brian2 2.9 asks the operating system for the time
#: in every step, which takes as long as the rest of the step of a small network; and at the end
#: its programs write all their arrays, each to a file.
RUN = """
{
    const std::clock_t started = std::clock();
    %CLOCK%.set_interval(0.0, %DURATION%);
    for (; %CLOCK%.running(); %CLOCK%.tick())
        for (const auto &object : %NETWORK%.objects)
            if (object.second)
                object.second();
    const double seconds = (double)(std::clock() - started)/CLOCKS_PER_SEC;
    brian_eprop::Results results(results_dir + "%RESULTS%");
    results.add(&seconds, 1);
    %ARRAYS%
    return 0;
}
"""
#: The file in Brian2's folder of results that the program writes instead.
RESULTS = "results"


def compile_project(folder):
    """Compile a generated project with a precompiled header; removes what is not needed after."""
    (folder / "brian_eprop_common.h").write_text(COMMON_HEADERS)
    with (folder / "makefile").open("a") as makefile:
        makefile.write(FASTER_MAKE)
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Without DEPS there is no pass over all files to find what depends on what: all is new.
    command = ["make", f"-j{workers}", "DEPS=", "main"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise RuntimeError(
            f"the network cannot be compiled: '{error.filename}' is not installed; install make "
            "and a C++ compiler, or use Brian2's runtime device"
        ) from error
    if done.returncode != 0:
        raise RuntimeError(
            f"the network could not be compiled ('{' '.join(command)}' in '{folder}'"
            f"{'; ' + ELSEWHERE if NO_ROOM in done.stderr else ''}):\n{done.stderr[-4000:]}"
        )
    for leftover in [*folder.rglob("*.o"), folder / "brian_eprop_common.h.gch"]:
        leftover.unlink()


def interface(folder):
    """How to talk to the program in a folder; None if there is none that is complete.

    Returns
    -------
    dict
        ``given``: dtype by full name of a variable that the program reads; ``results``: that
        of what it writes, in this order.
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
        device.apply_run_args()
        duration = trials.total * description.dt
        written = {name: assembly.variable(name) for name in result_names(description, trials)}
        for code in _reserve(device, assembly, blocks(description, trials)):
            device.insert_code("before_start", code)
        device.insert_code("before_network_run", _run(device, assembly, duration, written))
        with plain_errors():
            assembly.network.run(duration, namespace={})
        options = {"directory": str(made), "compile": False, "run": False}
        device.build(**dict(device.build_options) | options)
        compile_project(made)
        interface = _interface(assembly, description, trials, written)
        (made / INTERFACE).write_text(json.dumps(interface))
    finally:
        reset_device()
    _move(made, folder)


def _reserve(device, assembly, projections):
    """C++ that makes room for all synapses at once; Brian2's programs add one after the other."""
    for block in projections:
        for name in ("_synaptic_pre", "_synaptic_post"):
            variable = assembly.objects[block.name].variables[name]
            array = device.get_array_name(variable, access_data=False)
            yield f"brian::{array}.reserve({block.mask.sum()});"


def _run(device, assembly, duration, written):
    """C++ that takes the place of Brian2's run, and of all that comes after it."""

    def array(variable):
        name = device.get_array_name(variable, access_data=False)
        return name if isinstance(variable, DynamicArrayVariable) else f"{name}, _num_{name}"

    code = RUN
    for name, text in {
        "CLOCK": assembly.objects["readout"].clock.name,
        "NETWORK": assembly.network.name,
        "DURATION": repr(float(duration)),
        "RESULTS": RESULTS,
        "ARRAYS": "\n    ".join(f"results.add({array(v)});" for v in written.values()),
    }.items():
        code = code.replace(f"%{name}%", text)
    return code


def _interface(assembly, description, trials, written):
    def dtypes(variables):
        return {name: np.dtype(variable.dtype).str for name, variable in variables.items()}

    names = ["inputs.raster", *(block.weight for block in blocks(description, trials))]
    names += [one.variable for one in trained(description)]
    return {
        "given": dtypes({name: assembly.variable(name) for name in names}) | {TARGETS: "<f8"},
        "results": {"seconds": "<f8"} | dtypes(written),
    }


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


#: How the names of temporary folders begin that are locked while their processes live.
SCRATCH = "brian_eprop-"

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


@contextmanager
def scratch(where):
    """A temporary folder in a folder, locked as long as its process lives.

    Parameters
    ----------
    where : path-like or None
        None for the usual place.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=where) as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(lock)


def remove_abandoned_scratch(where):
    """Remove the temporary folders of processes that were killed; others' are left."""
    for folder in Path(where).glob(f"{SCRATCH}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue  # another user's, or removed meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # one that was made a moment ago may not be locked yet
            if any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its process lives
        finally:
            os.close(lock)
