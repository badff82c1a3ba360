"""What this machine has for the package, and whether it computes: ``brian-eprop doctor``."""

import os
import shutil
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from unittest.mock import patch

import numpy as np
from attrs import frozen

from ..memory import available_memory
from ..network.compiled import cache_folder
from ..network.recurrent import RecurrentNetwork
from ..network.resident import MEMORY
from ..network.runtime import numpy_runtime
from ..reference import gradients
from .surroundings import brian2_device, environment

#: Distributions that are not required, and what needs them.
OPTIONAL = {
    "distributed": "--cluster",
    "gymnasium": "environments of Gymnasium",
    "aeon": "the task vowels",
    "scikit-learn": "the task digits",
    "neo": "recordings of Neo",
    "pynwb": "events of NWB",
    "pyarrow": "events in Parquet",
    "nir": "networks as NIR",
    "torch": "networks as modules of PyTorch",
}
#: Variables that say how many threads the libraries of NumPy take.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
STEPS, N_IN, N_REC = 100, 5, 10
#: Largest deviation from the reference, relative to the largest entry: round-off of such sums.
TOLERANCE = 1e-10


@frozen
class Finding:
    """One line of the report.

    Attributes
    ----------
    topic, text : str
    remedy : str or None
        What to do where something is wrong; None where nothing is.
    """

    topic: str
    text: str
    remedy: str | None = None

    def __str__(self):
        line = f"{self.topic:<17} {self.text}"
        return line if self.remedy is None else f"{line}\n{'':<17} → {self.remedy}"


def findings():
    """Look at the machine, and compute a gradient on both devices, which takes seconds.

    Yields
    ------
    Finding
        One by one, as they are found.
    """
    for topic, text in environment().items():
        yield Finding(topic, text)
    yield _tool("C++ compiler", os.environ.get("CXX", "g++"))
    yield _tool("make", "make")
    yield _threads()
    yield _memory()
    yield _cache()
    for name, needed_by in OPTIONAL.items():
        yield _optional(name, needed_by)
    # not with Cython, whose modules would be compiled for minutes the first time
    yield _computes("runtime, numpy", numpy_runtime())
    yield _computes("cpp_standalone", brian2_device("cpp_standalone"))


def _tool(topic, command):
    """A program that compiled networks need."""
    remedy = "install it, for example by 'apt install g++ make'; until then device = 'runtime'"
    path = shutil.which(command.split()[0])
    if path is None:
        return Finding(topic, f"'{command}' is not there", remedy)
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(topic, f"'{path}' does not run ({error})", remedy)
    return Finding(topic, f"{said.stdout.partition(chr(10))[0] or 'of no version'} ({path})")


def _threads():
    """Processors that this process may use, and what limits the threads of NumPy."""
    # of a container or a batch system it may be fewer than the machine has
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    return Finding("threads", f"up to {able} at a time; {', '.join(limits) or 'NumPy unlimited'}")


def _memory():
    """Memory of the machine, and of what programs and Python share."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    text = f"{total:.1f} GB, {available_memory() / 1e9:.1f} GB free"
    if Path(MEMORY).is_dir():
        return Finding("memory", f"{text}; shared: {shutil.disk_usage(MEMORY).free / 1e9:.1f} GB")
    return Finding("memory", f"{text}; shared by files in '{tempfile.gettempdir()}'")


def _cache():
    """The folder of compiled programs."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "set BRIAN_EPROP_CACHE to a folder that can be written to"
        return Finding("cache", f"'{folder}' cannot be written to ({error})", remedy)
    programs = [entry for entry in folder.iterdir() if entry.is_dir()]
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("cache", f"{len(programs)} programs in '{folder}', {free:.1f} GB free")


def _optional(name, needed_by):
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, f"not installed, which only {needed_by} needs")


def _computes(topic, device):
    """A gradient, computed anew on a device, beside that of the reference."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((STEPS, N_IN)) < 0.3, rng.standard_normal((STEPS, 1))
    before = time.perf_counter()
    try:
        # a cache of its own: what was compiled long ago says nothing of today
        with tempfile.TemporaryDirectory() as cache, device:
            with patch.dict(os.environ, BRIAN_EPROP_CACHE=cache):
                network = RecurrentNetwork("alif", N_IN, N_REC, 1, seed=0)
                computed = network.gradients(inputs, targets)
    except Exception as error:  # whatever it is, the report goes on and says it
        return Finding(topic, f"does not compute: {type(error).__name__}: {error}", "see above")
    seconds = time.perf_counter() - before
    expected = gradients(network, inputs, targets, rule="eprop")
    deviation = max(
        np.abs(getattr(computed, name) - getattr(expected, name)).max()
        / np.abs(getattr(expected, name)).max()
        for name in ("w_in", "w_rec", "w_out")
    )
    text = f"a gradient in {seconds:.1f} s, {deviation:.0e} from the reference"
    if not deviation < TOLERANCE:
        return Finding(topic, text, f"more than {TOLERANCE:.0e} is wrong: please report it")
    return Finding(topic, text)
