"""Every shipped data configuration names every option, explains it, builds, and trains."""

import importlib
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import pytest
import yaml

from memtrain.cli import main
from memtrain.data import SequenceDataModule
from memtrain.data.sources import local_path
from memtrain.experiment.data import build_data

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "data").glob("*.yaml"))
if find_spec("gymnasium") is None:  # pip install 'memtrain[control]'
    CONFIGS = [file for file in CONFIGS if file.stem != "recorded_episodes"]
MODEL = CONFIGS[0].parents[1] / "model" / "bptt_gru.yaml"
SOURCES = {
    "table": "sensors",
    "episodes": "logs",
    "time_series_classification": "motions",
    "mnist": "idx_folder",
    "sequential_mnist": "labeled_idx",
    "quickdraw": "bitmaps",
    "sketchy": "sketches",
    "tinystories": "stories",
}
"""Which fixture stands for the files of a configuration."""


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_configuration_names_and_explains_every_option(file: Path, request: pytest.FixtureRequest) -> None:
    data = yaml.safe_load(file.read_text())["data"]
    module, _, name = data["class_path"].rpartition(".")
    data_module = getattr(importlib.import_module(module), name)
    bases = [base for base in data_module.__mro__ if issubclass(base, SequenceDataModule)]
    options = {name for base in bases for name in signature(base).parameters}
    assert set(data["init_args"]) == options - {"options", "seed"}  # the seed comes from seed_everything
    source = {"path": str(request.getfixturevalue(SOURCES[file.stem]))} if file.stem in SOURCES else {}
    assert build_data(data | {"init_args": data["init_args"] | source}).sequence_length > 0

    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all("  # " in line for line in lines[lines.index("  init_args:") + 1 :])


@pytest.mark.filterwarnings("ignore:.*not ASCII:UserWarning")
@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_configuration_trains(file: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    words = ["fit", "--config", str(MODEL), "--config", str(file), "--data.batch_size=2"]
    words += ["--trainer.accelerator=cpu", "--trainer.max_steps=1", "--trainer.limit_val_batches=0"]
    words += ["--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    if file.stem in SOURCES:
        words.append(f"--data.path={request.getfixturevalue(SOURCES[file.stem])}")
    if "cache_folder" in yaml.safe_load(file.read_text())["data"]["init_args"]:
        words.append(f"--data.cache_folder={tmp_path / 'cache'}")
    assert main(words) == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


def test_a_local_default_path_is_not_taken_for_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {file.stem: yaml.safe_load(file.read_text())["data"]["init_args"].get("path") for file in CONFIGS}
    for name in ("mnist", "sequential_mnist", "tinystories"):
        assert local_path(paths.pop(name)) is None
    local = {name: path for name, path in paths.items() if path is not None}
    assert local.pop("episodes") == "logs.npz"  # never looked up on the hub
    assert set(local) == {"quickdraw", "sketchy", "table", "time_series_classification"}
    for path in local.values():
        with pytest.raises(FileNotFoundError, match="which does not exist; give a file, a folder"):
            local_path(path)


def test_every_data_set_has_a_configuration() -> None:
    assert {file.stem for file in CONFIGS} >= {
        "retrieval", "string_copy", "stack", "key_value_recall", "modular_arithmetic", "parity",
        "copy_memory", "selective_copy", "time_series_classification", "table", "episodes", "recorded_episodes",
        "adding_problem", "regimes", "event_timing", "exogenous_lag", "action_history",
        "tinystories", "digits", "mnist", "sequential_mnist", "sketchy", "quickdraw",
    }  # fmt: skip
