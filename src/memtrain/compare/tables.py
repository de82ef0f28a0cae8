"""The tables that `memtrain compare` prints."""

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from memtrain.compare.estimates import interquartile_mean, interval
from memtrain.compare.queries import bounds, difficulty_name, diverged, ranked, readable, score_of, with_kinds


def table(name: str, rows: pd.DataFrame) -> Table:
    """An experiment's rows for reading: a line for each method, and each reading on the way, the best first."""
    metric = score_of(rows).name
    rows = with_kinds(rows)
    rows = rows.assign(line=rows["method"].where(rows["final"], rows["method"] + ": " + rows["kind"]))
    deep = "sequential_depth" in rows and (rows["sequential_depth"] > 0).any()  # 0: not counted by an older version
    numbers = [metric, "range", "seeds", "seconds", "chain", *(["depth"] if deep else []), "params"]
    result = blank(name, [difficulty_name(rows), "method"], numbers)
    for (difficulty, evaluated), place in rows.groupby(["difficulty", "evaluation_difficulty"], dropna=False):
        where = place_of(difficulty, evaluated)
        for line in ranked(place, by="line"):
            group = place[place["line"] == line]
            result.add_row(
                where,
                line,
                "diverged" if diverged(group).any() else readable(metric, group[metric].mean()),
                value_range(metric, group[metric]),
                str(group["seed"].nunique()),
                f"{group['train_seconds'].mean():.0f}",
                f"{group['gradient_steps'].max():.0f}",
                *([count(group["sequential_depth"].mean())] if deep else []),
                count(group["parameters"].mean()),
            )
            where = ""
        result.add_section()
    result.caption = "seconds: training, all stages; chain: longest gradient chain, in steps of the cell"
    if deep:
        result.caption += "; depth: operations of training that have to follow one another"
    return result


def seeds_table(name: str, rows: pd.DataFrame) -> Table:
    """Every seed of each method for reading, beside the interquartile mean and its interval where there are enough.

    Args:
        name: of the experiment.
        rows: its final rows.
    """
    metric = score_of(rows).name
    result = blank(f"{name}, each seed", [difficulty_name(rows), "method"], ["IQM", "95 % interval"])
    result.add_column(f"{metric} of each seed")
    for (difficulty, evaluated), place in rows.groupby(["difficulty", "evaluation_difficulty"], dropna=False):
        where = place_of(difficulty, evaluated)
        for method in ranked(place):
            own = place[place["method"] == method].sort_values("seed")
            values, known = own[metric].to_numpy(dtype=float), not diverged(own).any()
            result.add_row(
                where,
                method,
                readable(metric, interquartile_mean(values)) if known else "diverged",
                bounds(metric, interval(values) if known else None),
                ", ".join(readable(metric, value).split()[0] for value in values),
            )
            where = ""
        result.add_section()
    result.caption = "IQM: mean of the middle half of the seeds; interval: bootstrap over the seeds of the method"
    return result


def place_of(difficulty: float, evaluated: float) -> str:
    """The difficulty of training, and the one of reading where it is another, as "128 -> 256"."""
    if pd.isna(difficulty):
        return ""
    return f"{difficulty:g}" if difficulty == evaluated else f"{difficulty:g} -> {evaluated:g}"


def count(parameters: float) -> str:
    """Parameters in few letters: `9,999` or `150 k`."""
    return f"{parameters:,.0f}" if parameters < 10_000 else f"{parameters / 1000:,.0f} k"


def equal_table(name: str, points: pd.DataFrame, rows: pd.DataFrame) -> Table:
    """An experiment at equal tokens for reading: one line a method at each difficulty, the best first.

    Args:
        name: of the experiment.
        points: its part of `memtrain.compare.equal.at_equal_tokens`.
        rows: its rows, which say what methods are compared by.
    """
    score = score_of(rows)
    metric = score.name
    columns = [metric, "range", "seeds", "seconds"]
    result = blank(f"{name}, validation split at equal tokens", [difficulty_name(rows), "method"], columns)
    for difficulty, place in points.groupby("difficulty", dropna=False):
        where = "" if pd.isna(difficulty) else f"{difficulty:g}"
        means = place.groupby("method", sort=False)[metric].mean()
        for method in means.sort_values(ascending=not score.higher_is_better, kind="stable").index:
            group = place[place["method"] == method]
            known = group.dropna(subset=[metric])
            result.add_row(
                where,
                str(method),
                readable(metric, known[metric].mean()) if len(known) else "not read yet",
                value_range(metric, known[metric]) if len(known) else "",
                f"{len(known)} of {len(group)}",
                f"{known['train_seconds'].mean():.0f}" if len(known) else "",
            )
            where = ""
        result.add_section()
    limits = ", ".join(f"{limit:,.0f}" for limit in points.groupby("difficulty", dropna=False)["tokens"].first())
    result.caption = (
        f"read from learning curves in the middle of schedules, at {limits} tokens: as many as the run with the fewest "
        "has seen"
    )
    return result


def blank(title: str, words: list[str], numbers: list[str]) -> Table:
    """A table without rows, given the names of its columns."""
    result = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for column in words:
        result.add_column(column, no_wrap=True)
    for column in numbers:
        result.add_column(column, justify="right", no_wrap=True)
    return result


def value_range(metric: str, values: pd.Series) -> str:
    """Smallest and largest value, without their unit."""
    return f"{readable(metric, values.min()).split()[0]}..{readable(metric, values.max()).split()[0]}"
