"""Numbers of a whole split that are no means over its targets: how well rare classes and events are found."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassF1Score
from torchmetrics.functional.classification import binary_average_precision, binary_roc
from torchmetrics.utilities import dim_zero_cat


class MacroF1(MulticlassF1Score):
    """F1 of each class, averaged over the classes that occur or are predicted, in [0, 1].

    Args:
        classes: V, at least 2.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, average="macro", validate_args=False)

    def update(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> None:  # type: ignore[override]
        """Take in a batch: logits `[..., V]`, classes and mask `[...]`."""
        super().update(parameters[mask], targets[mask].long())


class EventMetric(Metric):
    """Base of what is read of all events of a split: the mean over channels in which there are any, else NaN.

    Args:
        channels: number of channels, C.
    """

    full_state_update = False
    logits: list[Tensor]
    events: list[Tensor]
    of: list[Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        for name in ("logits", "events", "of"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, parameters: Tensor, targets: Tensor, mask: Tensor) -> None:
        """Take in a batch: a logit, 0 or 1, and a mask for each channel, `[..., C]` each."""
        self.logits.append(parameters.detach()[mask])
        self.events.append(targets[mask] > 0)
        self.of.append(torch.arange(self.channels, device=mask.device).expand(mask.shape)[mask])

    def compute(self) -> Tensor:
        """A number in [0, 1], or NaN without events."""
        logits, events, of = map(dim_zero_cat, (self.logits, self.events, self.of))
        found = []
        for channel in range(self.channels):
            own = events[of == channel]
            if own.any() and not own.all():
                # single precision saturates at 1, and would tie what is nearly certain
                found.append(self.of_channel(logits[of == channel].double().sigmoid(), own.long()))
        return torch.stack(found).mean().float() if found else torch.tensor(torch.nan, device=logits.device)

    def of_channel(self, probabilities: Tensor, events: Tensor) -> Tensor:
        """The number of one channel.

        Args:
            probabilities: of an event, `[N]`.
            events: 0 or 1, some of each, `[N]`.
        """
        raise NotImplementedError


class AveragePrecision(EventMetric):
    """Area under the curve of precision over recall; chance is the share of events, perfect is 1."""

    def of_channel(self, probabilities: Tensor, events: Tensor) -> Tensor:
        """See `EventMetric.of_channel`."""
        return binary_average_precision(probabilities, events, validate_args=False)


class RecallAtFalseAlarmRate(EventMetric):
    """The largest share of events that a threshold finds, if it gives alarm at no more than a share of the others.

    Args:
        channels: number of channels, C.
        rate: the most false alarms, as a share of the targets without event.
    """

    def __init__(self, channels: int, rate: float) -> None:
        super().__init__(channels)
        self.rate = rate

    def of_channel(self, probabilities: Tensor, events: Tensor) -> Tensor:
        """See `EventMetric.of_channel`."""
        false_alarms, recall, _ = binary_roc(probabilities, events, validate_args=False)
        return recall[false_alarms <= self.rate].max()
