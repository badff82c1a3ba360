"""Rules that keep a part of e-prop give the same numbers with compiled code."""

import numpy as np
import pytest
from brian2 import Network, NeuronGroup, defaultclock, device, ms, set_device, start_scope
from compiled_programs import compile_some

from brian_eprop import (
    MDGL,
    OSTL,
    OTTT,
    RFLO,
    EProp,
    LeakyReadout,
    Learner,
    PiecewiseLinear,
    SuperSpike,
    TrainableSynapses,
)

pytestmark = pytest.mark.usefixtures("numpy_target")

#: Compilers may contract a*b + c; some tens of steps let a difference of one bit grow.
TOLERANCE = 1e-12
T, N = 40, 5
#: A second state, so that F' has more than a diagonal, and what a spike does to the neuron itself.
EQUATIONS = """
dv/dt = (drive - v - u)/(10*ms) : 1
du/dt = (0.3*v - u)/(20*ms) : 1
drive : 1 (constant)
"""
#: Without u, as OTTT wants it: one trace for each presynaptic neuron.
LEAKY = "dv/dt = (drive - v)/(10*ms) : 1\ndrive : 1 (constant)"


class Networks:
    """Recurrent neurons with a readout for each of some rules, side by side in one network."""

    def __init__(self, *rules):
        start_scope()
        defaultclock.dt = 1 * ms
        rng = np.random.default_rng(1)
        self.network, self.trained, self.cells = Network(), [], []
        for k, rule in enumerate(rules):
            cells = NeuronGroup(
                N,
                LEAKY if isinstance(rule, OTTT) else EQUATIONS,
                threshold="v > 1",
                reset="v -= 1",
                method="euler",
                name=f"cells{k}",
            )
            cells.drive = rng.uniform(1.4, 2.2, N)
            readout = LeakyReadout(
                2, tau=10 * ms, target=rng.normal(size=(T, 2)), name=f"readout{k}"
            )
            learner = Learner(readout, rule, reset_every=T * ms)
            # MDGL must know that there is no delay before a program is built
            w_rec = TrainableSynapses(
                cells,
                cells,
                on_pre="v_post += w",
                learner=learner,
                name=f"rec{k}",
                delay=0 * ms,
            )
            w_out = TrainableSynapses(
                cells, readout, on_pre="y_post += w", learner=learner, name=f"out{k}"
            )
            w_rec.connect("i != j")
            w_out.connect()
            w_rec.w = rng.normal(0.1, 0.3, N * (N - 1))
            w_out.w = rng.normal(size=2 * N)
            self.network.add(cells, readout, w_rec, w_out)
            self.trained.append(w_rec)
            self.cells.append(cells)

    def gradients(self):
        """dE/dW of the recurrent weights by each rule."""
        self.network.run(T * ms)
        return [np.array(S.grad[:]) for S in self.trained]


def agree(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        largest = np.abs(theirs).max()
        assert largest > 0.1
        assert np.abs(ours - theirs).max() < TOLERANCE * largest


PSI = PiecewiseLinear(0.5, 1.0)
#: What is code of its own of each rule, by the ends of names of objects; the rest is e-prop's,
#: which tests/agreement/test_devices.py compiles.
OWN = {
    OSTL(surrogate=PSI): ("readout0_replay",),
    SuperSpike(surrogate=PSI, engine="traces"): ("rec0_traces",),
    RFLO(surrogate=PSI, engine="traces"): ("rec0_traces",),
    OTTT(surrogate=PSI, engine="traces"): ("rec0_traces", "cells0_coefficients_end"),
    MDGL(surrogate=PSI): ("rec0_traces", "slope_0", "M_0_pre", "_modulation"),
}


@pytest.mark.slow
@pytest.mark.cython
@pytest.mark.parametrize("rule", OWN, ids=lambda rule: f"{type(rule).__name__}-{rule.engine}")
def test_rules_with_cython(rule):
    expected = Networks(rule).gradients()
    whole = Networks(EProp(surrogate=PSI, engine=rule.engine)).gradients()
    assert np.abs(whole[0] - expected[0]).max() > 1e-4 or isinstance(rule, RFLO)
    networks = Networks(rule)

    def of_the_rule(obj):
        return obj.name.endswith(OWN[rule])

    compiled, _ = compile_some(networks.network, of_the_rule)
    assert len(compiled) == len(OWN[rule])
    agree(networks.gradients(), expected)


@pytest.mark.slow
@pytest.mark.standalone
def test_rules_in_a_standalone_program(tmp_path):
    """One program of all, each with neurons of its own."""
    traces = {"surrogate": PSI, "engine": "traces"}
    rules = OSTL(surrogate=PSI), *(rule(**traces) for rule in (SuperSpike, RFLO, OTTT, MDGL))
    expected = Networks(*rules).gradients()
    set_device("cpp_standalone", directory=tmp_path / "program", build_on_run=True)
    try:
        agree(Networks(*rules).gradients(), expected)
    finally:
        device.reinit()
        set_device("runtime")
