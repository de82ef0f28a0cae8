"""Sequential FLOPs of an optimizer step: its longest chain of operations, per sample.

Operations that are independent over batch, timestep or token count once; a backward pass costs twice its
forward pass. Each link of the chain counts whole, matrix products and all: depth times the work of a link.
"""

from memtrain.networks import RNN, Teacher
from memtrain.networks.flops import input_flops, readout_flops, update_flops
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
