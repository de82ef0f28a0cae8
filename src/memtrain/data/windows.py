"""Windows of a long token stream, each token predicting the next."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from memtrain.data.blocks import Blocks, Rows, Split
from memtrain.data.sampler import ENDLESS
from memtrain.data.token_file import TokenFile
from memtrain.data.tokens import TokenDataset


def draw_starts(generator: np.random.Generator, count: int, *, places: int) -> tuple[NDArray[np.int64]]:
    """Draw `count` window starts from `0..places-1`."""
    return (generator.integers(0, places, count),)


class WindowDataset(TokenDataset):
    """Windows of T + 1 tokens: inputs are the first T, targets the last T, so every step has a target.

    Training windows start anywhere, at random; evaluation windows do not overlap and are spread evenly.

    Args:
        stream: the tokens.
        option: name of the data module's option that gives `length`, for the error.
        length: timesteps T.
        seed: the run's seed (training split only).
        split: "train", "val" or "test".
        samples: evaluation samples wanted; fewer if the stream is short.

    Raises:
        ValueError: if the stream holds no window.
    """

    def __init__(self, stream: TokenFile, option: str, length: int, seed: int, split: Split, samples: int) -> None:
        places = len(stream) - length
        if places < 1:
            raise ValueError(
                f"data.{option} is {length}, but the {split} split has only {len(stream)} tokens, where a "
                f"window needs {length + 1}; choose a smaller data.{option} or give more data."
            )
        super().__init__(ENDLESS if split == "train" else min(samples, (len(stream) - 1) // length))
        self.stream = stream
        self.length = length
        self.blocks: Blocks | None = None
        if split == "train":
            self.blocks = Blocks(partial(draw_starts, places=places), seed, split)
        else:
            self.starts = np.linspace(0, places - 1, self.samples).astype(np.int64)

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        starts = self.starts[indices] if self.blocks is None else self.blocks.take(indices)[0]
        window = self.stream.windows(starts, self.length + 1)
        return window[:, :-1], window[:, 1:]
