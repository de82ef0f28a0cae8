"""Data sets as LightningDataModules: probes, text, images, tables, classified time series, logs of behavior."""

from memtrain.data.arrays import ArrayDataset
from memtrain.data.base import SequenceDataModule, SequenceDataset
from memtrain.data.classification import TimeSeriesClassification
from memtrain.data.episodes import EpisodesDataModule
from memtrain.data.numbers import NumberDataModule, NumberDataset, NumberRows
from memtrain.data.probes import (
    ActionHistory,
    AddingProblem,
    CopyMemory,
    EventTiming,
    ExogenousLag,
    KeyValueRecall,
    ModularArithmetic,
    Parity,
    Regimes,
    Retrieval,
    SelectiveCopy,
    Stack,
    StringCopy,
)
from memtrain.data.raster import RasterDataModule
from memtrain.data.sampler import ENDLESS
from memtrain.data.table import TableDataModule
from memtrain.data.text import TextDataModule
from memtrain.data.tokens import TokenDataModule, TokenDataset

__all__ = [
    "ENDLESS",
    "ActionHistory",
    "AddingProblem",
    "ArrayDataset",
    "CopyMemory",
    "EpisodesDataModule",
    "EventTiming",
    "ExogenousLag",
    "KeyValueRecall",
    "ModularArithmetic",
    "NumberDataModule",
    "NumberDataset",
    "NumberRows",
    "Parity",
    "RasterDataModule",
    "Regimes",
    "Retrieval",
    "SelectiveCopy",
    "SequenceDataModule",
    "SequenceDataset",
    "Stack",
    "StringCopy",
    "TableDataModule",
    "TextDataModule",
    "TimeSeriesClassification",
    "TokenDataModule",
    "TokenDataset",
]
