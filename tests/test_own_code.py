"""Cells and data of users: what is wrong with them is said before anything is trained, and a change is noticed."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtrain.cli import main
from memtrain.data import ENDLESS, ArrayDataset, Retrieval, TokenDataModule, TokenDataset
from memtrain.data.blocks import Rows, Split
from memtrain.experiment.identity import files_hash
from memtrain.generate import start_tokens
from memtrain.networks import RNN, Interface, NetworkOptions
from memtrain.networks.cells import Cell, GRUCell, LSTMCell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.networks.memory import MemoryNormalization

EXPERIMENT = str(Path(__file__).parent / "conf" / "experiment.yaml")
CELL = """
import torch
from memtrain.networks.cells import Cell
from memtrain.networks.memory import normalize_memory


class Own(Cell):
    def __init__(self, width, memory_tokens, memory_normalization, hidden=8):
        super().__init__(width, memory_tokens, memory_normalization)
        self.mix = torch.nn.Linear(2 * width, width)

    def step(self, memory, embedding):
        seen = torch.cat([memory, embedding.unsqueeze(1).expand_as(memory)], dim=-1)
        return normalize_memory(memory + self.mix(seen), self.memory_normalization)
"""


class Flat(MLPCell):
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return super().step(memory, embedding).flatten(1)


class Pair(MLPCell):
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return super().step(memory, embedding), memory  # type: ignore[return-value]


class Thin(MLPCell):
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return super().step(memory, embedding)[:, :1]


class Stumbling(Cell):
    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return memory @ embedding


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (Flat, "Flat.step returned [2, 32], but must return the next memory, [B, K, D] = [2, 2, 16]"),
        (Pair, "Pair.step returned a tuple, but must return"),
        (Thin, "Thin.step returned [2, 1, 16], but must return"),
        (Stumbling, "Stumbling.step failed on a memory [B, K, D] = [2, 2, 16] and an embedding [B, D] = [2, 16]"),
    ],
)
def test_a_cell_that_does_not_work_is_refused_before_the_teacher_is_trained(
    cell: type, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = f"network.cell.class_path={__name__}.{cell.__name__}"
    change = ["--set", chosen, "--set", "network.cell.init_args={}"]
    assert main(["run", EXPERIMENT, "--output", str(tmp_path / "new"), *change]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


class Active(MLPCell):
    """Its option is a class, which no checkpoint may hold."""

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: str,
        activation: type[torch.nn.Module] = torch.nn.GELU,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)  # type: ignore[arg-type]


class Seedless(Retrieval):
    def __init__(self, length: int = 8, batch_size: int = 4, evaluation_samples: int = 8) -> None:
        super().__init__(length=length, batch_size=batch_size, evaluation_samples=evaluation_samples)


class Shapeless(TokenDataModule):
    """A data set that says nothing of its modality."""

    @property
    def vocabulary_size(self) -> int:
        return 8

    @property
    def sequence_length(self) -> int:
        return 8

    def build_dataset(self, split: Split) -> TokenDataset:
        raise NotImplementedError

    def reference_lines(self) -> dict[str, float]:
        return {}

    def encode_prompt(self, prompt: str) -> Tensor:
        raise NotImplementedError

    def render(self, tokens: Tensor) -> list[str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            [f"network.cell.class_path={__name__}.Active"],
            "Active.activation is <class 'torch.nn.modules.activation.GELU'>",
        ),
        ([f"data.class_path={__name__}.Seedless"], "Seedless has no option seed, which seed_everything sets; take it"),
        (["stages.dmt.model.init_args={windows: {label_stride: 9, length: 4}}"], "stages.dmt: "),
        (
            ["stages.dmt.model.init_args={micro_batches: 3}"],
            "stages.dmt: model.micro_batches is 3, but data.batch_size is 4",
        ),
        (["stages.bptt.model.init_args={truncation: 8, trajectory: picard}"], "stages.bptt: "),
    ],
)
def test_what_would_be_found_out_after_a_training_is_refused_before_it(
    change: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [word for entry in [*change, "network.cell.init_args={}"] for word in ("--set", entry)]
    assert main(["run", EXPERIMENT, "--output", str(tmp_path / "new"), *changes]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_data_without_a_modality_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Shapeless has no modality; set it in the class"):
        Shapeless()


def test_a_cell_without_type_hints_is_trained_in_all_stages_and_a_changed_one_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own_cell_of_a_test.py"
    file.write_text(CELL)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = ["run", EXPERIMENT, "--output", str(tmp_path / "new"), "--set", "network.cell.init_args={}"]
    run += ["--set", "network.cell.class_path=own_cell_of_a_test.Own", "--methods", "smt_dmt", "--index", "0"]
    try:
        assert main(run) == 0
        assert main(run) == 0
        file.write_text(CELL.replace("memory + self.mix", "self.mix"))
        assert main(run) == 1
        assert "holds results of another configuration" in capsys.readouterr().err
        file.write_text(CELL.replace("2 * width, width", "2 * width, width, bias=False"))
        del sys.modules["own_cell_of_a_test"]
        checkpoint = next((tmp_path / "new").rglob("dmt/checkpoints/last.ckpt"))
        assert main(["generate", "--checkpoint", str(checkpoint), "--prompt", "1"]) == 1
        assert "a class has changed since; bring it back, or train again" in capsys.readouterr().err
    finally:
        sys.modules.pop("own_cell_of_a_test", None)


def test_a_cell_whose_module_needs_what_is_not_installed_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needy_cell_of_a_test.py").write_text("import a_package_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = "network.cell.class_path=needy_cell_of_a_test.Own"
    assert main(["run", EXPERIMENT, "--output", str(tmp_path / "new"), "--set", chosen]) == 1
    said = capsys.readouterr().err
    assert "No module named 'a_package_that_is_not_there'" in said
    assert "name a class that can be imported" not in said


def test_changed_files_of_the_data_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text"
    text.mkdir()
    (text / "train.txt").write_text("abcd" * 50)
    (text / "valid.txt").write_text("abcd" * 50)
    data = {"path": str(text), "length": 8, "batch_size": 2, "cache_folder": str(tmp_path / "cache")}
    changes = [f"data={{class_path: memtrain.data.TextDataModule, init_args: {data}}}", "difficulty=null"]
    words = [
        word for change in [*changes, "network.cell.init_args={}", "budget={steps: 2}"] for word in ("--set", change)
    ]
    run = ["run", EXPERIMENT, "--output", str(tmp_path / "new"), *words, "--methods", "bptt", "--index", "0"]
    assert main(run) == 0
    assert main(run) == 0
    (text / "train.txt").write_text("abce" * 50)
    files_hash.cache_clear()  # which the next process does not have
    assert main(run) == 1
    assert "or of code or data that have changed since" in capsys.readouterr().err


class OwnRows(TokenDataset):
    def __init__(self, samples: int, rows: Rows) -> None:
        super().__init__(samples)
        self.own = rows

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        return tuple(array[indices % len(array)] for array in self.own)  # type: ignore[return-value]


class OwnData(Retrieval):
    """Retrieval's options, and rows of its own: inputs and targets `[1, 8]`."""

    own: tuple[object, ...] = ()
    samples = ENDLESS

    def build_dataset(self, split: Split) -> TokenDataset:
        return OwnRows(self.samples, self.own)  # type: ignore[arg-type]


GOOD = np.ones((1, 8), dtype=np.int64)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            (GOOD, GOOD[:, :7]),
            r"targets of OwnData, split train, have shape \(256, 7\), but 256 rows of sequence_length are \(256, 8\)",
        ),
        ((GOOD * 9, GOOD), r"inputs of OwnData, split train, lie in 9..9, but must be in 0..8\."),
        ((GOOD, GOOD * -1), r"targets of OwnData, split train, lie in -1..-1, but must be in 0..8, or -100"),
        (
            (GOOD, GOOD.astype(np.int32)),
            "targets of OwnData, split train, are int32, but must be NumPy arrays of int64",
        ),
        ((GOOD.astype(float), GOOD), "inputs of OwnData, split train, are float64, but must be"),
        ((GOOD,), r"rows\(\) of OwnData gives 1 arrays, but must give inputs, targets"),
    ],
)
def test_rows_that_no_stage_could_train_on_are_refused(
    rows: tuple[object, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = OwnData(length=8)
    monkeypatch.setattr(data, "own", rows)
    with pytest.raises(ValueError, match=sentence):
        data.setup("fit")


def test_a_token_that_no_stage_could_take_is_found_in_a_later_row_too(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.ones((200, 8), dtype=np.int64)
    inputs[150, 3] = 9
    data = OwnData(length=8)
    monkeypatch.setattr(data, "own", (inputs, inputs))
    with pytest.raises(ValueError, match=r"inputs of OwnData, split train, lie in 1..9, but must be in 0..8\."):
        data.setup("fit")


class Unbound(Cell):
    """A residual cell that ends in no normalization."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return 3 * memory + embedding.unsqueeze(1)


@pytest.mark.parametrize(
    ("normalization", "cell"),
    [
        *((kind, cell) for kind in ("rms", "tanh") for cell in (Unbound, MLPCell, TransformerCell)),
        *(("tanh", cell) for cell in (GRUCell, LSTMCell, ParaGRUCell, ParaLSTMCell)),
    ],
)
def test_a_cell_that_leaves_the_space_of_memories_is_told(
    normalization: MemoryNormalization, cell: type[Cell], recwarn: pytest.WarningsRecorder
) -> None:
    RNN(
        NetworkOptions(width=32, memory_tokens=4, memory_normalization=normalization, cell=cell),
        Interface.of_tokens(5),
    )
    told = [str(warning.message) for warning in recwarn if "outside the space of the teacher's" in str(warning.message)]
    assert len(told) == (cell is Unbound)
    assert all(sentence.startswith("Unbound.step returned memories of root mean square") for sentence in told)


@pytest.mark.parametrize("tokens", [[99], [-1], [], [[1]]])
def test_a_prompt_that_own_data_encode_wrongly_is_refused(tokens: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = OwnData(length=8)
    monkeypatch.setattr(data, "encode_prompt", lambda prompt: torch.tensor(tokens, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"encode_prompt of OwnData makes .* of 'x', but must make a list of tokens"):
        start_tokens(data, "x")


def test_an_array_gives_evaluation_rows_in_order_and_refuses_other_shapes() -> None:
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    held_out = ArrayDataset(rows, rows + 1, "val", seed=0, samples=3)
    assert len(held_out) == 3
    batch = held_out.__getitems__([2, 0])
    assert batch.inputs.tolist() == [[6, 7, 8], [0, 1, 2]]
    assert batch.targets.tolist() == [[7, 8, 9], [1, 2, 3]]
    with pytest.raises(ValueError, match="The targets of the val split are float64, but tokens must be integers"):
        ArrayDataset(rows, rows / 2, "val", seed=0, samples=3)
    for inputs, targets in ((rows, rows[:2]), (rows[:0], rows[:0]), (rows[0], rows[0])):
        with pytest.raises(ValueError, match=r"The val split has inputs of shape .*, but both must be \[N, T\]"):
            ArrayDataset(inputs, targets, "val", seed=0, samples=3)


def test_a_training_split_that_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = OwnData(length=8)
    monkeypatch.setattr(data, "own", (GOOD, GOOD))
    data.setup("fit")
    assert torch.equal(data.dataset("train").__getitems__([10**9]).inputs, torch.ones(1, 8, dtype=torch.int64))
    data = OwnData(length=8)
    monkeypatch.setattr(data, "own", (GOOD, GOOD))
    monkeypatch.setattr(data, "samples", 100)
    with pytest.raises(ValueError, match="training split of OwnData has 100 samples, but training reads on and on"):
        data.setup("fit")
