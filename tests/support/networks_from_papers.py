"""Published models, small, each as a `Sketch`."""

from __future__ import annotations

import numpy as np
from brian2 import ms, mV, nS, pA, pF, uS
from sketches import LIF, written


@written()
def leaky_integrators(net):
    """Stein 1965, with loops."""
    net.around(net.neurons())


@written()
def brette_2007_cuba(net):
    """Currents, excitatory and inhibitory parts of one group, delays."""
    names = {"taum": 20 * ms, "El": -49 * mV, "Vr": -60 * mV, "Vt": -50 * mV}
    group = net.neurons(
        """dv/dt = (ge + gi - (v - El))/taum : volt (unless refractory)
        dge/dt = -ge/(5*ms) : volt
        dgi/dt = -gi/(10*ms) : volt""",
        n=8,
        threshold="v > Vt",
        reset="v = Vr",
        refractory=5 * ms,
        method="exact",
        namespace=names,
    )
    group.v = "Vr + i/8.0*(Vt - Vr)"
    net.forward(group, "ge_post += w*mV", 1, 1)
    part = {"connect": {"p": 0.5}, "delay": 2 * ms}
    net.learning(group[:6], group, "ge_post += w*mV", 1.62, 0.5, **part)
    near = {"j": "k for k in range(8) if k % 2 == i % 2"}
    net.learning(group[6:], group, "gi_post += w*mV", -9, 2, connect=near)
    net.outputs(group)


@written()
def brette_2007_coba(net):
    """Conductances; delays that differ from synapse to synapse."""
    group = net.neurons(
        """dv/dt = (-ge*v + gi*(-80*mV - v) - (v + 60*mV))/(20*ms) : volt (unless refractory)
        dge/dt = -ge/(5*ms) : 1
        dgi/dt = -gi/(10*ms) : 1""",
        n=6,
        threshold="v > -50*mV",
        reset="v = -60*mV",
        refractory="5*ms",
        method="exponential_euler",
    )
    group.v, group.ge = -60 * mV, np.linspace(0, 4, 6)[::-1]
    net.forward(group, "ge_post += w", 0.6, 0.2)
    excitatory = net.learning(group[:4], group, "ge_post += w", 0.6, 0.1)
    excitatory.delay = "1*ms*(i % 3)"
    net.learning(group[4:], group, "gi_post += w", 6.7, 0.5)
    net.outputs(group)


@written(height=20.0, width=30e-3, dt=0.1 * ms, steps=300)
def brette_gerstner_2005_adex(net):
    """An exponential spike and adaptation, by Runge-Kutta steps."""
    names = {"gL": 30 * nS, "EL": -70.6 * mV, "VT": -50.4 * mV, "DT": 2 * mV, "C": 281 * pF}
    group = net.neurons(
        """dv/dt = (gL*(EL - v) + gL*DT*exp((v - VT)/DT) - u + I)/C : volt
        du/dt = (a*(v - EL) - u)/(144*ms) : amp
        dI/dt = -I/(5*ms) : amp
        a : siemens (constant)
        b : amp (shared, constant)""",
        n=3,
        threshold="v > -40*mV",
        reset="v = EL; u += b",
        method="rk4",
        namespace=names,
    )
    group.v, group.a, group.b = -70 * mV, "4*nS*(i + 1)/4", 80 * pA
    entry, loop = {"inputs": net.inputs(5, 0.05)}, {"delay": 1 * ms}
    pre = "I_post += w*pA"
    net.around(group, pre, pre, weights=(350, 100, 50, 200), entry=entry, loop=loop)


@written(height=10.0, width=60e-3)
def izhikevich_2003(net):
    """A quadratic voltage that is reset from far above."""
    group = net.neurons(
        """dv/dt = 0.04/ms/mV*v**2 + 5/ms*v + 140*mV/ms - u + I : volt
        du/dt = a*(b*v - u) : volt/second
        dI/dt = -I/(3*ms) : volt/second
        a : Hz
        b : Hz
        c : volt
        d : volt/second""",
        threshold="v >= 30*mV",
        reset="v = c; u += d",
        method="euler",
    )
    group.a, group.b, group.c, group.d = 0.02 / ms, 0.2 / ms, "-65*mV + i*mV", 8 * mV / ms
    group.v = -65 * mV
    group.u = "b*v"
    pre = "I_post += w*mV/ms"
    net.around(group, pre, pre, weights=(6, 2, 0, 4))


@written(height=10.0, width=40e-3, dt=0.05 * ms, steps=400)
def traub_miles_1991(net):
    """Channels of Hodgkin and Huxley: no reset, refractory while the voltage is high."""
    names = {"gl": 10 * nS, "El": -60 * mV, "EK": -90 * mV, "ENa": 50 * mV, "VT": -63 * mV}
    group = net.neurons(
        """dv/dt = (gl*(El - v) - ge*v - gNa*m**3*h*(v - ENa) - gK*n**4*(v - EK))/Cm : volt
        dm/dt = am*(1 - m) - bm*m : 1
        dn/dt = an*(1 - n) - bn*n : 1
        dh/dt = ah*(1 - h) - bh*h : 1
        dge/dt = -ge/(5*ms) : siemens
        am = 0.32*4/exprel((13*mV - v + VT)/(4*mV))/ms : Hz
        bm = 0.28*5/exprel((v - VT - 40*mV)/(5*mV))/ms : Hz
        ah = 0.128*exp((17*mV - v + VT)/(18*mV))/ms : Hz
        bh = 4/(1 + exp((40*mV - v + VT)/(5*mV)))/ms : Hz
        an = 0.032*5/exprel((15*mV - v + VT)/(5*mV))/ms : Hz
        bn = 0.5*exp((10*mV - v + VT)/(40*mV))/ms : Hz""",
        n=3,
        threshold="v > -20*mV",
        refractory="v > -20*mV",
        method="exponential_euler",
        namespace=names | {"Cm": 200 * pF, "gNa": 20 * uS, "gK": 6 * uS},
    )
    group.v = -60 * mV
    entry = {"inputs": net.inputs(5, 0.03)}
    pre = "ge_post += w*nS"
    net.around(group, pre, pre, weights=(20, 10, 15, 10), entry=entry)


@written(height=30.0, width=20e-3)
def wang_2002(net):
    """NMDA gates of the source, summed over synapses that learn; AMPA by spikes."""
    group = net.neurons(
        """dv/dt = (-(v + 70*mV) - sA*v - sN*v*open)/(20*ms) : volt (unless refractory)
        open = 1/(1 + exp(-0.062*v/mV)/3.57) : 1
        dsA/dt = -sA/(2*ms) : 1
        sN : 1
        ds/dt = -s/(100*ms) + 0.5*x*(1 - s)/ms : 1
        dx/dt = -x/(2*ms) : 1""",
        threshold="v > -50*mV",
        reset="v = -55*mV; x += 1",
        refractory=2 * ms,
        method="rk2",
    )
    group.v = -60 * mV
    net.learning(group, group, None, 0.1, 0.05, model="w : 1\nsN_post = w*s_pre : 1 (summed)")
    net.forward(group, "sA_post += w", 0.3, 0.1)
    net.outputs(group)


@written()
def tsodyks_1998_depression_of_the_source(net):
    """Resources and their use are states of the source, which its spikes change."""
    group = net.neurons(
        LIF + "\ndx/dt = (1 - x)/(30*ms) : 1\ndu/dt = (0.2 - u)/(50*ms) : 1",
        threshold="v > 15*mV",
        reset="v = 0*mV; u += 0.2*(1 - u); x -= u*x",
        method="euler",
    )
    group.x, group.u = 1, 0.2
    loop = {"delay": 2 * ms}
    net.around(group, recurrent="v_post += w*u_pre*x_pre*mV", weights=(4, 3, 20, 20), loop=loop)


@written(orders=())
def tsodyks_1998_event_driven(net):
    """The same in the synapses, where it is worked out when a spike comes."""
    group = net.neurons()
    model = """w : 1
    dx/dt = (1 - x)/(30*ms) : 1 (event-driven)
    du/dt = (0.2 - u)/(50*ms) : 1 (event-driven)"""
    pre = "u += 0.2*(1 - u); v_post += w*u*x*mV; x *= 1 - u"
    synapses = net.forward(group, pre, 15, 8, model=model)
    synapses.x, synapses.u = 1, 0.2
    net.outputs(group)


@written()
def mensi_2012(net):
    """Two currents of adaptation and a threshold that follows the voltage."""
    group = net.neurons(
        """dv/dt = (I + I1 + I2 - v)/(20*ms) : volt
        dI1/dt = -I1/(20*ms) : volt
        dI2/dt = -I2/(100*ms) : volt
        dI/dt = -I/(4*ms) : volt
        dth/dt = 0.1*v/(10*ms) - (th - 15*mV)/(30*ms) : volt""",
        threshold="v > th",
        reset="I1 = 0.3*I1 - 3*mV; I2 -= 1*mV; v = 0*mV; th = clip(th, 12*mV, 1*volt)",
        method="rk2",
    )
    group.th = 15 * mV
    pre = "I_post += w*mV"
    net.around(group, pre, pre, weights=(14, 7, 1, 3))


@written(width=8e-3)
def two_compartments(net):
    """Soma and dendrite; a weight that acts on both."""
    group = net.neurons(
        """dvs/dt = (-vs + 0.6*(vd - vs))/(10*ms) : volt
        dvd/dt = (-vd + 0.3*(vs - vd) + g*(40*mV - vd))/(20*ms) : volt
        dg/dt = -g/(5*ms) : 1""",
        n=4,
        threshold="vs > 6*mV",
        reset="vs = 0*mV; vd -= 2*mV",
        method="rk4",
    )
    both = "g_post += w; vs_post += 0.5*w*mV"
    net.around(group, "g_post += w", both, weights=(0.4, 0.3, 0.1, 0.3))


@written()
def bellec_2020_alif(net):
    """A threshold that spikes raise; the reset subtracts it."""
    group = net.neurons(
        "dv/dt = -v/(20*ms) : volt\nda/dt = -a/(200*ms) : volt",
        threshold="v > 15*mV + a",
        reset="v -= 15*mV; a += 1.8*mV",
        refractory=2 * ms,
        method="exact",
    )
    net.around(group, loop={"delay": 1 * ms})


@written(height=0.2e3, width=4e-3, dt=0.1 * ms, steps=300)
def fourcaud_trocme_2003(net):
    """An exponential spike, cut where it is steep."""
    group = net.neurons(
        """dv/dt = (-(v + 65*mV) + spike + I)/(10*ms) : volt (unless refractory)
        spike = 3.5*mV*exp((v + 59.9*mV)/(3.5*mV)) : volt
        dI/dt = -I/(3*ms) : volt""",
        n=4,
        threshold="v > -45*mV",
        reset="v = -68*mV",
        refractory=1.7 * ms,
        method="heun",
    )
    group.v = -65 * mV
    pre = "I_post += w*mV"
    entry = {"inputs": net.inputs(5, 0.05)}
    net.around(group, pre, pre, weights=(10, 5, 1, 3), entry=entry)


@written()
def brunel_2000(net):
    """Delta synapses with a delay; a group of inhibitory neurons beside, which learns, too."""
    group = net.neurons(
        "dv/dt = -v/(20*ms) : volt (unless refractory)",
        n=7,
        threshold="v > 15*mV",
        reset="v = 8*mV",
        refractory=2 * ms,
        method="exact",
    )
    net.forward(group, mean=3)
    net.learning(group[:5], group, "v_post += w*mV", 1, 0.5, delay=1.5 * ms)
    net.learning(group[5:], group, "v_post -= w*mV", 5, 1, delay=1.5 * ms)
    net.outputs(group)


@written()
def diesmann_1999(net):
    """Currents that rise and fall: α functions."""
    group = net.neurons(
        """dv/dt = (x - v)/(10*ms) : volt (unless refractory)
        dx/dt = (y - x)/(3*ms) : volt
        dy/dt = -y/(3*ms) : volt""",
        threshold="v > 15*mV",
        reset="v = 0*mV",
        refractory=1 * ms,
        method="linear",
    )
    pre = "y_post += w*mV"
    net.around(group, pre, pre, weights=(20, 10, 2, 8))


@written(height=20.0, width=30e-3)
def ermentrout_kopell_1986(net):
    """A quadratic voltage, from reset to threshold through both infinite ends."""
    group = net.neurons(
        "dv/dt = (v**2/(10*mV) + I)/(20*ms) : volt\ndI/dt = (2*mV - I)/(5*ms) : volt",
        threshold="v > 30*mV",
        reset="v = -30*mV",
        method="rk4",
    )
    pre = "I_post += w*mV"
    net.around(group, pre, pre, weights=(20, 10, 0, 8))


@written()
def mihalas_niebur_2009(net):
    """Two currents and a threshold that depends on the voltage."""
    group = net.neurons(
        """dv/dt = (I + I1 + I2 - v)/(20*ms) : volt
        dth/dt = (0.2*v - (th - 15*mV))/(25*ms) : volt
        dI/dt = -I/(5*ms) : volt
        dI1/dt = -I1/(5*ms) : volt
        dI2/dt = -I2/(50*ms) : volt""",
        threshold="v > th",
        reset="I1 = 0.2*I1 + 4*mV; I2 = I2 - 2*mV; v = 1*mV; th = th + 2*mV",
        method="exact",
    )
    group.th = 15 * mV
    pre = "I_post += w*mV"
    net.around(group, pre, pre, weights=(15, 8, 1, 3))


@written()
def zenke_ganguli_2018(net):
    """Currents and voltages that a spike pulls down by its size, and by no more."""
    group = net.neurons(
        "dv/dt = (g - v)/(10*ms) : volt\ndg/dt = -g/(5*ms) : volt",
        threshold="v > 10*mV",
        reset="v -= 10*mV",
        method="exact",
    )
    pre = "g_post += w*mV"
    net.around(group, pre, pre, weights=(15, 8, 1, 4), loop={"connect": {"condition": "i != j"}})


@written(width=20e-3, height=30.0, dt=0.5 * ms, steps=300)
def morris_lecar_1981(net):
    """Two channels; the spike is where the voltage is high, and there is no reset."""
    group = net.neurons(
        """dv/dt = (I - 2*(v + 60*mV) - 4.4*m*(v - 120*mV) - 8*n*(v + 84*mV))/(20*ms) : volt
        m = 0.5*(1 + tanh((v + 1.2*mV)/(18*mV))) : 1
        dn/dt = 0.04*(0.5*(1 + tanh((v - 2*mV)/(30*mV))) - n)*cosh((v - 2*mV)/(60*mV))/ms : 1
        dI/dt = -I/(5*ms) : volt""",
        n=4,
        threshold="v > 0*mV",
        refractory="v > 0*mV",
        method="euler",
    )
    group.v = -60 * mV
    pre = "I_post += w*mV"
    net.around(group, pre, pre, weights=(5, 3, 10, 10))


@written()
def destexhe_1994(net):
    """A kinetic synapse: pulses of transmitter of the source open gates that are summed."""
    group = net.neurons(
        """dv/dt = (-v + 20*mV*total)/(20*ms) : volt
        total : 1
        dr/dt = 0.5*c*(1 - r)/ms - r/(8*ms) : 1
        dc/dt = -c/(1*ms) : 1""",
        threshold="v > 15*mV",
        reset="v = 0*mV; c += 1",
        method="rk2",
    )
    model = "w : 1\ntotal_post = w*r_pre : 1 (summed)"
    net.learning(group, group, None, 0.2, 0.3, model=model)
    net.forward(group)
    net.outputs(group)
