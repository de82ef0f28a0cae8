"""What one stage hands on to the next: networks, counters and provenance."""

from typing import TYPE_CHECKING, Any

from memtrain.checkpoints import Source
from memtrain.costs import Counters
from memtrain.networks.interface import class_path

if TYPE_CHECKING:
    from memtrain.training.module import StageModule


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


def take_over(module: "StageModule", source: Source) -> None:
    """Give a stage the networks, the counters and the provenance of the stage before.

    Args:
        module: the stage that starts.
        source: the checkpoint that it starts from.

    Raises:
        ValueError: if the source has other inputs, outputs or network options, or lacks a required network.
    """
    source.compare(module.interface, module.structure, module.hparams[module.structure])
    # The teacher last: in SMT its decoder is the RNN's readout, and after DMT the source has two of them.
    source.restore(dict(reversed(module.networks.items())), module.requires())
    module.counters = Counters(**source.counters)
    module.provenance = source.provenance


def record(module: "StageModule", data: object | None) -> dict[str, Any]:
    """What a checkpoint says about its stage, as plain numbers and strings.

    Args:
        module: the stage.
        data: the data module that it trains on; None: there is none.
    """
    return {
        "stage": module.stage,
        "counters": module.counters.to_primitive(),
        "provenance": module.provenance,
        "class_path": class_path(module),
        "data_class_path": None if data is None else class_path(data),
    }
