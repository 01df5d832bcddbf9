"""Neuron models and synapses on arrays: what steps populations, whatever the backend."""

from spikeflow.kernels.backends import backends, register
from spikeflow.kernels.connect import build, check
from spikeflow.kernels.connect_fields import Connect, Delay, Layout, Weights
from spikeflow.kernels.model import NeuronModel
from spikeflow.kernels.network import Columns, Events, Group, Network, Projection, Result, Train
from spikeflow.kernels.synapses import Synapses

__all__ = [
    "Columns",
    "Connect",
    "Delay",
    "Events",
    "Group",
    "Layout",
    "Network",
    "NeuronModel",
    "Projection",
    "Result",
    "Synapses",
    "Train",
    "Weights",
    "backends",
    "build",
    "check",
    "register",
]
