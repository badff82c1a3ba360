"""Neuron models as data: equations, threshold, reset and surrogate of one neuron type."""

import operator
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import evolve, field, fields, frozen
from brian2 import Equations, NeuronGroup, Quantity, get_dimensions

from ..checks import MOST, FilePath, ResetPath, check_own_clock, suggest, unit_name
from ..quantities import quantity
from .model_checks import (
    GROUP_KEYWORDS,
    ModelError,
    check_kinds,
    check_method,
    check_value,
    names_used,
    threshold_distance,
    unused_parameters,
    validate,
)
from .surrogates import SURROGATES, KnownSurrogate


@frozen
class NeuronModel:
    """One neuron type: what :class:`brian2.NeuronGroup` needs, and how to differentiate it.

    Parameters
    ----------
    name : str
        Its name.
    equations : str
        Brian2 equations of the state variables, without the parameters.
    threshold : str
        One comparison, such as ``'v > v_th'``: its two sides define the distance to the
        threshold, of which the surrogate is a function.
    reset : str
        Brian2 statements; may be empty.
    method : str
        Brian2's integration method.
    parameters : mapping of str to Quantity, float or str
        Default values; text such as ``'20*ms'`` is converted.
    on_pre : str
        What a spike that arrives in Brian2's slot 'synapses' (after the threshold, as
        from a recurrent synapse) does; the weight is `w`.
    surrogate : object of `brian_eprop.neurons.surrogates`
        Pseudo-derivative, in the names of the group.
    refractory : str, optional
        Brian2 expression, a duration or a condition. A duration of zero is none at all.
    on_input : str, optional
        What a spike that arrives between state update and threshold does. Default `on_pre`.
    weight_unit : str, default '1'
        Unit of `w`.
    initial : mapping of str to str, optional
        Initial values of state variables as Brian2 expressions. Default 0.
    reset_path : mapping of str to {'implicit', 'explicit', 'detached'}, optional
        How the path spike → variable of each variable that the reset changes is
        differentiated: as part of the local trace, as a self-connection that counts as a
        hop, or never. Variables that are not named are implicit.
    description, reference : str, optional
        Prose; paper and equations.

    Raises
    ------
    ModelError
        Something does not parse, has the wrong unit, is unknown or is reserved.

    Examples
    --------
    >>> from brian2 import ms
    >>> from brian_eprop import load_model
    >>> group = load_model("alif").group(100, tau_m=30*ms)
    >>> group.neuron_model.name
    'alif'
    """

    name: str
    equations: str
    threshold: str
    reset: str
    method: str
    parameters: Mapping[str, Quantity]
    on_pre: str
    surrogate: KnownSurrogate
    refractory: str | None = None
    on_input: str | None = None
    weight_unit: str = "1"
    initial: Mapping[str, str] = field(factory=dict)
    reset_path: Mapping[str, ResetPath] = field(factory=dict)
    description: str = ""
    reference: str = ""

    def __attrs_post_init__(self):
        assign = object.__setattr__  # the class is frozen
        try:
            check_kinds(attrs.asdict(self, recurse=False))
            if self.on_input is None:
                assign(self, "on_input", self.on_pre)
            assign(self, "initial", {name: str(code) for name, code in self.initial.items()})
            assign(self, "parameters", {k: _parse(k, v) for k, v in self.parameters.items()})
            validate(self)
        except ModelError as error:
            raise ModelError(f"neuron model '{self.name}': {error}") from None

    @property
    def distance(self) -> str:
        """Brian2 expression of the distance to the threshold, positive above it."""
        return threshold_distance(self.threshold)

    def group(
        self, N: int, *, surrogate: KnownSurrogate | None = None, **overrides: Any
    ) -> NeuronGroup:
        """Create an ordinary NeuronGroup of `N` neurons.

        Parameters
        ----------
        N : int
            Number of neurons.
        surrogate : object of `brian_eprop.neurons.surrogates`, optional
            Pseudo-derivative instead of the model's.
        **overrides
            Values of parameters: one number, quantity or text such as ``'20*ms'`` for all
            neurons (the parameter is then shared), or an array of length `N`. Also
            `clock`, `codeobj_class`, `dt`, `dtype`, `method`, `method_options`, `name` and
            `order` of :class:`brian2.NeuronGroup`.

        Returns
        -------
        brian2.NeuronGroup
            Its attribute `neuron_model` is this model, with the surrogate that was given.
            The values of the parameters are the group's variables.

        Raises
        ------
        ModelError
            `N` is not a positive integer, a parameter does not exist, or a value has the
            wrong unit or length, is not finite, or is a negative time.
        """
        model = self if surrogate is None else evolve(self, surrogate=surrogate)
        keywords = {"method": self.method}
        keywords |= {key: overrides.pop(key) for key in GROUP_KEYWORDS & set(overrides)}
        check_method(keywords["method"], f"'{self.name}'.group: ")
        check_own_clock(f"'{self.name}'.group", keywords)
        values = self.values(N, **overrides)
        lines = []
        for name, value in values.items():
            flags = "constant" if np.ndim(value) else "shared, constant"
            lines.append(f"{name} : {unit_name(get_dimensions(value))} ({flags})")
        group = NeuronGroup(
            N,
            "\n".join([self.equations, *lines]),
            threshold=self.threshold,
            # Brian2 would compile an empty reset
            reset=self.reset or None,
            refractory=self.refractory or False,
            # everything is in the model: nothing of the caller's may leak in
            namespace={},
            **keywords,
        )
        for name, value in {**values, **self.initial}.items():
            setattr(group, name, value)
        group.add_attribute("neuron_model")
        group.neuron_model = model
        return group

    def values(self, N: int, **overrides: Any) -> dict[str, Quantity]:
        """The parameters of `N` neurons.

        Parameters
        ----------
        N : int
            Number of neurons.
        **overrides
            Values of parameters, as for :meth:`group`.

        Returns
        -------
        dict of str to Quantity
            All parameters: one value for all neurons, or an array of length `N`.

        Raises
        ------
        ModelError
            As for :meth:`group`.
        """
        try:
            size = operator.index(N)
        except TypeError:
            size = 0
        if not 1 <= size <= MOST:
            raise ModelError(
                f"'{self.name}'.group: 'N' = {N!r} is no number of neurons; give an integer >= 1 "
                f"and at most {MOST}"
            )
        return dict(self.parameters) | {
            name: self._override(name, value, size) for name, value in overrides.items()
        }

    def _override(self, name, value, size):
        where = f"'{self.name}'.group: '{name}' = {value!r}"
        if name not in self.parameters:
            if name in Equations(self.equations).names:
                raise ModelError(
                    f"{where}: a variable, not a parameter; set it afterwards: group.{name} = ..."
                )
            hint = suggest(name, [*self.parameters, *GROUP_KEYWORDS, "surrogate"])
            raise ModelError(
                f"{where}: no such parameter{hint}; there are {', '.join(self.parameters)}"
            )
        try:
            value = quantity(value)
            check_value(value, time_may_be_zero=name not in names_used(self))
        except (ValueError, TypeError) as error:
            raise ModelError(f"{where}: {error}") from None
        expected = get_dimensions(self.parameters[name])
        if get_dimensions(value) is not expected:
            given, wanted = unit_name(get_dimensions(value)), unit_name(expected)
            raise ModelError(
                f"{where}: the unit is {given} but must be {wanted}; give e.g. "
                f"{self.parameters[name]!r}"
            )
        if np.ndim(value) and np.shape(value) != (size,):
            raise ModelError(
                f"{where}: the shape is {np.shape(value)}; give one value or {size}, one a neuron"
            )
        return value


def _parse(name, value):
    try:
        return quantity(value)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"'parameters.{name}' = {value!r}: {error}; give a number or a quantity such as '20*ms'"
        ) from None


def available_models() -> list[str]:
    """Names of the models that come with the package, sorted."""
    models = _folder().iterdir()
    return sorted(path.name.removesuffix(".toml") for path in models if path.suffix == ".toml")


def _folder():
    """Where the models are: inside the package or, in a source tree, beside it."""
    try:
        return files("brian_eprop.models")
    except ModuleNotFoundError:
        # A script in a clone imports the clone, also where the package is installed elsewhere.
        return Path(__file__).parent.parent.parent / "models"


def load_model(name_or_path: FilePath) -> NeuronModel:
    """Read a neuron model.

    Parameters
    ----------
    name_or_path : str or pathlib.Path
        One of :func:`available_models`, or the path of a file that ends in ``.toml``.

    Returns
    -------
    NeuronModel

    Raises
    ------
    ModelError
        There is no such model or file, or it is not valid; the message names the file, the
        key, the value and the remedy.
    """
    name = str(name_or_path)
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(available_models())
        raise ModelError(
            f"no neuron model '{name}'{suggest(name, available_models())}; there are {known}, "
            "or give the path of your own '.toml' file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        model = _from_table(tomllib.loads(text))
        for parameter in sorted(unused_parameters(model)):
            raise ModelError(f"'parameters.{parameter}' is never used; remove it or use it")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: this is not TOML: {error}; correct the file") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return model


def _from_table(table):
    _check_keys(table, "", fields(NeuronModel))
    check_kinds(table)
    if not isinstance(table["surrogate"], dict):
        raise ModelError(f"'surrogate' = {table['surrogate']!r} must be a table: write [surrogate]")
    kind = table["surrogate"].get("kind")
    if kind not in SURROGATES:
        hint = suggest(kind, SURROGATES)
        raise ModelError(
            f"'surrogate.kind' = {kind!r}: no such surrogate{hint}; there are "
            f"{', '.join(SURROGATES)}"
        )
    shape = {key: value for key, value in table["surrogate"].items() if key != "kind"}
    _check_keys(shape, "surrogate.", fields(SURROGATES[kind]))
    try:
        surrogate = SURROGATES[kind](**shape)
    except ValueError as error:
        raise ModelError(f"'surrogate': {error}") from None
    return NeuronModel(**table | {"surrogate": surrogate})


def _check_keys(table, prefix, known):
    """Raise ModelError unless the keys are fields of a class, all required ones among them."""
    names = [entry.name for entry in known]
    for key in table:
        if key not in names:
            hint = suggest(key, names) or f"; the keys are {', '.join(names)}"
            raise ModelError(f"unknown key '{prefix}{key}' = {table[key]!r}{hint}")
    for entry in known:
        if entry.default is attrs.NOTHING and entry.name not in table:
            raise ModelError(f"the key '{prefix}{entry.name}' is missing; add it")
