"""Which column of a table is what: the lists of the options, checked against the columns that there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from memtrain.data.tables.tsf import SERIES, VALUE
from memtrain.networks.channels import Role

TargetKind = Literal["next", "given"]
Layout = Literal["long", "wide"]
ADDED = ("time_since_last", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "yearday_sin", "yearday_cos")
"""Names of the channels that are computed from times."""


@dataclass(frozen=True)
class Roles:
    """The columns of a table by role; see the options of `TableDataModule`, None where an option is left out."""

    time: str | None = None
    series: str | None = None
    targets: list[str] | None = None
    observed: list[str] | None = None
    known: list[str] | None = None
    actions: list[str] | None = None
    categorical: list[str] | None = None
    regime: str | None = None
    target_kind: TargetKind = "next"

    @property
    def named(self) -> dict[str, list[str]]:
        """The columns that each option names."""
        lists = {name: getattr(self, name) or [] for name in ("targets", "observed", "known", "actions", "categorical")}
        single = {name: [getattr(self, name)] if getattr(self, name) else [] for name in ("time", "series", "regime")}
        return lists | single

    @property
    def text(self) -> list[str]:
        """Columns that are read as they are written."""
        return [name for name in (self.time, self.series, self.regime, *(self.categorical or [])) if name]

    @property
    def inputs(self) -> dict[str, Role]:
        """The role of each input, in order."""
        roles: list[tuple[Role, list[str] | None]] = [
            ("observed", self.observed),
            ("known", self.known),
            ("action", self.actions),
        ]
        return {name: role for role, names in roles for name in names or []}

    def check(self) -> None:
        """Refuse what no table can satisfy.

        Raises:
            ValueError: naming options and column.
        """
        for option, names in self.named.items():
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"data.{option} names {name!r} twice; leave one out.")
                if name in ADDED:
                    raise ValueError(f"data.{option} names {name!r}, which is made from data.time; rename the column.")
        exclusive = [("observed", "known"), ("observed", "actions"), ("known", "actions")]
        exclusive += [("targets", other) for other in ("known", "actions", "categorical", "time", "series")]
        exclusive += [(place, other) for place in ("time", "series") for other in ("observed", "known", "actions")]
        if self.target_kind == "given":  # y_t stands in row t, as x_t does
            exclusive.append(("targets", "observed"))
        for one, other in exclusive:
            both = [name for name in self.named[one] if name in self.named[other]]
            if both:
                raise ValueError(
                    f"data.{one} and data.{other} both name {both[0]!r}"
                    f"{', which would be its own input' if one == 'targets' else ''}; leave it out of one of them."
                )


def melted(frame: pd.DataFrame, roles: Roles) -> tuple[pd.DataFrame, Roles]:
    """A wide table, in which each target column is a series of its own, as a long one.

    Columns of other roles are shared by all series.

    Raises:
        ValueError: if series are named by a column too.
    """
    if roles.series is not None or roles.categorical or (roles.target_kind == "given"):
        raise ValueError("data.layout is wide, which goes without series, categorical and target_kind given; use long.")
    others = {*roles.text, *roles.inputs}
    series = roles.targets or [name for name in numbers_of(frame) if name not in others]
    if not series:
        raise ValueError(
            "data.layout is wide, but the file has no column of numbers to be a series; name data.targets."
        )
    require_columns(frame, roles)
    kept = [name for name in frame if name in others and name not in series]
    long = frame.melt(id_vars=kept, value_vars=series, var_name=SERIES, value_name=VALUE)
    observed = [*(name for name in roles.observed or [] if name not in series), VALUE]
    return long, replace(roles, series=SERIES, targets=[VALUE], observed=observed)


def resolve(frame: pd.DataFrame, roles: Roles, source: object) -> tuple[Roles, list[str]]:
    """Fill in what is left out: all other columns of numbers are observed, and all observed numbers are targets.

    Args:
        frame: the table.
        roles: as the options say.
        source: the file, for errors.

    Returns:
        Roles with all lists, and what was decided, a sentence each.

    Raises:
        ValueError: naming option, column and remedy.
    """
    require_columns(frame, roles)
    categorical = roles.categorical or []
    for option in ("targets", "observed", "known", "actions"):
        for name in roles.named[option]:
            if name not in categorical:
                require_numbers(frame[name], option)
    given_targets = roles.targets if roles.target_kind == "given" else []
    if roles.target_kind == "given" and not roles.targets:
        raise ValueError("data.target_kind is given, but data.targets names no column; name the one to predict.")
    elsewhere = {*(name for option in ("time", "series", "regime", "known", "actions") for name in roles.named[option])}
    elsewhere |= {*(given_targets or [])}
    remarks: list[str] = []
    observed = roles.observed
    if observed is None:
        rest = [name for name in frame if name not in elsewhere]
        observed = [name for name in rest if name in categorical or name in numbers_of(frame)]
        remarks = [remark for name in rest if name not in observed for remark in [left_out(frame[name])]]
    targets = roles.targets or [name for name in observed if name not in categorical]
    if not targets or not (observed or roles.known or roles.actions):
        what = "to forecast" if not targets else "to take in"
        raise ValueError(f"data.path is {source}, which has no column of numbers {what}; it has {', '.join(frame)}.")
    return replace(roles, observed=observed, targets=targets), remarks


def numbers_of(frame: pd.DataFrame) -> list[str]:
    """The columns that hold numbers, at least one."""
    numeric = frame.select_dtypes(np.number)
    return [str(name) for name in numeric if numeric[name].notna().any()]


def left_out(column: pd.Series) -> str:
    """Why a column that nobody named is no input."""
    cells = column.dropna()
    if cells.empty:
        return f"column {column.name} is left out, as it is empty"
    if pd.api.types.is_datetime64_any_dtype(column):
        return f"column {column.name} is left out, as it holds times; name it in data.time if rows are of these times"
    words = cells[pd.to_numeric(cells, errors="coerce").isna()]
    example = (words if len(words) else cells).iloc[0]
    if len(words) < len(cells) / 2:
        return (
            f"column {column.name} is left out, as {len(words):,} of its {len(cells):,} cells hold text, the first "
            f"{example!r}; leave such cells empty, or name it in data.categorical"
        )
    return (
        f"column {column.name} is left out, as it holds text ({example!r}); name it in data.time, data.series or "
        "data.categorical if it is one of these"
    )


def require_columns(columns: Sequence[str] | pd.DataFrame, roles: Roles) -> None:
    """Refuse names of columns that are not there."""
    for option, names in roles.named.items():
        for name in names:
            if name not in columns:
                raise ValueError(
                    f"data.{option} names {name!r}, but the file has only the columns {', '.join(columns)}; choose "
                    "among these."
                )


def require_numbers(column: pd.Series, option: str) -> None:
    """Refuse a column of text or of nothing where numbers are needed."""
    if pd.api.types.is_numeric_dtype(column):
        if column.notna().any():
            return
        raise ValueError(f"data.{option} names {column.name!r}, which is empty; leave it out, or fill it in.")
    if pd.api.types.is_datetime64_any_dtype(column):
        raise ValueError(
            f"data.{option} names {column.name!r}, which holds times; name it in data.time, or leave it out."
        )
    cells = column.dropna()
    wrong = cells[pd.to_numeric(cells, errors="coerce").isna()]
    remedy = "name it in data.categorical, or leave it out"
    if len(wrong) < len(cells):
        remedy = "leave these cells empty"
    elif wrong.str.fullmatch(r"[-+]?[\d.]*,\d+").any():
        remedy = "write decimal points, or separate the columns by semicolons"
    row = int(wrong.index[0]) + 1
    raise ValueError(
        f"data.{option} names {column.name!r}, which has {wrong.iloc[0]!r} in row {row}, not a number; {remedy}."
    )
