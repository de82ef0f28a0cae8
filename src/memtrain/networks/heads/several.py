"""Several targets side by side, each with a head of its own."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.wrappers.abstract import WrapperMetric

from memtrain.batch import Targets
from memtrain.networks.heads.base import (
    OutputDescription,
    OutputHead,
    Scored,
    is_higher_better,
    require_score,
)
from memtrain.networks.heads.numbers import precise


@dataclass(frozen=True)
class Part:
    """Where a part of several outputs stands.

    Attributes:
        name: of the part.
        outputs: what it describes.
        columns: of targets, or the one column of a class.
        parameters: of all of them.
    """

    name: str
    outputs: OutputDescription
    columns: slice
    parameters: slice

    def of(self, values: Tensor) -> Tensor:
        """Its columns of targets or of a mask `[..., C]`: `[..., C']`, or for classes `[...]`, int64 or bool."""
        own = values[..., self.columns]
        if not self.outputs.of_classes:
            return own
        return own.squeeze(-1) if own.dtype == torch.bool else own.squeeze(-1).long()


@dataclass(frozen=True)
class Several(OutputDescription):
    """Targets are those of several parts side by side, float32 `[B, T, C]`, the columns in the order of the parts.

    The loss is the mean over all targets of all parts; a class is one target, and stands in its column as a float.
    Numbers of one part have its name at their end, as `mae_load`; without, they are over all parts that have them.

    Args:
        parts: by name. Each has its own regimes and extremes.
        score: what methods are compared by: loss, or another number, as accuracy_event.
    """

    parts: dict[str, OutputDescription]
    score: str = "loss"

    def __post_init__(self) -> None:
        """Refuse no parts at all, and a score that they do not have."""
        if not self.parts:
            raise ValueError("parts is empty, but must have at least one part; name an output for each.")
        require_score(self, self.score)

    @property
    def places(self) -> list[Part]:
        """Where each part stands."""
        columns = ranges(part.columns for part in self.parts.values())
        parameters = ranges(part.parameters for part in self.parts.values())
        return [Part(*place) for place in zip(self.parts, self.parts.values(), columns, parameters, strict=True)]

    @property
    def columns(self) -> int:
        """See `OutputDescription.columns`."""
        return sum(part.columns for part in self.parts.values())

    @property
    def parameters(self) -> int:
        """See `OutputDescription.parameters`."""
        return sum(part.parameters for part in self.parts.values())

    @property
    def metrics(self) -> list[str]:
        """See `OutputDescription.metrics`; those of all parts."""
        return unique(part.metrics for part in self.parts.values())

    @property
    def names(self) -> list[str]:
        """See `OutputDescription.names`; over the parts, then of each part."""
        own = [f"{name}_{key}" for key, part in self.parts.items() for name in part.names]
        return unique([*(part.names for part in self.parts.values()), own])

    def further(self) -> MetricCollection:
        """See `OutputDescription.further`; those of each part."""
        return MetricCollection(
            {f"{key}_{place.name}": OfPart(metric, place) for place in self.places
             for key, metric in place.outputs.further().items()}
        )  # fmt: skip

    def head(self, features: int) -> "SeveralHead":
        """See `OutputDescription.head`."""
        return SeveralHead(features, self)

    def __str__(self) -> str:
        return ", ".join(f"{name}: {part}" for name, part in self.parts.items())


class SeveralHead(OutputHead):
    """The heads of several parts, one after the other.

    Args:
        features: F.
        outputs: the parts.
    """

    def __init__(self, features: int, outputs: Several) -> None:
        super().__init__()
        self.outputs, self.places = outputs, outputs.places
        self.heads = nn.ModuleList(place.outputs.head(features) for place in self.places)
        self.score, self.higher_is_better = outputs.score, is_higher_better(outputs.score)

    @property
    def parts(self) -> Iterator[tuple[Part, OutputHead]]:
        """Each part and its head."""
        yield from zip(self.places, self.heads, strict=True)

    def parameters_of(self, features: Tensor) -> Tensor:
        """See `OutputHead.parameters_of`; those of the parts, one after the other."""
        return torch.cat([precise(head.parameters_of(features)) for _, head in self.parts], dim=-1)

    def loss(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """See `OutputHead.loss`; of each column that of its part."""
        return torch.cat(
            [
                in_columns(place, head.loss(parameters[..., place.parameters], place.of(targets), place.of(mask)))
                for place, head in self.parts
            ],
            dim=-1,
        )

    def metrics(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """See `OutputHead.metrics`; 0 also in the columns of parts that do not have the number."""
        found = {name: torch.zeros_like(targets) for name in self.outputs.metrics}
        for place, head in self.parts:
            own = head.metrics(parameters[..., place.parameters], place.of(targets), place.of(mask))
            for name, values in own.items():
                found[name][..., place.columns] = in_columns(place, values).to(targets.dtype)
        return found

    def scores(self, parameters: Tensor, targets: Targets) -> dict[str, Scored]:
        """See `OutputHead.scores`; means are over the parts that have the number."""
        over: dict[str, list[Scored]] = {}
        own: dict[str, Scored] = {}
        for place, head in self.parts:
            part = targets._replace(values=place.of(targets.values), mask=place.of(targets.mask))
            for name, (values, mask) in head.scores(parameters[..., place.parameters], part).items():
                scored = Scored(in_columns(place, values).to(parameters.dtype), in_columns(place, mask))
                over.setdefault(name, []).append(scored)
                own[f"{name}_{place.name}"] = scored
        joined = {name: Scored(*(torch.cat(each, dim=-1) for each in zip(*scored, strict=True)))
                  for name, scored in over.items()}  # fmt: skip
        return joined | own

    def sample(self, parameters: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """See `OutputHead.sample`; a drawn class stands in its column."""
        drawn = [
            in_columns(place, head.sample(parameters[..., place.parameters], temperature, generator))
            for place, head in self.parts
        ]
        return torch.cat([tensor.to(parameters.dtype) for tensor in drawn], dim=-1)


class OfPart(WrapperMetric):
    """A number of the split that is read of one part.

    Args:
        metric: the number.
        place: the part.
    """

    def __init__(self, metric: Metric, place: Part) -> None:
        super().__init__()
        self.metric, self.place = metric, place

    def update(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> None:
        """Take in a batch of all parts."""
        self.metric.update(parameters[..., self.place.parameters], self.place.of(targets), self.place.of(mask))

    def compute(self) -> Any:
        """The number."""
        return self.metric.compute()

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.metric.reset()


def in_columns(place: Part, values: Tensor) -> Tensor:
    """Numbers of a part's targets `[..., C']`, or of its classes `[...]`, as columns `[..., C']`."""
    return values.unsqueeze(-1) if place.outputs.of_classes else values


def ranges(sizes: Iterable[int]) -> list[slice]:
    """Slices of these sizes, one after the other."""
    ends = [0, *itertools.accumulate(sizes)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


def unique(lists: Iterable[Sequence[str]]) -> list[str]:
    """All names, each once, in order."""
    return list(dict.fromkeys(itertools.chain.from_iterable(lists)))
