"""`memtrain export`: what a folder holds, that its card's code runs, and what is refused."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from memtrain.cli import main
from memtrain.data import RasterDataModule, Retrieval, TextDataModule
from memtrain.export import FORMATS, open_export
from memtrain.export.exporting import vocabulary
from memtrain.export.folder import sha256
from memtrain.export.formats import OnnxFormat, SafetensorsFormat
from memtrain.export.record import results_beside
from memtrain.training.loading import load_module
from tests.export.conftest import CONF
from tests.export.test_step import needs_onnx
from tests.test_safety import Trap


def export(checkpoint: Path, output: Path, format: str = "safetensors") -> int:
    return main(["export", str(checkpoint), "--format", format, "--output", str(output)])


@pytest.fixture(scope="module", params=["safetensors", "torch", pytest.param("onnx", marks=needs_onnx)])
def folder(request: pytest.FixtureRequest, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp(request.param) / "export"
    assert export(checkpoint, output, request.param) == 0
    return output


def test_a_folder_says_what_to_feed_and_what_comes_out(folder: Path) -> None:
    description = json.loads((folder / "description.json").read_text())
    ports = {
        port["name"]: (port["type"], port["shape"]) for side in ("inputs", "outputs") for port in description[side]
    }
    assert ports == {
        "inputs": ("int64", ["batch"]),
        "memory": ("float32", ["batch", 2, 16]),
        "parameters": ("float32", ["batch", 9]),
        "memory_after": ("float32", ["batch", 2, 16]),
    }
    assert description["data"]["vocabulary"] == [str(token) for token in range(9)]
    assert description["data"]["init_args"]["length"] == 8
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        ["README.md", "description.json", "initial_memory.safetensors", description["file"]["name"]]
    )


def test_the_initial_memory_is_that_of_the_checkpoint(folder: Path, checkpoint: Path) -> None:
    *_, rnn = load_module(checkpoint).models.values()
    expected = rnn.initial_memory(1)  # type: ignore[attr-defined]
    assert torch.equal(load_file(folder / "initial_memory.safetensors")["memory"], expected)


@pytest.mark.slow
def test_the_card_names_stages_data_and_results_and_its_code_runs(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for said in (
        "| bptt | 4 |",
        "memtrain.data.probes.retrieval.Retrieval",
        "| val |  | rollout/accuracy |",
        "chain of the cell: 8.",
    ):
        assert said in card
    code = card.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) <= 10
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 3


def test_no_file_holds_a_path_of_this_machine(folder: Path, checkpoint: Path) -> None:
    for file in folder.iterdir():
        content = file.read_bytes()
        for path in (Path(__file__).parents[2], checkpoint.parent, Path(torch.__file__).parent):
            assert str(path).encode() not in content


def test_results_are_those_of_the_checkpoint_or_none(checkpoint: Path, tmp_path: Path) -> None:
    counters = load_module(checkpoint).counters
    read = {reading.name: reading.value for reading in results_beside(checkpoint, counters)}
    assert 0 <= read["rollout/accuracy"] <= 1
    counters.steps += 1
    assert results_beside(checkpoint, counters) == []
    assert results_beside(tmp_path / "checkpoints" / "last.ckpt", counters) == []


def test_a_vocabulary_is_written_where_tokens_are_signs() -> None:
    assert vocabulary(Retrieval(length=8, symbols=3, evaluation_samples=1)) == ["0", "1", "2", "3"]
    characters = vocabulary(TextDataModule(path="nowhere"))
    assert characters is not None
    assert (characters[0], characters[97], len(characters)) == ("␀", "a", 256)
    assert vocabulary(RasterDataModule()) is None


def test_a_folder_that_is_there_is_left_alone(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "there").mkdir()
    assert export(checkpoint, tmp_path / "there") == 1
    assert "there, which exists; name a new folder" in capsys.readouterr().err
    assert list((tmp_path / "there").iterdir()) == []


def test_a_checkpoint_without_an_rnn_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = [word for name in ("trainer", "teacher", "retrieval") for word in ("--config", str(CONF / f"{name}.yaml"))]
    assert main(["fit", *files, f"--trainer.default_root_dir={tmp_path}", "--trainer.max_steps=1"]) == 0
    assert export(tmp_path / "checkpoints" / "last.ckpt", tmp_path / "export") == 1
    assert "has no RNN; give a checkpoint of stage smt, dmt or bptt." in capsys.readouterr().err
    assert not (tmp_path / "export").exists()


def test_an_export_that_computes_something_else_is_not_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write = SafetensorsFormat.write

    def write_others(self: SafetensorsFormat, step: object, *rest: object) -> dict:
        step.rnn.head.bias.add_(0.01)  # type: ignore[attr-defined]
        done = write(self, step, *rest)  # type: ignore[arg-type]
        step.rnn.head.bias.sub_(0.01)  # type: ignore[attr-defined]
        return done

    monkeypatch.setattr(SafetensorsFormat, "write", write_others)
    assert export(checkpoint, tmp_path / "export") == 1
    assert "its export differs from torch by" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", ["0.5.4", "0.7.1", "0.6"])
def test_an_onnxscript_that_is_silently_wrong_is_refused(
    found: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("memtrain.export.requirements.version", lambda package: found)
    assert export(checkpoint, tmp_path / "export", "onnx") == 1
    assert f"onnxscript is {found}, but versions before 0.7.2 export some cells wrongly" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_asked_for_in_one_sentence(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("memtrain.export.requirements.version", missing)
    assert export(checkpoint, tmp_path / "export", "onnx") == 1
    said = capsys.readouterr().err
    assert said == "memtrain: --format onnx needs onnx, which is not installed; pip install 'memtrain[onnx]'.\n"
    with pytest.raises(ModuleNotFoundError, match="needs onnxruntime, which is not installed"):
        FORMATS["onnx"].run(tmp_path, {}, 1)


def test_a_damaged_folder_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no export"):
        open_export(tmp_path)
    for name, told in (
        ("weights.safetensors", "not the file that was exported"),
        ("initial_memory.safetensors", "cannot be read"),
    ):
        copy = tmp_path / name
        copy.mkdir()
        for file in weights.iterdir():
            (copy / file.name).write_bytes(file.read_bytes() if file.name != name else file.read_bytes()[:-20])
        with pytest.raises(ValueError, match=told):
            open_export(copy).model()


@needs_onnx
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / OnnxFormat.file).write_text("nothing")
    with pytest.raises(ValueError, match=r"step\.onnx is no ONNX graph that runs here"):
        FORMATS["onnx"].run(tmp_path, {}, 1)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["checkpoint", "folder"])
def test_generate_draws_the_same_with_onnx(
    runtime: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--prompt", "1 0 2", "--length=12", "--samples=3"]
    assert main(["generate", "--checkpoint", str(checkpoint), *words]) == 0
    expected = capsys.readouterr().out
    if runtime == "folder":
        assert export(checkpoint, tmp_path / "export", "onnx") == 0
        capsys.readouterr()
        assert main(["generate", "--checkpoint", str(tmp_path / "export"), *words]) == 0
    else:
        assert main(["generate", "--checkpoint", str(checkpoint), "--runtime", "onnx", *words]) == 0
    assert capsys.readouterr().out == expected


def test_generate_refuses_onnx_for_an_export_of_another_format(weights: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["generate", "--checkpoint", str(weights), "--runtime", "onnx", "--prompt", "1"]) == 1
    assert "--runtime is onnx, but" in capsys.readouterr().err


def test_a_torch_program_is_not_read_by_memtrain(weights: Path, tmp_path: Path) -> None:
    """Reading one unpickles what is in it."""
    folder = tmp_path / "export"
    shutil.copytree(weights, folder)
    description = json.loads((folder / "description.json").read_text())
    torch.save(Trap(tmp_path / "sprung"), folder / "step.pt2")
    file = {"name": "step.pt2", "sha256": sha256(folder / "step.pt2")}
    (folder / "description.json").write_text(json.dumps(description | {"format": "torch", "file": file}))
    with pytest.raises(ValueError, match=r"reading step\.pt2 would run code that the file may carry"):
        open_export(folder).model()
    assert not (tmp_path / "sprung").exists()
