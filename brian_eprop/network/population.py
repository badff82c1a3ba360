"""Populations of a recurrent network: neurons of one model, with their parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from attrs import evolve, field, frozen
from brian2 import Equations

from ..checks import FilePath, entries, in_field, keep, suggest, whole_number
from ..neurons.neuron_model import NeuronModel, load_model

#: What an override may be, besides a parameter.
KEYWORDS = ("surrogate", "method", "method_options")


#: One model for all neurons of a network, or several populations of (model, count, overrides).
Neurons: TypeAlias = (
    FilePath | NeuronModel | Sequence[tuple[FilePath | NeuronModel, int, Mapping[str, Any]]]
)


def _model(name, model):
    return model if isinstance(model, NeuronModel) else load_model(model)


@frozen(eq=False)
class PopulationDescription:
    """Neurons of one model: how many, and which parameters are overridden.

    Parameters
    ----------
    model : str, Path or NeuronModel
    count : int
    overrides : mapping
        Parameters as for :meth:`NeuronModel.group`, and its ``surrogate``, ``method`` and
        ``method_options``.

    Raises
    ------
    ValueError
        For a model, a parameter or a value that does not exist or fit.
    """

    model: NeuronModel = field(validator=in_field(_model)())
    count: int = field()
    overrides: Mapping = field()

    @count.validator
    def _check_count(self, field, count):
        name = f"RecurrentNetwork.neurons: the number of '{self.model.name}'"
        keep(self, field, whole_number(name, count))

    @overrides.validator
    def _check_overrides(self, field, overrides):
        model = self.model
        if not isinstance(overrides, Mapping):
            raise ValueError(
                f"RecurrentNetwork.neurons: the overrides of '{model.name}' are "
                f"{overrides!r}; give a dict of parameters, such as {{'tau_m': 30*ms}}"
            )
        keywords = {key: overrides[key] for key in KEYWORDS if key in overrides}
        parameters = {key: overrides[key] for key in overrides if key not in keywords}
        for name in parameters:
            if name not in model.parameters:
                known = [*model.parameters, *KEYWORDS]
                raise ValueError(
                    f"RecurrentNetwork.neurons: '{model.name}' has no parameter '{name}'"
                    f"{suggest(name, known)}; there are {', '.join(known)}"
                )
        values = model.values(self.count, **parameters)
        checked = keywords | {name: values[name] for name in parameters}
        keep(self, field, MappingProxyType(checked))

    @property
    def parameters(self):
        """All parameters, one value or an array (count,) each : dict of str to Quantity."""
        # checked when the population was made
        return {name: self.overrides.get(name, v) for name, v in self.model.parameters.items()}

    def with_values(self, values):
        """The same neurons with other values of parameters, of which the model may lack some.

        Parameters
        ----------
        values : mapping of str to Quantity
        """
        known = {name: value for name, value in values.items() if name in self.model.parameters}
        return evolve(self, overrides=self.overrides | known)

    def with_own_values(self, names):
        """The same neurons, each with its own value of the parameters that are named."""
        values = {name: self.parameters[name] for name in names if name in self.model.parameters}
        return self.with_values({n: value * np.ones(self.count) for n, value in values.items()})

    def learning_with(self, rule):
        """The model with the surrogate and the reset paths that learning uses.

        Parameters
        ----------
        rule : EProp
            Its ``reset_path`` may name variables of other populations as well.

        Returns
        -------
        NeuronModel
        """
        variables = Equations(self.model.equations).names
        paths = {name: path for name, path in rule.reset_path.items() if name in variables}
        surrogate = rule.surrogate or self.overrides.get("surrogate") or self.model.surrogate
        try:
            return evolve(
                self.model,
                surrogate=surrogate,
                reset_path=dict(self.model.reset_path) | paths,
            )
        except (ValueError, AttributeError) as error:
            raise ValueError(f"RecurrentNetwork: {error}") from error

    def group(self, **as_neuron_group):
        """The NeuronGroup."""
        return self.model.group(self.count, **self.overrides, **as_neuron_group)


def populations(neurons, n_rec):
    """The argument ``neurons`` of :class:`RecurrentNetwork` as PopulationDescriptions.

    Raises
    ------
    ValueError
        If an entry is not (model, count, overrides), or the counts do not add up to n_rec.
    """
    whole_number("RecurrentNetwork.n_rec", n_rec)
    if isinstance(neurons, str | Path | NeuronModel):
        neurons = [(neurons, n_rec, {})]
    descriptions = []
    for entry in entries("RecurrentNetwork.neurons", neurons, "[('lif', 100, {})], or 'lif'"):
        try:
            model, count, overrides = entry
        except (TypeError, ValueError):
            raise ValueError(
                f"RecurrentNetwork.neurons: {entry!r} is not (model, count, overrides), "
                "such as ('lif', 100, {})"
            ) from None
        descriptions.append(PopulationDescription(model, count, overrides))
    total = sum(p.count for p in descriptions)
    if total != n_rec:
        raise ValueError(
            f"RecurrentNetwork.neurons has {total} neurons in all, but n_rec = {n_rec}; make them "
            "agree"
        )
    return tuple(descriptions)
