"""Real tables as packages ship them, read as plain files: each trains one step of all stages."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from all_stages import train_all_stages

from memtrain.data import TableDataModule


def shipped(package: str, *parts: str) -> str:
    """The path of a file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed: pip install 'memtrain[dev]' brings it")
    return str(Path(found.origin).parent.joinpath(*parts))


def occupancy(**options: object) -> TableDataModule:
    path = shipped("river", "drift", "datasets", "occupancy.csv")
    return TableDataModule(path=path, time="time", window=16, batch_size=4, **options)  # type: ignore[arg-type]


def test_a_room_is_sampled_irregularly(tmp_path: Path) -> None:
    """509 rows of temperature, humidity, light and carbon dioxide; the second row comes 16 minutes after the first."""
    data = occupancy(calendar=["hour", "weekday"], head="mixture")
    with pytest.warns(UserWarning, match="rows lie at irregular times, so a known channel time_since_last is added"):
        rows = data.table.rows
    assert len(rows.times) == 509
    assert rows.of_times["time_since_last"][1] == 16 * 60
    assert [name for name, role in rows.inputs.items() if role == "observed"] == ["V1", "V2", "V3", "V4"]
    assert set(data.reference_lines()) == {"seasonal_naive_mae", "last_value_mae", "memoryless_loss"}
    train_all_stages(data, tmp_path)


def test_water_flows_through_a_change_of_clocks(tmp_path: Path) -> None:
    """Hourly, at +01:00 and then +02:00, with gaps: the grid of hours is that of UTC."""
    path = shipped("river", "datasets", "water-flow.csv")
    data = TableDataModule(path=path, time="Time", season=24, window=16, batch_size=4, head="quantiles")
    with pytest.warns(UserWarning, match="fill the gaps between") as said:
        rows = data.table.rows
    assert any("several offsets from UTC" in str(warning.message) for warning in said)
    hours = np.diff(rows.times.asi8) / 3.6e9
    assert (hours == 1).all()
    assert np.isnan(rows.columns["Water flow [l/s]"]).sum() == len(rows.times) - 1268
    train_all_stages(data, tmp_path)


def test_carbon_dioxide_has_missing_weeks(tmp_path: Path) -> None:
    """Dates are written as 19580329; weeks without a value are masked."""
    path = shipped("statsmodels", "datasets", "co2", "co2.csv")
    data = TableDataModule(path=path, time="date", season=52, window=16, batch_size=4, calendar=["yearday"])
    with pytest.warns(UserWarning, match="date is read as dates, YYYYMMDD"):
        rows = data.table.rows
    missing = np.isnan(rows.columns["co2"])
    assert str(rows.times[0].date()) == "1958-03-29"
    assert 0 < missing.sum() < 100
    assert data.table.windowed.mask.sum() == (~missing).sum()
    train_all_stages(data, tmp_path)


def test_the_macroeconomy_has_no_column_of_times(tmp_path: Path) -> None:
    """203 quarters; growth is estimated from the other columns of its quarter, in which it does not stand."""
    path = shipped("statsmodels", "datasets", "macrodata", "macrodata.csv")
    data = TableDataModule(path=path, window=16, batch_size=4, targets=["infl"], target_kind="given", head="student_t")
    names = list(data.table.rows.inputs)
    assert "infl" not in names
    assert len(names) == 13
    assert data.table.rows.remarks == []
    train_all_stages(data, tmp_path)
