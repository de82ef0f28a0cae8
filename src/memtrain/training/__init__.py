"""The four stages as thin LightningModules: teacher, SMT, DMT, BPTT."""

from memtrain.training.base import MemoryModule
from memtrain.training.bptt import BPTTModule
from memtrain.training.dmt import DMTModule
from memtrain.training.smt import SMTModule
from memtrain.training.teacher import TeacherModule

__all__ = ["BPTTModule", "DMTModule", "MemoryModule", "SMTModule", "TeacherModule"]
