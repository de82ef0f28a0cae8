"""Against the authors' code itself, at toy size; skipped where there is no checkout of it."""

import os
from pathlib import Path

import pytest

from benchmarks import parity
from benchmarks.parity import check_parity
from benchmarks.reference import Reference, load_reference
from benchmarks.settings import SMALL, Setting
from benchmarks.workloads import WORKLOADS, Workload

CHECKOUT = os.environ.get("MEMTRAIN_REFERENCE")
pytestmark = pytest.mark.skipif(
    CHECKOUT is None, reason="MEMTRAIN_REFERENCE names no checkout of github.com/akarshkumar0101/smt"
)
AGAINST_AUTHORS = [workload for workload in WORKLOADS if workload.name[0] not in "HIJ"]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return load_reference(Path(str(CHECKOUT)))


def test_both_sides_compute_the_same(reference: Reference) -> None:
    differences = check_parity(reference, Setting(SMALL, batch=8).quick())
    assert differences.keys() >= {"encoding", "one-step prediction", "readout", "rollout", "DMT imitation loss"}
    assert max(differences.values()) < 1e-5


def test_a_difference_is_refused(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "carry_rnn", lambda theirs, ours, readout: None)
    with pytest.raises(ValueError, match="one-step prediction of both sides differs by"):
        check_parity(reference, Setting(SMALL, batch=8).quick())


@pytest.mark.parametrize("workload", AGAINST_AUTHORS, ids=lambda workload: workload.name)
def test_both_sides_of_a_workload_do_equal_work(workload: Workload, reference: Reference) -> None:
    quick = Workload(workload.name, 1.0, "", workload.setting.quick(), workload.build, workload.options)
    pair = quick.pair(reference)
    assert pair.work.keys() == {"ours", "theirs"}
    assert pair.theirs is not None
    pair.theirs.run()
