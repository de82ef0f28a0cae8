"""TableDataModule: what goes in and out, what is known when, what is known of the training split alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from all_stages import train_all_stages

from memtrain.batch import SequenceBatch
from memtrain.checkpoints import load_checkpoint
from memtrain.data import ENDLESS, TableDataModule
from memtrain.networks import Bernoulli, Channels, Gaussian, NegativeBinomial


def table(tmp_path: Path, frame: pd.DataFrame, **options: object) -> TableDataModule:
    file = tmp_path / "t.csv"
    frame.to_csv(file, index=False)
    return TableDataModule(path=str(file), **options)  # type: ignore[arg-type]


def batch(data: TableDataModule, split: str, count: int) -> SequenceBatch:
    return data.dataset(split).__getitems__(range(count))  # type: ignore[arg-type]


def ramp(rows: int = 100) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(rows, dtype=float), "b": np.arange(rows)[::-1] * 2.0})


def test_a_timestep_sees_its_row_and_predicts_the_next(tmp_path: Path) -> None:
    """Without scaling: the target of a row is that row plus 1 (column a) and minus 2 (column b)."""
    data = table(tmp_path, ramp(), window=8, scaling="none")
    taken = batch(data, "train", 5)
    assert taken.inputs.shape == (5, 8, 4)
    assert taken.ahead is None
    assert bool(taken.mask.all())
    assert torch.equal(taken.targets - taken.inputs[..., :2], torch.tensor([1.0, -2.0]).expand(5, 8, 2))
    assert len(data.dataset("train")) == ENDLESS


def test_scales_are_those_of_the_training_part_alone(tmp_path: Path) -> None:
    """Column a is 0, 1, .., 69 in training: mean 34.5."""
    data = table(tmp_path, ramp(), window=8)
    frame = ramp()
    frame.loc[70:, "a"] = 1e6
    other = table(tmp_path, frame, window=8)
    inputs = data.interface().inputs
    assert isinstance(inputs, Channels)
    assert inputs.channels[0].center == pytest.approx(34.5)
    assert inputs.channels[0].scale == pytest.approx(np.arange(70).std())
    assert other.interface() == data.interface()
    assert torch.equal(batch(other, "train", 9).inputs, batch(data, "train", 9).inputs)


def test_what_the_head_is_told_comes_from_training(tmp_path: Path) -> None:
    """A saw 0, 1, 2, 3, 0, .. of season 4 is forecast without error a season before, and by 1, 1, 1, 3 a row before."""
    frame = pd.DataFrame({"a": np.arange(200) % 4.0})
    outputs = table(tmp_path, frame, window=8, scaling="none").interface().outputs
    assert isinstance(outputs, Gaussian)
    assert outputs.seasonal_errors == pytest.approx([1.5], abs=0.02)
    assert outputs.extremes == [3.0]
    exact = table(tmp_path, frame, window=8, scaling="none", season=4)
    assert exact.interface().outputs.seasonal_errors == []  # type: ignore[attr-defined]  # nothing divides by 0
    lines = exact.reference_lines()
    assert lines["seasonal_naive_mae"] == 0
    assert lines["last_value_mae"] == pytest.approx(1.5, abs=0.05)


def test_columns_that_are_known_ahead_are_those_of_the_next_row(tmp_path: Path) -> None:
    data = table(tmp_path, ramp(), window=8, scaling="none", known=["b"], targets=["a"])
    taken = batch(data, "train", 3)
    assert taken.targets.shape == (3, 8, 1)
    assert taken.ahead is not None
    assert torch.equal(taken.ahead[:, :-1, 0], taken.inputs[:, 1:, 1])
    known = data.interface().inputs.known_ahead
    assert known == 2


def test_a_target_of_the_next_row_is_nowhere_before_it_is_predicted(tmp_path: Path) -> None:
    """Changing a of one row changes the target there, and inputs from there on, and nothing else."""
    frame = ramp()
    changed = frame.copy()
    changed.loc[90, "a"] = -50.0
    options = {"window": 8, "known": ["b"], "targets": ["a"], "context": 0}
    first, second = (batch(table(tmp_path, each, **options), "test", 2) for each in (frame, changed))
    row = (first.targets != second.targets).nonzero()
    ((window, timestep, _),) = row.tolist()
    assert torch.equal(first.inputs[window, : timestep + 1], second.inputs[window, : timestep + 1])
    assert first.ahead is not None
    assert second.ahead is not None
    assert torch.equal(first.ahead, second.ahead)
    assert not torch.equal(first.inputs, second.inputs)


def test_a_given_target_stands_in_its_row_and_is_no_input(tmp_path: Path) -> None:
    data = table(tmp_path, ramp(), window=8, scaling="none", targets=["b"], target_kind="given")
    inputs = data.interface().inputs
    assert isinstance(inputs, Channels)
    assert [channel.name for channel in inputs.channels] == ["a"]
    taken = batch(data, "train", 3)
    assert torch.equal(taken.targets[..., 0], 2 * (99 - taken.inputs[..., 0]))
    assert set(data.reference_lines()) == {"memoryless_loss"}


def test_missing_values_are_flagged_and_no_targets(tmp_path: Path) -> None:
    frame = ramp()
    frame.loc[::3, "a"] = np.nan
    data = table(tmp_path, frame, window=8)
    taken = batch(data, "train", 20)
    values, observed = taken.inputs[..., 0], taken.inputs[..., 2]
    assert bool((values[observed == 0] == 0).all())
    assert torch.equal(taken.mask[:, :-1, 0], observed[:, 1:].bool())
    assert bool(taken.mask[..., 1].all())
    assert bool(torch.isfinite(taken.targets).all())


def test_a_constant_column_is_told_and_goes_in_as_zeros(tmp_path: Path) -> None:
    data = table(tmp_path, ramp().assign(c=7.0), window=8)
    with pytest.warns(UserWarning, match="column c is constant in training"):
        taken = batch(data, "train", 3)
    assert bool((taken.inputs[..., 2] == 0).all())


def test_short_series_are_filled_up_at_their_end_and_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"s": ["long"] * 60 + ["short"] * 8, "a": np.arange(68.0)})
    data = table(tmp_path, frame, series="s", window=16, scaling="none", stride=100)
    with pytest.warns(UserWarning, match="1 of 2 series are too short for a window in training, and are filled up"):
        taken = batch(data, "train", 2)
    counts = sorted(taken.mask.sum((1, 2)).tolist())
    assert counts == [5, 16]  # of 8 rows 6 are training's
    short = int((taken.mask.sum((1, 2)) == 5).nonzero())
    assert taken.inputs[short, :, 1].tolist() == [1.0] * 6 + [0.0] * 10


def test_each_held_out_value_is_a_target_once(tmp_path: Path) -> None:
    data = table(tmp_path, ramp(), window=8, scaling="none", targets=["a"])
    for split, rows in (("val", range(70, 85)), ("test", range(85, 100))):
        taken = batch(data, split, len(data.dataset(split)))  # type: ignore[arg-type]
        assert sorted(taken.targets[taken.mask].tolist()) == list(rows)


def test_regimes_are_those_of_the_targets_rows(tmp_path: Path) -> None:
    frame = ramp().assign(r=["storm" if n % 5 == 0 else "" for n in range(100)])
    data = table(tmp_path, frame, window=8, scaling="none", regime="r", targets=["a"])
    taken = batch(data, "train", 4)
    assert taken.regime is not None
    assert torch.equal(taken.regime, (taken.targets[..., 0] % 5 == 0).long())
    assert data.interface().outputs.regimes == ["storm"]  # type: ignore[attr-defined]


def test_counts_and_events_stay_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(100) % 7, "e": (np.arange(100) % 4 == 0).astype(int)})
    counts = table(tmp_path, frame, window=8, head="negative_binomial", targets=["n"])
    assert isinstance(counts.interface().outputs, NegativeBinomial)
    assert {*batch(counts, "train", 9).targets.flatten().tolist()} == {*range(7)}
    events = table(tmp_path, frame, window=8, head="bernoulli", targets=["e"])
    outputs = events.interface().outputs
    assert isinstance(outputs, Bernoulli)
    assert outputs.rates == pytest.approx([0.25], abs=0.02)
    assert events.reference_lines()["memoryless_loss"] == pytest.approx(0.562, abs=0.06)


def test_a_seed_moves_the_training_stream_alone(tmp_path: Path) -> None:
    one, same, other = (table(tmp_path, ramp(), window=8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(batch(one, "train", 20).inputs, batch(same, "train", 20).inputs)
    assert not torch.equal(batch(one, "train", 20).inputs, batch(other, "train", 20).inputs)
    assert torch.equal(batch(one, "test", 3).inputs, batch(other, "test", 3).inputs)


def test_few_rows_leave_no_split_empty_without_a_word(tmp_path: Path) -> None:
    data = table(tmp_path, ramp(12), window=4, test=0.01)
    with pytest.raises(ValueError, match=r"data.test is 0.01, but the test split of .* has no target then; change it"):
        data.dataset("test")


def test_all_stages_train_on_a_table_and_a_changed_file_is_noticed(sensors: Path, tmp_path: Path) -> None:
    def data() -> TableDataModule:
        return TableDataModule(path=str(sensors), time="time", window=8, calendar=["hour"], batch_size=4)

    checkpoint = load_checkpoint(train_all_stages(data(), tmp_path)["bptt"])
    assert checkpoint["memtrain"]["counters"]["steps"] == 4
    sensors.write_text(sensors.read_text() + "\n")
    edited = data()
    edited.setup("fit")
    with pytest.raises(ValueError, match="whose files have changed since the checkpoint was written"):
        edited.load_state_dict(checkpoint["TableDataModule"])
