"""A network of Hodgkin–Huxley neurons with the rates of Traub & Miles.

Paper: Traub & Miles 1991, Neuronal Networks of the Hippocampus, Cambridge University Press

Point neurons with the sodium and potassium currents of pyramidal cells, in the form of benchmark
3 of Brette et al. 2007 (J. Comput. Neurosci. 23:349), with excitatory and inhibitory
conductances. All recurrent synapses learn, and an input.
"""

from brian2 import *

from brian_eprop import PiecewiseLinear

DT, DURATION = 0.05 * ms, 50 * ms
SURROGATE = PiecewiseLinear(height=0.3 / (40 * mV), width=40 * mV)

area = 20000 * um**2
C, g_L = 1 * ufarad / cm**2 * area, 5e-5 * siemens / cm**2 * area
g_Na, g_K = 100 * msiemens / cm**2 * area, 30 * msiemens / cm**2 * area
E_L, E_Na, E_K, E_e, E_i = -60 * mV, 50 * mV, -90 * mV, 0 * mV, -80 * mV
V_T, tau_e, tau_i = -63 * mV, 5 * ms, 10 * ms

equations = """
dv/dt = (g_L*(E_L - v) + g_Na*m**3*h*(E_Na - v) + g_K*n**4*(E_K - v)
         + g_e*(E_e - v) + g_i*(E_i - v))/C : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
dg_e/dt = -g_e/tau_e : siemens
dg_i/dt = -g_i/tau_i : siemens
u = (v - V_T)/mV : 1
alpha_m = 0.32*(13 - u)/(exp((13 - u)/4) - 1)/ms : Hz
beta_m = 0.28*(u - 40)/(exp((u - 40)/5) - 1)/ms : Hz
alpha_h = 0.128*exp((17 - u)/18)/ms : Hz
beta_h = 4/(1 + exp((40 - u)/5))/ms : Hz
alpha_n = 0.032*(15 - u)/(exp((15 - u)/5) - 1)/ms : Hz
beta_n = 0.5*exp((10 - u)/40)/ms : Hz
"""


def network(Trained=Synapses):
    neurons = NeuronGroup(
        12, equations, threshold="v > -20*mV", refractory=3 * ms, method="exponential_euler"
    )
    neurons.v = "E_L + 5*mV*(randn() - 1)"
    neurons.g_e = "20*nS + 10*nS*rand()"
    source = PoissonGroup(10, 100 * Hz)
    inputs = Trained(source, neurons, "w : siemens", on_pre="g_e += w")
    inputs.connect(p=0.5)
    inputs.w = "20*nS*rand()"
    from_e = Trained(neurons[:9], neurons, "w : siemens", on_pre="g_e += w")
    from_e.connect(p=0.4)
    from_e.w = 6 * nS
    from_i = Trained(neurons[9:], neurons, "w : siemens", on_pre="g_i += w")
    from_i.connect(p=0.4)
    from_i.w = 67 * nS
    return Network(collect())
