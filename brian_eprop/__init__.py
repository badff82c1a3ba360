"""e-prop and its family for Brian2: traces, learning signals and gradients of spiking networks."""

from . import reference, tasks
from .brian.fast_build import fast_build
from .calculus.linearization import Linearization
from .calculus.linearize import linearize
from .learning.learner import Learner
from .learning.losses import FiringRateRegularizer
from .learning.neuron_losses import Loss
from .learning.optimizers import Adam, CosineDecay, GradientDescent, StepDecay
from .learning.parameters import ParameterTraining
from .learning.readout import LeakyReadout
from .learning.recordings import recorded_signals, recorded_spikes
from .learning.rule import BPTT, EProp, Rule
from .learning.rules import MDGL, OSTL, OTTT, RFLO, SuperSpike
from .learning.signals import Signal
from .learning.synapses import TrainableSynapses
from .learning.trace_filters import TraceFilter
from .network import RecurrentNetwork, connectivity
from .network.constraints import Bounds, DaleLaw, DeepR, WeightDecay
from .network.fitting import FitResult, fit
from .network.nir_export import to_nir
from .network.nir_import import from_nir
from .neurons.neuron_model import NeuronModel, available_models, load_model
from .neurons.surrogates import (
    Arctan,
    Exponential,
    FastSigmoid,
    Formula,
    MultiGaussian,
    PiecewiseLinear,
)
from .reference import Gradients

__all__ = [
    "BPTT",
    "MDGL",
    "OSTL",
    "OTTT",
    "RFLO",
    "Adam",
    "Arctan",
    "Bounds",
    "CosineDecay",
    "DaleLaw",
    "DeepR",
    "EProp",
    "Exponential",
    "FastSigmoid",
    "FiringRateRegularizer",
    "FitResult",
    "Formula",
    "GradientDescent",
    "Gradients",
    "LeakyReadout",
    "Learner",
    "Linearization",
    "Loss",
    "MultiGaussian",
    "NeuronModel",
    "ParameterTraining",
    "PiecewiseLinear",
    "RecurrentNetwork",
    "Rule",
    "Signal",
    "StepDecay",
    "SuperSpike",
    "TraceFilter",
    "TrainableSynapses",
    "WeightDecay",
    "available_models",
    "connectivity",
    "fast_build",
    "fit",
    "from_nir",
    "linearize",
    "load_model",
    "recorded_signals",
    "recorded_spikes",
    "reference",
    "tasks",
    "to_nir",
]

__version__ = "0.1.0"
