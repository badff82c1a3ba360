"""Compiling the C++ that Brian2's standalone mode has written, of users' scripts too.

Most of the time of Brian2's makefile goes into reading the same headers for each of some fifty
source files, of which every piece of code is one: here they are compiled a few files at a time.
"""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from brian2 import prefs

from .internals import compile_standalone_with

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
        status, said = _called(command, folder, debug)
    except FileNotFoundError as error:
        raise RuntimeError(
            f"the program cannot be compiled: '{error.filename}' is not installed; install make "
            "and a C++ compiler, or use Brian2's runtime device"
        ) from error
    if status != 0:
        raise RuntimeError(
            f"the program could not be compiled ('{' '.join(command)}' in '{folder}'):\n"
            f"{said[-4000:]}"
        )


def _called(command, folder, debug):
    """The exit status of a command, and what it says of errors.

    A terminal sends Ctrl-C to all processes of a group, and a compiler ended by it would be
    one that fails. So it has a group of its own, and ends with this process's own interrupt.
    """
    heard = None if debug else subprocess.PIPE
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=heard,
        stderr=heard,
        text=True,
        stdin=subprocess.DEVNULL,
        process_group=0,
    ) as called:
        try:
            _, said = called.communicate()
        except BaseException:
            # its group, as make and its compilers are; they remove what they have half written
            with suppress(ProcessLookupError):
                os.killpg(called.pid, signal.SIGTERM)
            raise
    return called.returncode, said or ""


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
