"""A whole number of batches is that many, a share is that share, whatever was imported before."""

import json
import subprocess
import sys

import pytest

from memtrain.fit import resolve

PARTS = {
    "model": {"class_path": "memtrain.training.BPTTModule"},
    "data": {"class_path": "memtrain.data.Retrieval", "init_args": {"length": 8}},
}
LIMITS = ("limit_val_batches", "limit_test_batches", "limit_predict_batches")


@pytest.mark.parametrize("value", [1, 1.0, 2, 0.5, 0, None])
def test_one_batch_is_not_all_batches(value: float | None) -> None:
    found = resolve({**PARTS, "trainer": dict.fromkeys(LIMITS, value)})["trainer"]
    assert [(type(found[name]), found[name]) for name in LIMITS] == [(type(value), value)] * 3


@pytest.mark.slow
def test_one_batch_is_not_all_batches_where_a_library_has_named_the_types_in_another_order() -> None:
    code = (
        "import typing; typing.Optional[typing.Union[float, int]]; import json, sys; from memtrain.fit import resolve;"
        "print(resolve(json.loads(sys.argv[1]))['trainer'])"
    )
    content = json.dumps({**PARTS, "trainer": {"limit_val_batches": 1}})
    done = subprocess.run([sys.executable, "-c", code, content], capture_output=True, text=True, timeout=120)
    assert "'limit_val_batches': 1," in done.stdout, done.stderr
