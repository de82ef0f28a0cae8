"""`memtrain forecast`: paths of a model whose predictions are known, and the command from a checkpoint to a file."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from all_stages import train_all_stages
from PIL import Image
from torch import Tensor, nn

from memtrain.cli import main
from memtrain.data import TableDataModule
from memtrain.data.tables.outputs import in_units
from memtrain.data.tables.reader import TableReader
from memtrain.data.tables.roles import Roles
from memtrain.forecast.future import with_future
from memtrain.networks import RNN, Channel, Channels, Gaussian, Interface, NegativeBinomial, NetworkOptions
from memtrain.networks.cells import Cell
from memtrain.networks.forecasting import Series, draw_paths
from tests.export.test_step import needs_onnx

NAN = float("nan")


class LastRow(Cell):
    """Remembers the last row and nothing else."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return embedding.unsqueeze(1)


class Keep(nn.Module):
    """Packed channels as they are, filled up to the width: value, known value, and their flags."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.width = width

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.pad(inputs, (0, self.width - inputs.shape[-1]))


class Knowing(nn.Module):
    """Adds what is known of the next step to the first feature."""

    def forward(self, features: Tensor, ahead: Tensor) -> Tensor:
        return features + nn.functional.pad(ahead[..., :1], (0, features.shape[-1] - 1))


LOAD, HELP = Channel("load", center=10.0, scale=2.0), Channel("help", "known")


def linear_rnn(channels: list[Channel], spread: float) -> tuple[RNN, Interface]:
    """The next scaled load is half the sum of the last one and of what is known of the next row."""
    interface = Interface(Channels(channels), Gaussian([LOAD]))
    rnn = RNN(NetworkOptions(width=4, memory_tokens=1, cell=LastRow, readout="linear"), interface)
    rnn.embedding = Keep(4)  # type: ignore[assignment]
    head = rnn.head
    if head.foresight is not None:
        head.foresight = Knowing()  # type: ignore[assignment]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[0, 0] = 0.5
        head.bias[1] = spread
    return rnn, interface


def paths(
    channels: list[Channel],
    rows: list[list[float]],
    lengths: list[int],
    horizon: int,
    spread: float = -50.0,
    samples: int = 3,
) -> np.ndarray:
    """Of series that follow one another, each with `horizon` rows to come."""
    rnn, interface = linear_rnn(channels, spread)
    counts = np.array(lengths)
    starts = np.concatenate([[0], np.cumsum(counts + horizon)[:-1]])
    series = Series(np.array(rows), starts, counts, horizon)
    units: Callable[[np.ndarray], np.ndarray] = lambda drawn: in_units(interface.outputs, drawn)  # noqa: E731
    generator = torch.Generator().manual_seed(0)
    inputs = interface.inputs
    assert isinstance(inputs, Channels)
    return draw_paths(rnn, inputs, [0], series, samples, units, generator)


def test_paths_of_a_linear_model_decay_as_they_must() -> None:
    """18 is 4 in scaled units; then 2, 1, 1/2: 14, 12, 11."""
    drawn = paths([LOAD], [[0.0], [18.0], [NAN], [NAN], [NAN]], [2], 3)
    assert drawn.shape == (1, 3, 3, 1)
    assert drawn[0, :, :, 0] == pytest.approx(np.tile([14.0, 12.0, 11.0], (3, 1)), abs=0.05)


def test_what_is_known_of_each_row_to_come_enters_it() -> None:
    """From 4: (4 + 1) / 2 = 2.5, (2.5 + 0) / 2 = 1.25, (1.25 - 2) / 2 = -0.375."""
    rows = [[18.0, 9.0], [NAN, 1.0], [NAN, 0.0], [NAN, -2.0]]
    drawn = paths([LOAD, HELP], rows, [1], 3, samples=2)
    assert drawn[0, 0, :, 0] == pytest.approx([15.0, 12.5, 9.25], abs=0.05)


def test_series_of_different_lengths_are_forecast_as_each_alone() -> None:
    """Also across the pieces in which histories are packed."""
    long = np.random.default_rng(0).normal(10, 2, 600)
    histories = [long[:3], long, long[100:357]]
    rows = [[[value] for value in [*history, NAN, NAN]] for history in histories]
    together = paths([LOAD], [*itertools.chain(*rows)], [len(history) for history in histories], 2, samples=1)
    alone = [paths([LOAD], own, [len(own) - 2], 2, samples=1) for own in rows]
    assert together == pytest.approx(np.concatenate(alone), abs=0.05)
    expected = [10 + (history[-1] - 10) / 2 for history in histories]
    assert together[:, 0, 0, 0] == pytest.approx(expected, abs=0.05)


def test_each_draw_is_fed_back_to_its_own_path() -> None:
    """An autoregression of 1/2 with standard deviation s: the variance after two steps is s^2 (1 + 1/4)."""
    drawn = paths([LOAD], [[10.0], [NAN], [NAN]], [1], 2, spread=0.0, samples=4000)
    first, second = drawn[0, :, 0, 0] - 10, drawn[0, :, 1, 0] - 10
    assert second.var() / first.var() == pytest.approx(1.25, abs=0.06)
    assert np.cov(first, second)[0, 1] / first.var() == pytest.approx(0.5, abs=0.05)


def test_draws_of_counts_are_in_their_units() -> None:
    drawn = np.array([[3.0]])
    assert in_units(NegativeBinomial([LOAD]), drawn).tolist() == [[3.0]]
    assert in_units(Gaussian([LOAD]), drawn).tolist() == [[16.0]]


def rows_of(tmp_path: Path, text: str, roles: Roles, **options: object):
    (tmp_path / "t.csv").write_text(text)
    return TableReader(roles, **options).read(str(tmp_path / "t.csv"))  # type: ignore[arg-type]


def test_rows_after_the_last_observed_target_are_the_future(tmp_path: Path) -> None:
    text = "time,a,h,o\n2024-01-01,1,5,7\n2024-01-02,2,6,8\n2024-01-03,,7,9\n2024-01-04,,8,9\n"
    roles = Roles(time="time", targets=["a"], known=["h"])
    future = with_future(rows_of(tmp_path, text, roles), 2)
    assert future.lengths.tolist() == [2]
    assert future.rows.columns["h"].tolist() == [5, 6, 7, 8]
    assert np.isnan(future.rows.columns["o"]).tolist() == [False, False, True, True]  # seen at its time, not before
    assert [str(time.date()) for time in future.times(0)] == ["2024-01-03", "2024-01-04"]
    with pytest.raises(ValueError, match=r"--horizon is 3, but after its last observed target series t has 2 rows"):
        with_future(rows_of(tmp_path, text, roles), 3)


def test_times_go_on_as_before(tmp_path: Path) -> None:
    """Month by month where rows are regular; as far as rows usually are where they are not."""
    months = "time,a\n2023-11-30,1\n2023-12-31,2\n2024-01-31,3\n"
    future = with_future(rows_of(tmp_path, months, Roles(time="time")), 2)
    assert [str(time.date()) for time in future.times(0)] == ["2024-02-29", "2024-03-31"]
    uneven = "time,a\n0,1\n5,2\n7,3\n12,3\n17.5,4\n"
    future = with_future(rows_of(tmp_path, uneven, Roles(time="time"), frequency="irregular"), 2)
    assert list(future.times(0)) == [22.5, 27.5]


def test_a_series_without_targets_is_refused(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "s,a\nx,1\nx,2\ny,\ny,\n", Roles(series="s"))
    with pytest.raises(ValueError, match=r"Series y has no value of a; leave it out of the file"):
        with_future(rows, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All stages, on two series with a known column and one of categories."""
    folder = tmp_path_factory.mktemp("trained")
    write_table(folder / "train.csv", 80)
    data = TableDataModule(
        path=str(folder / "train.csv"), time="time", series="place", known=["holiday"], targets=["load"],
        categorical=["holiday"], calendar=["hour"], window=8, batch_size=4,
    )  # fmt: skip
    return train_all_stages(data, folder)


def write_table(file: Path, rows: int, coming: int = 0, places: tuple[str, ...] = ("hill", "vale")) -> Path:
    parts = []
    for place in places:
        load = np.sin(np.arange(rows + coming) / 4)
        load[rows:] = np.nan
        parts.append(
            pd.DataFrame(
                {
                    "place": place,
                    "time": pd.date_range("2024-01-01", periods=rows + coming, freq="h"),
                    "load": load,
                    "wind": np.where(np.isnan(load), np.nan, load**2),
                    "holiday": np.where(np.arange(rows + coming) % 5 == 0, "yes", "no"),
                }
            )
        )
    pd.concat(parts).to_csv(file, index=False)
    return file


def run(checkpoint: Path, data: Path, output: Path, *more: str) -> int:
    words = ["forecast", "--checkpoint", str(checkpoint), "--data", str(data), "--output", str(output)]
    return main([*words, *(more or ("--horizon", "12", "--samples", "5"))])


@pytest.mark.parametrize("places", [("dale",), ("hill", "vale", "dale")])
def test_a_table_has_a_row_for_each_series_time_and_target(
    places: tuple[str, ...], trained: dict[str, Path], tmp_path: Path
) -> None:
    """Twelve rows, more than the window of 8; of series that training has not seen too."""
    data = write_table(tmp_path / "new.csv", 20, coming=12, places=places)
    assert run(trained["bptt"], data, tmp_path / "out.csv") == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["series", "time", "target", "0.1", "0.5", "0.9"]
    assert table.series.tolist() == [place for place in places for _ in range(12)]
    assert table.time.tolist()[:2] == ["2024-01-01 20:00:00", "2024-01-01 21:00:00"]
    assert set(table.target) == {"load"}
    assert (table["0.1"] <= table["0.5"]).all()
    assert (table["0.5"] <= table["0.9"]).all()


def test_a_seed_gives_the_same_paths_and_another_one_others(trained: dict[str, Path], tmp_path: Path) -> None:
    data = write_table(tmp_path / "new.csv", 20, coming=4)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = ("--horizon", "4", "--samples", "3", "--seed", str(seed), "--levels")
        assert run(trained["smt"], data, tmp_path / f"{name}.csv", *options) == 0
    first, second, third = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert first == second
    assert first != third
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["series", "time", "target", "sample", "value"]
    assert len(table) == 2 * 4 * 3
    assert table["sample"].tolist()[:4] == [0, 1, 2, 0]


def test_quantiles_are_those_of_the_paths(trained: dict[str, Path], tmp_path: Path) -> None:
    data = write_table(tmp_path / "new.csv", 20, coming=4)
    options = ("--horizon", "4", "--samples", "9")
    assert run(trained["dmt"], data, tmp_path / "q.csv", *options, "--levels", "0.25", "0.5") == 0
    assert run(trained["dmt"], data, tmp_path / "p.csv", *options, "--levels") == 0
    values = pd.read_csv(tmp_path / "p.csv").value.to_numpy().reshape(-1, 9)
    table = pd.read_csv(tmp_path / "q.csv")
    assert table["0.25"].to_numpy() == pytest.approx(np.quantile(values, 0.25, axis=1))
    assert table["0.5"].to_numpy() == pytest.approx(np.median(values, axis=1))


def test_a_figure_shows_every_series(trained: dict[str, Path], tmp_path: Path) -> None:
    data = write_table(tmp_path / "new.csv", 20, coming=12)
    assert run(trained["bptt"], data, tmp_path / "out.png") == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.format == "PNG"
        assert image.height > 600  # two panels


@pytest.mark.parametrize(
    ("stage", "options", "said"),
    [
        ("teacher", (), "has no model that takes in one row after the other; give a checkpoint of stage smt"),
        ("bptt", ("--horizon", "13"), "--horizon is 13, but after its last observed target series hill has 12 rows"),
        ("bptt", ("--horizon", "0"), "--horizon is 0, but must be at least 1"),
        ("bptt", ("--horizon", "2", "--samples", "0"), "--samples is 0, but must be at least 1"),
        ("bptt", ("--horizon", "2", "--levels", "80"), "--levels is 80.0, but must lie between 0.001 and 0.999"),
        ("bptt", ("--horizon", "2", "--output", "{}/out.txt"), "out.txt, but must end in .csv, a table, or .png"),
        ("bptt", ("--horizon", "2", "--data", "{}/none.csv"), "none.csv, which does not exist"),
        (
            "bptt",
            ("--horizon", "2", "--data", "{}/other.csv"),
            "data.targets names 'load', but the file has only the",
        ),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused_in_one_sentence(
    stage: str, options: tuple[str, ...], said: str, trained: dict[str, Path], tmp_path: Path, capsys
) -> None:
    data = write_table(tmp_path / "new.csv", 20, coming=12)
    (tmp_path / "other.csv").write_text("a\n1\n")
    more = [word.replace("{}", str(tmp_path)) for word in options or ("--horizon", "2")]
    assert run(trained[stage], data, tmp_path / "out.csv", *more) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_what_is_predicted_but_not_seen_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_table(tmp_path / "t.csv", 80)
    options = {"path": str(data), "time": "time", "series": "place", "window": 8, "batch_size": 4}
    unseen = TableDataModule(**options, targets=["load"], observed=["wind"])  # type: ignore[arg-type]
    checkpoint = train_all_stages(unseen, tmp_path)["bptt"]
    assert run(checkpoint, data, tmp_path / "out.csv") == 1
    assert "predicts 'load', which is not among its observed inputs, so that no draw can be fed back" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("kind", ["safetensors", pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow])])
def test_an_export_forecasts_what_its_checkpoint_does(kind: str, trained: dict[str, Path], tmp_path: Path) -> None:
    """Two series of different lengths, with a known column: the same paths from the same seed."""
    data = write_table(tmp_path / "new.csv", 20, coming=4)
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:1] + data.read_text().splitlines(True)[6:]))
    assert main(["export", str(trained["bptt"]), "--format", kind, "--output", str(tmp_path / "export")]) == 0
    options = ("--horizon", "4", "--samples", "3", "--levels")
    for name, source in (("own", tmp_path / "export"), ("expected", trained["bptt"])):
        assert run(source, data, tmp_path / f"{name}.csv", *options) == 0
    own, expected = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("own", "expected"))
    assert own.drop(columns="value").equals(expected.drop(columns="value"))
    assert own.value.to_numpy() == pytest.approx(expected.value.to_numpy(), abs=1e-5)


def test_new_categories_count_as_missing_and_it_is_said(trained: dict[str, Path], tmp_path: Path) -> None:
    data = write_table(tmp_path / "new.csv", 20, coming=3)
    data.write_text(data.read_text().replace("yes", "perhaps"))
    with pytest.warns(UserWarning, match="'perhaps' and other new values of column holiday count as missing"):
        assert run(trained["bptt"], data, tmp_path / "out.csv", "--horizon", "3", "--samples", "2") == 0


def wide(file: Path) -> None:
    frame = pd.DataFrame({"x": np.sin(np.arange(80) / 4), "y": np.cos(np.arange(80) / 4)})
    frame.to_csv(file, index=False)


def monash(file: Path) -> None:
    values = ",".join(f"{value:.3f}" for value in np.sin(np.arange(80) / 4))
    lines = [f"{name}:2020-01-01 00-00-00:{values}" for name in "xy"]
    head = "@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@data\n"
    file.write_text(head + "\n".join(lines) + "\n")


@pytest.mark.parametrize(("name", "write"), [("t.csv", wide), ("t.tsf", monash)])
def test_wide_tables_and_monash_files_are_forecast_series_by_series(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    layout = "wide" if write is wide else "long"
    data = TableDataModule(path=str(tmp_path / name), layout=layout, window=8, batch_size=4)  # type: ignore[arg-type]
    checkpoint = train_all_stages(data, tmp_path)["smt"]
    assert run(checkpoint, tmp_path / name, tmp_path / "out.csv", "--horizon", "2", "--samples", "3") == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert table.series.tolist() == ["x", "x", "y", "y"]
    assert table.time.tolist()[:2] == ([80, 81] if write is wide else ["2020-03-21 00:00:00", "2020-03-22 00:00:00"])
