"""Compiled programs that stay: started once, and called through memory that they share with Python.

A call is a byte through a pipe, and so is the answer; the numbers are where both see them. A
program also ends with the process that has started it, whose end of the pipe is closed then.
"""

import mmap
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from contextlib import ExitStack, contextmanager

import numpy as np

#: Linux's file system in memory; where there is none, files that are shared are temporary ones.
MEMORY = "/dev/shm"
#: Large arrays in few pages, where glibc can: the system hands out each page separately.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
#: So many programs stay at most in a process; the one that was called least recently ends first.
KEPT = 8

#: Bytes that are written at once where memory is made.
CHUNK = 2**20

#: Those that have been started, and the lock under which they are looked through.
_programs: "weakref.WeakSet[Program]" = weakref.WeakSet()
_starting = threading.Lock()


def shared_size(interface):
    """Bytes of the memory that a program with an interface shares with Python."""
    return [end for *_, end in _places(interface)][-1]


def _places(interface):
    """(name, dtype, size, begin, end) of each array; it begins at a line of the cache."""
    end = 0
    for arrays in interface.values():
        for name, (dtype, size) in arrays.items():
            begin, end = end, end + -(-np.dtype(dtype).itemsize * size // 64) * 64
            yield name, dtype, size, begin, end


class Program:
    """A compiled program that runs from its first call on, until nobody needs it.

    Parameters
    ----------
    folder : Path
    interface : dict
        See :func:`brian_eprop.network.compilation.interface`.

    Attributes
    ----------
    lock : Lock
        See :func:`in_use`.
    arrays : dict of str to ndarray
        What the program is given and what it has computed, by full name, in shared memory.
    """

    def __init__(self, folder, interface):
        self.folder, self.interface = folder, interface
        self.lock, self.last_call = threading.Lock(), 0.0
        self.forget()

    def forget(self):
        """Be a program that does not run."""
        self.process = self.printed = self.arrays = self._stop = None
        self._number = 0

    @property
    def runs(self):
        """Whether there is a process, which may have died meanwhile."""
        return self.process is not None

    def start(self):
        """Let it run if it does not, in the place of those that were called least recently."""
        self.last_call = time.monotonic()
        # nothing to read: neither the end of a program that has died, nor an answer to nobody
        if self.runs and not select.select([self.process.stdout], [], [], 0)[0]:
            return
        self.end()
        with _starting:
            _make_room()
            _programs.add(self)
        with _shared_file(shared_size(self.interface)) as file:
            memory = mmap.mmap(file.fileno(), 0)
            self.printed = tempfile.TemporaryFile()
            try:
                self.process = subprocess.Popen(
                    ["./main", str(file.fileno())],
                    cwd=self.folder,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self.printed,
                    pass_fds=[file.fileno()],
                    env=LARGE_PAGES | os.environ if len(memory) > 2**22 else None,
                    # In a session of its own: Ctrl-C is for Python, which then ends the program.
                    start_new_session=True,
                )
            except OSError as error:
                self.printed.close()
                raise RuntimeError(
                    f"the compiled network cannot be run ({error}){self._remedy}"
                ) from error
        self._stop = weakref.finalize(self, _kill, self.process, self.printed)
        self.arrays = {
            name: np.frombuffer(memory, dtype, size, begin)
            for name, dtype, size, begin, _ in _places(self.interface)
        }
        # Until it is there it moves its own numbers to where it shares them.
        self.wait()

    def write(self, values):
        """Give the program arrays, of any shape, by full name."""
        for name, array in values.items():
            self._write(name, array, self.arrays[name])

    def write_trials(self, values):
        """Give the program arrays of as many trials as it has room for, or fewer."""
        for name, array in values.items():
            self._write(name, array, self.arrays[name][: np.size(array)])

    def _write(self, name, array, place):
        if place.size != np.size(array):
            raise RuntimeError(
                f"the compiled network takes {place.size} numbers as '{name}', not "
                f"{np.size(array)}{self._remedy}"
            )
        np.copyto(place.reshape(np.shape(array)), array)

    def call(self):
        """Let the program compute."""
        self._number = (self._number + 1) % 256
        try:
            self.process.stdin.write(bytes([self._number]))
        except BrokenPipeError:
            pass  # it has ended, which the answer says as well

    def wait(self):
        """Wait until the program is there, or has computed."""
        answer = None
        # An earlier answer is one that nobody has waited for: its call was interrupted.
        while answer != bytes([self._number]):
            answer = self.process.stdout.read(1)
            if not answer:
                process = self.process
                self.printed.seek(0)
                said = self.printed.read().decode(errors="replace")
                self.end()
                raise RuntimeError(
                    f"the compiled network failed with exit code {process.returncode}"
                    f"{self._remedy}:\n{said}"
                )

    def end(self):
        """End the process, if there is one."""
        if self._stop is not None:
            self._stop()
        self.forget()

    @property
    def _remedy(self):
        return f"; remove the folder '{self.folder}' to have the network compiled again"


@contextmanager
def in_use(programs):
    """Programs that one caller has for itself, from writing to reading.

    All of them end with an error or Ctrl-C: half a run is no result, and the next call begins with
    new processes.
    """
    with ExitStack() as locks:
        for program in programs:
            locks.enter_context(program.lock)
        try:
            yield
        except BaseException:
            for program in programs:
                program.end()
            raise


def _kill(process, printed):
    # Not by the methods of Popen: an interrupt may leave their lock locked for ever.
    if process.returncode is None:
        try:
            os.kill(process.pid, signal.SIGKILL)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except (ProcessLookupError, ChildProcessError):
            process.returncode = 0  # somebody else has waited for it
    for file in (process.stdin, process.stdout, printed):
        file.close()


def _make_room():
    """End programs that wait, so that one more can start."""
    running = sorted((p for p in _programs if p.runs), key=lambda p: p.last_call)
    for program in running[: max(0, len(running) + 1 - KEPT)]:
        if program.lock.acquire(blocking=False):
            try:
                program.end()
            finally:
                program.lock.release()


def _shared_file(size):
    """A file without a name that has its room already, in memory if there is some.

    Raises
    ------
    OSError
        If there is no room for it in the temporary folder either.
    """
    try:
        return _file_in(MEMORY, size)
    except OSError:
        folder = tempfile.gettempdir()
    try:
        return _file_in(folder, size)
    except OSError as error:
        raise OSError(
            f"the {size} bytes that a compiled network and Python exchange have no room in "
            f"'{folder}' ({error}); is its disk full? Make room, or set TMPDIR to another folder"
        ) from error


def _file_in(folder, size):
    file = tempfile.TemporaryFile(dir=folder)
    try:
        # A page that turns out to be missing later ends whoever writes to it.
        for _ in range(0, size, CHUNK):
            file.write(bytes(CHUNK))
        file.truncate(size)
    except OSError:
        file.close()
        raise
    return file


def _after_fork():
    """In a process that was forked, leave the programs to the one that has started them."""
    global _starting
    _starting = threading.Lock()
    for program in list(_programs):
        program.lock = threading.Lock()
        if program.process is not None:
            program._stop.detach()
            program.process.returncode = 0
            for file in (program.process.stdin, program.process.stdout, program.printed):
                file.close()
        program.forget()


os.register_at_fork(after_in_child=_after_fork)
