"""Gradient profile: how strongly the last prediction pulls on each input, through the RNN or the teacher."""

from dataclasses import dataclass

import torch
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.networks import RNN, OutputHead, Teacher


@dataclass(frozen=True)
class GradientProfile:
    """Gradient norms against t, averaged over the samples that have a last target.

    Attributes:
        embedding: `||d CE(y_{T-1}) / d embedding(x_t)||`, `[T]`.
        memory: `||dL / dm_t||`, `[T]`. For the RNN L is the same CE(y_{T-1}), at the rollout's end. For the
            teacher L is the CE(y_{T-1}) of `D(m_t, x_{t+1} .. x_{T-1})`, computed for each t by itself. Its depth is
            the same at every t. It is smaller with more inputs after t, because they share the decoder's attention.
    """

    embedding: Tensor
    memory: Tensor


def rnn_gradient_profile(rnn: RNN, batch: SequenceBatch) -> GradientProfile:
    """The profile that BPTT sees: through the rollout, stepped so that each memory is a node of the graph.

    Args:
        rnn: the RNN.
        batch: `[B, T]`; only targets at T-1 count.

    Raises:
        ValueError: where no sample has a target at T-1.
    """
    inputs, last, ahead = _with_last_target(batch)
    # cuDNN would differentiate an RNN in training mode alone
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        embeddings = rnn.embed(inputs).detach().requires_grad_()
        memory, memories = rnn.initial_memory(len(inputs)), []
        for embedding in embeddings.unbind(1):
            memory = rnn.step(memory, embedding)
            memories.append(memory)
        loss = _total(rnn.head, rnn.read(memory, ahead), last)
        gradient, *of_memories = torch.autograd.grad(loss, [embeddings, *memories])
    return GradientProfile(_norms(gradient.unsqueeze(2)), _norms(torch.stack(of_memories, dim=1)))


def teacher_gradient_profile(teacher: Teacher, batch: SequenceBatch) -> GradientProfile:
    """The profile that SMT sees: through encoder and decoder, in a few layers whatever the distance.

    Args:
        teacher: the teacher.
        batch: `[B, T]`; only targets at T-1 count.

    Raises:
        ValueError: where no sample has a target at T-1.
    """
    inputs, last, ahead = _with_last_target(batch)
    length = inputs.shape[1]
    with torch.enable_grad():
        embeddings = teacher.embedding(inputs).detach().requires_grad_()
        memory = teacher.encoder(embeddings, torch.tensor([length - 1], device=inputs.device))
        loss = _total(teacher.head, teacher.read(memory[:, 0], ahead), last)
        (of_embeddings,) = torch.autograd.grad(loss, embeddings)

        memories = teacher.encode(inputs, torch.arange(length, device=inputs.device)).detach()
        of_memories: list[Tensor] = []
        for t, memory in enumerate(memories.unbind(1)):  # at once they would take O(T^2) of memory
            memory = memory.requires_grad_()
            future = teacher.embedding(inputs[:, t + 1 :])
            at_end = torch.tensor([length - 1 - t], device=inputs.device)
            known = None if ahead is None else ahead.unsqueeze(1)
            parameters = teacher.decoder(memory, future, at_end, known).squeeze(1)
            of_memories += torch.autograd.grad(_total(teacher.head, parameters, last), memory)
    return GradientProfile(_norms(of_embeddings.unsqueeze(2)), _norms(torch.stack(of_memories, dim=1)))


def _with_last_target(batch: SequenceBatch) -> tuple[Tensor, Tensor, Tensor | None]:
    """The inputs of the samples whose last targets are all there, these targets, and what is known ahead of them."""
    bearing = batch.mask[:, -1].flatten(1).all(1) if batch.mask.dim() > 2 else batch.mask[:, -1]
    if not bearing.any():
        raise ValueError(
            "The batch has no target at the last timestep, where the gradient profile starts; give another."
        )
    ahead = None if batch.ahead is None else batch.ahead[bearing, -1]
    return batch.inputs[bearing], batch.targets[bearing, -1], ahead


def _total(head: OutputHead, parameters: Tensor, targets: Tensor) -> Tensor:
    """The loss of all samples, each of which has a target."""
    return head.loss(parameters, targets, torch.ones_like(targets, dtype=torch.bool)).sum()


def _norms(gradients: Tensor) -> Tensor:
    """`[B, T, K, D]` to the mean over samples of the norms over K and D, `[T]`."""
    return gradients.flatten(2).norm(dim=-1).mean(0)
