"""What one stage hands on to the next: networks, counters and provenance."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from memtrain.checkpoints import Source
from memtrain.costs import Counters
from memtrain.networks.interface import class_path


def require_source(stage: str, requires: tuple[str, ...]) -> None:
    """Refuse to train a stage from nothing that needs trained networks.

    Args:
        stage: its name.
        requires: names of the networks that it needs.

    Raises:
        ValueError: if it needs any.
    """
    if requires:
        raise ValueError(
            f"init_from is null, but stage {stage} with these options needs a trained {' and '.join(requires)}; give a "
            "checkpoint of an earlier stage."
        )


def take_over(
    source: Source, networks: Mapping[str, nn.Module | None], requires: tuple[str, ...]
) -> tuple[Counters, list[dict[str, Any]]]:
    """Give the networks of a stage the weights of the stage before, which then lets go of them.

    Args:
        source: the checkpoint that the stage starts from.
        networks: those of the stage, by name; None: it has none of that name.
        requires: names of the networks that the source must have.

    Returns:
        The counters and the provenance that the stage goes on with.

    Raises:
        ValueError: if the source lacks a required network.
    """
    # The teacher last: in SMT its decoder is the RNN's readout, and after DMT the source has two of them.
    source.restore({name: networks[name] for name in reversed(list(networks))}, requires)
    return Counters(**source.counters), source.provenance


def record(
    stage: str, counters: Counters, provenance: list[dict[str, Any]], module: object, trainer: object
) -> dict[str, Any]:
    """What a checkpoint says about its stage, as plain numbers and strings.

    Args:
        stage: its name.
        counters: its costs so far.
        provenance: the stages before it.
        module: its module.
        trainer: has the data module that it trains on, if there is one.
    """
    data = getattr(trainer, "datamodule", None)
    return {
        "stage": stage,
        "counters": counters.to_primitive(),
        "provenance": provenance,
        "class_path": class_path(module),
        "data_class_path": None if data is None else class_path(data),
    }
