"""Their side: the forward passes of the authors' `model.py`, configured and stepped as in their training scripts."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.reference import Reference
from benchmarks.settings import Setting
from benchmarks.steps import BETAS, LEARNING_RATE, WEIGHT_DECAY, OptimizerStep

Networks = tuple[Any, Any]
"""Their teacher and RNN."""


def smt_loss(reference: Reference, networks: Networks, batch: dict[str, Tensor], setting: Setting) -> dict[str, Tensor]:
    """`forward_smt` with the weights of their published command."""
    teacher, rnn = networks
    configuration = reference.model.SMTConfig(T=setting.context + setting.future, Tc=setting.context, Tf=setting.future)
    return reference.model.forward_smt(rnn, teacher, batch, configuration)


def dmt_loss(
    reference: Reference, networks: Networks, batch: dict[str, Tensor], setting: Setting, through_time: bool
) -> dict[str, Tensor]:
    """`forward_dmt` with the weights of their published command.

    Args:
        reference: their code.
        networks: their teacher and RNN.
        batch: `x` and `y`, int64 `[B, Tc + Td + Tf]`.
        setting: sizes of the work.
        through_time: gradients through the whole rollout; their `detach_rnn` means the opposite of its name.
    """
    teacher, rnn = networks
    configuration = reference.model.DMTConfig(
        T=setting.context + setting.rollout + setting.future,
        Td=setting.rollout,
        Tc=setting.context,
        Tf=setting.future,
        k=setting.label_stride,
        detach_rnn=through_time,
    )
    return reference.model.forward_dmt(rnn, teacher, batch, configuration)


def bptt_loss(
    reference: Reference, networks: Networks, batch: dict[str, Tensor], setting: Setting
) -> dict[str, Tensor]:
    """`forward_bptt`, which starts from a memory of zeros."""
    return reference.model.forward_bptt(networks[1], batch, reference.model.BPTTConfig(T=setting.rollout))


def their_step(networks: Networks, loss: Any, trained: tuple[Any, ...]) -> OptimizerStep:
    """One optimizer step of theirs.

    Args:
        networks: their teacher and RNN, both clipped.
        loss: computes what a forward pass returns.
        trained: the networks that the optimizer steps.
    """
    teacher, rnn = networks
    for network in networks:
        network.train()
    parameters = [p for network in trained for p in network.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=BETAS)
    return OptimizerStep(lambda: loss()["loss"], [list(rnn.parameters()), list(teacher.parameters())], optimizer)
