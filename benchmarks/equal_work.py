"""Whether both sides do the same work, read off their networks and not off the options that made them."""

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from memtrain.networks import RNN, Teacher
from memtrain.networks.encoder import TokenEncoder
from memtrain.networks.transformer import Transformer

Work = dict[str, Any]
"""What a side works with: sizes, batch, lengths, `terms` (of the loss that trains) and trained `parameters`."""

PARAMETER_TOLERANCE = 0.05
"""Largest relative difference of the numbers of trained parameters."""


def our_work(teacher: Teacher | None, rnn: RNN, **rest: Any) -> Work:
    """What our side works with."""
    stacks = {"cell": cast(Transformer, rnn.cell.transformer)}
    if teacher is not None:
        stacks |= {"encoder": teacher.encoder.transformer}
    stacks |= {"decoder": cast(Transformer, rnn.readout.transformer)}
    sizes: Work = {}
    for name, stack in stacks.items():
        attention = stack.blocks[0].attention
        sizes |= {
            f"{name} layers": len(stack.blocks),
            f"{name} heads": attention.heads,
            f"{name} head dimension": attention.inner // attention.heads,
        }
    vocabulary, width = cast(TokenEncoder, rnn.embedding).weight.shape
    return {"vocabulary": vocabulary, "width": width, "memory tokens": rnn.cell.memory_tokens, **sizes, **rest}


def their_work(teacher: Any | None, rnn: Any, **rest: Any) -> Work:
    """What their side works with."""
    stacks = {"cell": rnn.rnn}
    if teacher is not None:
        stacks |= {"encoder": teacher.encoder}
    stacks |= {"decoder": rnn.decoder}
    sizes: Work = {}
    for name, stack in stacks.items():
        attention = stack.layers[0][1]
        sizes |= {
            f"{name} layers": len(stack.layers) // 2,
            f"{name} heads": attention.heads,
            f"{name} head dimension": cast(nn.Linear, attention.to_q).weight.shape[0] // attention.heads,
        }
    vocabulary, width = rnn.embed.weight.shape
    return {"vocabulary": vocabulary, "width": width, "memory tokens": rnn.cfg.mem_tokens, **sizes, **rest}


def check_equal_work(workload: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuse to compare unequal work.

    Args:
        workload: its name.
        ours: what our side works with.
        theirs: what theirs does. `terms` must be among ours, which may have more; everything else must be equal, but
            for `parameters`, which may differ by 5 %.

    Raises:
        ValueError: naming the first difference.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"{workload}: {sorted(ours.keys() ^ theirs.keys())} is known of one side only; describe both.")
    for name, value in theirs.items():
        if name == "parameters":
            equal = abs(ours[name] - value) <= PARAMETER_TOLERANCE * value
        elif name == "terms":
            equal = set(value) <= set(ours[name])
        else:
            equal = ours[name] == value
        if not equal:
            raise ValueError(
                f"{workload}: {name} is {ours[name]} on our side and {value} on theirs; give both the same work."
            )
