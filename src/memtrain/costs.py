"""What training has cost so far, over all stages that a network has gone through."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch


@dataclass
class Counters:
    """Cumulative cost; a stage starts at its source checkpoint's values.

    Attributes:
        steps: optimizer steps.
        tokens: inputs, over all ranks.
        train_seconds: wall seconds in forward, backward and optimizer; not set-up, validation, logging, checkpoints.
        cpu_seconds: process CPU seconds in the same spans.
        sequential_flops: operations that had to follow one another, per sample.
        gradient_steps: the longest gradient chain of the cell that any stage used.
        sequential_depth: how many operations had to follow one another; 0 in older checkpoints.
    """

    steps: int
    tokens: int
    train_seconds: float
    cpu_seconds: float
    sequential_flops: int
    gradient_steps: int
    sequential_depth: int = 0

    @classmethod
    def zero(cls) -> "Counters":
        """Those of a network that nothing has trained."""
        return cls(0, 0, 0.0, 0.0, 0, 0)

    def to_primitive(self) -> dict[str, int | float]:
        """The counters as a dictionary of numbers."""
        return asdict(self)

    def count(self, tokens: int, sequential_flops: int, gradient_chain: int, sequential_depth: int = 0) -> None:
        """Add one optimizer step.

        Args:
            tokens: inputs of the step, over all ranks.
            sequential_flops: of the step, per sample.
            gradient_chain: the longest gradient chain of the cell in the step.
            sequential_depth: of the step.
        """
        self.steps += 1
        self.tokens += tokens
        self.sequential_flops += sequential_flops
        self.sequential_depth += sequential_depth
        self.gradient_steps = max(self.gradient_steps, gradient_chain)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the wall and CPU seconds spent within; a span that an exception ends is not counted."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # or the time of launching kernels would be counted, not that of running them
        self.train_seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu
