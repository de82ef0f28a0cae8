"""What Newton's iteration starts from."""

from typing import Literal

import torch
from torch import Tensor

from memtrain.scan import preceding
from memtrain.trajectory.recurrence import Recurrence

Guess = Literal["zeros", "input", "teacher", "best"]
GUESS_EVALUATIONS: dict[Guess, int] = {"zeros": 0, "input": 1, "teacher": 0, "best": 2}
"""Cell evaluations that follow one another before the iteration starts."""


@torch.no_grad()
def first_guess(recurrence: Recurrence, memory: Tensor, guess: Guess, teacher: Tensor | None) -> Tensor:
    """What the iteration starts from, `[B, T, K, D]`.

    Args:
        recurrence: f_t.
        memory: `h_{-1}`, `[B, K, D]`.
        guess: see Newton.
        teacher: the teacher's memories, `[B, T, K, D]`.

    Raises:
        ValueError: for a guess of teacher without the teacher's memories.
    """
    if guess == "teacher":
        if teacher is None:
            raise ValueError("Newton.guess is teacher, but there are no teacher memories; set it to best.")
        return teacher
    zeros = memory.new_zeros(*recurrence.inputs.shape[:2], *memory.shape[1:])
    if guess == "zeros":
        return zeros
    images = recurrence.step(preceding(memory, zeros))
    if guess == "input":
        return images
    candidates = [zeros, images] if teacher is None else [zeros, images, teacher]
    sizes = [relative_size(recurrence.step(preceding(memory, states)) - states, states) for states in candidates]
    best = torch.stack(sizes).nan_to_num(nan=torch.inf).argmin(0)
    return torch.stack(candidates)[best, torch.arange(len(memory), device=memory.device)]


def relative_size(defect: Tensor, states: Tensor) -> Tensor:
    """The largest `|r| / max(1, |h|)` of each sample: `[B, T, K, D]` twice to `[B]`; NaN where any number is NaN."""
    return (defect.abs() / states.abs().clamp(min=1)).flatten(1).amax(1)
