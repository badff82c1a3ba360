"""e-prop and BPTT as they are written in JAX: a scan over the steps, differentiated and compiled.

There are three ways to the gradient. Automatic differentiation of the loss with respect to the
weights; for e-prop the gradient is stopped where spikes enter recurrent synapses and the reset.
The same with respect to the drive of every neuron and step, followed by one matrix product, so
that no matrix is added to in every step. And the eligibility traces of every synapse, carried
along. Numbers are float32 unless JAX_ENABLE_X64 is 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import scan, stop_gradient

from peers import Found, trials

__all__ = ["KINDS", "gradient_of", "train"]

BLOCKS = ("w_in", "w_rec", "w_out")


@jax.custom_jvp
def spike(distance, ready, height, width):
    """1 above the threshold, 0 while refractory; differentiated as a triangle."""
    return (ready & (distance > 0)).astype(distance.dtype)


def psi(distance, ready, height, width):
    """The pseudo-derivative of `spike`."""
    return jnp.where(ready, height * jnp.maximum(0, 1 - jnp.abs(distance) / width), 0)


@spike.defjvp
def _(primals, tangents):
    return spike(*primals), psi(*primals) * tangents[0]


def parameters_of(network):
    """Parameters of the neurons of a SpikingNetwork, masks and feedback as JAX's arrays."""
    names = ("alpha", "rho", "beta", "v_th", "surrogate_height", "surrogate_width")
    names += ("rate_target", "rate_strength", "mask_in", "mask_rec", "mask_out")
    p = {name: jnp.asarray(getattr(network, name), dtype=float) for name in names}
    p["n_ref"] = jnp.asarray(network.n_ref, dtype=int)
    p["feedback"] = None if network.feedback is None else jnp.asarray(network.feedback, dtype=float)
    return p


def weights_of(network):
    return {name: jnp.asarray(getattr(network, name), dtype=float) for name in BLOCKS}


def by_step(inputs, targets):
    """Both with time as their first axis, as JAX's arrays."""
    return [jnp.asarray(np.swapaxes(values, 0, 1), dtype=float) for values in (inputs, targets)]


def at_rest(batch, n_rec):
    zero = jnp.zeros((batch, n_rec))
    return zero, zero, zero, jnp.zeros((batch, n_rec), dtype=int)


def moved(p, state, drive, own):
    """Membrane, adaptation, spike and refractory steps left; and what the spike depended on.

    `own` is the neuron's last spike as the reset sees it.
    """
    v, a, z, silent = state
    v = p["alpha"] * v + drive - p["v_th"] * own
    a = p["rho"] * a + z
    silent = jnp.maximum(silent - 1, 0)
    at = v - p["v_th"] - p["beta"] * a, silent == 0, p["surrogate_height"], p["surrogate_width"]
    z = spike(*at)
    return (v, a, z, jnp.where(z > 0, p["n_ref"], silent)), at


def counted(network, steps, window):
    """How much each step counts, (T, 1, 1)."""
    inside = (jnp.arange(steps) >= steps - window).astype(float)[:, None, None]
    return inside / window if network.average else inside


def loss_of(network, window, local):
    """The loss, a function of weights, of what is added to the drive of each neuron, and trials.

    It returns loss + regularization, and (loss, spikes).
    """
    p = parameters_of(network)

    def arriving(z):
        return stop_gradient(z) if local else z

    def loss(weights, added, inputs, targets):
        steps, batch, _ = inputs.shape
        w_in, w_rec, w_out = (weights[b] * p[f"mask{b[1:]}"] for b in BLOCKS)

        def step(state, current):
            heard = arriving(state[2])
            state, _ = moved(p, state, current + heard @ w_rec, heard)
            return state, state[2]

        def read(y, into):
            y = network.kappa * y + network.readout_gain * into
            return y, y

        _, z = scan(step, at_rest(batch, network.n_rec), inputs @ w_in + added)
        into_readout = z @ w_out
        if local and p["feedback"] is not None:
            broadcast = z @ p["feedback"].T
            into_readout = stop_gradient(z) @ w_out + broadcast - stop_gradient(broadcast)
        _, y = scan(read, jnp.zeros_like(targets[0]), into_readout)
        if network.loss == "mse":
            errors = 0.5 * (y - targets) ** 2
        else:
            errors = -targets * jax.nn.log_softmax(y)
        total = jnp.sum(counted(network, steps, window) * errors) / batch
        excess = jnp.mean(z, axis=0) - p["rate_target"]
        penalty = 0.5 * jnp.sum(p["rate_strength"] * excess**2) / batch
        penalty = penalty / window if network.average else penalty
        return total + penalty, (total, z)

    return loss


def by_weights(network, window, local):
    """Automatic differentiation with respect to the weights."""
    differentiated = jax.grad(loss_of(network, window, local), has_aux=True)

    def gradient(weights, inputs, targets):
        found, (loss, z) = differentiated(weights, 0.0, inputs, targets)
        return found, loss, jnp.mean(z)

    return gradient


def by_drive(network, window, local):
    """Differentiation with respect to the drive, then one matrix product over all steps."""
    p, loss_with = parameters_of(network), loss_of(network, window, local)

    def gradient(weights, inputs, targets):
        def loss(w_out, added):
            return loss_with(weights | {"w_out": w_out}, added, inputs, targets)

        drive = jnp.zeros((*inputs.shape[:2], network.n_rec))
        (w_out, drive), (value, z) = jax.grad(loss, (0, 1), has_aux=True)(weights["w_out"], drive)
        before = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1]])
        found = {
            "w_in": jnp.tensordot(inputs, drive, ((0, 1), (0, 1))) * p["mask_in"],
            "w_rec": jnp.tensordot(before, drive, ((0, 1), (0, 1))) * p["mask_rec"],
            "w_out": w_out,
        }
        return found, value, jnp.mean(z)

    return gradient


def by_traces(network, window, local):
    """Eligibility traces of every synapse, advanced in every step."""
    simple = len(np.unique(network.alpha)) == 1 and not np.any(network.rate_strength)
    if not (local and simple and network.loss == "mse" and network.feedback is None):
        raise ValueError(
            "the traces are written for e-prop with one membrane time constant, mse, symmetric "
            "feedback and no regularization"
        )
    p, gain, kappa = parameters_of(network), network.readout_gain, network.kappa

    def gradient(weights, inputs, targets):
        steps, batch, n_in = inputs.shape
        w_out = weights["w_out"]
        mask = jnp.concatenate([p["mask_in"], p["mask_rec"]])
        w = jnp.concatenate([weights["w_in"], weights["w_rec"]]) * mask

        def step(carry, now):
            state, y, z_bar, eps_v, eps_a, e_bar, found, found_out = carry
            x, target, counts = now
            heard = jnp.concatenate([x, state[2]], axis=1)
            state, at = moved(p, state, heard @ w, state[2])
            y = kappa * y + gain * (state[2] @ w_out)
            z_bar = kappa * z_bar + gain * state[2]
            eps_v = p["alpha"][0] * eps_v + heard
            e = psi(*at)[:, None] * (eps_v[:, :, None] - p["beta"] * eps_a)
            eps_a = p["rho"] * eps_a + e
            e_bar = kappa * e_bar + gain * e
            error = counts * (y - target)
            found = found + jnp.einsum("bj,bij->ij", error @ w_out.T, e_bar)
            found_out = found_out + z_bar.T @ error
            carry = state, y, z_bar, eps_v, eps_a, e_bar, found, found_out
            return carry, (jnp.sum(counts * 0.5 * (y - target) ** 2), jnp.mean(state[2]))

        of_synapses = jnp.zeros((batch, *w.shape))
        start = (
            at_rest(batch, network.n_rec),
            jnp.zeros_like(targets[0]),
            jnp.zeros((batch, network.n_rec)),
            jnp.zeros((batch, len(w))),
            of_synapses,
            of_synapses,
            jnp.zeros_like(w),
            jnp.zeros_like(w_out),
        )
        now = inputs, targets, counted(network, steps, window)
        (*_, found, found_out), (losses, rates) = scan(step, start, now)
        w_in, w_rec = jnp.split(found * mask / batch, [n_in])
        found = {"w_in": w_in, "w_rec": w_rec, "w_out": found_out / batch}
        return found, jnp.sum(losses) / batch, jnp.mean(rates)

    return gradient


#: How each is differentiated, and whether the gradient stops between neurons.
KINDS = {
    "e-prop": (by_weights, True),
    "e-prop by drive": (by_drive, True),
    "e-prop traces": (by_traces, True),
    "bptt": (by_weights, False),
    "bptt by drive": (by_drive, False),
}


def gradient_of(network, inputs, targets, window, kind):
    """A call that computes the gradient.

    Parameters
    ----------
    network : brian_eprop.reference.SpikingNetwork
        Or any object with its attributes.
    inputs : (batch, T, n_in) bool ndarray
    targets : (batch, T, n_out) ndarray
    window : int
        Number of last steps that count.
    kind : str
        A key of `KINDS`.

    Returns
    -------
    callable
        Without arguments; returns `Found` when all of it has been computed.
    """
    make, local = KINDS[kind]
    arrays = weights_of(network), *by_step(inputs, targets)
    compiled = jax.jit(make(network, window, local))
    return lambda: Found(*jax.block_until_ready(compiled(*arrays)))


def train(network, task, batch, iterations, kind):
    """Train on a task with Adam.

    Parameters
    ----------
    network : RecurrentNetwork
        With the optimizer Adam.
    task : object
        See `brian_eprop.tasks`.
    batch, iterations : int
    kind : str
        A key of `KINDS`.

    Yields
    ------
    loss, rate, simulation_seconds, program_seconds
        After each iteration, that before its update; None for what is not known.
    """
    reference, adam = network.reference_network(), network.optimizer
    make, local = KINDS[kind]
    gradient = make(reference, getattr(task, "learning_window", task.steps), local)

    def moved_by(w, g, m, s, k):
        m = adam.beta_1 * m + (1 - adam.beta_1) * g
        s = adam.beta_2 * s + (1 - adam.beta_2) * g**2
        size = jnp.sqrt(1 - adam.beta_2**k) / (1 - adam.beta_1**k)
        return w - adam.learning_rate * size * m / (jnp.sqrt(s) + adam.epsilon), m, s

    @jax.jit
    def updated(weights, moments, k, inputs, targets):
        found, loss, rate = gradient(weights, inputs, targets)
        new = {b: moved_by(weights[b], found[b], *moments[b], k) for b in BLOCKS}
        moments = {b: values[1:] for b, values in new.items()}
        return {b: values[0] for b, values in new.items()}, moments, loss, rate

    weights = weights_of(reference)
    moments = {b: (jnp.zeros_like(w), jnp.zeros_like(w)) for b, w in weights.items()}
    for k in range(iterations):
        given = by_step(*trials(task, batch, k))
        weights, moments, loss, rate = updated(weights, moments, k + 1, *given)
        yield float(loss), float(rate), None, 0.0
