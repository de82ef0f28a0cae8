"""What a result folder says was declared before its runs."""

from pathlib import Path

import pytest
from fabricated import fabricate

from memtrain.compare import read_results
from memtrain.compare.declared import Declared, read_declared
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runner import write_experiment

PAIR = frozenset({frozenset({"smt_dmt", "bptt"})})
FILE = Path(__file__).parents[1] / "conf" / "experiment.yaml"


def declared_in(folder: Path, *files: str) -> Declared:
    fabricate(folder, seeds=1)
    for number, content in enumerate(files):
        (folder / f"experiment-{number}.yaml").write_text(f"name: fabricated\n{content}\n")
    return read_declared([folder], read_results([folder]))["fabricated"]


def test_a_folder_without_experiment_files_declares_nothing(tmp_path: Path) -> None:
    assert declared_in(tmp_path) == Declared()


def test_what_memtrain_run_writes_is_read(tmp_path: Path) -> None:
    changes = ["name=fabricated", "family=[[bptt, smt_dmt]]", "solved_at=0.95"]
    write_experiment(read_experiment(FILE, changes), tmp_path)
    found = declared_in(tmp_path)
    assert (found.family, found.solved_at) == (PAIR, 0.95)
    assert found.runs == {("bptt", 8, 0), ("smt_dmt", 8, 0)}


def test_a_selection_of_methods_declares_a_part_of_the_family(tmp_path: Path) -> None:
    changes = ["name=fabricated", "family=[[bptt, smt_dmt]]"]
    for methods in (["bptt"], ["smt_dmt"], ["bptt", "smt_dmt"]):
        write_experiment(read_experiment(FILE, changes, methods=methods), tmp_path)
    assert declared_in(tmp_path).family == PAIR


def test_a_family_that_grows_holds_all_pairs(tmp_path: Path) -> None:
    found = declared_in(tmp_path, "family: [[smt_dmt, bptt]]", "family: [[bptt, gru]]")
    assert found.family == PAIR | {frozenset({"bptt", "gru"})}


def test_a_family_that_is_declared_after_runs_does_not_count(tmp_path: Path) -> None:
    found = declared_in(tmp_path, "family: null", "family: [[smt_dmt, bptt]]")
    assert found.family is None
    assert found.remarks == ("a family is declared, but not by all experiment files of its folder; all pairs count.",)


def test_a_threshold_that_is_declared_or_moved_after_runs_does_not_count(tmp_path: Path) -> None:
    for index, files in enumerate((["solved_at: 0.9", "solved_at: 0.5"], ["solved_at: null", "solved_at: 0.5"])):
        found = declared_in(tmp_path / str(index), *files)
        assert found.solved_at is None
        assert found.remarks == ("the experiment files of its folder differ in solved_at; solve rates do not count.",)


def test_tuning_runs_are_counted_for_each_method(tmp_path: Path) -> None:
    lines = ["experiment,method,seed", "fabricated,bptt,7", "fabricated,bptt,8", "other,bptt,7", "fabricated,smt_dmt,7"]
    (tmp_path / "tuning.csv").write_text("\n".join(lines))
    assert declared_in(tmp_path).trials == {"bptt": 2, "smt_dmt": 1}


def test_the_same_tuning_in_several_folders_counts_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        declared_in(tmp_path / name)
        (tmp_path / name / "tuning.csv").write_text("experiment,method,seed\nfabricated,bptt,7\n")
    folders = [tmp_path / "one", tmp_path / "two"]
    assert read_declared(folders, read_results(folders))["fabricated"].trials == {"bptt": 1}


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("experiment-1.yaml", "name: [", "experiment-1.yaml is no YAML file"),
        ("experiment-1.yaml", "- 1", "experiment-1.yaml is no experiment"),
        ("experiment-1.yaml", "name: fabricated\nfamily: bptt", "its family is no list of pairs"),
        ("experiment-1.yaml", "name: fabricated\nfamily: 3", "experiment-1.yaml is no experiment"),
        ("experiment-1.yaml", "name: fabricated\nseeds: 3\nmethods: {a: []}", "experiment-1.yaml is no experiment"),
        ("experiment-1.yaml", "name: fabricated\ndifficulty: {key: length}", "experiment-1.yaml is no experiment"),
        ("tuning.csv", "", "tuning.csv is no table of tuning runs"),
        ("tuning.csv", "a,b\n1,2", "tuning.csv is no table of tuning runs"),
    ],
)
def test_a_damaged_file_is_told_in_a_sentence(file: str, content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        declared_in(tmp_path)
