"""Generates and compiles the program of a network (Brian2's C++ standalone mode)."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from brian2 import get_logger
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import reset_device, set_device

from .assembly import assemble
from .blocks import blocks, result_names

logger = get_logger(__name__)

#: The file that says how to talk to a program; written last, so that it also says that the
#: folder is complete.
INTERFACE = "brian_eprop.json"

#: Added to Brian2's makefile. It spends most of its time reading the same headers for each of
#: its hundred source files, and on optimizing code that reads and writes arrays once.
FASTER_MAKE = """
CXXFLAGS += -include brian_eprop_common.h
brian_eprop_common.h.gch: brian_eprop_common.h
	$(CXX) $(CXXFLAGS:-include brian_eprop_common.h=) -x c++-header $< -o $@
$(OBJS): brian_eprop_common.h.gch
objects.o: CXXFLAGS += -O1
"""
COMMON_HEADERS = """
#include "objects.h"
#include "brianlib/common_math.h"
#include <algorithm>
#include <climits>
#include <cmath>
#include <ctime>
#include <fstream>
#include <iostream>
"""


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
            f"the network could not be compiled ('{' '.join(command)}' in '{folder}'):\n"
            f"{done.stderr[-4000:]}"
        )
    for leftover in [*folder.rglob("*.o"), folder / "brian_eprop_common.h.gch"]:
        leftover.unlink()


def interface(folder):
    """How to talk to the program in a folder; None if there is none that is complete.

    Returns
    -------
    dict
        ``given``: dtype by full name of a variable that the program reads; ``results``:
        ``file`` and ``dtype`` by full name of one that it writes.
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
        As for :func:`assemble`.

    Raises
    ------
    OSError
        If the folder cannot be written.
    RuntimeError
        If the compiler fails.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building_"))
    except OSError as error:
        raise OSError(
            f"compiled networks cannot be kept in '{folder.parent}' ({error}); set the environment "
            "variable BRIAN_EPROP_CACHE to a folder that can be written"
        ) from error
    logger.info(f"compiling the network (kept in '{folder}' for the next time)", "compile")
    # A device of its own: what the user has prepared on Brian2's stays as it is.
    device = CPPStandaloneDevice()
    set_device(device, directory=str(made), build_on_run=False, with_output=False)
    try:
        assembly = assemble(description, trials, inputs, targets)
        device.apply_run_args()
        assembly.network.run(trials.total * description.dt, namespace={})
        options = {"directory": str(made), "compile": False, "run": False}
        device.build(**dict(device.build_options) | options)
        compile_project(made)
        (made / INTERFACE).write_text(json.dumps(_interface(assembly, device, description, trials)))
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    finally:
        reset_device()
    _move(made, folder)


def _interface(assembly, device, description, trials):
    def dtype(variable):
        return np.dtype(variable.dtype).str

    given = {f"brian_eprop_{name}.values": "<f8" for name in ("inputs", "targets")}
    for block in blocks(description, trials):
        given[block.weight] = dtype(assembly.variable(block.weight))
    written = {}
    for name in result_names(description, trials):
        variable = assembly.variable(name)
        written[name] = {"file": device.get_array_filename(variable), "dtype": dtype(variable)}
    return {"given": given, "results": written}


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
