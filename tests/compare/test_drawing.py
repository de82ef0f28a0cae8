"""What a comparison's figure shows, and that its two tables are all it needs."""

import math
from pathlib import Path

import numpy as np
from fabricated import both, fabricate, leave, rnn, table_of, without_difficulty, write_points
from matplotlib.axes import Axes
from PIL import Image

from memtrain.cli import main
from memtrain.compare import read_results
from memtrain.compare.curves import read_curves
from memtrain.compare.figure import draw
from memtrain.compare.panels import drawn_with
from memtrain.results import Metrics


def lines_of(axes: Axes) -> list[list[float]]:
    """The places along the panel of each line, without those of stages' ends and references."""
    lines = [np.asarray(line.get_xdata()).tolist() for line in axes.lines if line.get_marker() != "|"]
    return [line for line in lines if line != [0, 1]]


def test_learning_is_drawn_against_seconds_and_below_against_flops_for_the_three_hardest(tmp_path: Path) -> None:
    for length in (8, 16, 32, 64):
        folder = tmp_path / str(length)
        leave(folder, "bptt", ["bptt"], 0, 0, rnn(0.5), difficulty=length)
        write_points(folder / "bptt/128/0/bptt", [(1, length / 2, 100 * length, 0.5, 0.5), (2, length, 10**6, 1, 0)])
    folders = [tmp_path / str(length) for length in (8, 16, 32, 64)]
    _, *learning = draw(table_of(*folders), read_curves(read_results(folders))).subfigs[0].axes
    assert [axes.get_title("left") for axes in learning[:3]] == [f"learning, length {n}" for n in (16, 32, 64)]
    assert [lines_of(axes) for axes in learning[:3]] == [[[8, 16]], [[16, 32]], [[32, 64]]]
    assert [lines_of(axes) for axes in learning[3:]] == [[[100 * n, 10**6]] for n in (16, 32, 64)]
    assert [axes.get_xscale() for axes in learning] == 3 * ["linear"] + 3 * ["log"]
    assert len({axes.get_ylim() for axes in learning}) == 1


def test_learning_is_drawn_for_data_without_a_difficulty(tmp_path: Path) -> None:
    leave(tmp_path, "bptt", ["bptt"], 0, 0, rnn(0.5), **without_difficulty(rnn(0.5), {"chance": 0.1}))
    _, learning = (
        draw(table_of(tmp_path), read_curves(read_results([tmp_path]))).subfigs[0].axes
    )  # this file has no FLOPs
    assert lines_of(learning) == [[5, 10]]


def test_without_curves_only_the_results_are_drawn(tmp_path: Path) -> None:
    rows = table_of(fabricate(tmp_path))
    assert len(draw(rows, read_curves(read_results([tmp_path])).iloc[:0]).subfigs[0].axes) == 1


def test_every_experiment_has_its_part(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("alpha", "beta")]
    for folder in folders:
        leave(folder, "bptt", ["bptt"], 0, 0, rnn(0.5), experiment=folder.name)
    assert len(draw(table_of(*folders), read_curves(read_results(folders))).subfigs) == 2


def test_readings_on_the_way_stand_in_their_methods_place(tmp_path: Path) -> None:
    rows = drawn_with(table_of(fabricate(tmp_path, seeds=1)))
    kinds = rows.drop_duplicates(["method", "kind"]).groupby("method")["kind"].agg(list).to_dict()
    assert kinds == {"bptt": [""], "smt_dmt": ["after smt", "teacher", ""]}


def test_an_unfinished_method_is_drawn_without_a_bar(tmp_path: Path) -> None:
    leave(tmp_path, "smt_dmt", ["smt", "dmt"], 0, 0, both(0.9, 0.5))
    axes, *_ = draw(table_of(tmp_path), read_curves(read_results([tmp_path]))).subfigs[0].axes
    assert not axes.patches
    assert sorted(line.get_ydata()[0] for line in axes.lines) == [0.5, 0.5, 0.9, 0.9]


def test_the_figure_is_drawn_again_from_the_tables_alone(tmp_path: Path) -> None:
    runs, page = fabricate(tmp_path / "runs"), tmp_path / "page"
    assert main(["compare", str(runs)]) == 0
    page.mkdir()
    (runs / "comparison.csv").rename(page / "results.csv")
    (runs / "curves.csv").rename(page / "curves.csv")
    assert main(["figures", str(page)]) == 0
    drawn, again = (np.asarray(Image.open(path)) for path in (runs / "comparison.png", page / "figure.png"))
    assert np.array_equal(drawn, again)


def test_a_diverged_seed_and_a_method_without_readings_do_not_shift_the_panels(tmp_path: Path) -> None:
    nowhere: dict[str, Metrics] = {"rnn": {"accuracy": math.nan, "loss": math.nan, "bits": math.nan}}
    leave(tmp_path, "wild", ["bptt"], 0, 0, nowhere)
    leave(tmp_path, "unfinished", ["smt", "dmt"], 0, 0, rnn(0.5))
    figure = draw(table_of(tmp_path), read_curves(read_results([tmp_path])))
    places = []
    for _ in range(2):
        figure.draw_without_rendering()
        places.append([axes.get_position().bounds for axes in figure.subfigs[0].axes])
    assert np.allclose(*places, atol=1e-3)
    left, bottom, _, _ = places[0][0]
    assert max(left, bottom) < 0.25


def test_stages_are_numbered_and_their_legend_has_room_where_many_methods_name_their_own(tmp_path: Path) -> None:
    methods = [f"without_ingredient_{number}" for number in range(8)]
    for method in methods:
        stages = ["smt", f"dmt_{method}", "finetune"]
        for position in range(3):
            metrics = both(1.0, 0.2 * position)
            leave(tmp_path, method, stages, position, 0, metrics)
    rows, curves = table_of(tmp_path), read_curves(read_results([tmp_path]))
    drawn = drawn_with(rows)
    kinds = drawn[drawn["kind"] != ""].set_index("method").loc[methods[3]]
    found = set(zip(kinds["kind"], kinds["accuracy"], strict=True))
    assert found == {("after stage 1", 0), ("after stage 2", 0.2), ("teacher", 1)}
    few = draw(rows[rows["method"].str.startswith(methods[0])], curves[curves["method"] == methods[0]])
    assert draw(rows, curves).get_size_inches()[1] > few.get_size_inches()[1]


def test_a_bar_is_the_interquartile_mean_and_its_interval_a_line_from_three_seeds_on(tmp_path: Path) -> None:
    for seed, accuracy in enumerate([0.0, 0.5, 0.6, 0.7, 1.0]):
        leave(tmp_path / "many", "bptt", ["bptt"], 0, seed, rnn(accuracy))
    for seed in range(2):
        leave(tmp_path / "few", "bptt", ["bptt"], 0, seed, rnn(0.3))
    many, few = (
        draw(table_of(folder), read_curves(read_results([folder])).iloc[:0]).subfigs[0].axes[0]
        for folder in (tmp_path / "many", tmp_path / "few")
    )
    assert [bar.get_height() for bar in many.patches] == [0.6, 0.6]  # read at two lengths
    ends = [path.vertices[:, 1].tolist() for lines in many.collections for path in lines.get_paths()]
    low, high = next(sorted(pair) for pair in ends if pair[0] != pair[1])
    assert 0 < low < 0.6 < high < 1
    assert "interval" in many.get_title("left")
    assert all(pair[0] == pair[1] for lines in few.collections for pair in [lines.get_paths()[0].vertices[:, 1]])
    assert "interval" not in few.get_title("left")
