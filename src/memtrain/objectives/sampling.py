"""The random choices inside a step: functions of (seed, global step), never of a global generator.

So a resumed run, and every rank of a distributed one, makes the choices of the uninterrupted single process.
"""

import hashlib

import torch
from torch import Tensor


def step_generator(seed: int, step: int, purpose: str) -> torch.Generator:
    """A CPU generator of its own for one purpose in one optimizer step.

    Args:
        seed: the run's seed.
        step: the global step.
        purpose: what the numbers are for; another purpose gives other numbers.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))


def sample_timesteps(length: int, count: int, generator: torch.Generator, bearing: Tensor | None = None) -> Tensor:
    """Draw timesteps without replacement from `0..length-1`.

    Args:
        length: T.
        count: timesteps wanted, N; all of them if there are fewer.
        generator: of `step_generator`.
        bearing: bool `[T]` on the CPU, timesteps that bear a target: half the draws (rounded up) come from these, as
            far as there are enough. None: all are drawn uniformly.

    Returns:
        int64 `[min(N, T)]`, ascending, on the CPU.
    """
    order = torch.randperm(length, generator=generator)
    if bearing is not None:
        half = order[bearing[order]][: (count + 1) // 2]
        order = torch.cat([half, order[~torch.isin(order, half)]])
    return order[:count].sort().values


def sample_starts(
    length: int, window: int, count: int, generator: torch.Generator, bearing: Tensor | None = None
) -> Tensor:
    """Draw where rollouts of `window` inputs begin: the memory index s means "from `m_s`", -1 means "from `m_init`".

    The first start is always -1, so that the initial memory is trained in every step; the others are drawn without
    replacement from `0..length-1-window`.

    Args:
        length: T.
        window: inputs of a rollout, W, at most T.
        count: starts wanted, at least 1.
        generator: of `step_generator`.
        bearing: bool `[T]` on the CPU, timesteps that bear a target: half of the others (rounded up) are drawn from the
            starts whose rollouts hold such a timestep, as far as there are enough. None: all are drawn uniformly.

    Returns:
        int64 `[<= count]`, ascending, on the CPU.
    """
    order = torch.randperm(length - window, generator=generator)
    if bearing is not None:
        before = torch.cat([torch.zeros(1, dtype=torch.int64), bearing.long().cumsum(0)])
        holds = before[order + 1 + window] > before[order + 1]
        half = order[holds][: count // 2]
        order = torch.cat([half, order[~torch.isin(order, half)]])
    return torch.cat([torch.tensor([-1]), order[: count - 1].sort().values])
