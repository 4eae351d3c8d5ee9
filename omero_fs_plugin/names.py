"""How texts that others wrote are shown to people: names of files, output of other programs.

Rule: a log and a terminal show such a text on one line, and do not act on it.  Characters that
control a terminal, end a line or turn the direction of writing, and those that do not stand for a
character, are written as Python writes them, such as ``\\n`` and ``\\x1b``.  A byte that is not
UTF-8 is written as ``\\xff``, everywhere alike.
"""

from __future__ import annotations

import logging
import shlex
import traceback
from collections.abc import Iterable
from types import TracebackType

_SHOWN = 300  # characters of a value
_LONGEST = 20_000  # characters of one line of a log
_BESIDE = "    | "  # before each further line, so that it does not look like a new entry


def printable(text: str) -> str:
    """`text` without characters on which a terminal acts; file names may have them.

    Surrogates, which stand for bytes that are not UTF-8, are written visibly too, so the result can
    always be encoded.
    """
    if text.isprintable():  # as nearly all are
        return text
    return "".join(c if c.isprintable() else _written(c) for c in text)


def in_quotes(text: str) -> str:
    """`text` in quotes, on one line, and the begin of it if it is very long."""
    if len(text) <= _SHOWN:
        return repr(text)
    return f"{text[:_SHOWN]!r}... ({len(text):,} characters)"


def encodable(text: str) -> str:
    """`text` as UTF-8 can hold it: what stands for another byte is written visibly.

    A process that gives Ice another text may end at once, without an error.
    """
    return text if is_utf8(text) else "".join(c if is_utf8(c) else _written(c) for c in text)


def _written(c: str) -> str:
    """One character in ASCII."""
    if "\udc80" <= c <= "\udcff":  # a byte, as Python has it in the name of a file
        return f"\\x{ord(c) - 0xDC00:02x}"
    return c.encode("unicode_escape").decode()


def in_shell(path: object) -> str:
    """`path` as one word of a command for bash, to be shown and copied, whatever its name is."""
    text = str(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_QUOTED.get(c) or _as_bash_reads(c) for c in text) + "'"


_QUOTED = {"'": "\\'", "\\": "\\\\"}


def _as_bash_reads(c: str) -> str:
    """One character within `$'...'`.  What cannot be shown is written byte by byte."""
    if c.isprintable():
        return c
    return "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape"))


def several(number: int, noun: str, one: str = "", more: str = "") -> str:
    """`number` of a noun: "1 file", "2 files"; with a verb for `one`, and for `more` of them."""
    verb = one if number == 1 else more
    return f"{number:,} {noun}{'' if number == 1 else 's'}{verb and ' '}{verb}"


def is_utf8(text: str) -> bool:
    """Whether a name is valid UTF-8.  Neither Ice, OMERO nor a database can hold another one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why_not_utf8(path: str) -> str:
    """What is wrong with a path that is not valid UTF-8, and what to do; empty: it is valid."""
    if is_utf8(path):
        return ""
    *directories, _ = path.split("/")
    wrong = next((part for part in directories if not is_utf8(part)), None)
    if wrong is None:
        return "the name is not valid UTF-8: rename the file"
    return f"the name of its directory {printable(wrong)} is not valid UTF-8: rename the directory"


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
