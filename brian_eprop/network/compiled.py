"""Runs an assembled network as a compiled program (Brian2's C++ standalone mode).

A program is generated once for a network and a shape of trials. Weights, trained parameters,
inputs and targets are given to it in each call, so that it serves every further one; and it is
kept in the user's cache folder, named by a hash of everything it was generated from, so that it
serves every further process as well.
"""

import hashlib
import json
import os
import platform
from collections import deque
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import numpy as np
import platformdirs
from attrs import evolve
from brian2 import prefs
from scipy.sparse import issparse

from .assembly import RASTER, TARGETS
from .compilation import DURATION, build, interface
from .projections import blocks, given, results, trained
from .resident import Program, in_use
from .results import Joined, parts
from .structures import values_of
from .training_state import encode

#: Preferences of Brian2 that do not reach the generated code.
IRRELEVANT = ("codegen.runtime.", "codegen.target", "codegen.string_", "codegen.max_cache_")


class CompiledNetwork:
    """A network as a compiled program, and how to talk to it.

    Parameters
    ----------
    description : NetworkDescription
    trials : BatchShape
    inputs, targets : ndarray
        As for :func:`trial_assembly`; only their shapes are compiled in.

    Attributes
    ----------
    programs : list of Program
        As many as threads have been asked for: processes of the same program.
    simulation_seconds, program_seconds : float or None
        Processor time of the last run: of the simulation and the backward pass, and of all that
        the programs did.
    """

    def __init__(self, description, trials, inputs, targets):
        self.description, self.trials = description, trials
        self.blocks, self.trained = blocks(description, trials), trained(description)
        self.simulation_seconds = self.program_seconds = None
        folder = cache_folder() / _key(description, trials)
        exchanged = interface(folder)
        if exchanged is None:
            build(folder, description, trials, inputs, targets)
            exchanged = interface(folder)
        self.programs = [Program(folder, exchanged)]

    def run(self, weights, inputs, targets, parameters=MappingProxyType({}), threads=1):
        """Run a batch; see :class:`~brian_eprop.network.projections.Backend`."""
        values = given(self.blocks, self.trained, weights, parameters)
        cut, whole = parts(len(inputs)), Joined()
        programs = self._processes(min(threads, len(cut)))
        with in_use(programs):
            self.simulation_seconds = self.program_seconds = 0.0
            computing = deque()
            for number, part in enumerate(cut):
                if number < len(programs):
                    program = programs[number]
                    program.start()
                    program.write(values)
                else:
                    # The first to be called is the first to have computed, or nearly.
                    program, count = computing.popleft()
                    whole.add(self._answer(program, count))
                self._call(program, inputs[part], targets[part])
                computing.append((program, len(inputs[part])))
            for program, count in computing:
                whole.add(self._answer(program, count))
        return whole.results()

    def _processes(self, number):
        """So many of the programs."""
        first = self.programs[0]
        while len(self.programs) < number:
            self.programs.append(Program(first.folder, first.interface))
        return self.programs[:number]

    def _call(self, program, inputs, targets):
        """Let a program compute one part of a batch."""
        seconds = len(inputs) * self.trials.steps * float(self.description.dt)
        program.write_trials({DURATION: seconds, RASTER: inputs, TARGETS: targets})
        program.call()

    def _answer(self, program, count):
        """The results of a part of so many trials, when they are there."""
        program.wait()
        simulation_seconds, program_seconds = program.arrays["seconds"].tolist()
        self.simulation_seconds += simulation_seconds
        self.program_seconds += program_seconds
        read = program.arrays.__getitem__
        return results(self.description, self.trials, count, self.blocks, read)


def cache_folder():
    """Where compiled programs are kept: $BRIAN_EPROP_CACHE, or the user's cache folder."""
    given = os.environ.get("BRIAN_EPROP_CACHE")
    return Path(given).resolve() if given else platformdirs.user_cache_path("brian_eprop")


def _key(description, trials):
    """Hash of everything that a program is generated from."""
    description = _generated(description)
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".cpp", ".h"):
            digest.update(path.read_bytes())
    for name, mask in description.connectivity.items():
        sparse = (mask.indptr, mask.indices) if issparse(mask) else (np.packbits(mask),)
        # one delay is one number in a dense matrix too
        steps = np.asarray(values_of(description.delays.get(name, 0.0)), dtype=float)
        for array in (*sparse, steps):
            digest.update(array.tobytes())
    flags = {
        name: str(prefs[name])
        for name in prefs
        if name.startswith(("core.", "codegen.", "devices.cpp_standalone."))
        and not name.startswith(IRRELEVANT)
    }
    parts = [
        encode(description, without=("connectivity", "delays")),
        encode(trials),
        {name: version(name) for name in ("brian2", "numpy", "sympy")},
        flags,
        _processor(),
    ]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:24]


def _generated(description):
    """The network without the values of trained parameters and without how it is trained.

    The former are given to the program, the latter concerns the updates. For the longest delay
    there must be room.
    """
    names = tuple(description.trainable)
    populations = []
    for p in description.populations:
        kept = {name: value for name, value in p.overrides.items() if name not in names}
        populations.append(evolve(p, overrides=kept))
    delays = {n: training.bounds for n, training in description.trainable_delays.items()}
    return evolve(
        description,
        populations=populations,
        trainable=names,
        constraints=(),
        trainable_delays=delays,
        delays=dict(description.delays) | {n: bounds[1] for n, bounds in delays.items()},
    )


def _processor():
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor() + platform.machine()
