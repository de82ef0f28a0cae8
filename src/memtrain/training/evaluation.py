"""What every stage is measured by: the same names, computed the same way, whichever networks there are."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import CatMetric

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.metrics.drift import Drift
from memtrain.metrics.prediction import Prediction
from memtrain.metrics.rank import effective_rank
from memtrain.networks import RNN, Teacher
from memtrain.objectives import bearing_timesteps, cross_entropy, uniformity
from memtrain.trajectory import sequential

KINDS = ("teacher", "one_step", "rollout")
KEPT_MEMORIES = 512
"""Memories kept of an evaluation, by each rank, for uniformity and effective rank."""
COMPARED_TOKENS = 4096
"""Memory tokens of these that uniformity compares, each with each other, in one matrix."""


@dataclass(frozen=True)
class Predictions:
    """What teacher, one-step RNN and rolled-out RNN predict for a batch.

    Attributes:
        logits: by kind (`teacher`, `one_step`, `rollout`): `[B, P, V]` at the P timesteps that bear a target.
        targets: int64 `[B, P]`.
        everywhere: whether the teacher's memories were computed at every timestep.
        states: the RNN's own memories, rolled out from `m_init`, `[B, T, K, D]`, or None.
        memories: the teacher's, `[B, T, K, D]`, where computed everywhere, or None.
        one_step: the RNN's from the teacher's memories, likewise.
    """

    logits: dict[str, Tensor]
    targets: Tensor
    everywhere: bool
    states: Tensor | None = None
    memories: Tensor | None = None
    one_step: Tensor | None = None

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


def predictions(
    teacher: Teacher | None, rnn: RNN | None, batch: SequenceBatch, everywhere: bool = False
) -> Predictions:
    """Run what there is of teacher and RNN over a batch.

    Args:
        teacher: the teacher, or None.
        rnn: the RNN, or None.
        batch: `[B, T]` inputs and targets.
        everywhere: compute the teacher's memories, and the steps from them, at every timestep, as the drift along
            the sequence needs; otherwise only where targets ask for them.
    """
    inputs = batch.inputs
    bearing = bearing_timesteps(batch.targets)
    logits: dict[str, Tensor] = {}
    states = memories = one_step = None
    if rnn is not None:
        initial = rnn.initial_memory(len(inputs))
        embeddings = rnn.embed(inputs)
        states = sequential(rnn.cell, initial, embeddings).states
        logits["rollout"] = rnn.read(states[:, bearing])
    if teacher is not None:
        every = torch.arange(inputs.shape[1], device=inputs.device)
        wanted = every if everywhere else torch.cat([bearing, bearing - 1]).clamp(min=0).unique()
        memories = teacher.encode(inputs, wanted)
        logits["teacher"] = teacher.read(memories[:, torch.searchsorted(wanted, bearing)])
        if rnn is not None:
            after = every if everywhere else bearing
            before = torch.cat([initial.unsqueeze(1), memories], dim=1)
            # Entry 0 is m_init, the memory before x_0; entry i + 1 is the memory at wanted[i].
            index = torch.where(after > 0, torch.searchsorted(wanted, after - 1) + 1, 0)
            one_step = rnn.step(before[:, index], embeddings[:, after])
            logits["one_step"] = rnn.read(one_step[:, bearing] if everywhere else one_step)
    if not everywhere:
        memories = one_step = None
    return Predictions(logits, batch.targets[:, bearing], everywhere, states, memories, one_step)


class Evaluation(nn.Module):
    """The metrics of one split.

    Predictions are read on all samples; drift, one-step error and the memories' geometry on those batches whose
    memories are known everywhere: the first of each evaluation (`MemoryModule.evaluate`), for they cost as many
    memories as there are timesteps.

    Logged names: `{teacher|one_step|rollout}/{loss|bits|accuracy}`, `one_step/error`,
    `drift/{mean|equilibrium|relative}`, `memory/{uniformity|effective_rank}` of the teacher's memories, or of the RNN's
    own where there is no teacher, and `rollout/{uniformity|effective_rank}` of the RNN's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.predictions = nn.ModuleDict({kind: Prediction() for kind in KINDS})
        self.drift, self.one_step = Drift(), Drift()
        self.kept = nn.ModuleDict({name: CatMetric(nan_strategy="disable") for name in ("memory", "rollout")})

    def of(self, kind: str) -> Prediction:
        """The prediction metric of one kind."""
        return cast(Prediction, self.predictions[kind])

    def memories(self, name: str) -> CatMetric:
        """The memories kept of teacher (`memory`) or rollout, of all ranks."""
        return cast(CatMetric, self.kept[name])

    def update(self, result: Predictions) -> None:
        """Take in a batch."""
        for kind, logits in result.logits.items():
            self.of(kind).update(logits, result.targets)
        if result.memories is not None and result.states is not None and result.one_step is not None:
            self.drift.update(result.states, result.memories)
            self.one_step.update(result.one_step, result.memories)
        memories = result.memories if result.memories is not None else result.states
        for name, kept in (("memory", memories), ("rollout", result.states)):
            if result.everywhere and kept is not None:
                # The last timestep of each sample: memories of whole sequences, the same choice in every stage.
                self.memories(name).update(kept[:KEPT_MEMORIES, -1].detach())

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
        for name in self.kept:
            if self.memories(name).update_called:
                kept = self.memories(name).compute()
                tokens = kept.flatten(0, 1)
                thinned = tokens[:: -(-len(tokens) // COMPARED_TOKENS)]  # of all ranks, whose rows follow one another
                values[f"{name}/uniformity"] = uniformity(thinned)
                values[f"{name}/effective_rank"] = effective_rank(kept.flatten(1))
        return values

    def reset(self) -> None:
        """Forget all batches."""
        for metric in (*map(self.of, KINDS), *map(self.memories, self.kept), self.drift, self.one_step):
            metric.reset()
