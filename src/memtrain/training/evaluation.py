"""What every stage is measured by: the same names, computed the same way, whichever models there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import CatMetric, MeanMetric, MetricCollection

from memtrain.batch import SequenceBatch, Targets
from memtrain.metrics.drift import Drift, future_divergence
from memtrain.metrics.prediction import Prediction
from memtrain.metrics.rank import effective_rank
from memtrain.networks import RNN, OutputDescription, OutputHead, SequenceModel, Teacher
from memtrain.networks.heads import Scored
from memtrain.objectives import bearing_timesteps, uniformity
from memtrain.trajectory import rollout

KEPT_MEMORIES = 512
"""Memories kept of an evaluation, by each rank, for uniformity and effective rank."""
COMPARED_TOKENS = 4096
"""Memory tokens of these that uniformity compares, each with each other, in one matrix."""


@dataclass(frozen=True)
class Predictions:
    """What the models predict for a batch.

    Attributes:
        parameters: of the head, by reading, `[B, W, P]` at the W timesteps that bear a target.
        head: says what they mean; that of any of the models.
        targets: at these timesteps.
        states: the RNN's own memories, rolled out from `m_init`, `[B, T, K, D]`; None without RNN.
        memories: the teacher's, `[B, T, K, D]`; None where they were not computed everywhere.
        one_step: the RNN's from the teacher's memories, likewise.
        everywhere: whether memories of whole sequences are to be measured.
        divergence: of the futures that these foretell; see `future_divergence`. None where it was not computed.
    """

    parameters: dict[str, Tensor]
    head: OutputHead
    targets: Targets
    states: Tensor | None = None
    memories: Tensor | None = None
    one_step: Tensor | None = None
    everywhere: bool = False
    divergence: tuple[Tensor, Tensor] | None = None

    def per_sample(self, reading: str) -> dict[str, Tensor]:
        """Means over each sample's valid targets, and their number, `[B]` each; NaN where a mean is over none.

        Args:
            reading: whose predictions.
        """
        means = {
            name: scored.values.flatten(1).sum(1) / scored.mask.flatten(1).sum(1)
            for name, scored in self.scores(reading).items()
        }
        return means | {"targets": self.targets.mask.flatten(1).sum(1)}

    def scores(self, reading: str) -> dict[str, Scored]:
        """Loss and further numbers of each target; see `OutputHead.scores`.

        Args:
            reading: whose predictions.
        """
        return self.head.scores(self.parameters[reading].detach(), self.targets)


def predict(models: Mapping[str, SequenceModel], batch: SequenceBatch) -> Predictions:
    """The predictions of independent models.

    Args:
        models: by reading.
        batch: `[B, T]`.
    """
    bearing = bearing_timesteps(batch.mask)
    targets = batch.at(bearing)
    parameters = {reading: model.outputs(batch.inputs, bearing, targets.ahead) for reading, model in models.items()}
    (head, *_) = (model.head for model in models.values())
    return Predictions(parameters, head, targets)


def predict_with_memories(
    teacher: Teacher | None, rnn: RNN | None, batch: SequenceBatch, everywhere: bool = False
) -> Predictions:
    """The predictions of teacher, one-step RNN and rolled-out RNN, as far as there are any.

    Args:
        teacher: the teacher, or None.
        rnn: the RNN, or None; not both.
        batch: `[B, T]`.
        everywhere: compute the teacher's memories, and the steps from them, at every timestep, as the drift along
            the sequence needs; otherwise only where targets ask for them.
    """
    inputs = batch.inputs
    bearing = bearing_timesteps(batch.mask)
    targets = batch.at(bearing)
    parameters: dict[str, Tensor] = {}
    states = memories = one_step = divergence = None
    if rnn is not None:
        initial = rnn.initial_memory(len(inputs))
        embeddings = rnn.embed(inputs)
        states = rollout(rnn.cell, initial, embeddings)
        parameters["rollout"] = rnn.read(states[:, bearing], targets.ahead)
    if teacher is not None:
        every = torch.arange(inputs.shape[1], device=inputs.device)
        wanted = every if everywhere else torch.cat([bearing, bearing - 1]).clamp(min=0).unique()
        memories = teacher.encode(inputs, wanted)
        parameters["teacher"] = teacher.read(memories[:, torch.searchsorted(wanted, bearing)], targets.ahead)
        if rnn is not None:
            after = every if everywhere else bearing
            before = torch.cat([initial.unsqueeze(1), memories], dim=1)
            # Entry 0 is m_init, the memory before x_0; entry i + 1 is the memory at wanted[i].
            index = torch.where(after > 0, torch.searchsorted(wanted, after - 1) + 1, 0)
            one_step = rnn.step(before[:, index], embeddings[:, after])
            parameters["one_step"] = rnn.read(one_step[:, bearing] if everywhere else one_step, targets.ahead)
            if everywhere and states is not None:
                divergence = future_divergence(teacher, states, memories, batch)
    if not everywhere:
        memories = one_step = None
    model = rnn if rnn is not None else teacher
    assert model is not None
    return Predictions(parameters, model.head, targets, states, memories, one_step, everywhere, divergence)


class Evaluation(nn.Module):
    """The metrics of one split.

    Predictions are read on all samples; drift, one-step error and the memories' geometry on those batches whose
    memories are known everywhere: the first of each evaluation (`EvaluatedModule.evaluate`), for they cost as many
    memories as there are timesteps.

    Logged names: `{reading}/{loss|...}` with the description's `names` and `further` numbers, `one_step/error`,
    `drift/{mean|equilibrium|relative|functional}`, `memory/{uniformity|effective_rank}` of the teacher's memories, or
    of the RNN's own where there is no teacher, and `rollout/{uniformity|effective_rank}` of the RNN's own.

    Args:
        readings: names of the predictions.
        outputs: what is predicted, which says what is measured.
    """

    def __init__(self, readings: Sequence[str], outputs: OutputDescription) -> None:
        super().__init__()
        self.predictions = nn.ModuleDict(
            {reading: Prediction(outputs.names, outputs.of_classes) for reading in readings}
        )
        self.further = nn.ModuleDict({reading: outputs.further() for reading in readings})
        self.drift, self.one_step, self.functional = Drift(), Drift(), MeanMetric(nan_strategy="disable")
        self.kept = nn.ModuleDict({name: CatMetric(nan_strategy="disable") for name in ("memory", "rollout")})

    def of(self, reading: str) -> Prediction:
        """The prediction metric of one reading."""
        return cast(Prediction, self.predictions[reading])

    def of_split(self, reading: str) -> MetricCollection:
        """What is read of a whole split of one reading's predictions, beside means."""
        return cast(MetricCollection, self.further[reading])

    def memories(self, name: str) -> CatMetric:
        """The memories kept of teacher (`memory`) or rollout, of all ranks."""
        return cast(CatMetric, self.kept[name])

    def update(self, result: Predictions) -> None:
        """Take in a batch."""
        for reading, parameters in result.parameters.items():
            self.of(reading).update(result.scores(reading))
            self.of_split(reading).update(parameters.detach(), result.targets.values, result.targets.mask)
        if result.memories is not None and result.states is not None and result.one_step is not None:
            self.drift.update(result.states, result.memories)
            self.one_step.update(result.one_step, result.memories)
        if result.divergence is not None:
            nats, mask = result.divergence
            self.functional.update(nats.detach(), mask.to(nats.dtype))
        memories = result.memories if result.memories is not None else result.states
        for name, kept in (("memory", memories), ("rollout", result.states)):
            if result.everywhere and kept is not None:
                # The last timestep of each sample: memories of whole sequences, the same choice in every stage.
                self.memories(name).update(kept[:KEPT_MEMORIES, -1].detach())

    def compute(self) -> dict[str, Tensor]:
        """All metrics that the models at hand allow."""
        values: dict[str, Tensor] = {}
        for reading in self.predictions:
            metric = self.of(reading)
            if metric.update_called:
                further = {name: value for name, value in self.of_split(reading).compute().items() if not value.isnan()}
                values |= {f"{reading}/{name}": value for name, value in (metric.compute() | further).items()}
        if self.drift.update_called:
            drift = self.drift.compute()
            values |= {f"drift/{name}": drift[name] for name in ("mean", "equilibrium", "relative")}
            values["one_step/error"] = self.one_step.compute()["mean"]
        if self.functional.update_called:
            values["drift/functional"] = self.functional.compute()
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
        drifts = self.drift, self.one_step, self.functional
        for metric in (*map(self.of, self.predictions), *map(self.memories, self.kept), *drifts):
            metric.reset()
        for metrics_of_split in map(self.of_split, self.further):
            metrics_of_split.reset()
