"""NetworkOptions: refusals, and the way to YAML primitives."""

from functools import partial

import pytest
import yaml

from memtrain.networks import NetworkOptions
from memtrain.networks.cells import MLPCell


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("width", 0, "network.width is 0, but must be at least 1; choose for example 64."),
        ("memory_tokens", -1, "network.memory_tokens is -1, but must be at least 1; choose for example 4."),
        (
            "context_length",
            0,
            "network.context_length is 0, but must be at least 1; choose for example 64, or null for",
        ),
        ("short_convolution", -2, "network.short_convolution is -2, but must be at least 0; choose for example 2 taps"),
    ],
)
def test_impossible_sizes_are_refused_in_one_sentence(name: str, value: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        NetworkOptions(**{name: value})


def test_primitives_are_plain_yaml_and_name_the_cell() -> None:
    primitive = NetworkOptions(width=32, cell=partial(MLPCell, layers=3)).to_primitive()
    assert yaml.safe_load(yaml.safe_dump(primitive)) == primitive
    assert primitive["width"] == 32
    assert primitive["cell"] == {
        "class_path": "memtrain.networks.cells.mlp.MLPCell",
        "init_args": {"layers": 3, "hidden": None},  # defaults written out, so that two checkpoints can be compared
    }
