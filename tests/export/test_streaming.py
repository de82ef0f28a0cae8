"""`memtrain stream`: one prediction a token, the memory kept exactly, however the stream ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from memtrain.cli import main
from memtrain.data import RasterDataModule, SequenceDataModule, TextDataModule
from memtrain.export import ExportStep, RowFormat, example_inputs, open_export, row_format
from memtrain.export.folder import ExportedModel
from memtrain.export.interruption import Interruption, Told
from memtrain.export.rows import Characters, Numbers
from memtrain.export.sources import LONGEST_LINE
from memtrain.export.state import StreamState
from memtrain.export.streaming import Stream
from memtrain.networks import RNN, Categorical, InputDescription, InputEncoder, Interface, NetworkOptions, Tokens
from memtrain.training.loading import load_module
from tests.export.test_step import needs_onnx

LINES = ["1 0 2\n", "3, 4\n", "\n", "5 1\n", "1 1 1\n"]


def test_a_prediction_follows_each_token_and_is_the_rnns(send, weights: Path, checkpoint: Path) -> None:
    status, rows, _ = send("".join(LINES), weights, "--top", 3)
    tokens = [1, 0, 2, 3, 4, 5, 1, 1, 1, 1]
    assert status == 0
    assert [(row["timestep"], row["input"]) for row in rows] == list(enumerate(tokens))
    *_, rnn = load_module(checkpoint).models.values()
    odds = rnn.outputs(torch.tensor([tokens]), torch.arange(10))[0].softmax(-1)  # type: ignore[union-attr]
    likeliest = odds.topk(3)
    assert [[token for token, _ in row["top"]] for row in rows] == likeliest.indices.tolist()
    found = torch.tensor([[probability for _, probability in row["top"]] for row in rows])
    torch.testing.assert_close(found, likeliest.values, rtol=0, atol=2e-6)


def test_a_prediction_a_line_is_the_one_after_its_last_token(send, weights: Path) -> None:
    _, each, _ = send("".join(LINES), weights)
    _, last, _ = send("".join(LINES), weights, "--every", "line")
    assert last == [each[i] for i in (2, 4, 6, 9)]


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_stream_that_is_started_again_goes_on_exactly(send, weights: Path, tmp_path: Path, cut: int) -> None:
    _, whole, _ = send("".join(LINES), weights)
    state = tmp_path / "state.safetensors"
    parts = [send("".join(part), weights, "--state", state)[1] for part in (LINES[:cut], LINES[cut:])]
    assert [*parts[0], *parts[1]] == whole
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_token_that_is_none_ends_the_stream_and_keeps_the_lines_before(send, weights: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    status, rows, said = send("1 0\n2 9 1\n", weights, "--state", state)
    assert status == 1
    assert len(rows) == 2  # nothing of the line that is refused
    assert said == "memtrain: Line 2, timestep 3: '9' is no token; give numbers from 0 to 8 and spaces between.\n"
    assert send("3\n", weights, "--state", state)[1] == send("1 0\n3\n", weights)[1][2:]


@pytest.mark.parametrize("word", ["-1", "1.5", "x", "²", "9" * 5000])
def test_words_that_are_no_tokens_are_refused_in_one_line(send, weights: Path, word: str) -> None:
    status, rows, said = send(word, weights)
    assert (status, rows, len(said.splitlines())) == (1, [], 1)


def test_a_line_that_would_fill_the_memory_is_refused(send, weights: Path) -> None:
    status, _, said = send("1 " * LONGEST_LINE, weights)
    assert (status, said) == (1, "memtrain: A line is longer than 65,536 bytes; break it into lines.\n")


def test_states_of_other_exports_and_other_files_are_refused(send, weights: Path, tmp_path: Path) -> None:
    shape = tuple(open_export(weights).initial_memory().shape)
    StreamState(torch.zeros(shape), 3).save(tmp_path / "other", "of another export")
    (tmp_path / "none").write_text("nothing")
    (tmp_path / "bare").write_bytes(save({"memory": torch.zeros(shape)}))
    for name, told in (("other", "the state of another export"), ("none", "no state"), ("bare", "no state")):
        before = (tmp_path / name).read_bytes()
        status, _, said = send("1\n", weights, "--state", tmp_path / name)
        assert status == 1
        assert told in said
        assert (tmp_path / name).read_bytes() == before


def test_a_followed_file_is_read_as_it_grows_and_again_from_where_it_was(send, weights: Path, tmp_path: Path) -> None:
    file, state = tmp_path / "growing", tmp_path / "state"
    words = (weights, "--follow", file, "--state", state)

    def grow(first: str, then: str) -> threading.Thread:
        """Append in two parts, then end the stream as `kill` does."""

        def work() -> None:
            for part in (first, then):
                with file.open("a") as growing:
                    growing.write(part)
                time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGTERM)

        file.touch()
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    thread = grow("1 0", " 2\n3")  # the second line has not ended
    status, first, _ = send("", *words)
    thread.join()
    thread = grow(" 4\n", "5\n")
    _, second, _ = send("", *words)
    thread.join()
    assert status == 0
    assert [row["input"] for row in first] == [1, 0, 2]
    assert [*first, *second] == send("1 0 2\n3 4\n5\n", weights)[1]
    file.write_text("1\n")
    status, _, said = send("", *words)
    assert (status, "which has 2 bytes, but --state has read 12 of it" in said) == (1, True)
    assert "which is no file" in send("", weights, "--follow", tmp_path / "nowhere")[2]


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a command in the background ignores it
    try:
        check_that_signals_wait()
    finally:
        signal.signal(signal.SIGINT, before)


def check_that_signals_wait() -> None:
    interruption, done = Interruption(), []

    def work() -> None:
        with interruption.raised(), interruption.held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("written")

    with pytest.raises(Told):
        work()
    assert done == ["written"]
    with pytest.raises(Told), interruption.raised():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_long_stream_needs_no_more_memory_than_a_short_one(weights: Path) -> None:
    folder = open_export(weights)
    rows = row_format(folder.interface.inputs, folder.interface.outputs, folder.datamodule(), 3)
    stream = Stream(folder.model(), rows, StreamState(), "token")

    def take(lines: int) -> int:
        for _ in range(lines):
            _, stream.place = stream.take(b"1 2 3\n")
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        young = take(20)
        old = take(300)
    finally:
        tracemalloc.stop()
    assert stream.place.timesteps == 960
    assert old - young < 20_000


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_stream_quietly(weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memtrain", "stream", str(weights), "--state", str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stream:
        assert stream.stdin is not None
        assert stream.stdout is not None
        assert stream.stderr is not None
        stream.stdin.write(b"1\n")
        stream.stdin.flush()
        assert json.loads(stream.stdout.readline())["input"] == 1
        stream.stdout.close()
        stream.stdin.write(b"2\n3\n")
        stream.stdin.close()
        assert stream.wait(60) == 0
        assert stream.stderr.read() == b""
    export = json.loads((weights / "description.json").read_text())
    shape = tuple(open_export(weights).initial_memory().shape)
    assert StreamState.load(tmp_path / "state", export["file"]["sha256"], shape).timesteps == 1


def test_text_is_read_by_characters_and_images_by_levels() -> None:
    text = row_format(Tokens(256), Categorical(256), TextDataModule(path="nowhere"), 2)
    assert isinstance(text, Characters)
    inputs = list(text.read("ab\n"))
    assert [int(each["inputs"]) for each in inputs] == [97, 98, 10]
    odds = torch.zeros(1, 256)
    odds[0, 32] = 50.0
    assert text.write(inputs[2], odds)["input"] == "\n"
    assert text.write(inputs[0], odds)["top"][0] == [" ", 1.0]
    with pytest.raises(ValueError, match="not an ASCII character"):
        list(text.read("é"))
    levels = row_format(Tokens(16), Categorical(16), RasterDataModule(), 2)
    assert type(levels) is Numbers
    assert [int(each["inputs"]) for each in levels.read("15 0")] == [15, 0]


def test_a_class_is_written_as_its_number() -> None:
    labels = RasterDataModule(targets="label")
    rows = row_format(Tokens(16), Categorical(10), labels, 20)
    (inputs,) = rows.read("7")
    odds = torch.full((1, 10), -50.0)
    odds[0, 3] = 0.0
    written = rows.write(inputs, odds)
    assert (written["input"], written["top"][0], len(written["top"])) == (7, [3, 1.0], 10)


# A kind of inputs that memtrain does not have, plugged in.


@dataclass(frozen=True)
class Voltage(InputDescription):
    """One real number."""

    def encoder(self, width: int) -> InputEncoder:
        return VoltageEncoder(width)


class VoltageEncoder(InputEncoder):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, width)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs)


class Voltages(RowFormat):
    def read(self, line: str, header: str = ""):
        yield {"inputs": torch.tensor([[float(line)]])}

    def write(self, inputs, parameters: Tensor) -> dict:
        return {"volts": inputs["inputs"].item(), "class": int(parameters.argmax())}


def test_another_kind_of_inputs_can_be_plugged_in(weights: Path, tmp_path: Path) -> None:
    data: SequenceDataModule = open_export(weights).datamodule()
    with pytest.raises(ValueError, match="no step with such inputs can be exported; register them"):
        example_inputs(Voltage(), 2, torch.Generator())
    with pytest.raises(ValueError, match="nothing streams these; register them"):
        row_format(Voltage(), Categorical(3), data, 1)
    example_inputs.register(Voltage, lambda _, batch, generator: {"inputs": torch.randn(batch, 1, generator=generator)})
    row_format.register(Voltage, lambda *_: Voltages())
    interface = Interface(Voltage(), Categorical(3))
    rnn = RNN(NetworkOptions(width=8, memory_tokens=2), interface).eval().requires_grad_(False)
    step = ExportStep(rnn)
    program = step.program(example_inputs(Voltage(), 2, torch.Generator())).module()
    model = ExportedModel(lambda inputs, memory: program(**inputs, memory=memory), step.initial_memory(1), interface)
    stream = Stream(model, row_format(Voltage(), Categorical(3), data, 1), StreamState(), "token")
    written, place = stream.take(b"0.5\n")
    parameters, memory = rnn.stream(torch.tensor([[0.5]]))
    assert json.loads(written[0]) == {"timestep": 0, "volts": 0.5, "class": int(parameters.argmax())}
    torch.testing.assert_close(place.memory, memory, rtol=0, atol=1e-5)


@needs_onnx
@pytest.mark.slow
def test_an_onnx_export_streams_what_the_weights_do(send, checkpoint: Path, weights: Path, tmp_path: Path) -> None:
    assert main(["export", str(checkpoint), "--output", str(tmp_path / "onnx")]) == 0
    for words in ((), ("--threads", 2)):
        for own, expected in zip(
            send("1 0 2 3\n", tmp_path / "onnx", *words)[1], send("1 0 2 3\n", weights)[1], strict=True
        ):
            assert [token for token, _ in own["top"]] == [token for token, _ in expected["top"]]
            assert [p for _, p in own["top"]] == pytest.approx([p for _, p in expected["top"]], abs=3e-6)
