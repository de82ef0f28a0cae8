"""The networks: teacher (encoder, decoder), RNN (input encoder, cell, readout). They know nothing of Lightning."""

from memtrain.networks.causal_transformer import CausalTransformer
from memtrain.networks.channels import Channel, Channels
from memtrain.networks.encoder import InputDescription, InputEncoder, Tokens
from memtrain.networks.heads import (
    Bernoulli,
    Categorical,
    Gaussian,
    Mixture,
    NegativeBinomial,
    NumberHead,
    NumberOutputs,
    OutputDescription,
    OutputHead,
    Quantiles,
    Several,
    StudentT,
)
from memtrain.networks.interface import Interface
from memtrain.networks.linear_autoregression import LinearAutoregression
from memtrain.networks.linear_recurrence import LinearRecurrence
from memtrain.networks.options import NetworkOptions
from memtrain.networks.rnn import RNN
from memtrain.networks.sequence_model import SequenceModel, StreamingModel
from memtrain.networks.teacher import Teacher

__all__ = [
    "RNN",
    "Bernoulli",
    "Categorical",
    "CausalTransformer",
    "Channel",
    "Channels",
    "Gaussian",
    "InputDescription",
    "InputEncoder",
    "Interface",
    "LinearAutoregression",
    "LinearRecurrence",
    "Mixture",
    "NegativeBinomial",
    "NetworkOptions",
    "NumberHead",
    "NumberOutputs",
    "OutputDescription",
    "OutputHead",
    "Quantiles",
    "SequenceModel",
    "Several",
    "StreamingModel",
    "StudentT",
    "Teacher",
    "Tokens",
]
