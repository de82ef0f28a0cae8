"""`memtrain fit|validate|test|predict`: any stage of `memtrain.training` with any data, from YAML and options."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from memtrain.data import SequenceDataModule
from memtrain.files import LAST_CHECKPOINT, require_folder, write_text
from memtrain.fit.arguments import (
    EPILOG,
    TRAINER_DEFAULTS,
    FitParser,
    add_own_options,
    check_files,
    expand_paths,
    link_parts,
    require_linked_options,
)
from memtrain.fit.checks import explain, require_usable, without_enums
from memtrain.fit.cluster import continues_by_itself, is_next_turn, require_processes, require_srun
from memtrain.fit.continuing import require_checkpoint, require_same_options
from memtrain.fit.directories import new_directory
from memtrain.fit.memory import MemoryNote, require_room
from memtrain.fit.monitors import MonitoredMetrics
from memtrain.fit.saving import AtomicCheckpointIO
from memtrain.fit.trainer import StepTrainer, as_list, callbacks, loggers, named_by_step, require_devices
from memtrain.lock import only_worker
from memtrain.training import StageModule


class TrainingConfig(SaveConfigCallback):
    """Writes `config.yaml` of what trains; what only reads a checkpoint must not replace it."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file, whatever the system's encoding is."""
        if stage == "fit":
            text = self.parser.dump(self.config, skip_none=False)
            write_text(Path(trainer.default_root_dir, self.config_filename), text)


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
        self.checkpoint: dict[str, Any] | None = None
        """What the checkpoint that is read records beside the weights."""
        with ExitStack() as self.held:
            super().__init__(
                StageModule,
                SequenceDataModule,
                trainer_class=StepTrainer,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                save_config_callback=TrainingConfig if record else None,
                save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
                trainer_defaults=TRAINER_DEFAULTS,
                parser_class=FitParser,
                parser_kwargs={name: {"epilog": EPILOG} for name in self.subcommands()},
                args=dict(args) if isinstance(args, Mapping) else list(args),
                run=not isinstance(args, Mapping),
            )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options beside `trainer`, `model` and `data`."""
        add_own_options(parser)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What one part knows and another needs."""
        link_parts(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and refuse what would be ignored or go wrong later."""
        if isinstance(args, list):
            check_files(args)
        try:
            self.config = parser.parse_args(args) if isinstance(args, list) else parser.parse_object(args)
        except ArgumentError:
            explain(args if isinstance(args, list) else [])
            raise
        if "weights_only" in self.settings:
            self.settings.weights_only = True  # no checkpoint may carry code
        require_usable(self.settings.trainer)
        without_enums(self.settings.trainer)
        require_linked_options(self.settings)
        expand_paths(self.settings)
        if "ckpt_path" in self.settings:
            self.continue_next_turn()
            self.checkpoint = require_checkpoint(self.settings, self.command, self.own_directory())

    def continue_next_turn(self) -> None:
        """In a batch job that went back to the queue, continue what its turn before has left."""
        own = self.own_directory()
        if self.command != "fit" or self.settings.ckpt_path is not None or not is_next_turn():
            return
        if not continues_by_itself(own) and (own / LAST_CHECKPOINT).is_file():
            self.settings.ckpt_path, self.settings.trainer.default_root_dir = "last", str(own)

    @property
    def command(self) -> str:
        """The sub-command: fit, validate, test or predict; a configuration that is only built is to be trained."""
        return self.config.get("subcommand") or "fit"

    @property
    def settings(self) -> Namespace:
        """The configuration of the sub-command, or the whole where there is none."""
        return self.of_command(self.config)

    def of_command(self, config: Namespace) -> Namespace:
        """The part of a configuration that is the sub-command's."""
        return config.get(config.get("subcommand"), config)

    def instantiate_classes(self) -> None:
        """Build data module, model and trainer."""
        if not self.build:
            return
        self.config_init = self.parser.instantiate_classes(self.without_source())
        built = self.of_command(self.config_init)
        self.datamodule, self.model = built.data, built.model
        require_room(self.datamodule)
        self.trainer = self.instantiate_trainer()
        if self.command == "fit" and self.checkpoint is not None:
            require_same_options(self.checkpoint, self.model, self.datamodule)
            built.ckpt_path = self.own_directory() / LAST_CHECKPOINT
        if built.get("ckpt_path") is not None:
            built.ckpt_path = str(Path(built.ckpt_path).absolute())  # else file:a is an address

    def without_source(self) -> Namespace:
        """The configuration, in which a stage that reads its own checkpoint does not read the stage's before."""
        config = self.config.clone()
        settings = self.of_command(config)
        if self.checkpoint is None or settings.model.init_args.get("init_from") is None:
            return config
        recorded, given = self.checkpoint["hyper_parameters"], settings.model.init_args
        # The networks' options, where they are those of the stage before.
        taken = [name for name, value in given.items() if value is None and isinstance(recorded.get(name), Mapping)]
        changed = {"init_from": None} | {name: recorded[name] for name in taken}
        model = {"model": {"class_path": settings.model.class_path, "init_args": changed}}
        return self.parser.parse_object({config.subcommand: model} if "subcommand" in config else model, config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with the records that every run keeps."""
        options = self.of_command(self.config_init).trainer
        directory = Path(self.directory or options.default_root_dir or self.new_directory())
        require_folder("trainer.default_root_dir", directory)
        directory = directory.absolute()  # Lightning would take file:a for an address, and ~a for a home folder
        kwargs["default_root_dir"] = str(directory)
        if not self.record:
            # Callbacks of the configuration may ask for what is missing here, as a logger.
            return self.checked_trainer(logger=False, enable_checkpointing=False, callbacks=[], **kwargs)
        events = self.events or directory
        kept = callbacks(options, self.command, directory, self.settings.checkpoint_every, self.events is None)
        kwargs["plugins"] = [*as_list(options.plugins), AtomicCheckpointIO()]
        kwargs["logger"] = loggers(options.logger, self.command, directory, events, self.steps_before())
        chosen = [*named_by_step(as_list(options.callbacks)), *self.callbacks]
        kwargs["callbacks"] = [MonitoredMetrics(chosen), MemoryNote(), *chosen, *kept]
        return self.checked_trainer(**kwargs)

    def checked_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, if there is what it trains on, and it has as many processes as a cluster has started.

        Raises:
            ValueError: if not. With other processes, each would train alone and overwrite what the others write.
        """
        options = self.of_command(self.config_init).trainer
        require_srun(as_list(options.plugins))
        require_devices(options.accelerator, options.devices)
        trainer = super().instantiate_trainer(**kwargs)
        require_processes(trainer)
        return trainer

    def steps_before(self) -> int:
        """Optimizer steps of the stages before."""
        if self.checkpoint is not None:
            return self.checkpoint["memtrain"]["counters"]["steps"] - self.checkpoint["global_step"]
        source = self.of_command(self.config_init).model.source
        return source.counters["steps"] if source else 0

    def own_directory(self) -> Path:
        """The folder of the run, as far as the options say."""
        return Path(self.settings.trainer.default_root_dir or self.new_directory())

    def new_directory(self) -> Path:
        """A folder for a run that is given none."""
        return new_directory([self.settings[part].class_path for part in ("model", "data")], self.command)

    def before_fit(self) -> None:
        """Keep another process from training in the same folder, until this one has ended."""
        if self.trainer.is_global_zero:
            self.held.enter_context(only_worker("trainer.default_root_dir", Path(self.trainer.default_root_dir)))


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
