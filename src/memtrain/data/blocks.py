"""Random samples as a pure function of their position: blocks of 1,024, each from a generator of its own.

Sample `i` of a split lies in block `i // 1024`, and a block is drawn whole, by one generator seeded with
(seed, split, block). So generation is vectorised, and yet a sample depends on nothing but (seed, split,
index): not on the order of reading, the number of workers or ranks, or where a run was interrupted.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
Rows = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Inputs and targets, each int64 `[B, T]`."""

BLOCK_SIZE = 1024
EVALUATION_SEED = 20260604
SPLIT_NUMBERS: dict[str, int] = {"train": 0, "val": 1, "test": 2}
HASH_BUCKETS = 16
HOPELESS = 1000 * HASH_BUCKETS
"""Rows after which a split that has had none will have none."""


class Blocks:
    """Arrays drawn block by block, with the most recent blocks kept.

    Args:
        draw: `draw(generator, count)` returns a tuple of arrays whose first axis has length `count`; it
            must be picklable, because loader workers receive it.
        seed: the run's seed. Only the training split uses it: evaluation sets are the same in every run.
        split: "train", "val" or "test".
        size: samples in a block.
        keep: number of blocks kept in memory.
    """

    def __init__(
        self,
        draw: Callable[[np.random.Generator, int], tuple[NDArray[Any], ...]],
        seed: int,
        split: Split,
        size: int = BLOCK_SIZE,
        keep: int = 2,
    ) -> None:
        self.draw = draw
        self.seed = seed if split == "train" else EVALUATION_SEED
        self.split = split
        self.size = size
        self.keep = keep
        self._kept: OrderedDict[int, tuple[NDArray[Any], ...]] = OrderedDict()

    def block(self, number: int) -> tuple[NDArray[Any], ...]:
        """Return block `number`: the arrays of its `size` samples."""
        if number not in self._kept:
            generator = np.random.default_rng([self.seed, SPLIT_NUMBERS[self.split], number])
            self._kept[number] = self.draw(generator, self.size)
            if len(self._kept) > self.keep:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def take(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Return the samples at `indices` `[B]`, one array `[B, ...]` for each array of a block."""
        numbers, offsets = np.divmod(indices, self.size)
        distinct, block_of_sample = np.unique(numbers, return_inverse=True)
        if len(distinct) == 1:
            return tuple(array[offsets] for array in self.block(int(distinct[0])))
        parts = []
        for position, number in enumerate(distinct):
            chosen = np.flatnonzero(block_of_sample == position)
            parts.append((chosen, tuple(array[offsets[chosen]] for array in self.block(int(number)))))
        order = np.argsort(np.concatenate([chosen for chosen, _ in parts]))
        columns = zip(*(arrays for _, arrays in parts), strict=True)
        return tuple(np.concatenate(column)[order] for column in columns)


class Passes:
    """Which row of a split that is at hand each sample is.

    Training goes through all rows in one random order after another; in evaluation a sample is the row of its position.

    Args:
        split: "train", "val" or "test".
        seed: the run's seed (training split only).
        rows: how many there are.
    """

    def __init__(self, split: Split, seed: int, rows: int) -> None:
        self.order = Blocks(draw_order, seed, "train", size=rows) if split == "train" else None

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the samples at `indices`, int64 `[B]` each."""
        return indices if self.order is None else self.order.take(indices)[0]


def draw_order(generator: np.random.Generator, count: int) -> tuple[NDArray[np.int64]]:
    """Draw an order in which to go through `count` samples once."""
    return (generator.permutation(count),)


def split_numbers_of(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Say which split each input row belongs to, by a hash of the row alone.

    One bucket of 16 is the validation split's, one the test split's, the others are training's. Equal rows
    get equal answers, so no row can stand in two splits.

    Args:
        rows: int64 `[B, T]`.

    Returns:
        int64 `[B]` with the values of `SPLIT_NUMBERS`.
    """
    with np.errstate(over="ignore"):
        factors = _mix(np.arange(1, rows.shape[1] + 1, dtype=np.uint64)) | np.uint64(1)
        hashes = _mix(((rows.astype(np.uint64) + np.uint64(1)) * factors).sum(axis=1, dtype=np.uint64))
    buckets = (hashes % np.uint64(HASH_BUCKETS)).astype(np.int64)
    return np.where(buckets < len(SPLIT_NUMBERS), buckets, SPLIT_NUMBERS["train"])


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finaliser of splitmix64, Steele et al., OOPSLA 2014)."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def draw_of_split(
    generator: np.random.Generator,
    count: int,
    *,
    generate: Callable[[np.random.Generator, int], Rows],
    split: Split,
) -> Rows:
    """Draw samples until `count` of them belong to `split`; the others are thrown away.

    A row's split does not depend on what the row means, so the samples that stay have the distribution of
    all.

    Args:
        generator: source of all randomness.
        count: how many samples to return.
        generate: `generate(generator, samples)` draws inputs and targets `[samples, T]`.
        split: the split wanted.

    Returns:
        Inputs and targets, int64 `[count, T]`.

    Raises:
        ValueError: if no row seems to belong to the split, because there are so few different ones.
    """
    # One draw is nearly always enough for training (14 of 16 rows stay); the evaluation splits take several.
    candidates = count + count // 4 if split == "train" else 4 * count
    kept: list[Rows] = []
    missing, tried = count, 0
    while missing > 0:
        if missing == count and tried > HOPELESS:
            raise ValueError(
                f"None of {tried:,} rows that the data drew belongs to split {split}, because there are so few "
                "different ones; choose data of a larger difficulty."
            )
        tried += candidates
        inputs, targets = generate(generator, candidates)
        chosen = np.flatnonzero(split_numbers_of(inputs) == SPLIT_NUMBERS[split])[:missing]
        kept.append((inputs[chosen], targets[chosen]))
        missing -= len(chosen)
    return np.concatenate([rows for rows, _ in kept]), np.concatenate([rows for _, rows in kept])
