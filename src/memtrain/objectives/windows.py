"""Cutting the futures of sampled timesteps out of a batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from memtrain.batch import SequenceBatch


def bearing_timesteps(mask: Tensor) -> Tensor:
    """The timesteps at which any sample of the batch has a target: bool `[B, T]` or `[B, T, C]` to int64 `[P]`.

    At least one (then the first, which counts for nothing), so that every rank of a distributed run computes a loss.
    """
    bearing = borne(mask).any(0)
    return bearing.nonzero().squeeze(1) if bool(bearing.any()) else bearing.new_zeros(1, dtype=torch.int64)


def borne(mask: Tensor) -> Tensor:
    """Where there is any target: bool `[B, T]` or `[B, T, C]` to bool `[B, T]`."""
    return mask if mask.dim() == 2 else mask.any(-1)


def targets_per_timestep(mask: Tensor) -> Tensor:
    """How many targets the samples have at each timestep: bool `[B, T]` or `[B, T, C]` to int64 `[T]`."""
    counts = mask.sum(0)
    return counts if counts.dim() == 1 else counts.sum(-1)


class Futures(NamedTuple):
    """What the decoder sees after each timestep, and what it must predict.

    Attributes:
        inputs: `x_{t+1}..`, `[B, N, F, ...]`; past the end any input, whose targets are masked.
        targets: `[B, N, P]` or `[B, N, P, C]`; any target where `mask` is False.
        mask: bool, the same shape, False past the end and where there is no target.
        wanted: which of the F + 1 positions these are, int64 `[N, P]`; None for all of them (P = F + 1).
        ahead: what is known ahead of each target, `[B, N, P, U]`; None where nothing is.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    wanted: Tensor | None
    ahead: Tensor | None = None


def futures(batch: SequenceBatch, timesteps: Tensor, length: int | None) -> Futures:
    """Cut the futures of some timesteps out of a batch.

    Positions that bear no target in the whole batch are left out, so that nothing is computed for them.

    Args:
        batch: `[B, T]`.
        timesteps: int64 `[N]`.
        length: targets of each future, Tf (`y_t .. y_{t+Tf-1}`); None: to the end of the sequence.
    """
    inputs, mask, total = batch.inputs, batch.mask, batch.inputs.shape[1]
    longest = total - int(timesteps.min())
    count = longest if length is None else min(length, longest)
    at = timesteps[:, None] + torch.arange(count, device=inputs.device)  # [N, F + 1], absolute times of the targets
    future = inputs[:, at[:, 1:].clamp(max=total - 1)]
    bearing = borne(mask).any(0)
    if bool(bearing[int(timesteps.min()) :].all()):
        wanted = None
    else:
        wanted = _first_columns(bearing[at.clamp(max=total - 1)] & (at < total))
        at = at.gather(1, wanted)
    found = batch.at(at.clamp(max=total - 1))
    inside = (at < total).view(at.shape + (1,) * (mask.dim() - 2))
    return Futures(future, found.values, found.mask & inside, wanted, found.ahead)


def count_futures(counts: Tensor, timesteps: Tensor, length: int | None) -> Tensor:
    """How many targets `futures` cuts out, if `counts` int64 `[T]` are valid at each timestep: a scalar.

    Args:
        counts: valid targets at each timestep, int64 `[T]`.
        timesteps: int64 `[N]`.
        length: as for `futures`.
    """
    before = torch.cat([counts.new_zeros(1), counts.cumsum(0)])  # targets before each timestep, [T + 1]
    ends = torch.full_like(timesteps, len(counts)) if length is None else (timesteps + length).clamp(max=len(counts))
    return (before[ends] - before[timesteps]).sum()


def _first_columns(flags: Tensor) -> Tensor:
    """The columns that are True in each row, as int64 `[N, P]` with P the most in any row; filled up with others."""
    most = max(1, int(flags.sum(1).max()))
    return flags.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]
