"""What all figures share: fonts, grid, colors."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

LineStyle = Literal["-", ":", "-.", "--"]

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5e3c99", "#000000")
"""Okabe and Ito's palette, which color-blind eyes can tell apart; violet stands for its yellow, too pale on white."""
GRAY = "#555555"
HATCHES: dict[LineStyle, str] = {"-": "", "--": "////", ":": "....", "-.": "xxxx"}
"""Hatches of bars, by the line style of the same method."""


class Look(NamedTuple):
    """How a method is told apart: a color, and for the ninth and later ones a style of lines too."""

    color: str
    line: LineStyle = "-"

    @property
    def hatch(self) -> str:
        """Of its bars."""
        return HATCHES[self.line]


def looks_of(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method; the ones of the first 32 differ."""
    looks = itertools.cycle(Look(color, line) for line in HATCHES for color in COLORS)
    return dict(zip(methods, looks, strict=False))
