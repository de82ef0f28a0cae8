"""MemoryModule: what the four stages share: networks, optimizer, clipping, counters, evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
import torch.distributed as dist
from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from memtrain.batch import IGNORE_INDEX, SequenceBatch
from memtrain.checkpoints import Source, load_source
from memtrain.networks import RNN, NetworkOptions, Teacher
from memtrain.objectives import masked_mean, step_generator
from memtrain.options import require_at_least
from memtrain.training.counters import Counters, Stopwatch
from memtrain.training.divergence import StepLoss
from memtrain.training.evaluation import Evaluation, predictions
from memtrain.training.schedule import warmup_schedule

SMALLEST_SCALE = 1e-6
"""Of float16's losses: below it, after 36 overflows in a row, the gradient is not finite at any scale."""


class WholeStep(NamedTuple):
    """What a micro-batch has to know of the optimizer step that it is a part of.

    Attributes:
        targets: valid targets at each timestep, over all micro-batches and ranks, int64 `[T]`.
        shards: micro-batches of all ranks.
    """

    targets: Tensor
    shards: int


class MemoryModule(LightningModule, ABC):
    """Base of the stages. A stage makes its networks, `teacher` and `rnn`, and says what its `losses` are.

    Args:
        vocabulary_size: number of tokens, V; linked from the data.
        network: sizes and switches of the networks; null: those of the `init_from` checkpoint.
        init_from: checkpoint of the stage before, to start from: networks and counters are taken over and the source is
            recorded in every checkpoint of this stage. Not a hyperparameter; a resumed run takes nothing but `network`
            from it.
        seed: seed of the random choices inside a step; linked from `seed_everything`.
        learning_rate: AdamW's step size after warm-up.
        weight_decay: AdamW's decoupled weight decay.
        betas: AdamW's decay rates of the two moments.
        warmup_steps: optimizer steps over which the learning rate rises linearly from 0.
        schedule: constant or cosine (to 0 at `max_steps`) after warm-up.
        clip: largest norm of the gradients of teacher and RNN, each on its own; 0: no clipping.
        micro_batches: parts of each rank's batch that go through the networks one after the other, to save memory; a
            divisor of `data.batch_size`. Losses and gradients are those of the whole batch, except uniformity, which
            is the mean of the parts' own.
    """

    stage: ClassVar[str]
    teacher: Teacher | None
    rnn: RNN | None

    def __init__(
        self,
        vocabulary_size: int,
        network: NetworkOptions | None = None,
        init_from: str | None = None,
        seed: int = 0,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.95),
        warmup_steps: int = 50,
        schedule: Literal["constant", "cosine"] = "constant",
        clip: float = 1.0,
        micro_batches: int = 1,
    ) -> None:
        super().__init__()
        require_at_least("model.micro_batches", micro_batches, 1)
        require_at_least("model.clip", clip, 0, example="1, or 0 for no clipping")
        self.save_hyperparameters()
        self.teacher = self.rnn = None
        self.source: Source | None = load_source(init_from) if init_from else None
        if network is None:
            network = self.source.network if self.source else NetworkOptions()
        self.hparams["network"] = network.to_primitive()
        self.hparams.pop("init_from", None)
        self.network = network
        self.vocabulary_size, self.seed = vocabulary_size, seed
        self.learning_rate, self.weight_decay, self.betas = learning_rate, weight_decay, betas
        self.warmup_steps, self.schedule, self.clip = warmup_steps, schedule, clip
        self.micro_batches = micro_batches
        self.whole_step: WholeStep | None = None
        self.counters = Counters()
        self.stopwatch = Stopwatch()
        self.step_flops = self.step_tokens = 0
        self.step_loss: StepLoss | None = None
        self.provenance: list[dict[str, Any]] = []
        self.evaluations = nn.ModuleDict({split: Evaluation() for split in ("val", "test")})

    # What a stage defines

    @abstractmethod
    def losses(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """The weighted terms of the loss, by name; their sum is minimised."""

    @abstractmethod
    def sequential_flops(self, batch: SequenceBatch) -> int:
        """Sequential FLOPs of one optimizer step, per sample."""

    # Training

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The sum of the stage's losses; of the last micro-batch, when the others have left their gradients.

        Raises:
            ValueError: if the batch cannot be cut into equal micro-batches.
        """
        self.zero_grad()
        # For dropout in a cell, which takes no generator: a continued run must draw what an uninterrupted one draws.
        torch.manual_seed(step_generator(self.seed, self.global_step, f"rank {self.global_rank}").initial_seed())
        self.step_tokens = batch.inputs.numel() * self.world_size
        parts, found = self.split(batch), []
        with self.means_over(batch):
            for part in parts:
                terms = self.losses(part)
                loss = torch.stack(list(terms.values())).sum() / len(parts)
                found.append(torch.stack([loss * len(parts), *terms.values()]).detach())
                if len(found) < len(parts):
                    # Only this rank's so far: DDP averages the gradients once this method has returned. Lightning
                    # has autocast on around this method, and off around the backward pass of the last part.
                    with torch.autocast(self.device.type, enabled=False):
                        self.trainer.strategy.backward(loss, None)
        self.step_flops = self.sequential_flops(batch)  # newton knows its iterations now
        own = torch.stack(found).mean(0)
        means = dict(zip(("loss", *terms), self.mean_over_ranks(own.clone()), strict=True))
        self.step_loss = StepLoss(own[0], means["loss"], batch.index)
        for name, mean in means.items():
            self.log(f"train/{name}", mean, prog_bar=name == "loss", batch_size=len(batch.index))
        return loss

    def split(self, batch: SequenceBatch) -> list[SequenceBatch]:
        """The micro-batches of a batch."""
        size, rest = divmod(len(batch.index), self.micro_batches)
        if rest or not size:
            raise ValueError(
                f"model.micro_batches is {self.micro_batches}, but data.batch_size is {len(batch.index)}; "
                "choose a divisor of it."
            )
        return [SequenceBatch(*parts) for parts in zip(*(tensor.split(size) for tensor in batch), strict=True)]

    def optimizer_zero_grad(self, *_: Any, **__: Any) -> None:
        """Nothing: between forward and backward pass, where Lightning calls it, micro-batches have left gradients."""

    @contextmanager
    def means_over(self, batch: SequenceBatch) -> Iterator[None]:
        """Within, masked means are taken over `batch` on all ranks, whatever part of it `losses` is given."""
        shards = self.micro_batches * self.world_size
        self.whole_step = WholeStep(self.count_targets(batch), shards)
        try:
            yield
        finally:
            self.whole_step = None

    def count_targets(self, batch: SequenceBatch) -> Tensor:
        """Valid targets at each timestep, over all micro-batches and ranks of the step, int64 `[T]`."""
        if self.whole_step is not None:
            return self.whole_step.targets
        counts = (batch.targets != IGNORE_INDEX).sum(0)
        if self.world_size > 1:
            dist.all_reduce(counts)
        return counts

    def masked_mean(self, values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
        """The masked mean over all micro-batches and ranks of the step.

        Args:
            values: any shape.
            mask: bool, the same shape.
            count: valid terms in the whole step, from `count_targets`.
        """
        return masked_mean(values, mask, count, self.world_size if self.whole_step is None else self.whole_step.shards)

    def mean_over_ranks(self, values: Tensor) -> Tensor:
        """`values` averaged over the ranks: the loss of a rank alone is not that of the whole batch."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values / self.world_size

    def largest_of_ranks(self, values: Tensor) -> Tensor:
        """The largest of each number over the ranks."""
        if self.world_size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    @property
    def world_size(self) -> int:
        """Number of ranks; 1 without a trainer."""
        return self.trainer.world_size if self._trainer is not None else 1

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with one parameter group a network; learning rate per step, not per epoch."""
        groups = [{"params": params, "name": name} for name, params in self.trainable().items() if params]
        # A fused step undoes fp16's loss scaling by itself, too late for clipping.
        optimizer = torch.optim.AdamW(
            groups, self.learning_rate, self.betas, weight_decay=self.weight_decay, fused=self.scaler is None
        )
        scheduler = warmup_schedule(optimizer, self.warmup_steps, self.trainer.max_steps, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """What scales losses where the Trainer's precision needs it (16-mixed), and skips steps that overflow."""
        return getattr(self.trainer.precision_plugin, "scaler", None)

    def trainable(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters of teacher and RNN; one that both hold (the readout in SMT) is the teacher's."""
        groups: dict[str, list[nn.Parameter]] = {}
        seen: set[int] = set()
        for name in ("teacher", "rnn"):
            network = getattr(self, name)
            params = [p for p in network.parameters() if p.requires_grad] if network is not None else []
            groups[name] = [p for p in params if id(p) not in seen]
            seen.update(id(p) for p in params)
        return groups

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """Clip teacher and RNN separately, so that neither's gradient shrinks the other's.

        Raises:
            Diverged: if the loss or a gradient is not finite.
        """
        norms = {
            group["name"]: get_total_norm([p.grad for p in group["params"] if p.grad is not None])
            for group in optimizer.param_groups
        }
        if self.step_loss is not None:
            # The scaler skips steps whose gradients overflow, with half its scale the next time.
            gradients = norms if self.scaler is None or self.scaler.get_scale() < SMALLEST_SCALE else {}
            self.step_loss.require_finite(gradients, self.global_step, self.learning_rate, self.world_size)
        for group in optimizer.param_groups:
            self.log(f"train/gradient_norm_{group['name']}", norms[group["name"]])
            if self.clip:
                clip_grads_with_norm_(group["params"], self.clip, norms[group["name"]])

    # Counters

    def count_gradient_steps(self, chain: int) -> None:
        """Remember the longest gradient chain of f that any step of any stage has used."""
        self.counters.gradient_steps = max(self.counters.gradient_steps, chain)

    def on_train_start(self) -> None:
        """A teacher that is not trained stays in evaluation mode: what it teaches must not be random."""
        if self.teacher is not None and not any(p.requires_grad for p in self.teacher.parameters()):
            self.teacher.eval()  # Lightning sets no modes at the start, and keeps these over a validation

    def on_train_batch_start(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Start the clock: what came before (data, validation, checkpoints) is not training."""
        self.stopwatch.start()

    def on_after_backward(self) -> None:
        """Count the time of forward and backward."""
        self.stopwatch.stop(self.counters)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then count it: before any callback, so that checkpoints agree with the weights they hold."""
        super().optimizer_step(*args, **kwargs)
        self.stopwatch.stop(self.counters)
        self.counters.steps += 1
        self.counters.tokens += self.step_tokens
        self.counters.sequential_flops += self.step_flops

    # Evaluation

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of split `val`."""
        self.evaluate("val", batch, batch_idx)

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of split `test`."""
        self.evaluate("test", batch, batch_idx)

    def predict_step(self, batch: SequenceBatch, batch_idx: int) -> dict[str, Tensor]:
        """Each sample's `index`, `loss` (nats per valid target), `accuracy` and number of `targets`, all `[B]`."""
        result = predictions(self.teacher, self.rnn, batch)
        kind = "rollout" if "rollout" in result.logits else "teacher"
        return result.per_sample(kind) | {"index": batch.index}

    def evaluation(self, split: str) -> Evaluation:
        """The metrics of a split."""
        return cast(Evaluation, self.evaluations[split])

    def evaluate(self, split: str, batch: SequenceBatch, batch_idx: int) -> None:
        """Update the metrics of a split; those of whole memory trajectories on its first batch alone."""
        real = batch.index >= 0  # rows that only fill up a rank's last batch have none
        if not bool(real.all()):
            batch = SequenceBatch(*(tensor[real] for tensor in batch))
        if len(batch.index):
            result = predictions(self.teacher, self.rnn, batch, everywhere=batch_idx == 0)
            self.evaluation(split).update(result)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of split `val`."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of split `test`."""
        self._log_evaluation("test")

    def _log_evaluation(self, split: str) -> None:
        evaluation = self.evaluation(split)
        values = evaluation.compute()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
        evaluation.reset()

    # Stage to stage

    def setup(self, stage: str) -> None:
        """Take over the networks and counters of `init_from`, unless a run of this stage is being continued.

        Raises:
            ValueError: if the stage cannot be trained like this.
        """
        if stage == "fit":
            self.check_trainer()
        if self.trainer.ckpt_path is not None or self.provenance:
            if self.source is not None:
                self.source.forget_weights()
            return
        if self.source is None:
            if stage == "fit" and self.requires():
                raise ValueError(
                    f"init_from is null, but stage {self.stage} with these options needs a trained "
                    f"{' and '.join(self.requires())}; give a checkpoint of an earlier stage."
                )
            return
        self.source.compare(self.vocabulary_size, self.network)
        # The teacher last: in SMT its decoder is the RNN's readout, and after DMT the source has two of them.
        self.source.restore({"rnn": self.rnn, "teacher": self.teacher}, self.requires())
        self.source.forget_weights()
        self.counters = Counters(**self.source.counters)
        self.provenance = self.source.provenance

    def requires(self) -> tuple[str, ...]:
        """Which networks `init_from` must bring ("teacher", "rnn")."""
        return ()

    def check_trainer(self) -> None:
        """Refuse Trainer options with which a stage would not do what it says."""
        if self.trainer.max_steps < 1:
            raise ValueError(
                f"trainer.max_steps is {self.trainer.max_steps}, but a stage goes by steps; choose for example 1000."
            )
        # By exact type: DeepSpeed's strategy is a DDPStrategy, and cuts gradients up.
        if type(self.trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
            raise ValueError(
                f"trainer.strategy is {type(self.trainer.strategy).__name__}, but gradients are clipped, and averaged "
                "over processes, as whole tensors; set it to auto or ddp."
            )
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise ValueError(
                f"trainer.precision is {self.trainer.precision}, but positions, norms and small updates need float32 "
                "weights; set it to bf16-mixed."
            )
        if self.trainer.gradient_clip_val is not None:
            raise ValueError(
                f"trainer.gradient_clip_val is {self.trainer.gradient_clip_val}, but teacher and RNN are clipped "
                "each on its own; set model.clip instead."
            )
        if self.trainer.accumulate_grad_batches != 1:
            raise ValueError(
                f"trainer.accumulate_grad_batches is {self.trainer.accumulate_grad_batches}, but a mean over targets "
                "has to know the whole batch; leave it at 1, and instead set model.micro_batches to that number and "
                "raise data.batch_size by that factor."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record stage, counters and provenance beside the weights, as plain numbers and strings."""
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["memtrain"] = {
            "stage": self.stage,
            "counters": self.counters.to_primitive(),
            "provenance": self.provenance,
            "class_path": _class_path(self),
            "data_class_path": None if data is None else _class_path(data),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the counters and the provenance of a run that is being continued."""
        self.counters = Counters(**checkpoint["memtrain"]["counters"])
        self.provenance = checkpoint["memtrain"]["provenance"]


def _class_path(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
