"""Every workload, at toy size and without the authors' code: both sides that there are run."""

import re

import pytest
import torch

from benchmarks.ours import AuthorsDMT, AuthorsSMT, FixedTimestepSMT, loss_of, our_step, outcome_of
from benchmarks.parity import random_batch
from benchmarks.settings import SMALL, Setting
from benchmarks.workloads import WORKLOADS, Workload
from memtrain.batch import SequenceBatch
from memtrain.training.step import Step
from memtrain.trajectory import Detached, Sequential, Solver, Windows

QUICK = Setting(SMALL, batch=8).quick()
TRAJECTORIES = [Detached(), Sequential()]
TARGETS = {
    "A_bidirectional": 1.3,
    "A_causal": 2,
    "B": 6,
    "C_detached": 12,
    "C_through_time": 6,
    "D": 2.5,
    "E_1": 6,
    "E_8": 4,
    "E_1_onnx": 10,
    "E_8_onnx": 4,
    "F": 1.5,
    "G_stack": 100,
    "H": 0.77,
    "J": 0.95,
}


def test_targets_are_those_that_were_set() -> None:
    assert {w.name: w.target for w in WORKLOADS if not w.name.startswith("I_")} == TARGETS
    assert {w.target for w in WORKLOADS if w.name.startswith("I_")} == {10}


@pytest.mark.parametrize(
    "workload",
    [pytest.param(w, id=w.name, marks=[pytest.mark.slow] if w.name.endswith("onnx") else []) for w in WORKLOADS],
)
def test_a_workload_runs_without_the_reference(workload: Workload) -> None:
    quick = Workload(workload.name, 1.0, "", workload.setting.quick(), workload.build, workload.options)
    pair = quick.pair(None)
    assert pair.ours.units > 0
    pair.ours.run()
    theirs_is_ours_or_plain = bool(re.match("[HIJ]", workload.name))
    assert (pair.theirs is not None) == theirs_is_ours_or_plain
    if pair.theirs is not None:
        pair.theirs.run()


def test_transitions_are_counted_without_the_last_timestep() -> None:
    workload = next(w for w in WORKLOADS if w.name == "B")
    setting = workload.setting.quick()
    pair = Workload("B", 6.0, "", setting, workload.build).pair(None)
    assert pair.ours.units in (setting.batch * setting.timesteps, setting.batch * (setting.timesteps - 1))


def smt_options() -> dict:
    return {"interface": QUICK.size.interface, "network": QUICK.size.network(), "future_length": QUICK.future}


def test_the_timestep_of_smt_is_where_the_authors_train() -> None:
    module = FixedTimestepSMT(context=QUICK.context, **smt_options())
    batch = random_batch(QUICK, QUICK.context + QUICK.future)
    assert module.draw_timesteps(Step.alone(batch)).tolist() == [QUICK.context - 1]
    assert set(outcome_of(module, batch).terms) == {"decoding", "uniformity", "dynamics", "initial"}


def test_the_authors_terms_are_ours_without_the_initial_transition() -> None:
    ours, theirs = (kind(context=QUICK.context, **smt_options()) for kind in (FixedTimestepSMT, AuthorsSMT))
    theirs.load_state_dict(ours.state_dict())
    batch = random_batch(QUICK, QUICK.context + QUICK.future)
    expected = outcome_of(ours, batch).terms
    del expected["initial"]
    torch.testing.assert_close(outcome_of(theirs, batch).terms, expected)


@pytest.mark.parametrize("trajectory", TRAJECTORIES, ids=["detached", "through time"])
def test_the_gradient_of_dmt_reaches_the_cell_and_the_readout_but_not_the_teacher(trajectory: Solver) -> None:
    module = AuthorsDMT(
        context=QUICK.context,
        interface=QUICK.size.interface,
        network=QUICK.size.network(),
        windows=Windows(label_stride=QUICK.label_stride),
        trajectory=trajectory,
    )
    our_step(module, random_batch(QUICK, QUICK.context + QUICK.rollout))()
    trained = {name.split(".")[1] for name, p in module.named_parameters() if p.grad is not None}
    assert trained == {"embedding", "cell", "readout"}
    assert all(p.grad is None for p in module.teacher.parameters())


def test_both_gradients_of_dmt_have_the_same_losses() -> None:
    sizes = {"interface": QUICK.size.interface, "network": QUICK.size.network()}
    options = sizes | {"windows": Windows(label_stride=2)}
    one, other = (AuthorsDMT(context=QUICK.context, trajectory=each, **options) for each in TRAJECTORIES)
    other.load_state_dict(one.state_dict())
    batch = random_batch(QUICK, QUICK.context + QUICK.rollout)
    torch.testing.assert_close(outcome_of(one, batch).terms, outcome_of(other, batch).terms)


def test_the_step_minimises_what_training_does() -> None:
    module = FixedTimestepSMT(context=QUICK.context, **smt_options())
    batch = random_batch(QUICK, QUICK.context + QUICK.future)
    before = loss_of(module, batch)
    step = our_step(module, batch)
    for _ in range(5):
        step()
    assert loss_of(module, batch) < before
    assert isinstance(batch, SequenceBatch)
