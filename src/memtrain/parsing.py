"""Command line parsers that answer a mistake with one sentence instead of a usage page."""

import re
from collections.abc import Iterator
from typing import NoReturn

from jsonargparse import ArgumentError, ArgumentParser

REMEDY = "name a class that can be imported from here, with its module"


class SentenceParser(ArgumentParser):
    """A jsonargparse parser whose mistakes are `ArgumentError`s of one sentence, for the command line to print."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        # Without this, a misspelt `--trainer.max_step` would quietly mean `--trainer.max_steps`.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})  # type: ignore[arg-type]

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what is wrong as one sentence."""
        mistake = ValueError(message)
        mistake.__cause__ = ex
        raise ArgumentError(None, sentence(mistake)) from ex


def sentence(error: BaseException) -> str:
    """The one line in which an exception says what is wrong.

    jsonargparse wraps the message of a constructor in pages about the types that it tried, once for each level of
    nesting. The sentence that the constructor wrote is further down the chain of exceptions.

    Args:
        error: what was raised.

    Returns:
        The first message of a single line in the chain of causes, with the option's name where jsonargparse knows it.
    """
    messages = [str(link).strip() for link in chain(error)]
    single = next((message for message in messages if message and "\n" not in message), None)
    if single is None:
        single = " ".join(messages[0].split()) or type(error).__name__
    if single.startswith("Call to compute_fn of link"):  # jsonargparse's preface to what a linking function raises
        single = single.partition(" failed: ")[2]
    option = re.match(r'Parser key "([^"]+)":\s*', messages[0])
    single = single.removeprefix(option.group(0)) if option else single
    missing = any(is_import(link) and str(link) in single for link in chain(error))
    if missing and REMEDY not in single:  # each parser of a nested one has a say
        single = f"{single.rstrip('.')}; {REMEDY}."
    return f"{option.group(1)}: {single}" if option and option.group(1) not in single else single


def is_import(error: BaseException) -> bool:
    """Whether a module, or a name in a module, was not found."""
    return isinstance(error, ImportError) or (isinstance(error, AttributeError) and str(error).startswith("module '"))


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, then its causes."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
