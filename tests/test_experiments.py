"""Every shipped experiment is planned whole, and trains and reads every method for a step or two."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from memtrain.experiment.data import build_data, check_data, data_configuration
from memtrain.experiment.execution import execute
from memtrain.experiment.plan import plan_runs, plan_stages
from memtrain.experiment.reading import read_experiment
from memtrain.experiment.runs import Run
from memtrain.results import StageResult, read_result

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*/*.yaml"))
TRAINED = [file for file in FILES if "measurement" not in yaml.safe_load(file.read_text(encoding="utf-8"))]
TINY = {"length": 8, "pairs": 2, "modulus": 5, "delay": 3, "lag": 3, "rare": 10, "episodes": 10, "window": 8}
"""The smallest difficulties, by the name of the option."""


def name(file: Path) -> str:
    return file.parent.name


def full_name(file: Path) -> str:
    """That of the folder, and of the file where a folder holds several experiments."""
    alone = len([other for other in TRAINED if other.parent == file.parent]) == 1
    return name(file) if alone else f"{name(file)}_{file.stem}"


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """Small files in the layouts that the experiments read, by the experiment's name."""
    folder = tmp_path / "sources"
    draw = np.random.default_rng(0)
    for kind in ("mnist", "sketchy", "tinystories"):
        (folder / kind).mkdir(parents=True)
    for split, count in (("train", 8), ("t10k", 4)):
        images = draw.integers(0, 256, (count, 28, 28), np.uint8)
        header = struct.pack(">IIII", 0x803, *images.shape)
        (folder / "mnist" / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    for class_name in ("ant", "zebra"):
        (folder / "sketchy" / class_name).mkdir()
        for photo in range(10):
            image = Image.fromarray(draw.integers(0, 256, (32, 32), np.uint8))
            image.save(folder / "sketchy" / class_name / f"n{photo}-1.png")
    for split, count in (("train", 40), ("valid", 20)):
        (folder / "tinystories" / f"{split}.txt").write_text("The cat saw a dog and ran home to sleep. " * count)
    write_classified(folder, draw)
    write_tables(folder, draw)
    return {kind.stem: kind for kind in folder.iterdir()}


def write_classified(folder: Path, draw: np.random.Generator) -> None:
    """Digits of 4x4 pixels with their classes, and two data sets of series of 12 steps."""
    digits = folder / "classification_sequential_mnist"
    digits.mkdir()
    for split, count in (("train", 20), ("t10k", 10)):
        images, labels = draw.integers(0, 256, (count, 4, 4), np.uint8), np.arange(count, dtype=np.uint8) % 10
        header = struct.pack(">IIII", 0x803, *images.shape)
        (digits / f"{split}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (digits / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
    for kind in ("arrow_head", "osu_leaf"):
        series = folder / f"classification_{kind}"
        series.mkdir()
        for split in ("TRAIN", "TEST"):
            np.savez(series / f"{kind}_{split}.npz", X=draw.normal(size=(12, 1, 12)), y=np.arange(12) % 3)


def write_tables(folder: Path, draw: np.random.Generator) -> None:
    """Two days of hourly weather of two airports, and readings of glucose, as `prepare.py` leaves them."""
    hours = pd.date_range("2013-03-01", periods=96, freq="h")
    for origin in ("EWR", "JFK"):
        table = pd.DataFrame({"origin": origin, "time": hours, "regime": np.where(hours.day == 4, "storm", "")})
        for column in ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "delay"):
            table[column] = draw.normal(size=96)
        table["scheduled"] = draw.integers(0, 3, 96)
        table["cancelled"] = np.where(table["scheduled"] > 0, draw.integers(0, 3, 96), np.nan)
        path = folder / "forecasting_weather.csv"
        table.to_csv(path, mode="a", header=not path.exists(), index=False)
    times = pd.date_range("2010-03-24 09:51", periods=96, freq="5min")
    readings = pd.DataFrame({"datetime": times, "glucose": draw.integers(40, 200, 96), "regime": ""})
    readings.loc[90:, "regime"] = "hypoglycemic"
    readings.drop(index=50).to_csv(folder / "forecasting_glucose.csv", index=False)


def changes(file: Path, sources: dict[str, Path], cache: Path) -> list[str]:
    """What makes an experiment small: two steps a method, a tiny difficulty, local files; networks stay as they are."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    words = ["budget={steps: 2}", "evaluation={samples: 8}", "data.init_args.batch_size=2", "seeds=[0]", "grid=null"]
    if "difficulty" in content:
        words.append(f"difficulty.values=[{TINY[content['difficulty']['key']]}]")
    words += [f"data.init_args.{key}={least}" for key, least in TINY.items() if key in content["data"]["init_args"]]
    for stage, options in content["stages"].items():
        least = {key: TINY.get(key, 2) for key in options.get("data") or {}}
        words += [f"stages.{stage}.data.{key}={value}" for key, value in least.items()]
    if content["data"]["class_path"].endswith(("RasterDataModule", "TextDataModule")):
        words.append(f"data.init_args.cache_folder={cache}")
    return words + of_sources(file, sources)


def of_sources(file: Path, sources: dict[str, Path]) -> list[str]:
    """What makes an experiment read its small files, if there are any."""
    return [f"data.init_args.path={sources[key]}" for key in {name(file), full_name(file)} & set(sources)]


@pytest.mark.parametrize("file", TRAINED, ids=full_name)
def test_every_option_of_every_run_is_known(file: Path, sources: dict[str, Path]) -> None:
    experiment = read_experiment(file, of_sources(file, sources))
    assert experiment.name == full_name(file)
    check_data(experiment)
    planned = set()
    for plan in plan_runs(experiment):
        for stage in plan.stages:
            planned.add(stage.name)
            written = experiment.stages[stage.name].model["init_args"]
            assert set(written) <= set(stage.configuration["model"]["init_args"])
    assert planned == set(experiment.stages)  # so that no stage stays unread


def test_a_misspelt_option_of_any_part_of_a_shipped_experiment_is_refused() -> None:
    file = next(file for file in TRAINED if name(file) == "retrieval")
    for change in ("stages.dmt.model.init_args.stars=2", "stages.dmt.trainer.max_step=2", "network.widht=8"):
        experiment = read_experiment(file, [change])
        with pytest.raises(ValueError, match=change.partition("=")[0].rpartition(".")[2]):
            plan_stages(experiment, Run("smt_dmt", 64, 0), {})
    with pytest.raises(ValueError, match="symbol"):
        check_data(read_experiment(file, ["data.init_args.symbol=2"]))


def test_the_default_path_of_sketchy_is_not_taken_for_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = read_experiment(next(file for file in TRAINED if name(file) == "sketchy"))
    with pytest.raises(FileNotFoundError, match=r"data\.path is \./data/sketchy, which does not exist; give a file"):
        build_data(data_configuration(experiment, None)).prepare_data()


def kinds_of_stages(content: dict[str, Any], method: str) -> tuple[tuple[str, str], ...]:
    """The module and the cell of each of a method's stages."""
    kinds = []
    for stage in content["methods"][method]:
        model = content["stages"][stage]["model"]
        network = model["init_args"].get("network", content["network"])
        kinds.append((model["class_path"], network.get("cell", {}).get("class_path", "")))
    return tuple(kinds)


def methods() -> list[Any]:
    """Each file and method.

    But for each file's first, a method is slow where one before it, of any file, has the same kinds of stages.
    """
    parameters, seen = [], set()
    for file in TRAINED:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for position, method in enumerate(content["methods"]):
            kinds = kinds_of_stages(content, method)
            marks = [pytest.mark.slow] if position > 0 and kinds in seen else []
            parameters.append(pytest.param(file, method, id=f"{full_name(file)}-{method}", marks=marks))
            seen.add(kinds)
    return parameters


@pytest.mark.parametrize(("file", "method"), methods())
def test_every_method_trains_and_is_read(file: Path, method: str, sources: dict[str, Path], tmp_path: Path) -> None:
    experiment = read_experiment(file, changes(file, sources, tmp_path / "cache"))
    (plan,) = [plan for plan in plan_runs(experiment) if plan.run.method == method]
    execute(experiment, plan, tmp_path / "runs")
    trained = 0
    for stage in plan.stages:
        result = read_result(tmp_path / "runs" / stage.folder / "result.json")
        assert isinstance(result, StageResult)
        assert result.evaluations[0].readings[result.reading]["loss"] is not None
        assert result.costs.steps > trained
        trained = result.costs.steps
    assert trained == max(2, len(experiment.methods[method]))  # each stage takes one step at least
