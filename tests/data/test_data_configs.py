"""Every shipped data configuration names every option, explains it, and builds."""

import importlib
from inspect import signature
from pathlib import Path

import pytest
import yaml

from memtrain.data import SequenceDataModule

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_configuration_names_and_explains_every_option(file: Path) -> None:
    data = yaml.safe_load(file.read_text())["data"]
    module, _, name = data["class_path"].rpartition(".")
    data_module = getattr(importlib.import_module(module), name)
    options = {*signature(data_module).parameters, *signature(SequenceDataModule).parameters}
    assert set(data["init_args"]) == options - {"options", "seed"}  # the seed comes from seed_everything
    assert data_module(**data["init_args"]).sequence_length > 0

    lines = file.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all("  # " in line for line in lines[lines.index("  init_args:") + 1 :])


def test_every_data_set_has_a_configuration() -> None:
    assert {file.stem for file in CONFIGS} >= {
        "retrieval", "string_copy", "stack", "key_value_recall", "modular_arithmetic", "parity",
        "tinystories", "digits", "mnist", "sketchy", "quickdraw",
    }  # fmt: skip
