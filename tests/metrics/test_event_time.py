"""The error of an event's time, worked by hand."""

import pytest
import torch

from memtrain.metrics import event_time_error


def test_the_error_is_the_distance_from_the_highest_hazard_to_the_event() -> None:
    hazards = torch.tensor([[0.1, 0.7, 0.2, 0.1], [0.1, 0.2, 0.3, 0.9], [0.5, 0.5, 0.1, 0.1]])
    events = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=torch.bool)
    assert event_time_error(hazards, events).tolist() == [2.0, 0.0, 1.0]  # ties and several events: the first counts


def test_a_window_without_event_has_no_error_and_does_not_count_in_the_mean() -> None:
    hazards = torch.tensor([[[-3.0, 2.0], [4.0, 0.0]]])  # logits do as well
    events = torch.tensor([[[False, False], [False, True]]])
    error = event_time_error(hazards, events)
    assert error.shape == (1, 2)
    assert error.isnan().tolist() == [[True, False]]
    assert error.nanmean() == 1.0


def test_hazards_of_another_shape_than_the_events_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"hazards are \[2, 3\] and events \[2, 4\], but both must be of one shape; give"
    ):
        event_time_error(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.bool))
