"""Runs an assembled network as a compiled program (Brian2's C++ standalone mode).

A program is generated once for a network and a shape of trials. Weights, trained parameters,
inputs and targets are files that it reads when it starts, so that it serves every further call;
and it is kept in the user's cache folder, named by a hash of everything it was generated from, so
that it serves every further process as well.
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
from types import MappingProxyType

import numpy as np
import platformdirs
from attrs import evolve
from brian2 import prefs

from .assembly import TARGETS
from .compilation import RESULTS, build, interface, remove_abandoned_scratch, scratch
from .projections import given, results
from .training_state import encode

#: Linux's file system in memory.
MEMORY = "/dev/shm"
#: Large arrays in few pages, where glibc can: the system hands out each page separately.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
#: How Brian2's programs begin to say that they could not use an argument.
UNREAD = ("Error reading", "Could not read", "Cannot set")
#: Preferences of Brian2 that do not reach the generated code.
IRRELEVANT = ("codegen.runtime.", "codegen.target", "codegen.string_", "codegen.max_cache_")


class CompiledNetwork:
    """A compiled program, and how to talk to it.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    inputs, targets : ndarray
        As for :func:`trial_assembly`; only their shapes are compiled in.

    Attributes
    ----------
    simulation_seconds : float or None
        Processor time of the last run, without starting, reading and writing.
    """

    def __init__(self, description, trials, inputs, targets):
        self.description, self.trials = description, trials
        self.exchanged = self.simulation_seconds = None
        self.folder = cache_folder() / _key(description, trials)
        for place in (MEMORY, tempfile.gettempdir()):
            remove_abandoned_scratch(place)
        self.interface = interface(self.folder)
        if self.interface is None:
            build(self.folder, description, trials, inputs, targets)
            self.interface = interface(self.folder)

    def run(self, weights, inputs, targets, parameters=MappingProxyType({})):
        """Run all trials; see :class:`~brian_eprop.network.projections.Backend`."""
        arrays = {"inputs.raster": inputs, TARGETS: targets}
        arrays |= given(self.description, self.trials, weights, parameters)
        with scratch(self._room()) as folder:
            arguments = ["--results_dir", f"{folder}{os.sep}"]
            for number, (name, values) in enumerate(arrays.items()):
                path = Path(folder) / f"{number}.dat"
                np.asarray(values, dtype=self.interface["given"][name]).tofile(path)
                arguments.append(f"{name}={path}")
            self._execute(arguments)
            self.exchanged = sum(path.stat().st_size for path in Path(folder).iterdir())
            try:
                found = self._read(Path(folder) / RESULTS)
            except (OSError, ValueError) as error:
                # The program does not notice that a file could not be written.
                raise OSError(
                    f"the results of the compiled network in '{self.folder}' are not complete "
                    f"({error}); is the disk of '{folder}' full?"
                ) from error
        self.simulation_seconds = float(found["seconds"][0])
        return results(self.description, self.trials, found.__getitem__)

    def _read(self, path):
        """The arrays that the program has written, each after its length."""
        content, place, found = np.fromfile(path, np.uint8), 0, {}
        for name, dtype in self.interface["results"].items():
            (length,) = np.frombuffer(content, "<i8", 1, place)
            found[name] = np.frombuffer(content, dtype, length, place + 8)
            place += 8 + found[name].nbytes
        return found

    def _room(self):
        """A folder in memory, if there is one with room; None for the usual temporary folder.

        A disk takes longer than a short trial.
        """
        if self.exchanged is None or not os.access(MEMORY, os.W_OK):
            return None
        return MEMORY if shutil.disk_usage(MEMORY).free > 10 * self.exchanged else None

    def _execute(self, arguments):
        remedy = f"; remove the folder '{self.folder}' to have the network compiled again"
        try:
            large = (self.exchanged or 0) > 2**22
            # In a session of its own: Ctrl-C is for Python, which then ends the program; the
            # program alone would stop early and report half a trial.
            done = subprocess.run(
                ["./main", *arguments],
                cwd=self.folder,
                capture_output=True,
                text=True,
                env=LARGE_PAGES | os.environ if large else None,
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeError(f"the compiled network cannot be run ({error}){remedy}") from error
        # The program only prints that a file could not be read, and goes on without it.
        unread = [line for line in done.stderr.splitlines() if line.startswith(UNREAD)]
        if done.returncode != 0 or unread:
            said = "\n".join(unread) or done.stderr or done.stdout
            raise RuntimeError(
                f"the compiled network failed with exit code {done.returncode}{remedy}:\n{said}"
            )


def cache_folder():
    """Where compiled programs are kept: $BRIAN_EPROP_CACHE, or the user's cache folder."""
    given = os.environ.get("BRIAN_EPROP_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("brian_eprop")


def _key(description, trials):
    """Hash of everything that a program is generated from."""
    description = _generated(description)
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".cpp"):
            digest.update(path.read_bytes())
    for mask in description.connectivity.values():
        digest.update(np.packbits(mask).tobytes())
    flags = {
        name: str(prefs[name])
        for name in prefs
        if name.startswith(("core.", "codegen.", "devices.cpp_standalone."))
        and not name.startswith(IRRELEVANT)
    }
    parts = [
        encode(description, without=("connectivity",)),
        encode(trials),
        {name: version(name) for name in ("brian2", "numpy", "sympy")},
        flags,
        _processor(),
    ]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:24]


def _generated(description):
    """The network without the values of trained parameters and without how it is trained.

    The former are given to the program, the latter concerns the updates.
    """
    names = tuple(description.trainable)
    populations = []
    for p in description.populations:
        kept = {name: value for name, value in p.overrides.items() if name not in names}
        populations.append(evolve(p, overrides=kept))
    return evolve(description, populations=populations, trainable=names, constraints=())


def _processor():
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor() + platform.machine()
