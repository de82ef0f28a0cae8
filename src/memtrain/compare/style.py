"""What all figures share: fonts, grid, colours."""

from typing import Any

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
