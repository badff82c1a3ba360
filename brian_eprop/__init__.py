"""e-prop and its family for Brian2: traces, learning signals and gradients of spiking networks."""

from . import connectivity, reference, tasks
from .calculus.linearization import Linearization, linearize
from .constraints import Bounds, DaleLaw, DeepR, WeightDecay
from .learner import Learner
from .learning_rates import CosineDecay, StepDecay
from .network import RecurrentNetwork
from .neuron_model import NeuronModel, available_models, load_model
from .optimizers import Adam, GradientDescent
from .parameters import ParameterTraining
from .readout import LeakyReadout
from .reference import Gradients
from .regularizers import FiringRateRegularizer
from .rule import BPTT, EProp
from .surrogates import (
    Arctan,
    Exponential,
    FastSigmoid,
    Formula,
    MultiGaussian,
    PiecewiseLinear,
)
from .synapses import TrainableSynapses

__version__ = "0.1.0"

__all__ = [
    "BPTT",
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
    "Formula",
    "GradientDescent",
    "Gradients",
    "LeakyReadout",
    "Learner",
    "Linearization",
    "MultiGaussian",
    "NeuronModel",
    "ParameterTraining",
    "PiecewiseLinear",
    "RecurrentNetwork",
    "StepDecay",
    "TrainableSynapses",
    "WeightDecay",
    "available_models",
    "connectivity",
    "linearize",
    "load_model",
    "reference",
    "tasks",
]
