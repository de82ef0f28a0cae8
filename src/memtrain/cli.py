"""The command `memtrain`: a stage (fit, validate, test, predict), an experiment (run, compare, figures), or a trained
model (generate, forecast, evaluate-policy, export, stream).

Heavy imports happen inside the commands, so that `memtrain --help` answers at once.
"""

import itertools
import os
import shlex
import sys
import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from jsonargparse import ArgumentError, Namespace

from memtrain.files import expanded
from memtrain.model_commands import MODEL_COMMANDS, add_model_commands
from memtrain.parsing import SentenceParser, chain, sentence
from memtrain.private import is_out_of_memory

STAGE_COMMANDS = {
    "fit": "train one stage on one data set",
    "validate": "evaluate a checkpoint on the validation split",
    "test": "evaluate a checkpoint on the test split",
    "predict": "write loss and scores of each test sample as CSV",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after `memtrain`; None for those of this process.

    Returns:
        The exit status: 0, 1 where the work failed, 2 where the command line is wrong. Either failure is explained by
        one sentence on stderr; with MEMTRAIN_DEBUG=1 in the environment the exception is raised instead.
    """
    args = list(sys.argv[1:] if args is None else args)
    try:
        if args and args[0] in STAGE_COMMANDS:
            return stage(args)
        options = command_parser().parse_args(args or ["--help"])
        return COMMANDS[options.subcommand](at_home(options[options.subcommand]))
    except KeyboardInterrupt:
        print("memtrain: interrupted; an experiment continues with the same command", file=sys.stderr)
        return 130
    except (ArgumentError, ValueError, OSError, ModuleNotFoundError, MemoryError, RuntimeError) as error:
        exhausted = next((link for link in chain(error) if is_out_of_memory(link)), None)
        fault = isinstance(error, RuntimeError) and exhausted is None  # of the program, and not of what it was given
        if fault or os.environ.get("MEMTRAIN_DEBUG") == "1":
            raise
        print(f"memtrain: {sentence(error) if exhausted is None else too_large(exhausted)}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1


def too_large(exhausted: BaseException) -> str:
    """The one line in which a lack of memory is told, with what takes less."""
    notes = getattr(exhausted, "__notes__", [])
    remedy = "; choose a smaller data.batch_size, data.evaluation_batch_size, data.length or network"
    said = " ".join(str(exhausted).split()) or type(exhausted).__name__
    return f"Memory ran out {notes[0]} ({said})." if notes else f"Memory ran out ({said}){remedy}."


def entry_point() -> None:
    """The console script; modules in the working directory can be named in YAML, as with `python -m memtrain`."""
    sys.path.append(str(Path.cwd()))
    warnings.showwarning = show_warning
    sys.exit(main())


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Write a warning of memtrain's own as one line, without the place in its code; any other as Python does."""
    own = category is UserWarning and Path(filename).is_relative_to(Path(__file__).parent)
    text = f"memtrain: {message}\n" if own else warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(text)


def command_parser() -> SentenceParser:
    """The parser of all commands; those of one stage are listed here and parsed by `memtrain.fit`."""
    parser = SentenceParser(
        prog="memtrain",
        description="Train recurrent networks without recurrence (SMT, DMT), and compare them with BPTT.",
        epilog="options of a command: memtrain COMMAND --help\n"
        "example:              memtrain run experiments/demo/experiment.yaml",
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subcommands(title="commands", metavar="COMMAND", description=None)
    for name, description in STAGE_COMMANDS.items():
        commands.add_subcommand(name, SentenceParser(), help=description)

    run = SentenceParser(description="Train every method, difficulty and seed of an experiment file, then compare.")
    run.add_argument("file", type=Path, help="the experiment, a YAML file")
    run.add_argument("--output", type=Path, default=None, help="folder of the results (default: runs/<name>)")
    run.add_argument("--methods", type=str, default=None, help="only these methods of the file: a,b")
    run.add_argument("--seeds", type=str, default=None, help="these seeds in place of the file's: 0,1,2")
    run.add_argument(
        "--jobs",
        type=int,
        default=None,
        help="runs at a time (default: 2 on a CPU, 1 on a GPU, as many as there is room for on a cluster)",
    )
    run.add_argument(
        "--launcher",
        type=Literal["local", "slurm"],
        default="local",
        help="where: processes of this machine, or a SLURM job array asked for as the file's entry slurm says",
    )
    run.add_argument("--dry-run", action="store_true", help="with --launcher slurm: write the script, do not submit it")
    run.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change an entry of the file, for example --set budget='{seconds: 600}'; may be repeated",
    )
    run.add_argument(
        "--index", type=int, default=None, help="train only run number INDEX, in this process (for cluster arrays)"
    )
    commands.add_subcommand("run", run, help="run an experiment file: all methods, difficulties and seeds")

    compare = SentenceParser(description="Gather finished runs in one table, one figure and one verdict.")
    compare.add_argument("directories", type=Path, nargs="+", help="folders that `memtrain run` has filled")
    compare.add_argument("--output", type=Path, default=None, help="where to write (default: the first folder)")
    commands.add_subcommand("compare", compare, help="compare the methods of one or more result folders")

    figures = SentenceParser(description="Draw figure.png of result folders again, from their results.csv alone.")
    figures.add_argument("folders", type=Path, nargs="+", help="folders with a results.csv, as experiments/demo")
    commands.add_subcommand("figures", figures, help="draw figures again from their tables")

    add_model_commands(commands)
    return parser


def at_home(options: Namespace) -> Namespace:
    """Expand a leading `~` in every path of a command line: shells do so only at the beginning of a word."""
    for name, value in vars(options).items():
        option = f"--{name}" if name in ("output", "checkpoint") else name
        if isinstance(value, Path):
            options[name] = expanded(option, value)
        elif isinstance(value, list):
            options[name] = [expanded(option, entry) if isinstance(entry, Path) else entry for entry in value]
    return options


def stage(args: list[str]) -> int:
    """`memtrain fit|validate|test|predict`."""
    from memtrain.fit import MemtrainCLI

    with one_sentence():
        MemtrainCLI(args)
    return 0


@contextmanager
def one_sentence() -> Iterator[None]:
    """Raise as `ValueError` what Lightning has against a configuration, and that a run was told to end.

    Left alone, Lightning's exception of SIGTERM ends a run silently and with status 0.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

    try:
        yield
    except MisconfigurationException as error:
        raise ValueError(sentence(error)) from error
    except SIGTERMException as told:
        raise ValueError(" ".join(["told to end by SIGTERM", *getattr(told, "__notes__", [])])) from told


def run(options: Namespace) -> int:
    """`memtrain run`."""
    from memtrain.compare import SEEDS_NEEDED, compare_directories, nothing_finished
    from memtrain.experiment import launch_experiment, read_experiment, run_index, submit_experiment
    from memtrain.files import require_folder

    experiment = read_experiment(
        options.file,
        changes=options.set,
        methods=options.methods and options.methods.split(","),
        seeds=options.seeds and integers("--seeds", options.seeds),
    )
    directory = options.output or Path("runs", experiment.name)
    require_folder("--output", directory)
    if options.dry_run and options.launcher != "slurm":
        raise ValueError(
            f"--dry-run is given, but --launcher is {options.launcher}; give --launcher slurm, or leave it out."
        )
    if options.index is not None:
        if options.launcher != "local":
            raise ValueError(f"--index is {options.index}, one run in this process; leave --launcher out.")
        with one_sentence():
            run_index(experiment, directory, options.index)
        return 0
    failures = 0
    if options.launcher == "slurm":
        if submit_experiment(experiment, directory, options.jobs, options.dry_run):
            print("Once they have ended, the same command compares the runs, or submits what has failed.")
            return 0
    else:
        failures = launch_experiment(experiment, directory, options.jobs)
    if experiment.measurement is None and not (failures and nothing_finished(directory)):
        compare_directories([directory])
        if len(experiment.seeds) < SEEDS_NEEDED:
            tuned_on = experiment.grid.seeds if experiment.grid else []
            print(f"More seeds: {more_seeds(options, enough_seeds(experiment.seeds, tuned_on))}")
    return 1 if failures else 0


def enough_seeds(seeds: Sequence[int], tuned_on: Sequence[int]) -> list[int]:
    """These seeds and the smallest others that a verdict needs, none of which rates were chosen on."""
    from memtrain.compare import SEEDS_NEEDED

    others = (seed for seed in itertools.count() if seed not in (*seeds, *tuned_on))
    return sorted([*seeds, *itertools.islice(others, SEEDS_NEEDED - len(seeds))])


def more_seeds(options: Namespace, seeds: Sequence[int]) -> str:
    """The same `memtrain run` with other seeds."""
    words = ["memtrain", "run", str(options.file), "--seeds", ",".join(map(str, seeds))]
    if options.launcher != "local":
        words += ["--launcher", options.launcher]
    for option in ("output", "methods", "jobs"):
        if options[option] is not None:
            words += [f"--{option}", str(options[option])]
    return shlex.join([*words, *(word for change in options.set for word in ("--set", change))])


def integers(option: str, text: str) -> list[int]:
    """`0,1` as `[0, 1]`."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{option} is {text}, but must be whole numbers, for example 0,1,2.") from None


def compare(options: Namespace) -> int:
    """`memtrain compare`."""
    from memtrain.compare import compare_directories
    from memtrain.files import require_folder

    if options.output is not None:
        require_folder("--output", options.output)
    elif len(options.directories) > 1:
        raise ValueError(
            f"--output is left out, but there are {len(options.directories)} folders, and the tables of the first are "
            "its own; give --output, for example runs/comparison."
        )
    compare_directories(options.directories, output=options.output)
    return 0


def figures(options: Namespace) -> int:
    """`memtrain figures`."""
    from memtrain.figures import draw_figures

    draw_figures(options.folders)
    return 0


COMMANDS = {"run": run, "compare": compare, "figures": figures, **MODEL_COMMANDS}
