"""Which positions of a split each rank reads: resumable for training, exact for evaluation."""

from collections.abc import Callable, Iterator, Sized

from torch.utils.data.distributed import DistributedSampler

ENDLESS = 2**40
"""Length of a training split, more samples than any run consumes: training is one epoch without end."""


class TrainingSampler(DistributedSampler[int]):
    """Positions 0, 1, 2, ... in order, starting where the run stands, dealt out in turn to the ranks.

    Samples are to be random functions of their position (random draws or random orders, as those of
    `memtrain.data.blocks`), so that reading positions in order *is* shuffled. Being a `DistributedSampler`, it is left
    alone by Lightning. `len` is always that of the whole epoch: Lightning adds the batches done before resuming itself.

    Args:
        dataset: the training split.
        replicas: number of ranks.
        rank: this rank.
        start: called each time iteration begins; returns the number of samples that all ranks together have
            consumed.
    """

    def __init__(self, dataset: Sized, replicas: int, rank: int, start: Callable[[], int]) -> None:
        super().__init__(dataset, num_replicas=replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start() + self.rank, ENDLESS, self.num_replicas))


class EvaluationSampler(DistributedSampler[int]):
    """Every sample exactly once, dealt out in turn to the ranks.

    Ranks must make the same number of steps, so the last round may be filled up with positions past the
    end; the data set answers these with rows that have no target and index -1. `DistributedSampler` would
    count the first samples twice instead.

    Args:
        dataset: the evaluation split.
        replicas: number of ranks.
        rank: this rank.
    """

    def __init__(self, dataset: Sized, replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=replicas, rank=rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.total_size, self.num_replicas))
