"""What a property's value may be: text to value, and back to text.

A kind reads the entry of one user, without the spaces around it.  For a wrong
entry it raises ValueError, whose text completes "must be ...".  The text that
`write` gives is read as the same value.
"""

from __future__ import annotations

import difflib
import math
import os.path
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .lists import ITEMS, QUOTE, SHELL_QUOTES, bare, items, joined, quoted


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    name: str  # for people
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    quotes: str = QUOTE  # what protects a `;` in it


def nearest(text: str, allowed: Iterable[str]) -> str:
    """The word of `allowed` that somebody probably meant; empty if none looks like it."""
    by_lower = {one.lower(): one for one in allowed}
    found = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def or_nearest(must_be: str, text: str, allowed: Iterable[str]) -> ValueError:
    """The error for `text`, with the nearest right spelling if there is one."""
    near = nearest(text, allowed)
    return ValueError(f"{must_be}; did you mean {near}?" if near else must_be)


def _flag(entry: str) -> bool:
    text = bare(entry).lower()
    if text not in ("true", "false"):
        raise or_nearest("True or False", text, ("True", "False"))
    return text == "true"


def _number(entry: str) -> float:
    try:
        return float(bare(entry))
    except ValueError:
        return math.nan


def seconds(lowest: float, highest: float) -> Kind:
    """A time in seconds within these bounds."""
    bounds = f"a number of seconds from {plain(lowest)} to {plain(highest)}"

    def read(entry: str) -> float:
        value = _number(entry)
        if not lowest <= value <= highest:
            raise ValueError(bounds)
        return value

    return Kind("seconds", read, plain)


def seconds_or_off(lowest: float, highest: float) -> Kind:
    """A time in seconds within these bounds, or `off`, which is 0."""
    timed = seconds(lowest, highest)

    def read(entry: str) -> float:
        if bare(entry) == "off":
            return 0.0
        try:
            return float(timed.read(entry))
        except ValueError as error:
            raise ValueError(f"{error}, or off") from None

    return Kind("seconds | off", read, lambda value: plain(value) if value else "off")


_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")  # Python refuses to read a number with 4,300 digits


def count(lowest: int, highest: int = 10**9) -> Kind:
    """A whole number within these bounds."""

    def read(entry: str) -> int:
        text = bare(entry)
        value = int(text) if _WHOLE.fullmatch(text) else lowest - 1
        if not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return value

    return Kind("whole number", read, str)


def plain(value: float) -> str:
    """The shortest text that is read as the same number."""
    return str(int(value)) if value == int(value) else repr(value)


def choice(*allowed: str) -> Kind:
    """One of these words, in exactly this spelling."""

    def read(entry: str) -> str:
        text = bare(entry)
        if text not in allowed:
            raise or_nearest(" or ".join(allowed), text, allowed)
        return text

    return Kind(" | ".join(allowed), read, str)


def some_of(*allowed: str) -> Kind:
    """One or more of these words, separated by commas."""

    def read(entry: str) -> tuple[str, ...]:
        found = items(entry)
        wrong = [item for item in found if item not in allowed]
        if wrong or not found:
            must_be = "one or more of " + ", ".join(allowed) + ", with commas between"
            raise or_nearest(must_be, wrong[0] if wrong else "", allowed)
        return found

    return Kind("list", read, _write_items)


def _write_items(value: tuple[str, ...]) -> str:
    return joined((quoted(item) for item in value), ITEMS)


def _path(entry: str) -> Path | None:
    text = bare(entry)
    if not text:
        return None
    if not text.startswith("/"):
        raise ValueError("an absolute path")
    if ".." in text.split("/") or "\0" in text:
        raise ValueError("an absolute path without '..'")
    return Path(os.path.normpath(text).replace("//", "/"))


def _paths(entry: str) -> tuple[str, ...]:
    wrong = ValueError("absolute paths without '..', with commas between")
    try:
        found = [_path(quoted(item)) for item in items(entry)]
    except ValueError:
        raise wrong from None
    if None in found:  # an empty path in quotes
        raise wrong
    return tuple(map(str, found))


def _below(entry: str) -> str:
    text = bare(entry)
    parts = text.split("/")
    if not text or text.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError("the name of a directory, relative and without '..'")
    return text


def _word(entry: str) -> str:
    text = bare(entry)
    if not text or any(character.isspace() for character in text):
        raise ValueError("one word without spaces")
    return text


def _arguments(entry: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(entry))
    except ValueError:
        raise ValueError("arguments as a shell takes them, with every quote closed") from None


def _addresses(entry: str) -> tuple[str, ...]:
    found = items(entry)
    if not all(map(is_address, found)):
        raise ValueError("e-mail addresses such as admin@example.org, with commas between")
    return found


_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9\[](?:[A-Za-z0-9.:-]*[A-Za-z0-9\]])?"
)


def is_address(text: str) -> bool:
    """Whether mail can be sent to `text`: NAME@HOST in ASCII, and nothing around it."""
    return _ADDRESS.fullmatch(text) is not None


def _web(entry: str) -> str:
    text = bare(entry)
    if text and not _is_url(text):
        raise ValueError("an address such as https://omero.example.org")
    return text.rstrip("/")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return bool(plain and parts.scheme in ("http", "https") and parts.hostname and port != 0)


MAIL = ("mail",)


def _way(entry: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(entry))
    except ValueError:
        words = ()
    if words == MAIL or (len(words) == 1 and _is_url(words[0])):
        return words
    if words and words[0].startswith("/") and not any("\0" in word for word in words):
        return words
    raise ValueError(
        "mail, or a command that begins with an absolute path, or an address that begins with "
        "http:// or https://"
    )


TEXT = Kind("text", bare, quoted)
WORD = Kind("word", _word, quoted)
FLAG = Kind("True | False", _flag, str)
LIST = Kind("list", items, _write_items)
PATH = Kind("path", _path, lambda value: quoted(str(value)) if value else "")
PATHS = Kind("list of paths", _paths, _write_items)
BELOW = Kind("path", _below, quoted)
ARGUMENTS = Kind("arguments", _arguments, shlex.join, SHELL_QUOTES)
ADDRESSES = Kind("list of e-mail addresses", _addresses, _write_items)
WEB = Kind("web address", _web, quoted)
WAY = Kind("mail | command | web address", _way, shlex.join, SHELL_QUOTES)
