"""Every committed figure is what `memtrain figures` draws from the committed tables beside it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memtrain.cli import main

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
TABLES = sorted(EXPERIMENTS.glob("*/results.csv"))
LEVELS, PIXELS = 32, 20
"""A few pixels may be another shade, as processors round differently; a marker that moves changes more."""


def copy(name: str, folder: Path) -> Path:
    """A folder with what a figure is drawn from."""
    folder.mkdir()
    for file in EXPERIMENTS.joinpath(name).iterdir():
        if file.suffix in (".csv", ".yaml"):
            shutil.copy(file, folder)
    return folder


def pixels(file: Path) -> np.ndarray:
    """An image as `[height, width, 3]`, of 0 to 255."""
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def changed(first: np.ndarray, second: np.ndarray) -> int:
    """In how many pixels two images of one size differ."""
    return int((abs(first - second).max(axis=-1) > LEVELS).sum())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.parent.name)
def test_a_committed_figure_is_drawn_from_its_table(table: Path, tmp_path: Path) -> None:
    folder = copy(table.parent.name, tmp_path / "page")
    assert main(["figures", str(folder)]) == 0
    drawn, committed = pixels(folder / "figure.png"), pixels(table.parent / "figure.png")
    redraw = f"run `memtrain figures experiments/{table.parent.name}`"
    assert drawn.shape == committed.shape, redraw
    assert changed(drawn, committed) <= PIXELS, redraw


def test_no_figure_is_committed_without_its_table() -> None:
    assert {figure.parent for figure in EXPERIMENTS.glob("*/figure.png")} == {table.parent for table in TABLES}


def test_a_changed_number_changes_the_figure(tmp_path: Path) -> None:
    folder = copy("demo", tmp_path / "page")
    table = (folder / "results.csv").read_text()
    assert "demo,bptt,rnn,bptt,length,256,256,0,0.14453125," in table
    (folder / "results.csv").write_text(table.replace("256,256,0,0.14453125,", "256,256,0,0.17453125,", 1))
    assert main(["figures", str(folder)]) == 0
    assert changed(pixels(folder / "figure.png"), pixels(EXPERIMENTS / "demo" / "figure.png")) > PIXELS


def test_a_measurement_is_drawn_again_as_it_was(tmp_path: Path) -> None:
    tiny = {"lengths": [4, 8], "scales": [1], "cells": {"para_lstm": 4, "gru": 4}, "batch": 2, "seeds": [0, 1]}
    changes = [word for key, value in tiny.items() for word in ("--set", f"measurement.init_args.{key}={value}")]
    folder = copy("newton_iterations", tmp_path / "page")
    assert main(["run", str(folder / "experiment.yaml"), *changes, "--output", str(folder)]) == 0
    drawn = pixels(folder / "figure.png")
    (folder / "figure.png").unlink()
    assert main(["figures", str(folder)]) == 0
    assert np.array_equal(pixels(folder / "figure.png"), drawn)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (None, "", "There is no {folder}/results.csv; name folders that hold one, as experiments/demo."),
        ("results.csv", "method,evaluation_difficulty\nbptt,8\n", "{folder}/results.csv has no column experiment;"),
        ("results.csv", "cell,seed\ngru,0\n", "There is no experiment file {folder}/experiment.yaml;"),
    ],
)
def test_a_folder_that_cannot_be_drawn_is_told_in_a_sentence(
    file: str | None, content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if file:
        (tmp_path / file).write_text(content)
    assert main(["figures", str(tmp_path)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("memtrain: " + sentence.format(folder=tmp_path))
    assert not (tmp_path / "figure.png").exists()


def test_a_table_that_is_no_comparison_needs_a_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy("demo", tmp_path / "page")
    (folder / "results.csv").write_text("cell,seed\ngru,0\n")
    assert main(["figures", str(folder)]) == 1
    assert "is no comparison, and" in capsys.readouterr().err
