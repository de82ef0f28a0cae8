"""The optimizer of a stage: parameter groups, learning rates, clipping, micro-batches."""

from collections.abc import Mapping
from typing import Literal

import torch
from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from memtrain.batch import SequenceBatch
from memtrain.limits import require_at_least

Schedule = Literal["constant", "cosine"]
LONGEST_WARMUP = 0.05
"""Part of a stage that its warm-up may take: one that outlasts a short stage would train at a fraction of the rate."""


def require_sound(
    learning_rate: float, betas: tuple[float, float], weight_decay: float, warmup_steps: int, clip: float
) -> None:
    """Refuse options of the optimizer with which it cannot work.

    Raises:
        ValueError: naming option, value and remedy.
    """
    require_at_least("model.learning_rate", learning_rate, 0, example=1e-3)
    require_at_least("model.weight_decay", weight_decay, 0, example=0.01)
    require_at_least("model.warmup_steps", warmup_steps, 0, example="50, or 0 for none")
    require_at_least("model.clip", clip, 0, example="1, or 0 for no clipping")
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(
            f"model.betas is {list(betas)}, but must be two numbers from 0 to below 1; choose for example [0.9, 0.95]."
        )


def trainable(networks: Mapping[str, nn.Module | None]) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by network; a parameter that two networks hold belongs to the first.

    Args:
        networks: by name; None: there is none of that name.
    """
    groups: dict[str, list[nn.Parameter]] = {}
    seen: set[int] = set()
    for name, network in networks.items():
        params = [p for p in network.parameters() if p.requires_grad] if network is not None else []
        groups[name] = [p for p in params if id(p) not in seen]
        seen.update(id(p) for p in params)
    return groups


def adamw(
    networks: Mapping[str, nn.Module | None],
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    scaled: bool,
) -> AdamW:
    """AdamW with one named parameter group a network.

    Args:
        networks: by name.
        learning_rate: after warm-up.
        betas: decay rates of the two moments.
        weight_decay: decoupled weight decay.
        scaled: whether float16's losses are scaled; a fused step would undo the scaling too late for clipping.
    """
    groups = [{"params": params, "name": name} for name, params in trainable(networks).items() if params]
    return AdamW(groups, learning_rate, betas, weight_decay=weight_decay, fused=not scaled)


def warmup_within(warmup_steps: int, total_steps: int) -> int:
    """Steps of a stage's warm-up: those given, but no more than `LONGEST_WARMUP` of the stage, rounded down.

    Args:
        warmup_steps: as given.
        total_steps: steps of the whole stage.
    """
    return min(warmup_steps, int(LONGEST_WARMUP * total_steps))


def warmup_schedule(optimizer: Optimizer, warmup_steps: int, total_steps: int, schedule: Schedule) -> LRScheduler:
    """Linear warm-up from 0, then constant, or a cosine to 0 at `total_steps`; logs where the warm-up is shortened.

    Args:
        optimizer: the optimizer whose learning rates are scaled.
        warmup_steps: as given; see `warmup_within`. The first step already has rate 1 / (steps of the warm-up).
        total_steps: steps of the whole stage.
        schedule: constant or cosine.
    """
    given, warmup_steps = warmup_steps, warmup_within(warmup_steps, total_steps)
    if warmup_steps < given:
        rank_zero_info(
            f"The warm-up takes {warmup_steps} steps, not {given}: at most {LONGEST_WARMUP:.0%} of the stage's "
            f"{total_steps}."
        )
    rest: LRScheduler
    if schedule == "constant":
        rest = ConstantLR(optimizer, factor=1.0, total_iters=0)
    else:
        rest = CosineAnnealingLR(optimizer, T_max=max(1, total_steps - warmup_steps))
    if not warmup_steps:
        return rest
    warm = LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=max(1, warmup_steps - 1))
    return SequentialLR(optimizer, [warm, rest], milestones=[warmup_steps])


def scaler_of(trainer: Trainer) -> torch.amp.GradScaler | None:
    """What scales losses where the Trainer's precision needs it (16-mixed), and skips steps that overflow."""
    return getattr(trainer.precision_plugin, "scaler", None)


def gradient_norms(optimizer: Optimizer, scaler: torch.amp.GradScaler | None) -> dict[str, Tensor]:
    """Norm of the gradient of each network, by the name of its parameter group.

    Args:
        optimizer: of `adamw`.
        scaler: of float16's losses; its scale is divided out.
    """
    scale = 1.0 if scaler is None else scaler.get_scale()
    return {
        group["name"]: get_total_norm([p.grad for p in group["params"] if p.grad is not None]) / scale
        for group in optimizer.param_groups
    }


def clip(optimizer: Optimizer, norms: Mapping[str, Tensor], largest: float) -> None:
    """Clip each network on its own, so that neither's gradient shrinks the other's.

    Args:
        optimizer: of `adamw`.
        norms: of `gradient_norms`.
        largest: norm of a network's gradient after clipping; 0: no clipping.
    """
    if largest:
        for group in optimizer.param_groups:
            clip_grads_with_norm_(group["params"], largest, norms[group["name"]])


def micro_batches(batch: SequenceBatch, parts: int) -> list[SequenceBatch]:
    """Equal parts of a batch.

    Raises:
        ValueError: if the batch cannot be cut into as many.
    """
    size, rest = divmod(len(batch.index), parts)
    if rest or not size:
        raise ValueError(
            f"model.micro_batches is {parts}, but data.batch_size is {len(batch.index)}; choose a divisor of it."
        )
    return batch.split(size)
