"""Sequential FLOPs of an optimizer step: its longest chain of operations, per sample.

Operations that are independent over batch, timestep or token count once; a backward pass costs twice its
forward pass. Each link of the chain counts whole, matrix products and all: depth times the work of a link.
"""

from memtrain.networks import RNN, Teacher
from memtrain.networks.flops import cell_flops, decoder_flops, encoder_flops, input_flops, readout_flops
from memtrain.trajectory.solution import Trajectory


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


def rollout_flops(teacher: Teacher | None, rnn: RNN, length: int, trajectory: Trajectory) -> int:
    """A step of DMT or BPTT: `encoder + trajectory + 3 * (inputs + readout)`.

    Args:
        teacher: the frozen teacher whose memories are read; None: there is none.
        rnn: the RNN.
        length: T, which the encoder sees.
        trajectory: the rollout, which knows its updates forward and backward.
    """
    encoder = 0 if teacher is None else encoder_flops(teacher, length)
    ends = input_flops(rnn) + readout_flops(rnn.readout, rnn.cell.memory_tokens)
    return encoder + trajectory.sequential_flops(cell_flops(rnn)) + 3 * ends
