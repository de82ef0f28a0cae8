"""Solvers as options: YAML names them by class path, and checkpoints hold them as primitives."""

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from memtrain.networks.cells import Cell
from memtrain.trajectory import Detached, Newton, Picard, Sequential, Solver, Trajectory, Windows, rollout


class Own(Solver):
    """A user's way: the rollout, its states scaled."""

    def __init__(self, scale: float = 2.0) -> None:
        self.scale = scale

    def solve(
        self, cell: Cell, memory: Tensor, inputs: Tensor, labels: Tensor, guess: Tensor | None = None
    ) -> Trajectory:
        states = self.scale * rollout(cell, memory, inputs)[:, labels]
        return Trajectory.known(states, inputs.shape[1], 1, gradient_chain=1)


class Stage:
    """Stands for a module that takes a trajectory and windows."""

    def __init__(self, trajectory: Solver | None = None, windows: Windows | None = None) -> None:
        self.trajectory, self.windows = trajectory, windows


def parse(options: dict[str, object]) -> Stage:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Stage, "model")
    return parser.instantiate(
        parser.parse_object({"model": {"class_path": f"{__name__}.Stage", "init_args": options}})
    ).model


@pytest.mark.parametrize(
    "solver",
    [
        Sequential(),
        Sequential("scan"),
        Sequential(truncation=5),
        Picard(sweeps=7),
        Newton(guess="zeros", tolerance=1e-4, window=None),
        Newton(teacher_forcing=[1.0, 0.0]),
        Detached(),
        Detached(Picard(sweeps=0)),
        Detached(Newton(teacher_forcing=0.5)),
    ],
    ids=str,
)
def test_primitives_rebuild_a_solver(solver: Solver) -> None:
    assert parse({"trajectory": solver.to_primitive()}).trajectory == solver


def test_yaml_names_a_solver_and_those_inside_it() -> None:
    inner = {"class_path": "Picard", "init_args": {"sweeps": 0}}
    named = {"class_path": "memtrain.trajectory.Detached", "init_args": {"trajectory": inner}}
    assert parse({"trajectory": named}).trajectory == Detached(Picard(sweeps=0))


def test_a_solver_of_ones_own_is_an_option_like_the_others(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    primitive = {"class_path": f"{__name__}.Own", "init_args": {"scale": 3.0}}
    own = parse({"trajectory": primitive}).trajectory
    assert own.to_primitive() == primitive
    assert not own.needs_guess
    assert not own.takes_guess
    assert own.at(3, 10) is own
    own.check(cell)
    labels = torch.tensor([6])
    states = Detached(own).solve(cell, start, embeddings, labels).states
    before = 3 * rollout(cell, start, embeddings)[:, 5]
    torch.testing.assert_close(states[:, 0], cell.step(before, embeddings[:, 6]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("windows", [Windows(), Windows(starts=4, length=[4, None], label_stride=2)], ids=str)
def test_primitives_rebuild_windows(windows: Windows) -> None:
    assert parse({"windows": windows.to_primitive()}).windows == windows
