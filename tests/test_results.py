"""The result of a stage: what is written is read, and anything else is told in one sentence."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from memtrain.costs import Counters
from memtrain.results import DivergedStage, Evaluation, Score, StageResult, read_result, write_result

RESULT = StageResult(
    experiment="stack",
    method="smt_dmt",
    stages=["smt", "dmt"],
    stage="dmt",
    seed=3,
    module="memtrain.training.DMTModule",
    score=Score("accuracy", higher_is_better=True),
    reading="rnn",
    trained=["rnn"],
    parameters={"teacher": 200, "rnn": 100},
    learning_rate=3e-4,
    data={"length": 8},
    costs=Counters(100, 6400, 1.5, 1.25, 10**12, 64),
    evaluations=[
        Evaluation("test", {"teacher": {"loss": 0.5}, "rnn": {"loss": 0.25, "accuracy": 1.0}}, {}, {}, difficulty)
        for difficulty in (64, 0.5, None)
    ],
    fingerprint="f",
    recipe="r",
    conditions="c",
    provenance={"commit": None, "versions": {"torch": "2"}},
    difficulty_name="length",
    difficulty=64,
    encoder="causal",
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", RESULT)
    assert read_result(tmp_path / "result.json") == RESULT
    assert RESULT.is_last
    assert read_result(tmp_path / "other.json") is None


def test_a_metric_that_is_not_finite_is_none(tmp_path: Path) -> None:
    RESULT.evaluations[0].readings["teacher"]["loss"] = math.nan
    write_result(tmp_path / "result.json", RESULT)
    result = read_result(tmp_path / "result.json")
    RESULT.evaluations[0].readings["teacher"]["loss"] = 0.5
    assert isinstance(result, StageResult)
    assert result.evaluations[0].readings["teacher"] == {"loss": None}


def test_a_diverged_stage_is_read_as_one(tmp_path: Path) -> None:
    diverged = DivergedStage("The loss is nan at step 3.", "f")
    write_result(tmp_path / "result.json", diverged)
    assert read_result(tmp_path / "result.json") == diverged


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": None}, "score"),
        ({"seed": "one"}, "seed: Expected a <class 'int'>"),
        ({"metric": "accuracy"}, "'metric' is not accepted"),
        ({"evaluations": [{"split": "test"}]}, "evaluations: the following arguments are required: readings"),
        ({"costs": {"steps": 3}}, "required: costs.tokens"),
    ],
)
def test_a_result_of_another_version_is_told_in_one_sentence(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    write_result(path, RESULT)
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    start = re.escape(f"{path} is no result of this version of memtrain (")
    with pytest.raises(
        ValueError, match=f"{start}.*{re.escape(sentence)}.*remove {tmp_path}, and run it again"
    ) as told:
        read_result(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("content", "sentence"), [("[]", "is no result of a stage"), ("{", "is no JSON")])
def test_a_file_that_is_no_result_is_told(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_result(tmp_path / "result.json")
