"""`memtrain fit|validate|test|predict`: any stage of `memtrain.training` with any data, from YAML and options."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger

from memtrain import data, training
from memtrain.callbacks import Axes, DriftCurve, Hyperparameters, MemoryGeometry, Samples
from memtrain.data import SequenceDataModule
from memtrain.files import LAST_CHECKPOINT, require_folder
from memtrain.fit.cluster import (
    continues_by_itself,
    is_next_turn,
    require_processes,
    require_srun,
    step_name,
)
from memtrain.fit.continuing import refuse_trained, require_class, require_same_options
from memtrain.fit.predictions import PredictionTable
from memtrain.fit.records import AtomicCheckpointIO, CostRecord, LastCheckpoint, MetricsTable, Timeline
from memtrain.lock import only_worker
from memtrain.parsing import SentenceParser
from memtrain.training import MemoryModule

GPUS = {"gpu": (CUDAAccelerator, MPSAccelerator), "cuda": (CUDAAccelerator,), "mps": (MPSAccelerator,)}
TRAINER_DEFAULTS = {
    "max_steps": 1000,
    "max_epochs": -1,  # training goes by steps
    "check_val_every_n_epoch": None,  # and so does validation
    "val_check_interval": 200,
    "log_every_n_steps": 10,
    "use_distributed_sampler": False,  # the data deal samples out to processes themselves
}


class FitParser(SentenceParser, LightningArgumentParser):
    """Lightning's parser, whose mistakes are one sentence."""


class TrainingConfig(SaveConfigCallback):
    """Writes `config.yaml` of what trains; what only reads a checkpoint must not replace it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)


class MemtrainCLI(LightningCLI):
    """LightningCLI for stages and sequence data: it parses, builds, and runs the sub-command.

    Args:
        args: `["fit", "--config", ...]`, or a configuration without sub-command, as of `config.yaml`, that is built and
            not run.
        directory: folder of the run; None: `trainer.default_root_dir`, or a new one below `runs/`.
        events: folder of the TensorBoard events, which stages of one method share; None: that of the run.
        build: make the objects of the configuration, or only check it.
        record: keep `config.yaml`, checkpoints and metrics in the folder of the run, or train without a trace.
        callbacks: of the trainer, beside those of the configuration.
    """

    def __init__(
        self,
        args: Sequence[str] | Mapping[str, Any],
        directory: Path | None = None,
        events: Path | None = None,
        build: bool = True,
        record: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.directory, self.events, self.callbacks = directory, events, callbacks
        self.build, self.record = build, record
        with ExitStack() as self.held:
            super().__init__(
                MemoryModule,
                SequenceDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                save_config_callback=TrainingConfig if record else None,
                save_config_kwargs={"overwrite": True},
                trainer_defaults=TRAINER_DEFAULTS,
                parser_class=FitParser,
                parser_kwargs={name: {"epilog": EPILOG} for name in self.subcommands()},
                args=dict(args) if isinstance(args, Mapping) else list(args),
                run=not isinstance(args, Mapping),
            )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options beside `trainer`, `model` and `data`."""
        parser.add_argument(
            "--seed_everything",
            type=int,
            default=0,
            help="seed of the initial weights, of the training samples' order and of the choices inside a step",
        )
        parser.add_argument(
            "--checkpoint_every",
            type=PositiveInt,
            default=100,
            help="optimiser steps between two checkpoints; each validation and the end have one too",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What one part knows and another needs."""
        parser.link_arguments("data.vocabulary_size", "model.init_args.vocabulary_size", apply_on="instantiate")
        for part in ("model", "data"):
            parser.link_arguments(
                ("seed_everything", part), f"{part}.init_args.seed", compute_fn=partial(linked_seed, part)
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and refuse a linked value that was set by hand: it would be ignored."""
        if isinstance(args, list):
            check_files(args)
        self.config = parser.parse_args(args) if isinstance(args, list) else parser.parse_object(args)
        if "weights_only" in self.settings:
            self.settings.weights_only = True  # no checkpoint may carry code
        model = self.settings.model
        if "vocabulary_size" not in model.get("init_args", {}):
            raise ValueError(
                f"{model.class_path} has no option vocabulary_size, which the data module sets; "
                "take it in the constructor and pass it on to MemoryModule."
            )
        for part, base in (("model", "MemoryModule"), ("data", "SequenceDataModule")):
            if "seed" not in self.settings[part].get("init_args", {}):
                raise ValueError(
                    f"{self.settings[part].class_path} has no option seed, which seed_everything sets; take it in the "
                    f"constructor and pass it on to {base}."
                )
        if "ckpt_path" in self.settings:
            self.continue_next_turn()
            self.check_checkpoint()
        if model.init_args.vocabulary_size is not None:
            raise ValueError(
                f"model.init_args.vocabulary_size is {model.init_args.vocabulary_size}, "
                "but the data module sets it; leave it out."
            )

    def continue_next_turn(self) -> None:
        """In a batch job that went back to the queue, continue what its turn before has left."""
        own = self.own_directory()
        if self.config.subcommand != "fit" or self.settings.ckpt_path is not None or not is_next_turn():
            return
        if not continues_by_itself(own) and (own / LAST_CHECKPOINT).is_file():
            self.settings.ckpt_path, self.settings.trainer.default_root_dir = "last", str(own)

    def check_checkpoint(self) -> None:
        """Refuse a `ckpt_path` that is missing, unsafe, or not of this stage.

        Lightning merges a checkpoint's options over those of the command line; `last` is the one way in which these
        cannot differ when a run is continued.
        """
        path, asked = self.settings.ckpt_path, self.settings.model.class_path
        if self.config.subcommand != "fit":
            if path is None:
                raise ValueError(
                    f"ckpt_path is missing, but {self.config.subcommand} reads a checkpoint; give its file."
                )
            require_class(path, path, asked)
        elif path is None:
            if not (is_next_turn() and continues_by_itself(self.own_directory())):
                refuse_trained(self.own_directory())
        elif path != "last":
            raise ValueError(
                f"ckpt_path is {path}, but fit takes only last, with trainer.default_root_dir the folder of the "
                "run to continue; to start a stage from another's checkpoint, give it as model.init_from."
            )
        elif self.settings.trainer.default_root_dir is None:
            raise ValueError("ckpt_path is last, but no run is named; give its folder as trainer.default_root_dir.")
        else:
            require_class(path, self.own_directory() / LAST_CHECKPOINT, asked)

    @property
    def settings(self) -> Namespace:
        """The configuration of the sub-command, or the whole where there is none."""
        return self.config.get(self.config.get("subcommand"), self.config)

    def instantiate_classes(self) -> None:
        """Build data module, model and trainer."""
        if self.build:
            super().instantiate_classes()
            if self.config.get("subcommand") == "fit" and self.settings.ckpt_path == "last":
                last = Path(self.trainer.default_root_dir, LAST_CHECKPOINT)
                require_same_options(last, self.model, self.datamodule)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the records that every run keeps."""
        options = self._get(self.config_init, "trainer")
        directory = self.directory or options.default_root_dir or self.new_directory()
        require_folder("trainer.default_root_dir", Path(directory))
        kwargs["default_root_dir"] = directory
        if not self.record:
            # callbacks of the configuration may ask for what is missing here, as a logger
            return self.checked_trainer(logger=False, enable_checkpointing=False, callbacks=[], **kwargs)
        kwargs["plugins"] = [*as_list(options.plugins), AtomicCheckpointIO()]
        kwargs["logger"] = self.loggers(options.logger, Path(directory))
        kwargs["callbacks"] = [*as_list(options.callbacks), *self.callbacks, *self.records(options, directory)]
        return self.checked_trainer(**kwargs)

    def checked_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, if there is what it trains on, and it has as many processes as a cluster has started.

        Raises:
            ValueError: if not. With other processes, each would train alone and overwrite what the others write.
        """
        options = self._get(self.config_init, "trainer")
        require_srun(as_list(options.plugins))
        accelerator = options.accelerator
        if accelerator in GPUS and not has_gpu(accelerator):
            raise ValueError(
                f"trainer.accelerator is {accelerator}, but this machine, or this torch, has none; set it to cpu."
            )
        trainer = super().instantiate_trainer(**kwargs)
        require_processes(trainer)
        return trainer

    def before_fit(self) -> None:
        """Keep another process from training in the same folder, until this one has ended."""
        if self.trainer.is_global_zero:
            self.held.enter_context(only_worker("trainer.default_root_dir", Path(self.trainer.default_root_dir)))

    def loggers(self, chosen: Any, directory: Path) -> list[Logger]:
        """The table of metrics, which every run keeps, then TensorBoard, or the configuration's loggers in its place.

        Args:
            chosen: trainer.logger.
            directory: folder of the run.
        """
        # The first logger's folder is also where Lightning puts checkpoints and `config.yaml`. What reads a checkpoint
        # has a table of its own: that of the training stays.
        reader = None if self.subcommand == "fit" else self.subcommand
        table = MetricsTable(directory, reader or "metrics")
        if isinstance(chosen, (list, Logger)):
            return [table, *as_list(chosen)]
        if chosen is False or reader:
            return [table]
        return [table, Timeline(self.events or directory, before=self.steps_before())]

    def records(self, options: Namespace, directory: Path) -> list[Callback]:
        """The callbacks that every run has, whatever its configuration lists."""
        if self.subcommand == "predict":
            return [PredictionTable(directory)]
        if self.subcommand in ("validate", "test"):
            return []
        kept: list[Callback] = [CostRecord(), Axes(), DriftCurve(), Samples(), MemoryGeometry()]
        if self.events is None:
            kept.append(Hyperparameters())  # else they are those of all stages, and not known here
        if options.enable_checkpointing is not False:
            kept.append(LastCheckpoint(self.settings.checkpoint_every))
        return kept

    def steps_before(self) -> int:
        """Optimiser steps of the stages that this one starts from."""
        source = self._get(self.config_init, "model").source
        return source.counters["steps"] if source else 0

    def own_directory(self) -> Path:
        """The folder of the run, as far as the options say."""
        return Path(self.settings.trainer.default_root_dir or self.new_directory())

    def new_directory(self) -> Path:
        """`runs/fit/<model>-<data>-<time>-<job or process>`: no two fits share it, though they start together.

        A step of a batch job ends in the numbers of job and step instead, which are the same for all its processes, and
        in each turn of a job that goes back to the queue. Of several fits in one step each needs a folder of its own.
        """
        names = [self.settings[part].class_path.rpartition(".")[2] for part in ("model", "data")]
        now = f"{datetime.now():%Y%m%d-%H%M%S}-{os.environ.get('SLURM_JOB_ID') or os.getpid()}"
        return Path("runs", self.config.get("subcommand") or "fit", "-".join([*names, step_name() or now]))


def has_gpu(accelerator: str = "gpu") -> bool:
    """Whether Lightning finds a GPU of this kind, a key of `GPUS`."""
    return any(gpu.is_available() for gpu in GPUS[accelerator])


def as_list(chosen: Any) -> list[Any]:
    """What Lightning takes as one, as several or not at all."""
    return [] if chosen is None else chosen if isinstance(chosen, list) else [chosen]


def check_files(words: Sequence[str]) -> None:
    """Refuse a `--config` file that holds no configuration.

    Raises:
        ValueError: naming the file, which jsonargparse does not.
    """
    options = [*words, ""]
    for word, following in pairwise(options):
        option, _, value = word.partition("=")
        file = Path(value or following)
        if option not in ("--config", "-c") or not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"--config is {file}, which is no YAML file ({' '.join(str(error).split())}).") from None
        if not isinstance(content, dict):
            raise ValueError(f"--config is {file}, which has no entries; it needs model, data or trainer.")


def linked_seed(part: str, seed: int, options: Namespace | None) -> int:
    """The seed of a part of the configuration: that of everything.

    Args:
        part: `model` or `data`.
        seed: of everything.
        options: the part's `class_path` and `init_args`; None where it was left out, which the parser will say.

    Raises:
        ValueError: if the part is given another seed, which would be ignored.
    """
    own = (options or Namespace()).get("init_args", Namespace()).get("seed")
    if own not in (None, 0, seed):  # 0 is the default
        raise ValueError(f"{part}.init_args.seed is {own}, but seed_everything sets it; leave it out.")
    return seed


def resolve(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with every option that it leaves at its default written out.

    Args:
        configuration: entries `seed_everything`, `trainer`, `model`, `data`, as in `config.yaml`.

    Returns:
        The whole configuration as YAML primitives, which `memtrain fit --config` reproduces.

    Raises:
        ArgumentError: for unknown options and values of another type, in one sentence.
    """
    cli = MemtrainCLI(configuration, build=False)
    return yaml.safe_load(cli.parser.dump(cli.config, skip_none=False))


def class_names(module: Any, base: type) -> str:
    """The classes of a package that an option can name."""
    members = [getattr(module, name) for name in module.__all__]
    return ", ".join(m.__name__ for m in members if isinstance(m, type) and issubclass(m, base) and m is not base)


EPILOG = (
    "The options of a model or a data set: --model.help CLASS, --data.help CLASS. "
    f"Models: {class_names(training, MemoryModule)}. Data: {class_names(data, SequenceDataModule)}. "
    "Any importable subclass of theirs will do as well, by its dotted path."
)
