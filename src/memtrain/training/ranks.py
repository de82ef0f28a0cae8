"""What the ranks of a distributed step tell each other."""

from contextlib import AbstractContextManager, nullcontext

import torch
from lightning.pytorch.strategies import ParallelStrategy, Strategy
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.objectives import targets_per_timestep
from memtrain.training.step import Outcome


def valid_targets(batch: SequenceBatch, strategy: Strategy) -> Tensor:
    """Valid targets at each timestep, over all micro-batches and ranks of a step: int64 `[T]`.

    Args:
        batch: this rank's.
        strategy: the Trainer's; all ranks call this together.
    """
    return strategy.reduce(targets_per_timestep(batch.mask), reduce_op="sum")


def own_gradients(strategy: Strategy, wanted: bool) -> AbstractContextManager[None]:
    """Within, if wanted, gradients stay this rank's; DDP averages them with the last micro-batch.

    Args:
        strategy: the Trainer's.
        wanted: whether further micro-batches follow.
    """
    return strategy.block_backward_sync() if wanted and isinstance(strategy, ParallelStrategy) else nullcontext()


def over_ranks(own: Outcome, strategy: Strategy) -> Outcome:
    """The outcome of all ranks: means, the largest of `worst`, and the costs of the rank with the longest chain.

    Args:
        own: this rank's, without gradient.
        strategy: the Trainer's; all ranks call this together.
    """
    if not isinstance(strategy, ParallelStrategy) or strategy.world_size == 1:
        return own
    means = torch.stack([*own.terms.values(), *own.means.values()])
    costs = torch.tensor([own.sequential_flops, own.gradient_chain], device=means.device)
    means, costs = strategy.reduce(means, reduce_op="mean"), strategy.reduce(costs, reduce_op="max")
    worst = list(own.worst.values())
    if worst:
        worst = list(strategy.reduce(torch.stack(worst), reduce_op="max"))
    flops, chain = costs.tolist()
    return Outcome(
        terms=dict(zip(own.terms, means, strict=False)),
        sequential_flops=flops,
        gradient_chain=chain,
        means=dict(zip(own.means, means[len(own.terms) :], strict=True)),
        worst=dict(zip(own.worst, worst, strict=True)),
    )
