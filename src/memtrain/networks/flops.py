"""What one way forward through a network costs: its longest chain of operations, per sample.

Operations that are independent over batch, timestep or token count once. Each link of the chain counts whole, matrix
products and all: depth times the work of a link.
"""

from torch import nn

from memtrain.networks.cells.base import Cell
from memtrain.networks.transformer import Block, Transformer

BLOCK_DEPTH = 8
"""Norm, product, attention, product; norm, product, nonlinearity, product."""
OPERATIONS = (
    nn.Linear, nn.Bilinear, nn.Conv1d, nn.RMSNorm, nn.LayerNorm,
    nn.GELU, nn.ReLU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Softmax,
)  # fmt: skip
"""Modules that are one dependent operation each."""


def product_flops(module: nn.Module) -> int:
    """A multiply-add for each parameter."""
    return 2 * sum(parameter.numel() for parameter in module.parameters())


def forward_flops(module: nn.Module, keys: int = 1) -> int:
    """Cost of one token's way forward through a module.

    A Transformer costs `q(S) = 2 * P_block + 4 * S * inner width` a block; its final norm is left out.
    Parameters outside Transformers (a gated, MLP or user's cell) are one multiply-add each: 2 FLOPs.

    Args:
        module: any module.
        keys: tokens S that each token attends to in the module's Transformers.
    """
    if isinstance(module, Transformer):
        block = module.blocks[0]
        parameters = sum(p.numel() for p in block.parameters())
        return len(module.blocks) * (2 * parameters + 4 * keys * block.attention.inner)
    own = 2 * sum(p.numel() for p in module.parameters(recurse=False))
    return own + sum(forward_flops(child, keys) for child in module.children())


def forward_depth(module: nn.Module) -> int:
    """Dependent operations of a way forward: a product, an attention, a norm and a nonlinearity count one each.

    Sums, gates' products and look-ups are left out. Parts of a module count one after the other, so that for a module
    with parallel branches this is an upper bound.
    """
    if isinstance(module, Block):
        return BLOCK_DEPTH
    return int(isinstance(module, OPERATIONS)) + sum(forward_depth(child) for child in module.children())


def input_depth(cell: Cell) -> int:
    """Dependent operations of what a cell makes of its inputs alone: one product, or nothing."""
    return int(bool(cell.input_parameters()))


def update_depth(cell: Cell) -> int:
    """Dependent operations of one update: those the cell names, or those of its modules and its normalization."""
    return forward_depth(cell) + int(not cell.gated) if cell.update_depth is None else cell.update_depth


def input_flops(cell: Cell) -> int:
    """What a cell makes of its inputs alone: independent over timesteps, so that it counts once a rollout."""
    return 2 * sum(p.numel() for p in cell.input_parameters())


def update_flops(cell: Cell) -> int:
    """One update: `L_cell q(K + 1)`, or `forward_flops` of a cell without Transformers, but for `input_flops`."""
    return forward_flops(cell, cell.memory_tokens + 1) - input_flops(cell)


def readout_flops(readout: nn.Module, memory_tokens: int) -> int:
    """`L_dec q(K)` of a decoder, or a linear readout's cost."""
    return forward_flops(getattr(readout, "transformer", readout), memory_tokens)
