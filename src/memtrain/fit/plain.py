"""Checkpoints hold tensors and plain values alone, so that reading one runs no code: what else is in one is named."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from pickle import PickleError  # what torch raises; nothing is unpickled here
from typing import Any

import torch
from torch import Tensor, nn


def require_plain(checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint that could never be read again.

    Args:
        checkpoint: what is about to be written. Its tensors are left aside: they can be read, and are large.

    Raises:
        ValueError: naming the part that is neither a tensor nor a plain value.
    """
    if reads_back(without_tensors(checkpoint)):
        return
    path, value = next(part for part in parts(checkpoint) if not reads_back(part[1]))
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    where = f"the checkpoint holds {kind} under {'.'.join(path)}"
    if len(path) > 1 and path[0] == "callbacks":
        where = f"the state of callback {path[1]} holds {kind} under key {'.'.join(path[2:])}"
    raise ValueError(
        f"No checkpoint of this run could be read again: {where}, but only tensors and plain values are read; make it "
        "a number, string, list or dictionary, for example with .item() or .tolist()."
    )


def require_readable(file: Path) -> None:
    """Refuse a written checkpoint that cannot be read.

    Raises:
        ValueError: with what torch says of it.
    """
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except PickleError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"No checkpoint of this run could be read again: {said}") from error


def reads_back(value: Any) -> bool:
    """Whether torch reads a value that it has written, without running code."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (PickleError, TypeError, AttributeError):  # the last two of what cannot be written
        return False
    return True


def without_tensors(value: Any) -> Any:
    """The same structure with None in place of tensors."""
    if type(value) in (Tensor, nn.Parameter):
        return None
    if type(value) in (dict, OrderedDict):
        return {key: without_tensors(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return [without_tensors(entry) for entry in value]
    return value


def parts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What a structure is made of, and where each lies; keys come before their values."""
    if type(value) in (dict, OrderedDict):
        for key, entry in value.items():
            yield (*path, str(key)), key
            yield from parts(entry, (*path, str(key)))
    elif type(value) in (list, tuple):
        for index, entry in enumerate(value):
            yield from parts(entry, (*path, str(index)))
    elif type(value) not in (Tensor, nn.Parameter):
        yield path, value
