"""Training and evaluating one stage: LightningCLI with this project's links, loggers and checkpoints."""

from memtrain.fit.command import MemtrainCLI, resolve
from memtrain.fit.saving import AtomicCheckpointIO, LastCheckpoint
from memtrain.fit.table import MetricsTable

__all__ = ["AtomicCheckpointIO", "LastCheckpoint", "MemtrainCLI", "MetricsTable", "resolve"]
