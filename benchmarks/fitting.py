"""An AdEx neuron fitted to a teacher's membrane and spikes, beside brian2modelfitting.

    python benchmarks/fitting.py
    python benchmarks/fitting.py --seeds 1 2 3 4 5 --iterations 130
    python benchmarks/fitting.py --peer                  # where brian2modelfitting is installed

Seven parameters and two trials of 500 ms, the model reset by the recorded spikes, as in
``examples/plot_fit_adex.py``. The program that is asked for runs alone; currents and the teacher
are drawn anew for each seed, the same for both. An evaluation is one run of the model with one set
of values over all trials. Seconds are those of the processor, of this process and of the programs
that it starts, compilation among them; the error is the mean over the parameters of the distance to
the true value, in widths of the bounds. The last line is JSON.
"""

import argparse
import json
import resource

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    SpikeMonitor,
    StateMonitor,
    TimedArray,
    amp,
    defaultclock,
    device,
    farad,
    ms,
    mV,
    nS,
    pA,
    pF,
    prefs,
    second,
    set_device,
    siemens,
    volt,
)
from machine import described

TRIAL, STEPS = 500 * ms, 5000
#: Name → unit, true value, bounds.
PARAMETERS = {
    "C_m": (farad, 281 * pF, 100 * pF, 500 * pF),
    "g_L": (siemens, 30 * nS, 10 * nS, 60 * nS),
    "E_L": (volt, -70.6 * mV, -80 * mV, -60 * mV),
    "V_T": (volt, -50.4 * mV, -55 * mV, -45 * mV),
    "a": (siemens, 4 * nS, 0 * nS, 10 * nS),
    "b": (amp, 80.5 * pA, 0 * pA, 200 * pA),
    "tau_w": (second, 144 * ms, 50 * ms, 300 * ms),
}
CURRENTS = "(g_L*(E_L - v) + g_L*2*mV*exp((v - V_T)/(2*mV)) - u + {current})/C_m"
ADAPTATION = "(a*(v - E_L) - u)/tau_w"
DECLARED = "".join(f"\n{name} : {unit[0]!r} (constant)" for name, unit in PARAMETERS.items())


def model(current, fired=None):
    """Equations of the free model, or of the one that recorded spikes reset."""
    membrane, adaptation = CURRENTS.format(current=current), ADAPTATION
    if fired is not None:
        membrane = f"(1 - {fired})*{membrane} + {fired}*(-65*mV - v)/dt"
        adaptation = f"{adaptation} + {fired}*b/dt"
    return f"dv/dt = {membrane} : volt\ndu/dt = {adaptation} : amp"


def recorded(seed):
    """Currents, membranes at the end of steps, and spikes of two trials : (2, steps) arrays, SI."""
    rng = np.random.default_rng(seed)
    injected = np.repeat(rng.normal([700, 800], 400, (STEPS // 50, 2)), 50, axis=0) * 1e-12
    names = {"current": TimedArray(injected * amp, dt=defaultclock.dt)}
    group = NeuronGroup(
        2,
        model("current(t, i)") + DECLARED,
        threshold="v > -40*mV",
        reset="v = -65*mV; u += b",
        method="euler",
        namespace=names,
    )
    for name, (_, true, *_bounds) in PARAMETERS.items():
        setattr(group, name, true)
    group.v = -70.6 * mV
    membrane, spikes = StateMonitor(group, "v", record=True, when="end"), SpikeMonitor(group)
    Network(group, membrane, spikes).run(TRIAL)
    fired = np.zeros((2, STEPS))
    fired[spikes.i, np.round(spikes.t / defaultclock.dt).astype(int)] = 1
    return injected.T, np.array(membrane.v), fired


def by_gradient(injected, membrane, fired, seed, iterations, starts):
    """This package: (values by name, evaluations)."""
    import brian_eprop as be

    dt = defaultclock.dt
    names = {
        "current": TimedArray(injected.reshape(-1, 1) * amp, dt=dt),
        "fired": be.recorded_signals(list(fired), TRIAL, dt),
    }
    v_data = be.recorded_signals(list(membrane * volt), TRIAL, dt)
    be.fast_build()
    set_device("cpp_standalone", directory=None, build_on_run=False)
    group = NeuronGroup(
        1,
        model("current(t, i)", "fired(t, i)") + DECLARED,
        threshold="v > -40*mV",
        reset="v = -40*mV",
        method="euler",
        namespace=names,
        name="neuron",
    )
    group.v = -70.6 * mV
    for name, (_, _, low, high) in PARAMETERS.items():
        setattr(group, name, (low + high) / 2)
    rule = be.EProp(surrogate=be.PiecewiseLinear(0.03 / mV, 10 * mV), reset_path={"v": "detached"})
    learner = be.Learner(
        rule=rule,
        losses=[be.Loss(group, "(v - v_data(t, i))**2/mV**2/5000", namespace={"v_data": v_data})],
        optimizer=be.Adam(be.CosineDecay(0.1, 0.001, iterations)),
        update_every=2 * TRIAL,
        reset_every=TRIAL,
        trainable={
            name: be.ParameterTraining(bounds=(low, high), scale=(high - low) / 2)
            for name, (_, _, low, high) in PARAMETERS.items()
        },
    )
    options = {"iterations": iterations, "starts": starts, "seed": seed, "progress": False}
    found = be.fit(learner, Network(group), **options)
    device.reinit()
    set_device("runtime")
    values = {name: float(found.parameters[f"neuron.{name}"][0]) for name in PARAMETERS}
    return values, found.evaluations


def by_evolution(injected, membrane, fired, seed, rounds, samples):
    """brian2modelfitting with differential evolution: (values by name, evaluations)."""
    from brian2modelfitting import MSEMetric, NevergradOptimizer, TraceFitter

    # Names in equations are looked up here.
    spiked = TimedArray(fired.T, dt=defaultclock.dt)
    assert len(spiked.values) == STEPS
    np.random.seed(seed)  # noqa: NPY002, what it draws from
    fitter = TraceFitter(
        dt=defaultclock.dt,
        model=model("current", "spiked(t, i % 2)") + DECLARED,
        input_var="current",
        input=injected * amp,
        output_var="v",
        # Its monitor reads the begin of a step, which is the end of the one before.
        output=np.roll(membrane, 1, axis=1) * volt,
        n_samples=samples,
        threshold="v > -40*mV",
        reset="v = -40*mV",
        method="euler",
        param_init={"v": -70.6 * mV},
    )
    bounds = {name: [low, high] for name, (_, _, low, high) in PARAMETERS.items()}
    found, _ = fitter.fit(
        n_rounds=rounds,
        optimizer=NevergradOptimizer(method="DE"),
        metric=MSEMetric(t_start=1 * ms),
        callback=None,
        **bounds,
    )
    return {name: float(found[name]) for name in PARAMETERS}, rounds * samples


def processor_seconds():
    """Of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main():
    """Fit for each seed, and print a line for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--iterations", type=int, default=130)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--samples", type=int, default=60)
    asked = parser.parse_args()
    prefs.codegen.target = "numpy"
    defaultclock.dt = 0.1 * ms
    results = []
    for seed in asked.seeds:
        data, began = recorded(seed), processor_seconds()
        if asked.peer:
            values, runs = by_evolution(*data, seed, asked.rounds, asked.samples)
        else:
            values, runs = by_gradient(*data, seed, asked.iterations, asked.starts)
        seconds = processor_seconds() - began
        errors = {
            name: abs(values[name] - float(true)) / float(high - low)
            for name, (_, true, low, high) in PARAMETERS.items()
        }
        error = float(np.mean(list(errors.values())))
        print(f"seed {seed}: {runs} evaluations, {seconds:.1f} s, error {error:.2%}")
        results.append({"seed": seed, "evaluations": runs, "seconds": seconds, "errors": errors})
    packages = ["brian2", "numpy", "brian2modelfitting" if asked.peer else "brian_eprop"]
    print(json.dumps({"machine": described(*packages), "results": results}))


if __name__ == "__main__":
    main()
