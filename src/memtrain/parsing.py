"""Command line parsers that answer a mistake with one sentence instead of a usage page."""

from collections.abc import Iterator
from contextlib import chdir
from os import PathLike
from traceback import walk_tb
from types import ModuleType
from typing import Any, NoReturn

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from memtrain.files import expanded
from memtrain.private import option_of, without_option

REMEDY = "name a class that can be imported from here, with its module"


class SentenceParser(ArgumentParser):
    """A jsonargparse parser whose mistakes are `ArgumentError`s of one sentence, for the command line to print."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        # Without this, a misspelled `--trainer.max_step` would quietly mean `--trainer.max_steps`.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})  # type: ignore[arg-type]

    def parse_path(self, path: str | PathLike[str], *args: Any, **kwargs: Any) -> Namespace:
        """Parse a configuration file, which is UTF-8 whatever the system's encoding is."""
        file = expanded("--config", str(path)).absolute()
        content = file.read_text(encoding="utf-8")
        with chdir(file.parent):  # files that it names are beside it
            return self.parse_string(content, file.name, *args, **kwargs)

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
        The first message in the chain of causes that does not come from jsonargparse, or else the first of a single
        line, with the option's name where jsonargparse knows it.
    """
    links = list(chain(error))
    messages = [str(link).strip() for link in links]
    lines = [(link, message) for link, message in zip(links, messages, strict=True) if is_line(message)]
    others = [message for link, message in lines if not from_parser(link)]
    single = next(iter(others or [message for _, message in lines]), None)
    if single is None:
        single = " ".join(messages[0].split()) or type(error).__name__
    option, single = option_of(messages[0]), without_option(single)
    if any(is_missing_class(link) and str(link) in single for link in links) and REMEDY not in single:
        single = f"{single.rstrip('.')}; {REMEDY}."
    return f"{option}: {single}" if option and option not in single else single


def is_line(message: str) -> bool:
    """Whether a message is a single line."""
    return bool(message) and "\n" not in message


def from_parser(error: BaseException) -> bool:
    """Whether jsonargparse has raised this exception, or it was never raised: a message that a parser was given."""
    module = raised_in(error)
    return module is None or module.partition(".")[0] in ("jsonargparse", "argparse")


def is_missing_class(error: BaseException) -> bool:
    """Whether jsonargparse has not found a class that an option names; what such a class imports is another matter."""
    no_name = isinstance(error, AttributeError) and isinstance(error.obj, ModuleType)
    return (no_name or isinstance(error, ImportError)) and from_parser(error)


def raised_in(error: BaseException) -> str | None:
    """The module whose code has raised an exception."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return frames[-1].f_globals["__name__"] if frames else None


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, then its causes."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
