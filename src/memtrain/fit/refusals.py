"""What Lightning offers and a run cannot use: each is refused before anything is trained, with a remedy.

Training is one epoch without end, counted in optimizer steps. A step takes its means over a whole batch and clips each
network on its own. Therefore what Lightning does at the end of an epoch would never happen, and what it does to a batch
would differ from what the run records. What is not listed here works: tests/fit/test_lightning.py has a row for each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import plugins
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelPruning,
    OnExceptionCheckpoint,
    SpikeDetection,
    StochasticWeightAveraging,
    Timer,
)
from lightning.pytorch.callbacks.finetuning import BaseFinetuning
from lightning.pytorch.callbacks.weight_averaging import EMAWeightAveraging
from lightning.pytorch.profilers import XLAProfiler

Options = Mapping[str, Any]
ENDLESS = "training is one epoch without end"


@dataclass(frozen=True)
class RefusedOption:
    """A Trainer option with the values that it may have.

    Attributes:
        accepts: whether a value is one of them.
        reason: what is wrong with others.
        remedy: what to do instead.
    """

    accepts: Callable[[Any], bool]
    reason: str
    remedy: str


@dataclass(frozen=True)
class RefusedClass:
    """A class of Lightning that no run can use, nor a subclass.

    Attributes:
        kind: the class.
        reason: what is wrong with it.
        remedy: what to do instead.
        when: whether its `init_args` are refused; None: whatever they are.
        shown: the argument to name; None: none.
    """

    kind: type
    reason: str
    remedy: str
    when: Callable[[Options], bool] | None = None
    shown: str | None = None


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Accepts these values alone."""
    return lambda value: value in values


def whole_number(value: Any) -> bool:
    """Accepts numbers of steps; null: a caller of memtrain decides."""
    return value is None or (type(value) is int and value >= 1)


OPTIONS: dict[str, RefusedOption] = {
    "accelerator": RefusedOption(
        lambda value: not isinstance(value, str) or value in ("auto", "cpu", "gpu", "cuda", "mps"),
        "runs are on CPUs and GPUs",
        "set it to cpu, gpu or auto",
    ),
    "precision": RefusedOption(
        lambda value: not str(value).endswith("16-true") and "transformer-engine" not in str(value),
        "positions, norms and small updates need float32 weights",
        "set it to bf16-mixed",
    ),
    "check_val_every_n_epoch": RefusedOption(
        one_of(None),
        f"{ENDLESS}, which would never be validated",
        "set it to null, and trainer.val_check_interval to a number of optimizer steps, for example 200",
    ),
    "val_check_interval": RefusedOption(
        whole_number,
        "validations are counted in optimizer steps, so that a run that continues repeats them exactly",
        "set it to a whole number, for example 200, and trainer.limit_val_batches to 0 for none",
    ),
    "max_epochs": RefusedOption(one_of(None, -1), ENDLESS, "leave it out, and set trainer.max_steps"),
    "min_epochs": RefusedOption(one_of(None), ENDLESS, "leave it out, or set trainer.min_steps"),
    "limit_train_batches": RefusedOption(
        lambda value: value is None or (type(value) is float and value == 1.0),  # 1 would be one batch
        f"{ENDLESS}, and not cut into shares",
        "leave it out, and set trainer.max_steps",
    ),
    "overfit_batches": RefusedOption(
        one_of(0), f"{ENDLESS}, in which no batch comes twice", "leave it out; a data set of few rows has few batches"
    ),
    "reload_dataloaders_every_n_epochs": RefusedOption(one_of(0), ENDLESS, "leave it out"),
    "barebones": RefusedOption(
        one_of(False),
        "a run keeps metrics and checkpoints",
        "leave it out; set trainer.enable_progress_bar to false and trainer.log_every_n_steps to 0 for less work",
    ),
    "gradient_clip_algorithm": RefusedOption(
        one_of(None), "teacher and RNN are clipped each on its own, by their norms", "leave it out, and set model.clip"
    ),
    "strategy": RefusedOption(
        lambda value: not (isinstance(value, str) and value.startswith(("ddp_spawn", "ddp_fork", "ddp_notebook"))),
        "processes that are forked or spawned cannot take over the run that has been built",
        "set it to ddp",
    ),
    "model_registry": RefusedOption(
        one_of(None), "checkpoints stay in the folder of the run", "leave it out, and copy checkpoints/last.ckpt"
    ),
}

CLASSES: dict[str, tuple[RefusedClass, ...]] = {
    "callbacks": (
        RefusedClass(
            GradientAccumulationScheduler,
            "a mean over targets has to know the whole batch",
            "leave it out; set model.micro_batches, and raise data.batch_size by that factor",
        ),
        RefusedClass(
            LearningRateFinder,
            "the rate that it sets is not the one that the schedule uses and the run records",
            "leave it out, and set model.learning_rate; an experiment file can tune it",
        ),
        RefusedClass(
            BatchSizeFinder,
            "the size that it sets changes what a step is, and the run would not record it",
            "leave it out, and set data.batch_size, with model.micro_batches where memory is short",
        ),
        RefusedClass(
            OnExceptionCheckpoint,
            "Lightning would start the next run from its file, whatever that run is",
            "leave it out; every run keeps checkpoints/last.ckpt",
        ),
        RefusedClass(
            StochasticWeightAveraging,
            f"it begins at an epoch, and {ENDLESS}",
            "take lightning.pytorch.callbacks.EMAWeightAveraging",
        ),
        RefusedClass(
            EMAWeightAveraging,
            "before the average has begun, initial weights would be validated and saved",
            "leave out update_starting_at_step and update_every_n_steps; averaging begins with the first step",
            lambda options: bool(options.get("update_starting_at_step") or options.get("update_every_n_steps") == 0),
        ),
        RefusedClass(
            EMAWeightAveraging,
            ENDLESS,
            "leave it out; the average goes by steps",
            lambda options: options.get("update_starting_at_epoch") is not None,
            "update_starting_at_epoch",
        ),
        RefusedClass(
            ModelPruning,
            f"it prunes at the ends of epochs, and {ENDLESS}",
            "leave it out, and prune a trained checkpoint with torch.nn.utils.prune",
        ),
        RefusedClass(
            BaseFinetuning,
            f"it unfreezes at epochs, and {ENDLESS}",
            "leave it out; a stage says itself which networks it trains",
        ),
        RefusedClass(
            SpikeDetection,
            "it names batches to leave out, which no loop here leaves out",
            "leave it out; a run stops by itself where loss or gradient is not finite",
        ),
        RefusedClass(
            EarlyStopping,
            f"{ENDLESS}, so that it would never stop",
            "leave it out; the metric is then checked at each validation",
            lambda options: bool(options.get("check_on_train_epoch_end")),
            "check_on_train_epoch_end",
        ),
        RefusedClass(Timer, ENDLESS, "set it to step", lambda options: options.get("interval") == "epoch", "interval"),
        RefusedClass(
            LearningRateMonitor,
            ENDLESS,
            "set it to step",
            lambda options: options.get("logging_interval") == "epoch",
            "logging_interval",
        ),
        RefusedClass(
            ModelCheckpoint,
            "every run keeps checkpoints/last.ckpt by itself",
            "leave it out",
            lambda options: bool(options.get("save_last")),
            "save_last",
        ),
        RefusedClass(
            ModelCheckpoint,
            ENDLESS,
            "leave it out; without any interval, each validation is followed by a checkpoint",
            lambda options: bool(options.get("save_on_train_epoch_end")),
            "save_on_train_epoch_end",
        ),
        RefusedClass(
            ModelCheckpoint,
            ENDLESS,
            "set every_n_train_steps instead",
            lambda options: options.get("every_n_epochs") not in (None, 1),
            "every_n_epochs",
        ),
    ),
    "plugins": (
        RefusedClass(
            plugins.CheckpointIO,
            "a run writes its checkpoints itself, so that none is ever half a file",
            "leave it out",
        ),
        *(
            RefusedClass(
                kind,
                "teacher and RNN are trained as whole float32 weights, on CPUs and GPUs",
                "leave it out, and set trainer.precision to 32-true or bf16-mixed",
            )
            for kind in (
                plugins.BitsandbytesPrecision,
                plugins.DeepSpeedPrecision,
                plugins.FSDPPrecision,
                plugins.HalfPrecision,
                plugins.TransformerEnginePrecision,
                plugins.XLAPrecision,
            )
        ),
    ),
    "profiler": (RefusedClass(XLAProfiler, "runs are on CPUs and GPUs", "set it to simple, advanced or pytorch"),),
}
"""By Trainer option."""

PACKAGES = {
    "DeviceStatsMonitor": "psutil",
    "WandbLogger": "wandb",
    "MLFlowLogger": "mlflow",
    "CometLogger": "comet_ml",
}
"""Classes of Lightning that need a package which memtrain does not."""
