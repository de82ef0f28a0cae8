"""ExportFolder: what `memtrain export` has written, read back, and the model that it runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from memtrain.checkpoints import rebuilt
from memtrain.data import SequenceDataModule
from memtrain.export.formats import FORMATS
from memtrain.export.session import THREADS, Run
from memtrain.files import read_json
from memtrain.limits import require_at_least
from memtrain.networks import Interface, OutputHead
from memtrain.networks.sequence_model import Stream
from memtrain.training.loading import rebuild_datamodule

DESCRIPTION, INITIAL_MEMORY = "description.json", "initial_memory.safetensors"
ENTRIES = ("format", "file", "interface", "network", "data")
"""Of a description, without which nothing runs."""


@dataclass(frozen=True)
class ExportFolder:
    """The folder of an export.

    Attributes:
        path: where it is.
        description: its `description.json`.
    """

    path: Path
    description: Mapping[str, Any]

    @cached_property
    def interface(self) -> Interface:
        """What goes in and what comes out."""
        interface: Interface = rebuilt(Interface, self.description["interface"])
        return interface

    def initial_memory(self) -> Tensor:
        """`m_init`, `[1, K, D]`.

        Raises:
            ValueError: if its file is missing or damaged.
        """
        try:
            return load_file(self.path / INITIAL_MEMORY)["memory"]
        except (OSError, SafetensorError, KeyError) as error:
            raise ValueError(
                f"{self.path / INITIAL_MEMORY} cannot be read ({error}); export the checkpoint again."
            ) from error

    def model(self, threads: int = THREADS) -> "ExportedModel":
        """What runs it, with so many threads of the processor.

        Raises:
            ValueError: if its file is not the one that was written, or cannot be run here.
        """
        require_at_least("--threads", threads, 1)
        file = self.path / self.description["file"]["name"]
        if not file.is_file() or sha256(file) != self.description["file"]["sha256"]:
            raise ValueError(f"{file} is missing, or not the file that was exported; export the checkpoint again.")
        run = FORMATS[self.description["format"]].run(self.path, self.description, threads)
        return ExportedModel(run, self.initial_memory(), self.interface)

    def datamodule(self) -> SequenceDataModule:
        """The data that it was trained on; no file of theirs is read.

        Raises:
            ValueError: if it was trained without.
        """
        data = self.description["data"]
        if data is None:
            raise ValueError(
                f"{self.path} was trained without a data module, so how its inputs are written is not known."
            )
        return rebuild_datamodule(self.path, data["class_path"], data["init_args"])


class ExportedModel:
    """An exported step that runs.

    Args:
        run: the step.
        start: `m_init`, `[1, K, D]`.
        interface: what goes in and what comes out.
    """

    def __init__(self, run: Run, start: Tensor, interface: Interface) -> None:
        self.run, self.start = run, start
        # Samples and scores depend on parameters alone; those of the head itself are in the exported step.
        self.head: OutputHead = interface.outputs.head(1)

    @torch.inference_mode()
    def step(self, inputs: Mapping[str, Tensor], memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """One timestep.

        Args:
            inputs: by name, `[B, ...]` each.
            memory: `m_{t-1}`, `[B, K, D]`; None before the first input.

        Returns:
            Parameters of `y_t`, `[B, P]`, and the memory `m_t`, `[B, K, D]`.
        """
        if memory is None:
            batch = len(next(iter(inputs.values())))
            memory = self.start.repeat(batch, 1, 1)
        return self.run(inputs, memory)

    def prepared(self) -> Stream:
        """See `StreamingModel.prepared`."""

        def take_in(inputs: Tensor, memory: Tensor | None, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.step({"inputs": inputs} | ({} if ahead is None else {"ahead": ahead}), memory)

        return take_in


def sha256(file: Path) -> str:
    """Of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_export(path: Path) -> bool:
    """Whether a path is the folder of an export."""
    return (path / DESCRIPTION).is_file()


def open_export(path: str | Path) -> ExportFolder:
    """Read what `memtrain export` has written; nothing in it is executed.

    Args:
        path: the folder.

    Raises:
        ValueError: if it is none.
    """
    path = Path(path)
    description = read_json(path / DESCRIPTION)
    if (
        not isinstance(description, dict)
        or not set(ENTRIES) <= set(description)
        or description["format"] not in FORMATS
    ):
        raise ValueError(
            f"{path} is no export (it has no {DESCRIPTION} of memtrain); give a folder that `memtrain export` has made."
        )
    return ExportFolder(path, description)
