"""MemoryModule: what the four stages share: a teacher and an RNN, whichever of them a stage has."""

from typing import Any

from torch import nn

from memtrain.batch import SequenceBatch
from memtrain.networks import RNN, Interface, NetworkOptions, SequenceModel, Teacher
from memtrain.training.evaluation import Predictions, predict_with_memories
from memtrain.training.module import StageModule


class MemoryModule(StageModule):
    """Base of the stages teacher, smt, dmt and bptt.

    Args:
        interface: what goes in and what comes out; linked from the data.
        network: sizes and switches of the networks; null: those of the `init_from` checkpoint.
        init_from: checkpoint of the stage before; see StageModule.
        kwargs: see StageModule.
    """

    structure = "network"
    readings = ("teacher", "one_step", "rollout")

    def __init__(
        self,
        interface: Interface,
        network: NetworkOptions | None = None,
        init_from: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(interface, init_from, **kwargs)
        if network is None:
            network = self.source.options("network", NetworkOptions) if self.source else NetworkOptions()
        self.hparams["network"] = network.to_primitive()
        self.network = network
        self.teacher: Teacher | None = None
        self.rnn: RNN | None = None

    def on_train_start(self) -> None:
        """A teacher that is not trained stays in evaluation mode: what it teaches must not be random."""
        if self.teacher is not None and not any(p.requires_grad for p in self.teacher.parameters()):
            self.teacher.eval()  # Lightning sets no modes at the start, and keeps these over a validation

    @property
    def networks(self) -> dict[str, nn.Module | None]:
        """See StageModule; the readout in SMT, which both hold, is the teacher's."""
        return {"teacher": self.teacher, "rnn": self.rnn}

    @property
    def models(self) -> dict[str, SequenceModel]:
        """See EvaluatedModule."""
        found = {"teacher": self.teacher, "rollout": self.rnn}
        return {reading: model for reading, model in found.items() if model is not None}

    def predictions(self, batch: SequenceBatch, everywhere: bool = False) -> Predictions:
        """See EvaluatedModule; teacher and RNN share memories."""
        return predict_with_memories(self.teacher, self.rnn, batch, everywhere)
