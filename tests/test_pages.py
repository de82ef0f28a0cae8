"""The tables of the experiments' pages, and of the report over them, say what the committed results say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from memtrain.compare import verdict
from memtrain.compare.queries import with_kinds
from memtrain.figures import read_comparison

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
REPORT = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
PAGES = [file.parent for file in sorted(EXPERIMENTS.glob("*/results.csv"))]
COMPARISONS = [folder for folder in PAGES if "evaluation_difficulty" in pd.read_csv(folder / "results.csv", nrows=0)]
MEANS = {
    "loss": "loss",
    "loss when due": "loss_due",
    "loss in the rare regime": "loss_rare",
    "CPU seconds": "cpu_seconds",
    "relative drift": "drift_relative",
    "train seconds": "train_seconds",
    "steps": "optimizer_steps",
    "optimizer steps": "optimizer_steps",
    "tokens": "tokens",
    "sequential FLOPs": "sequential_flops",
    "longest gradient chain": "gradient_steps",
    "parameters": "parameters",
}
"""Columns of a page that are the mean of a column of the results."""
STAGES = ("its teacher", "before the last stage", "after SMT", "after DMT", "relative drift before and after DMT")
"""Columns of a page that are about a method's stages."""


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Header and rows of each table, in cells."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        yield header, rows


def numbers(cell: str) -> list[str]:
    """The numbers of a cell, but for a stage's difficulty (`SMT at 3 pairs 44.6 %`) and how many seeds there are."""
    cell = re.sub(r"at \d+( pairs)?(?= \d)|after the \w+ stage|\d seeds?", "", cell)
    return re.findall(r"-?[\d,]*\d(?:\.\d+)?(?:e\d+)?(?: M)?", cell)


def says(text: str, value: float) -> bool:
    """Whether a number as printed (`1,234`, `8.24 M`, `2.4e11`) is a value, rounded."""
    digits, _, exponent = text.removesuffix(" M").replace(",", "").partition("e")
    unit = 10.0 ** (6 if text.endswith(" M") else int(exponent or 0))
    return abs(float(digits) * unit - value) <= 0.501 * unit * 10.0 ** -len(digits.partition(".")[2])


def percents(accuracy: pd.Series) -> list[float]:
    """Mean and standard deviation over the seeds, in percent."""
    return [100 * accuracy.mean(), 100 * accuracy.std()]


def agrees(column: str, cell: str, own: pd.DataFrame, stages: pd.DataFrame) -> bool:
    """Whether a cell of a page says what its method's rows of the results, or those of its stages, do."""
    printed = numbers(cell)
    if column == "accuracy" and "%, " in cell:  # each seed's
        return len(printed) == len(own) and all(map(says, printed, 100 * own.sort_values("seed")["accuracy"]))
    if column == "accuracy":
        return len(printed) > 0 and all(map(says, printed, percents(own["accuracy"])))
    if column == "lowest to highest seed":
        return all(map(says, printed, 100 * own["accuracy"].agg(["min", "max"])))
    if column in MEANS:
        return all(says(number, own[MEANS[column]].mean()) for number in printed)
    measured = column.strip("`")
    if measured != column and measured in own:
        return all(says(number, own[measured].mean()) for number in printed)
    if column in STAGES:
        measured, unit = ("drift_relative", 1) if "drift" in column else ("accuracy", 100)
        rows = stages[stages["reading"] == "teacher"] if column == "its teacher" else pd.concat([own, stages])
        values = [*rows.groupby(["reading", "stage"])[measured].mean(), *rows[measured]]  # in the mean, or each seed's
        return all(any(says(number, unit * value) for value in values) for number in printed)
    return True


def at(results: pd.DataFrame, place: str) -> pd.DataFrame:
    """What was trained on one difficulty and read on it."""
    return results[results["difficulty"].eq(float(place)) & results["evaluation_difficulty"].eq(float(place))]


def named(results: pd.DataFrame, method: str, kind: str = "") -> pd.DataFrame:
    """The rows of a method as a page names them: of its end, or of "teacher" or "after STAGE" on the way."""
    rows = with_kinds(results)
    return results[(rows["method"] == method) & (rows["kind"] == kind)]


def wrong_cells(page: str, results: pd.DataFrame) -> list[str]:
    """The cells of a page that do not say what the results do, and the methods of the results that it leaves out."""
    wrong = []
    for header, rows in tables(page):
        if "method" not in header or not {"accuracy", "loss"} & set(header):
            continue
        shown = set()
        for cells in rows:
            place, cell_of_method = cells[0], cells[header.index("method")]
            if header[0] == "method":
                part = results
            elif header[0] == "experiment":
                part = results[results["experiment"].str.endswith(f"_{place}")]
            elif header[0] == "read at":
                part = results[results["evaluation_difficulty"].eq(float(place))]
            else:
                part = at(results, place)
            method, seeds = cell_of_method.split("`")[1], re.findall(r"\d", cell_of_method.partition(", seed")[2])
            own = named(part, method, "".join(re.findall(r"`: (teacher|after \w+)$", cell_of_method)))
            stages = part[(part["method"] == method) & ~part["final"]]
            shown |= set(own.index)
            if own.empty or (seeds and set(map(int, seeds)) != set(own["seed"])):
                wrong.append(f"{place} {cell_of_method}")
                continue
            for column, cell in zip(header, cells, strict=True):
                if not agrees(column, cell, own, stages):
                    wrong.append(f"{place} {method}, {column}: {cell}")
        left_out = results[results["final"] & ~results.index.isin(shown)]
        wrong += [f"{row.method} at {row.evaluation_difficulty:g}, seed {row.seed}" for row in left_out.itertuples()]
    return wrong


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder.name)
def test_a_page_says_what_its_results_say(folder: Path) -> None:
    assert not wrong_cells((folder / "README.md").read_text(encoding="utf-8"), pd.read_csv(folder / "results.csv"))


def claims_too_much(page: str, results: pd.DataFrame) -> bool:
    """Whether a page does not say that nothing is decided, where the verdict says so."""
    none = pd.DataFrame(columns=["experiment", "method", "difficulty", "seed"])
    decided = "is ahead of" in verdict(results, none, {})
    return not decided and not re.search(r"\bUndecided: [^.]* seeds?; at least five are needed", " ".join(page.split()))


@pytest.mark.parametrize("folder", COMPARISONS, ids=lambda folder: folder.name)
def test_a_page_claims_no_more_than_the_verdict(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert not claims_too_much(page, read_comparison(folder / "results.csv"))


def test_the_reports_claim_no_more_than_the_verdicts() -> None:
    first_page = (EXPERIMENTS.parent / "README.md").read_text(encoding="utf-8")
    for folder in COMPARISONS:
        results = read_comparison(folder / "results.csv")
        assert not claims_too_much(REPORT, results)
        assert not claims_too_much(first_page, results)


def test_a_page_that_hides_that_nothing_is_decided_is_found() -> None:
    folder = EXPERIMENTS / "stack"
    page, results = (folder / "README.md").read_text(encoding="utf-8"), read_comparison(folder / "results.csv")
    assert claims_too_much(page.replace("Undecided: three seeds", "On three seeds"), results)
    many = [results.assign(seed=results["seed"] + 3 * copy) for copy in range(3)]
    assert not claims_too_much("BPTT is ahead.", pd.concat(many, ignore_index=True))


def report_cells() -> Iterator[tuple[str, str, str, str, str]]:
    """Folder, difficulty, method, kind of reading and text of each cell of the report's tables of the probes."""
    folder = place = ""
    for header, rows in tables(REPORT):
        for first, *cells in rows if header[0] == "probe" else []:
            if not first.startswith("same"):
                name, place = re.findall(r"([a-z -]+), (\d+)", first)[0]
                folder = re.sub("[ -]", "_", name)
            variant = "".join(re.findall(r"`smt_dmt(_\w+)`", first))
            for column, cell in zip(header[1:], cells, strict=True):
                method = "".join(re.findall("`(.+)`", column)) + variant
                yield folder, place, method, "teacher" if "teacher" in column else "", cell


@pytest.mark.parametrize(("folder", "place", "method", "kind", "cell"), report_cells())
def test_the_report_says_what_the_results_say(folder: str, place: str, method: str, kind: str, cell: str) -> None:
    results, printed = at(pd.read_csv(EXPERIMENTS / folder / "results.csv"), place), numbers(cell)
    rows = named(results, method, kind)
    if "%" not in cell and printed:  # drifts, before the last stage and after it
        compared = results[(results["method"] == method) & results["compared"]]
        stages = compared.groupby("stage")[["optimizer_steps", "drift_relative"]].mean().sort_values("optimizer_steps")
        assert all(map(says, printed, stages["drift_relative"].tail(2)))
    elif rows.empty or kind or len(rows) == 1:
        assert len(printed) == min(len(rows), 1)
        assert all(says(number, 100 * rows["accuracy"].mean()) for number in printed)
    else:
        assert len(printed) == 2
        assert all(map(says, printed, percents(rows["accuracy"])))


def at_equal_flops(curves: pd.DataFrame, ours: str, baseline: str) -> tuple[float, float | None]:
    """Mean validation accuracy of SMT->DMT at its end, and of BPTT when it had spent as many sequential FLOPs.

    None where BPTT of a seed had not been validated by then.
    """
    ends, reached = [], []
    for _, run in curves.sort_values("sequential_flops").groupby("seed"):
        end = run[run["method"] == ours].iloc[-1]
        within = run[run["method"].eq(baseline) & run["sequential_flops"].le(end["sequential_flops"])]
        ends.append(end["accuracy"])
        reached.extend(within["accuracy"].tail(1))
    early = len(reached) < len(ends)
    return 100 * sum(ends) / len(ends), None if early else 100 * sum(reached) / len(reached)


def test_the_report_says_what_the_curves_say_at_equal_flops() -> None:
    ((header, rows),) = [table for table in tables(REPORT) if table[0][0] == "at equal sequential FLOPs"]
    methods = ["".join(re.findall("`(.+)`", column)) for column in header]
    assert len(rows) == 15
    for first, *cells in rows:
        name, place = re.findall(r"([a-z -]+), (\d+)", first)[0]
        curves = pd.read_csv(EXPERIMENTS / re.sub("[ -]", "_", name) / "curves.csv")
        curves = curves[curves["difficulty"] == float(place)]
        for index in (0, 2):
            ours, baseline = methods[1 + index : 3 + index]
            if ours not in set(curves["method"]):
                assert not any(cells[index : index + 2])
                continue
            pair = curves[curves["method"].isin([ours, baseline])]
            assert pair.groupby("method")["seed"].nunique().eq(3).all()
            for cell, value in zip(cells[index : index + 2], at_equal_flops(pair, ours, baseline), strict=True):
                assert not cell if value is None else says(numbers(cell)[0], value), first


PROBE_COLUMNS = ("smt_dmt", "bptt", "smt_dmt_gru", "bptt_gru")
"""Methods of the columns of the first page's table of probes."""


def first_page_cells() -> Iterator[tuple[str, str, str, str, str]]:
    """Folder, difficulty trained at and read at, method and number of each result in the README's two tables."""
    for header, rows in tables((EXPERIMENTS.parent / "README.md").read_text(encoding="utf-8")):
        for first, *cells in rows:
            if header[0] == "probe":
                name, place = re.findall(r"([a-z -]+), (\d+)", first)[0]
                for column, cell in zip(PROBE_COLUMNS, cells, strict=True):
                    for part in re.findall(r"[^,]*%[^,]*", cell):
                        method = column.replace("smt_dmt", "smt_dmt_bptt") if "BPTT after it" in part else column
                        if "curriculum" in first and "without" not in part:
                            method = method.replace("_gru", "_curriculum_gru")
                        yield re.sub("[ -]", "_", name), place, place, method, numbers(part)[0]
            elif header[1] == "length 256":
                for column, cell in zip(header[1:3], cells, strict=False):
                    yield "demo", "256", column.split()[-1], first.split("`")[1], numbers(cell.partition("(")[0])[0]


@pytest.mark.parametrize(("folder", "trained", "read", "method", "printed"), first_page_cells())
def test_the_first_page_says_what_the_results_say(
    folder: str, trained: str, read: str, method: str, printed: str
) -> None:
    rows = pd.read_csv(EXPERIMENTS / folder / "results.csv")
    rows = rows[rows["difficulty"].eq(float(trained)) & rows["evaluation_difficulty"].eq(float(read))]
    rows = named(rows, "smt_dmt", method) if method == "teacher" else named(rows, method)
    assert says(printed, 100 * rows["accuracy"].mean())


def test_a_wrong_number_and_a_method_left_out_are_found() -> None:
    folder = EXPERIMENTS / "stack"
    page, results = (folder / "README.md").read_text(encoding="utf-8"), pd.read_csv(folder / "results.csv")
    row = "| 64 | `bptt` | 95.0 % (0.9) | 94.0 % .. 95.6 % |"
    assert row in page
    for right, wrong in (("95.0", "95.1"), ("(0.9)", "(0.8)"), ("95.6", "95.5"), ("`bptt`", "`bptt`, seed 0")):
        assert len(wrong_cells(page.replace(row, row.replace(right, wrong)), results)) > 0
    without = "".join(line for line in page.splitlines(keepends=True) if not line.startswith(row))
    assert wrong_cells(without, results) == [f"bptt at 64, seed {seed}" for seed in range(3)]
