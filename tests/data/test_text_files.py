"""Text as people have it: large files, empty shards and cells, separators, odd columns."""

import gzip
import json
import tracemalloc
import warnings
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from memtrain.data import TextDataModule, text_files
from memtrain.data.text_files import documents, read_file


def read(path: Path, cache_folder: str, **options: object) -> tuple[bytes, list[str]]:
    """All tokens of a source in order, and what was warned of."""
    data = TextDataModule(path=str(path), cache_folder=cache_folder, **{"length": 1, "held_out": 0.5, **options})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.prepare_data()
    tokens = b"".join(data.stream(split).tokens.tobytes() for split in ("train", "val", "test"))
    return tokens, [str(warning.message) for warning in caught]


def write_lines(file: Path, *rows: object) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


# Plain text

TEXT = "Once upon\r\na time\n\n<|endoftext|>\nThe end.<|endoftext|> \n  <|endoftext|>\n\n<|endoftext|>\nlast\n"


@pytest.mark.parametrize("piece", [16, 17, 20, 25, 1 << 20])
def test_documents_do_not_depend_on_the_size_of_a_piece(
    piece: int, tmp_path: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "PIECE", piece)
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    tokens, said = read(tmp_path, cache_folder)
    assert tokens.split(b"\0") == [b"Once upon\na time\n", b"The end.<|endoftext|> ", b"last\n", b""]
    assert said == [
        f"3 lines <|endoftext|> in {tmp_path} were read as ends of documents; set data.separator to null to read them "
        "as text."
    ]


def test_a_separator_may_be_another_line_or_none(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.txt").write_text("one\n***\ntwo\n<|endoftext|>\nthree")
    assert read(tmp_path, cache_folder, separator=None) == (b"one\n***\ntwo\n<|endoftext|>\nthree\0", [])
    assert read(tmp_path, cache_folder, separator="***")[0] == b"one\0two\n<|endoftext|>\nthree\0"
    assert read(tmp_path, cache_folder)[0] == b"one\n***\ntwo\0three\0"
    for wrong in (" x", "a\nb", "\n"):
        with pytest.raises(ValueError, match="but must be one line without spaces around it; choose for example"):
            TextDataModule(separator=wrong)


def test_text_without_separators_is_one_document_as_it_stands(tmp_path: Path, cache_folder: str) -> None:
    text = "\n\n  one\n\ntwo  \n\n"
    (tmp_path / "a.txt").write_text(text)
    assert read(tmp_path, cache_folder) == (text.encode() + b"\0", [])


def test_the_example_of_the_docstring() -> None:
    pieces = list(documents(["one\n", "---\n", "two\n"], "---"))
    assert "".join(piece.text or "|" * piece.ends for piece in pieces) == "one|two\n"


def test_a_large_text_is_read_at_constant_memory(
    tmp_path: Path, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "PIECE", 1 << 12)
    (tmp_path / "one line.txt").write_text("abcdefgh" * (1 << 19))  # 4 MiB without a line break
    tracemalloc.start()
    try:
        for _ in read_file(tmp_path / "one line.txt", "text", "<|endoftext|>"):
            pass
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()
    assert len(read(tmp_path, cache_folder)[0]) == (1 << 22) + 1


@pytest.mark.parametrize("kind", [".txt", ".jsonl"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_unpacked_by_its_content_not_its_name(
    kind: str, suffix: str, packed: bool, tmp_path: Path, cache_folder: str
) -> None:
    content = b"once upon a time" if kind == ".txt" else b'{"text": "once upon a time"}'
    (tmp_path / f"a{kind}{suffix}").write_bytes(gzip.compress(content) if packed else content)
    assert read(tmp_path, cache_folder)[0] == b"once upon a time\0"


# Tables


def test_an_empty_shard_is_skipped(tmp_path: Path, cache_folder: str) -> None:
    write_lines(tmp_path / "a.jsonl")
    write_lines(tmp_path / "b.jsonl", {"text": "once"}, {"text": "upon"})
    (tmp_path / "c.jsonl").write_text("\n\n")
    (tmp_path / "test.jsonl").touch()
    assert read(tmp_path, cache_folder) == (b"once\0upon\0", [])
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a.txt").touch()
    (folder / "b.txt").write_text("once")
    assert read(folder, cache_folder) == (b"once\0", [])


def test_an_empty_shard_of_parquet_is_skipped(tmp_path: Path, cache_folder: str) -> None:
    for name, texts in (("a", []), ("b", ["once", "upon"])):
        pyarrow.parquet.write_table(
            pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())}), tmp_path / f"{name}.parquet"
        )
    assert read(tmp_path, cache_folder) == (b"once\0upon\0", [])


def test_text_of_empty_files_alone_is_refused_with_that_reason(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(ValueError, match="whose training files are empty; give files that hold text"):
        read(tmp_path, cache_folder)


@pytest.mark.parametrize("kind", [".parquet", ".jsonl"])
def test_empty_cells_are_skipped_and_counted_in_one_warning(kind: str, tmp_path: Path, cache_folder: str) -> None:
    for name, texts in (("train", ["once", None, "upon", ""]), ("validation", [None, "a time"])):
        if kind == ".parquet":
            pd.DataFrame({"text": texts}).to_parquet(tmp_path / f"{name}.parquet")
        else:
            write_lines(tmp_path / f"{name}.jsonl", *({"text": text} for text in texts))
    tokens, said = read(tmp_path, cache_folder)
    assert tokens == b"once\0upon\0a time\0"
    assert said == [f"3 of 6 cells of text in {tmp_path} are empty and were skipped."]


@pytest.mark.parametrize("kind", [".parquet", ".jsonl"])
def test_a_column_of_nothing_but_empty_cells_is_refused_with_that_reason(
    kind: str, tmp_path: Path, cache_folder: str
) -> None:
    rows = {"text": [None, None, None], "story": ["a", "b", "c"]}
    if kind == ".parquet":
        pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    else:
        write_lines(tmp_path / "a.jsonl", *({"text": None, "story": story} for story in rows["story"]))
    with pytest.raises(ValueError, match=r"is 'text', but all 3 cells of it in the train split of .* are empty"):
        read(tmp_path, cache_folder)
    assert read(tmp_path, cache_folder, column="story")[0] == b"a\0b\0c\0"


def test_a_column_that_nobody_reads_may_be_null_at_first(tmp_path: Path, cache_folder: str) -> None:
    texts = [str(number) * (1 << 20) for number in range(10)] + ["the", "end"]  # beyond 10 MB
    metas = [None] * 11 + [{"deep": ["text", 3]}]
    write_lines(tmp_path / "a.jsonl", *({"text": text, "meta": meta} for text, meta in zip(texts, metas, strict=True)))
    tokens, said = read(tmp_path, cache_folder)
    assert tokens == b"".join(text.encode() + b"\0" for text in texts)
    assert said == []


def test_a_row_without_the_column_is_an_empty_cell(tmp_path: Path, cache_folder: str) -> None:
    write_lines(tmp_path / "a.jsonl", {"note": 1}, {"text": "once"}, {"text": "upon", "note": 2})
    tokens, said = read(tmp_path, cache_folder)
    assert tokens == b"once\0upon\0"
    assert said == [f"1 of 3 cells of text in {tmp_path} are empty and were skipped."]
    with pytest.raises(ValueError, match=r"data\.column is 'story', but .* has only the columns note, text; choose"):
        read(tmp_path, cache_folder, column="story")


def test_a_column_of_numbers_is_refused_with_the_columns_that_there_are(tmp_path: Path, cache_folder: str) -> None:
    write_lines(tmp_path / "a.jsonl", {"text": 3, "story": "once"})
    with pytest.raises(ValueError, match=r"holds a int, not text; choose a column of text among story\."):
        read(tmp_path, cache_folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"text": "a"}\n{"text": \n', "line 2: Expecting value"),
        (b'[{"text": "a"}]\n', "line 1 holds a list, where each must hold one object"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
        (b'{"text": "\xff"}\n', "line 1: "),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(
    content: bytes, reason: str, tmp_path: Path, cache_folder: str
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jsonl is not a readable \.jsonl file \(") as caught:
        read(tmp_path, cache_folder)
    assert reason in str(caught.value)


def test_text_without_one_ascii_character_is_refused_with_that_reason(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.txt").write_text("é—é")
    with pytest.raises(ValueError, match="none of the 3 characters of its train split is ASCII"):
        read(tmp_path, cache_folder)


def test_another_separator_is_prepared_apart(tmp_path: Path, cache_folder: str) -> None:
    (tmp_path / "a.txt").write_text("one\n---\ntwo")
    read(tmp_path, cache_folder)
    assert read(tmp_path, cache_folder, separator="---")[0] == b"one\0two\0"
