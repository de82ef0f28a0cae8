"""The measurement of accuracy beyond the training length, on a tiny experiment that was really run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from memtrain.cli import main
from memtrain.data import ModularArithmetic, RasterDataModule, Retrieval
from memtrain.measurements.length_generalization import Trained, draw, length_generalization, lengthened
from memtrain.style import COLORS

TESTS = Path(__file__).parents[1]
SHIPPED = TESTS.parent / "experiments" / "length_generalization" / "experiment.yaml"
READINGS = [("smt_dmt", "rnn"), ("smt_dmt", "teacher"), ("bptt", "rnn")]
READ = Trained(8, ["smt_dmt", "bptt"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Retrieval over 8 steps, two optimizer steps a method, read by the runs themselves at 8 and at 16."""
    directory = tmp_path_factory.mktemp("runs") / "tiny"
    words = ["run", str(TESTS / "conf" / "experiment.yaml"), "--output", str(directory)]
    words += ["--set", "budget.steps=2", "--set", "evaluation.difficulties=[16]"]
    for index in range(2):
        assert main([*words, "--index", str(index)]) == 0
    return directory


def measured(folder: Path, read: Trained = READ, **options: Any) -> pd.DataFrame:
    """The table of 16 samples, in batches of 5, the last of one."""
    usual = {"factors": [1, 2], "seeds": [0], "samples": 16, "batch_size": 5}
    return pd.DataFrame(length_generalization({str(folder): read}, **(usual | options))[0])


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def test_there_is_a_row_for_each_length_of_an_rnn_and_of_its_teacher(runs: Path) -> None:
    rows = measured(runs)
    assert list(rows) == ["experiment", "method", "reading", "seed", "trained", "length", "accuracy", "chance"]
    assert sorted(rows[["method", "reading", "length"]].itertuples(index=False, name=None)) == sorted(
        (*reading, length) for reading in READINGS for length in (8, 16)
    )
    assert set(rows["experiment"]) == {"tiny"}
    assert (rows[["seed", "trained", "chance"]] == [0, 8, 1 / 8]).all(axis=None)


def test_accuracies_are_those_that_the_runs_have_read_on_the_same_samples(runs: Path) -> None:
    rows = measured(runs).set_index(["method", "reading", "length"])["accuracy"]
    for method, stage in (("smt_dmt", "dmt"), ("bptt", "bptt")):
        result = json.loads((runs / method / "8" / "0" / stage / "result.json").read_text())
        for evaluation in result["evaluations"]:
            for reading, metrics in evaluation["readings"].items():
                assert rows[method, reading, evaluation["difficulty"]] == metrics["accuracy"]


def test_the_command_measures_and_its_figure_is_drawn_again_from_the_table(runs: Path, tmp_path: Path) -> None:
    shutil.copy(SHIPPED, tmp_path)
    options = {"runs": f"{{{runs}: {{difficulty: 8, methods: [smt_dmt, bptt]}}}}", "seeds": "[0]", "samples": "16"}
    words = [word for key, value in options.items() for word in ("--set", f"measurement.init_args.{key}={value}")]
    assert main(["run", str(tmp_path / SHIPPED.name), *words, "--output", str(tmp_path)]) == 0
    assert set(pd.read_csv(tmp_path / "results.csv")["length"]) == {8, 16, 32}
    drawn = pixels(tmp_path / "figure.png")
    (tmp_path / "figure.png").unlink()
    assert main(["figures", str(tmp_path)]) == 0
    assert np.array_equal(pixels(tmp_path / "figure.png"), drawn)


def test_a_panel_shows_means_of_seeds_and_the_teacher_dashed_in_its_students_color() -> None:
    table = [
        (name, method, reading, seed, 32, 32 * factor, accuracy + 0.2 * seed, 0.25)
        for name in ("retrieval", "stack")
        for (method, reading), accuracy in zip(READINGS, (0.6, 0.7, 0.3), strict=True)
        for seed in (0, 1)
        for factor in (1, 2, 4)
    ]
    figure = draw(
        pd.DataFrame(
            table, columns=["experiment", "method", "reading", "seed", "trained", "length", "accuracy", "chance"]
        )
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["retrieval", "stack"]
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    assert list(lines["smt_dmt"].get_xdata()) == [1, 2, 4]
    assert lines["smt_dmt"].get_ydata() == pytest.approx([0.7] * 3)  # of seeds at 0.6 and 0.8
    labels = ["smt_dmt", "smt_dmt, teacher", "bptt"]
    drawn = {label: (to_hex(lines[label].get_color()), lines[label].get_linestyle()) for label in labels}
    assert drawn == dict(zip(labels, [(COLORS[0], "-"), (COLORS[0], "--"), (COLORS[1], "-")], strict=True))
    assert lines["chance"].get_linestyle() == ":"


@pytest.mark.parametrize(
    ("place", "options", "told"),
    [
        ("nowhere", {}, "nowhere has no finished run of smt_dmt at 8 with seed 0"),
        ("tiny", {"seeds": [0, 1]}, "tiny has no finished run of smt_dmt at 8 with seed 1"),
        ("tiny", {"read": Trained(8, ["gru"])}, "tiny has no finished run of gru at 8 with seed 0"),
    ],
)
def test_a_run_that_is_missing_is_named_with_the_command_that_makes_it(
    place: str, options: dict[str, Any], told: str, runs: Path
) -> None:
    seeds = ",".join(map(str, options.get("seeds", [0])))
    methods = ",".join(options.get("read", READ).methods)
    command = f"experiments/{place}/grid.yaml --methods {methods} --seeds {seeds} --set 'difficulty.values=[8]'"
    sentence = f"{told}; run the experiment first: memtrain run {command}"
    with pytest.raises(FileNotFoundError, match=f"{re.escape(sentence)}$"):
        measured(runs.parent / place, **options)


def test_a_checkpoint_that_was_removed_is_named_with_the_folder_in_its_way(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "tiny")
    (tmp_path / "tiny" / "bptt" / "8" / "0" / "bptt" / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"bptt/checkpoints/last\.ckpt is missing; remove .*/tiny/bptt/8/0 and"):
        measured(tmp_path / "tiny")


def test_longer_data_keep_every_option_but_the_length() -> None:
    data = lengthened(Retrieval(length=8, symbols=5, batch_size=3, seed=7), 4, samples=16, batch_size=2)
    assert isinstance(data, Retrieval)
    assert (data.length, data.symbols, data.batch_size, data.seed) == (32, 5, 3, 7)
    assert (data.evaluation_samples, data.evaluation_batch_size) == (16, 2)


def test_data_whose_tokens_change_or_which_have_one_length_are_refused() -> None:
    with pytest.raises(
        ValueError, match="ModularArithmetic, which has 5 tokens in, 5 classes out at modulus 5, but 10 tokens in, 10 "
    ):
        lengthened(ModularArithmetic(modulus=5), 2, samples=16, batch_size=4)
    with pytest.raises(ValueError, match="RasterDataModule, whose sequences have one length; leave it out"):
        lengthened(RasterDataModule(), 2, samples=16, batch_size=4)
