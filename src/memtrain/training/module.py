"""StageModule: one optimizer step of a stage, from its losses to its weights."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn

from memtrain.batch import SequenceBatch
from memtrain.checkpoints import Source, load_source
from memtrain.costs import Counters
from memtrain.divergence import Finding, may_overflow, require_finite
from memtrain.handover import record, require_source, take_over
from memtrain.limits import require_at_least
from memtrain.networks import Interface
from memtrain.training import optimization
from memtrain.training.evaluated import EvaluatedModule
from memtrain.training.ranks import over_ranks, own_gradients, valid_targets
from memtrain.training.step import Outcome, Step, together
from memtrain.training.trainer_options import require_trainer


class StageModule(EvaluatedModule):
    """Base of the stages and baselines. A stage makes its networks and says what its `losses` are.

    Args:
        interface: what goes in and what comes out; linked from the data.
        init_from: checkpoint of the stage before, which hands on networks and counters and is recorded in every
            checkpoint of this stage. Not a hyperparameter: a resumed run takes only its networks' options.
        seed: seed of the random choices inside a step; linked from `seed_everything`.
        learning_rate: AdamW's step size after warm-up.
        weight_decay: AdamW's decoupled weight decay.
        betas: AdamW's decay rates of the two moments.
        warmup_steps: optimizer steps over which the learning rate rises linearly from 0; at most 5 % of the stage's.
        schedule: constant or cosine (to 0 at `max_steps`) after warm-up.
        clip: largest norm of the gradient of each network, on its own; 0: no clipping.
        micro_batches: parts of each rank's batch that go through the networks one after the other, to save memory; a
            divisor of `data.batch_size`. Losses and gradients are the whole batch's; uniformity is the parts' mean.
    """

    stage: ClassVar[str]
    structure: ClassVar[str]  # the option that sets the networks: stages with equal ones hand weights on

    def __init__(
        self,
        interface: Interface,
        init_from: str | None = None,
        seed: int = 0,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.95),
        warmup_steps: int = 50,
        schedule: optimization.Schedule = "constant",
        clip: float = 1.0,
        micro_batches: int = 1,
    ) -> None:
        super().__init__(interface)
        require_at_least("model.micro_batches", micro_batches, 1)
        optimization.require_sound(learning_rate, betas, weight_decay, warmup_steps, clip)
        self.automatic_optimization = False  # a step clips each network on its own and takes means over micro-batches
        self.save_hyperparameters(ignore=["init_from", "interface"])
        self.hparams["interface"] = interface.to_primitive()
        self.source: Source | None = load_source(init_from) if init_from else None
        self.seed, self.learning_rate, self.weight_decay, self.betas = seed, learning_rate, weight_decay, betas
        self.warmup_steps, self.schedule, self.clip, self.micro_batches = warmup_steps, schedule, clip, micro_batches
        self.counters = Counters.zero()
        self.provenance: list[dict[str, Any]] = []

    @property
    @abstractmethod
    def networks(self) -> dict[str, nn.Module | None]:
        """The networks by name, as checkpoints and parameter groups call them; None: this stage has none."""

    @abstractmethod
    def losses(self, step: Step) -> Outcome:
        """The weighted terms of the loss of one micro-batch, and what they cost."""

    def requires(self) -> tuple[str, ...]:
        """Names of the networks that `init_from` must bring."""
        return ()

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """One optimizer step, counted and logged."""
        with self.counters.timed():
            optimizer, schedule, scaler = self.optimizers(), self.lr_schedulers(), optimization.scaler_of(self.trainer)
            optimizer.zero_grad()  # type: ignore[union-attr]
            own = self.backward_all(batch)
            found = over_ranks(own, self.trainer.strategy)
            norms = optimization.gradient_norms(optimizer, scaler)  # type: ignore[arg-type]
            sound = {} if may_overflow(scaler) else norms
            finding = Finding(self.global_step, own.loss, found.loss, sound, batch.index)
            require_finite(finding, self.learning_rate, self.trainer.world_size)
            optimization.clip(optimizer, norms, self.clip)  # type: ignore[arg-type]
            optimizer.step()  # type: ignore[union-attr]
            schedule.step()  # type: ignore[union-attr]
        tokens = batch.inputs.shape[:2].numel() * self.trainer.world_size
        self.counters.count(tokens, found.sequential_flops, found.gradient_chain)
        for name, value in found.values(norms).items():
            self.log(f"train/{name}", value, prog_bar=name == "loss", batch_size=len(batch.index))

    def backward_all(self, batch: SequenceBatch) -> Outcome:
        """Losses and gradients of a batch, one micro-batch after the other."""
        strategy, shards = self.trainer.strategy, self.trainer.world_size * self.micro_batches
        targets = valid_targets(batch, strategy)
        step = Step(batch, targets, shards, self.global_step, self.trainer.max_steps, self.seed)
        # For dropout in a cell, which takes no generator: a continued run must draw what an uninterrupted one draws.
        torch.manual_seed(step.generator(f"rank {self.global_rank}").initial_seed())
        parts, outcomes = optimization.micro_batches(batch, self.micro_batches), []
        for part in parts:
            outcome = self.losses(step.part(part))
            outcomes.append(outcome.detached())
            # Lightning has autocast on around this method; a backward pass takes the types of its forward pass.
            with torch.autocast(self.device.type, enabled=False), own_gradients(strategy, len(outcomes) < len(parts)):
                self.manual_backward(outcome.loss / len(parts))
        return together(outcomes)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, and its learning rates step by step."""
        scaled = optimization.scaler_of(self.trainer) is not None
        optimizer = optimization.adamw(self.networks, self.learning_rate, self.betas, self.weight_decay, scaled)
        schedule = optimization.warmup_schedule(optimizer, self.warmup_steps, self.trainer.max_steps, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_callbacks(self) -> list[Callback]:
        """None; this hook is the first that sees the Trainer, before Lightning itself refuses some of its options."""
        if self.trainer.training:
            require_trainer(self.trainer)
        return []

    def setup(self, stage: str) -> None:
        """Take over from `init_from`, unless a run of this stage is being continued; see `memtrain.handover`."""
        starts = self.trainer.ckpt_path is None and not self.provenance
        if starts and self.source is not None:
            self.source.compare(self.interface, self.structure, self.hparams[self.structure])
            self.counters, self.provenance = take_over(self.source, self.networks, self.requires())
        elif starts and stage == "fit":
            require_source(self.stage, self.requires())
        if self.source is not None:
            self.source.forget_weights()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record stage, counters and provenance beside the weights."""
        checkpoint["memtrain"] = record(self.stage, self.counters, self.provenance, self, self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the counters and the provenance of a run that is being continued."""
        self.counters = Counters(**checkpoint["memtrain"]["counters"])
        self.provenance = checkpoint["memtrain"]["provenance"]
