"""Time series of one class each: the `.ts` format, padding, scales, and where the class stands."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memtrain.data import TimeSeriesClassification
from memtrain.data.classification import ClassifiedSeries, SeriesDataset, held_out_samples, pad
from memtrain.data.classification_files import training_file
from memtrain.data.ts_format import read_ts
from memtrain.networks.channels import Channel, Channels

NAN = float("nan")
HEADER = "@problemName Two\n@timeStamps false\n@classLabel true up down\n@data\n"


def prepared(path: Path, **options: Any) -> TimeSeriesClassification:
    data = TimeSeriesClassification(str(path), **options)
    data.setup()
    return data


def write_pair(folder: Path, training: str, test: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Two_TRAIN.ts").write_text(HEADER + training)
    (folder / "Two_TEST.ts").write_text(HEADER + test)
    return folder


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_ts_file_by_hand(pack: Any, tmp_path: Path) -> None:
    text = f"% old\n#\xe9\n{HEADER.replace('@data', '@Data')}1.5,2,?:7,NaN,8: up \n\n# not a series\n-1e3:0:Down\n"
    (tmp_path / "a.ts").write_bytes(pack(text.encode("latin-1")))
    found = read_ts(tmp_path / "a.ts")
    assert found.labels == ["up", "Down"]
    assert np.array_equal(found.series[0], [[1.5, 7], [2, NAN], [NAN, 8]], equal_nan=True)
    assert np.array_equal(found.series[1], [[-1000, 0]])


ragged = st.integers(1, 3).flatmap(
    lambda channels: st.lists(
        st.integers(1, 6).flatmap(
            lambda steps: arrays(np.float64, (steps, channels), elements=st.floats(-1e6, 1e6) | st.just(NAN))
        ),
        min_size=1,
        max_size=5,
    )
)


@given(series=ragged)
def test_what_is_written_in_the_format_is_read_again(series: list[np.ndarray], tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("ts") / "a.ts"
    lines = [":".join([*(",".join(map(repr, channel.tolist())) for channel in one.T), "up"]) for one in series]
    file.write_text(HEADER + "\n".join(lines))
    found = read_ts(file)
    assert found.labels == ["up"] * len(series)
    for one, again in zip(series, found.series, strict=True):
        assert np.array_equal(one, again, equal_nan=True)


@given(series=ragged, more=st.integers(0, 3), time=st.booleans())
def test_padding_keeps_all_values_and_adds_missing_ones_at_the_end(
    series: list[np.ndarray], more: int, time: bool
) -> None:
    length = max(map(len, series)) + more
    channels = series[0].shape[1]
    values, lengths = pad(series, length, time)
    assert values.shape == (len(series), length, channels + time)
    assert lengths.tolist() == [len(one) for one in series]
    for one, row in zip(series, values, strict=True):
        assert np.array_equal(row[: len(one), :channels], one, equal_nan=True)
        assert np.isnan(row[len(one) :]).all()
        if time:
            assert row[: len(one), -1].tolist() == list(range(len(one)))


@given(series=ragged, time=st.booleans())
def test_the_class_is_the_only_target_at_the_last_step_of_a_series_and_not_in_its_inputs(
    series: list[np.ndarray], time: bool
) -> None:
    values, lengths = pad(series, 8, time)
    channels = Channels([Channel(str(number)) for number in range(values.shape[2])])
    indices = np.arange(len(series))
    first, second = (
        SeriesDataset(ClassifiedSeries(values, lengths, indices + shift), channels, 0, "test", 9).rows(indices)
        for shift in (0, 1)
    )
    assert np.array_equal(first.inputs, second.inputs)
    assert np.argwhere(first.mask).tolist() == [[number, len(one) - 1] for number, one in enumerate(series)]
    assert first.targets[first.mask].tolist() == indices.tolist()
    assert np.array_equal(first.targets[~first.mask], second.targets[~second.mask])
    flags = first.inputs[..., values.shape[2] :]
    assert (flags.any(axis=2).argmax(axis=1) < lengths).all()
    assert not flags[np.arange(8) >= lengths[:, None]].any()  # all that comes after a series is missing


def test_a_small_data_set_worked_by_hand(tmp_path: Path) -> None:
    training = "1,2:4,4:up\n3:?:down\n1,2:4,4:up\n3:?:down\n"
    data = prepared(write_pair(tmp_path / "Two", training, "5,4,6:1,4,2:down\n"), held_out=0.5, time=True)
    assert data.class_names == ["down", "up"]
    assert data.sequence_length == 3  # of the test series
    # One series of each class trains: 1, 2 and 3 in channel 1, mean 2, variance 2/3; channel 2 is constant.
    first, second, time = data.channels.channels
    assert (first.center, first.scale) == pytest.approx((2, np.sqrt(2 / 3)))
    assert (second.center, second.scale) == (4, 1)
    assert (time.name, time.center, time.scale) == ("time", 0, 3)
    batch = data.dataset("test").__getitems__([0])
    values = [[3 / first.scale, -3, 0], [2 / first.scale, 0, 1 / 3], [4 / first.scale, -2, 2 / 3]]
    assert batch.inputs[0].numpy() == pytest.approx(np.array([[*row, 1, 1, 1] for row in values]), rel=1e-6)
    assert (batch.mask.tolist(), batch.targets.tolist()) == ([[False, False, True]], [[0, 0, 0]])
    down = int(data.series("val").classes.argmin())
    batch = data.dataset("val").__getitems__([down])
    assert batch.inputs[0, :, 3:].tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert batch.mask.tolist() == [[True, False, False]]
    assert data.reference_lines() == {"chance": 1.0}  # one of each class trains: the first is the most frequent


def test_scales_are_those_of_the_training_split_alone(motions: Path) -> None:
    data = prepared(motions)
    training = data.series("train").values
    for number, channel in enumerate(data.channels.channels):
        assert channel.center == pytest.approx(np.nanmean(training[..., number]))
        assert channel.scale == pytest.approx(np.nanstd(training[..., number]))
    for name in ("TEST", "TRAIN"):
        file = motions / f"Motions_{name}.ts"
        file.write_text(file.read_text().replace("@data\n", "@data\n1e5,2e5:-1e5,4:up\n", 1))
        again = TimeSeriesClassification(str(motions))
        assert (again.channels == data.channels) is (name == "TEST")


def test_the_mean_f1_of_all_classes_is_read_beside_the_accuracy(motions: Path) -> None:
    outputs = prepared(motions).interface().outputs
    assert [*outputs.names, *outputs.further()] == ["loss", "accuracy", "macro_f1"]
    assert outputs.head(4).score == "accuracy"


def test_training_passes_through_all_series_and_validation_has_a_share_of_each_class(motions: Path) -> None:
    data = prepared(motions, held_out=0.3)
    assert [np.bincount(data.series(split).classes).tolist() for split in ("train", "val", "test")] == [
        [7, 7],
        [3, 3],
        [5, 5],
    ]
    inputs = data.dataset("train").__getitems__(range(28)).inputs
    assert len(inputs[:14].unique(dim=0)) == len(inputs.unique(dim=0)) == 14
    again = prepared(motions, held_out=0.3, seed=5)
    for split in ("val", "test"):
        assert torch.equal(data.dataset(split)[0].inputs, again.dataset(split)[0].inputs)


@given(classes=arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 4)), share=st.floats(0.01, 0.9))
def test_every_class_keeps_a_training_sample(classes: np.ndarray, share: float) -> None:
    held = held_out_samples(classes, share)
    assert set(classes[~held]) == set(classes)
    for number in set(classes):
        own = held[classes == number]
        assert own.sum() == min(max(1, round(len(own) * share)), len(own) - 1)
    assert np.array_equal(held, held_out_samples(classes, share))


def test_numpy_archives_are_series_too(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        x = draw.normal(size=(count, 3, 5))
        x[0, 1, 2] = NAN
        np.savez(tmp_path / f"own_{split}.npz", X=x, y=np.arange(count) % 2)
    data = prepared(tmp_path)
    assert (data.sequence_length, data.class_names) == (5, ["0", "1"])
    assert data.series("test").values[1].tolist() == x[1].T.tolist()
    batch = data.dataset("test").__getitems__(range(4))
    assert batch.inputs[0, :, 3:].tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1]]
    assert batch.targets[:, -1].tolist() == [0, 1, 0, 1]


def test_a_test_series_that_trains_too_is_said(tmp_path: Path) -> None:
    rows = "1,2:3,4:up\n5,6:7,8:up\n1,1:1,1:down\n2,2:2,2:down\n"
    with pytest.warns(UserWarning, match=r"[12] of 4 series of the test split of .* occur in its training split too"):
        prepared(write_pair(tmp_path / "Two", rows, rows))


def test_of_several_data_sets_the_one_called_as_the_folder_is_meant(motions: Path) -> None:
    for split in ("TRAIN", "TEST"):
        (motions / f"Motions_eq_{split}.ts").write_bytes((motions / f"Motions_{split}.ts").read_bytes())
    assert training_file(str(motions)) == motions / "Motions_TRAIN.ts"
    assert training_file(str(motions / "Motions_eq_TRAIN.ts")) == motions / "Motions_eq_TRAIN.ts"
    other = motions.rename(motions.with_name("others"))
    assert "which holds 2 data sets (Motions, Motions_eq); give the file of one." in refusal(other)


# Refusals.


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        TimeSeriesClassification(str(path), **options).setup()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("@classLabel true up down", "@classLabel false", "has series without classes (@classLabel is not true); ch"),
        ("@classLabel true up down", "@targetLabel true", "has series without classes (@classLabel is not true); ch"),
        (
            "@timeStamps false",
            "@timeStamps true",
            "has a time stamp for each value (@timeStamps is true), which is not",
        ),
        ("@data\n", "", "is not a readable .ts file (it has no line @data); repair it"),
        ("3,4:5,6:down\n", "3,4:down\n", "(line 6 has 1 channels, others have 2); repair it"),
        ("3,4:5,6:down\n", "3,4:5:down\n", "(line 6: its channels have 1 and 2 values); repair it"),
        ("3,4:5,6:down\n", "3,4:5,x:down\n", "(line 6: could not convert string to float: 'x'); repair it"),
        ("3,4:5,6:down\n", "3,4:5,inf:down\n", "(line 6: it has an infinite value); repair it"),
        ("3,4:5,6:down\n", "3,4:5,6\n", "(line 6 ends in '5,6', which is none of the classes up, down); repair it"),
        ("3,4:5,6:down\n", "down\n", "(line 6: its channels have no values); repair it"),
        ("3,4:5,6:down\n" * 2, "3,4:5,6:up\n", "are of class 'up', so that there is nothing to tell apart; give"),
        ("1,2:3,4:up\n" + "3,4:5,6:down\n" * 2, "", "(no series comes after @data); repair it"),
        ("3,4:5,6:down\n" * 2, "3,4:5,6:down\n", "has one series of each class, which leaves none for validation; giv"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(before: str, after: str, sentence: str, tmp_path: Path) -> None:
    training = "1,2:3,4:up\n" + "3,4:5,6:down\n" * 2
    folder = write_pair(tmp_path / "Two", training, "1,1:2,2:up\n")
    file = folder / "Two_TRAIN.ts"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    assert sentence in refusal(folder)


def test_a_pair_that_does_not_fit_is_refused_in_one_sentence(motions: Path) -> None:
    test = motions / "Motions_TEST.ts"
    text = test.read_text()
    test.write_text("@classLabel true up aside\n@data\n1,2:3,4:aside\n")
    assert f"The test split of {motions} has class 'aside', of which there is no training sample; add" in refusal(
        motions
    )
    test.write_text("@data\n1,2:up\n")
    assert f"has series of 2 channels, {test} of 1; give files of one data set." in refusal(motions)
    test.write_bytes(b"")
    assert f"{test} is not a readable .ts file (it has no line @data); repair it" in refusal(motions)
    test.unlink()
    assert "where Motions_TRAIN.ts has no Motions_TEST.ts beside it; add the test file." in refusal(motions)
    (motions / "Motions_TRAIN.ts").write_text(text)
    (motions / "Motions_TRAIN.ts").rename(motions / "Motions.ts")
    assert "which holds no training file of classified series; give a folder with NAME_TRAIN.ts" in refusal(motions)


@pytest.mark.parametrize("name", ["NoSuchDataSet", "some/where", "/no/where"])
def test_an_unknown_name_is_refused_in_one_sentence(name: str) -> None:
    assert f"data.path is {name}, which does not exist; give a folder with NAME_TRAIN.ts and NAME_TEST." in refusal(
        name
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"X": np.zeros((4, 1, 3))}, "but has X of float64 [4, 1, 3]; store them so."),
        ({"x": np.zeros((4, 1, 3))}, "but has neither; store them so."),
        ({"X": np.zeros((4, 3)), "y": np.zeros(4, int)}, "but has X of float64 [4, 3] and y of int64 [4]; store"),
        ({"X": np.zeros((4, 1, 3)), "y": np.zeros(3, int)}, "but has X of float64 [4, 1, 3] and y of int64 [3]; store"),
        ({"X": np.zeros((4, 1, 3)), "y": np.zeros(4)}, "but has X of float64 [4, 1, 3] and y of float64 [4]; store"),
    ],
)
def test_a_wrong_archive_is_refused_in_one_sentence(found: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    for split in ("TRAIN", "TEST"):
        np.savez(tmp_path / f"own_{split}.npz", **found)
    assert said in refusal(tmp_path)
    (tmp_path / "own_TRAIN.npz").write_bytes(b"PK nothing")
    assert "own_TRAIN.npz is not a readable NumPy archive" in refusal(tmp_path)


def test_bad_options_are_refused_in_one_sentence(motions: Path) -> None:
    assert "data.held_out is 1, but must lie between 0.01 and 0.9; choose" in refusal(motions, held_out=1)
    assert "data.scaling is 'max', but must be one of standard, mean_absolute, none." in refusal(motions, scaling="max")


@pytest.mark.parametrize(
    ("name", "channels", "length", "classes", "counts"),
    [
        ("BasicMotions", 6, 100, 4, [32, 8, 40]),
        ("JapaneseVowels", 12, 29, 9, [216, 54, 370]),
        ("ACSF1", 1, 1460, 10, [80, 20, 100]),
    ],
)
def test_real_series_load(
    real_data: Path, name: str, channels: int, length: int, classes: int, counts: list[int]
) -> None:
    if not (real_data / "ucr" / name).is_dir():
        pytest.skip(f"{real_data}/ucr has no {name}: unzip `pip download --no-deps aeon`, copy its datasets/data to it")
    data = prepared(real_data / "ucr" / name)
    assert (len(data.channels.channels), data.sequence_length, len(data.class_names)) == (channels, length, classes)
    assert [len(data.series(split).classes) for split in ("train", "val", "test")] == counts
    batch = data.dataset("test").__getitems__(range(counts[2]))
    assert batch.mask.sum(1).eq(1).all()
    assert batch.inputs[batch.mask][:, channels:].eq(1).all()  # the last step of a series is observed
