"""Our side: the stages of `memtrain.training`, outside a Trainer, with the choices of a step held fixed."""

import logging
import warnings
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from benchmarks.steps import BETAS, CLIP, LEARNING_RATE, WEIGHT_DECAY, OptimizerStep
from memtrain.batch import SequenceBatch
from memtrain.objectives import memory_error
from memtrain.training import DMTModule, SMTModule, StageModule
from memtrain.training.step import Outcome, Step
from memtrain.trajectory import Detached, Picard, rollout

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

    def draw_timesteps(self, step: Step) -> Tensor:
        """The one timestep."""
        return torch.tensor([self.context - 1])


class AuthorsSMT(FixedTimestepSMT):
    """The authors' three terms at that timestep, and no more: without `L_init`, which theirs does not have."""

    def losses(self, step: Step) -> Outcome:
        """Decoding, uniformity and dynamics."""
        before, inputs = self.draw_timesteps(step), step.batch.inputs
        memories = self.teacher.encode(inputs, torch.cat([before, before + 1]))
        terms = self.memory_losses(step, before, memories[:, :1])
        predicted = self.rnn.step(memories[:, :1], self.rnn.embed(inputs[:, before + 1]))
        dynamics = memory_error(predicted, memories[:, 1:]).mean()
        return Outcome(terms | {"dynamics": self.dynamics_weight * dynamics})


class AuthorsDMT(DMTModule):
    """DMT on one rollout a sequence, which starts at the teacher's memory of the first `context` tokens.

    As in the authors' code every memory of the rollout is read out, not only the labeled ones.
    """

    def __init__(self, context: int, **options: Any) -> None:
        super().__init__(**options)
        self.context = context

    def losses(self, step: Step) -> Outcome:
        """Imitation at the labeled steps, cross-entropy at every step."""
        inputs, targets, mask, *_ = step.batch
        labels = self.windows.labels(step.length - self.context)
        taught, *_ = self.teacher_memories(inputs, torch.cat([torch.tensor([-1]), labels]) + self.context)
        assert taught is not None
        start, embeddings = taught[:, 0], self.rnn.embed(inputs[:, self.context :])
        if isinstance(self.trajectory, Detached):
            with torch.no_grad():
                path = rollout(self.rnn.cell, start, embeddings)
            # No sweep: the labeled transitions of that path once more, in one batch, with gradient.
            states = Detached(Picard(sweeps=0)).solve(self.rnn.cell, start, embeddings, labels, path).states
        else:
            path = rollout(self.rnn.cell, start, embeddings)
            states = path[:, labels]
        parameters, rolled = self.rnn.read(path.detach()), slice(self.context, None)
        errors = self.rnn.head.loss(parameters, targets[:, rolled], mask[:, rolled])
        terms = {
            "imitation": self.imitation_weight * memory_error(states, taught[:, 1:]).mean(),
            "readout": self.readout_weight * errors.mean(),
        }
        return Outcome(terms)


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


def outcome_of(module: StageModule, batch: SequenceBatch) -> Outcome:
    """What the stage computes for a batch that is its whole first step."""
    return module.losses(Step.alone(batch, seed=module.seed))


def loss_of(module: StageModule, batch: SequenceBatch) -> Tensor:
    """The loss that `StageModule.training_step` minimizes."""
    return outcome_of(module, batch).loss


def our_step(module: StageModule, batch: SequenceBatch) -> OptimizerStep:
    """One optimizer step of a stage, with the stage's own optimizer."""
    module.train()
    module.trainer = quiet_trainer()  # for max_steps, which the schedule is laid over, and precision
    optimizer = cast(dict[str, Any], module.configure_optimizers())["optimizer"]
    networks = [group["params"] for group in optimizer.param_groups]
    return OptimizerStep(partial(loss_of, module, batch), networks, optimizer)
