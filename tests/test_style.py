"""Looks of methods: no two alike, however many there are in an experiment of ingredients."""

from memtrain.style import COLORS, looks_of


def test_the_first_methods_have_plain_colors_and_the_others_other_lines() -> None:
    names = [f"method_{i}" for i in range(18)]
    looks = looks_of(names)
    assert list(looks) == names
    assert len(set(looks.values())) == 18
    first, later = list(looks.values())[: len(COLORS)], list(looks.values())[len(COLORS) :]
    assert {(look.line, look.hatch) for look in first} == {("-", "")}
    assert all(look.line != "-" and look.hatch for look in later)
