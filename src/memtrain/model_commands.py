"""The commands that use a trained model: generate, forecast, export, stream, evaluate-policy.

Heavy imports happen inside.
"""

from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from memtrain.parsing import SentenceParser


def add_model_commands(commands: Any) -> None:
    """Add their parsers to the subcommands of a parser."""
    generate = SentenceParser(
        description="Draw samples from a trained RNN, alone, one token after the other. They mean something where it "
        "has learned to predict the next token, as of text and images."
    )
    generate.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="a checkpoint of stage smt, dmt or bptt, or the folder of an export",
    )
    generate.add_argument("--prompt", type=str, default=None, help="text or symbols to continue")
    generate.add_argument("--length", type=int, default=None, help="tokens a sample (default: the training length)")
    generate.add_argument("--samples", type=int, default=None, help="samples (default: 1 text, 16 images)")
    generate.add_argument("--temperature", type=float, default=1.0, help="1: as learned; 0: the likeliest token")
    generate.add_argument("--seed", type=int, default=0, help="of the random draws")
    generate.add_argument("--output", type=Path, default=None, help="file to write (default: stdout; samples.png)")
    generate.add_argument(
        "--runtime",
        type=Literal["torch", "onnx"],
        default=None,
        help="what runs the network (default: torch; of an export its own)",
    )
    generate.add_argument("--threads", type=int, default=1, help="of ONNX Runtime, or of an export")
    commands.add_subcommand("generate", generate, help="draw text or images from a trained RNN")

    forecast = SentenceParser(
        description="Forecast each series of a table from its last observed target on, with a trained RNN, alone. "
        "Columns that are known ahead stand in the rows after it, with empty targets."
    )
    forecast.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="a checkpoint of stage smt, dmt or bptt, or the folder of an export",
    )
    forecast.add_argument("--data", type=Path, required=True, help="a file with the columns of the training data")
    forecast.add_argument("--horizon", type=int, required=True, help="rows to forecast")
    forecast.add_argument("--samples", type=int, default=100, help="sample paths of each series")
    forecast.add_argument("--output", type=Path, default=Path("forecast.csv"), help="file to write: .csv, or .png")
    forecast.add_argument(
        "--levels",
        type=float,
        nargs="*",
        default=[0.1, 0.5, 0.9],
        help="levels of the quantiles, within 0 and 1; none: all sample paths are written",
    )
    forecast.add_argument("--seed", type=int, default=0, help="of the random draws")
    commands.add_subcommand("forecast", forecast, help="forecast time series with a trained RNN")

    export = SentenceParser(description="Write an RNN's step, its initial memory, a description and a model card.")
    export.add_argument("checkpoint", type=Path, help="a checkpoint of stage smt, dmt or bptt")
    export.add_argument(
        "--format",
        type=Literal["onnx", "torch", "safetensors"],
        default="onnx",
        help="onnx: a graph; torch: a program of torch.export; safetensors: the weights alone",
    )
    export.add_argument("--output", type=Path, required=True, help="folder to make")
    commands.add_subcommand("export", export, help="write an RNN's step for other programs")

    stream = SentenceParser(
        description="Read tokens, or rows of numbers, from standard input and write what is expected as JSON lines, at "
        "constant memory. Numbers are lines of CSV, with commas, below a header that names every channel, and for each "
        "that is known ahead or an action also a column NAME@next: its value in the next row. Cells are in the data's "
        "units, categories by name, missing ones empty. The model card has the header."
    )
    stream.add_argument("export", type=Path, help="folder that `memtrain export` has made")
    stream.add_argument("--follow", type=Path, default=None, help="read this file instead, and what is appended to it")
    stream.add_argument("--state", type=Path, default=None, help="file that keeps the memory, to go on exactly there")
    stream.add_argument(
        "--every",
        type=Literal["token", "line"],
        default="token",
        help="a prediction after each token, or after each line; of rows of numbers each line has one",
    )
    stream.add_argument("--top", type=int, default=5, help="likeliest tokens or classes that are written")
    stream.add_argument("--threads", type=int, default=1, help="of the processor")
    commands.add_subcommand("stream", stream, help="predict line by line, with an export")

    policy = SentenceParser(
        description="Let a model that was trained on logged behavior act in the environment, beside a random policy "
        "and the expert that it was cloned from. Needs pip install 'memtrain[control]'."
    )
    policy.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint trained to predict actions")
    policy.add_argument("--episodes", type=int, default=200, help="episodes that each policy plays")
    policy.add_argument("--temperature", type=float, default=0.0, help="0: the likeliest action; 1: as learned")
    policy.add_argument("--seed", type=int, default=0, help="of environments and draws")
    policy.add_argument(
        "--environment", type=str, default=None, help="gymnasium environment of logs from a file: CartPole-v1"
    )
    policy.add_argument("--output", type=Path, default=None, help="CSV to write (default: none)")
    commands.add_subcommand("evaluate-policy", policy, help="return and success of a cloned policy")


def generate(options: Namespace) -> int:
    """`memtrain generate`."""
    from memtrain.files import require_folder
    from memtrain.generate import generate_samples

    if options.output is not None:
        require_folder("--output", options.output.parent)
    generate_samples(**{key: value for key, value in options.items() if key != "config"})
    return 0


def forecast(options: Namespace) -> int:
    """`memtrain forecast`."""
    from memtrain.files import require_folder
    from memtrain.forecast import forecast as forecast_table

    require_folder("--output", options.output.parent)
    forecast_table(**{key: value for key, value in options.items() if key != "config"})
    return 0


def export(options: Namespace) -> int:
    """`memtrain export`."""
    from memtrain.export import export_checkpoint

    print(f"Export: {export_checkpoint(options.checkpoint, options.format, options.output)}")
    return 0


def stream(options: Namespace) -> int:
    """`memtrain stream`."""
    from memtrain.export import stream_predictions

    stream_predictions(**{key: value for key, value in options.items() if key != "config"})
    return 0


def policy(options: Namespace) -> int:
    """`memtrain evaluate-policy`."""
    from memtrain.control.command import play_checkpoint
    from memtrain.files import require_folder

    if options.output is not None:
        require_folder("--output", options.output.parent)
    play_checkpoint(**{key: value for key, value in options.items() if key != "config"})
    return 0


MODEL_COMMANDS = {
    "generate": generate,
    "forecast": forecast,
    "export": export,
    "stream": stream,
    "evaluate-policy": policy,
}
