"""Runs an assembled network as a compiled program (Brian2's C++ standalone mode).

A program is generated once for a network and a shape of trials. Weights, inputs and targets
are files that it reads when it starts, so that it serves every further call; and it is kept
in the user's cache folder, named by a hash of everything it was generated from, so that it
serves every further process as well.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import platformdirs
from brian2 import get_logger, prefs
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.devices.device import reset_device, set_device

from .. import serialization
from .assembly import assemble, pack
from .blocks import blocks, result_names, results

logger = get_logger(__name__)

#: The file that says how to talk to a program; written last, so that it also says that the
#: folder is complete.
INTERFACE = "brian_eprop.json"


class CompiledNetwork:
    """A compiled program, and how to talk to it.

    Parameters
    ----------
    description : NetworkDescription
    trials : Trials
    inputs, targets : ndarray
        As for :func:`assemble`; only their shapes are compiled in.
    """

    def __init__(self, description, trials, inputs, targets):
        self.description, self.trials = description, trials
        self.folder = cache_folder() / _key(description, trials)
        if not (self.folder / INTERFACE).exists():
            _build(self.folder, description, trials, inputs, targets)
        self.files = json.loads((self.folder / INTERFACE).read_text())

    def run(self, weights, inputs, targets):
        """Run all trials; see :meth:`brian_eprop.devices.runtime.RuntimeNetwork.run`."""
        given = {
            "brian_eprop_inputs.values": pack(inputs),
            "brian_eprop_targets.values": np.ascontiguousarray(targets, dtype=float),
        }
        for block in blocks(self.description, self.trials):
            given[block.weight] = weights[block.matrix][block.rows, block.columns] * block.scale
        with tempfile.TemporaryDirectory(prefix="brian_eprop_") as scratch:
            results_folder = Path(scratch) / "results"
            results_folder.mkdir()
            command = ["./main", "--results_dir", f"{results_folder}{os.sep}"]
            for number, (name, values) in enumerate(given.items()):
                path = Path(scratch) / f"{number}.dat"
                values.tofile(path)
                command.append(f"{name}={path}")
            # In a session of its own: Ctrl-C is for Python, which then ends the program; the
            # program alone would stop early and report half a trial.
            done = subprocess.run(
                command, cwd=self.folder, capture_output=True, text=True, start_new_session=True
            )
            # The program only prints that a file could not be read, and goes on without it.
            if done.returncode != 0 or done.stderr:
                raise RuntimeError(
                    f"the compiled network in '{self.folder}' failed (exit code "
                    f"{done.returncode}): {done.stderr or done.stdout}\nRemove that folder to "
                    "have it compiled again"
                )

            def read(name):
                file = self.files[name]
                return np.fromfile(results_folder / file["file"], dtype=file["dtype"])

            return results(self.description, self.trials, read)


def cache_folder():
    """Where compiled programs are kept: $BRIAN_EPROP_CACHE, or the user's cache folder."""
    given = os.environ.get("BRIAN_EPROP_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("brian_eprop")


def _key(description, trials):
    """Hash of everything that a program is generated from."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".cpp"):
            digest.update(path.read_bytes())
    flags = {name: str(prefs[name]) for name in prefs if name.startswith("codegen.cpp.")}
    flags |= {n: str(prefs[n]) for n in prefs if n.startswith("devices.cpp_standalone.")}
    parts = [
        serialization.encode(description),
        serialization.encode(trials),
        {name: version(name) for name in ("brian2", "numpy", "sympy")},
        flags,
        _processor(),
    ]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:24]


def _processor():
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor() + platform.machine()


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


def _compile(folder):
    """Compile a generated project with a precompiled header; removes what is not needed after."""
    (folder / "brian_eprop_common.h").write_text(COMMON_HEADERS)
    with (folder / "makefile").open("a") as makefile:
        makefile.write(FASTER_MAKE)
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Without DEPS there is no pass over all files to find what depends on what: all is new.
    command = ["make", f"-j{workers}", "DEPS=", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"the network could not be compiled ('{' '.join(command)}' in '{folder}'):\n"
            f"{done.stderr[-4000:]}"
        )
    for leftover in [*folder.rglob("*.o"), folder / "brian_eprop_common.h.gch"]:
        leftover.unlink()


def _build(folder, description, trials, inputs, targets):
    """Generate and compile the program beside its final place, then move it there."""
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
        _compile(made)
        files = {}
        for name in result_names(description, trials):
            variable = assembly.variable(name)
            files[name] = {
                "file": device.get_array_filename(variable),
                "dtype": np.dtype(variable.dtype).str,
            }
        (made / INTERFACE).write_text(json.dumps(files))
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    finally:
        reset_device()
    try:
        made.rename(folder)
    except OSError:
        # Another process has been faster; its program is the same.
        shutil.rmtree(made, ignore_errors=True)
        if not (folder / INTERFACE).exists():
            raise
