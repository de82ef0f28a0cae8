"""Windows: where the rollouts of a sequence start, how long they are, and which of their steps are labeled."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtrain.limits import require_at_least
from memtrain.objectives.sampling import sample_starts


@dataclass(frozen=True)
class Windows:
    """The rollouts of a training step, all of one length, in one batch.

    Args:
        starts: rollouts of a sequence. The first starts at `m_init`, all others at the teacher's memories at random
            timesteps.
        length: inputs of a rollout, W; null: the whole sequence. A list makes it grow over the stage, each entry for
            an equal share of the steps, for example [16, 32, 64, 128].
        label_stride: the loss is taken at every s-th step of a rollout.
        over_targets: half of the rollouts from the teacher's memories hold a timestep that bears a target, so that a
            lone target is not missed in most steps; false: all start at random.
        observed: inputs at the beginning of a rollout that are seen as they are; of later ones only what is known
            ahead, as actions: a world model that goes on without the world. null: all are seen.
    """

    starts: int = 1
    length: int | list[int | None] | None = None
    label_stride: int = 1
    over_targets: bool = False
    observed: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that cannot be."""
        if self.length == []:
            raise ValueError(
                "model.windows.length is empty, but needs at least one value; set it to null for whole rollouts."
            )
        known = [length for length in self._lengths if length is not None]
        for length in known:
            require_at_least("model.windows.length", length, 1)
        require_at_least("model.windows.starts", self.starts, 1)
        require_at_least("model.windows.label_stride", self.label_stride, 1)
        if self.observed is not None:
            require_at_least("model.windows.observed", self.observed, 0, example="4, or null for all")
        if self.label_stride > min(known, default=self.label_stride):
            raise ValueError(
                f"model.windows.label_stride is {self.label_stride}, but the shortest model.windows.length is "
                f"{min(known)}, so that no step of it has a label; choose at most {min(known)}."
            )

    @property
    def _lengths(self) -> list[int | None]:
        return self.length if isinstance(self.length, list) else [self.length]

    @property
    def needs_teacher(self) -> bool:
        """Whether rollouts start at the teacher's memories."""
        return self.starts > 1

    def at(self, step: int, total_steps: int, length: int) -> int:
        """Inputs W of the rollouts of one optimizer step.

        Args:
            step: steps done before this one.
            total_steps: optimizer steps of the stage.
            length: T, of the data's sequences.

        Raises:
            ValueError: for sequences that are too short for a label.
        """
        entries = self._lengths
        entry = entries[min(step * len(entries) // max(1, total_steps), len(entries) - 1)]
        window = length if entry is None else min(entry, length)
        if self.label_stride > window:
            raise ValueError(
                f"model.windows.label_stride is {self.label_stride}, but the data's sequences have {length} timesteps, "
                f"so that no step of a rollout of {window} has a label; choose at most {window}."
            )
        return window

    def draw(self, window: int, bearing: Tensor, generator: torch.Generator) -> Tensor:
        """Where the rollouts of one optimizer step start: -1 means "from `m_init`", s means "from `m_s`".

        Args:
            window: W, of `at`.
            bearing: bool `[T]`, the timesteps that bear a target.
            generator: of `memtrain.objectives.step_generator`.

        Returns:
            int64 `[S]`, S at most `starts`, ascending, on the CPU.
        """
        if not self.needs_teacher:
            return torch.tensor([-1])
        held = bearing.cpu() if self.over_targets else None
        return sample_starts(len(bearing), window, self.starts, generator, held)

    def labels(self, window: int) -> Tensor:
        """The labeled steps of a rollout of W inputs: int64 `[L]` in `0..W-1`, on the CPU."""
        return torch.arange(self.label_stride - 1, window, self.label_stride)

    def to_primitive(self) -> dict[str, Any]:
        """These options as YAML and checkpoints hold them."""
        return dataclasses.asdict(self)
