"""A run that was stopped anywhere and continued from its last checkpoint ends as if it had never been stopped."""

import os
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.nn.functional import dropout

from memtrain.checkpoints import load_checkpoint
from memtrain.cli import one_sentence
from memtrain.fit import MemtrainCLI
from memtrain.networks.cells import MLPCell

NETWORK = {"width": 8, "memory_tokens": 2, "heads": 2, "head_dimension": 4, "encoder_layers": 1}
STAGES: dict[str, dict[str, Any]] = {
    "TeacherModule": {"network": NETWORK, "timestep_sampling": "targets"},
    "SMTModule": {"network": NETWORK},
    "DMTModule": {"windows": {"starts": 2, "length": [2, 4, 6]}},
    "BPTTModule": {"network": {**NETWORK, "cell": {"class_path": f"{__name__}.Forgetful"}}},
}
STEPS = 12
SECONDS = ("train_seconds", "cpu_seconds")
PLACES = ("on_train_batch_start", "on_before_backward", "on_before_optimizer_step", "on_train_batch_end")
VALIDATED = 3
"""Optimizer steps from one validation to the next."""
LONG, KILLS = 24, 5


class Stop(Callback):
    """Does something at a hook, once, when so many optimizer steps have been done."""

    def __init__(self, place: str, step: int, act: Callable[[], None]) -> None:
        def hook(trainer: Any, *_: Any) -> None:
            if trainer.global_step == step:
                act()

        setattr(self, place, hook)


class Batches(Callback):
    """The samples of each step."""

    def __init__(self) -> None:
        self.samples: dict[int, list[int]] = {}

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.samples[trainer.global_step] = batch.index.tolist()


def configuration(stage: str, folder: Path, source: Path | None, steps: int, validated: int) -> dict[str, Any]:
    """A short run in float32, with a checkpoint every second step and validations between them."""
    options = {"schedule": "cosine", "warmup_steps": 3, **STAGES[stage]}
    if stage == "DMTModule":
        options["init_from"] = str(source)
    trainer = {"accelerator": "cpu", "max_steps": steps, "val_check_interval": validated, "log_every_n_steps": 1}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    data = {"length": 10, "batch_size": 4, "evaluation_samples": 8}
    return {
        "seed_everything": 3,
        "trainer": {**trainer, **quiet, "default_root_dir": str(folder)},
        "model": {"class_path": f"memtrain.training.{stage}", "init_args": options},
        "data": {"class_path": "memtrain.data.Retrieval", "init_args": data},
        "checkpoint_every": 2,
    }


def fit(
    stage: str, folder: Path, source: Path | None, *callbacks: Callback, steps: int = STEPS, validated: int = VALIDATED
) -> None:
    """Train, from the last checkpoint on where there is one."""
    cli = MemtrainCLI(configuration(stage, folder, source, steps, validated), callbacks=callbacks)
    last = folder / "checkpoints" / "last.ckpt"
    path = last if last.is_file() else None
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of stage smt, which DMT starts from."""
    folder = tmp_path_factory.mktemp("source")
    fit("SMTModule", folder, None)
    return folder / "checkpoints" / "last.ckpt"


def assert_equal(one: Any, other: Any, at: str = "") -> None:
    """Two checkpoints are the same to the last bit, except for the seconds they took and where they lie."""
    assert type(one) is type(other), at
    if isinstance(one, dict):
        assert list(one) == list(other), at
        for key in one:
            if key not in (*SECONDS, "callbacks", "loops"):
                assert_equal(one[key], other[key], f"{at}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), at
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{at}/{index}")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, at
        assert torch.equal(one, other), at
    else:
        assert one == other, at


class Forgetful(MLPCell):
    """A cell with dropout, which takes torch's global generator."""

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return super().step(dropout(memory, 0.3, self.training), embedding)


@pytest.mark.parametrize(
    ("stage", "place", "step", "saved"),
    [
        *((stage, "on_before_optimizer_step", 7, 6) for stage in STAGES),
        ("SMTModule", "on_validation_start", 6, 4),  # the checkpoint of a step follows its validation
        ("SMTModule", "on_validation_batch_end", 6, 4),
        ("SMTModule", "on_train_batch_start", 6, 6),
        ("SMTModule", "on_before_optimizer_step", 9, 9),
        ("SMTModule", "on_validation_batch_end", STEPS, 10),
    ],
)
def test_a_run_that_failed_continues_bit_for_bit(
    stage: str, place: str, step: int, saved: int, source: Path, tmp_path: Path
) -> None:
    def fail() -> None:
        torch.rand(1)  # what draws between the parts of a run must not matter
        raise RuntimeError("the power is gone")

    whole, part = tmp_path / "whole", tmp_path / "part"
    straight, resumed = Batches(), Batches()
    fit(stage, whole, source, straight)
    with pytest.raises(RuntimeError, match="the power is gone"):
        fit(stage, part, source, Stop(place, step, fail))
    assert load_checkpoint(part / "checkpoints" / "last.ckpt")["global_step"] == saved
    fit(stage, part, source, resumed)
    assert resumed.samples == {step: straight.samples[step] for step in range(saved, STEPS)}
    assert_equal(*(load_checkpoint(folder / "checkpoints" / "last.ckpt") for folder in (whole, part)))
    rows = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, part)]
    assert without_seconds(rows[0]) == without_seconds(rows[1])


def test_a_run_that_continues_with_other_validations_logs_the_same_steps(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError, match="the power is gone"):
        fit("SMTModule", tmp_path, None, Stop("on_train_batch_start", 9, fail))  # right after a validation
    fit("SMTModule", tmp_path, None, validated=5)
    rows = without_seconds((tmp_path / "metrics.csv").read_text().splitlines())
    assert [row["step"] for row in rows] == [str(step) for step in range(STEPS)]
    assert all(row["train/loss"] for row in rows)


def test_a_run_that_is_told_to_end_finishes_its_step_saves_it_and_says_so(tmp_path: Path) -> None:
    stop = Stop("on_before_backward", 4, partial(os.kill, os.getpid(), signal.SIGTERM))
    with pytest.raises(ValueError, match="told to end") as stopped, one_sentence():
        fit("BPTTModule", tmp_path, None, stop)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert str(stopped.value).startswith(
        f"told to end by SIGTERM after 5 optimizer steps; the last checkpoint is {last}: continue with"
    )
    assert load_checkpoint(last)["global_step"] == 5  # an odd one, so not of its own accord


def without_seconds(lines: list[str]) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`, without how long they took."""
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    return [{name: value for name, value in sorted(row.items()) if not name.endswith("_seconds")} for row in rows]


def in_a_child(run: Callable[[], None]) -> int:
    """Run in a forked process, which costs no import; its exit status, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run()
            status = 0
        except SIGTERMException:
            status = 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_this_process(how: signal.Signals) -> None:
    """As `kill` from outside would."""
    os.kill(os.getpid(), how)


def end_while_writing() -> None:
    """Die when the checkpoint lies beside its place, and has not been renamed."""
    Path.replace = lambda *_: end_this_process(signal.SIGKILL)  # type: ignore[method-assign]  # of a child


def random_stop(draw: random.Random, step: int) -> tuple[Stop, int]:
    """Something that ends a run in its step number `step`, and the status with which it then ends."""
    if draw.random() < 0.2:
        return Stop("on_save_checkpoint", step, end_while_writing), -signal.SIGKILL
    how, status = draw.choice([(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 1)])
    places = [*PLACES, "on_validation_batch_end"] if step % VALIDATED == 0 else PLACES
    return Stop(draw.choice(places), step, partial(end_this_process, how)), status


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_at_random_points_ends_as_one_that_was_not(stage: str, source: Path, tmp_path: Path) -> None:
    """Five for each of the four stages: SIGKILL in a step, its validation or while a checkpoint is written; SIGTERM."""
    draw = random.Random(stage)
    whole, part = tmp_path / "whole", tmp_path / "part"
    fit(stage, whole, source, steps=LONG)
    for step in sorted(draw.sample(range(2, LONG, 2), KILLS)):  # there is a checkpoint every second step
        stop, status = random_stop(draw, step)
        assert in_a_child(partial(fit, stage, part, source, stop, steps=LONG)) == status
    assert in_a_child(partial(fit, stage, part, source, steps=LONG)) == 0
    checkpoints = [folder / "checkpoints" / "last.ckpt" for folder in (whole, part)]
    assert_equal(*map(load_checkpoint, checkpoints))
    rows = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, part)]
    assert without_seconds(rows[0]) == without_seconds(rows[1])
