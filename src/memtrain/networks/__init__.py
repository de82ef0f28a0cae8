"""The networks: teacher (encoder, decoder), RNN (input encoder, cell, readout). They know nothing of Lightning."""

from memtrain.networks.causal_transformer import CausalTransformer
from memtrain.networks.channels import Channel, Channels
from memtrain.networks.encoder import InputDescription, InputEncoder, Tokens
from memtrain.networks.heads import Categorical, OutputDescription, OutputHead
from memtrain.networks.interface import Interface
from memtrain.networks.linear_recurrence import LinearRecurrence
from memtrain.networks.options import NetworkOptions
from memtrain.networks.rnn import RNN
from memtrain.networks.sequence_model import SequenceModel, StreamingModel
from memtrain.networks.teacher import Teacher

__all__ = [
    "RNN",
    "Categorical",
    "CausalTransformer",
    "Channel",
    "Channels",
    "InputDescription",
    "InputEncoder",
    "Interface",
    "LinearRecurrence",
    "NetworkOptions",
    "OutputDescription",
    "OutputHead",
    "SequenceModel",
    "StreamingModel",
    "Teacher",
    "Tokens",
]
