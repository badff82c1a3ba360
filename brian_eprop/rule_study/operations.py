"""The cost of a rule: floating-point operations that are really done, and numbers held."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager
from math import prod

import attrs
import numpy as np

from ..reference.influence import _counters, note
from ..reference.network import Network
from ..reference.step import Step


@contextmanager
def count():
    """Count the operations on :func:`counted` arrays.

    Yields
    ------
    list of int
        Its sum is the number of operations so far. One multiplication or addition is one; so is
        every other elementwise function. A product of matrices (m, k) and (k, n) has 2mkn.
    """
    counter = []
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters.remove(counter)


class _CountedArray(np.ndarray):
    """An array whose operations are counted; what is computed from it is one too."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = _plain(inputs)
        result = getattr(ufunc, method)(*plain, **_plain(kwargs))
        note(_ufunc_operations(ufunc, method, plain, result))
        return kwargs["out"][0] if "out" in kwargs else _wrap(result)

    def __array_function__(self, function, types, args, kwargs):
        plain = _plain(args)
        result = function(*plain, **_plain(kwargs))
        note(_function_operations(function, plain, result))
        return _wrap(result)


def counted(array):
    """A view of the array whose operations :func:`count` sees."""
    return np.asarray(array).view(_CountedArray)


def _plain(arguments):
    """Arguments of a function of NumPy with the arrays that are not counted in them."""
    if isinstance(arguments, tuple | list):
        return type(arguments)(_plain(x) for x in arguments)
    if isinstance(arguments, dict):
        return {key: _plain(x) for key, x in arguments.items()}
    return arguments.view(np.ndarray) if isinstance(arguments, _CountedArray) else arguments


def _wrap(result):
    if isinstance(result, tuple):
        return tuple(_wrap(x) for x in result)
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        return result.view(_CountedArray)
    return result


def _ufunc_operations(ufunc, method, inputs, result):
    if ufunc is np.matmul:
        return 2 * np.size(result) * np.shape(inputs[0])[-1]
    if method == "reduce":
        return np.size(inputs[0])
    return np.size(result)


def _function_operations(function, args, result):
    """Operations of the functions that rules use; others only move numbers."""
    if function is np.einsum:
        return _einsum_operations(*args)
    if function is np.tensordot:
        shared = np.size(args[0]) * np.size(args[1]) / max(np.size(result), 1)
        return 2 * np.size(result) * np.sqrt(shared)
    if function in (np.sum, np.mean, np.linalg.norm):
        return 2 * np.size(args[0]) if function is np.linalg.norm else np.size(args[0])
    if function in (np.linalg.qr, np.linalg.svd):
        # Golub & Van Loan 2013, §5.2.9 and §8.6: leading terms for an (m, n) matrix, n ≤ m
        *batch, m, n = np.shape(args[0])
        m, n = max(m, n), min(m, n)
        each = 4 * m * n**2 if function is np.linalg.qr else 14 * m * n**2 + 8 * n**3
        return prod(batch) * each
    return 0


def _einsum_operations(subscripts, *operands):
    """Every product of the loop over all indices, as numpy.einsum does without a path."""
    inputs, output = subscripts.replace(" ", "").split("->")
    sizes, rest = {}, ()
    for term, operand in zip(inputs.split(","), operands, strict=True):
        shape = np.shape(operand)
        named = term.replace("...", "")
        sizes |= dict(zip(named, shape, strict=False))
        if "..." in term and len(shape) > len(named):
            rest = shape[len(named) :]
    summed = set(sizes) - set(output)
    return prod(sizes.values()) * prod(rest) * (len(operands) - 1 + bool(summed))


def stored_numbers(recursion):
    """How many numbers a recursion holds, those of the network and its weights left out.

    Views of one array count as often as they show different numbers, but not more than it has.
    """
    weights = {id(_owner(array)) for array in recursion.network.parameters.values()}
    seen, owners = set(), {}

    def visit(value):
        if isinstance(value, np.ndarray):
            owner = _owner(value)
            views = owners.setdefault(id(owner), (owner.size, {}))[1]
            views[value.ctypes.data, value.shape, value.strides] = value.size
        elif id(value) not in seen and not isinstance(value, Network | np.random.Generator):
            seen.add(id(value))
            for part in _parts(value):
                visit(part)

    visit(recursion)
    return sum(
        min(size, sum(views.values()))
        for owner, (size, views) in owners.items()
        if owner not in weights
    )


def _parts(value):
    """What a container or an object holds."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | deque):
        return list(value)
    # a recursion keeps more than the fields that it declares
    if hasattr(value, "__dict__"):
        return list(vars(value).values())
    names = {field.name for field in attrs.fields(type(value))} if attrs.has(type(value)) else set()
    names -= {"network", "recurrent"} if isinstance(value, Step) else set()
    return [getattr(value, name) for name in names]


def _owner(array):
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
