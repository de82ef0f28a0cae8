"""Our side: the stages of `memtrain.training`, outside a Trainer, with the choices of a step held fixed."""

import logging
import warnings
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from benchmarks.steps import BETAS, CLIP, LEARNING_RATE, WEIGHT_DECAY, Step
from memtrain.batch import SequenceBatch
from memtrain.objectives import cross_entropy, memory_error
from memtrain.training import DMTModule, SMTModule
from memtrain.training.base import MemoryModule
from memtrain.trajectory import roll_out, sequential

OPTIMIZER: dict[str, Any] = {
    "learning_rate": LEARNING_RATE,
    "weight_decay": WEIGHT_DECAY,
    "betas": BETAS,
    "clip": CLIP,
    "warmup_steps": 0,
}
"""Options of every stage: the optimizer of the other side."""


class FixedTimestepSMT(SMTModule):
    """SMT at timestep `context - 1` of every sequence, where the authors' code trains."""

    def __init__(self, context: int, **options: Any) -> None:
        super().__init__(**options)
        self.context = context

    def draw_timesteps(self, batch: SequenceBatch) -> Tensor:
        """The one timestep."""
        return torch.tensor([self.context - 1])


class AuthorsSMT(FixedTimestepSMT):
    """The authors' three terms at that timestep, and no more: without `L_init`, which theirs does not have."""

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Decoding, uniformity and dynamics."""
        before = self.draw_timesteps(batch)
        memories = self.teacher.encode(batch.inputs, torch.cat([before, before + 1]))
        terms = self.memory_losses(batch, before, memories[:, :1])
        predicted = self.rnn.step(memories[:, :1], self.rnn.embed(batch.inputs[:, before + 1]))
        dynamics = memory_error(predicted, memories[:, 1:]).mean()
        return terms | {"dynamics": self.dynamics_weight * dynamics}


class AuthorsDMT(DMTModule):
    """DMT on one rollout a sequence, which starts at the teacher's memory of the first `context` tokens.

    As in the authors' code every memory of the rollout is read out, not only the labelled ones.
    """

    def __init__(self, context: int, **options: Any) -> None:
        super().__init__(**options)
        self.context = context

    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Imitation at the labelled steps, cross-entropy at every step."""
        inputs = batch.inputs
        steps = inputs.shape[1] - self.context
        labels = torch.arange(self.label_stride - 1, steps, self.label_stride)
        taught, *_ = self.teacher_memories(inputs, torch.cat([torch.tensor([-1]), labels]) + self.context)
        assert taught is not None
        start, embeddings = taught[:, 0], self.rnn.embed(inputs[:, self.context :])
        if self.gradient == "through_time":
            path = sequential(self.rnn.cell, start, embeddings).states
            states = path[:, labels]
        else:
            with torch.no_grad():
                path = sequential(self.rnn.cell, start, embeddings).states
            # No sweep: the labelled transitions of that path once more, in one batch, with gradient.
            retaken = roll_out(self.rnn.cell, start, embeddings, labels, "picard", "detached", guess=path, sweeps=0)
            states = retaken.states
        logits = self.rnn.read(path.detach())
        return {
            "imitation": self.imitation_weight * memory_error(states, taught[:, 1:]).mean(),
            "readout": self.readout_weight * cross_entropy(logits, batch.targets[:, self.context :]).mean(),
        }


def quiet_trainer(**options: Any) -> Trainer:
    """A Trainer for one process that writes and shows nothing."""
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": 1000,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(**{**defaults, **options})


def silence_lightning() -> None:
    """No lines on seeds, devices and missing validation between those of the benchmark."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def loss_of(module: MemoryModule, batch: SequenceBatch) -> Tensor:
    """The sum of the stage's terms, as `MemoryModule.training_step` takes it."""
    return torch.stack(list(module.losses(batch).values())).sum()


def our_step(module: MemoryModule, batch: SequenceBatch) -> Step:
    """One optimizer step of a stage, with the stage's own optimizer."""
    module.train()
    module.trainer = quiet_trainer()  # for max_steps, which schedules and growing windows are laid over
    optimizer = cast(dict[str, Any], module.configure_optimizers())["optimizer"]
    networks = [group["params"] for group in optimizer.param_groups]
    return Step(partial(loss_of, module, batch), networks, optimizer)
