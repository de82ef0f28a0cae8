"""ONNX Runtime: an exported step on torch tensors."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from memtrain.export.requirements import installed_version
from memtrain.export.step import MEMORY

Run = Callable[[Mapping[str, Tensor], Tensor], tuple[Tensor, Tensor]]
"""The inputs of one timestep by name, `[B, ...]` each, and `m_{t-1}` `[B, K, D]`, to parameters `[B, P]` and `m_t`."""

THREADS = 1
"""Of the processor, where no number is given: a step is too small to be shared."""


def onnx_run(file: Path, threads: int = THREADS) -> Run:
    """Run an exported step in ONNX Runtime.

    Args:
        file: the ONNX graph of a step.
        threads: of the processor.

    Raises:
        ModuleNotFoundError: if ONNX Runtime is not installed.
        ValueError: for a file that it does not take.
    """
    installed_version("onnxruntime", "running an ONNX export")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common public class
        raise ValueError(f"{file} is no ONNX graph that runs here ({' '.join(str(error).split())[:200]}).") from error

    def run(inputs: Mapping[str, Tensor], memory: Tensor) -> tuple[Tensor, Tensor]:
        given = {name: value.numpy() for name, value in inputs.items()}
        parameters, after = session.run(None, {**given, MEMORY: memory.numpy()})
        return torch.from_numpy(parameters), torch.from_numpy(after)

    return run
