"""Stage `baseline`: any sequence model, trained on its own targets: what a user would take instead of an RNN."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import nn

from memtrain.metrics.flops import model_depth
from memtrain.networks import Interface, LinearRecurrence, SequenceModel
from memtrain.networks.factories import plain_factory, primitive_factory
from memtrain.objectives import bearing_timesteps
from memtrain.training.module import StageModule
from memtrain.training.step import Outcome, Step

ModelFactory = Callable[[Interface], nn.Module]
"""Makes a sequence model when called with the interface."""


class BaselineModule(StageModule):
    """Trains a sequence model on the loss of its outputs, all timesteps in one pass.

    Args:
        model: the model, called with the interface; in YAML a `class_path` with `init_args`:
            `memtrain.networks.LinearRecurrence`, `memtrain.networks.CausalTransformer`,
            `memtrain.networks.LinearAutoregression`, or a `torch.nn.Module` of your own that is a
            `memtrain.networks.SequenceModel`. null: that of the `init_from` checkpoint, or else a
            LinearRecurrence.
        kwargs: see StageModule.
    """

    stage: ClassVar[str] = "baseline"
    structure = "model"
    readings = ("model",)

    def __init__(self, model: ModelFactory | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if model is None:
            model = self.source.options("model", ModelFactory) if self.source else LinearRecurrence
        factory = plain_factory("model.model", model, nn.Module)
        self.hparams["model"] = primitive_factory(factory, given=1)
        self.model = factory(self.interface)
        if not isinstance(self.model, SequenceModel):
            raise ValueError(
                f"model.model is {type(self.model).__name__}, which is no memtrain.networks.SequenceModel; give it "
                "head, outputs(inputs, timesteps) and sequential_flops(length)."
            )

    @property
    def networks(self) -> dict[str, nn.Module | None]:
        """See StageModule."""
        return {"model": self.model}

    @property
    def models(self) -> dict[str, SequenceModel]:
        """See EvaluatedModule."""
        assert isinstance(self.model, SequenceModel)
        return {"model": self.model}

    def requires(self) -> tuple[str, ...]:
        """It starts from nothing, or from a baseline with the same model."""
        return ("model",) if self.source else ()

    def losses(self, step: Step) -> Outcome:
        """The loss at the timesteps that bear targets; the way back costs twice the way forward."""
        model, batch = self.models["model"], step.batch
        bearing = bearing_timesteps(batch.mask)
        targets = batch.at(bearing)
        errors = model.head.loss(model.outputs(batch.inputs, bearing, targets.ahead), targets.values, targets.mask)
        loss = step.masked_mean(errors, targets.mask, step.targets.sum())
        flops, depth = 3 * model.sequential_flops(step.length), model_depth(self.model, step.length)
        return Outcome({"prediction": loss}, flops, sequential_depth=depth)
