"""`memtrain export`: from a checkpoint to a folder that other programs can run."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from memtrain.checkpoints import load_checkpoint
from memtrain.data import SequenceDataModule, TokenDataModule
from memtrain.export.card import model_card
from memtrain.export.folder import DESCRIPTION, INITIAL_MEMORY, open_export, sha256
from memtrain.export.formats import FORMATS, ExportFormat
from memtrain.export.record import results_beside
from memtrain.export.step import MEMORY, ExportStep, example_inputs, ports
from memtrain.files import require_folder, write_bytes, write_json, write_text
from memtrain.networks import RNN, InputDescription
from memtrain.private import added_by_lightning
from memtrain.training import StageModule
from memtrain.training.loading import load_datamodule, load_module

STEPS, BATCH, TOLERANCE = 16, 3, 1e-4
"""Every export takes so many steps on so many samples, and its outputs must be torch's."""


def export_checkpoint(checkpoint: Path, format: str, output: Path) -> Path:
    """Write an RNN's step, its initial memory, their description and a model card.

    Args:
        checkpoint: of a stage that has an RNN.
        format: onnx, torch or safetensors.
        output: the folder to make; it is whole or not there.

    Returns:
        The folder.

    Raises:
        ValueError: if the checkpoint has no RNN, the cell cannot be exported, or the folder is there.
        ModuleNotFoundError: if the format needs a library that is not installed.
    """
    require_folder("--output", output.parent)
    if output.exists():
        raise ValueError(f"--output is {output}, which exists; name a new folder, or remove it.")
    module = load_module(checkpoint)
    *_, rnn = module.models.values()
    if not isinstance(rnn, RNN):
        raise ValueError(f"{checkpoint} has no RNN; give a checkpoint of stage smt, dmt or bptt.")
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as beside:
        folder = Path(beside, "export")
        folder.mkdir()
        fill(folder, checkpoint, module, rnn, FORMATS[format])
        folder.rename(output)
    return output


def fill(folder: Path, checkpoint: Path, module: StageModule, rnn: RNN, kind: ExportFormat) -> None:
    """Write all files of an export."""
    step, described = ExportStep(rnn), module.interface.inputs
    inputs = example_inputs(described, BATCH, torch.Generator().manual_seed(0))
    written = kind.write(step, inputs, folder)
    write_bytes(folder / INITIAL_MEMORY, save({MEMORY: step.initial_memory(1)}))
    description = {
        "memtrain": version("memtrain"),
        "format": next(name for name, other in FORMATS.items() if other is kind),
        "file": {"name": kind.file, "sha256": sha256(folder / kind.file), **written},
        **ports(step, inputs),
        "initial_memory": {"file": INITIAL_MEMORY, "tensor": MEMORY},
        "parameters": sum(p.numel() for p in rnn.parameters()),
        **origin(checkpoint, module),
    }
    write_json(folder / DESCRIPTION, description)
    readings = results_beside(checkpoint, module.counters)
    write_text(folder / "README.md", model_card(description, readings, kind.code(inputs)))
    check(folder, step, described)


def origin(checkpoint: Path, module: StageModule) -> dict[str, Any]:
    """What the checkpoint says of itself: networks, data, stages and costs."""
    recorded = load_checkpoint(checkpoint)
    own = {"stage": module.stage, "step": recorded["global_step"], "sha256": sha256(checkpoint)}
    stages = [*({key: entry[key] for key in own} for entry in module.provenance), own]
    options = recorded.get("datamodule_hyper_parameters", {})
    data = load_datamodule(checkpoint) if recorded["memtrain"]["data_class_path"] else None
    return {
        "interface": module.interface.to_primitive(),
        "network": module.hparams["network"],
        "data": data
        and {
            "class_path": recorded["memtrain"]["data_class_path"],
            "init_args": {key: value for key, value in options.items() if not added_by_lightning(key)},
            "vocabulary": vocabulary(data),
        },
        "module": recorded["memtrain"]["class_path"],
        "stages": stages,
        "costs": recorded["memtrain"]["counters"],
    }


def vocabulary(data: SequenceDataModule) -> list[str] | None:
    """Each token as the data write it; None where they draw it, and where there are none."""
    if not isinstance(data, TokenDataModule):
        return None
    shown = data.render(torch.arange(data.vocabulary_size).unsqueeze(1))
    return None if isinstance(shown, Tensor) else shown


def check(folder: Path, step: ExportStep, described: InputDescription) -> None:
    """Run an export beside torch, each step from torch's memory: single steps do not diverge, whatever the cell.

    Raises:
        ValueError: if its outputs are others.
    """
    export = open_export(folder)
    if export.description["format"] == "torch":  # written by this process, so that it may be read
        run: Any = torch.export.load(folder / export.description["file"]["name"]).module()
    else:
        model = export.model(torch.get_num_threads())
        run = lambda memory, **inputs: model.step(inputs, memory)  # noqa: E731
    generator, memory, largest = torch.Generator().manual_seed(1), step.initial_memory(BATCH), 0.0
    for _ in range(STEPS):
        inputs: Mapping[str, Tensor] = example_inputs(described, BATCH, generator)
        expected = step(**inputs, memory=memory)
        for own, wanted in zip(run(**inputs, memory=memory), expected, strict=True):
            largest = max(largest, ((own - wanted).abs() / (1 + wanted.abs())).max().item())
        memory = expected[1]
    if not largest <= TOLERANCE:
        raise ValueError(
            f"network.cell is {type(step.rnn.cell).__name__}, and its export differs from torch by {largest:.1e}, so "
            "nothing was written; export as safetensors."
        )
