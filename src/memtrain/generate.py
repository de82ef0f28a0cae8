"""`memtrain generate`: what an RNN writes or draws on its own."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from memtrain.callbacks.samples import image_grid
from memtrain.data import SequenceDataModule, TokenDataModule
from memtrain.export import export_checkpoint, open_export
from memtrain.export.folder import is_export
from memtrain.export.session import THREADS
from memtrain.files import write_bytes, write_text
from memtrain.limits import require_at_least
from memtrain.networks import StreamingModel
from memtrain.networks.generation import generate_tokens
from memtrain.networks.sequence_model import Streaming
from memtrain.training.loading import load_datamodule, load_module

IMAGES, TEXTS = 16, 1
"""Samples drawn where no number is given."""
PIXELS = 8
"""Side of the square that a generated pixel is shown as."""


Runtime = Literal["torch", "onnx"]


def generate_samples(
    checkpoint: Path,
    prompt: str | None = None,
    length: int | None = None,
    samples: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    output: Path | None = None,
    runtime: Runtime | None = None,
    threads: int = THREADS,
) -> None:
    """Draw samples and print them, or write them to a file.

    Args:
        checkpoint: of a stage that has an RNN, or a folder that `memtrain export` has made of one.
        prompt: text or symbols to continue; None: the data's own start.
        length: tokens to draw; None: as many as a training sequence has.
        samples: number of samples; None: 1 of text, 16 of images.
        temperature: 1 draws as learned, 0 takes the likeliest token.
        seed: of the draws.
        output: file to write; None: text is printed, images go to samples.png.
        runtime: what runs the network; None: torch for a checkpoint, and for a folder what it was exported for.
        threads: of the processor, for a folder and for runtime onnx.

    Raises:
        ValueError: where the checkpoint has no RNN, or predicts no tokens, or the data cannot start without a prompt.
    """
    model, data = model_and_data(checkpoint, runtime, threads)
    images = data.modality == "image"
    samples = (IMAGES if images else TEXTS) if samples is None else samples
    length = data.sequence_length if length is None else length
    for option, value in (("samples", samples), ("length", length)):
        require_at_least(f"--{option}", value, 1)
    start = start_tokens(data, prompt)
    generator = torch.Generator().manual_seed(seed)
    drawn = generate_tokens(model, start.expand(samples, -1), length, temperature, generator)
    tokens = drawn if prompt is None or images else torch.cat([start.expand(samples, -1), drawn], dim=1)
    shown = data.render(tokens)
    if isinstance(shown, Tensor):
        output = output or Path("samples.png")
        write_image(shown, output)
        print(f"Samples: {output}")
        return
    text = "\n".join(shown) + "\n"
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)


def model_and_data(checkpoint: Path, runtime: Runtime | None, threads: int) -> tuple[Streaming, TokenDataModule]:
    """What draws, and what it was trained on; see `generate_samples`."""
    if is_export(checkpoint):
        export = open_export(checkpoint)
        format = export.description["format"]
        if runtime is not None and (runtime == "onnx") != (format == "onnx"):
            raise ValueError(
                f"--runtime is {runtime}, but {checkpoint} is an export of format {format}; leave --runtime out, or "
                "export again."
            )
        return export.model(threads), drawable(checkpoint, export.datamodule())
    if runtime == "onnx":
        data = drawable(checkpoint, load_datamodule(checkpoint))
        with TemporaryDirectory() as folder:
            export = open_export(export_checkpoint(checkpoint, "onnx", Path(folder, "export")))
            return export.model(threads), data
    *_, model = load_module(checkpoint).models.values()
    if not isinstance(model, StreamingModel):
        raise ValueError(
            f"{checkpoint} has no model that takes in one token after the other; give a checkpoint of stage smt, dmt, "
            "bptt or baseline."
        )
    return model, drawable(checkpoint, load_datamodule(checkpoint))


def drawable(checkpoint: Path, data: SequenceDataModule) -> TokenDataModule:
    """The data themselves.

    Raises:
        ValueError: if no tokens can be drawn of them.
    """
    if not isinstance(data, TokenDataModule):
        raise ValueError(
            f"{checkpoint} was trained on {type(data).__name__}, whose sequences are numbers, not tokens; use memtrain "
            "forecast."
        )
    if not data.predicts_tokens:
        raise ValueError(
            f"{checkpoint} was trained on {type(data).__name__} to name classes, so that it can draw nothing; "
            "give a checkpoint that predicts the next token."
        )
    return data


def start_tokens(data: TokenDataModule, prompt: str | None) -> Tensor:
    """The tokens that the RNN is fed before it draws, int64 `[1, P]`."""
    if prompt is not None:
        tokens = data.encode_prompt(prompt)
        if tokens.dim() != 1 or not len(tokens) or not ((tokens >= 0) & (tokens < data.vocabulary_size)).all():
            raise ValueError(
                f"encode_prompt of {type(data).__name__} makes {tokens.tolist()} of {prompt!r}, but must make a list "
                f"of tokens in 0..{data.vocabulary_size - 1}, one at least."
            )
        return tokens.unsqueeze(0)
    if data.start_token is None:
        raise ValueError(f'{type(data).__name__} cannot start by itself; give a --prompt, for example "1 0 1".')
    return torch.tensor([[data.start_token]])


def write_image(images: Tensor, path: Path) -> None:
    """Write images, uint8 `[B, H, W]`, as a PNG grid, enlarged so that single pixels can be seen."""
    enlarged = images.repeat_interleave(PIXELS, dim=1).repeat_interleave(PIXELS, dim=2)
    content = io.BytesIO()
    Image.fromarray(image_grid(enlarged, gap=PIXELS // 2).numpy()).save(content, format="PNG")
    write_bytes(path, content.getvalue())
