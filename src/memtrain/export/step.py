"""ExportStep: one timestep of an RNN in operations that every export format has."""

import copy
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from memtrain.export.silence import silence
from memtrain.networks import RNN, Channels, InputDescription, Tokens
from memtrain.networks.attention import MOST_SAMPLES
from memtrain.networks.channels import Numbers
from memtrain.networks.rotary import RealRotary, Rotary

OUTPUTS = ("parameters", "memory_after")
"""What a step returns: the head's parameters of `y_t`, `[B, P]`, and `m_t`, `[B, K, D]`."""
MEMORY = "memory"
"""The input that carries `m_{t-1}`, `[B, K, D]`; the others are those of `example_inputs`."""
MISSING_ABOVE = 1.2
"""Standard normal numbers that stand for missing cells in examples: one in nine."""


class ExportStep(nn.Module):
    """One timestep of an RNN, on the CPU, in float32 and without complex numbers: a copy, which no training changes.

    Args:
        rnn: what is exported.
    """

    def __init__(self, rnn: RNN) -> None:
        super().__init__()
        self.rnn = copy.deepcopy(rnn).cpu().float().eval().requires_grad_(False)
        use_real_rotations(self.rnn)

    def forward(self, inputs: Tensor, memory: Tensor, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RNN.stream`: `x_t`, `m_{t-1}` and, where the data know any, `u_{t+1}`, to parameters and `m_t`."""
        cell = self.rnn.cell
        memory = cell.update(memory, cell.project(self.rnn.embedding(inputs)))
        return self.rnn.read(memory, ahead), memory

    def initial_memory(self, batch: int) -> Tensor:
        """`m_init` for each sample, `[B, K, D]`."""
        return self.rnn.initial_memory(batch).contiguous()

    @property
    def largest_batch(self) -> int:
        """Samples that a program takes at once: attention is cut beyond, also in cells that make one of each token."""
        return MOST_SAMPLES // self.rnn.cell.memory_tokens

    def program(self, inputs: Mapping[str, Tensor]) -> torch.export.ExportedProgram:
        """The step as a graph of torch's operations, with a free batch axis.

        Args:
            inputs: of one timestep, as `example_inputs` gives them.

        Raises:
            ValueError: for a cell with operations that no graph can hold, naming it and what torch said.
        """
        batch = {0: torch.export.Dim("batch", min=1, max=self.largest_batch)}
        (size,) = {len(value) for value in inputs.values()}
        arguments = {**inputs, MEMORY: self.initial_memory(size)}
        try:
            with silence():
                program = torch.export.export(self, (), arguments, dynamic_shapes={name: batch for name in arguments})
        except Exception as error:  # torch names no common class, and a user's own code runs within
            raise cannot_export(self.rnn, error) from error
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        return program


def use_real_rotations(network: nn.Module) -> None:
    """Put a `RealRotary` in the place of every `Rotary`."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Rotary):
                setattr(module, name, RealRotary(child))


def cannot_export(rnn: RNN, error: Exception) -> ValueError:
    """One sentence on a step that no format takes."""
    said = " ".join((str(error) or type(error).__name__).split())
    said = said.partition(". ")[0].removesuffix(".")[:300]
    return ValueError(
        f"network.cell is {type(rnn.cell).__name__}, whose step cannot be exported: torch says {said!r}; write step "
        "without branches and Python numbers that depend on tensors, and with x.shape[0] in place of len(x), or export "
        "with --format safetensors."
    )


@singledispatch
def example_inputs(description: InputDescription, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Inputs of one timestep as `ExportStep.forward` takes them, random but valid.

    A new kind of inputs registers its own: `example_inputs.register`.

    Args:
        description: what the inputs are.
        batch: samples, B.
        generator: of the draws.

    Returns:
        `[B, ...]` each, by name.

    Raises:
        ValueError: for inputs of a kind that nothing is registered for.
    """
    raise ValueError(
        f"The inputs are {description}, and no step with such inputs can be exported; register them with "
        "memtrain.export.example_inputs and memtrain.export.row_format."
    )


@example_inputs.register
def _(description: Tokens, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    return {"inputs": torch.randint(description.vocabulary_size, (batch,), generator=generator)}


@example_inputs.register
def _(description: Channels, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    inputs = {"inputs": description.pack(example_rows(description, batch, generator))}
    if description.known_ahead:
        inputs["ahead"] = description.pack_ahead(example_rows(description, batch, generator))
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def example_rows(description: Channels, batch: int, generator: torch.Generator) -> Numbers:
    """Rows of the training split's spread, of any category, and some cells missing, `[B, C]`."""
    normal = torch.randn(batch, len(description.channels), generator=generator, dtype=torch.float64).numpy()
    uniform = torch.rand(normal.shape, generator=generator, dtype=torch.float64).numpy()
    columns = [
        np.floor(uniform[:, i] * channel.categories) if channel.categories else channel.unscaled(normal[:, i])
        for i, channel in enumerate(description.channels)
    ]
    return np.where(normal > MISSING_ABOVE, np.nan, np.stack(columns, axis=-1))


def ports(step: ExportStep, inputs: Mapping[str, Tensor]) -> dict[str, list[dict[str, Any]]]:
    """Names, types and shapes of what a step takes and gives, as YAML primitives."""
    given = {**inputs, MEMORY: step.initial_memory(len(next(iter(inputs.values()))))}
    returned = dict(zip(OUTPUTS, step(**given), strict=True))
    return {
        side: [
            {
                "name": name,
                "type": str(value.dtype).removeprefix("torch."),
                "shape": ["batch", *value.shape[1:]],
            }
            for name, value in values.items()
        ]
        for side, values in (("inputs", given), ("outputs", returned))
    }
