"""What a machine's memory does not hold: refused before training where that is plain, and named where it turns out."""

import os
from math import inf

from lightning.pytorch import Callback, LightningModule, Trainer

from memtrain.data import SequenceDataModule
from memtrain.private import is_out_of_memory

BYTES = 8 + 8 + 1
"""Of a timestep of a batch: input, target and mask, which are of 64 bits or less; whatever a network makes of them."""


def memory_of_machine() -> float:
    """Its bytes; infinite where the system does not say."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_room(data: SequenceDataModule) -> None:
    """Refuse batches that no network could read, as their tokens alone fill the machine.

    Raises:
        ValueError: naming option, value and remedy.
    """
    there = memory_of_machine()
    evaluated = min(data.evaluation_batch_size, data.evaluation_samples)
    read = {"batch_size": data.batch_size, "evaluation_batch_size": evaluated}
    for option, rows in read.items():
        needed = rows * data.sequence_length * BYTES
        if needed > there:
            raise ValueError(
                f"data.{option} is {getattr(data, option)}, but so many sequences of {data.sequence_length} timesteps "
                f"take {needed / 1e9:.0f} GB, and this machine has {there / 1e9:.0f}; choose a smaller one, or shorter "
                "sequences."
            )


class MemoryNote(Callback):
    """Says, where memory has run out, which option takes less of it."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Add a note for the command line to print."""
        data = getattr(trainer, "datamodule", None)
        if not is_out_of_memory(exception) or not isinstance(data, SequenceDataModule):
            return
        if trainer.training:
            exception.add_note(
                f"in training, with data.batch_size {data.batch_size}; choose a smaller one, or a larger "
                "model.micro_batches, a divisor of it"
            )
        else:
            exception.add_note(
                f"in evaluation, with data.evaluation_batch_size {data.evaluation_batch_size}; choose a smaller one"
            )
