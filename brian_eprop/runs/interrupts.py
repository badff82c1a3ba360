"""Ctrl-C and SIGTERM, heard of by all processes of a run or a sweep, which stop in good order."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from threading import Timer

#: What a signal is answered with.
STOPPING = "\nstopping after this iteration, with all files written; Ctrl-C again stops at once\n"


class Interrupts:
    """Whether there was a request to stop: a signal to this process, or the file that tells others.

    A handler of signals, which keeps the first one; the second one is an exception as usual.
    """

    def __init__(self, file, tell):
        self._signals, self._file, self._tell = 0, file, tell

    def __bool__(self):
        return self._signals > 0 or (self._file is not None and self._file.exists())

    def __call__(self, *_):
        self._signals += 1
        if self._signals > 1:
            raise KeyboardInterrupt
        if self._tell:
            with suppress(OSError):
                # not print, in which the signal may have come
                os.write(2, STOPPING.encode())
        if self._file is not None:
            try:
                self._file.touch()
            except OSError:  # nobody else would hear of it
                raise KeyboardInterrupt from None


_present: ContextVar[Interrupts | None] = ContextVar("interrupts", default=None)


@contextmanager
def interrupts(file: Path | None = None, tell: bool = False) -> Iterator[Interrupts]:
    """Ctrl-C and SIGTERM as something that is true from the first one on, and not an exception.

    Within another such context it is that of the outer one, which thereby hears of them all.

    Parameters
    ----------
    file : Path, optional
        Made at the first signal. Where it is, all processes stop that have it for their file, on
        other machines too: a terminal sends Ctrl-C to all processes, but ``kill`` to one only.
    tell : bool
        Whether to say at the first signal, on standard error, what comes now.

    Yields
    ------
    Interrupts
    """
    around = _present.get()
    if around is not None:
        yield around
        return
    seen = Interrupts(file, tell)
    token = _present.set(seen)
    # Ignored ones stay so, as in a process of a pool, which has a file.
    heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, seen) for number in heard}
    except ValueError:  # Python allows it in the main thread only
        before = {}
    hook = sys.unraisablehook
    if before:
        sys.unraisablehook = partial(_raised_again, hook)
    try:
        yield seen
    finally:
        if before:
            sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        _present.reset(token)


def _raised_again(hook, lost):
    """Raise a KeyboardInterrupt again that came where Python drops exceptions.

    Brian2 forgets objects in callbacks of weak references, which are such places, all the time.
    """
    if isinstance(lost.exc_value, KeyboardInterrupt):
        # later, or it would come in here
        Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        hook(lost)
