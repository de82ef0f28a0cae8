"""The networks: teacher (encoder, decoder), RNN (embedding, cell, readout). They know nothing of Lightning."""

from memtrain.networks.options import NetworkOptions
from memtrain.networks.rnn import RNN
from memtrain.networks.teacher import Teacher

__all__ = ["RNN", "NetworkOptions", "Teacher"]
