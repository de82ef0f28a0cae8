"""The command line as a user meets it: every command through `main`; mistakes are in test_bad_input.py."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import memtrain.cli
from memtrain.checkpoints import load_checkpoint
from memtrain.cli import command_parser, enough_seeds, main, more_seeds, show_warning
from memtrain.data import Retrieval
from memtrain.lock import only_worker

CONF = Path(__file__).parent / "conf"


def arguments(command: str, *names: str, directory: Path | None = None) -> list[str]:
    """`memtrain COMMAND` with files of tests/conf."""
    files = [word for name in ("trainer", *names) for word in ("--config", str(CONF / f"{name}.yaml"))]
    return [command, *files, *([f"--trainer.default_root_dir={directory}"] if directory else [])]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stages teacher, smt, dmt and bptt, each started from the one before."""
    folder = tmp_path_factory.mktemp("chain")
    source = None
    for stage in ("teacher", "smt", "dmt", "bptt"):
        words = arguments("fit", stage, "retrieval", directory=folder / stage)
        if source is not None:
            words += ["--model.init_from", str(source), "--model.network", "null"]
        assert main(words) == 0
        source = folder / stage / "checkpoints" / "last.ckpt"
    return folder


def test_help_lists_every_command_without_importing_torch() -> None:
    script = "import sys, memtrain.cli as c\ntry: c.main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    for command in ("fit", "validate", "test", "predict", "run", "compare", "generate", "export", "stream"):
        assert f"\n    {command} " in shown.stdout


def test_help_of_fit_names_the_classes_and_how_to_see_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--model.help CLASS" in shown
    assert "SMTModule" in shown
    assert "Retrieval" in shown


def test_the_stages_chain_and_every_checkpoint_records_where_it_comes_from(chain: Path) -> None:
    last = load_checkpoint(chain / "bptt" / "checkpoints" / "last.ckpt")["memtrain"]
    assert [entry["stage"] for entry in last["provenance"]] == ["teacher", "smt", "dmt"]
    assert last["counters"]["steps"] == 16  # four stages of four steps
    assert last["counters"]["tokens"] == 16 * 4 * 8


def test_a_run_leaves_configuration_checkpoint_table_and_events(chain: Path) -> None:
    names = {path.name.split(".")[0] for path in (chain / "smt").iterdir()}
    assert {"config", "checkpoints", "metrics", "events"} <= names
    rows = list(csv.DictReader((chain / "smt" / "metrics.csv").open()))
    validated = [row for row in rows if row["val/rollout/accuracy"]]
    assert [float(row["cost/steps"]) for row in validated] == [6, 8]  # cumulative: after the teacher's four
    assert all(float(row["cost/train_seconds"]) > 0 for row in validated)


def test_a_run_ends_with_a_row_of_its_options_and_results(chain: Path) -> None:
    events = EventAccumulator(str(chain / "smt")).Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    metrics = {info.name.tag for info in HParamsPluginData.FromString(content).experiment.metric_infos}
    assert {"val/rollout/accuracy", "cost/train_seconds"} <= metrics <= set(events.Tags()["scalars"])


def test_a_saved_configuration_reproduces_its_run(chain: Path, tmp_path: Path) -> None:
    words = ["fit", "--config", str(chain / "teacher" / "config.yaml"), f"--trainer.default_root_dir={tmp_path}"]
    assert main(words) == 0
    first, again = (
        load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"] for folder in (chain / "teacher", tmp_path)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(chain: Path, tmp_path: Path) -> None:
    words = arguments("fit", "smt", "retrieval", directory=tmp_path)
    words += ["--model.init_from", str(chain / "teacher" / "checkpoints" / "last.ckpt"), "--model.network", "null"]
    assert main([*words, "--trainer.max_steps=2"]) == 0
    assert main([*words, "--ckpt_path=last"]) == 0
    whole, resumed = (load_checkpoint(f / "checkpoints" / "last.ckpt") for f in (chain / "smt", tmp_path))
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in whole["state_dict"].items())
    assert whole["memtrain"]["counters"]["tokens"] == resumed["memtrain"]["counters"]["tokens"]
    steps = [
        [(row["step"], row["train/loss"]) for row in csv.DictReader((folder / "metrics.csv").open())]
        for folder in (chain / "smt", tmp_path)
    ]
    assert steps[0] == steps[1]


def test_a_fit_is_worked_on_by_one_process_at_a_time(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "--config", str(chain / "teacher" / "config.yaml"), f"--trainer.default_root_dir={tmp_path}"]
    with only_worker("trainer.default_root_dir", tmp_path):
        assert main(words) == 1
    assert f"{tmp_path} is being worked on by another process" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]
    assert main(words) == 0


def test_predict_writes_each_test_sample_and_agrees_with_test(chain: Path, tmp_path: Path) -> None:
    checkpoint = chain / "dmt" / "checkpoints" / "last.ckpt"
    words = ["--config", str(chain / "dmt" / "config.yaml"), "--ckpt_path", str(checkpoint)]
    assert main(["predict", *words, f"--trainer.default_root_dir={tmp_path}"]) == 0
    assert main(["test", *words, f"--trainer.default_root_dir={tmp_path}"]) == 0
    samples = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert [int(row["index"]) for row in samples] == list(range(16))
    tested = next(csv.DictReader((tmp_path / "test.csv").open()))
    for metric in ("loss", "accuracy"):
        mean = sum(float(row[metric]) for row in samples) / 16
        assert mean == pytest.approx(float(tested[f"test/rollout/{metric}"]), rel=1e-5)


def test_reading_a_checkpoint_leaves_the_metrics_of_its_training(chain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dmt"
    shutil.copytree(chain / "dmt", folder)
    trained = (folder / "metrics.csv").read_bytes()
    checkpoint = f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}"
    for command in ("validate", "test"):
        words = ["--config", str(folder / "config.yaml"), f"--trainer.default_root_dir={folder}", checkpoint]
        assert main([command, *words]) == 0
        assert (folder / f"{command}.csv").is_file()
    assert (folder / "metrics.csv").read_bytes() == trained


def test_loggers_of_ones_own_stand_beside_the_table_and_leave_checkpoints_where_they_are(tmp_path: Path) -> None:
    logger = "--trainer.logger={class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: %s}}"
    words = [*arguments("fit", "bptt", "retrieval", directory=tmp_path / "run"), logger % (tmp_path / "own")]
    assert main([*words, "--trainer.max_steps=1"]) == 0
    assert main([*words, "--trainer.max_steps=2", "--ckpt_path=last"]) == 0
    assert (tmp_path / "run" / "metrics.csv").is_file()
    assert list((tmp_path / "own").rglob("metrics.csv"))


@pytest.mark.parametrize("words", [["dance"], ["run"], ["run", "x.yaml", "--job", "2"], ["generate", "--prompt", "1"]])
def test_a_wrong_command_line_ends_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_debug_variable_shows_the_exception_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMTRAIN_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        main(["run", "nowhere.yaml"])


def test_a_warning_of_memtrain_is_one_line_and_others_stay_as_they_are() -> None:
    said = io.StringIO()
    show_warning(UserWarning("a.csv: rows are sorted by time."), UserWarning, memtrain.cli.__file__, 1, said)
    show_warning(UserWarning("slow"), UserWarning, "elsewhere.py", 7, said)
    first, *others = said.getvalue().splitlines()
    assert first == "memtrain: a.csv: rows are sorted by time."
    assert others == ["elsewhere.py:7: UserWarning: slow"]


def test_the_command_for_more_seeds_repeats_what_was_asked_for() -> None:
    words = ["run", "x.yaml", "--output", "out", "--set", "budget.steps=9", "--launcher", "slurm", "--jobs", "4"]
    command = more_seeds(command_parser().parse_args(words)["run"], [0, 1, 5])
    expected = "memtrain run x.yaml --seeds 0,1,5 --launcher slurm --output out --jobs 4 --set budget.steps=9"
    assert command == expected


@pytest.mark.parametrize(
    ("seeds", "tuned_on", "enough"),
    [([0], [], [0, 1, 2, 3, 4]), ([7], [0], [1, 2, 3, 4, 7]), ([1, 3], [0, 2], [1, 3, 4, 5, 6])],
)
def test_enough_seeds_hold_those_there_are_and_none_that_rates_were_chosen_on(
    seeds: list[int], tuned_on: list[int], enough: list[int]
) -> None:
    assert enough_seeds(seeds, tuned_on) == enough


def test_print_config_shows_a_configuration_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*arguments("fit", "smt", "retrieval"), "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["class_path"] == "memtrain.training.SMTModule"
    assert shown["data"]["init_args"]["length"] == 8


def test_generate_continues_a_prompt_the_same_way_for_the_same_seed(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--checkpoint", str(chain / "dmt" / "checkpoints" / "last.ckpt"), "--prompt", "1 0 2"]
    words += ["--samples=2", "--length=5"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [["1", "0", "2"]] * 2
    assert [len(line.split()) for line in lines] == [8, 8]
    assert main([*words, "--output", str(tmp_path / "samples.txt")]) == 0
    assert (tmp_path / "samples.txt").read_text().splitlines() == lines


def test_generate_draws_a_grid_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("fit", "bptt", "digits", directory=tmp_path)) == 0
    words = ["generate", "--checkpoint", str(tmp_path / "checkpoints" / "last.ckpt"), "--samples=4"]
    assert main([*words, "--output", str(tmp_path / "grid.png")]) == 0
    assert f"Samples: {tmp_path / 'grid.png'}" in capsys.readouterr().out
    image = Image.open(tmp_path / "grid.png")
    assert image.size == (2 * 4 * 8 + 3 * 4, 2 * 4 * 8 + 3 * 4)  # 2 x 2 images of 4 x 4 pixels, 8 wide, and gaps


def test_the_data_of_a_checkpoint_are_those_it_was_trained_on(chain: Path) -> None:
    checkpoint = load_checkpoint(chain / "smt" / "checkpoints" / "last.ckpt")
    assert Retrieval(**{k: v for k, v in checkpoint["datamodule_hyper_parameters"].items() if k[0] != "_"}).length == 8
    assert json.dumps(checkpoint["hyper_parameters"])  # primitives only
