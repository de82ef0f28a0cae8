"""Counters: what training has cost so far, over all stages that a network has gone through."""

import time
from dataclasses import asdict, dataclass, field

import torch


@dataclass
class Counters:
    """Cumulative cost; a stage starts at its source checkpoint's values.

    Attributes:
        steps: optimizer steps.
        tokens: input tokens, over all ranks.
        train_seconds: wall seconds in forward, backward and optimizer; not set-up, validation, logging, checkpoints.
        cpu_seconds: process CPU seconds in the same spans.
        sequential_flops: operations that had to follow one another, per sample.
        gradient_steps: the longest gradient chain of the cell that any stage used.
    """

    steps: int = 0
    tokens: int = 0
    train_seconds: float = 0.0
    cpu_seconds: float = 0.0
    sequential_flops: int = 0
    gradient_steps: int = 0

    def to_primitive(self) -> dict[str, int | float]:
        """The counters as a dictionary of numbers."""
        return asdict(self)


@dataclass
class Stopwatch:
    """Measures wall and CPU seconds of the spans between `start` and `stop`, and adds them to counters."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def start(self) -> None:
        """Begin a span."""
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self, counters: Counters) -> None:
        """Add the span since the last `start` or `stop` to `counters`."""
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # or the time of launching kernels would be counted, not that of running them
        wall, cpu = self.wall, self.cpu
        self.start()
        counters.train_seconds += self.wall - wall
        counters.cpu_seconds += self.cpu - cpu
