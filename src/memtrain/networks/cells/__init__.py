"""The cells: one-step memory updates `f(m_t, x_{t+1}) -> m_{t+1}`, one file each."""

from memtrain.networks.cells.base import Cell
from memtrain.networks.cells.gru import GRUCell
from memtrain.networks.cells.lstm import LSTMCell
from memtrain.networks.cells.mlp import MLPCell
from memtrain.networks.cells.para_gru import ParaGRUCell
from memtrain.networks.cells.para_lstm import ParaLSTMCell
from memtrain.networks.cells.structured import StructuredCell
from memtrain.networks.cells.transformer import TransformerCell

__all__ = [
    "Cell",
    "GRUCell",
    "LSTMCell",
    "MLPCell",
    "ParaGRUCell",
    "ParaLSTMCell",
    "StructuredCell",
    "TransformerCell",
]
