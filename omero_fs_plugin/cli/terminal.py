"""What a command prints for people: laid out for the terminal, or in whole lines into a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator

from omero_fs_plugin.names import printable

from .columns import Line, Place, laid_out, plain

NARROW = 40  # columns at the least


def at(path: object) -> Place:
    """A path for a line: safe to show, and shortened where it is longer than a line."""
    return Place(printable(str(path)))


def shown(lines: Iterable[Line], hang: int | None = None) -> str:
    """All of `lines`, as `each_shown` has them."""
    return "\n".join(each_shown(lines, hang))


def each_shown(lines: Iterable[Line], hang: int | None = None) -> Iterator[str]:
    """`lines` in the width of the terminal (see `laid_out`); without one, nothing is changed."""
    width = max(NARROW, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    for line in lines:
        yield from [plain(line)] if width is None else laid_out(line, width, hang)
