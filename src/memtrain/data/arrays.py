"""Rows that are at hand, as arrays: the simplest data set of one's own."""

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import Passes, Rows, Split
from memtrain.data.sampler import ENDLESS
from memtrain.data.tokens import TokenDataset


class ArrayDataset(TokenDataset):
    """Rows of two arrays; training goes through all of them in one random order after another.

    Args:
        inputs: tokens, integers `[N, T]`.
        targets: what is to be predicted at each timestep, integers `[N, T]`; -100 for nothing.
        split: "train", "val" or "test".
        seed: the run's seed (training split only).
        samples: evaluation samples wanted; fewer if there are fewer rows.

    Raises:
        ValueError: if the arrays are not of integers, or not of one shape `[N, T]` with N at least 1.
    """

    def __init__(
        self, inputs: NDArray[np.integer], targets: NDArray[np.integer], split: Split, seed: int, samples: int
    ) -> None:
        if inputs.shape != targets.shape or inputs.ndim != 2 or not len(inputs):
            raise ValueError(
                f"The {split} split has inputs of shape {inputs.shape} and targets of shape {targets.shape}, but both "
                "must be [N, T], with N at least 1."
            )
        for name, array in (("inputs", inputs), ("targets", targets)):
            if not np.issubdtype(array.dtype, np.integer):
                raise ValueError(f"The {name} of the {split} split are {array.dtype}, but tokens must be integers.")
        super().__init__(ENDLESS if split == "train" else min(samples, len(inputs)))
        self.inputs, self.targets = inputs, targets
        self.passes = Passes(split, seed, len(inputs))

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        chosen = self.passes.rows(indices)
        return self.inputs[chosen].astype(np.int64), self.targets[chosen].astype(np.int64)
