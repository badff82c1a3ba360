"""A network as a module of PyTorch: forward is Brian2, backward is the network's own gradients."""

import threading

import numpy as np
import torch
from attrs import evolve
from brian2 import Quantity, get_dimensions
from torch.autograd.function import once_differentiable

from .constraining import checked_matrices
from .constraints import MATRICES
from .parameters import checked_parameters
from .structures import values_of, with_values
from .validation import checked_threads

#: Weights and times have the numbers of Brian2.
DTYPE = torch.float64

#: Brian2's device, and the network that it builds, are those of the whole process.
_ONE_AT_A_TIME = threading.RLock()


class NetworkModule(torch.nn.Module):
    r"""A recurrent network whose outputs torch differentiates by the network's rule.

    ::

        y = module(inputs),     dE/dw = Σ_t Σ_k ∂E/∂y_k^t · dy_k^t/dw

    E is anything that torch computes from y, and dy/dw what the rule of the network says: with
    ``order=inf`` the gradient of the loss, with order 1 that of e-prop, whose learning signal is
    B ∂E/∂y with the network's feedback B. The backward pass runs the trials again, with learning.

    Parameters
    ----------
    network : RecurrentNetwork
        Its weights become those of the module, in the same memory: after a step of an optimizer
        of torch the network has them too, to be saved or evaluated.
    threads : int
        See :meth:`RecurrentNetwork.gradients`.

    Attributes
    ----------
    w_in, w_rec, w_out : torch.nn.Parameter
        As ``network.weights``, float64; of a sparse matrix the vector of its entries, row by row.
    tau_m, … : torch.nn.Parameter
        The parameters of the neurons that are trained, in SI units (n_rec,).
    feedback : buffer
        B, if it is not symmetric.

    Raises
    ------
    ValueError
        For a network whose updates are more than a step along the gradient: with adaptive feedback,
        regularizers, constraints or bounds of parameters.

    Notes
    -----
    Shapes are those of the network, (T, n) or (batch, T, n), batch first; outputs are float64, so
    that layers that follow are ``torch.nn.Linear(..., dtype=torch.float64)``. A sum over the
    batch has the gradient summed, a mean the mean. Gradients with respect to the inputs, which
    are spikes, and second derivatives do not exist here: asking for them is an error. Threads
    wait for each other; ``torch.compile`` leaves the module as it is.
    """

    def __init__(self, network, threads):
        super().__init__()
        _check_updates(network.description)
        self.network, self._threads = network, checked_threads(threads)
        d = evolve(network.description, loss="linear", average=False)
        self._driven = type(network).from_description(d)
        for name, matrix in checked_matrices(d, network.weights).items():
            values = torch.from_numpy(np.array(values_of(matrix)))
            if name in MATRICES:
                self.register_parameter(name, torch.nn.Parameter(values))
            else:
                self.register_buffer(name, values)
        for name, values in checked_parameters(d, network.parameters).items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(np.array(values))))
        self._trained, self._fixed = list(self._parameters), list(self._buffers)
        self._given = {}
        self._share()

    def __setstate__(self, state):
        # a copy, or what was in a file: its parts do not share their memory any more
        super().__setstate__(state)
        self._share()

    def extra_repr(self):
        return repr(self.network)

    @torch.compiler.disable
    def forward(self, inputs):
        """Outputs of trials.

        Parameters
        ----------
        inputs : (T, n_in) or (batch, T, n_in) tensor
            Spikes, bool or 0 and 1, on the CPU.

        Returns
        -------
        (T, n_out) or (batch, T, n_out) tensor
            y, float64.

        Raises
        ------
        TypeError, ValueError
            For inputs on another device, of a kind that NumPy has not, or with a gradient, for a
            module that was moved, has another dtype or weights that are computed from others, and
            for a network that has been trained outside of torch.
        RuntimeError
            While torch.jit traces.
        """
        if not isinstance(inputs, torch.Tensor):
            raise TypeError(
                f"the inputs of a network are a {type(inputs).__name__}; give torch.from_numpy(...)"
            )
        if torch.jit.is_tracing():
            raise RuntimeError(
                "a trace of torch.jit would keep the outputs for these inputs as constants; use "
                "the module as it is"
            )
        if inputs.requires_grad:
            raise ValueError(
                "inputs have a gradient, but the network takes spikes, which have no derivative "
                "here: detach them, inputs.detach(); layers that learn go after the readout"
            )
        spikes = _numbers("inputs", inputs)
        with _ONE_AT_A_TIME:
            self._share()
            return _Trials.apply(self, spikes, *(p for _, p in self._values()))

    def _values(self):
        """Name and tensor of all that is trained, in the order of the arguments of _Trials."""
        return [(name, getattr(self, name)) for name in self._trained]

    def _share(self):
        """Let the network compute with what the module has now, in the same memory."""
        d = self._driven.description
        for name, tensor in [*self._values(), *((n, getattr(self, n)) for n in self._fixed)]:
            if name in self._trained and not isinstance(tensor, torch.nn.Parameter):
                raise TypeError(
                    f"'{name}' of the module is no parameter any more, but computed from others, "
                    "which the network would not follow: undo it, by remove_parametrizations or "
                    "prune.remove; synapses that are not there are connectivity={...}"
                )
            values = _numbers(name, tensor)
            if tensor.dtype != DTYPE:
                raise TypeError(
                    f"'{name}' of the module is {tensor.dtype}, but Brian2's numbers are float64; "
                    "call module.double()"
                )
            matrix = name in self._driven.description.shapes
            held = self.network.weights if matrix else self.network.parameters
            if held[name] is not self._given.get(name):
                same = np.array_equal(np.asarray(values_of(held[name])), values, equal_nan=True)
                if not same and self._given:
                    raise ValueError(
                        f"'{name}' of the network is another than that of the module: the network "
                        "was trained or changed on its own; make a new module, net.as_torch()"
                    )
            if matrix:
                shared = with_values(d.connectivity.get(name), values)
                self._driven.weights[name] = shared
            else:
                shared = Quantity(values, dim=get_dimensions(held[name]), copy=False)
                self._driven.parameters[name] = shared
            held[name] = self._given[name] = shared


class _Trials(torch.autograd.Function):
    """Outputs of trials as a function of weights and parameters."""

    @staticmethod
    def forward(ctx, module, inputs, *values):
        found = module._driven.simulate(inputs, module._threads)
        ctx.module, ctx.inputs, ctx.spikes = module, inputs, found.spikes
        ctx.save_for_backward(*values)
        return torch.from_numpy(found.readout)

    @staticmethod
    @once_differentiable
    def backward(ctx, errors):
        ctx.saved_tensors  # noqa: B018  torch complains if one has changed since the forward pass
        module, errors = ctx.module, errors.numpy()
        if not np.isfinite(errors).all():
            raise FloatingPointError(
                "the loss has a gradient with respect to the outputs that is not finite; look at "
                "the loss, or use a smaller learning rate"
            )
        with _ONE_AT_A_TIME:
            sums = module._driven._sums(ctx.inputs, errors, None, module._threads)
        if not np.array_equal(sums["spikes"].reshape(ctx.spikes.shape), ctx.spikes):
            raise RuntimeError(
                "the network fired otherwise in the backward pass than in the forward pass; its "
                "neurons must not draw random numbers, and weights must not change in between"
            )
        found = {name: values_of(sums[name]) for name in MATRICES} | sums["parameters"]
        return (
            None,
            None,
            *(
                torch.from_numpy(np.array(found[name])) if needed else None
                for (name, _), needed in zip(
                    module._values(), ctx.needs_input_grad[2:], strict=True
                )
            ),
        )


def _numbers(name, tensor):
    """The numbers of a tensor, in the same memory; an error if Brian2 cannot read them."""
    if tensor.device.type != "cpu":
        raise ValueError(
            f"'{name}' is on the device '{tensor.device}', but Brian2 computes on the CPU; call "
            ".cpu() of the tensor or the module"
        )
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"'{name}' is no tensor that NumPy can read, which Brian2 does: {error}. Give a dense "
            "one, outside of torch.func, vmap and export, such as x.bool()"
        ) from error


def _check_updates(description):
    """Raise an error for a network that does more at an update than follow the gradient."""
    d = description
    bounded = [name for name, training in d.trainable.items() if training.bounds is not None]
    for name, present, remedy in (
        ("feedback = 'adaptive'", d.feedback == "adaptive", "choose 'symmetric' or 'random'"),
        ("regularizers", d.regularizers, "leave them out, or train with net.fit"),
        ("constraints", d.constraints, "leave them out, or train with net.fit"),
        ("trainable_delays", d.trainable_delays, "leave them out, or train with net.fit"),
        (f"bounds of {bounded}", bounded, "leave them out, and clamp after each step"),
    ):
        if present:
            raise ValueError(
                f"as_torch: the network has {name}, of which an optimizer of torch knows "
                f"nothing; {remedy}"
            )
