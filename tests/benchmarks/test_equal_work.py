"""Unequal work is refused, by the name of what differs; what is compared is read off the networks."""

import pytest

from benchmarks.equal_work import check_equal_work, our_work
from benchmarks.settings import TOY
from memtrain.networks import RNN, Teacher

WORK = {"width": 16, "batch": 2, "terms": ["decoding", "dynamics"], "parameters": 1000}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width": 8}, "width is 8 on our side and 16 on theirs"),
        ({"batch": 1}, "batch is 1 on our side and 2 on theirs"),
        ({"parameters": 949}, "parameters is 949 on our side and 1000 on theirs"),
        ({"parameters": 1051}, "parameters is 1051 on our side and 1000 on theirs"),
        ({"terms": ["decoding"]}, r"terms is \['decoding'\] on our side"),
    ],
)
def test_less_work_on_our_side_is_refused(changed: dict, said: str) -> None:
    with pytest.raises(ValueError, match=f"A: {said}"):
        check_equal_work("A", WORK | changed, WORK)


def test_a_size_that_one_side_does_not_tell_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'future'.* is known of one side only"):
        check_equal_work("A", WORK | {"future": 4}, WORK)


def test_more_loss_terms_and_five_percent_of_parameters_are_fine() -> None:
    check_equal_work("A", WORK | {"terms": ["decoding", "dynamics", "initial"], "parameters": 1050}, WORK)
    check_equal_work("A", WORK | {"parameters": 950}, WORK)


def test_sizes_are_those_of_the_networks() -> None:
    work = our_work(Teacher(TOY.network(), TOY.interface), RNN(TOY.network(), TOY.interface), batch=2)
    assert work == {
        "vocabulary": 11,
        "width": 16,
        "memory tokens": 2,
        "batch": 2,
        **{f"{name} heads": 2 for name in ("cell", "encoder", "decoder")},
        **{f"{name} head dimension": 64 for name in ("cell", "encoder", "decoder")},
        "cell layers": 1,
        "encoder layers": 2,
        "decoder layers": 1,
    }
