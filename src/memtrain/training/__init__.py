"""The four stages as thin LightningModules: teacher, SMT, DMT, BPTT; and any other sequence model as a baseline."""

from memtrain.training.baseline import BaselineModule
from memtrain.training.bptt import BPTTModule
from memtrain.training.dmt import DMTModule
from memtrain.training.memory import MemoryModule
from memtrain.training.module import StageModule
from memtrain.training.smt import SMTModule
from memtrain.training.teacher import TeacherModule

__all__ = ["BPTTModule", "BaselineModule", "DMTModule", "MemoryModule", "SMTModule", "StageModule", "TeacherModule"]
