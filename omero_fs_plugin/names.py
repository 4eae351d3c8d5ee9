"""How anything that others wrote is shown to people: names of files, texts of other programs.

Rule: a log and a terminal show what is there, on one line, and act on nothing of it.  Characters
that control a terminal, end a line, turn the direction of writing or stand for no character at all
are written as Python writes them, such as ``\\n`` and ``\\x1b``.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from types import TracebackType

_LONGEST = 20_000  # characters of one line of a log
_BESIDE = "    | "  # before each further line, so that none of them can be taken for a new entry


def printable(text: str) -> str:
    """`text` without anything a terminal would act on; file names may hold it.

    Surrogates, which stand for bytes that are not UTF-8, are among what is written visibly, so the
    result can always be encoded.
    """
    if text.isprintable():  # as nearly all are
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class OneLine(logging.Formatter):
    """Formats as another formatter does, each entry on one line.

    What follows it, a traceback, is on lines that begin with a bar.
    """

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """The entry."""
        record.message = record.getMessage()
        if self._inner.usesTime():
            record.asctime = self._inner.formatTime(record, self._inner.datefmt)
        lines = [printable(self._inner.formatMessage(record))[:_LONGEST]]
        if record.exc_info and record.exc_info[0] is not None:
            lines += _below(_trace(*record.exc_info))
        if record.stack_info:
            lines += _below([record.stack_info])
        return "\n".join(lines)


def _trace(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> list[str]:
    return traceback.format_exception(kind, error, trace)


def _below(texts: Iterable[str]) -> list[str]:
    lines = [line for text in texts for line in text.splitlines()]
    return [_BESIDE + printable(line)[:_LONGEST] for line in lines]


def log_safely(logger: logging.Logger | None = None) -> None:
    """Every handler of `logger`, by default of the root, shows names as `printable` does."""
    for handler in (logger or logging.getLogger()).handlers:
        if not isinstance(handler.formatter, OneLine):
            handler.setFormatter(OneLine(handler.formatter))
