"""Every shipped experiment that is a measurement is parsed whole, and measured at a tiny size by its command."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from memtrain.cli import main
from memtrain.experiment.measurement import prepare
from memtrain.experiment.reading import read_experiment
from memtrain.files import read_json

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = [file for file in sorted(FOLDER.glob("*/experiment.yaml")) if "measurement" in yaml.safe_load(file.read_text())]
TINY = {
    "newton_iterations": {"lengths": [4, 8], "scales": [1], "cells": {"para_lstm": 4, "gru": 4}, "batch": 2},
    "gradient_profiles": {"lengths": [4, 8], "sequences": 2},
    "exponent_along_training": {"steps": 3, "length": 8, "width": 8, "batch_size": 2, "readings": 1},
}
OF_RUNS = {"length_generalization", "control_q6"}
"""These read runs that must be there before; their own tests make some and give them to the command."""


def name(file: Path) -> str:
    return file.parent.name


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_option_is_known_and_three_seeds_are_measured(file: Path) -> None:
    experiment = read_experiment(file)
    assert experiment.name == name(file)
    assert experiment.measurement is not None
    _, options = prepare(experiment.measurement)
    assert set(experiment.measurement["init_args"]) == set(options)  # the file says all that can be set
    assert options.get("seeds", [0, 1, 2]) == [0, 1, 2]  # or those of the runs that are read


@pytest.mark.parametrize("file", [file for file in FILES if name(file) not in OF_RUNS], ids=name)
def test_the_command_writes_a_row_a_seed_and_a_figure(file: Path, tmp_path: Path) -> None:
    changes = [f"measurement.init_args.{key}={value}" for key, value in TINY[name(file)].items()]
    words = [word for change in changes for word in ("--set", change)]
    assert main(["run", str(file), *words, "--output", str(tmp_path)]) == 0
    assert set(pd.read_csv(tmp_path / "results.csv")["seed"]) == {0, 1, 2}
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert {"measurement", "command", "commit", "hardware"} <= set(read_json(tmp_path / "provenance.json"))
