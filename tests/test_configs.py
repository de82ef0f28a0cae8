"""Every shipped piece of configuration parses, explains every option, and trains a step with any other."""

import inspect
from pathlib import Path

import pytest
import yaml

from memtrain import training
from memtrain.cli import main
from memtrain.networks import NetworkOptions

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = sorted((CONFIGS / "model").glob("*.yaml"))
TRAINERS = sorted((CONFIGS / "trainer").glob("*.yaml"))
HERE = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.devices=1", "--trainer.strategy=auto"]
ONE_STEP = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false"]


def one_step(directory: Path, trainer: str, model: str, *more: str) -> int:
    """One optimizer step of shipped pieces on a small probe."""
    files = [
        CONFIGS / "trainer" / f"{trainer}.yaml",
        CONFIGS / "model" / f"{model}.yaml",
        CONFIGS / "data" / "retrieval.yaml",
    ]
    words = [word for file in files for word in ("--config", str(file))]
    small = ["--data.length=8", "--data.batch_size=2", f"--trainer.default_root_dir={directory}"]
    return main(["fit", *words, *HERE, *ONE_STEP, *small, *more])


@pytest.mark.parametrize("file", [*MODELS, *TRAINERS], ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_option_of_a_piece_is_explained(file: Path) -> None:
    first, *lines = file.read_text().splitlines()
    assert first.startswith("# ")
    options = [
        line for line in lines if not line.startswith(("#", "model:", "trainer:", "  class_path:", "  init_args:"))
    ]
    assert options
    assert all("  # " in line for line in options)


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_a_model_names_every_option_of_its_stage(file: Path) -> None:
    model = yaml.safe_load(file.read_text())["model"]
    stage = getattr(training, model["class_path"].rpartition(".")[2])
    options: set[str] = set()
    for base in stage.__mro__[: stage.__mro__.index(training.StageModule) + 1]:
        options |= set(inspect.signature(base).parameters)
    assert set(model["init_args"]) == options - {"kwargs", "interface", "seed"}  # these two are linked
    network = model["init_args"].get("network")
    assert network is None or set(network) <= set(NetworkOptions.__dataclass_fields__)


@pytest.mark.parametrize("trainer", [file.stem for file in TRAINERS])
def test_every_trainer_piece_trains(trainer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if trainer == "slurm":
        for name, value in {"NTASKS": "1", "STEP_ID": "0", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)  # of srun
    assert one_step(tmp_path, trainer, "bptt_gru") == 0


@pytest.mark.parametrize("model", ["teacher", "smt", "bptt", "bptt_gru", "linear_recurrence", "causal_transformer"])
def test_every_model_piece_trains(model: str, tmp_path: Path) -> None:
    assert one_step(tmp_path, "cpu", model) == 0


def test_the_dmt_piece_trains_on_what_the_smt_piece_has_learned(tmp_path: Path) -> None:
    assert one_step(tmp_path / "smt", "cpu", "smt") == 0
    source = tmp_path / "smt" / "checkpoints" / "last.ckpt"
    assert one_step(tmp_path / "dmt", "cpu", "dmt", f"--model.init_from={source}") == 0


def test_newton_and_its_options_can_be_chosen_on_the_command_line(tmp_path: Path) -> None:
    newton = ["--model.trajectory=Newton", "--model.trajectory.tolerance=1e-4", "--model.trajectory.guess=input"]
    cell = "--model.network.cell=memtrain.networks.cells.ParaGRUCell"
    assert one_step(tmp_path, "cpu", "bptt_gru", cell, *newton) == 0
