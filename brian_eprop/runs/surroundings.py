"""What a run needs of the process around it: Brian2's device, and to hear when it is to end."""

import signal
from contextlib import contextmanager

from brian2.devices.device import reset_device, set_device

__all__ = ["brian2_device", "interrupts"]


@contextmanager
def interrupts():
    """A list that grows with each Ctrl-C or SIGTERM; the second one is an exception as usual.

    Brian2 drops objects in weak-reference callbacks, where Python ignores exceptions: a
    KeyboardInterrupt that happens to be raised there is lost.
    """
    seen = []

    def note(*_):
        seen.append(True)
        if len(seen) > 1:
            raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Python allows it in the main thread only
        before = {}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def brian2_device(name):
    """Brian2's device for the time of the training."""
    set_device(name, build_on_run=False) if name == "cpp_standalone" else set_device(name)
    try:
        yield
    finally:
        reset_device()
