"""A network as a module of PyTorch: forward is Brian2, backward is the network's own gradients."""

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
    are spikes, and second derivatives do not exist here: asking for them is an error.
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
        self._given = {}
        self._share()

    def extra_repr(self):
        return repr(self.network)

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
            For inputs on another device or with a gradient, for a module that was moved or has
            another dtype, and for a network that has been trained outside of torch.
        """
        if not isinstance(inputs, torch.Tensor):
            raise TypeError(
                f"the inputs of a network are a {type(inputs).__name__}; give torch.from_numpy(...)"
            )
        _check_place("inputs", inputs)
        if inputs.requires_grad:
            raise ValueError(
                "inputs have a gradient, but the network takes spikes, which have no derivative "
                "here: detach them, inputs.detach(); layers that learn go after the readout"
            )
        self._share()
        return _Trials.apply(self, inputs.numpy(), *(p for _, p in self._values()))

    def _values(self):
        """Name and tensor of all that is trained, in the order of the arguments of _Trials."""
        return [*self._parameters.items()]

    def _share(self):
        """Let the network compute with what the module has now, in the same memory."""
        d = self._driven.description
        for name, tensor in [*self._values(), *self._buffers.items()]:
            _check_place(name, tensor)
            if tensor.dtype != DTYPE:
                raise TypeError(
                    f"'{name}' of the module is {tensor.dtype}, but Brian2's numbers are float64; "
                    "call module.double()"
                )
            matrix = name in self._driven.description.shapes
            held = self.network.weights if matrix else self.network.parameters
            values = tensor.detach().numpy()
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


def _check_place(name, tensor):
    """Raise an error for a tensor that Brian2 cannot read."""
    if tensor.device.type != "cpu":
        raise ValueError(
            f"'{name}' is on the device '{tensor.device}', but Brian2 computes on the CPU; call "
            ".cpu() of the tensor or the module"
        )


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
