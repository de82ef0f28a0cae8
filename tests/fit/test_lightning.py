"""Everything that Lightning ships for a Trainer: a row each, which works exactly or is refused before training."""

import csv
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer, callbacks, loggers, plugins, profilers, strategies

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import main

CONF = Path(__file__).parents[1] / "conf"
EXACTLY = "trains as without it"
AVERAGED = "trains as without it, and saves averages"
TRIAL = "trains one step"
ABSTRACT = "cannot be chosen: a base class"
ELSEWHERE = "other machines"
Row = tuple[Any, str | tuple[str, ...]]
"""A value, and what comes of it: one of the words above, or parts of the sentence that refuses it."""

OPTIONS: dict[str, list[Row]] = {
    "accelerator": [("cpu", EXACTLY), ("tpu", ("trainer.accelerator is tpu", "set it to cpu"))],
    "strategy": [
        ("auto", EXACTLY),
        ("fsdp", ("FSDP", "accelerator")),
        ("ddp_spawn", ("trainer.strategy is ddp_spawn", "set it to ddp")),
        ("ddp_notebook", ("trainer.strategy is ddp_notebook", "set it to ddp")),
        ("deepspeed", ("deepspeed",)),
    ],
    "devices": [(1, EXACTLY), ([5], ("trainer.devices is [5]", "set it to 1"))],
    "num_nodes": [(1, EXACTLY)],
    "precision": [
        ("32-true", EXACTLY),
        ("bf16-mixed", TRIAL),
        ("16-mixed", TRIAL),
        ("64-true", TRIAL),
        ("16-true", ("trainer.precision is 16-true", "set it to bf16-mixed")),
        ("bf16-true", ("trainer.precision is bf16-true", "set it to bf16-mixed")),
        ("transformer-engine", ("trainer.precision is transformer-engine", "set it to bf16-mixed")),
    ],
    "logger": [(False, EXACTLY), (True, EXACTLY)],
    "callbacks": [([], EXACTLY)],  # see CALLBACKS
    "fast_dev_run": [(True, TRIAL)],
    "max_epochs": [(-1, EXACTLY), (10, ("trainer.max_epochs is 10", "set trainer.max_steps"))],
    "min_epochs": [(2, ("trainer.min_epochs is 2", "set trainer.min_steps"))],
    "max_steps": [(4, EXACTLY)],
    "min_steps": [(2, EXACTLY)],
    "max_time": [("00:01:00:00", EXACTLY)],
    "limit_train_batches": [
        (1.0, EXACTLY),
        (1, ("trainer.limit_train_batches is 1,", "set trainer.max_steps")),
        (2, ("trainer.limit_train_batches is 2", "set trainer.max_steps")),
        (0.5, ("trainer.limit_train_batches is 0.5", "set trainer.max_steps")),
    ],
    "limit_val_batches": [(1, EXACTLY), (2, EXACTLY), (0.5, EXACTLY), (0, EXACTLY)],
    "limit_test_batches": [(1, EXACTLY)],
    "limit_predict_batches": [(1, EXACTLY)],
    "overfit_batches": [(2, ("trainer.overfit_batches is 2", "leave it out"))],
    "val_check_interval": [
        (2, EXACTLY),
        (1.0, ("trainer.val_check_interval is 1.0", "set it to a whole number")),
        (0.5, ("trainer.val_check_interval is 0.5", "set it to a whole number")),
        ("00:00:15:00", ("trainer.val_check_interval is 00:00:15:00", "set it to a whole number")),
    ],
    "check_val_every_n_epoch": [
        (None, EXACTLY),
        (1, ("trainer.check_val_every_n_epoch is 1", "never be validated", "set it to null")),
    ],
    "num_sanity_val_steps": [(2, EXACTLY), (-1, EXACTLY)],
    "log_every_n_steps": [(1, EXACTLY)],
    "enable_checkpointing": [(True, EXACTLY)],
    "enable_progress_bar": [(True, EXACTLY)],
    "enable_model_summary": [(True, EXACTLY)],
    "accumulate_grad_batches": [(4, ("trainer.accumulate_grad_batches is 4", "model.micro_batches"))],
    "gradient_clip_val": [(1.0, ("trainer.gradient_clip_val is 1.0", "model.clip"))],
    "gradient_clip_algorithm": [("value", ("trainer.gradient_clip_algorithm is value", "model.clip"))],
    "deterministic": [(True, EXACTLY), ("warn", EXACTLY)],
    "benchmark": [(True, EXACTLY)],
    "inference_mode": [(False, EXACTLY)],
    "use_distributed_sampler": [(True, EXACTLY)],
    "profiler": [("simple", EXACTLY)],  # see PROFILERS
    "detect_anomaly": [(True, EXACTLY)],
    "barebones": [(True, ("trainer.barebones is True", "a run keeps metrics and checkpoints", "leave it out"))],
    "plugins": [([], EXACTLY)],  # see PLUGINS
    "sync_batchnorm": [(True, EXACTLY)],
    "reload_dataloaders_every_n_epochs": [(1, ("trainer.reload_dataloaders_every_n_epochs is 1", "leave it out"))],
    "default_root_dir": [("{}", EXACTLY)],
    "enable_autolog_hparams": [(False, EXACTLY)],
    "model_registry": [("mine", ("trainer.model_registry is mine", "leave it out"))],
}
MONITOR = {"monitor": "val/rollout/loss"}
CALLBACKS: dict[str, list[Row]] = {
    "BackboneFinetuning": [({}, ("trainer.callbacks has BackboneFinetuning", "which networks it trains"))],
    "BaseFinetuning": [({}, ABSTRACT)],
    "BasePredictionWriter": [({}, ABSTRACT)],
    "BatchSizeFinder": [({}, ("trainer.callbacks has BatchSizeFinder", "set data.batch_size"))],
    "Callback": [({}, EXACTLY)],
    "Checkpoint": [({}, EXACTLY)],
    "DeviceStatsMonitor": [
        ({}, ("trainer.callbacks has DeviceStatsMonitor", "needs the package psutil; install it")),
        ({"cpu_stats": False}, EXACTLY),
    ],
    "EarlyStopping": [
        (MONITOR, EXACTLY),
        ({"monitor": "val/acc"}, ("EarlyStopping with monitor val/acc", "choose one of", "val/rollout/loss")),
        (
            {**MONITOR, "check_on_train_epoch_end": True},
            ("EarlyStopping with check_on_train_epoch_end True", "would never stop"),
        ),
    ],
    "GradientAccumulationScheduler": [
        ({"scheduling": {0: 4}}, ("trainer.callbacks has GradientAccumulationScheduler", "set model.micro_batches"))
    ],
    "LambdaCallback": [({}, EXACTLY)],
    "LearningRateFinder": [({}, ("trainer.callbacks has LearningRateFinder", "set model.learning_rate"))],
    "LearningRateMonitor": [
        ({}, EXACTLY),
        ({"logging_interval": "epoch"}, ("LearningRateMonitor with logging_interval epoch", "set it to step")),
    ],
    "ModelCheckpoint": [
        (MONITOR, EXACTLY),
        ({"every_n_train_steps": 1}, EXACTLY),
        ({"monitor": "val/acc"}, ("ModelCheckpoint with monitor val/acc", "choose one of")),
        ({"save_last": True}, ("ModelCheckpoint with save_last True", "checkpoints/last.ckpt")),
        ({"save_on_train_epoch_end": True}, ("save_on_train_epoch_end True", "one epoch without end")),
        ({"every_n_epochs": 3}, ("every_n_epochs 3", "set every_n_train_steps")),
    ],
    "ModelPruning": [
        ({"pruning_fn": "l1_unstructured"}, ("trainer.callbacks has ModelPruning", "torch.nn.utils.prune")),
    ],
    "ModelSummary": [({}, EXACTLY)],
    "OnExceptionCheckpoint": [
        ({"dirpath": "{}/on_exception"}, ("trainer.callbacks has OnExceptionCheckpoint", "keeps checkpoints/last.ckpt"))
    ],
    "ProgressBar": [({}, ABSTRACT)],
    "RichModelSummary": [({}, EXACTLY)],
    "RichProgressBar": [({}, EXACTLY)],
    "StochasticWeightAveraging": [
        (
            {"swa_lrs": 0.01, "swa_epoch_start": 0.8},
            ("trainer.callbacks has StochasticWeightAveraging", "take lightning.pytorch.callbacks.EMAWeightAveraging"),
        )
    ],
    "SpikeDetection": [({}, ("trainer.callbacks has SpikeDetection", "not finite"))],
    "ThroughputMonitor": [({"batch_size_fn": f"{__name__}.rows"}, EXACTLY)],
    "Timer": [
        ({"duration": "00:01:00:00"}, EXACTLY),
        ({"duration": "00:01:00:00", "interval": "epoch"}, ("Timer with interval epoch", "set it to step")),
    ],
    "TQDMProgressBar": [({}, EXACTLY)],
    "EMAWeightAveraging": [
        ({"decay": 0.5}, AVERAGED),
        (
            {"update_starting_at_step": 2},
            ("has EMAWeightAveraging", "averaging begins with the first step"),
        ),
        ({"update_starting_at_epoch": 1}, ("EMAWeightAveraging with update_starting_at_epoch 1", "goes by steps")),
    ],
    "WeightAveraging": [({}, AVERAGED)],
}
WHOLE = ("leave it out", "trainer.plugins has")
PLUGINS: dict[str, list[Row]] = {
    "AsyncCheckpointIO": [({}, (*WHOLE, "AsyncCheckpointIO", "none is ever half a file"))],
    "CheckpointIO": [({}, ABSTRACT)],
    "TorchCheckpointIO": [({}, (*WHOLE, "TorchCheckpointIO"))],
    "XLACheckpointIO": [({}, (*WHOLE, "XLACheckpointIO"))],
    "BitsandbytesPrecision": [({"mode": "nf4"}, (*WHOLE, "bf16-mixed"))],
    "DeepSpeedPrecision": [({"precision": "32-true"}, (*WHOLE, "bf16-mixed"))],
    "DoublePrecision": [({}, TRIAL)],
    "HalfPrecision": [({}, (*WHOLE, "bf16-mixed"))],
    "MixedPrecision": [({"precision": "bf16-mixed", "device": "cpu"}, TRIAL)],
    "Precision": [({}, EXACTLY)],
    "TransformerEnginePrecision": [({"weights_dtype": "torch.float32"}, (*WHOLE, "bf16-mixed"))],
    "FSDPPrecision": [({"precision": "32-true"}, (*WHOLE, "bf16-mixed"))],
    "XLAPrecision": [({}, (*WHOLE, "bf16-mixed"))],
    "LayerSync": [({}, ABSTRACT)],
    "TorchSyncBatchNorm": [({}, EXACTLY)],
}
PROFILERS: dict[str, list[Row]] = {
    "Profiler": [({}, ABSTRACT)],
    "AdvancedProfiler": [({"dirpath": "{}", "filename": "profile"}, EXACTLY)],
    "PassThroughProfiler": [({}, EXACTLY)],
    "PyTorchProfiler": [({"dirpath": "{}", "filename": "profile"}, EXACTLY)],
    "SimpleProfiler": [({"dirpath": "{}", "filename": "profile"}, EXACTLY)],
    "XLAProfiler": [({}, ("trainer.profiler has XLAProfiler", "set it to simple"))],
}
PACKAGE = "trainer.logger has"
LOGGERS: dict[str, list[Row]] = {
    "LitLogger": [({}, ("trainer.logger", "LitLogger does not correspond to a subclass of Logger"))],
    "CometLogger": [({}, (PACKAGE, "needs the package comet_ml; install it"))],
    "CSVLogger": [({"save_dir": "{}/own"}, EXACTLY)],
    "Logger": [({}, ABSTRACT)],
    "MLFlowLogger": [({}, (PACKAGE, "needs the package mlflow; install it"))],
    "TensorBoardLogger": [({"save_dir": "{}/own"}, EXACTLY)],
    "WandbLogger": [({}, (PACKAGE, "needs the package wandb; install it"))],
}
STRATEGIES: dict[str, list[Row]] = {
    "DDPStrategy": [({}, ELSEWHERE)],  # tests/training/test_ddp_command.py
    "DeepSpeedStrategy": [({}, ELSEWHERE)],
    "FSDPStrategy": [({}, ("FSDP", "accelerator"))],
    "ModelParallelStrategy": [({}, ("trainer.strategy is ModelParallelStrategy", "set it to auto or ddp"))],
    "ParallelStrategy": [({}, ABSTRACT)],
    "SingleDeviceStrategy": [({"device": "cpu"}, EXACTLY)],
    "Strategy": [({}, ABSTRACT)],
}
SHIPPED = {
    "callbacks": (callbacks, CALLBACKS),
    "plugins": (plugins, PLUGINS),
    "profiler": (profilers, PROFILERS),
    "logger": (loggers, LOGGERS),
    "strategy": (strategies, STRATEGIES),
}
UNTRIED = (ABSTRACT, ELSEWHERE)


def rows(batch: Any) -> int:
    """The samples of a batch, which ThroughputMonitor asks for."""
    return len(batch.index)


def configurations() -> dict[str, tuple[dict[str, Any], Any]]:
    """Each row's Trainer options, and what comes of them."""
    found = {f"{name}={value}": ({name: value}, outcome) for name, tried in OPTIONS.items() for value, outcome in tried}
    for option, (package, table) in SHIPPED.items():
        for name, tried in table.items():
            for arguments, outcome in tried:
                chosen = {"class_path": f"{package.__name__}.{name}", "init_args": arguments}
                found[f"{name} {arguments or ''}"] = ({option: [chosen] if option == "callbacks" else chosen}, outcome)
    return {name: row for name, row in found.items() if row[1] not in UNTRIED}


ROWS = configurations()


def train(folder: Path, trainer: dict[str, Any], *more: str) -> int:
    """`memtrain fit` of four steps, with further Trainer options in a file."""
    content = yaml.safe_dump({"trainer": trainer}).replace("{}/", f"{folder}/").replace("'{}'", str(folder))
    folder.mkdir(exist_ok=True)
    (folder / "more.yaml").write_text(content, encoding="utf-8")
    names = ("trainer", "bptt", "retrieval")
    files = [word for name in names for word in ("--config", str(CONF / f"{name}.yaml"))]
    own = ["--config", str(folder / "more.yaml"), f"--trainer.default_root_dir={folder}"]
    own.append("--data.evaluation_batch_size=4")
    if "enable_progress_bar" not in trainer:
        own.append(f"--trainer.enable_progress_bar={'ProgressBar' in content}")
    return main(["fit", *files, *own, *more])


def losses(folder: Path) -> list[str]:
    """Of each step."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [row["train/loss"] for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the last checkpoint."""
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Lightning leaves torch deterministic, and with its benchmark on, for whatever comes next in this process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without any of these."""
    folder = tmp_path_factory.mktemp("plain")
    assert train(folder, {}) == 0
    return folder


@pytest.mark.parametrize("name", ROWS)
def test_what_lightning_ships_works_exactly_or_is_refused_before_training(
    name: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, outcome = ROWS[name]
    monkeypatch.chdir(tmp_path)
    steps = ["--trainer.max_steps=1"] if outcome == TRIAL else []
    status = train(tmp_path / "run", trainer, *steps)
    shown = capsys.readouterr().err
    if isinstance(outcome, tuple):
        assert status in (1, 2)
        (sentence,) = [line for line in shown.splitlines() if line.startswith("memtrain: ")]
        assert not [part for part in outcome if part not in sentence], sentence
        assert "Traceback" not in shown
        return
    assert status == 0, shown
    if outcome == TRIAL:
        return
    assert losses(tmp_path / "run") == losses(plain)
    trained, expected = weights(tmp_path / "run"), weights(plain)
    equal = all(torch.equal(value, trained[key]) for key, value in expected.items())
    assert equal == (outcome == EXACTLY)


def test_every_option_callback_plugin_profiler_logger_and_strategy_has_a_row() -> None:
    assert set(OPTIONS) == set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    for package, table in SHIPPED.values():
        kinds = {name for name in package.__all__ if inspect.isclass(getattr(package, name))}
        assert kinds == set(table), package.__name__


def test_averaged_weights_are_the_same_after_a_stop(tmp_path: Path) -> None:
    average = {"callbacks": [{"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.5}}]}
    assert train(tmp_path / "whole", average) == 0
    assert train(tmp_path / "part", average, "--trainer.max_steps=1") == 0
    assert train(tmp_path / "part", average, "--ckpt_path=last") == 0
    assert losses(tmp_path / "whole") == losses(tmp_path / "part")
    whole, part = weights(tmp_path / "whole"), weights(tmp_path / "part")
    assert all(torch.equal(value, part[key]) for key, value in whole.items())


def test_a_checkpoint_without_a_name_is_named_by_its_step(tmp_path: Path) -> None:
    best = {"callbacks": [{"class_path": "ModelCheckpoint", "init_args": {"every_n_train_steps": 1, "save_top_k": -1}}]}
    assert train(tmp_path, best) == 0
    names = sorted(file.name for file in (tmp_path / "checkpoints").iterdir())
    assert names == ["last.ckpt", *(f"step={step}.ckpt" for step in range(1, 5))]


def test_training_stops_early_where_a_metric_no_longer_gets_better(tmp_path: Path) -> None:
    stop = {"monitor": "val/rollout/loss", "min_delta": 1e9, "patience": 1}
    assert train(tmp_path, {"callbacks": [{"class_path": "EarlyStopping", "init_args": stop}]}) == 0
    assert load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert train(tmp_path, {"callbacks": [{"class_path": "EarlyStopping", "init_args": stop}]}, "--ckpt_path=last") == 0
