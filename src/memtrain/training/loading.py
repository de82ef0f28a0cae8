"""Rebuilding the module and the data of a checkpoint, from the checkpoint alone."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from memtrain.checkpoints import load_checkpoint, load_weights
from memtrain.data import SequenceDataModule
from memtrain.parsing import sentence
from memtrain.training.module import StageModule


def load_module(path: str | Path) -> StageModule:
    """The LightningModule of a checkpoint, in evaluation mode; see `load_checkpoint` for what is raised."""
    checkpoint = load_checkpoint(path)
    module = _rebuild(StageModule, path, checkpoint["memtrain"]["class_path"], checkpoint["hyper_parameters"])
    load_weights(module, checkpoint["state_dict"], path)
    module.on_load_checkpoint(checkpoint)
    return module.eval()


def load_datamodule(path: str | Path) -> SequenceDataModule:
    """The data module that a checkpoint was trained on.

    Raises:
        ValueError: if it was trained without one; and see `load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    class_path = checkpoint["memtrain"]["data_class_path"]
    if class_path is None:
        raise ValueError(f"The checkpoint {path} was trained without a data module, so its data is not known.")
    return rebuild_datamodule(path, class_path, checkpoint["datamodule_hyper_parameters"])


def rebuild_datamodule(path: str | Path, class_path: str, options: dict[str, Any]) -> SequenceDataModule:
    """The data module of this class and these options, which the checkpoint or export `path` records."""
    module: SequenceDataModule = _rebuild(SequenceDataModule, path, class_path, options)
    return module


def _rebuild(base: type, path: str | Path, class_path: str, hyper_parameters: dict[str, Any]) -> Any:
    """An instance of `class_path`, a subclass of `base`, with the options that the checkpoint `path` records."""
    init_args = {key: value for key, value in hyper_parameters.items() if not key.startswith("_")}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, "object", fail_untyped=False)
    try:
        options = parser.parse_object({"object": {"class_path": class_path, "init_args": init_args}})
    except ArgumentError as error:
        raise ValueError(
            f"The checkpoint {path} was written by {class_path}, which is not here as it was then ({sentence(error)}); "
            "start memtrain where that class can be imported."
        ) from None
    return parser.instantiate(options).object
