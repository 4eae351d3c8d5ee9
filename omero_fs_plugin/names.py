"""How texts that others wrote are shown to people: names of files, output of other programs.

Rule: a log and a terminal show such a text on one line, and do not act on it.  Characters that
control a terminal, end a line or turn the direction of writing, and those that do not stand for a
character, are written as Python writes them, such as ``\\n`` and ``\\x1b``.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from types import TracebackType

_LONGEST = 20_000  # characters of one line of a log
_BESIDE = "    | "  # before each further line, so that it does not look like a new entry


def printable(text: str) -> str:
    """`text` without characters on which a terminal acts; file names may have them.

    Surrogates, which stand for bytes that are not UTF-8, are written visibly too, so the result can
    always be encoded.
    """
    if text.isprintable():  # as nearly all are
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_utf8(text: str) -> bool:
    """Whether a name is valid UTF-8.  Neither Ice, OMERO nor a database can hold another one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class OneLine(logging.Formatter):
    """Formats as another formatter does, but puts each entry on one line.

    The lines of a traceback after it begin with a bar.
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
    """Makes every handler of `logger`, by default the root, show names as `printable` does."""
    for handler in (logger or logging.getLogger()).handlers:
        if not isinstance(handler.formatter, OneLine):
            handler.setFormatter(OneLine(handler.formatter))
