"""What every stage is measured by: the same names, computed the same way, whichever networks there are."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.metrics.drift import Drift
from memtrain.metrics.prediction import Prediction
from memtrain.metrics.rank import effective_rank
from memtrain.networks import RNN, Teacher
from memtrain.objectives import bearing_timesteps, cross_entropy, uniformity
from memtrain.trajectory import sequential

KINDS = ("teacher", "one_step", "rollout")
KEPT_MEMORIES = 512
"""Memories kept of an evaluation for uniformity and effective rank."""


@dataclass(frozen=True)
class Predictions:
    """What teacher, one-step RNN and rolled-out RNN predict for a batch.

    Attributes:
        logits: by kind (`teacher`, `one_step`, `rollout`): `[B, P, V]` at the P timesteps that bear a target.
        targets: int64 `[B, P]`.
        memories: the teacher's, `[B, T, K, D]`, or None.
        states: the RNN's own, rolled out from `m_init`, `[B, T, K, D]`, or None.
        one_step: the RNN's from the teacher's memories, `[B, T, K, D]`, or None.
    """

    logits: dict[str, Tensor]
    targets: Tensor
    memories: Tensor | None
    states: Tensor | None
    one_step: Tensor | None

    def per_sample(self, kind: str) -> dict[str, Tensor]:
        """Loss and accuracy of each sample, and its number of valid targets, `[B]` each."""
        valid = self.targets != IGNORE_INDEX
        count = valid.sum(1)
        correct = (self.logits[kind].argmax(-1) == self.targets) & valid
        return {
            "loss": cross_entropy(self.logits[kind], self.targets).sum(1) / count,
            "accuracy": correct.sum(1) / count,
            "targets": count,
        }


def predictions(teacher: Teacher | None, rnn: RNN | None, batch: SequenceBatch) -> Predictions:
    """Run what there is of teacher and RNN over a batch.

    Args:
        teacher: the teacher, or None.
        rnn: the RNN, or None.
        batch: `[B, T]` inputs and targets.
    """
    at = bearing_timesteps(batch.targets)
    logits: dict[str, Tensor] = {}
    memories = states = one_step = None
    if teacher is not None:
        memories = teacher.encode_all(batch.inputs)
        logits["teacher"] = teacher.read(memories[:, at])
    if rnn is not None:
        initial = rnn.initial_memory(len(batch.inputs))
        embeddings = rnn.embed(batch.inputs)
        states = sequential(rnn.cell, initial, embeddings).states
        logits["rollout"] = rnn.read(states[:, at])
        if memories is not None:
            before = torch.cat([initial.unsqueeze(1), memories[:, :-1]], dim=1)
            one_step = rnn.step(before, embeddings)
            logits["one_step"] = rnn.read(one_step[:, at])
    return Predictions(logits, batch.targets[:, at], memories, states, one_step)


class Evaluation(nn.Module):
    """The metrics of one split (method: section 6).

    Logged names: `{teacher|one_step|rollout}/{loss|bits|accuracy}`; `one_step/error`; `drift/{mean|equilibrium|relative}`;
    `memory/{uniformity|effective_rank}`, of the teacher's memories, or of the RNN's own where there is no teacher.
    """

    def __init__(self) -> None:
        super().__init__()
        self.predictions = nn.ModuleDict({kind: Prediction() for kind in KINDS})
        self.drift, self.one_step = Drift(), Drift()
        self.kept: list[Tensor] = []

    def of(self, kind: str) -> Prediction:
        """The prediction metric of one kind."""
        return cast(Prediction, self.predictions[kind])

    def update(self, result: Predictions) -> None:
        """Take in a batch."""
        for kind, logits in result.logits.items():
            self.of(kind).update(logits, result.targets)
        if result.memories is not None and result.states is not None and result.one_step is not None:
            self.drift.update(result.states, result.memories)
            self.one_step.update(result.one_step, result.memories)
        memories = result.memories if result.memories is not None else result.states
        if memories is not None and sum(map(len, self.kept)) < KEPT_MEMORIES:
            # The last timestep of each sample: memories of whole sequences, the same choice in every stage.
            self.kept.append(memories[:, -1].detach())

    def compute(self) -> dict[str, Tensor]:
        """All metrics that the networks at hand allow."""
        values: dict[str, Tensor] = {}
        for kind in KINDS:
            metric = self.of(kind)
            if metric.update_called:
                values |= {f"{kind}/{name}": value for name, value in metric.compute().items()}
        if self.drift.update_called:
            drift = self.drift.compute()
            values |= {f"drift/{name}": drift[name] for name in ("mean", "equilibrium", "relative")}
            values["one_step/error"] = self.one_step.compute()["mean"]
        if self.kept:
            kept = torch.cat(self.kept)[:KEPT_MEMORIES]
            values["memory/uniformity"] = uniformity(kept.flatten(0, 1))
            values["memory/effective_rank"] = effective_rank(kept.flatten(1))
        return values

    def reset(self) -> None:
        """Forget all batches."""
        for metric in (*map(self.of, KINDS), self.drift, self.one_step):
            metric.reset()
        self.kept.clear()
