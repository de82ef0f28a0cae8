"""Checks of option values: a bad one is refused in one sentence that names option, value and remedy."""


def require_at_least(option: str, value: float, minimum: float, example: float | None = None) -> None:
    """Refuse a value below a minimum.

    Args:
        option: name of the data module's option.
        value: what was given.
        minimum: smallest value that makes sense.
        example: a value to recommend; the minimum if None.

    Raises:
        ValueError: if `value` is below `minimum`.
    """
    if value < minimum:
        raise ValueError(
            f"data.{option} is {value}, but must be at least {minimum}; "
            f"choose for example {minimum if example is None else example}."
        )


def require_between(option: str, value: float, low: float, high: float, example: float) -> None:
    """Refuse a value outside `low..high` (both allowed).

    Args:
        option: name of the data module's option.
        value: what was given.
        low: smallest allowed value.
        high: largest allowed value.
        example: a value to recommend.

    Raises:
        ValueError: if `value` lies outside.
    """
    if not low <= value <= high:
        raise ValueError(
            f"data.{option} is {value}, but must lie between {low} and {high}; choose for example {example}."
        )
