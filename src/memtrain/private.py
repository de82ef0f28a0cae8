"""What memtrain knows of its libraries beyond their public API, with the reasons. tests/test_private.py checks each.

Everything else goes through documented names. Do not read a private attribute or a message anywhere but here.
"""

import re

HPC_CHECKPOINTS = "hpc_ckpt_*.ckpt"
"""Lightning's name for what it saves when a SLURM job's time limit is near, in `trainer.default_root_dir`.

Lightning continues from such a file without being asked. Its name is documented nowhere, and memtrain must find the
file to refuse a fresh start beside it.
"""


def added_by_lightning(option: str) -> bool:
    """Whether LightningCLI has put this entry among the hyperparameters of a checkpoint.

    `_class_path` and `_instantiator` are no options of the class. Nothing public lists them; each begins with an
    underscore.
    """
    return option.startswith("_")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory does not suffice.

    On a CPU torch raises a RuntimeError, which differs from others by its message alone. `torch.OutOfMemoryError` is
    told by its name, so that the command line need not import torch.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def option_of(message: str) -> str | None:
    """The option that a message of jsonargparse is about; None: it names none.

    jsonargparse's exceptions have no attribute for it. It stands in a preface: `Parser key "model.learning_rate": ...`.
    """
    preface = _preface(message)
    return preface.group(1) if preface else None


def without_option(message: str) -> str:
    """A message of jsonargparse without the preface that names the option."""
    preface = _preface(message)
    return message.removeprefix(preface.group(0)) if preface else message


def _preface(message: str) -> re.Match[str] | None:
    return re.match(r'Parser key "([^"]+)":\s*', message)
