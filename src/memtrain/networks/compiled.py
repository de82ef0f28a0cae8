"""A function through torch.compile, which runs as it is where there is no compiler."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch


class Compiled:
    """Calls a function through torch.compile. If that fails, it warns once and calls it uncompiled from then on.

    Args:
        function: any function; all that wrap the same function share its compiled code.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.works = function, True

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        if self.works:
            try:
                return _compile(self.function)(*arguments)
            except RuntimeError as error:  # no compiler, for example; an error of the function itself comes again below
                self.works = False
                reason = str(error).strip().partition("\n")[0]
                warnings.warn(
                    f"compile is true, but torch.compile failed ({reason}); it runs uncompiled.", stacklevel=2
                )
        return self.function(*arguments)


@functools.cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)
