"""Signals: the first is a request, the second ends at once, and all processes hear of it."""

import os
import signal
import sys
import time
import weakref
from threading import Barrier, Thread

import pytest

from brian_eprop.runs.interrupts import STOPPING, interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_signal_is_a_request_and_the_second_one_an_exception(capfd):
    before = signal.getsignal(signal.SIGINT)
    with interrupts(tell=True) as stopped:
        assert not stopped
        interrupt()
        assert stopped
        assert capfd.readouterr().err == STOPPING
        with interrupts() as inner:
            assert inner is stopped
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert signal.getsignal(signal.SIGINT) is before
    with interrupts() as afterwards:
        assert not afterwards
    assert not capfd.readouterr().err


def test_who_hears_no_signal_hears_of_it_by_the_file(tmp_path):
    """As processes of other machines, a thread gets no signals."""
    seen, meet, hook = [], Barrier(2, timeout=20), sys.unraisablehook

    def run():
        with interrupts(tmp_path / "stop") as stopped:
            assert sys.unraisablehook is hook  # that of all threads
            seen.append(bool(stopped))
            meet.wait()
            meet.wait()
            seen.append(bool(stopped))

    thread = Thread(target=run)
    thread.start()
    meet.wait()
    with interrupts(tmp_path / "stop"):
        interrupt()
    meet.wait()
    thread.join()
    assert seen == [False, True]


def test_where_the_others_cannot_be_told_it_ends_at_once(tmp_path):
    with interrupts(tmp_path / "removed" / "stop"), pytest.raises(KeyboardInterrupt):
        interrupt()


class Dropped:
    pass


def test_a_second_interrupt_that_python_drops_comes_again():
    """Exceptions in callbacks of weak references are dropped, and Brian2 has many of those."""
    dropped, called = Dropped(), []

    def callback(_):
        called.append(True)
        interrupt()

    _reference = weakref.ref(dropped, callback)
    with interrupts():
        interrupt()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            del dropped
            assert called
            time.sleep(20)
        assert time.monotonic() - begun < 10


def test_what_a_process_ignores_it_goes_on_to_ignore():
    """As the processes of a pool, in which a run listens to the file only."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts() as stopped:
            interrupt()
            assert not stopped
    finally:
        signal.signal(signal.SIGINT, before)
