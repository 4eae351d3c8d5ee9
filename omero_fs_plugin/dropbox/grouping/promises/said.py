"""What an index says of itself: whether it is whole, and how much it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from omero_fs_plugin.errors import ImportRefused

LIMIT = 64 << 20  # bytes of an index that is read as a whole; a larger one is not looked at
MOST = 200_000  # names that one file may promise; the largest plates have half of it
LONGEST = 4096  # bytes of a name; no path is longer

# The names in a directory below that of an index, files and directories.  "" is the index's own.
# Empty for a directory that is not there.
NamesIn = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Index:
    """An index that is read: its name, its content, and what lies around it."""

    name: str
    file: BinaryIO
    size: int  # bytes
    names_in: NamesIn = field(default=lambda below: ())
    # Whether a file of this name lies beside the index.  None: `names_in` says so.  A directory may
    # have thousands of headers, so none of them lists it only for one name.
    beside: Callable[[str], bool] | None = None

    @property
    def stem(self) -> str:
        """The name without what follows its last dot."""
        return self.name.rpartition(".")[0] or self.name

    def has(self, name: str) -> bool:
        """Whether a file of this name lies beside it."""
        return self.beside(name) if self.beside is not None else name in self.names_in("")

    def data(self) -> bytes:
        """All of its bytes.  Raises ImportRefused for an index that is larger than LIMIT."""
        if self.size > LIMIT:
            raise TooLarge
        self.file.seek(0)
        return self.file.read(self.size)

    def head(self, length: int) -> bytes:
        """Its first bytes, at most `length`."""
        self.file.seek(0)
        return self.file.read(length)


class TooLarge(Exception):
    """An index that is not looked at: the reader decides."""


@dataclass(frozen=True)
class Said:
    """What an index says.

    Rule: nothing is promised that cannot be derived with certainty.
    """

    # Each name that it promises, as it is joined to the index's directory -> how many bytes that
    # file has at least; 0 if the index does not say.
    files: Mapping[str, int] = field(default_factory=dict)
    # What shows that the index is not whole, or that it promises more than there is, as the end
    # of a sentence about it.  Empty if nothing does.
    unfinished: str = ""


def promising(names: Iterable[str], unfinished: str = "") -> Said:
    """What an index says that gives names alone.  Raises ImportRefused for too many."""
    files: dict[str, int] = {}
    for name in names:
        files[name] = 0
        at_most(len(files))
    return Said(files, unfinished)


def at_most(number: int) -> None:
    """Raises ImportRefused for more names than may be promised."""
    if number > MOST:
        raise ImportRefused(f"it names more files than a set may have, {MOST}", final=True)


def fewer(promised: int, there: int, what: str) -> str:
    """The end of a sentence if less is there than is promised; empty if all of it is there."""
    if there >= promised:
        return ""
    return f"it promises {promised} {what}, and {there} are there"


def plain(name: str) -> str:
    """A name that Windows wrote, with slashes, and without those at its start."""
    return name.strip().replace("\\", "/").lstrip("/")
