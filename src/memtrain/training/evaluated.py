"""EvaluatedModule: what every stage and every baseline shares in evaluation: the same names, read the same way."""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

from lightning import LightningModule
from torch import Tensor, nn

from memtrain.batch import SequenceBatch
from memtrain.networks import Interface, SequenceModel
from memtrain.training.evaluation import Evaluation, Predictions, predict


class EvaluatedModule(LightningModule, ABC):
    """A LightningModule whose sequence models are evaluated on the splits `val` and `test`.

    Args:
        interface: what goes in and what comes out.

    Attributes:
        readings: names of all predictions of an evaluation, the module's own result last.
    """

    readings: ClassVar[tuple[str, ...]]

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        outputs = interface.outputs
        self.evaluations = nn.ModuleDict({split: Evaluation(self.readings, outputs) for split in ("val", "test")})

    @property
    @abstractmethod
    def models(self) -> dict[str, SequenceModel]:
        """The sequence models by reading, the module's own result last."""

    def predictions(self, batch: SequenceBatch, everywhere: bool = False) -> Predictions:
        """What the models predict for a batch.

        Args:
            batch: `[B, T]`.
            everywhere: memories are wanted at every timestep, where there are any.
        """
        return predict(self.models, batch)

    def evaluation(self, split: str) -> Evaluation:
        """The metrics of a split."""
        return cast(Evaluation, self.evaluations[split])

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of split `val`."""
        self.evaluate("val", batch, batch_idx)

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of split `test`."""
        self.evaluate("test", batch, batch_idx)

    def predict_step(self, batch: SequenceBatch, batch_idx: int) -> dict[str, Tensor]:
        """Each sample's `index`, `loss` (nats per valid target), scores and number of `targets`, all `[B]`."""
        *_, final = self.models
        return self.predictions(batch).per_sample(final) | {"index": batch.index}

    def evaluate(self, split: str, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of a split; those of whole memory trajectories on its first batch alone."""
        real = batch.index >= 0  # rows that only fill up a rank's last batch have none
        if not bool(real.all()):
            batch = batch.take(real)
        if len(batch.index):
            self.evaluation(split).update(self.predictions(batch, everywhere=batch_idx == 0))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of split `val`."""
        self.log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of split `test`."""
        self.log_evaluation("test")

    def log_evaluation(self, split: str) -> None:
        """Log the metrics of a split and forget its batches."""
        evaluation = self.evaluation(split)
        self.log_dict({f"{split}/{name}": value for name, value in evaluation.compute().items()})
        evaluation.reset()
