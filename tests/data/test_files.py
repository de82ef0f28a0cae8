"""Preparing files once, and reading them in place."""

import json
import multiprocessing
import pickle
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memtrain.data import TextDataModule
from memtrain.data.entropy import conditional_entropy, entropy
from memtrain.data.sources import files_under, local_path, split_of
from memtrain.data.token_file import TokenFile, cache_entry, default_cache_folder, prepare_once
from memtrain.data.windows import WindowDataset


def write(path: Path, tokens: list[int]) -> TokenFile:
    path.write_bytes(bytes(tokens))
    return TokenFile(path)


def test_each_token_of_a_window_predicts_the_next(tmp_path: Path) -> None:
    stream = write(tmp_path / "a.bin", [7, 1, 4, 2, 8, 5, 9, 3])
    dataset = WindowDataset(stream, "length", 3, seed=0, split="test", samples=10)
    batch = dataset.__getitems__(range(len(dataset)))
    # seven targets, so two windows of three: the first starts at the front, the last ends at the end
    assert batch.inputs.tolist() == [[7, 1, 4], [8, 5, 9]]
    assert batch.targets.tolist() == [[1, 4, 2], [5, 9, 3]]


def test_evaluation_windows_never_overlap_and_are_spread_evenly(tmp_path: Path) -> None:
    stream = write(tmp_path / "a.bin", list(range(200)))
    for samples in (3, 7, 19):
        dataset = WindowDataset(stream, "length", 10, seed=0, split="val", samples=samples)
        starts = dataset.__getitems__(range(len(dataset))).inputs[:, 0].tolist()
        assert len(starts) == samples
        assert all(second - first >= 10 for first, second in pairwise(starts))
        assert starts[0] == 0
        assert starts[-1] == 189


def test_training_windows_reach_every_place(tmp_path: Path) -> None:
    stream = write(tmp_path / "a.bin", list(range(20)))
    batch = WindowDataset(stream, "length", 15, 0, "train", 1).__getitems__(range(500))
    assert set(batch.inputs[:, 0].tolist()) == {0, 1, 2, 3, 4}


def test_a_stream_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    stream = write(tmp_path / "a.bin", [1, 2, 3])
    with pytest.raises(
        ValueError, match=r"data\.length is 3, but the val split has only 3 tokens, where a window needs 4"
    ):
        WindowDataset(stream, "length", 3, 0, "val", 1)


def test_a_token_file_travels_to_workers_as_its_path(tmp_path: Path) -> None:
    stream = write(tmp_path / "a.bin", [1] * 100_000)
    assert stream.tokens.sum() == 100_000
    packed = pickle.dumps(stream)
    assert len(packed) < 1000
    assert pickle.loads(packed).tokens.sum() == 100_000


def test_reading_before_preparing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is missing; call the data module's prepare_data\(\) before"):
        TokenFile(tmp_path / "none.bin")


def test_what_is_prepared_is_not_built_again(tmp_path: Path) -> None:
    entry, builds = tmp_path / "entry", []

    def build(folder: Path) -> None:
        builds.append(folder)
        (folder / "train.bin").write_bytes(b"1")

    prepare_once(entry, {"a": 1}, build)
    prepare_once(entry, {"a": 1}, build)
    assert len(builds) == 1
    assert json.loads((entry / "source.json").read_text()) == {"a": 1}
    assert visible(tmp_path) == ["entry"]


def visible(folder: Path) -> list[str]:
    """What lies in a folder, but for locks."""
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "train.bin").write_bytes(b"half")
        raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        prepare_once(tmp_path / "entry", {}, build)
    assert visible(tmp_path) == []


def _prepare_slowly(folder: Path, barrier: object, name: str) -> None:
    def build(beside: Path) -> None:
        (folder / f"built by {name}").touch()
        (beside / "train.bin").write_text(name)
        time.sleep(0.2)
        (beside / "test.bin").write_text(name)

    barrier.wait()  # type: ignore[attr-defined]  # both start at the same time
    prepare_once(folder / "entry", {}, build)
    assert len({(folder / "entry" / f"{split}.bin").read_text() for split in ("train", "test")}) == 1


def test_of_two_processes_that_prepare_together_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [context.Process(target=_prepare_slowly, args=(tmp_path, barrier, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(visible(tmp_path)) in (["built by a", "entry"], ["built by b", "entry"])


def test_the_cache_lies_under_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "memtrain"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == Path.home() / ".cache" / "memtrain"
    assert cache_entry("x", {"a": 1}) != cache_entry("x", {"a": 2})


def test_a_changed_source_is_prepared_anew(stories: Path, cache_folder: str) -> None:
    def tokens() -> int:
        data = TextDataModule(path=str(stories), length=8, cache_folder=cache_folder)
        with pytest.warns(UserWarning, match="not ASCII"):
            data.prepare_data()
        return len(data.stream("train"))

    before = tokens()
    pd.DataFrame({"text": ["the cat saw a dog"]}).to_parquet(stories / "train-more.parquet")
    assert tokens() == before + len("the cat saw a dog") + 1


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00004.parquet", "train"),
        ("TinyStoriesV2-GPT4-valid.txt", "val"),
        ("validation/part.txt", "val"),
        ("t10k-images-idx3-ubyte.gz", "test"),
        ("stories.txt", "train"),
        ("latest.txt", "train"),
    ],
)
def test_a_name_tells_the_split(name: str, split: str) -> None:
    assert split_of(name) == split


def test_hidden_files_are_left_out_at_every_level(tmp_path: Path) -> None:
    folder = tmp_path / ".hidden-above" / "sketchy"  # what lies above the source does not matter
    for name in ("a.png", "ant/b.png", ".DS_Store", "ant/._b.png", ".ipynb_checkpoints/c.png", "ant/.cache/deep/d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [file.relative_to(folder).as_posix() for file in files_under(folder)] == ["a.png", "ant/b.png"]


def test_a_wrong_path_is_refused_unless_it_may_be_a_name_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert local_path(str(tmp_path / "here")) == tmp_path / "here"
    assert local_path("owner-that-is-no-folder/name") is None
    with pytest.raises(FileNotFoundError, match="none, which does not exist; give a file, a folder, or a Hugging Face"):
        local_path(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"\./none, which does not exist"):
        local_path("./none")


def test_entropies_worked_by_hand() -> None:
    fair = np.array([0, 1, 0, 1])
    assert entropy(fair) == pytest.approx(np.log(2))
    assert conditional_entropy(fair, fair) == 0
    # target 1 follows context 0 always; after context 1 it is a coin: half of the cases cost ln 2
    targets, context = np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1])
    assert conditional_entropy(targets, context) == pytest.approx(np.log(2) / 2)
