"""The tiny network and the few batches that the tests of the stages share."""

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.networks import Interface, NetworkOptions

VOCABULARY = 5
LENGTH = 7
INTERFACE = Interface.of_tokens(VOCABULARY)
NETWORK = NetworkOptions(width=8, memory_tokens=2, heads=2, head_dimension=4, short_convolution=2)


def random_batch(seed: int = 0, size: int = 3) -> SequenceBatch:
    """Targets at a third of the positions, never none at all."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, VOCABULARY, (size, LENGTH), generator=generator)
    targets = torch.randint(0, VOCABULARY, (size, LENGTH), generator=generator)
    hidden = torch.rand(size, LENGTH, generator=generator) < 0.67
    hidden[:, -1] = False
    return SequenceBatch.of(inputs, targets.masked_fill(hidden, IGNORE_INDEX), torch.arange(size))


class Batches(LightningDataModule):
    """The same few random batches for training and evaluation."""

    vocabulary_size = VOCABULARY

    def train_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(seed) for seed in range(100)], batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([random_batch(1000)], batch_size=None)

    test_dataloader = predict_dataloader = val_dataloader
