"""SequenceBatch: the mask beside the targets, and parts of a batch."""

import torch

from memtrain.batch import IGNORE_INDEX, SequenceBatch

INPUTS = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
TARGETS = torch.tensor([[IGNORE_INDEX, 2, 0], [IGNORE_INDEX] * 3, [7, IGNORE_INDEX, 9]])
BATCH = SequenceBatch.of(INPUTS, TARGETS, torch.tensor([10, 11, 12]))


def test_the_mask_says_where_targets_are_and_the_others_are_valid_tokens() -> None:
    assert BATCH.mask.tolist() == [[False, True, True], [False] * 3, [True, False, True]]
    assert BATCH.targets.tolist() == [[0, 2, 0], [0, 0, 0], [7, 0, 9]]
    assert BATCH.inputs is INPUTS
    assert TARGETS[0, 0] == IGNORE_INDEX  # what was given stays as it was


def test_parts_hold_all_samples_in_order_and_the_last_may_be_smaller() -> None:
    first, last = BATCH.split(2)
    assert [part.index.tolist() for part in (first, last)] == [[10, 11], [12]]
    for name in ("inputs", "targets", "mask", "index"):
        assert torch.equal(torch.cat([getattr(first, name), getattr(last, name)]), getattr(BATCH, name)), name


def test_samples_are_taken_by_flags_or_by_positions() -> None:
    by_flags = BATCH.take(torch.tensor([True, False, True]))
    assert by_flags.index.tolist() == [10, 12]
    assert by_flags.targets.tolist() == [[0, 2, 0], [7, 0, 9]]
    by_positions = BATCH.take(torch.tensor([2, 0]))
    assert by_positions.index.tolist() == [12, 10]
    assert by_positions.mask.tolist() == [[True, False, True], [False, True, True]]
