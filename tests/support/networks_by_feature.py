"""What spikes, other groups and other code do, each in a small network, as a `Sketch`."""

from __future__ import annotations

import numpy as np
from brian2 import (
    NeuronGroup,
    PoissonGroup,
    PoissonInput,
    TimedArray,
    check_units,
    implementation,
    linked_var,
    ms,
    mV,
)
from sketches import LIF, written


@written()
def the_number_of_the_step(net):
    """Eligibility traces once took that of the step before."""
    net.around(net.neurons("dv/dt = -v*(1 + 0.5*sin(t_in_timesteps/3.0))/(20*ms) : volt"))


@written(orders=())
def an_effect_that_changes_with_time(net):
    net.around(
        net.neurons(LIF + "\ngain = 1 + 0.5*sin(t_in_timesteps/3.0) : 1"),
        "v_post += w*gain_post*mV",
    )


@written()
def nonlinear_weights_on_two_states(net):
    net.around(
        net.neurons(
            "dv/dt = (I - v)/(20*ms) : volt\ndI/dt = -I/(5*ms) : volt",
            threshold="v > 15*mV",
            reset="v = 0*mV",
            method="exact",
        ),
        "I_post += w*mV; v_post += 0.3*w**2*mV",
        "v_post += w*mV; I_post -= tanh(w)*mV",
        weights=(3, 2, 1, 3),
    )


@written()
def bounded_weights(net):
    net.around(net.neurons(), "v_post += clip(w, 0, 4)*mV", "v_post += abs(w)*mV")


@written()
def factors_of_both_ends(net):
    group = net.neurons(LIF + "\ng : 1 (constant)")
    group.g = "1 + 0.2*i"
    pre = "v_post += 2*w*g_post*g_pre*(1 + 0.1*i - 0.05*j)*mV"
    net.around(
        group, "v_post += exp(w/4)*mV", pre, loop={"connect": {"condition": "abs(i - j) <= 2"}}
    )


@written()
def two_synapses_between_neurons(net):
    """With delays that differ, so that they arrive one after the other."""
    group = net.neurons()
    several = {"connect": {"n": 2}, "multisynaptic_index": "k"}
    synapses = net.forward(group, mean=3, spread=2, **several)
    synapses.delay = "k*2*ms"
    net.learning(
        group, group, "v_post += w*mV", 1, 3, connect={"j": "(i + n) % 5 for n in range(1, 3)"}
    )
    net.outputs(group)


@written(traces=False)
def delays_of_all_lengths(net):
    """Onto the readout, too."""
    group = net.neurons()
    net.forward(group).delay = "(i % 4)*1.3*ms"
    net.learning(group, group, "v_post += w*mV", 1, 3).delay = "(i + j)*0.7*ms"
    net.outputs(group).delay = "(i % 3)*ms"


@written()
def arrivals_before_thresholds(net):
    """Spikes that arrive in the step in which they are sent."""
    net.around(net.neurons(), entry={"inputs": net.inputs(when="start"), "arrival": "after_groups"})


@written()
def parts_of_groups(net):
    fires = np.random.default_rng(1).random((net.of.steps, 8)) < 0.3
    names = {"FIRES": TimedArray(fires.astype(float), dt=1 * ms)}
    sources = net.neurons("", n=8, threshold="FIRES(t, i) > 0.5", namespace=names)
    group = net.neurons(n=8)
    first, last = group[:5], group[5:]
    net.forward(first, inputs=sources[2:7])
    net.forward(last, inputs=sources[:4])
    net.learning(first[1:4], last, "v_post += w*mV", 3, 3)
    net.learning(last, first, "v_post += w*mV", -2, 3, delay=3 * ms)
    net.outputs(group[2:7])


@written()
def two_layers_and_back(net):
    first = net.neurons()
    second = net.neurons("dv/dt = (I - v)/(10*ms) : volt\ndI/dt = -I/(5*ms) : volt", n=4)
    net.forward(first)
    net.learning(first, second, "I_post += w*mV", 6, 6, delay=1 * ms)
    net.learning(second, first, "v_post += w*mV", 0, 3)
    net.outputs(second)
    net.outputs(first)


@written(orders=(1, 2, 3, float("inf")))
def through_neurons_that_do_not_learn(net):
    group = net.neurons()
    other = net.neurons(
        "dv/dt = -v/(10*ms) : volt (unless refractory)",
        n=3,
        threshold="v > 10*mV",
        reset="v = 0*mV",
        refractory=2 * ms,
        method="exact",
    )
    net.plain(group, other, on_pre="v_post += 6*mV")
    net.plain(other, group, on_pre="v_post -= 4*mV", delay=1 * ms)
    net.forward(group)
    net.outputs(group)


@written()
def loops_that_are_fixed(net):
    net.around(net.neurons(), loop={"fixed": True})


@written(traces=False)
def gap_junctions(net):
    group = net.neurons("dv/dt = (-v + Ig)/(20*ms) : volt\nIg : volt")
    model = "wg : 1\nIg_post = wg*(v_pre - v_post) : volt (summed)"
    gaps = net.plain(group, group, model, connect={"condition": "i != j"})
    gaps.wg = "0.1 + 0.05*i"
    net.forward(group)
    net.outputs(group)


@written()
def rates_that_are_summed(net):
    group = net.neurons(
        "dv/dt = (-v + Is)/(20*ms) : volt\nIs : volt\ndr/dt = -r/(10*ms) : 1",
        threshold="v > 15*mV",
        reset="v = 0*mV; r += 0.3",
        method="euler",
    )
    net.forward(group)
    net.learning(group, group, None, 2, 6, model="w : 1\nIs_post = w*r_pre*mV : volt (summed)")
    net.outputs(group)


@written(traces=False)
def a_linked_variable_of_other_neurons(net):
    others = net.add(NeuronGroup, 5, "dx/dt = (sin(2*pi*t*30*Hz) - x)/(10*ms) : 1", method="euler")
    group = net.neurons("dv/dt = (-v*(1 + 0.3*x) + 4*mV*x)/(20*ms) : volt\nx : 1 (linked)")
    group.x = linked_var(others, "x", index=np.arange(5)[::-1].copy())
    net.around(group)


@written(traces=False)
def code_between_steps(net):
    """Two pieces of code, in slots and time steps of their own, that scale and square states."""
    group = net.neurons(
        LIF + "\nda/dt = -a/(30*ms) : volt",
        threshold="v > 15*mV + a",
        reset="v = 0.2*v; a += 2*mV",
        method="euler",
    )
    group.run_regularly("v *= 0.9; a += 0.1*v", dt=3 * ms, when="start")
    group.run_regularly("a = 0.5*a + 0.01*v**2/mV", dt=2 * ms, when="after_synapses")
    net.around(group)


@written(traces=False)
def code_that_clips(net):
    group = net.neurons()
    group.run_regularly("v = clip(v, -3*mV, 1*volt)", dt=1 * ms, when="after_resets")
    net.around(group)


@written(traces=False)
def an_event_of_ones_own(net):
    group = net.neurons(
        LIF + "\nda/dt = -a/(30*ms) : volt",
        threshold="v > 15*mV + a",
        reset="v = 0.2*v; a += 2*mV",
        refractory=2 * ms,
        method="euler",
        events={"late": "(t - lastspike) < 1.5*ms"},
    )
    group.run_on_event("late", "v -= 0.3*v; a += 1*mV", when="after_resets")
    net.around(group)


@written()
def given_signals(net):
    """Arrays in time and by neuron, one of them delayed, and a shared variable that code sets."""
    rng = np.random.default_rng(4)
    names = {
        "BY_NEURON": TimedArray(rng.random((200, 5)) * 6, dt=2 * ms),
        "SHARED": TimedArray(rng.random(200) * 6, dt=3 * ms),
    }
    group = net.neurons(
        """dv/dt = (-v*g + (BY_NEURON(t, i) + SHARED(t) + k)*mV)/(20*ms) : volt
        g = 1 + 0.2*BY_NEURON(t - 5*ms, i) : 1
        k : 1 (shared)""",
        namespace=names,
    )
    group.k = 3
    group.run_regularly("k = 3 + sin(2*pi*t*20*Hz)", dt=5 * ms)
    net.around(group)


@written()
def noise(net):
    """White noise, and Poisson input that no spikes stand for."""
    group = net.neurons("dv/dt = -v/(20*ms) + 2*mV*sqrt(1/(20*ms))*xi : volt")
    net.made.append(PoissonInput(group, "v", 20, 30 / (1000 * ms), weight=1 * mV))
    net.around(group)


@written()
def constant_over_a_step(net):
    net.around(
        net.neurons(
            """dv/dt = (-v*g + 2*mV)/(20*ms) : volt
            g = 1 + 0.4*tanh(v/(10*mV)) : 1 (constant over dt)"""
        )
    )


@written(orders=(1,))
def plastic_synapses_beside(net):
    """Song 2000: STDP of synapses that do not learn by the rule."""
    group = net.neurons()
    plastic = net.plain(
        net.inputs(3, 0.2, draw=8),
        group,
        """wp : 1
        dap/dt = -ap/(20*ms) : 1 (event-driven)
        dao/dt = -ao/(20*ms) : 1 (event-driven)""",
        on_pre="v_post += wp*mV; ap += 0.1; wp = clip(wp + ao, 0, 5)",
        on_post="ao -= 0.12; wp = clip(wp + ap, 0, 5)",
    )
    plastic.wp = 2
    net.forward(group)
    net.outputs(group)


@written(orders=())
def arrivals_that_count_only_at_rest(net):
    held = {"refractory": "(t - lastspike) < 2.5*ms"}
    net.around(net.neurons(**held), "v_post += w*mV*int(not_refractory_post)")


@written()
def a_parameter_of_the_source_that_changes(net):
    group = net.neurons(LIF + "\ng : 1")
    group.run_regularly("g = 1 + 0.5*sin(t/(3*ms))", dt=1 * ms)
    net.around(group, recurrent="v_post += w*g_pre*mV")


@written()
def a_shared_parameter_of_synapses(net):
    group = net.neurons()
    synapses = net.forward(group, "v_post += gain*w*mV", model="w : 1\ngain : 1 (shared, constant)")
    synapses.gain = 1.2
    net.outputs(group)


@written(traces=False)
def saturating_conductances(net):
    """A jump that depends on where it goes: several in one step come one after the other."""
    group = net.neurons("dv/dt = (-v + 30*mV*g)/(20*ms) : volt\ndg/dt = -g/(5*ms) : 1")
    net.forward(group, "g_post += w*(1 - g_post)", 0.5, 0.1)
    net.outputs(group)


@written(traces=False)
def shunting_inhibition(net):
    """Spikes that scale the voltage, after those that add to it."""
    group = net.neurons()
    ends = {"i": [0, 0, 1], "j": [0, 3, 3]}
    shunts = net.plain(net.inputs(2), group, on_pre="v_post *= 0.7", connect=ends)
    shunts.pre.order = 2
    net.around(group)


@written()
def functions_of_python(net):
    @implementation("numpy", discard_units=True)
    @check_units(x=1, result=1)
    def wave(x):
        return np.sin(x / 7.0) ** 2

    net.around(
        net.neurons(
            """dv/dt = (-v*gain + wave(t/ms)*mV)/(20*ms) : volt
            gain = 1 + wave(t/ms) : 1""",
            namespace={"wave": wave},
        )
    )


@written()
def poisson_inputs(net):
    group = net.neurons()
    net.around(group, entry={"inputs": net.add(PoissonGroup, 8, 300 / (1000 * ms))})


@written()
def a_linked_variable_that_all_share(net):
    """Of a group that is updated after the neurons."""
    group = net.neurons("dv/dt = (-v*(1 + 0.3*x) + 4*mV*x)/(20*ms) : volt\nx : 1 (linked)")
    other = net.add(NeuronGroup, 1, "dx/dt = (sin(2*pi*t*30*Hz) - x)/(10*ms) : 1", method="euler")
    group.x = linked_var(other, "x", index=np.zeros(5, int))
    net.around(group)


@written(traces=False)
def code_in_time(net):
    group = net.neurons()
    code = "v += 0.3*sin(t_in_timesteps/4.0)*v"
    group.run_regularly(code, dt=2 * ms, when="after_groups")
    net.around(group)


@written()
def one_neuron(net):
    """Whose loop is a synapse."""
    options = {"entry": {"inputs": net.inputs(3, 0.5)}, "loop": {"delay": 1 * ms}}
    net.around(net.neurons(n=1), weights=(8, 3, -2, 1), **options)


@written(traces=False)
def a_sum_that_is_made_last(net):
    """Traces of the inputs are then moved on before the sum that scales them; |s| is 0 at first."""
    group = net.neurons(
        "dv/dt = (-v*(1 + abs(s)) + 3*mV)/(20*ms) : volt\ns : 1\ndr/dt = -r/(10*ms) : 1",
        threshold="v > 15*mV",
        reset="v = 0*mV; r += 0.3",
        method="euler",
    )
    net.forward(group)
    net.learning(group, group, None, 1, 2, model="w : 1\ns_post = w*r_pre : 1 (summed)")
    net.outputs(group)
