"""Dense Jacobians of any update, for memories that are small enough."""

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from memtrain.networks.memory import MemorySpec

Update = Callable[[Tensor, Tensor], Tensor]
"""A memory `[B, K, D]` and its projected input `[B, ...]` to the next memory."""

Structure = Literal["diagonal", "blocks", "dense"]
"""Of a Jacobian: numbers meet themselves alone, those of their unit, or all numbers of the memory."""

DENSE_LIMIT = 64
"""Numbers in a memory, `K * D`, up to which dense Jacobians are computed."""


@torch.no_grad()
def dense_jacobian(update: Update, memory: Tensor, projected: Tensor) -> Tensor:
    """`d update(m, x) / d m`, column after column by forward-mode derivatives.

    Args:
        update: samples of a batch must not mix in it.
        memory: `[N, K, D]`.
        projected: `[N, ...]`.

    Returns:
        `[N, 1, Z, Z]`, one block for the whole memory.

    Raises:
        NotImplementedError: by torch, for an operation without such a derivative.
    """
    size = memory[0].numel()

    def column(direction: Tensor) -> Tensor:
        jvp = torch.func.jvp(lambda m: update(m, projected), (memory,), (direction.expand_as(memory),))
        return cast(Tensor, jvp[1])

    basis = torch.eye(size, dtype=memory.dtype, device=memory.device).view(size, 1, *memory.shape[1:])
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no forward-mode derivative
        columns = torch.func.vmap(column, chunk_size=16)(basis)  # [Z, N, K, D]
    return columns.flatten(2).permute(1, 2, 0).unsqueeze(1)


def refuse_large_memory(cell: str, memory: MemorySpec) -> None:
    """Refuse a cell whose memory is too large for dense Jacobians.

    Raises:
        ValueError: for a memory of more than `DENSE_LIMIT` numbers.
    """
    if memory.size > DENSE_LIMIT:
        raise ValueError(
            f"a memory of {cell} has {memory.size} numbers, but dense Jacobians are computed up to {DENSE_LIMIT}; set "
            "trajectory to Picard, or to Sequential with adjoint autograd, or take a ParaGRUCell or ParaLSTMCell with "
            "jacobian auto."
        )
