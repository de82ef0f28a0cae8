"""Text from local files in the formats a user would have."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from memtrain.data import TextDataModule


def prepared(path: Path, cache_folder: str, **options: object) -> TextDataModule:
    data = TextDataModule(path=str(path), cache_folder=cache_folder, **{"length": 16, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.prepare_data()
    data.setup()
    return data


def test_documents_are_joined_by_token_zero_in_order(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "text").mkdir()
    for name, text in (("b.txt", "two"), ("a.txt", "one"), ("test.txt", "held out")):
        (tmp_path / "text" / name).write_text(text)
    data = prepared(tmp_path / "text", cache_folder, length=2)
    assert data.stream("train").tokens.tobytes() == b"one\0two\0"
    assert data.stream("val").tokens.tobytes() == b"held"
    assert data.stream("test").tokens.tobytes() == b" out\0"


def test_a_single_text_file_has_its_end_held_out(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "all.txt").write_text("".join(chr(97 + i % 26) for i in range(999)))
    data = prepared(tmp_path / "all.txt", cache_folder, held_out=0.2)
    parts = [data.stream(split).tokens.tobytes() for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [800, 100, 100]
    assert b"".join(parts) == (tmp_path / "all.txt").read_bytes() + b"\0"


def test_three_named_splits_are_taken_as_they_are(tmp_path: Path, cache_folder: str) -> None:
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"this is the {name} split"}))
    data = prepared(tmp_path, cache_folder, length=4)
    assert data.stream("val").tokens.tobytes() == b"this is the validation split\0"
    assert data.stream("test").tokens.tobytes() == b"this is the test split\0"


def test_characters_beyond_ascii_are_dropped_and_counted_in_one_warning(stories: Path, cache_folder: str) -> None:
    data = TextDataModule(path=str(stories), length=16, cache_folder=cache_folder)
    with pytest.warns(UserWarning, match="not ASCII") as caught:
        data.prepare_data()
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 1
    assert messages[0].startswith("4 of ")
    assert messages[0].endswith("are not ASCII and were dropped.")
    assert data.stream("train").tokens.max() < 128


def test_batches_are_windows_whose_targets_are_the_next_characters(stories: Path, cache_folder: str) -> None:
    data = prepared(stories, cache_folder)
    assert (data.vocabulary_size, data.sequence_length, data.modality) == (256, 16, "text")
    text = data.stream("train").tokens.tobytes()
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert bytes([inputs[0], *targets]) in text


def test_entropies_are_those_of_the_test_split(stories: Path, cache_folder: str) -> None:
    data = prepared(stories, cache_folder)
    tokens = np.array(data.stream("test").tokens)
    pairs = np.zeros((256, 256))
    np.add.at(pairs, (tokens[:-1], tokens[1:]), 1)
    joint = pairs / pairs.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        unigram = -np.nansum(joint.sum(0) * np.log(joint.sum(0)))
        bigram = -np.nansum(joint * np.log(joint / joint.sum(1, keepdims=True)))
    lines = data.reference_lines()
    assert lines == pytest.approx({"unigram_entropy": unigram, "bigram_entropy": bigram})
    assert lines["bigram_entropy"] < lines["unigram_entropy"]


def test_prompts_and_rendering_are_inverse(stories: Path) -> None:
    data = TextDataModule(path=str(stories))
    assert data.render(data.encode_prompt("Once upon\n")[None]) == ["Once upon\n"]
    assert data.encode_prompt("").tolist() == [data.start_token] == [0]
    assert data.render(torch.tensor([[65, 0, 200]])) == ["A\u2400\ufffd"]
    with pytest.raises(ValueError, match="prompt holds 'é', which is not an ASCII character"):
        data.encode_prompt("caf\u00e9")


def refusal(path: Path, cache_folder: str, **options: object) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        prepared(path, cache_folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_path_is_refused_in_one_sentence(tmp_path: Path, cache_folder: str) -> None:
    assert "/none, which does not exist; give a file" in refusal(tmp_path / "none", cache_folder)


def test_an_empty_folder_is_refused_in_one_sentence(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "empty").mkdir()
    assert "which holds no .parquet, .jsonl, .txt file" in refusal(tmp_path / "empty", cache_folder)


def test_a_missing_column_is_refused_in_one_sentence(stories: Path, cache_folder: str) -> None:
    assert "has only the columns number, text; choose one" in refusal(stories, cache_folder, column="story")
    assert "it holds a int, not text" in refusal(stories, cache_folder, column="number")


def test_a_damaged_file_is_refused_in_one_sentence(stories: Path, cache_folder: str) -> None:
    (stories / "train.parquet").write_bytes(b"PAR1 not really")
    assert "train.parquet is not a readable .parquet file" in refusal(stories, cache_folder)


def test_a_reason_of_several_lines_becomes_one(
    stories: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("It broke.\n  - here\n  - and there.\n")

    monkeypatch.setattr("memtrain.data.text_files.pyarrow.parquet.ParquetFile", fail)
    sentence = "is not a readable .parquet file (It broke. - here - and there); repair or remove it."
    assert refusal(stories, cache_folder).endswith(f"train.parquet {sentence}")


def test_text_shorter_than_a_window_is_refused_in_one_sentence(stories: Path, cache_folder: str) -> None:
    sentence = refusal(stories, cache_folder, length=5000)
    assert sentence.startswith("data.length is 5000, but the val split has only ")


def test_text_without_a_training_split_is_refused_in_one_sentence(stories: Path, cache_folder: str) -> None:
    assert "nothing to train on" in refusal(stories / "validation.parquet", cache_folder)


def test_bad_options_are_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"data\.length is 0, but must be at least 1; choose for example 256\."):
        TextDataModule(length=0)
    with pytest.raises(
        ValueError, match=r"data.held_out is 2, but must lie between 0.01 and 0.9; choose for example 0.1."
    ):
        TextDataModule(held_out=2)


def test_real_stories_load(real_data: Path, cache_folder: str) -> None:
    data = prepared(real_data / "tinystories", cache_folder, length=256)
    assert len(data.dataset("test")) > 400
    lines = data.reference_lines()
    assert 2.0 < lines["bigram_entropy"] < 2.5 < lines["unigram_entropy"] < 3.3
