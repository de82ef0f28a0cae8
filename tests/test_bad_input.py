"""Bad input of every kind: one sentence that names option, value and remedy; no traceback; nothing lost."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from memtrain.cli import main
from memtrain.networks import Interface
from memtrain.networks.cells import MLPCell
from memtrain.networks.memory import MemoryNormalization
from memtrain.training import BPTTModule

CONF = Path(__file__).parent / "conf"
EXPERIMENT = str(CONF / "experiment.yaml")


class BlindModule(BPTTModule):
    """A user's stage that forgot to take the interface."""

    def __init__(self, learning_rate: float = 1e-3) -> None:
        super().__init__(interface=Interface.of_tokens(9), learning_rate=learning_rate)


class Greedy(MLPCell):
    """Asks torch or NumPy for more memory than any machine has, as a batch may that is too large."""

    def __init__(
        self,
        width: int,
        memory_tokens: int,
        memory_normalization: MemoryNormalization,
        of: str = "torch",
        evaluation: bool = False,
    ) -> None:
        super().__init__(width, memory_tokens, memory_normalization)
        self.of, self.evaluation = of, evaluation

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        if len(memory) in (4, 16) and self.training != self.evaluation:  # the sizes of the batches here
            _ = np.empty(1 << 60, np.uint8) if self.of == "numpy" else torch.empty(1 << 60, dtype=torch.uint8)
        return super().step(memory, embedding)


def configs(*names: str) -> list[str]:
    """Files of tests/conf."""
    return [word for name in names for word in ("--config", str(CONF / f"{name}.yaml"))]


def fit(*more: str, stage: str = "bptt", data: str = "retrieval") -> Callable[[Path], list[str]]:
    """`memtrain fit` into a new folder; `{}` in a word stands for the folder of the case."""
    words = ["fit", *configs("trainer", stage, data), "--trainer.default_root_dir={}/new", *more]
    return lambda folder: [word.replace("{}", str(folder)) for word in words]


def words(*given: str) -> Callable[[Path], list[str]]:
    """A command line; `{}` stands for the folder of the case."""
    return lambda folder: [word.replace("{}", str(folder)) for word in given]


def run(*more: str, file: str = EXPERIMENT) -> Callable[[Path], list[str]]:
    """`memtrain run` into a new folder."""
    return words("run", file, "--output", "{}/new", *more)


def changed(*changes: str) -> Callable[[Path], list[str]]:
    """`memtrain run --set ...`."""
    return run(*(word for change in changes for word in ("--set", change)))


def generate(*more: str, stage: str = "bptt") -> Callable[[Path], list[str]]:
    """`memtrain generate` from a sound checkpoint."""
    return words("generate", "--checkpoint", f"{{}}/{stage}/checkpoints/last.ckpt", *more)


@dataclass(frozen=True)
class Case:
    """What is wrong.

    Args:
        command: the command line, given the folder of the case.
        said: parts of the sentence: option, value and remedy.
        files: text files that are there.
        environment: variables of the environment.
    """

    command: Callable[[Path], list[str]]
    said: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


SLURM = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
COMMAND_LINE = {
    "no such command": Case(words("dance"), ("dance", "fit", "run")),
    "run what?": Case(words("run"), ("file", "required")),
    "abbreviated option": Case(run("--job", "2"), ("--job",)),
    "seeds that are no numbers": Case(run("--seeds", "a,b"), ("--seeds is a,b", "for example 0,1,2")),
    "a seed twice": Case(run("--seeds", "0,0"), ("seeds has 0 twice", "leave one out")),
    "unknown method": Case(run("--methods", "gpt"), ("--methods names gpt", "smt_dmt, bptt")),
    "no job at a time": Case(run("--jobs", "0"), ("--jobs is 0", "choose for example 2")),
    "jobs in words": Case(run("--jobs", "two"), ("jobs", "two", "int")),
    "index beyond the runs": Case(run("--index", "9"), ("--index is 9", "runs 0 to 1")),
    "index on a cluster": Case(run("--index", "0", "--launcher", "slurm"), ("--index is 0", "leave --launcher out")),
    "dry run here": Case(run("--dry-run"), ("--dry-run", "--launcher is local", "give --launcher slurm")),
    "unknown launcher": Case(run("--launcher", "pbs"), ("launcher", "pbs", "slurm")),
    "no cluster here": Case(
        run("--launcher", "slurm"), ("--launcher is slurm", "--dry-run"), environment={"PATH": "/nowhere"}
    ),
    "change without value": Case(changed("budget"), ("--set budget", "write KEY=VALUE")),
    "output in nobody's home": Case(
        words("run", EXPERIMENT, "--output=~nobody-of-this-name/x"),
        ("--output is ~nobody-of-this-name/x", "no such home folder", "write the path in full"),
    ),
    "output of a name that is too long": Case(
        words("run", EXPERIMENT, "--output", "a" * 300), ("--output is aaa", "File name too long", "name another")
    ),
    "samples in nobody's home": Case(
        generate("--prompt", "1", "--output=~nobody-of-this-name/x"), ("--output is ~nobody-of-this-name/x",)
    ),
    "a checkpoint in nobody's home": Case(
        words("generate", "--checkpoint=~nobody-of-this-name/x.ckpt"), ("--checkpoint is ~nobody-of-this-name/x.ckpt",)
    ),
    "a configuration in nobody's home": Case(
        words("fit", "--config=~nobody-of-this-name/x.yaml"), ("--config is ~nobody-of-this-name/x.yaml",)
    ),
    "output is a file": Case(
        words("run", EXPERIMENT, "--output", "{}/taken"),
        ("--output is ", "taken is not a folder", "name a folder"),
        {"taken": "mine"},
    ),
    "compare nowhere": Case(words("compare", "{}/nowhere"), ("nowhere", "name one that")),
    "compare nothing": Case(words("compare", "{}"), ("has no finished stage", "run an experiment into it first")),
    "generate from what?": Case(words("generate", "--prompt", "1"), ("checkpoint", "required")),
    "no samples": Case(generate("--samples", "0"), ("--samples is 0", "at least 1")),
    "no length": Case(generate("--length", "0", "--prompt", "1"), ("--length is 0", "at least 1")),
    "cold below zero": Case(
        generate("--temperature", "-1", "--prompt", "1"), ("temperature is -1", "choose for example 1")
    ),
    "prompt of other tokens": Case(generate("--prompt", "1 99"), ("'1 99'", "numbers from 0 to 8", '"1 0 1"')),
    "probe without prompt": Case(generate(), ("Retrieval cannot start by itself", "give a --prompt")),
    "output below a file": Case(
        generate("--prompt", "1", "--output", "{}/taken/a.txt"),
        ("--output is ", "taken is not a folder", "name a folder"),
        {"taken": "mine"},
    ),
}
OPTIONS = {
    "fit what?": Case(words("fit"), ("fit.data", "required")),
    "misspelled option": Case(fit("--model.learning_rat=1"), ("Option 'learning_rat' is not accepted",)),
    "misspelled trainer option": Case(fit("--trainer.max_step=3"), ("--trainer.max_step",)),
    "wrong type": Case(fit("--model.learning_rate=fast"), ("learning_rate", "fast", "float")),
    "a rate below zero": Case(
        fit("--model.learning_rate=-1"), ("model.learning_rate is -1.0", "at least 0", "for example 0.001")
    ),
    "a rate that is no number": Case(fit("--model.learning_rate=.nan"), ("model.learning_rate is nan", "at least 0")),
    "growing weights": Case(fit("--model.weight_decay=-0.1"), ("model.weight_decay is -0.1", "for example 0.01")),
    "a warm-up in the past": Case(fit("--model.warmup_steps=-5"), ("model.warmup_steps is -5", "0 for none")),
    "a moment that is never forgotten": Case(
        fit("--model.betas=[0.9, 1.0]"), ("model.betas is [0.9, 1.0]", "from 0 to below 1", "for example [0.9, 0.95]")
    ),
    "a single beta": Case(fit("--model.betas=[0.9]"), ("betas", "a tuple with 2 elements", "[0.9]")),
    "a rate below zero in an experiment": Case(
        changed("stages.bptt.model.init_args.learning_rate=-1"), ("model.learning_rate is -1.0", "at least 0")
    ),
    "a rate below zero among those that are tried": Case(
        changed("grid={options: {bptt: {bptt.model.learning_rate: [-1.0]}}, seeds: [9], unequal: true}"),
        ("learning_rate", "-1.0"),
    ),
    "a batch that no memory holds": Case(
        fit("--data.batch_size=100000000000"),
        ("data.batch_size is 100000000000", "sequences of 8 timesteps take 13600 GB", "choose a smaller one"),
    ),
    "an evaluation that no memory holds": Case(
        fit("--data.evaluation_batch_size=100000000000", "--data.evaluation_samples=100000000000", "--data.length=64"),
        ("data.evaluation_batch_size is 100000000000", "take 108800 GB", "choose a smaller one"),
    ),
    "a network that no memory holds": Case(
        fit("--model.network.width=10000000000000"), ("Memory ran out", "a smaller data.batch_size")
    ),
    "memory runs out in training": Case(
        fit(f"--model.network.cell={__name__}.Greedy", "--model.network.cell.of=torch"),
        ("Memory ran out in training, with data.batch_size 4", "a larger model.micro_batches", "can't allocate memory"),
    ),
    "memory of NumPy runs out in training": Case(
        fit(f"--model.network.cell={__name__}.Greedy", "--model.network.cell.of=numpy"),
        ("Memory ran out in training, with data.batch_size 4", "Unable to allocate"),
    ),
    "memory runs out in evaluation": Case(
        fit(f"--model.network.cell={__name__}.Greedy", "--model.network.cell.evaluation=true", "--checkpoint_every=9"),
        ("Memory ran out in evaluation, with data.evaluation_batch_size 256", "choose a smaller one"),
    ),
    "sequence too short": Case(fit("--data.length=1"), ("data.length is 1", "must be at least 4")),
    "empty batch": Case(fit("--data.batch_size=0"), ("data.batch_size is 0", "choose for example 32")),
    "no width": Case(fit("--model.network.width=0"), ("network.width is 0", "must be at least 1")),
    "no context": Case(
        fit("--model.network.context_length=0"), ("network.context_length is 0", "or null for everything")
    ),
    "odd head": Case(fit("--model.network.head_dimension=3"), ("head_dimension is 3", "choose 4")),
    "gated cell with rms": Case(
        fit("--model.network.cell=memtrain.networks.cells.GRUCell"),
        ("network.memory_normalization is rms", "set it to tanh"),
    ),
    "linked interface": Case(
        fit("--model.interface=" + json.dumps(Interface.of_tokens(9).to_primitive())),
        ("model.init_args.interface is", "leave it out"),
    ),
    "linked seed of the model": Case(fit("--model.seed=3"), ("model.init_args.seed is 3", "leave it out")),
    "linked seed of the data": Case(fit("--data.seed=3"), ("data.init_args.seed is 3", "leave it out")),
    "seed in words": Case(fit("--seed_everything=lucky"), ("seed_everything", "lucky", "int")),
    "never a checkpoint": Case(fit("--checkpoint_every=0"), ("checkpoint_every", "0", ">0")),
    "no step": Case(fit("--trainer.max_steps=0"), ("trainer.max_steps is 0", "choose for example 1000")),
    "unknown accelerator": Case(fit("--trainer.accelerator=abacus"), ("abacus", "cpu")),
    "unknown precision": Case(fit("--trainer.precision=7"), ("trainer.precision", "7", "32, 16")),
    "unknown module": Case(
        fit("--model=memtrain.training.Nothing"),
        ("model", "'memtrain.training' has no attribute 'Nothing'", "name a class"),
    ),
    "module without interface": Case(
        words("fit", *configs("retrieval"), f"--model={__name__}.BlindModule"),
        ("BlindModule has no option interface", "take it in the constructor"),
    ),
    "unknown cell": Case(fit("--model.network.cell=my.Cell"), ("model", "No module named 'my'", "name a class")),
    "missing configuration": Case(fit("--config=nowhere.yaml"), ("nowhere.yaml",)),
    "configuration of another kind": Case(
        fit("--config={}/list.yaml"),
        ("--config is ", "list.yaml", "it needs model, data or trainer"),
        {"list.yaml": "[1, 2]"},
    ),
    "broken configuration": Case(
        fit("--config={}/broken.yaml"),
        ("--config is ", "broken.yaml", "is no YAML file", "line 1, column 14"),
        {"broken.yaml": "model: {a: [1"},
    ),
    "validation once an epoch": Case(
        fit("--trainer.val_check_interval=1.0", "--trainer.check_val_every_n_epoch=1"),
        ("trainer.check_val_every_n_epoch is 1", "never be validated", "trainer.val_check_interval", "for example 200"),
    ),
    "a callback that no run can use, without what it requires": Case(
        fit("--trainer.callbacks=[{class_path: ModelPruning}]"),
        ("trainer.callbacks has ModelPruning", "it prunes at the ends of epochs", "torch.nn.utils.prune"),
    ),
    "a logger that is not installed": Case(
        fit("--trainer.logger=WandbLogger"),
        ("trainer.logger has WandbLogger", "needs the package wandb", "install it, or leave WandbLogger out"),
    ),
    "a metric that does not exist": Case(
        fit("--trainer.callbacks=[{class_path: EarlyStopping, init_args: {monitor: val_loss}}]"),
        ("EarlyStopping with monitor val_loss", "choose one of", "val/rollout/loss"),
    ),
    "processor time without psutil": Case(
        fit("--trainer.callbacks=[{class_path: DeviceStatsMonitor}]"),
        ("trainer.callbacks has DeviceStatsMonitor", "needs the package psutil; install it"),
    ),
    "half a processor": Case(
        fit("--trainer.devices=abc"), ("trainer.devices is abc", "number of processes", "set it to 1")
    ),
    "another machine": Case(fit("--trainer.accelerator=tpu"), ("trainer.accelerator is tpu", "set it to cpu, gpu")),
    "a cluster that did not start this": Case(
        fit("--trainer.plugins=[{class_path: lightning.fabric.plugins.environments.LSFEnvironment}]"),
        ("trainer.plugins has LSFEnvironment", "leave LSFEnvironment out"),
    ),
    "a seed that numpy does not take": Case(
        fit("--seed_everything=-1"), ("seed_everything is -1", "between 0 and 4294967295", "for example 0")
    ),
    "nobody's home": Case(
        fit("--trainer.default_root_dir=~nobody-of-this-name/x"),
        ("trainer.default_root_dir is ~nobody-of-this-name/x", "no such home folder", "write the path in full"),
    ),
    "run folder is a file": Case(
        fit("--trainer.default_root_dir={}/taken"), ("trainer.default_root_dir is ", "name a folder"), {"taken": "mine"}
    ),
    "truncation of nothing": Case(
        fit("--model.trajectory=Sequential", "--model.trajectory.truncation=0"),
        ("truncation is 0", "null to cut nowhere"),
    ),
    "stride beyond the rollout": Case(
        fit("--model.windows.label_stride=9", "--model.windows.length=[4]"), ("label_stride is 9", "windows.length")
    ),
}
EXPERIMENTS = {
    "missing file": Case(run(file="{}/no.yaml"), ("There is no experiment file", "name one")),
    "file is a folder": Case(run(file="{}"), ("There is no experiment file", "name one")),
    "file of bytes": Case(run(file="{}/bptt/checkpoints/last.ckpt"), ("last.ckpt is no YAML file", "name one")),
    "broken file": Case(run(file="{}/b.yaml"), ("b.yaml is no YAML file",), {"b.yaml": "name: [tiny"}),
    "file of a list": Case(run(file="{}/l.yaml"), ("l.yaml is no experiment; give it entries",), {"l.yaml": "- name"}),
    "unknown entry": Case(changed("budgets.steps=3"), ("budgets",)),
    "two budgets": Case(
        changed("budget.seconds=3"), ("budget has seconds 3 and steps", "can have one; give --set budget=")
    ),
    "no budget": Case(changed("budget.steps=0"), ("budget.steps is 0", "must be more than 0")),
    "unknown stage": Case(changed("methods.bptt=[bpttt]"), ("methods.bptt names bpttt", "smt, dmt, bptt")),
    "a stage from nothing": Case(
        changed("methods={late: [dmt]}"), ("methods.late begins with dmt", "put a stage before")
    ),
    "misspelled option of a stage": Case(
        changed("stages.smt.model.init_args.learning_rat=1"), ("stages.smt", "learning_rat")
    ),
    "seed of a stage": Case(changed("stages.smt.model.init_args.seed=7"), ("stages.smt", "seed is 7", "leave it out")),
    "misspelled option of the data": Case(changed("data.init_args.color=red"), ("color",)),
    "folder as name": Case(changed("name=../elsewhere"), ("name has '../elsewhere'", "use letters")),
    "other tokens": Case(
        changed("data={class_path: memtrain.data.ModularArithmetic}", "difficulty={key: modulus, values: [8]}"),
        ("evaluation.difficulties has 12", "leave it out"),
    ),
    "no core on the cluster": Case(changed("slurm.cpus=0"), ("slurm.cpus is 0", "for example 4")),
    "too little time on the cluster": Case(changed("slurm.hours=0.03"), ("slurm.hours is 0.03", "at least 0.1")),
    "memory without number": Case(changed("slurm.memory=much"), ("slurm.memory is much", "for example 16G")),
    "sbatch option of two lines": Case(changed("slurm.partition='a b'"), ("slurm has 'a b'", "leave out spaces")),
    "unknown devices on the cluster": Case(
        run("--launcher", "slurm", "--dry-run", "--set", "trainer.accelerator=auto"),
        ("trainer.accelerator is auto", "set cpu or gpu"),
    ),
}
TEXT = "--data=memtrain.data.TextDataModule"
RASTER = "--data=memtrain.data.RasterDataModule"
CACHE = "--data.cache_folder={}/cache"
DATA = {
    "missing path": Case(
        fit(TEXT, "--data.path={}/none", data="digits"), ("data.path is ", "does not exist", "give a file")
    ),
    "file without text": Case(
        fit(TEXT, "--data.path={}/a.bin", CACHE, data="digits"),
        ("data.path is ", "holds no", "give such"),
        {"a.bin": "x"},
    ),
    "text too short": Case(
        fit(TEXT, "--data.path={}/a.txt", "--data.length=64", CACHE, data="digits"),
        ("data.length is 64", "choose a smaller data.length"),
        {"a.txt": "Too short for a window."},
    ),
    "damaged table": Case(
        fit(TEXT, "--data.path={}/a.parquet", CACHE, data="digits"),
        ("a.parquet is not a readable .parquet file", "repair or remove it"),
        {"a.parquet": "PAR1 not really"},
    ),
    "damaged images": Case(
        fit("--data.path={}/digits", CACHE, data="digits"),
        ("train-images-idx3-ubyte is not a readable IDX file", "fetch it again"),
        {"digits/train-images-idx3-ubyte": "no magic"},
    ),
    "folder without images": Case(
        fit("--data.path={}/empty", CACHE, data="digits"),
        ("data.path is ", "holds no images", "give a folder"),
        {"empty/a": ""},
    ),
    "nothing to decode": Case(fit("--data.symbols=0"), ("data.symbols is 0", "choose")),
    "too few rows for two splits": Case(
        fit("--data=memtrain.data.Parity", "--data.length=5"), ("data.length is 5", "choose a larger data.length")
    ),
}
CHECKPOINTS = {
    "no source": Case(
        fit("--model.init_from={}/no.ckpt"),
        ("model.init_from is ", "no.ckpt, which does not exist", "give the last checkpoint of the stage before"),
    ),
    "a source in nobody's home": Case(
        fit("--model.init_from=~nobody-of-this-name/a.ckpt"),
        ("model.init_from is ~nobody-of-this-name/a.ckpt", "no such home folder"),
    ),
    "source with other tokens": Case(
        fit("--model.init_from={}/smt/checkpoints/last.ckpt", "--model.network=null", "--data.symbols=5"),
        ("init_from is ", "trained on data with 9 tokens", "data have 6 tokens"),
    ),
    "source with another network": Case(
        fit("--model.init_from={}/smt/checkpoints/last.ckpt", "--model.network.width=32"),
        ("network.width is 16", "here it is 32", "leave out model.network"),
    ),
    "dmt from nothing": Case(fit(stage="dmt"), ("init_from is null", "give a checkpoint of an earlier stage")),
    "dmt without a teacher": Case(
        fit("--model.init_from={}/bptt/checkpoints/last.ckpt", stage="dmt"), ("without teacher", "give one of stage")
    ),
    "continue from a file": Case(
        fit("--ckpt_path={}/bptt/checkpoints/last.ckpt"), ("ckpt_path is ", "fit takes only last", "model.init_from")
    ),
    "over a run": Case(
        fit("--trainer.default_root_dir={}/bptt"), ("bptt, which holds the run", "give --ckpt_path last to continue it")
    ),
    "continue with another rate": Case(
        fit("--trainer.default_root_dir={}/bptt", "--ckpt_path=last", "--model.learning_rate=5e-3"),
        ("a run with model.learning_rate 0.001, but here it is 0.005", "start from it with model.init_from"),
    ),
    "continue with another network": Case(
        fit("--trainer.default_root_dir={}/bptt", "--ckpt_path=last", "--model.network.width=32"),
        ("a run with model.network.width 16, but here it is 32",),
    ),
    "continue with other data": Case(
        fit("--trainer.default_root_dir={}/bptt", "--ckpt_path=last", "--data.length=9"),
        ("a run with data.length 8, but here it is 9",),
    ),
    "continue as another stage": Case(
        fit("--trainer.default_root_dir={}/bptt", "--ckpt_path=last", stage="smt"),
        ("ckpt_path is last, a checkpoint of memtrain.training.bptt.BPTTModule", "name that one"),
    ),
    "continue nothing": Case(fit("--ckpt_path=last"), ("last.ckpt does not exist", "give the path")),
    "test what?": Case(
        words("test", *configs("trainer", "bptt", "retrieval")), ("ckpt_path is missing", "give its file")
    ),
    "test as another stage": Case(
        words("test", *configs("trainer", "smt", "retrieval"), "--ckpt_path={}/bptt/checkpoints/last.ckpt"),
        ("ckpt_path is ", "BPTTModule", "name that one"),
    ),
    "generate from a teacher": Case(
        generate(stage="teacher"), ("has no model that takes in one token", "give a checkpoint of stage")
    ),
    "truncated": Case(
        words("generate", "--checkpoint={}/cut.ckpt"),
        ("cut.ckpt", "was not loaded"),
        {"cut.ckpt": "PK\x03\x04"},
    ),
    "class that is gone": Case(
        words("generate", "--checkpoint={}/gone.ckpt", "--prompt", "1"),
        ("gone.ckpt", "mine.Gone", "where that class can be imported"),
    ),
}
ENVIRONMENT = {
    "no GPU": Case(
        fit("--trainer.accelerator=gpu"),
        ("trainer.accelerator is gpu", "set it to cpu"),
        environment={"CUDA_VISIBLE_DEVICES": ""},
    ),
    "no GPU for a run": Case(
        run("--index", "1", "--set", "trainer.accelerator=gpu"),
        ("trainer.accelerator is gpu", "set it to cpu"),
        environment={"CUDA_VISIBLE_DEVICES": ""},
    ),
    "tasks without --ntasks-per-node": Case(
        fit(),
        ("SLURM has started 2", "give sbatch and srun", "--ntasks-per-node"),
        environment=SLURM | {"SLURM_NTASKS": "2"},
    ),
    "more tasks than devices": Case(
        fit(),
        ("SLURM has started 2", "trainer.devices", "--ntasks-per-node"),
        environment=SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0"},
    ),
    "fewer tasks than devices": Case(
        fit("--trainer.devices=2"),
        ("SLURM has started 1 processes, but the trainer has 2", "trainer.devices"),
        environment=SLURM | {"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"},
    ),
    "a batch script without srun": Case(
        fit("--trainer.devices=2"),
        ("SLURM is to start 2 processes", "start memtrain with srun"),
        environment=SLURM | {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"},
    ),
    "a cluster that is not there": Case(
        fit("--trainer.plugins=SLURMEnvironment"),
        ("trainer.plugins has SLURMEnvironment", "start it with srun"),
    ),
}
CASES = COMMAND_LINE | OPTIONS | EXPERIMENTS | DATA | CHECKPOINTS | ENVIRONMENT


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of the stages teacher, smt and bptt, of one step each, and one of a class that is gone."""
    folder = tmp_path_factory.mktemp("stages")
    for stage in ("teacher", "smt", "bptt"):
        trained = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
        assert main([*fit(*trained, stage=stage)(folder), f"--trainer.default_root_dir={folder / stage}"]) == 0
    checkpoint = torch.load(folder / "bptt" / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["memtrain"]["class_path"] = "mine.Gone"
    torch.save(checkpoint, folder / "gone.ckpt")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_lost(
    name: str, stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    for stage in stages.iterdir():
        (tmp_path / stage.name).symlink_to(stage)
    for file, content in case.files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(content)
    for variable, value in case.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path) | contents(stages)
    capsys.readouterr()
    status = main(case.command(tmp_path))
    shown = capsys.readouterr().err
    assert status in (1, 2)
    assert "Traceback" not in shown
    (sentence,) = [line for line in shown.splitlines() if line.startswith("memtrain: ")]
    assert not [part for part in case.said if part not in sentence], sentence
    assert shown.rstrip().endswith(sentence)
    after = contents(tmp_path) | contents(stages)
    assert {file: after.get(file) for file in before} == before
    assert not list(tmp_path.glob("new/**/*.ckpt"))


@pytest.mark.parametrize("name", ["no such command", "broken file"])
def test_a_process_ends_with_the_same_sentence_alone(name: str, stages: Path, tmp_path: Path) -> None:
    case = CASES[name]
    for file, content in case.files.items():
        (tmp_path / file).write_text(content)
    command = [sys.executable, "-m", "memtrain", *case.command(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("memtrain: ")
    assert done.stderr.count("\n") == 1
