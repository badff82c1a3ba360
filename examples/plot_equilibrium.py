"""
Learning at a fixed point
=========================

A rate network with a constant input settles, and its output is read when it has. Two rules of
the reference give the gradient of the cost at the fixed point without storing how the network got
there: recurrent backpropagation (Almeida 1987, Pineda 1987) lets a second network with the
transposed weights settle, equilibrium propagation (Scellier & Bengio 2017, Front. Comput.
Neurosci. 11:24) lets the same network settle once more, nudged towards the target.
"""

import matplotlib.pyplot as plt
import numpy as np
from attrs import evolve

from brian_eprop.plotting import plot_learning_curve
from brian_eprop.reference.equilibrium import (
    ConvergentNetwork,
    equilibrium_propagation,
    fixed_point,
    fixed_point_gradient,
    recurrent_backpropagation,
)

rng = np.random.default_rng(1)
n_in, n, n_out = 4, 20, 2

# %%
# The task is the response of another network of the same kind to 30 inputs. The weights are
# symmetric, as equilibrium propagation demands; the eigenvalues of w_rec are below 1.


def random_network():
    w_rec = rng.standard_normal((n, n)) / np.sqrt(8 * n)
    return ConvergentNetwork(
        w_in=rng.standard_normal((n_in, n)) / np.sqrt(n_in),
        w_rec=w_rec + w_rec.T,
        bias=0.5 * rng.standard_normal(n),
        n_out=n_out,
    )


teacher, student = random_network(), random_network()
inputs = rng.standard_normal((30, n_in))
targets = fixed_point(teacher, inputs).x[:, -n_out:]

# %%
# Gradient descent with both rules, from the same start. Equilibrium propagation keeps the weights
# symmetric: its gradient is that of w_rec[i,j] = w_rec[j,i]. With recurrent backpropagation the
# two go apart.


def learn(network, rule, learning_rate=0.2, iterations=150):
    history = []
    for iteration in range(iterations):
        gradient = rule(network, inputs, targets)
        history.append({"iteration": iteration, "loss": gradient.loss})
        weights = {
            name: getattr(network, name) - learning_rate * getattr(gradient, name)
            for name in ("w_in", "w_rec", "bias")
        }
        network = evolve(network, **weights)
    return network, history


backpropagated, backpropagation_history = learn(student, recurrent_backpropagation)
propagated, propagation_history = learn(student, equilibrium_propagation)
for name, network, history in (
    ("recurrent backpropagation", backpropagated, backpropagation_history),
    ("equilibrium propagation", propagated, propagation_history),
):
    asymmetry = np.abs(network.w_rec - network.w_rec.T).max()
    print(
        f"{name}: loss {history[0]['loss']:.3f} → {history[-1]['loss']:.1e}, "
        f"largest |w_ij - w_ji| {asymmetry:.2g}"
    )

# %%
# The gradient of equilibrium propagation is a finite difference in the nudging β. One nudged phase
# has an error proportional to β, two of opposite sign one proportional to β², until the
# tolerance to which the network has settled, divided by β, is larger. The exact gradient is that
# of the implicit function theorem, its w_rec summed over the two directions of a connection.

exact = fixed_point_gradient(student, inputs, targets).w_rec
exact = exact + exact.T - np.diag(np.diag(exact))
nudgings = np.logspace(-6, 0, 19)


def relative_error(nudging, symmetric):
    found = equilibrium_propagation(student, inputs, targets, nudging=nudging, symmetric=symmetric)
    return np.linalg.norm(found.w_rec - exact) / np.linalg.norm(exact)


one_sided, symmetric = (
    np.array([relative_error(nudging, symmetric) for nudging in nudgings])
    for symmetric in (False, True)
)

# %%
# Learning curves, and the error of the gradient of equilibrium propagation.

blue, vermillion = "#0072B2", "#D55E00"
figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3), layout="constrained")
plot_learning_curve(backpropagation_history, color=blue, ax=left)
plot_learning_curve(propagation_history, color=vermillion, linestyle="--", ax=left)
left.legend(
    left.get_lines(), ["recurrent backpropagation", "equilibrium propagation"], frameon=False
)
right.loglog(nudgings, one_sided, "o-", color=blue, markersize=3, label="one nudged phase")
right.loglog(nudgings, symmetric, "s--", color=vermillion, markersize=3, label="two, ±β")
right.set_xlabel("Nudging β")
right.set_ylabel("Relative error of the gradient")
right.spines[["top", "right"]].set_visible(False)
right.legend(frameon=False)
figure.savefig("equilibrium.png", dpi=150)
plt.show()
