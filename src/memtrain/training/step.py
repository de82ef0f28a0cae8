"""Step and Outcome: what a stage's losses are given, and what they give back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from memtrain.batch import SequenceBatch
from memtrain.objectives import masked_mean, step_generator, targets_per_timestep


@dataclass(frozen=True)
class Step:
    """One micro-batch of an optimizer step, with what it has to know of the whole step.

    Attributes:
        batch: the micro-batch.
        targets: valid targets at each timestep, over all micro-batches and ranks, int64 `[T]`.
        shards: micro-batches of all ranks.
        number: optimizer steps done before.
        total: optimizer steps of the stage.
        seed: the run's.
    """

    batch: SequenceBatch
    targets: Tensor
    shards: int = 1
    number: int = 0
    total: int = 1
    seed: int = 0

    @classmethod
    def alone(cls, batch: SequenceBatch, **known: int) -> "Step":
        """A step whose only micro-batch is `batch`."""
        return cls(batch, targets_per_timestep(batch.mask), **known)

    def part(self, batch: SequenceBatch) -> "Step":
        """The same step with one of its micro-batches."""
        return replace(self, batch=batch)

    @property
    def length(self) -> int:
        """Timesteps of a sequence, T."""
        return self.batch.inputs.shape[1]

    def generator(self, purpose: str) -> torch.Generator:
        """The random numbers of the step for one purpose: the same on all ranks, and after resuming."""
        return step_generator(self.seed, self.number, purpose)

    def masked_mean(self, values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
        """The masked mean over all micro-batches and ranks of the step.

        Args:
            values: any shape.
            mask: bool, the same shape.
            count: valid terms in the whole step, from `targets`.
        """
        return masked_mean(values, mask, count, self.shards)


@dataclass(frozen=True)
class Outcome:
    """What a stage computed for a step.

    Attributes:
        terms: the weighted terms of the loss, scalars by name; their sum is minimized.
        sequential_flops: longest chain of operations, per sample.
        gradient_chain: the longest gradient chain of f, in steps of the cell.
        means: further scalars, by name, that are logged as means over micro-batches and ranks.
        worst: further scalars, by name, of which the largest is logged.
    """

    terms: dict[str, Tensor]
    sequential_flops: int = 0
    gradient_chain: int = 0
    means: dict[str, Tensor] = field(default_factory=dict)
    worst: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack(list(self.terms.values())).sum()

    def values(self, norms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All scalars for the log, by name; `norms` are those of the gradients, by network."""
        of_gradients = {f"gradient_norm_{name}": norm for name, norm in norms.items()}
        return {"loss": self.loss, **self.terms, **self.means, **self.worst, **of_gradients}

    def detached(self) -> "Outcome":
        """The same numbers without gradient."""
        groups = {"terms": self.terms, "means": self.means, "worst": self.worst}
        freed = {name: {key: value.detach() for key, value in group.items()} for name, group in groups.items()}
        return replace(self, **freed)  # type: ignore[arg-type]


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a whole step on this rank, from those of its micro-batches."""

    def stacked(group: str, name: str) -> Tensor:
        return torch.stack([getattr(outcome, group)[name] for outcome in outcomes])

    first = outcomes[0]
    return Outcome(
        terms={name: stacked("terms", name).mean() for name in first.terms},
        sequential_flops=max(outcome.sequential_flops for outcome in outcomes),
        gradient_chain=max(outcome.gradient_chain for outcome in outcomes),
        means={name: stacked("means", name).mean() for name in first.means},
        worst={name: stacked("worst", name).max() for name in first.worst},
    )
