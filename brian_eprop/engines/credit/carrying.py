"""What earlier arrivals have left behind when a window begins within a trial.

Such a window also owes credit to the arrivals before it. Their effect is in the eligibility
vector at the beginning of the window, s, and in the filtered trace before it, ē:

    grad ← grad + λ·s + κ ℓ ē          ℓ_j^t = g Σ_{t'≥t} κ^{t'−t} L_j^{t'} of this window
    s ← V s + …                        V: product of A over the window, one adjoint per state
    ē ← κ^T ē + v·s + …                v: the adjoint of Σ_t κ^{T−1−t} c·s^t

so that synapses move on once per window and not once per step.
"""

from ... import schedule
from ...names import internal
from ..code import see_target
from ..gated import GatedCode
from ..trials import at_trial_start
from .sweep import row_variable


def carry_on(pathway):
    """Add the code of a projection that is run at the end of each window.

    Parameters
    ----------
    pathway : Pathway
        With its synapses.
    """
    synapses, states, learner = pathway.synapses, pathway.states, pathway.engine.learner
    carried = {f"eps_{s}": f"carry_{s}" for s in states} | pathway.traces
    owed = [f"credit_{s}_post*eps_{s}" for s in states]
    if "e_bar" in pathway.traces:
        owed.append("__kappa*__credit_signal_post*e_bar")
    kept = {"e_bar": "__credit_filter*__kappa*e_bar + ", "__e_sum": "__e_sum + "}
    code = [f"grad += {' + '.join(owed)}"]
    for name, row in carried.items():
        moved = " + ".join(f"{row_variable(row, s)}_post*eps_{s}" for s in states)
        code.append(f"_moved_{row} = {kept.get(name, '')}{moved} + {internal('next', name)}")
    code += [
        f"{name} = _moved_{row}\n{internal('next', name)} = 0" for name, row in carried.items()
    ]
    if "__e_sum" in pathway.traces:
        code.append("grad += __episode_ends*__rate_pressure_post*__e_sum")
        code.append("__e_sum = (1 - __episode_ends)*__e_sum")
    learner.share(synapses, "__credit_filter")
    see_target(synapses, "\n".join(code))
    name = f"{synapses.name}_carry"
    runner = GatedCode(synapses, "\n".join(code), "__window_ends", schedule.CARRY, name)
    synapses.contained_objects.append(runner)
    if learner.trial is not None:
        cleared = "\n".join(f"{name} = 0" for name in carried)
        at_trial_start(synapses, cleared, f"{synapses.name}_trial_start")
