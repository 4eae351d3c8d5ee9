"""The values of options on the command line: each function reads one, or offers a choice.

Rule: a wrong value gets the words "must be ...", for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from omero.cli import ArgumentTypeError  # that of omero-py's own copy of argparse

from omero_fs_plugin.names import is_utf8, printable

_BELOW = 1_000_000_000  # of what may have a fraction: 31 years, if seconds
_MOST = 2**31 - 1  # of whole numbers


def count(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0)


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    return _whole(text, 1)


def seconds(text: str) -> float:
    """A time in seconds, above 0 and finite."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < _BELOW:
        raise ArgumentTypeError(
            f"must be a number of seconds above 0 and below {_BELOW:,}, not {text!r}"
        )
    return number


def amount(text: str) -> float:
    """A number above 0 and finite."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < _BELOW:
        raise ArgumentTypeError(f"must be a number above 0 and below {_BELOW:,}, not {text!r}")
    return number


def some_path(text: str) -> str:
    """A path.  An empty one would mean the directory that the command is called in."""
    if not text:
        raise ArgumentTypeError("must be a path, and is empty: is a variable of the shell not set?")
    return text


def user_name(text: str) -> str:
    """The name of an OMERO user.  OMERO cannot be asked for one that is not UTF-8."""
    if not text or not is_utf8(text):
        raise ArgumentTypeError(f"must be the name of an OMERO user, not {printable(text)!r}")
    return text


def _whole(text: str, least: int) -> int:
    if not is_number(text) or int(text) < least:
        raise ArgumentTypeError(f"must be a whole number, {least} or more, not {text!r}")
    if int(text) > _MOST:
        raise ArgumentTypeError(f"must be a whole number from {least} to {_MOST:,}, not {text!r}")
    return int(text)


def is_number(text: str) -> bool:
    """Whether it is a whole number that Python reads, as the id of a fileset is.

    Python refuses to read thousands of digits.
    """
    return text.isascii() and text.isdigit() and len(text) < 1000


def shapes(
    parser: Any, default: Callable[..., Any], offered: Iterable[tuple[str, Callable[..., Any], str]]
) -> None:
    """Options, one of which says how the result is written: name, what writes it, and the help.

    The chosen one, or `default`, is `write` among the arguments.
    """
    form = parser.add_mutually_exclusive_group()
    for name, write, help_ in offered:
        form.add_argument(
            f"--{name}",
            dest="write",
            action="store_const",
            const=write,
            default=default,
            help=help_,
        )
