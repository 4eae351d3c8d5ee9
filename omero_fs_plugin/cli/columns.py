"""Lines for a terminal: in its width, broken between words, paths shortened in the middle.

Pure.  What is counted is columns, not characters: a Chinese character has two, an accent that is a
character of its own has none.  The width is that of Unicode's East Asian Width (Annex 11).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# A line for people: a text, or the parts of it, some of which are Places.
Line = str | tuple[str, ...]

_HANG = 2  # columns that further lines of one text are further in
_WIDEST = 26  # columns of what stands before a text: a time is the longest
_LEAST = 16  # columns that a text has at the least, however far in it begins
# What stands before a text as in a table, such as a time or a word, with a gap of two columns.
_AHEAD = re.compile(r" *(?:\S+(?: \S+)? {2,})?")
_COMMAND = re.compile(r"`[^`]*`")
_PIECES = re.compile(r" +|`[^`]*`|[^ `]+|`")
_WORDS = re.compile(r"[^ _.-]*[ _.-]*")


class Place(str):
    """A path within a line: it is broken nowhere, and shortened if it is longer than a line."""

    __slots__ = ()


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def padded(text: str, width: int) -> str:
    """`text` with as many spaces after it that it has `width` columns; longer ones stay."""
    return text + " " * (width - columns(text))


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` columns, shortened in the middle: the end of a name says most."""
    if columns(text) <= width:
        return text
    if width < 8:
        return _first(text, width)
    ahead = (width - 3) // 3
    return f"{_first(text, ahead)}...{_last(text, width - 3 - ahead)}"


def short_path(path: str, width: int) -> str:
    """`path` in at most `width` columns: without directories in the middle, then without words."""
    first, *rest = path.split("/")
    if columns(path) <= width:
        return path
    for number in range(len(rest) - 1, 0, -1):
        short = "/".join([first, "...", *rest[-number:]])
        if columns(short) <= width:
            return short
    name = rest[-1] if rest else first
    words = _WORDS.findall(name)[:-1]
    ahead, behind = "", ""
    while words:
        at_end = columns(behind) <= columns(ahead)
        word = words.pop() if at_end else words.pop(0)
        if columns(ahead) + 3 + columns(behind) + columns(word) > width:
            break
        ahead, behind = (ahead, word + behind) if at_end else (ahead + word, behind)
    short = f"{ahead}...{behind}"
    # One long word, as names without spaces are: what is left of it says more than its last words.
    return short if columns(short) > width // 2 else shortened(name, width)


def _first(text: str, width: int) -> str:
    """As much of the begin of `text` as has room in `width` columns."""
    end = 0
    for c in text:
        width -= _columns_of(c)
        if width < 0:
            break
        end += 1
    return text[:end]


def _last(text: str, width: int) -> str:
    """As much of the end of `text` as has room in `width` columns."""
    begin = len(text)
    for c in reversed(text):
        width -= _columns_of(c)
        if width < 0:
            break
        begin -= 1
    return text[begin:]


def plain(line: Line) -> str:
    """All of `line`, as it goes into a pipe or a file."""
    return line if isinstance(line, str) else "".join(line)


def laid_out(line: Line, width: int, hang: int | None = None) -> Iterator[str]:
    """`line` in lines of at most `width` columns.

    Its first `hang` characters stay as they are, and further lines begin so far in.  Without
    `hang`, that is a word or a time that stands before the text as in a table; where none does,
    further lines begin a bit further in than the first one.
    A command in backquotes is never shortened, and broken only if it is longer than a line: people
    copy it.
    """
    text = plain(line)
    if columns(text) <= width:
        yield text
        return
    first, *rest = (line,) if isinstance(line, str) else line
    indent = len(text) - len(text.lstrip(" "))
    ahead = first[:hang] if hang is not None else _begin(first)
    further = len(ahead) if hang is not None or len(ahead) > indent else indent + _HANG
    if width - further < _LEAST:
        further = min(indent, max(0, width - _LEAST))
    now, gap = ahead, ""
    first = first if not ahead else first[len(ahead) :]  # a Place stays one
    for word, is_command in _words((first, *rest), width - further):
        wide = columns(plain(word))
        if columns(now + gap) + wide > width and (gap or width - columns(now) < _LEAST):
            yield now.rstrip()
            now, gap = " " * further, ""
        now += gap + (plain(word) if is_command else _fitted(word, width - columns(now + gap)))
        gap = " "
    yield now.rstrip()


def _begin(text: str) -> str:
    ahead = _AHEAD.match(text)
    if ahead and columns(ahead.group()) <= _WIDEST:
        return ahead.group()
    return text[: len(text) - len(text.lstrip(" "))][:_WIDEST]


def _words(parts: tuple[str, ...], room: int) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The words of a line, each in its parts, and whether it is of a command in backquotes.

    A command is one word if it has no more than `room` columns.
    """
    word: list[str] = []
    is_command = False
    for part in parts:
        for piece in (part,) if isinstance(part, Place) else _PIECES.findall(part):
            if not isinstance(piece, Place) and piece.isspace():
                if word:
                    yield tuple(word), is_command
                word, is_command = [], False
            elif isinstance(piece, Place) or not _COMMAND.fullmatch(piece):
                word.append(piece)
            else:
                begin, *others = piece.split(" ") if columns(piece) > room else [piece]
                word.append(begin)
                for other in others:
                    yield tuple(word), True
                    word = [other]
                is_command = True
    if word:
        yield tuple(word), is_command


def _fitted(word: tuple[str, ...], room: int) -> str:
    """`word` in `room` columns: if it has a path among its parts, only that is shortened."""
    text = plain(word)
    if columns(text) <= room:
        return text
    others = sum(columns(part) for part in word if not isinstance(part, Place))
    places = sum(isinstance(part, Place) for part in word)
    if places and room - others >= 8 * places:
        each = (room - others) // places
        return "".join(short_path(part, each) if isinstance(part, Place) else part for part in word)
    return short_path(text, room)
