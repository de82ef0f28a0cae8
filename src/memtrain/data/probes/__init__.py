"""Synthetic probes of memory, one file each."""

from memtrain.data.probes.action_history import ActionHistory
from memtrain.data.probes.adding_problem import AddingProblem
from memtrain.data.probes.base import ProbeDataModule
from memtrain.data.probes.copy_memory import CopyMemory
from memtrain.data.probes.event_timing import EventTiming
from memtrain.data.probes.exogenous_lag import ExogenousLag
from memtrain.data.probes.key_value_recall import KeyValueRecall
from memtrain.data.probes.modular_arithmetic import ModularArithmetic
from memtrain.data.probes.numbers import NumberProbe
from memtrain.data.probes.parity import Parity
from memtrain.data.probes.regimes import Regimes
from memtrain.data.probes.retrieval import Retrieval
from memtrain.data.probes.selective_copy import SelectiveCopy
from memtrain.data.probes.stack import Stack
from memtrain.data.probes.string_copy import StringCopy

__all__ = [
    "ActionHistory",
    "AddingProblem",
    "CopyMemory",
    "EventTiming",
    "ExogenousLag",
    "KeyValueRecall",
    "ModularArithmetic",
    "NumberProbe",
    "Parity",
    "ProbeDataModule",
    "Regimes",
    "Retrieval",
    "SelectiveCopy",
    "Stack",
    "StringCopy",
]
