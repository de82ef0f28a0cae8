"""`memtrain stream` of numbers: rows of CSV in, predictions in the data's units out, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from memtrain.cli import main
from memtrain.data.tables.outputs import in_units
from memtrain.export import FORMATS, ChannelRows, ExportStep, example_inputs, open_export, prediction
from memtrain.export.channel_card import channel_tables
from memtrain.export.folder import ExportedModel
from memtrain.export.number_rows import NEXT, header_of
from memtrain.export.session import Run
from memtrain.export.state import StreamState
from memtrain.export.streaming import Stream
from memtrain.networks import (
    RNN,
    Bernoulli,
    Categorical,
    Channel,
    Channels,
    Gaussian,
    Interface,
    Mixture,
    NegativeBinomial,
    NetworkOptions,
    NumberHead,
    OutputDescription,
    Quantiles,
    Several,
    StudentT,
)
from memtrain.training.loading import load_datamodule, load_module
from tests.export.test_step import needs_onnx

LOAD, COUNT, FAR = Channel("load", center=10.0, scale=2.0), Channel("count", scale=3.0), Channel("far", asinh=True)
DAY = Channel("day", "known", categories=2, labels=["rest", "work"])
OUTPUTS: dict[str, OutputDescription] = {
    "gaussian": Gaussian([LOAD, FAR]),
    "student_t": StudentT([LOAD, FAR]),
    "mixture": Mixture([LOAD]),
    "heavy mixture": Mixture([LOAD], components=2, heavy_tails=True),
    "quantiles": Quantiles([LOAD]),
    "negative_binomial": NegativeBinomial([COUNT], means=[4.0]),
    "bernoulli": Bernoulli([Channel("alarm")], rates=[0.1]),
    "classes": Categorical(3),
    "several": Several({"class": Categorical(3), "level": Gaussian([LOAD])}),
}


def lines_of(table: Path) -> list[str]:
    """The table's rows but the last, each with what is known of the next."""
    frame = pd.read_csv(table)
    for name in ("day", "heating"):
        frame[name + NEXT] = frame[name].shift(-1)
    return frame.iloc[:-1].to_csv(index=False).splitlines(keepends=True)


def close(found: list[dict], expected: list[dict]) -> bool:
    """Whether predictions are equal, up to what float32 knows."""
    assert [row["timestep"] for row in found] == [row["timestep"] for row in expected]
    numbers = [
        [value for row in rows for said in row["targets"].values() for value in said.values()]
        for rows in (found, expected)
    ]
    return numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-4)


def test_streamed_predictions_are_the_rnns_on_the_same_rows(
    send, table: Path, number_export: Path, number_checkpoint: Path
) -> None:
    status, rows, _ = send("".join(lines_of(table)), number_export)
    assert status == 0
    *_, rnn = load_module(number_checkpoint).models.values()
    interface, frame = load_module(number_checkpoint).interface, pd.read_csv(table)
    frame["day"] = frame["day"].map({"rest": 0.0, "work": 1.0})
    values = frame[[channel.name for channel in interface.inputs.channels]].to_numpy(np.float64)
    inputs = torch.from_numpy(interface.inputs.pack(values[None, :-1]))
    ahead = torch.from_numpy(interface.inputs.pack_ahead(values[None, 1:]))
    parameters = rnn.outputs(inputs, torch.arange(79), ahead)[0].detach()  # type: ignore[operator]
    head: NumberHead = rnn.head  # type: ignore[assignment]
    quantiles = in_units(interface.outputs, head.quantiles(parameters.double(), (0.1, 0.5, 0.9)).mT.numpy())
    assert [row["timestep"] for row in rows] == list(range(79))
    for i, name in enumerate(("warmth", "wind")):
        said = np.array([[row["targets"][name][level] for level in ("0.1", "0.5", "0.9")] for row in rows])
        assert said == pytest.approx(quantiles[..., i], rel=1e-5, abs=1e-4)
        assert [row["targets"][name]["mean"] for row in rows] == pytest.approx(said[:, 1].tolist(), rel=1e-5, abs=1e-4)
    without = rnn.outputs(inputs, torch.arange(79), torch.zeros_like(ahead))[0]  # type: ignore[operator]
    assert (parameters - without).abs().amax() > 0.1  # what is known ahead enters


def test_columns_may_stand_in_any_order_beside_others(send, table: Path, number_export: Path) -> None:
    lines = lines_of(table)[:9]
    frame = pd.DataFrame([line.strip("\n").split(",") for line in lines[1:]], columns=lines[0].strip("\n").split(","))
    turned = frame[frame.columns[::-1]].assign(note='"a, b"').to_csv(index=False)
    assert send("\ufeff" + turned.replace("\n", "\r\n"), number_export)[1] == send("".join(lines), number_export)[1]


@pytest.mark.parametrize(("cut", "again"), [(1, False), (5, False), (5, True)])
def test_a_stream_of_rows_goes_on_exactly_with_or_without_its_header(
    send, table: Path, number_export: Path, tmp_path: Path, cut: int, again: bool
) -> None:
    lines, words = lines_of(table)[:9], (number_export, "--state", tmp_path / "state")
    whole = send("".join(lines), number_export)[1]
    first = send("".join(lines[:cut]), *words)[1]
    second = send("".join([*lines[:1] * again, *lines[cut:]]), *words)[1]
    assert [*first, *second] == whole


def test_a_followed_file_goes_on_below_its_header(send, table: Path, number_export: Path, tmp_path: Path) -> None:
    file, lines = tmp_path / "growing.csv", lines_of(table)[:9]

    def follow(until: int) -> tuple[list[dict], str]:
        file.write_text("".join(lines[:until]))

        def terminate() -> None:
            while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # until the stream listens
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGTERM)

        end = threading.Thread(target=terminate)
        end.start()
        _, rows, said = send("", number_export, "--follow", file, "--state", tmp_path / "state")
        end.join()
        return rows, said

    first, second = follow(4)[0], follow(9)[0]
    assert len(first) == 3
    assert [*first, *second] == send("".join(lines), number_export)[1]
    lines.append(lines[1].replace(",", ";"))
    status, _, said = send(lines[-1], number_export, "--state", tmp_path / "state")
    assert (status, "Line 10, timestep 8: the row has 1 cells, but the header 7; give as many." in said) == (1, True)


def format_of(outputs: OutputDescription | None = None) -> ChannelRows:
    return ChannelRows(Channels([LOAD, DAY]), outputs or Gaussian([LOAD]), 5)


HEADER = "load,day,day@next\n"


def read(*lines: str) -> list[dict[str, list[float]]]:
    rows, header, found = format_of(), "", []
    for line in lines:
        if rows.is_header(line):
            header = line
        else:
            found += [{name: value[0].tolist() for name, value in inputs.items()} for inputs in rows.read(line, header)]
    return found


def test_a_row_is_scaled_and_coded_as_in_training() -> None:
    """14 is two scales above the center; a category is its code, and of the next row a flag for each."""
    assert read(HEADER, "14,work,rest\n", "\n", ",,\n", "NA,rest,\n") == [
        {"inputs": [2, 1, 1, 1], "ahead": [1, 0]},
        {"inputs": [0, 0, 0, 0], "ahead": [0, 0]},
        {"inputs": [0, 0, 0, 1], "ahead": [0, 0]},
    ]


def test_a_name_with_a_comma_is_quoted() -> None:
    channels = Channels([Channel("wind, gusts"), DAY])
    assert header_of(channels) == '"wind, gusts",day,day@next'
    assert ChannelRows(channels, Gaussian([LOAD]), 5).is_header(header_of(channels))


@pytest.mark.slow
def test_a_long_stream_of_rows_needs_no_more_memory_than_a_short_one() -> None:
    interface = Interface(Channels([LOAD, DAY]), Gaussian([LOAD]))
    step = ExportStep(RNN(NetworkOptions(width=8, memory_tokens=2, readout="linear"), interface))
    model = ExportedModel(lambda inputs, memory: step(**inputs, memory=memory), step.initial_memory(1), interface)
    stream = Stream(model, format_of(), StreamState(), "token")

    def take(lines: int) -> int:
        for number in range(lines):
            _, stream.place = stream.take(f"{number},work,rest\n".encode() if stream.place.lines else HEADER.encode())
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        young, old = take(400), take(600)  # Python fills its free lists first
    finally:
        tracemalloc.stop()
    assert stream.place.timesteps == 999
    assert old - young < 20_000


def test_large_numbers_near_each_other_are_told_apart() -> None:
    """The difference is taken before numbers become float32."""
    rows = ChannelRows(Channels([Channel("meter", center=1e9, scale=0.5)]), Gaussian([LOAD]), 5)
    (inputs,) = rows.read("1000000000.25", "meter")
    assert inputs["inputs"].tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,rest,work", "column load has 'x', which is no number; leave the cell empty where it is missing."),
        ("inf,rest,work", "column load has 'inf', which is beyond all numbers"),
        ("1e200,rest,work", "column load has '1e200', which is beyond all numbers"),
        ("1,feast,work", "column day has 'feast', but must be one of rest, work; leave the cell empty where it is"),
        ("1,rest,0", "column day@next has '0', but must be one of rest, work"),
        ("1,rest", "the row has 2 cells, but the header 3; give as many."),
        ("1,rest,work,", "the row has 4 cells, but the header 3; give as many."),
        ('1,"rest,work', "the row is no CSV (unexpected end of data); close its quotation marks"),
    ],
)
def test_a_row_that_is_none_is_refused_in_one_sentence(line: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        read(HEADER, line)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("load,day", "a header must come first, with commas between the names of columns, but has no 'day@next'; give"),
        ("load;day;day@next", "has no 'load'; give load,day,day@next."),
        ("1,rest,work", "has no 'load'"),
        ("load,load,day,day@next", "the header has two columns 'load'; rename one."),
    ],
)
def test_a_wrong_header_is_refused_in_one_sentence(header: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read(header)


def test_a_refused_row_is_named_by_its_line(send, table: Path, number_export: Path) -> None:
    lines = lines_of(table)[:5]
    lines[3] = lines[3].replace(lines[3].split(",")[2], "gale")
    status, rows, said = send("".join(lines), number_export)
    assert (status, len(rows)) == (1, 2)
    assert said == (
        "memtrain: Line 4, timestep 2: column wind has 'gale', which is no number; leave the cell empty where it is "
        "missing.\n"
    )


# Heads


def test_numbers_are_said_in_their_units() -> None:
    """A median of 1 in scaled units, from a scale of 1: quantiles 1 -+ 1.2816; times 2, plus 10."""
    raw = torch.tensor([[1.0, 0.0]])
    assert format_of().write({}, raw) == {
        "targets": {"load": {"mean": 12.0, "0.1": 9.436897, "0.5": 12.0, "0.9": 14.563103}}
    }


def test_of_a_channel_with_tails_the_median_is_exact_and_no_mean_is_said() -> None:
    raw = torch.zeros(1, 2)
    raw[0, 0] = 3.0
    said = format_of(Gaussian([FAR])).write({}, raw)["targets"]["far"]
    assert list(said) == ["0.1", "0.5", "0.9"]
    assert said["0.5"] == pytest.approx(np.sinh(3.0), abs=1e-5)
    raw[0, 0] = 1e6
    assert format_of(Gaussian([FAR])).write({}, raw)["targets"]["far"]["0.5"] is None


def test_counts_events_and_classes_are_said_as_they_are() -> None:
    counts = format_of(OUTPUTS["negative_binomial"]).write({}, torch.zeros(1, 2))["targets"]["count"]
    assert counts["mean"] == pytest.approx(4.0, abs=1e-3)  # the training split's
    assert all(counts[level] == int(counts[level]) for level in ("0.1", "0.5", "0.9"))
    assert format_of(OUTPUTS["bernoulli"]).write({}, torch.zeros(1, 1)) == {"targets": {"alarm": {"probability": 0.1}}}
    logits = torch.tensor([[0.0, np.log(2.0), 0.0, 0.0, 0.0]])
    assert format_of(OUTPUTS["classes"]).write({}, logits[:, :3]) == {"top": [[1, 0.5], [0, 0.25], [2, 0.25]]}
    parts = format_of(OUTPUTS["several"]).write({}, logits)["parts"]
    assert parts["class"]["top"][0] == [1, 0.5]
    assert parts["level"]["targets"]["load"]["0.5"] == 10.0


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_head_streams_what_the_rnn_says(name: str) -> None:
    """The exported step has the head's parameters, and the description the head that reads them."""
    require_equal(OUTPUTS[name], lambda step, _: lambda inputs, memory: step(**inputs, memory=memory))


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_every_head_streams_from_a_graph_what_the_rnn_says(name: str, tmp_path: Path) -> None:
    def exported(step: ExportStep, inputs: dict[str, Tensor]) -> Run:
        FORMATS["onnx"].write(step, inputs, tmp_path)
        return FORMATS["onnx"].run(tmp_path, {}, 1)

    require_equal(OUTPUTS[name], exported)


def require_equal(outputs: OutputDescription, exported: Callable[[ExportStep, dict[str, Tensor]], Run]) -> None:
    """Stream two rows with an exported step, and hold them against the RNN."""
    interface = Interface(Channels([LOAD, DAY]), outputs)
    rnn = RNN(NetworkOptions(width=8, memory_tokens=2, readout="linear"), interface).eval().requires_grad_(False)
    step, memory = ExportStep(rnn), None
    run = exported(step, example_inputs(interface.inputs, 2, torch.Generator().manual_seed(0)))
    stream = Stream(ExportedModel(run, step.initial_memory(1), interface), format_of(outputs), StreamState(), "token")
    written, stream.place = stream.take(HEADER.encode())
    assert written == []
    for timestep, line in enumerate(("12,work,rest\n", ",rest,work\n")):
        written, stream.place = stream.take(line.encode())
        (inputs,) = stream.rows.read(line, HEADER)
        parameters, memory = rnn.stream(inputs["inputs"], memory, inputs["ahead"])
        expected = prediction(rnn.head, parameters[0].double(), 5)
        found = json.loads(written[0])
        assert found.pop("timestep") == timestep
        assert flat(found) == pytest.approx(flat(expected), rel=1e-5, abs=1e-4)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("channels", [[DAY], [LOAD, FAR], [LOAD, FAR, DAY, Channel("kind", categories=3)]], ids=len)
def test_channels_of_every_kind_are_exported(channels: list[Channel], tmp_path: Path) -> None:
    interface = Interface(Channels(channels), Gaussian([LOAD]))
    rnn = RNN(NetworkOptions(width=8, memory_tokens=2), interface).eval().requires_grad_(False)
    step, inputs = ExportStep(rnn), example_inputs(interface.inputs, 5, torch.Generator().manual_seed(0))
    FORMATS["onnx"].write(step, inputs, tmp_path)
    memory = step.initial_memory(5)
    found = FORMATS["onnx"].run(tmp_path, {}, 1)(inputs, memory)
    torch.testing.assert_close(found, step(**inputs, memory=memory), rtol=0, atol=1e-5)


def test_examples_have_every_category_and_missing_cells() -> None:
    drawn = example_inputs(Channels([LOAD, DAY]), 200, torch.Generator().manual_seed(0))
    load, day, load_is, day_is = drawn["inputs"].unbind(-1)
    assert set(day.tolist()) == {0.0, 1.0}
    assert (set(load_is.tolist()), set(day_is.tolist())) == ({0.0, 1.0}, {0.0, 1.0})
    assert not load[load_is == 0].any()
    assert set(drawn["ahead"].sum(-1).tolist()) == {0.0, 1.0}


def flat(said: object) -> list[float]:
    """All numbers of a prediction, in order."""
    if isinstance(said, dict):
        return [number for value in said.values() for number in flat(value)]
    return [number for value in said for number in flat(value)] if isinstance(said, list) else [said]  # type: ignore[list-item]


def test_a_head_that_nobody_writes_is_refused_at_once() -> None:
    class Own(Gaussian):
        def head(self, features: int):
            return OwnHead()

    class OwnHead(NumberHead.__mro__[1]):  # OutputHead
        parameters_of = loss = metrics = sample = None

    with pytest.raises(ValueError, match="The model has a OwnHead, whose predictions nobody writes; register it with"):
        format_of(Own([LOAD]))


# The folder


def test_a_description_has_channels_units_and_scales(number_export: Path, number_checkpoint: Path) -> None:
    description = json.loads((number_export / "description.json").read_text())
    channels = description["interface"]["init_args"]["inputs"]["init_args"]["channels"]
    assert [(channel["name"], channel["role"]) for channel in channels] == [
        ("warmth", "observed"),
        ("wind", "observed"),
        ("day", "known"),
        ("heating", "action"),
    ]
    assert channels[2]["labels"] == ["rest", "work"]
    table = load_datamodule(number_checkpoint).table  # type: ignore[attr-defined]
    first, after = (part[0] for part in table.parts["train"])
    training = table.rows.columns["wind"][first:after]
    assert (channels[1]["center"], channels[1]["scale"]) == pytest.approx((training.mean(), training.std()))
    assert open_export(number_export).interface == load_module(number_checkpoint).interface
    assert [(port["name"], port["shape"]) for port in description["inputs"]] == [
        ("inputs", ["batch", 8]),
        ("ahead", ["batch", 4]),
        ("memory", ["batch", 2, 8]),
    ]


def test_a_card_says_channels_roles_scales_and_the_header_of_a_stream(number_export: Path) -> None:
    card = (number_export / "README.md").read_text()
    wind = open_export(number_export).interface.inputs.channels[1]  # type: ignore[attr-defined]
    for said in (
        f"| wind | observed |  | {wind.center:.6g} | {wind.scale:.6g} |  |  |\n",
        "| day | known |  |  |  |  | rest, work |\n",
        "`ahead` has the same of day, heating in the next row",
        "below the header `warmth,wind,day,heating,day@next,heating@next`",
        "inputs are `Channels()`, outputs are `Gaussian(score='loss')`",
    ):
        assert said in card
    assert card.count("| wind |") == 2  # an input and a target


def test_a_card_says_units_categories_without_labels_and_the_targets_of_each_part() -> None:
    volts = Channel("a|b", "observed", center=1.5, scale=0.25, asinh=True, unit="V")
    interface = Interface(Channels([volts, Channel("kind", categories=3)]), OUTPUTS["several"])
    text = channel_tables({"interface": interface.to_primitive()})
    assert "| a\\|b | observed | V | 1.5 | 0.25 | yes |  |\n| kind | observed |  |  |  |  | 3 |\n" in text
    assert "Targets of level, scaled" in text
    assert "ahead" not in text
    assert channel_tables({"interface": Interface.of_tokens(3).to_primitive()}) == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["safetensors", pytest.param("onnx", marks=needs_onnx)])
def test_the_code_of_a_card_of_numbers_runs(kind: str, number_checkpoint: Path, tmp_path: Path) -> None:
    assert main(["export", str(number_checkpoint), "--format", kind, "--output", str(tmp_path / kind)]) == 0
    code = (tmp_path / kind / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / kind, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, len(ran.stdout.splitlines())) == (0, 3), ran.stderr


@needs_onnx
@pytest.mark.slow
def test_an_onnx_export_of_numbers_streams_what_the_weights_do(
    send, table: Path, number_export: Path, number_checkpoint: Path, tmp_path: Path
) -> None:
    assert main(["export", str(number_checkpoint), "--output", str(tmp_path / "onnx")]) == 0
    text = "".join(lines_of(table))
    assert close(send(text, tmp_path / "onnx")[1], send(text, number_export)[1])
