"""Data sets as LightningDataModules: synthetic probes, text, and images in raster order."""

from memtrain.data.base import SequenceDataModule
from memtrain.data.probes import KeyValueRecall, ModularArithmetic, Parity, Retrieval, Stack, StringCopy
from memtrain.data.raster import RasterDataModule
from memtrain.data.text import TextDataModule

__all__ = [
    "KeyValueRecall",
    "ModularArithmetic",
    "Parity",
    "RasterDataModule",
    "Retrieval",
    "SequenceDataModule",
    "Stack",
    "StringCopy",
    "TextDataModule",
]
