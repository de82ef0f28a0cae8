"""What data sets of tokens share: rows of integers, a vocabulary, and tokens that people can read."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.data.base import SequenceDataModule, SequenceDataset
from memtrain.data.blocks import Rows, Split
from memtrain.data.rows import check_rows
from memtrain.networks.encoder import Tokens
from memtrain.networks.heads import Categorical, Score
from memtrain.networks.interface import Interface

Modality = Literal["symbols", "text", "image"]


class TokenDataset(SequenceDataset):
    """One split of rows of tokens."""

    @abstractmethod
    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return inputs and targets, int64 `[B, T]`, -100 for no target, of the samples at `indices` `[B]`."""

    def batch(self, indices: NDArray[np.int64]) -> SequenceBatch:
        """See `SequenceDataset.batch`."""
        return SequenceBatch.of(*(torch.from_numpy(np.ascontiguousarray(a)) for a in (*self.rows(indices), indices)))


class TokenDataModule(SequenceDataModule):
    """Base of data sets of tokens.

    Args:
        **options: see `SequenceDataModule`.
    """

    modality: ClassVar[Modality]
    score: ClassVar[Score] = "loss"
    """What methods are compared by: accuracy where every target can be known, loss where targets are random."""
    start_token: ClassVar[int | None] = None
    """Token from which generation starts if there is no prompt; None where a prompt is needed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not hasattr(self, "modality"):
            raise ValueError(f"{type(self).__name__} has no modality; set it in the class to symbols, text or image.")

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """Number of different tokens V; follows from the options alone."""

    @property
    def classes(self) -> int:
        """Number of different targets: tokens, unless a data set says otherwise."""
        return self.vocabulary_size

    @property
    def predicts_tokens(self) -> bool:
        """Whether targets are tokens, so that a network can write on from its own."""
        return True

    def interface(self) -> Interface:
        """See `SequenceDataModule.interface`; tokens in, one of several classes out."""
        return Interface(Tokens(self.vocabulary_size), Categorical(self.classes, self.score))

    @abstractmethod
    def build_dataset(self, split: Split) -> TokenDataset:
        """See `SequenceDataModule.build_dataset`."""

    @abstractmethod
    def render(self, tokens: Tensor) -> list[str] | Tensor:
        """Make tokens `[B, T]` readable: a list of B strings, or images uint8 `[B, H, W]`."""

    @abstractmethod
    def encode_prompt(self, prompt: str) -> Tensor:
        """Turn a prompt into tokens, int64 `[T]` with T >= 1."""

    def check(self, split: Split, dataset: SequenceDataset, indices: NDArray[np.int64]) -> None:
        """See `SequenceDataModule.check`."""
        place, shape = f"{type(self).__name__}, split {split}", (len(indices), self.sequence_length)
        assert isinstance(dataset, TokenDataset)
        check_rows(place, dataset.rows(indices), shape, self.vocabulary_size, self.classes)
