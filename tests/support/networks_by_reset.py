"""Thresholds, resets and refractoriness, each in a small network, as a `Sketch`."""

from __future__ import annotations

from brian2 import ms, mV
from sketches import LIF, written


@written()
def a_period_of_each_neuron(net):
    group = net.neurons(LIF + "\nheld : second (constant)", refractory="held")
    group.held = "(1 + i)*ms"
    net.around(group)


@written()
def refractory_by_a_condition_in_time(net):
    """Eligibility traces once looked at the condition of the step before."""
    net.around(
        net.neurons(
            LIF + " (unless refractory)\nda/dt = -a/(30*ms) : volt",
            threshold="v > 15*mV + a",
            reset="v -= 15*mV; a += 4*mV",
            refractory="(t - lastspike) <= 2*ms",
            method="euler",
        )
    )


@written()
def refractory_by_a_state(net):
    net.around(
        net.neurons(
            LIF + " (unless refractory)\ndu/dt = (v - u)/(10*ms) : volt",
            threshold="v > 12*mV",
            reset="v = 0*mV; u += 3*mV",
            refractory="u > 2*mV",
            method="euler",
        )
    )


@written()
def the_next_time_in_a_condition(net):
    """'t + dt' was once cut to 't'."""
    held = {"refractory": "t + dt < lastspike + 3.5*ms"}
    net.around(net.neurons(LIF + " (unless refractory)", **held))


@written()
def a_time_of_ones_own_in_a_condition(net):
    """'last + dt*3' was once read as 'last'; the spike sets it."""
    group = net.neurons(
        LIF + " (unless refractory)\nlast : second",
        threshold="v > 15*mV",
        reset="v = 0*mV; last = t",
        refractory="t < last + dt*3",
        method="euler",
    )
    group.last = -1000 * ms
    net.around(group)


@written()
def two_that_are_held(net):
    """Arrivals are lost while two variables are held."""
    net.around(
        net.neurons(
            """dv/dt = (I - v)/(20*ms) : volt (unless refractory)
            dI/dt = -I/(5*ms) : volt (unless refractory)""",
            threshold="v > 15*mV",
            reset="v = 0*mV; I = 0.5*I",
            refractory="3*ms",
            method="exact",
        ),
        "I_post += w*mV",
        weights=(12, 6, 1, 3),
    )


@written()
def a_threshold_of_two_states(net):
    """A threshold that moves by itself, by spikes and with time; a reset of three states."""
    group = net.neurons(
        """dv/dt = (I - v)/(20*ms) : volt
        dI/dt = -I/(5*ms) : volt
        dth/dt = (15*mV - th)/(30*ms) : volt""",
        threshold="v + 0.1*I > th*(1 + 0.1*sin(2*pi*t*50*Hz))",
        reset="v = 0.2*v - 2*mV; th += 3*mV + 0.1*v; I *= 0.8",
        method="exact",
    )
    group.th = 15 * mV
    pre = "I_post += w*mV"
    net.around(group, pre, pre, weights=(12, 8, 1, 3))


@written()
def a_gate_and_a_threshold_from_below(net):
    group = net.neurons(
        LIF + "\non : boolean (constant)",
        threshold="15*mV < v and on and not_refractory",
        reset="v = 0*mV",
        refractory=3 * ms,
        method="euler",
    )
    group.on = "i != 2"
    net.around(group)


@written(traces=False)
def so_many_spikes_in_a_time(net):
    group = net.neurons(
        LIF + "\ncount : 1",
        threshold="v > 15*mV and count < 4",
        reset="v = 0*mV; count += 1",
        method="euler",
    )
    group.run_regularly("count = 0", dt=20 * ms)
    net.around(group)


@written(traces=False)
def resets_before_arrivals(net):
    group = net.neurons()
    group.resetter["spike"].when = "before_synapses"
    net.around(group)


@written()
def a_state_that_holds_the_voltage(net):
    """Refractory by a state that the reset sets."""
    net.around(
        net.neurons(
            LIF + "\ndr/dt = -r/(5*ms) : 1",
            threshold="v > 15*mV",
            reset="v = 0*mV; r = 1",
            refractory="r > 0.5",
            method="euler",
        )
    )


@written()
def held_by_an_expression(net):
    """A truth value with a name, in which time stands twice."""
    held = "held = (t - lastspike) < (2 + sin(t/(3*ms)))*ms : boolean"
    net.around(net.neurons(f"{LIF} (unless refractory)\n{held}", refractory="held"))


@written()
def refractoriness_in_the_equation(net):
    equation = "dv/dt = -v*int(not_refractory)/(20*ms) : volt"
    net.around(net.neurons(equation, refractory="(t - lastspike) < 2.5*ms"))


@written(traces=False)
def held_by_code(net):
    group = net.neurons(LIF + " (unless refractory)\nhold : 1", refractory="hold > 0.5")
    group.run_regularly("hold = int(timestep(t, dt) % 4 < 2)", dt=1 * ms)
    net.around(group)


@written(traces=False)
def a_period_that_code_changes(net):
    group = net.neurons(LIF + " (unless refractory)\nperiod : second", refractory="period")
    group.run_regularly("period = (1 + timestep(t, dt) % 4)*ms", dt=1 * ms)
    net.around(group)


@written()
def a_threshold_that_is_drawn(net):
    group = net.neurons(LIF + "\nth : volt", threshold="v > th", reset="v = 0*mV", method="euler")
    group.run_regularly("th = (15 + 2*rand())*mV", dt=1 * ms)
    net.around(group)


@written(traces=False)
def arrivals_after_resets(net):
    group = net.neurons()
    for synapses in (net.forward(group), net.learning(group, group, "v_post += w*mV", 1, 3)):
        synapses.pre.when = "after_resets"
    net.outputs(group)
