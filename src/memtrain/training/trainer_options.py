"""Which options of the Trainer a stage refuses, because it would not do with them what it says."""

from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy


def require_trainer(trainer: Trainer) -> None:
    """Refuse a Trainer with which a stage would train something else than it says.

    Raises:
        ValueError: naming option, value and remedy.
    """
    if trainer.max_steps < 1:
        raise ValueError(
            f"trainer.max_steps is {trainer.max_steps}, but a stage goes by steps; choose for example 1000."
        )
    # By exact type: DeepSpeed's strategy is a DDPStrategy, and splits gradients.
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise ValueError(
            f"trainer.strategy is {type(trainer.strategy).__name__}, but gradients are clipped, and averaged over "
            "processes, as whole tensors; set it to auto or ddp."
        )
    if trainer.precision in ("16-true", "bf16-true"):
        raise ValueError(
            f"trainer.precision is {trainer.precision}, but positions, norms and small updates need float32 weights; "
            "set it to bf16-mixed."
        )
    if trainer.gradient_clip_val is not None:
        raise ValueError(
            f"trainer.gradient_clip_val is {trainer.gradient_clip_val}, but each network is clipped on its own; set "
            "model.clip instead."
        )
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, but a mean over targets needs the "
            "whole batch; leave it at 1, and instead set model.micro_batches to that number and raise data.batch_size "
            "by that factor."
        )
