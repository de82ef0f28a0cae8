"""Newton trajectories are the rollout, with its gradients, or are solved by another way: never something else."""

import logging
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from memtrain.networks.cells import Cell, MLPCell, ParaGRUCell, ParaLSTMCell, TransformerCell
from memtrain.networks.memory import normalize_memory
from memtrain.trajectory import Fallback, Newton, NewtonTrajectory, Recurrence, rollout
from memtrain.trajectory.guess import first_guess, relative_size

EXACT = Newton(tolerance=1e-12, maximum_iterations=60, patience=60)


class LinearCell(Cell):
    """`m_{t+1} = A m_t + x_{t+1}`, with a dense A that lets perturbations grow."""

    def __init__(self, size: int) -> None:
        super().__init__(size, 1, "rms")
        self.register_buffer("matrix", torch.randn(size, size, dtype=torch.float64) / size**0.5 * 1.2)

    def step(self, memory: Tensor, embedding: Tensor) -> Tensor:
        return memory @ self.matrix.T + embedding.unsqueeze(1)


def hard_cell(kind: type[Cell] = ParaGRUCell, scale: float = 2.0) -> Cell:
    """Recurrent weights ~ N(0, scale^2), float64: Newton's method needs many iterations."""
    cell = kind(16, 2, "tanh").double()
    with torch.no_grad():
        cell.recurrent.normal_(0, scale)
    return cell


def hard_problem(length: int = 128) -> tuple[Tensor, Tensor]:
    """Initial memories `[3, 2, 16]` and inputs `[3, T, 16]`; the last sample's inputs leave its gates no choice."""
    embeddings = torch.randn(3, length, 16, dtype=torch.float64)
    embeddings[2] *= 1e6
    return torch.randn(3, 2, 16, dtype=torch.float64).tanh(), embeddings


PLAIN = Newton()


def solve(
    cell: Cell, start: Tensor, embeddings: Tensor, solver: Newton = PLAIN, teacher: Tensor | None = None
) -> NewtonTrajectory:
    """All states of a rollout."""
    return solver.solve(cell, start, embeddings, torch.arange(embeddings.shape[1]), teacher)


def gradients(states: Tensor, cell: Cell, *variables: Tensor) -> list[Tensor]:
    """Of a fixed random projection of `states`, in the variables and all parameters."""
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3), dtype=states.dtype)
    return list(torch.autograd.grad((states * direction).sum(), [*variables, *cell.parameters()]))


@pytest.mark.parametrize("jacobian", ["auto", "diagonal"])
def test_states_and_all_gradients_are_those_of_the_rollout(
    cell: Cell, start: Tensor, embeddings: Tensor, jacobian: str
) -> None:
    start.requires_grad_()
    embeddings.requires_grad_()
    trajectory = solve(cell, start, embeddings, replace(EXACT, jacobian=jacobian))
    expected = rollout(cell, start, embeddings)
    torch.testing.assert_close(trajectory.states, expected, rtol=1e-10, atol=1e-10)
    assert trajectory.converged.shape == (2, 7)
    assert trajectory.converged.all()
    assert trajectory.fallback.tolist() == [Fallback.NONE] * 2
    for of_newton, of_rollout in zip(
        gradients(trajectory.states, cell, start, embeddings), gradients(expected, cell, start, embeddings), strict=True
    ):
        torch.testing.assert_close(of_newton, of_rollout, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scan", ["loop", "chunked", "blelloch"])
@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell])
def test_long_trajectories_have_the_gradients_of_the_rollout_too(kind: type[Cell], scan: str) -> None:
    cell = hard_cell(kind, scale=1.0)
    start, embeddings = hard_problem(length=301)
    start.requires_grad_()
    trajectory = solve(cell, start, embeddings, replace(EXACT, scan=scan))
    expected = rollout(cell, start, embeddings)
    torch.testing.assert_close(trajectory.states, expected, rtol=1e-10, atol=1e-10)
    for of_newton, of_rollout in zip(
        gradients(trajectory.states, cell, start), gradients(expected, cell, start), strict=True
    ):
        torch.testing.assert_close(of_newton, of_rollout, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell, MLPCell])
def test_gradients_pass_gradcheck(kind: type[Cell]) -> None:
    cell = kind(2, 1, "tanh").double()
    start = torch.rand(2, 1, 2, dtype=torch.float64, requires_grad=True)
    embeddings = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    variables = (start, embeddings, *cell.parameters())
    assert torch.autograd.gradcheck(lambda m, x, *_: solve(cell, m, x, EXACT).states, variables)


def test_a_linear_cell_converges_in_one_iteration() -> None:
    cell = LinearCell(6)
    start, embeddings = torch.randn(2, 1, 6, dtype=torch.float64), torch.randn(2, 9, 6, dtype=torch.float64)
    trajectory = solve(cell, start, embeddings, replace(EXACT, guess="zeros"))
    assert trajectory.iterations.tolist() == [1, 1]
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings))


@pytest.mark.parametrize("jacobian", ["auto", "diagonal"])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_after_k_iterations_the_first_k_states_are_exact_and_later_ones_are_not(jacobian: str, iterations: int) -> None:
    for cell in (hard_cell(), hard_cell(ParaLSTMCell), MLPCell(16, 2, "tanh", hidden=8).double()):
        start, embeddings = (x[:2] for x in hard_problem(7))
        guess = torch.rand(2, 7, 2, 16, dtype=torch.float64)
        options = Newton(jacobian, tolerance=1e-300, maximum_iterations=iterations, patience=99)
        states = options.iteration.attempt(Recurrence.of(cell, embeddings), guess, start).states
        exact = rollout(cell, start, embeddings)
        torch.testing.assert_close(states[:, :iterations], exact[:, :iterations], rtol=1e-12, atol=1e-12)
        assert (states[:, -1] - exact[:, -1]).abs().max() > 1e-9


# Failure


def test_three_unchecked_iterations_at_a_large_scale_are_wrong() -> None:
    """Why every solution is checked: ParaRNN always stops after three iterations."""
    cell = hard_cell()
    start, embeddings = hard_problem()
    recurrence = Recurrence.of(cell, embeddings)
    guess = first_guess(recurrence, start, "input", None)
    attempt = Newton(maximum_iterations=3).iteration.attempt(recurrence, guess, start)
    exact = rollout(cell, start, embeddings)
    assert (attempt.states - exact).abs().max() > 0.1
    assert attempt.converged.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("window", "iterations", "way"),
    [(None, 4, Fallback.SEQUENTIAL), (4, 4, Fallback.WINDOWS), (32, 3, Fallback.SEQUENTIAL)],
)
def test_failing_samples_are_solved_by_another_way_and_others_are_not_touched(
    window: int | None, iterations: int, way: Fallback
) -> None:
    """A window of 4 steps needs 4 iterations at most; of 32 steps, 3 are not enough."""
    cell = hard_cell()
    start, embeddings = hard_problem()
    start.requires_grad_()
    options = replace(EXACT, maximum_iterations=iterations, window=window)
    with pytest.warns(UserWarning, match=r"some samples did not converge\. They were solved in windows"):
        trajectory = solve(cell, start, embeddings, options)
    exact = rollout(cell, start, embeddings)
    torch.testing.assert_close(trajectory.states, exact, rtol=1e-10, atol=1e-10)
    assert trajectory.fallback.tolist() == [way, way, Fallback.NONE]
    assert trajectory.converged.all()
    updates = trajectory.iterations[:2]
    assert (updates == iterations).all() if window is None else (updates > iterations).all()
    alone = solve(cell, start[2:], embeddings[2:], options)
    assert torch.equal(alone.states[0], trajectory.states[2])
    for of_newton, of_rollout in zip(
        gradients(trajectory.states, cell, start), gradients(exact, cell, start), strict=True
    ):
        torch.testing.assert_close(of_newton, of_rollout, rtol=1e-8, atol=1e-8)


def test_a_sample_whose_later_window_fails_is_rolled_out_from_its_start() -> None:
    """The first half of the inputs leaves the gates little choice, so that its windows pass a coarse tolerance."""
    cell = hard_cell()
    start, embeddings = (x[:1] for x in hard_problem())
    embeddings[:, :64] *= 1.5
    with pytest.warns(UserWarning, match="did not converge"):
        trajectory = solve(cell, start, embeddings, replace(EXACT, tolerance=1e-2, maximum_iterations=5, window=32))
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings), rtol=0, atol=1e-12)
    assert trajectory.fallback.tolist() == [Fallback.SEQUENTIAL]
    assert trajectory.sequential_steps > embeddings.shape[1]


def test_a_guess_with_nan_is_not_mended_but_solved_by_another_way() -> None:
    cell = hard_cell(scale=0.5)
    start, embeddings = hard_problem(9)
    teacher = torch.zeros(3, 9, 2, 16, dtype=torch.float64)
    teacher[1, 4] = torch.nan
    with pytest.warns(UserWarning, match="did not converge"):
        trajectory = solve(cell, start, embeddings, replace(EXACT, guess="teacher", window=3), teacher)
    assert trajectory.fallback.tolist() == [Fallback.NONE, Fallback.SEQUENTIAL, Fallback.NONE]
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings))


def test_failures_are_counted_in_the_log_and_success_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    cell = hard_cell()
    start, embeddings = hard_problem()
    with caplog.at_level(logging.INFO, "memtrain"), pytest.warns(UserWarning, match="did not converge"):
        solve(cell, start, embeddings, replace(EXACT, maximum_iterations=3))
    assert "newton: 2 of 3 samples failed" in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(cell, start[2:], embeddings[2:], EXACT)


def test_a_sample_has_converged_if_its_residual_is_within_the_tolerance_and_not_otherwise() -> None:
    cell = hard_cell(scale=0.5)
    start, embeddings = (x[:1] for x in hard_problem())
    recurrence = Recurrence.of(cell, embeddings)
    guess = first_guess(recurrence, start, "zeros", None)
    residual = (
        Newton(tolerance=1e-300, maximum_iterations=3).iteration.attempt(recurrence, guess, start).residual.item()
    )
    for tolerance, converged in ((residual, True), (0.99 * residual, False)):
        attempt = Newton(tolerance=tolerance, maximum_iterations=3).iteration.attempt(recurrence, guess, start)
        assert attempt.converged.item() is converged


def test_an_iteration_that_makes_no_progress_stops_early() -> None:
    cell = hard_cell(scale=8.0)
    start, embeddings = hard_problem(512)
    recurrence = Recurrence.of(cell, embeddings[:2])
    guess = first_guess(recurrence, start[:2], "zeros", None)
    attempt = Newton(maximum_iterations=200, patience=4).iteration.attempt(recurrence, guess, start[:2])
    assert not attempt.converged.any()
    assert (attempt.iterations < 100).all()


def test_keeping_bounded_cells_in_their_cube_saves_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = hard_cell()
    start, embeddings = (x[:2] for x in hard_problem(512))
    recurrence = Recurrence.of(cell, embeddings)
    guess = first_guess(recurrence, start, "zeros", None)
    options = replace(EXACT, maximum_iterations=200, patience=200)
    kept = options.iteration.attempt(recurrence, guess, start)
    monkeypatch.setattr(ParaGRUCell, "bounded", False)
    free = options.iteration.attempt(recurrence, guess, start)
    assert kept.converged.all()
    assert ((kept.iterations < free.iterations) | ~free.converged).all()


# What a solution says about itself


def test_the_residual_is_relative_for_large_numbers_and_absolute_for_small_ones() -> None:
    states = torch.tensor([[[[1000.0, 0.01]]], [[[1.0, -2.0]]]])
    defect = torch.tensor([[[[-2.0, 0.001]]], [[[0.0, torch.nan]]]])
    first, second = relative_size(defect, states)
    assert first.item() == pytest.approx(0.002)
    assert second.isnan()


@pytest.mark.parametrize("kind", [ParaGRUCell, ParaLSTMCell])
def test_the_error_estimate_bounds_the_distance_from_the_rollout(kind: type[Cell]) -> None:
    cell = hard_cell(kind, scale=0.5)
    start, embeddings = hard_problem()
    trajectory = solve(cell, start, embeddings, Newton(tolerance=1e-4, guess="zeros"))
    exact = rollout(cell, start, embeddings)
    distance = (trajectory.states - exact).abs().flatten(1).amax(1)
    assert (distance > 1e-12).any()
    assert (distance <= 1.01 * trajectory.error + 1e-12).all()
    assert (trajectory.residual <= 1e-4).all()


def test_samples_stop_by_themselves_and_do_not_mix() -> None:
    cell = hard_cell(scale=1.0)
    start, embeddings = hard_problem()
    together = solve(cell, start, embeddings)
    assert len(set(together.iterations.tolist())) > 1
    updates = int(together.iterations.max())
    # The best guess: images, then their residual; at the end the step with gradient.
    assert together.sequential_steps == updates + 1 + 2 + 1
    for guess, evaluations in (("zeros", 0), ("input", 1)):
        solved = solve(cell, start, embeddings, Newton(guess=guess))
        assert solved.sequential_steps == solved.iterations.max() + 1 + evaluations + 1
    with torch.no_grad():
        alone = solve(cell, start, embeddings)
    one = together.scan_flops // (updates + 1)  # the gradient takes a scan too
    assert (together.scan_flops, alone.scan_flops) == ((updates + 1) * one, updates * one)
    assert alone.sequential_steps == together.sequential_steps - 1
    for sample in range(3):
        alone = solve(cell, start[sample : sample + 1], embeddings[sample : sample + 1])
        assert alone.iterations.item() == together.iterations[sample]
        torch.testing.assert_close(alone.states[0], together.states[sample], rtol=1e-12, atol=1e-12)


def test_means_and_worst_are_what_is_logged_of_a_solution() -> None:
    cell = hard_cell()
    start, embeddings = hard_problem()
    with pytest.warns(UserWarning, match="did not converge"):
        trajectory = solve(cell, start, embeddings, replace(EXACT, maximum_iterations=3, window=None, exponent=True))
    means, worst = trajectory.means(), trajectory.worst()
    assert means["newton_iterations"] == trajectory.iterations.float().mean()
    assert means["newton_fallback"].item() == pytest.approx(2 / 3)
    assert means["newton_exponent"] == trajectory.exponent.mean()
    assert worst == {"newton_residual": trajectory.residual.max(), "newton_error": trajectory.error.max()}


def test_labels_choose_states_and_change_no_statistics() -> None:
    cell = hard_cell(scale=0.5)
    start, embeddings = hard_problem(9)
    labels = torch.tensor([0, 4, 8])
    some, whole = Newton().solve(cell, start, embeddings, labels), solve(cell, start, embeddings)
    assert torch.equal(some.states, whole.states[:, labels])
    assert some.converged.shape == (3, 3)
    assert torch.equal(some.error, whole.error)
    assert (some.sequential_steps, some.gradient_chain) == (whole.sequential_steps, 9)


def test_the_exponent_is_returned_where_it_is_asked_for() -> None:
    cell = ParaGRUCell(4, 1, "tanh").double()
    start, embeddings = torch.zeros(2, 1, 4, dtype=torch.float64), torch.randn(2, 9, 4, dtype=torch.float64)
    assert solve(cell, start, embeddings).exponent is None
    exponent = solve(cell, start, embeddings, Newton(exponent=True)).exponent
    assert exponent.shape == (2,)
    assert (exponent < 0).all()


@pytest.mark.parametrize("kind", [ParaGRUCell, MLPCell])
def test_it_computes_in_float32_under_bfloat16_autocast(kind: type[Cell]) -> None:
    cell = kind(8, 2, "tanh")
    start, embeddings = torch.randn(2, 2, 8).tanh(), torch.randn(2, 9, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trajectory = solve(cell, start, embeddings)
    assert trajectory.fallback.tolist() == [Fallback.NONE] * 2
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings), rtol=1e-4, atol=1e-4)


# Guesses


def test_the_best_guess_is_that_of_the_lowest_residual_sample_by_sample() -> None:
    cell = ParaGRUCell(8, 1, "tanh").double()
    start, embeddings = torch.zeros(3, 1, 8, dtype=torch.float64), torch.randn(3, 9, 8, dtype=torch.float64)
    exact = rollout(cell, start, embeddings).detach()
    teacher = exact + torch.tensor([0.0, 0.0, 5.0], dtype=torch.float64)[:, None, None, None]
    recurrence = Recurrence.of(cell, embeddings)
    best = first_guess(recurrence, start, "best", teacher)
    assert torch.equal(best[:2], exact[:2])
    assert not torch.equal(best[2], teacher[2])
    trajectory = solve(cell, start, embeddings, EXACT, teacher)
    assert trajectory.iterations.tolist()[:2] == [0, 0]
    torch.testing.assert_close(trajectory.states, exact, rtol=1e-10, atol=1e-10)


def test_a_guess_with_nan_is_never_the_best() -> None:
    cell = ParaGRUCell(4, 1, "tanh")
    recurrence = Recurrence.of(cell, torch.randn(1, 5, 4))
    best = first_guess(recurrence, torch.zeros(1, 1, 4), "best", torch.full((1, 5, 1, 4), torch.nan))
    assert best.isfinite().all()


def test_the_guess_input_is_the_image_of_zero(cell: Cell, start: Tensor, embeddings: Tensor) -> None:
    """The first state has the memory that the rollout starts from, and is exact."""
    guess = first_guess(Recurrence.of(cell, embeddings), start, "input", None)
    torch.testing.assert_close(guess[:, 0], cell.step(start, embeddings[:, 0]))
    torch.testing.assert_close(guess[:, 4], cell.step(torch.zeros_like(start), embeddings[:, 4]))


@pytest.mark.parametrize("guess", ["zeros", "input", "teacher", "best"])
def test_every_guess_leads_to_the_same_solution(guess: str) -> None:
    cell = hard_cell(ParaLSTMCell, scale=0.5)
    start, embeddings = hard_problem(33)
    teacher = torch.rand(3, 33, 2, 16, dtype=torch.float64)
    trajectory = solve(cell, start, embeddings, replace(EXACT, guess=guess), teacher)
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings), rtol=1e-10, atol=1e-10)


# Teacher forcing


@pytest.fixture
def teacher(cell: Cell) -> Tensor:
    raw = torch.randn(2, 7, cell.memory_tokens, cell.width, dtype=torch.float64)
    return normalize_memory(raw, cell.memory_normalization)


def test_alpha_one_feeds_what_smt_feeds(cell: Cell, start: Tensor, embeddings: Tensor, teacher: Tensor) -> None:
    """`f(m_{t-1}, x_t)` on the teacher's memories, after one iteration: nothing is passed on but the first memory."""
    trajectory = solve(cell, start, embeddings, replace(EXACT, teacher_forcing=1.0, guess="zeros"), teacher)
    fed = torch.cat([start.unsqueeze(1), teacher[:, :-1]], dim=1)
    expected = torch.stack([cell.step(fed[:, t], embeddings[:, t]) for t in range(7)], dim=1)
    torch.testing.assert_close(trajectory.states, expected, rtol=1e-11, atol=1e-11)
    assert trajectory.iterations.tolist() == [1, 1]


def test_alpha_zero_is_the_rollout(cell: Cell, start: Tensor, embeddings: Tensor, teacher: Tensor) -> None:
    trajectory = solve(cell, start, embeddings, replace(EXACT, teacher_forcing=0.0), teacher)
    torch.testing.assert_close(trajectory.states, rollout(cell, start, embeddings), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("maximum_iterations", [60, 1])
def test_between_them_states_and_gradients_are_those_of_the_forced_rollout(
    cell: Cell, start: Tensor, embeddings: Tensor, teacher: Tensor, maximum_iterations: int
) -> None:
    """With one iteration all samples are solved in windows or step by step, with the forcing in the right place."""
    start.requires_grad_()
    embeddings.requires_grad_()
    options = replace(EXACT, teacher_forcing=0.4, maximum_iterations=maximum_iterations, window=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        states = solve(cell, start, embeddings, options, teacher).states
    expected = Recurrence.of(cell, embeddings, teacher, 0.4).rollout(start)
    torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-10)
    for of_newton, of_rollout in zip(
        gradients(states, cell, start, embeddings), gradients(expected, cell, start, embeddings), strict=True
    ):
        torch.testing.assert_close(of_newton, of_rollout, rtol=1e-10, atol=1e-10)


def test_teacher_forcing_goes_through_its_values_over_the_stage() -> None:
    solver = Newton(teacher_forcing=[1.0, 0.5, 0.0, 0.0])
    found = [solver.at(step, 7).teacher_forcing for step in range(7)]
    assert found == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0])
    assert Newton(teacher_forcing=0.3).at(5, 7) == Newton(teacher_forcing=0.3)


@pytest.mark.parametrize(
    ("options", "needs", "takes"),
    [
        ({}, False, True),
        ({"guess": "zeros"}, False, False),
        ({"guess": "teacher"}, True, True),
        ({"guess": "zeros", "teacher_forcing": 0.5}, True, True),
        ({"guess": "zeros", "teacher_forcing": [1.0, 0.0]}, True, True),
        ({"guess": "zeros", "teacher_forcing": [0.0]}, False, False),
    ],
)
def test_it_says_whether_it_reads_the_teachers_memories(options: dict[str, object], needs: bool, takes: bool) -> None:
    solver = Newton(**options)
    assert (solver.needs_guess, solver.takes_guess) == (needs, takes)


def test_teacher_forcing_makes_a_hard_cell_easy() -> None:
    cell = hard_cell()
    start, embeddings = (x[:2] for x in hard_problem())
    teacher = torch.zeros(2, 128, 2, 16, dtype=torch.float64)
    needed = []
    for alpha in (0.0, 0.3, 0.6):
        recurrence = Recurrence.of(cell, embeddings, teacher, alpha)
        options = replace(EXACT, maximum_iterations=128, patience=128)
        guess = first_guess(recurrence, start, "input", None)
        needed.append(options.iteration.attempt(recurrence, guess, start).iterations.max().item())
    assert needed[0] > needed[1] > needed[2]


# Refusals


def test_a_cell_that_has_no_small_jacobian_is_refused() -> None:
    with pytest.raises(ValueError, match="set trajectory to Picard, or to Sequential with adjoint autograd"):
        solve(TransformerCell(32, 4, "rms"), torch.randn(1, 4, 32), torch.randn(1, 3, 32))


def test_a_guess_of_teacher_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Newton\.guess is teacher, but there are no teacher memories"):
        solve(ParaGRUCell(4, 1, "tanh"), torch.zeros(1, 1, 4), torch.zeros(1, 3, 4), Newton(guess="teacher"))


def test_teacher_forcing_without_a_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Newton\.teacher_forcing is 0\.5, but there are no teacher memories"):
        solve(ParaGRUCell(4, 1, "tanh"), torch.zeros(1, 1, 4), torch.zeros(1, 3, 4), Newton(teacher_forcing=0.5))


def test_a_list_of_teacher_forcing_is_for_a_whole_stage() -> None:
    with pytest.raises(ValueError, match="a trajectory is solved with one value; call `at`"):
        solve(ParaGRUCell(4, 1, "tanh"), torch.zeros(1, 1, 4), torch.zeros(1, 3, 4), Newton(teacher_forcing=[1.0, 0.0]))


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        ("tolerance", 0.0, r"Newton\.tolerance is 0\.0, but must be above 0"),
        ("tolerance", float("nan"), r"Newton\.tolerance is nan, but must be above 0"),
        (
            "teacher_forcing",
            1.5,
            r"Newton\.teacher_forcing is 1\.5, but must lie between 0 and 1; choose for example 0",
        ),
        ("teacher_forcing", [1.0, -0.5], r"Newton\.teacher_forcing is -0\.5, but must lie between 0 and 1"),
        ("teacher_forcing", [], r"Newton\.teacher_forcing is empty"),
        ("maximum_iterations", -1, r"Newton\.maximum_iterations is -1, but must be at least 0"),
        ("patience", 0, r"Newton\.patience is 0, but must be at least 1"),
        ("window", 0, r"Newton\.window is 0, but must be at least 1"),
    ],
)
def test_impossible_options_are_refused(option: str, value: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Newton(**{option: value})
