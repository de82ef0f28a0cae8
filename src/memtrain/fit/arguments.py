"""The command line of `memtrain fit|validate|test|predict`: its parser, its defaults, its links between parts."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import yaml
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from lightning.pytorch.cli import LightningArgumentParser

from memtrain import data, training
from memtrain.data import SequenceDataModule
from memtrain.files import expanded
from memtrain.limits import LARGEST_SEED, require_between
from memtrain.networks import Interface
from memtrain.parsing import SentenceParser
from memtrain.training import StageModule

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


def add_own_options(parser: LightningArgumentParser) -> None:
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
        help="optimizer steps between two checkpoints; each validation and the end have one too",
    )


def link_parts(parser: LightningArgumentParser) -> None:
    """What one part knows and another needs."""
    parser.link_arguments("data", "model.init_args.interface", interface_of, apply_on="instantiate")
    for part in ("model", "data"):
        parser.link_arguments(
            ("seed_everything", part), f"{part}.init_args.seed", compute_fn=partial(linked_seed, part)
        )


def interface_of(data: SequenceDataModule) -> Interface:
    """What the networks are built for."""
    return data.interface()


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


def require_linked_options(settings: Namespace) -> None:
    """Refuse classes that do not take what is linked, and a linked value that was set by hand: it would be ignored.

    Args:
        settings: a parsed configuration with `model` and `data`.

    Raises:
        ValueError: naming the class and the option.
    """
    require_between("seed_everything", settings.seed_everything, 0, LARGEST_SEED, 0)
    model = settings.model
    if "interface" not in model.get("init_args", {}):
        raise ValueError(
            f"{model.class_path} has no option interface, which the data module sets; take it in the constructor and "
            "pass it on to StageModule."
        )
    for part, base in (("model", "StageModule"), ("data", "SequenceDataModule")):
        if "seed" not in settings[part].get("init_args", {}):
            raise ValueError(
                f"{settings[part].class_path} has no option seed, which seed_everything sets; take it in the "
                f"constructor and pass it on to {base}."
            )
    if model.init_args.interface is not None:
        raise ValueError(
            f"model.init_args.interface is {model.init_args.interface}, but the data module sets it; leave it out."
        )


def check_files(words: Sequence[str]) -> None:
    """Refuse a `--config` file that holds no configuration, and a value that would be no value.

    Raises:
        ValueError: naming the file, which jsonargparse does not; or the option.
    """
    for word, following in pairwise([*words, ""]):
        option, _, value = word.partition("=")
        if option.startswith("--") and (value or following).startswith("#"):
            raise ValueError(f"{option} is {value or following}, which YAML takes for a comment; put it in quotes.")
        if option not in ("--config", "-c"):
            continue
        file = expanded(option, value or following)
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"--config is {file}, which is no YAML file ({' '.join(str(error).split())}).") from None
        if not isinstance(content, dict):
            raise ValueError(f"--config is {file}, which has no entries; it needs model, data or trainer.")


def expand_paths(settings: Namespace) -> None:
    """Expand a leading `~` in the paths of a parsed configuration, where Lightning would do so here and there.

    Raises:
        ValueError: if there is no such home folder, or a path is an address.
    """
    for part, option in ((settings.trainer, "default_root_dir"), (settings, "ckpt_path")):
        path = part.get(option)
        if path:
            name = "ckpt_path" if part is settings else f"trainer.{option}"
            if "://" in str(path):
                raise ValueError(f"{name} is {path}, but runs are read and written as local files; give a local path.")
            part[option] = str(expanded(name, path))


def class_names(module: Any, base: type) -> str:
    """The classes of a package that an option can name."""
    members = [getattr(module, name) for name in module.__all__]
    return ", ".join(m.__name__ for m in members if isinstance(m, type) and issubclass(m, base) and m is not base)


EPILOG = (
    "The options of a model or a data set: --model.help CLASS, --data.help CLASS. "
    f"Models: {class_names(training, StageModule)}. Data: {class_names(data, SequenceDataModule)}. "
    "Any importable subclass of theirs will do as well, by its dotted path."
)
