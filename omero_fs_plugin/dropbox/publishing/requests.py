"""What a user asks of DropBox by entries in OMERO: try a fileset again, or forget it.  Pure.

A user may write anything there, and as much as OMERO takes.  So few entries are read, each with
a limit, and an entry counts only if it names a failed fileset of its own user.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State

MOST = 100  # entries of one user that are read at a time
# What an entry is.  An id of the journal has at most 18 digits, so it fits into a database's.
_ENTRY = re.compile(r"(try again|forget) ([1-9][0-9]{0,17})", re.ASCII)


class Wish(str, enum.Enum):
    """What may be asked for."""

    TRY_AGAIN = "try again"
    FORGET = "forget"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Request:
    """One thing that a user asks for."""

    wish: Wish
    fileset: int  # its id in the journal


def read(entries: Iterable[str]) -> tuple[Request, ...]:
    """What the first MOST entries ask for: each fileset once, as it was asked for last."""
    wanted: dict[int, Request] = {}
    for entry in islice(entries, MOST):
        match = _ENTRY.fullmatch(entry)
        if match:
            wanted[int(match[2])] = Request(Wish(match[1]), int(match[2]))
    return tuple(wanted.values())


def granted(
    requests: Iterable[Request], user: str, filesets: Mapping[int, Fileset]
) -> tuple[Request, ...]:
    """Those of `requests` that `user` may ask for; `filesets` are those of the journal, by id.

    Another's fileset and one that does not exist are not told apart, so no one learns from the
    answer which there are.
    """
    return tuple(request for request in requests if _may(filesets.get(request.fileset), user))


def _may(fileset: Fileset | None, user: str) -> bool:
    return fileset is not None and fileset.user == user and fileset.state is State.FAILED


def entry(wish: Wish, fileset: str) -> str | None:
    """What is written to ask for `wish`; None if `fileset` is no id."""
    text = f"{wish} {fileset}"
    return text if _ENTRY.fullmatch(text) else None
