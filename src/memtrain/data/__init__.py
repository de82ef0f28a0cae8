"""Data sets as LightningDataModules: synthetic probes, text, and images in raster order."""

from memtrain.data.arrays import ArrayDataset
from memtrain.data.base import SequenceDataModule, SequenceDataset
from memtrain.data.numbers import NumberDataModule, NumberDataset, NumberRows
from memtrain.data.probes import KeyValueRecall, ModularArithmetic, Parity, Retrieval, Stack, StringCopy
from memtrain.data.raster import RasterDataModule
from memtrain.data.sampler import ENDLESS
from memtrain.data.table import TableDataModule
from memtrain.data.text import TextDataModule
from memtrain.data.tokens import TokenDataModule, TokenDataset

__all__ = [
    "ENDLESS",
    "ArrayDataset",
    "KeyValueRecall",
    "ModularArithmetic",
    "NumberDataModule",
    "NumberDataset",
    "NumberRows",
    "Parity",
    "RasterDataModule",
    "Retrieval",
    "SequenceDataModule",
    "SequenceDataset",
    "Stack",
    "StringCopy",
    "TableDataModule",
    "TextDataModule",
    "TokenDataModule",
    "TokenDataset",
]
