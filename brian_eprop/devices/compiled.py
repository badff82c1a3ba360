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
from brian2 import prefs

from .. import serialization
from .assembly import pack
from .blocks import blocks, results
from .compilation import build, interface

#: Linux's file system in memory.
MEMORY = "/dev/shm"
#: How Brian2's programs begin to say that they could not use an argument.
UNREAD = ("Error reading", "Could not read", "Cannot set")
#: Preferences of Brian2 that do not reach the generated code.
IRRELEVANT = ("codegen.runtime.", "codegen.target", "codegen.string_", "codegen.max_cache_")


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
        self.written = None
        self.folder = cache_folder() / _key(description, trials)
        self.interface = interface(self.folder)
        if self.interface is None:
            build(self.folder, description, trials, inputs, targets)
            self.interface = interface(self.folder)

    def run(self, weights, inputs, targets):
        """Run all trials; see :meth:`brian_eprop.devices.runtime.RuntimeNetwork.run`."""
        given = {
            "brian_eprop_inputs.values": pack(inputs),
            "brian_eprop_targets.values": targets,
        }
        for block in blocks(self.description, self.trials):
            given[block.weight] = weights[block.matrix][block.rows, block.columns] * block.scale
        with tempfile.TemporaryDirectory(prefix="brian_eprop_", dir=self._room()) as scratch:
            results_folder = Path(scratch) / "results"
            results_folder.mkdir()
            arguments = ["--results_dir", f"{results_folder}{os.sep}"]
            for number, (name, values) in enumerate(given.items()):
                path = Path(scratch) / f"{number}.dat"
                np.asarray(values, dtype=self.interface["given"][name]).tofile(path)
                arguments.append(f"{name}={path}")
            self._execute(arguments)
            self.written = sum(path.stat().st_size for path in results_folder.iterdir())

            def read(name):
                file = self.interface["results"][name]
                return np.fromfile(results_folder / file["file"], dtype=file["dtype"])

            try:
                return results(self.description, self.trials, read)
            except (OSError, ValueError, IndexError) as error:
                # Brian2's programs do not notice that a file could not be written.
                raise OSError(
                    f"the results of the compiled network in '{self.folder}' are not complete "
                    f"({error}); is the disk of '{scratch}' full?"
                ) from error

    def _room(self):
        """A folder in memory, if there is one with room; None for the usual temporary folder.

        A program writes some hundred small files, which takes a disk longer than a short trial.
        """
        if self.written is None or not os.access(MEMORY, os.W_OK):
            return None
        return MEMORY if shutil.disk_usage(MEMORY).free > 10 * self.written else None

    def _execute(self, arguments):
        remedy = f"; remove the folder '{self.folder}' to have the network compiled again"
        try:
            # In a session of its own: Ctrl-C is for Python, which then ends the program; the
            # program alone would stop early and report half a trial.
            done = subprocess.run(
                ["./main", *arguments],
                cwd=self.folder,
                capture_output=True,
                text=True,
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
        serialization.encode(description, without=("connectivity",)),
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
