"""What a client is told, as values, also for names that are not UTF-8.

::

    Create  a file is new: its first writer closed it, it was moved or linked
            in, or it was silent for a limited time
    Modify  a known file was written and closed, once for a burst of writes
    Delete  a known file is gone
    System  what a client must know: `word: path: sentence`, see `Notice.tell`
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import NamedTuple

from omero_fs_plugin.events import EventType

from .kernel.entries import Identity

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Tell(NamedTuple):
    """One thing to tell the client."""

    type: EventType
    path: bytes  # for SYSTEM a sentence in UTF-8
    directory: bool = False
    identity: Identity | None = None  # of the file, when this was told
    doubted: bool = False  # for CREATE and DELETE: perhaps the client knew of it already


class Notice(str, enum.Enum):
    """The first word of a System event's text.  Clients use it, so no word is ever renamed."""

    OVERFLOW = "overflow"  # events were lost; a rescan follows
    RESCANNED = "rescanned"  # client and disk agree again
    UNREACHABLE = "unreachable"  # a directory cannot be watched; its files are not deleted
    REACHABLE = "reachable"  # it is back, and is compared with what was known
    LIMIT = "limit"  # a kernel limit was reached; what cannot be watched is polled
    NAME = "name"  # an event of a file whose name is not UTF-8
    RESTARTED = "restarted"  # FSServer was restarted; what happened meanwhile follows
    GAP = "gap"  # events could not be told to this client; a rescan follows
    TIMEOUT = "timeout"  # a one-shot monitor ended without an event
    INACTIVE = "inactive"  # an inactivity monitor saw nothing happen

    def tell(self, path: bytes, sentence: str) -> Tell:
        """The System event about `path`.

        Its text can be taken apart, whatever the path contains: the word ends at the
        first ": ", and the sentence begins after the last one.
        """
        text = f"{self.value}: {escaped(path)}: {sentence.replace(': ', ', ')}"
        return Tell(EventType.SYSTEM, text.encode())


_OF_REACH = (Notice.UNREACHABLE.value.encode(), Notice.REACHABLE.value.encode())


def last_of_reach(tells: Iterable[Tell]) -> list[Tell]:
    """The last of `tells` about each directory that says whether it can be reached."""
    last: dict[bytes, Tell] = {}
    for tell in tells:
        if tell.type is EventType.SYSTEM:
            word, _, rest = tell.path.partition(b": ")
            if word in _OF_REACH:
                path = rest.rpartition(b": ")[0]
                last.pop(path, None)
                last[path] = tell
    return list(last.values())


def speakable(path: bytes) -> bool:
    """Whether `path` can be sent as an Ice string, which is UTF-8."""
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def escaped(path: bytes) -> str:
    """`path` for clients: as `shown`, but with two for each backslash, so that it can be undone."""
    return shown(path.replace(b"\\", b"\\\\"))


def shown(path: bytes) -> str:
    """`path` for people, in one line.  Control characters and odd bytes are written \\xNN."""
    text = path.decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
