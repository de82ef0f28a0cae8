"""What all tests share: one thread, a fixed seed, and the table of cells that every cell test runs over."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from memtrain.networks.cells import (
    Cell,
    GRUCell,
    LSTMCell,
    MLPCell,
    ParaGRUCell,
    ParaLSTMCell,
    TransformerCell,
)
from memtrain.networks.memory import MemoryNormalization, normalize_memory


class UserCell(Cell):
    """A cell as a user would write it: its own recurrence, nothing but `step`."""

    def __init__(self, width: int, memory_tokens: int, memory_normalization: MemoryNormalization) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        self.mix = torch.nn.Linear(2 * width, width)

    def step(self, memory: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        pairs = torch.cat([memory, embedding.unsqueeze(1).expand_as(memory)], dim=-1)
        return normalize_memory(memory + self.mix(pairs), self.memory_normalization)


WIDTH, MEMORY_TOKENS = 8, 3
CELLS = {
    "transformer, rms": partial(TransformerCell, memory_normalization="rms", heads=2, head_dimension=4),
    "transformer, tanh": partial(TransformerCell, memory_normalization="tanh", layers=1, heads=2, head_dimension=6),
    "mlp, rms": partial(MLPCell, memory_normalization="rms"),
    "mlp, tanh": partial(MLPCell, memory_normalization="tanh", layers=1, hidden=5),
    "gru": partial(GRUCell, memory_normalization="tanh"),
    "gru, rms accepted": partial(GRUCell, memory_normalization="rms", accept_rms=True),
    "lstm": partial(LSTMCell, memory_normalization="tanh"),
    "para_gru": partial(ParaGRUCell, memory_normalization="tanh", heads=2),
    "para_lstm": partial(ParaLSTMCell, memory_normalization="tanh", heads=4),
    "user's": partial(UserCell, memory_normalization="rms"),
}


@pytest.fixture(autouse=True)
def _reproducible() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> Cell:
    """Each cell of the table, in float64, with D = 8 and K = 3."""
    return CELLS[request.param](WIDTH, MEMORY_TOKENS).double()


@pytest.fixture
def start(cell: Cell) -> torch.Tensor:
    """A memory `[2, K, D]` of the cell's own memory space, float64."""
    raw = torch.randn(2, cell.memory_tokens, cell.width, dtype=torch.float64)
    return normalize_memory(raw, cell.memory_normalization)


@pytest.fixture
def embeddings(cell: Cell) -> torch.Tensor:
    """Embedded inputs `[2, 7, D]`, float64: a length that nothing divides."""
    return torch.randn(2, 7, cell.width, dtype=torch.float64)
