"""What sphinx-gallery does between two examples."""

from brian2 import defaultclock, ms, prefs, set_device, start_scope


def forget_brian2(gallery_conf, file):
    """An example starts with Brian2 as it is after its import: device, preferences, objects."""
    set_device("runtime")
    prefs.reset_to_defaults()
    defaultclock.dt = 0.1 * ms
    start_scope()
