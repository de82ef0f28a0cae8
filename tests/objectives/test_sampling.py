"""The random choices of a step are functions of (seed, step), and draw what they promise."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from memtrain.objectives import sample_starts, sample_timesteps, step_generator


def draw(seed: int, step: int, purpose: str) -> list[int]:
    return torch.randint(1_000_000, (4,), generator=step_generator(seed, step, purpose)).tolist()


def test_choices_depend_on_seed_step_and_purpose_alone() -> None:
    torch.manual_seed(1)
    first = draw(3, 17, "timesteps")
    torch.manual_seed(2)
    assert draw(3, 17, "timesteps") == first
    others = [
        draw(4, 17, "timesteps"),
        draw(3, 18, "timesteps"),
        draw(3, 17, "starts"),
        draw(31, 7, "timesteps"),
    ]
    assert all(other != first for other in others)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    sample_timesteps(10, 4, step_generator(0, 0, "timesteps"))
    sample_starts(10, 4, 3, step_generator(0, 0, "starts"))
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 10**6))
def test_timesteps_are_drawn_without_replacement(length: int, count: int, step: int) -> None:
    timesteps = sample_timesteps(length, count, step_generator(0, step, "timesteps")).tolist()
    assert timesteps == sorted(set(timesteps))
    assert len(timesteps) == min(count, length)
    assert set(timesteps) <= set(range(length))


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(1, 25), st.integers(0, 10**6))
def test_half_the_draws_come_from_timesteps_with_a_target(bearing: list[bool], count: int, step: int) -> None:
    generator = step_generator(0, step, "timesteps")
    timesteps = sample_timesteps(len(bearing), count, generator, torch.tensor(bearing)).tolist()
    assert timesteps == sorted(set(timesteps))
    assert len(timesteps) == min(count, len(bearing))
    assert sum(bearing[t] for t in timesteps) >= min((count + 1) // 2, sum(bearing))


def test_a_single_target_at_the_end_is_drawn_in_every_step() -> None:
    bearing = torch.arange(64) == 63
    for step in range(20):
        assert 63 in sample_timesteps(64, 4, step_generator(0, step, "timesteps"), bearing)


def test_all_timesteps_are_equally_likely_without_targets() -> None:
    counts = torch.zeros(8)
    for step in range(2000):
        counts[sample_timesteps(8, 2, step_generator(0, step, "timesteps"))] += 1
    assert (counts / 2000 - 0.25).abs().max() < 0.04  # four standard deviations


@given(st.data())
def test_rollouts_start_once_at_the_beginning_and_else_where_they_fit(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 20))
    window, count = data.draw(st.integers(1, length)), data.draw(st.integers(1, 25))
    starts = sample_starts(length, window, count, step_generator(0, data.draw(st.integers(0, 99)), "starts")).tolist()
    assert starts == sorted(set(starts))
    assert starts[0] == -1
    assert len(starts) == min(count, length - window + 1)
    assert all(start + window <= length - 1 for start in starts)  # the last input of a window is x_{start + window}
