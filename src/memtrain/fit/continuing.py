"""What a run that continues, or reads a checkpoint, must have in common with the run that has left it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from memtrain.callbacks.hyperparameters import flat
from memtrain.checkpoints import load_checkpoint
from memtrain.data import SequenceDataModule
from memtrain.files import LAST_CHECKPOINT
from memtrain.fit.cluster import continues_by_itself, is_next_turn, left_at_time_limit
from memtrain.private import added_by_lightning
from memtrain.training import StageModule

RECORDED = ("memtrain", "hyper_parameters", "datamodule_hyper_parameters", "global_step")
"""Entries of a checkpoint that say how it was trained."""
FREE_DATA_OPTIONS = ("batch_size", "workers", "evaluation_samples", "evaluation_batch_size")
"""Options of the data that may change when a run is continued: on another machine, with another number of processes."""


def require_checkpoint(settings: Namespace, command: str, folder: Path) -> dict[str, Any] | None:
    """Refuse a `ckpt_path` that is missing, unsafe, or not of this stage.

    Lightning merges a checkpoint's options over those of the command line; `last` is the one way in which these cannot
    differ when a run is continued.

    Args:
        settings: a parsed configuration with `model`, `trainer` and `ckpt_path`.
        command: fit, validate, test or predict.
        folder: of the run.

    Returns:
        What the checkpoint records beside the weights; None where none is read.

    Raises:
        ValueError: saying what to give instead.
    """
    path, asked = settings.ckpt_path, settings.model.class_path
    if command != "fit":
        if path is None:
            raise ValueError(f"ckpt_path is missing, but {command} reads a checkpoint; give its file.")
        return require_class(path, path, asked)
    if path is None:
        if not (is_next_turn() and continues_by_itself(folder)):
            refuse_trained(folder)
        return None
    if path != "last":
        raise ValueError(
            f"ckpt_path is {path}, but fit takes only last, with trainer.default_root_dir the folder of the "
            "run to continue; to start a stage from another's checkpoint, give it as model.init_from."
        )
    if settings.trainer.default_root_dir is None:
        raise ValueError("ckpt_path is last, but no run is named; give its folder as trainer.default_root_dir.")
    return require_class(path, folder / LAST_CHECKPOINT, asked)


def require_class(option: str, file: Path | str, asked: str) -> dict[str, Any]:
    """Refuse a checkpoint of another stage than the model's, and one that is missing or unsafe.

    Args:
        option: what `ckpt_path` is.
        file: the checkpoint's.
        asked: class path of the model.

    Returns:
        What it records beside the weights.

    Raises:
        ValueError: naming both classes; and see `load_checkpoint`.
    """
    checkpoint = load_checkpoint(file)
    trained = checkpoint["memtrain"]["class_path"]
    if trained.rpartition(".")[2] != asked.rpartition(".")[2]:
        raise ValueError(f"ckpt_path is {option}, a checkpoint of {trained}, but model is {asked}; name that one.")
    return {name: checkpoint[name] for name in RECORDED if name in checkpoint}


def require_same_options(checkpoint: Mapping[str, Any], model: StageModule, data: SequenceDataModule) -> None:
    """Refuse to continue a run with other options of its model or data, which would be recorded and not used.

    Args:
        checkpoint: what that of the run records.
        model: as it has been built now.
        data: likewise.

    Raises:
        ValueError: naming the first that differs.
    """
    built: dict[str, tuple[Any, Any]] = {
        "model": (model.hparams, checkpoint["hyper_parameters"]),
        "data": (data.hparams, checkpoint["datamodule_hyper_parameters"]),
    }
    for part, (given, recorded) in built.items():
        own = flat(given)
        for name, value in flat(recorded).items():
            free = added_by_lightning(name) or (part == "data" and name in FREE_DATA_OPTIONS)
            if own.get(name) != value and not free:
                raise ValueError(
                    f"ckpt_path is last, a run with {part}.{name} {value}, but here it is {own.get(name)}; "
                    "continue it as it was, or start from it with model.init_from."
                )


def refuse_trained(folder: Path) -> None:
    """Refuse to start anew where a run has left its checkpoint, which would be overwritten."""
    last, at_limit = folder / LAST_CHECKPOINT, left_at_time_limit(folder)
    if at_limit is not None and not last.is_file():
        raise ValueError(
            f"trainer.default_root_dir is {folder}, which holds {at_limit.name}, left by a run at its time limit; "
            f"rename it to {LAST_CHECKPOINT} and give --ckpt_path last to continue it, or give another folder."
        )
    if last.is_file():
        raise ValueError(
            f"trainer.default_root_dir is {folder}, which holds the run of {last}; give --ckpt_path last to continue "
            "it, or another folder."
        )
