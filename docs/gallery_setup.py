"""The order of the examples in the gallery, and what is done between two of them."""

from brian2 import defaultclock, ms, prefs, set_device, start_scope
from brian2.devices.device import all_devices
from sphinx_gallery.sorting import ExplicitOrder

#: From what most come for to what few do; an example that is missing here ends the build.
ORDER = ExplicitOrder(
    [
        "plot_pattern_generation.py",
        "plot_own_brian2_network.py",
        "plot_fit_adex.py",
        "plot_fit_hodgkin_huxley.py",
        "plot_fit_network.py",
        "plot_evidence_accumulation.py",
        "plot_store_recall.py",
        "plot_behaviour.py",
        "plot_decision_circuit.py",
        "plot_vowels.py",
        "plot_trained_time_constants.py",
        "plot_delays.py",
        "plot_working_memory.py",
        "plot_dopamine.py",
        "plot_diffusion.py",
        "plot_dendritic_error.py",
        "plot_cell_types.py",
        "plot_reward_own_network.py",
        "plot_reward_cart_pole.py",
        "plot_order_of_eprop.py",
        "plot_local_rules.py",
        "plot_online_learning.py",
        "plot_sparse_influence.py",
        "plot_stochastic_rules.py",
        "plot_learned_rules.py",
        "plot_equilibrium.py",
    ]
)


def forget_brian2(gallery_conf, file):
    """An example starts with Brian2 as it is after its import: device, preferences, objects."""
    set_device("runtime")
    # the program of an example before has been built, and takes no more objects
    all_devices["cpp_standalone"].reinit()
    prefs.reset_to_defaults()
    defaultclock.dt = 0.1 * ms
    start_scope()
