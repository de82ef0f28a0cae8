"""Data sets as LightningDataModules: synthetic probes, text, and images in raster order."""

from memtrain.data.base import SequenceDataModule
from memtrain.data.probes import KeyValueRecall, ModularArithmetic, Parity, Retrieval, Stack, StringCopy

__all__ = [
    "KeyValueRecall",
    "ModularArithmetic",
    "Parity",
    "Retrieval",
    "SequenceDataModule",
    "Stack",
    "StringCopy",
]
