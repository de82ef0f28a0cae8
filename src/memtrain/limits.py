"""Checks of option values: a bad one is refused in one sentence that names option, value and remedy."""

LARGEST_SEED = 2**32 - 1
"""Of numpy's and Lightning's generators."""


def require_at_least(option: str, value: float, minimum: float, example: float | str | None = None) -> None:
    """Refuse a value below a minimum.

    Args:
        option: its whole name, as `data.length`.
        value: what was given.
        minimum: smallest value that makes sense.
        example: a value to recommend, with what it does where that is not plain; the minimum if None.

    Raises:
        ValueError: if `value` is below `minimum`, or NaN.
    """
    if not value >= minimum:
        raise ValueError(
            f"{option} is {value}, but must be at least {minimum}; "
            f"choose for example {minimum if example is None else example}."
        )


def require_between(option: str, value: float, low: float, high: float, example: float | str) -> None:
    """Refuse a value outside `low..high` (both allowed).

    Args:
        option: its whole name, as `data.length`.
        value: what was given.
        low: smallest allowed value.
        high: largest allowed value.
        example: a value to recommend, with what it does where that is not plain.

    Raises:
        ValueError: if `value` lies outside.
    """
    if not low <= value <= high:
        raise ValueError(f"{option} is {value}, but must lie between {low} and {high}; choose for example {example}.")
