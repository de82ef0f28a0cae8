"""What all figures share: fonts, grid, colours."""

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
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5e3c99", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind eyes too, with a violet for its yellow, too pale on white."""
GREY = "#555555"
HATCHES: dict[LineStyle, str] = {"-": "", "--": "////", ":": "....", "-.": "xxxx"}
"""Of bars, beside the line styles of the same rounds of the palette."""


class Look(NamedTuple):
    """How a method is told apart: a colour, and for the ninth and later ones a style of lines too."""

    colour: str
    line: LineStyle = "-"

    @property
    def hatch(self) -> str:
        """Of its bars."""
        return HATCHES[self.line]


def looks_of(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method; the ones of the first 32 differ."""
    looks = itertools.cycle(Look(colour, line) for line in HATCHES for colour in COLOURS)
    return dict(zip(methods, looks, strict=False))
