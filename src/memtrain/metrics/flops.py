"""Sequential FLOPs of an optimizer step: its longest chain of operations, per sample.

Operations that are independent over batch, timestep or token count once; a backward pass costs twice its
forward pass. Each link of the chain counts whole, matrix products and all: depth times the work of a link.
"""

from torch import nn

from memtrain.networks import RNN, Teacher
from memtrain.networks.transformer import Transformer


def forward_flops(module: nn.Module, keys: int = 1) -> int:
    """Cost of one token's way forward through a module.

    A Transformer costs `q(S) = 2 * P_block + 4 * S * inner width` a block; its final norm is left out.
    Parameters outside Transformers (a gated, MLP or user's cell) are one multiply-add each: 2 FLOPs.

    Args:
        module: any module.
        keys: tokens S that each token attends to in the module's Transformers.
    """
    if isinstance(module, Transformer):
        block = module.blocks[0]
        parameters = sum(p.numel() for p in block.parameters())
        return len(module.blocks) * (2 * parameters + 4 * keys * block.attention.inner)
    own = 2 * sum(p.numel() for p in module.parameters(recurse=False))
    return own + sum(forward_flops(child, keys) for child in module.children())


def encoder_flops(teacher: Teacher, length: int) -> int:
    """`L_enc q(S)` with S the context, at most `context_length` tokens, and its K registers."""
    options = teacher.encoder.options
    context = min(length, options.context_length or length)
    return forward_flops(teacher.encoder.transformer, context + options.memory_tokens)


def decoder_flops(teacher: Teacher, length: int, future_length: int | None) -> int:
    """`L_dec q(K + Tf)`; a `future_length` of None is T, the longest there is."""
    future = min(length, future_length or length)
    return forward_flops(teacher.decoder.transformer, teacher.decoder.memory_tokens + future)


def input_flops(rnn: RNN) -> int:
    """What a cell makes of its inputs alone: independent over timesteps, so that it counts once a rollout."""
    return 2 * sum(p.numel() for p in rnn.cell.input_parameters())


def cell_flops(rnn: RNN) -> int:
    """One update: `L_cell q(K + 1)`, or `forward_flops` of a cell without Transformers, but for `input_flops`."""
    return forward_flops(rnn.cell, rnn.cell.memory_tokens + 1) - input_flops(rnn)


def readout_flops(rnn: RNN) -> int:
    """`L_dec q(K)`, or the linear readout's cost."""
    return forward_flops(getattr(rnn.readout, "transformer", rnn.readout), rnn.cell.memory_tokens)


def teacher_flops(teacher: Teacher, length: int, future_length: int | None = None) -> int:
    """A step of stage teacher: `3 * (encoder + decoder)`.

    Args:
        teacher: the teacher.
        length: T.
        future_length: Tf; None: to the end of the sequence.
    """
    return 3 * (encoder_flops(teacher, length) + decoder_flops(teacher, length, future_length))


def smt_flops(
    teacher: Teacher, rnn: RNN, length: int, future_length: int | None = None, frozen_teacher: bool = False
) -> int:
    """A step of SMT: `3 * (encoder + max(decoder, update))`; decoder and update are branches of the same memory.

    Args:
        teacher: the teacher.
        rnn: the RNN.
        length: T.
        future_length: Tf; None: to the end of the sequence.
        frozen_teacher: f is trained alone and the encoder runs forward only: `encoder + 3 * update`.
    """
    update = input_flops(rnn) + cell_flops(rnn)
    if frozen_teacher:
        return encoder_flops(teacher, length) + 3 * update
    return 3 * (encoder_flops(teacher, length) + max(decoder_flops(teacher, length, future_length), update))


def dmt_flops(
    teacher: Teacher, rnn: RNN, length: int, steps: int, through_time: bool, truncation: int | None = None
) -> int:
    """A step of DMT, whose teacher is frozen, or of BPTT from the teacher's memories.

    Args:
        teacher: the teacher.
        rnn: the RNN.
        length: T, which the encoder sees.
        steps: cell evaluations that follow one another: the rollout's length, or picard's sweeps.
        through_time: see `bptt_flops`; what it says is added to `encoder`.
        truncation: likewise.
    """
    return encoder_flops(teacher, length) + bptt_flops(rnn, steps, through_time, truncation)


def bptt_flops(rnn: RNN, steps: int, through_time: bool = True, truncation: int | None = None) -> int:
    """A step of BPTT: `3 * (inputs + T * cell + readout)`.

    Args:
        rnn: the RNN.
        steps: cell evaluations that follow one another, T for the whole sequence.
        through_time: False: the rollout carries no gradient and one batched step with gradient follows it:
            `T * cell + 3 * (inputs + cell + readout)`.
        truncation: the gradient path is cut every so many steps, and the ways back through the parts are independent:
            `(T + 2 * truncation) * cell + 3 * (inputs + readout)`. None: never.
    """
    backward = min(steps, truncation or steps) if through_time else 1
    forward = steps if through_time else steps + 1
    return (forward + 2 * backward) * cell_flops(rnn) + 3 * (input_flops(rnn) + readout_flops(rnn))
