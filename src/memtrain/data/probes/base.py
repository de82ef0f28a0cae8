"""What the synthetic probes share: splits drawn in blocks, disjoint by a hash of the input row."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.data.blocks import HASH_BUCKETS, Blocks, Rows, Split, draw_of_split
from memtrain.data.sampler import ENDLESS
from memtrain.data.tokens import TokenDataModule, TokenDataset
from memtrain.networks.heads import Score


class ProbeDataset(TokenDataset):
    """One split of a probe.

    Args:
        generate: `generate(generator, samples)` draws inputs and targets, int64 `[samples, T]`; picklable.
        seed: the run's seed (training split only).
        split: "train", "val" or "test".
        samples: number of samples.
    """

    def __init__(
        self, generate: Callable[[np.random.Generator, int], Rows], seed: int, split: Split, samples: int
    ) -> None:
        super().__init__(samples)
        self.blocks = Blocks(partial(draw_of_split, generate=generate, split=split), seed, split)

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, of the samples at `indices` `[B]`."""
        inputs, targets = self.blocks.take(indices)
        return inputs, targets


class ProbeDataModule(TokenDataModule):
    """Base of the synthetic probes: endless training samples, fixed evaluation samples, no row in two splits.

    Args:
        **options: see `SequenceDataModule`.
    """

    modality: ClassVar[Literal["symbols", "text", "image"]] = "symbols"
    score: ClassVar[Score] = "accuracy"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        space = self.input_space()
        if space < HASH_BUCKETS * self.evaluation_samples:
            raise ValueError(
                f"data.{self.difficulty_name} is {self.difficulty}, which gives only {space} different "
                f"input rows, too few for disjoint training and evaluation sets of "
                f"{self.evaluation_samples} samples; choose a larger data.{self.difficulty_name} or at "
                f"most {space // HASH_BUCKETS} data.evaluation_samples."
            )

    @abstractmethod
    def generator(self) -> Callable[[np.random.Generator, int], Rows]:
        """Return the function `(generator, samples) -> (inputs, targets)`, with its options filled in."""

    @abstractmethod
    def input_space(self) -> int:
        """Return the number of different input rows, or a lower bound where counting is hard."""

    @abstractmethod
    def chance(self) -> float:
        """Return the accuracy of guessing without looking at the input."""

    @abstractmethod
    def shortcut_accuracy(self) -> float:
        """Return the best accuracy of a guess from the last two inputs `x_{t-1}, x_t` alone."""

    def best_possible(self) -> float:
        """Return the best accuracy of any guess from the whole past."""
        return 1.0

    def build_dataset(self, split: Split) -> TokenDataset:
        """Make one split."""
        samples = ENDLESS if split == "train" else self.evaluation_samples
        return ProbeDataset(self.generator(), self.seed, split, samples)

    def reference_lines(self) -> dict[str, float]:
        """Return `chance`, `shortcut_accuracy` and `best_possible`, in [0, 1]."""
        return {
            "chance": self.chance(),
            "shortcut_accuracy": self.shortcut_accuracy(),
            "best_possible": self.best_possible(),
        }

    def render(self, tokens: Tensor) -> list[str]:
        """Write tokens `[B, T]` as B lines of numbers."""
        return [" ".join(map(str, row)) for row in tokens.tolist()]

    def encode_prompt(self, prompt: str) -> Tensor:
        """Read numbers separated by spaces, for example "3 0 1", as int64 `[T]`.

        Raises:
            ValueError: if the prompt is empty or holds anything but tokens of this probe.
        """
        words = prompt.split()
        if not words or not all(word.isdecimal() and int(word) < self.vocabulary_size for word in words):
            raise ValueError(
                f"prompt is {prompt!r}, but must be numbers from 0 to {self.vocabulary_size - 1} "
                f"separated by spaces; "
                f'give for example "1 0 1".'
            )
        return torch.tensor([int(word) for word in words])
