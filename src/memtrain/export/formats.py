"""The formats of an export: what each writes, and how memtrain runs it."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from memtrain.checkpoints import load_weights, rebuilt
from memtrain.export.requirements import require_onnx_export
from memtrain.export.session import Run, onnx_run
from memtrain.export.silence import silence
from memtrain.export.step import MEMORY, OUTPUTS, ExportStep, cannot_export
from memtrain.files import write_bytes
from memtrain.networks import RNN, Interface, NetworkOptions

OPSET = 20
"""Of the ONNX operators: the first that has GELU as one, and what torch's exporter writes."""


class ExportFormat(ABC):
    """A kind of file that holds an RNN's step.

    Attributes:
        file: its name in the folder of an export.
        loading: Python that runs the step on its own from that folder, for the model card; `{inputs}` stands for those
            of a timestep, by name.
        array: Python that makes zeros of a `{shape}` and `{type}`.
    """

    file: ClassVar[str]
    loading: ClassVar[str]
    array: ClassVar[str] = "torch.zeros({shape}, dtype=torch.{type})"

    def code(self, inputs: Mapping[str, Tensor]) -> str:
        """Python that runs the step, for the model card.

        Args:
            inputs: of one timestep, as `example_inputs` gives them.
        """
        zeros = {
            name: self.array.format(shape=(1, *value.shape[1:]), type=str(value.dtype).removeprefix("torch."))
            for name, value in inputs.items()
        }
        return self.loading.replace("{inputs}", "{" + ", ".join(f'"{n}": {made}' for n, made in zeros.items()) + "}")

    @abstractmethod
    def write(self, step: ExportStep, inputs: Mapping[str, Tensor], folder: Path) -> dict[str, Any]:
        """Write the file, and say what it depends on, as YAML primitives.

        Args:
            step: what is exported.
            inputs: of one timestep, as `example_inputs` gives them.
            folder: where.

        Raises:
            ValueError: for a cell that the format cannot hold.
        """

    @abstractmethod
    def run(self, folder: Path, description: Mapping[str, Any], threads: int) -> Run:
        """What runs the file.

        Args:
            folder: of an export.
            description: its `description.json`.
            threads: of the processor.
        """


class OnnxFormat(ExportFormat):
    """An ONNX graph, for ONNX Runtime and others."""

    file = "step.onnx"
    loading = """import numpy as np, onnxruntime
from safetensors.numpy import load_file

session = onnxruntime.InferenceSession("step.onnx")
memory = load_file("initial_memory.safetensors")["memory"]  # [1, K, D]; repeat it for a larger batch
inputs = {inputs}
for _ in range(3):
    parameters, memory = session.run(None, inputs | {"memory": memory})
    print(parameters.shape)  # [1, P]: of the prediction after each input"""
    array = "np.zeros({shape}, np.{type})"

    def write(self, step: ExportStep, inputs: Mapping[str, Tensor], folder: Path) -> dict[str, Any]:
        """See `ExportFormat.write`."""
        versions = require_onnx_export()
        import onnx_ir
        import onnx_ir.passes.common

        program = step.program(inputs)
        names = [*inputs, MEMORY]
        batch = {0: torch.export.Dim("batch")}
        with silence():
            try:
                graph = torch.onnx.export(
                    program,
                    input_names=names,
                    output_names=list(OUTPUTS),
                    dynamic_shapes={name: batch for name in names},
                    opset_version=OPSET,
                    dynamo=True,
                    verbose=False,
                )
            except Exception as error:  # an operation that ONNX lacks; torch's class for it is private
                raise cannot_export(
                    step.rnn, error.__cause__ if isinstance(error.__cause__, Exception) else error
                ) from error
            assert graph is not None
            # Each node carries the stack that made it, with paths of this machine.
            onnx_ir.passes.common.ClearMetadataAndDocStringPass()(graph.model)
            graph.save(folder / self.file)
        return {"opset": OPSET, "versions": {"torch": torch.__version__, **versions}}

    def run(self, folder: Path, description: Mapping[str, Any], threads: int) -> Run:
        """See `ExportFormat.run`."""
        return onnx_run(folder / self.file, threads)


class TorchFormat(ExportFormat):
    """A program of `torch.export`, for `torch.export.load`, AOTInductor and ExecuTorch."""

    file = "step.pt2"
    loading = """import torch
from safetensors.torch import load_file

step = torch.export.load("step.pt2").module()  # runs code that a file may carry: load only files that you trust
memory = load_file("initial_memory.safetensors")["memory"]  # [1, K, D]; repeat it for a larger batch
inputs = {inputs}
for _ in range(3):
    parameters, memory = step(**inputs, memory=memory)
    print(parameters.shape)  # [1, P]: of the prediction after each input"""

    def write(self, step: ExportStep, inputs: Mapping[str, Tensor], folder: Path) -> dict[str, Any]:
        """See `ExportFormat.write`."""
        content = io.BytesIO()
        with silence():
            torch.export.save(step.program(inputs), content)
        write_bytes(folder / self.file, content.getvalue())
        return {"largest_batch": step.largest_batch, "versions": {"torch": torch.__version__}}

    def run(self, folder: Path, description: Mapping[str, Any], threads: int) -> Run:
        """Refuse it.

        Raises:
            ValueError: since reading such a file unpickles what is in it.
        """
        raise ValueError(
            f"{folder} is an export of format torch, and reading {self.file} would run code that the file may carry; "
            "export with --format onnx or safetensors, or load it in your own program (see its README.md)."
        )


class SafetensorsFormat(ExportFormat):
    """The weights alone; what they belong to is in `description.json`."""

    file = "weights.safetensors"
    loading = """import torch
from memtrain.export import open_export

model, memory = open_export(".").model(), None  # None: the initial memory
inputs = {inputs}
for _ in range(3):
    parameters, memory = model.step(inputs, memory)
    print(parameters.shape)  # [1, P]: of the prediction after each input"""

    def write(self, step: ExportStep, inputs: Mapping[str, Tensor], folder: Path) -> dict[str, Any]:
        """See `ExportFormat.write`."""
        weights = {name: value.contiguous() for name, value in step.rnn.state_dict().items()}
        write_bytes(folder / self.file, save(weights))
        return {"versions": {"torch": torch.__version__}}

    def run(self, folder: Path, description: Mapping[str, Any], threads: int) -> Run:
        """See `ExportFormat.run`; torch's threads are those of the whole process."""
        torch.set_num_threads(threads)
        options = rebuilt(NetworkOptions, description["network"])
        rnn = RNN(options, rebuilt(Interface, description["interface"])).eval().requires_grad_(False)
        try:
            weights = load_file(folder / self.file)
        except SafetensorError as error:
            raise ValueError(f"{folder / self.file} is damaged ({error}); export the checkpoint again.") from error
        load_weights(rnn, weights, folder / self.file)
        stream = rnn.prepared()
        return lambda inputs, memory: stream(inputs["inputs"], memory, inputs.get("ahead"))


FORMATS: dict[str, ExportFormat] = {"onnx": OnnxFormat(), "torch": TorchFormat(), "safetensors": SafetensorsFormat()}
"""By their names on the command line."""
