"""Where the mathematics coincides: their weights carried over to ours, and the outputs of both compared."""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.ours import AuthorsDMT, AuthorsSMT, our_step, outcome_of
from benchmarks.reference import Reference
from benchmarks.settings import Setting
from benchmarks.theirs import Networks, bptt_loss, dmt_loss, smt_loss
from memtrain.batch import SequenceBatch
from memtrain.networks import RNN, Teacher
from memtrain.networks.teacher import Decoder
from memtrain.networks.transformer import Transformer
from memtrain.training import BPTTModule
from memtrain.trajectory import Detached, Windows

TOLERANCE = 1e-4
"""Largest difference of any output."""

BIDIRECTIONAL: dict[str, Any] = {"attention": "bidirectional", "register_positions": "consecutive"}
"""Options with which our encoder is theirs; `context_length` comes with the work."""


@torch.no_grad()
def carry_stack(theirs: Any, ours: Transformer) -> None:
    """Copy an x-transformers stack, whose gains are stored without their offset."""
    for i, block in enumerate(ours.blocks):
        (norm, *_), attention, _ = theirs.layers[2 * i]
        block.attention_norm.weight.copy_(norm.g + float(norm.unit_offset))
        block.attention.qkv.weight.copy_(
            torch.cat([attention.to_q.weight, attention.to_k.weight, attention.to_v.weight])
        )
        block.attention.out.weight.copy_(attention.to_out.weight)
        (norm, *_), feed_forward, _ = theirs.layers[2 * i + 1]
        block.feed_forward_norm.weight.copy_(norm.g + float(norm.unit_offset))
        cast(nn.Linear, block.feed_forward[0]).load_state_dict(feed_forward.ff[0][0].state_dict())
        cast(nn.Linear, block.feed_forward[2]).load_state_dict(feed_forward.ff[2].state_dict())
    ours.norm.weight.copy_(theirs.final_norm.g + float(theirs.final_norm.unit_offset))


def carry_decoder(theirs: Any, ours: nn.Module) -> None:
    """Copy the decoder and logits of one of their networks."""
    decoder = cast(Decoder, ours)
    carry_stack(theirs.decoder, decoder.transformer)
    decoder.head.load_state_dict(theirs.to_logits.state_dict())


def carry_teacher(theirs: Any, ours: Teacher) -> None:
    """Copy their teacher."""
    ours.embedding.load_state_dict(theirs.embed.state_dict())
    with torch.no_grad():
        ours.encoder.registers.copy_(theirs.encoder_mem_register.weight)
    carry_stack(theirs.encoder, ours.encoder.transformer)
    carry_decoder(theirs, ours.decoder)


def carry_rnn(theirs: Any, ours: RNN, readout: bool) -> None:
    """Copy their RNN; `readout` False leaves ours alone, which in SMT is the teacher's decoder."""
    ours.embedding.load_state_dict(theirs.embed.state_dict())
    carry_stack(theirs.rnn, cast(Transformer, ours.cell.transformer))
    if readout:
        carry_decoder(theirs, ours.readout)


@torch.no_grad()
def check_parity(reference: Reference, setting: Setting) -> dict[str, float]:
    """Compare both sides' outputs, from the same weights.

    Args:
        reference: their code.
        setting: sizes of the work.

    Returns:
        The largest absolute difference of each output.

    Raises:
        ValueError: if one is above the tolerance.
    """
    networks = reference.networks(setting.size)
    comparisons = {
        **smt_outputs(reference, networks, setting),
        **dmt_outputs(reference, networks, setting),
        **bptt_outputs(reference, networks, setting),
    }
    differences = {}
    for name, (ours, theirs) in comparisons.items():
        differences[name] = float((ours - theirs).abs().max())
        if not differences[name] <= TOLERANCE:
            raise ValueError(
                f"the {name} of both sides differs by {differences[name]:.1e}, more than {TOLERANCE:.0e}, from the "
                "same weights; make the mathematics equal before timing it."
            )
    return differences


Pairs = dict[str, tuple[Tensor, Tensor]]


def random_batch(setting: Setting, length: int) -> SequenceBatch:
    """Next-token data: random tokens, with a target at every position."""
    tokens = torch.randint(setting.size.vocabulary, (setting.batch, length + 1))
    return SequenceBatch.of(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), torch.arange(setting.batch))


def first_timesteps(batch: SequenceBatch, length: int) -> SequenceBatch:
    """The same sequences, cut off after `length` timesteps."""
    return SequenceBatch(batch.inputs[:, :length], batch.targets[:, :length], batch.mask[:, :length], batch.index)


def as_theirs(batch: SequenceBatch) -> dict[str, Tensor]:
    """The same tokens as the dictionary that the authors' code takes."""
    return {"x": batch.inputs, "y": batch.targets}


def smt_outputs(reference: Reference, networks: Networks, setting: Setting) -> Pairs:
    """Memories, logits, one-step predictions and all three terms of an SMT step."""
    teacher, rnn = networks
    module = AuthorsSMT(
        context=setting.context,
        interface=setting.size.interface,
        network=setting.size.network(context_length=setting.context, **BIDIRECTIONAL),
        future_length=setting.future,
    )
    carry_teacher(teacher, module.teacher)
    carry_rnn(rnn, module.rnn, readout=False)
    batch = random_batch(setting, setting.context + setting.future)
    theirs = smt_loss(reference, networks, as_theirs(batch), setting)
    before = torch.tensor([setting.context - 1])
    memories = module.teacher.encode(batch.inputs, torch.cat([before, before + 1])).flatten(2)
    memory = memories[:, 0].unflatten(-1, (setting.size.memory_tokens, setting.size.width))
    predicted = module.rnn.step(memory, module.rnn.embed(batch.inputs[:, setting.context]))
    terms = outcome_of(module, batch).terms
    return {
        "encoding": (memories, torch.stack([theirs["m_now"], theirs["m_next"]], dim=1)),
        "one-step prediction": (predicted.flatten(1), theirs["m_next_pred"]),
        "readout": (module.rnn.read(memory), teacher.teacher_readout(theirs["m_now"])),
        "decoding loss": (terms["decoding"], theirs["loss_decoder"]),
        "dynamics loss": (terms["dynamics"], 0.1 * theirs["loss_dyn"]),
        "uniformity loss": (terms["uniformity"], 0.001 * theirs["loss_unif"]),
    }


def dmt_outputs(reference: Reference, networks: Networks, setting: Setting) -> Pairs:
    """Both terms of a DMT step; the trajectory's gradient changes no value."""
    module = AuthorsDMT(
        context=setting.context,
        interface=setting.size.interface,
        network=setting.size.network(context_length=setting.context, **BIDIRECTIONAL),
        trajectory=Detached(),
        windows=Windows(label_stride=setting.label_stride),
    )
    carry_teacher(networks[0], module.teacher)
    carry_rnn(networks[1], module.rnn, readout=True)
    # Their rollout counts its start as step 0, so theirs needs one more label to reach the last of ours.
    longer = replace(setting, rollout=setting.rollout + setting.label_stride)
    batch = random_batch(setting, longer.context + longer.rollout + longer.future)
    theirs = dmt_loss(reference, networks, as_theirs(batch), longer, through_time=False)
    rolled = setting.context + setting.rollout
    terms = outcome_of(module, first_timesteps(batch, rolled)).terms
    return {
        "DMT imitation loss": (terms["imitation"], 10.0 * theirs["loss_dyn_"][:, 1:].mean()),
        "DMT readout loss": (terms["readout"], theirs["loss_readout_"][:, 1 : setting.rollout + 1].mean()),
    }


def bptt_outputs(reference: Reference, networks: Networks, setting: Setting) -> Pairs:
    """The memories of a rollout from zeros and its loss."""
    module = BPTTModule(interface=setting.size.interface, network=setting.size.network(initial_memory="zeros"))
    carry_rnn(networks[1], module.rnn, readout=True)
    batch = random_batch(setting, setting.rollout)
    theirs = bptt_loss(reference, networks, as_theirs(batch), setting)
    states = module.rnn.cell.rollout(module.rnn.initial_memory(setting.batch), module.rnn.embed(batch.inputs))
    return {
        "rollout": (states.flatten(2), theirs["m_rnn"]),
        "BPTT loss": (our_step(module, batch).loss(), theirs["loss_readout"]),
    }
