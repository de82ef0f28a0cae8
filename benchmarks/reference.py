"""The authors' code, imported from a checkout of github.com/akarshkumar0101/smt and never copied."""

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from benchmarks.settings import Size


@dataclass(frozen=True)
class Reference:
    """Their two files that are measured.

    Attributes:
        model: `src/model.py`: teacher, RNN, and the forward passes of SMT, DMT and BPTT.
        synthetic: `src/my_datasets/synthetic.py`: the probes' generators.
        digests: SHA-256 of either file, by name.
    """

    model: ModuleType
    synthetic: ModuleType
    digests: dict[str, str]

    def networks(self, size: Size) -> tuple[Any, Any]:
        """Their teacher and RNN, in the sizes of ours."""
        shared = {
            "vocab_size": size.vocabulary,
            "mem_size": size.memory_tokens * size.width,
            "mem_tokens": size.memory_tokens,
            "d_model": size.width,
            "decoder_depth": size.decoder_layers,
            "n_heads": size.heads,
        }
        teacher: nn.Module = self.model.Teacher(self.model.TeacherConfig(**shared, encoder_depth=size.encoder_layers))
        rnn: nn.Module = self.model.RNN(self.model.RNNConfig(**shared, rnn_depth=size.cell_layers))
        return teacher, rnn


def load_reference(checkout: Path) -> Reference:
    """Import their code.

    Args:
        checkout: root of a checkout of their repository.

    Raises:
        FileNotFoundError: where a file is missing.
    """
    files = {"model": checkout / "src" / "model.py", "synthetic": checkout / "src" / "my_datasets" / "synthetic.py"}
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(
                f"reference is {checkout}, but {file} does not exist; "
                "give a checkout of github.com/akarshkumar0101/smt."
            )
    modules = {name: load_file(f"smt_reference_{name}", file) for name, file in files.items()}
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files.values()}
    return Reference(**modules, digests=digests)


def load_file(name: str, file: Path) -> ModuleType:
    """Import one file as the module `name`."""
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
