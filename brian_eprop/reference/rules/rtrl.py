"""Real-time recurrent learning."""

from collections import deque

import numpy as np

from ..rule import Problem, Rule


def gradient(problem: Problem):
    """Forward accumulation of the influence of every weight on every unit::

        G_k^t = D_k^t G_k^{t−1} + Σ_lag Σ_l R_lk^t (q_l^{t−lag} · G_l^{t−lag}) + δ_kj F_ij^t
        dE/dW_ij = Σ_t Σ_k L_k^t F_κ(q_k · G_k)^t + Σ_t Σ_k ∂E_reg/∂z_k q_k^t · G_k^t

    with G_k^t = dc_k^t/dW_ij of shape (n_states, batch, n_rec, n_pre, n_rec).
    """
    linear = problem.linearization
    n_rec = problem.learning_signal.shape[2]
    units = np.arange(n_rec)
    influence, filtered, spike_history, gradient = {}, {}, {}, {}
    for t in range(problem.n_steps):
        for name, immediate in linear.immediate(t).items():
            n_states, batch, n_pre, _ = immediate.shape
            own = np.zeros((n_states, batch, n_rec, n_pre, n_rec))
            own[:, :, units, :, units] = immediate.transpose(3, 0, 1, 2)
            if t:
                own += np.einsum("srbk,rbkij->sbkij", linear.implicit[t], influence[name])
            history = spike_history.setdefault(name, deque(maxlen=max(linear.explicit)))
            for lag, r in linear.explicit.items():
                if t - lag >= 0:
                    own += np.einsum("sblk,blij->sbkij", r[t], history[-lag])
            influence[name] = own
            of_spike = np.einsum("sbk,sbkij->bkij", linear.readout[t], own)
            history.append(of_spike)
            last = filtered.get(name, 0.0)
            filtered[name] = problem.kappa * last + problem.readout_gain * of_spike
            task = np.einsum("bk,bkij->ij", problem.learning_signal[:, t], filtered[name])
            rate = np.einsum("bk,bkij->ij", problem.rate_signal, of_spike)
            gradient[name] = gradient.get(name, 0.0) + task + rate
    return gradient


RULE = Rule(
    name="rtrl",
    gradient=gradient,
    source="Williams & Zipser 1989, Neural Computation 1(2)",
    exact=True,
    causal=True,
)
