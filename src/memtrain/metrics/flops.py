"""Sequential FLOPs and sequential depth of an optimizer step: its longest chain of operations, per sample.

Operations that are independent over batch, timestep or token count once; a backward pass costs twice its
forward pass. Each link of the chain counts whole, matrix products and all: depth times the work of a link.

Depth counts the links: a product, an attention, a norm and a nonlinearity are one each, a scan over T steps is log2(T),
a backward pass as many as its forward pass (see `memtrain.networks.flops.forward_depth`).
"""

from torch import nn

from memtrain.networks import RNN, Teacher
from memtrain.networks.flops import (
    forward_depth,
    input_depth,
    input_flops,
    readout_flops,
    update_depth,
    update_flops,
)
from memtrain.trajectory.solution import Trajectory


def teacher_flops(teacher: Teacher, length: int, future_length: int | None = None) -> int:
    """A step of stage teacher: `3 * (encoder + decoder)`.

    Args:
        teacher: the teacher.
        length: T.
        future_length: Tf; None: to the end of the sequence.
    """
    future = min(length, future_length or length)
    return 3 * (teacher.encoder.sequential_flops(length) + teacher.decoder.sequential_flops(future))


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
    update = input_flops(rnn.cell) + update_flops(rnn.cell)
    encoder, future = teacher.encoder.sequential_flops(length), min(length, future_length or length)
    if frozen_teacher:
        return encoder + 3 * update
    return 3 * (encoder + max(teacher.decoder.sequential_flops(future), update))


def rollout_flops(teacher: Teacher | None, rnn: RNN, length: int, trajectory: Trajectory) -> int:
    """A step of DMT or BPTT: `encoder + trajectory + 3 * (inputs + readout)`.

    Args:
        teacher: the frozen teacher whose memories are read; None: there is none.
        rnn: the RNN.
        length: T, which the encoder sees.
        trajectory: the rollout, which knows its updates forward and backward.
    """
    encoder = 0 if teacher is None else teacher.encoder.sequential_flops(length)
    ends = input_flops(rnn.cell) + readout_flops(rnn.readout, rnn.cell.memory_tokens)
    return encoder + trajectory.sequential_flops(update_flops(rnn.cell)) + 3 * ends


def teacher_depth(teacher: Teacher) -> int:
    """Dependent operations of a step of stage teacher: `2 * (encoder + decoder)`."""
    return 2 * (encoder_depth(teacher) + forward_depth(teacher.decoder))


def smt_depth(teacher: Teacher, rnn: RNN, frozen_teacher: bool = False) -> int:
    """Those of a step of SMT: `2 * (encoder + max(decoder, update))`; with a frozen teacher `encoder + 2 * update`."""
    update = input_depth(rnn.cell) + update_depth(rnn.cell)
    if frozen_teacher:
        return encoder_depth(teacher) + 2 * update
    return 2 * (encoder_depth(teacher) + max(forward_depth(teacher.decoder), update))


def rollout_depth(teacher: Teacher | None, rnn: RNN, trajectory: Trajectory) -> int:
    """Those of a step of DMT or BPTT: `encoder + trajectory + 2 * (inputs + readout)`."""
    encoder = 0 if teacher is None else encoder_depth(teacher)
    ends = input_depth(rnn.cell) + forward_depth(rnn.readout)
    return encoder + trajectory.sequential_depth(update_depth(rnn.cell)) + 2 * ends


def model_depth(model: nn.Module, length: int) -> int:
    """Those of a step of a baseline: twice those forward, which the model names as `sequential_depth(length)`.

    A model that does not is taken for its modules, one after the other; see `forward_depth`.
    """
    named = getattr(model, "sequential_depth", None)
    return 2 * (forward_depth(model) if named is None else named(length))


def encoder_depth(teacher: Teacher) -> int:
    """Of the encoder forward: its blocks, the norm behind them, the normalization of memories."""
    return forward_depth(teacher.encoder) + 1
