"""What a client is told, as values, also for names that are not UTF-8.

::

    Create  a file came to be: its first writer closed it, it was moved or
            linked in, or it has been silent for a bounded time
    Modify  a known file was written and closed, once for a burst of writes
    Delete  a known file is gone
    System  what a client must know: `word: path: sentence`, see `Notice.tell`
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

from omero_fs_plugin.events import EventType

from .kernel.entries import Identity

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Tell(NamedTuple):
    """One thing to tell the client."""

    type: EventType
    path: bytes  # for SYSTEM a sentence in UTF-8
    directory: bool = False
    identity: Identity | None = None  # of the file as it was when this was told
    doubted: bool = False  # for CREATE and DELETE: the client may have known of it or not


class Notice(str, enum.Enum):
    """The first word of a System event's text.  Clients use it, so no word is ever renamed."""

    OVERFLOW = "overflow"  # events were lost; a rescan follows
    RESCANNED = "rescanned"  # client and disk agree again
    UNREACHABLE = "unreachable"  # a directory cannot be watched; its files are not deleted
    REACHABLE = "reachable"  # it is back, and is compared with what was known
    LIMIT = "limit"  # a kernel limit was reached; what cannot be watched is polled
    NAME = "name"  # an event of a file whose name is not UTF-8
    RESTARTED = "restarted"  # FSServer was; what happened meanwhile follows
    GAP = "gap"  # events could not be told to this client; a rescan follows
    TIMEOUT = "timeout"  # a one-shot monitor ended without an event
    INACTIVE = "inactive"  # an inactivity monitor's word

    def tell(self, path: bytes, sentence: str) -> Tell:
        """The System event about `path`.

        Its text can be taken apart whatever the path contains: the word ends
        at the first ": ", the sentence begins after the last.
        """
        text = f"{self.value}: {escaped(path)}: {sentence.replace(': ', ', ')}"
        return Tell(EventType.SYSTEM, text.encode())


def speakable(path: bytes) -> bool:
    """Whether `path` can travel as an Ice string, which is UTF-8."""
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def escaped(path: bytes) -> str:
    """`path` for clients: as `shown`, and a backslash as two, so that it can be undone."""
    return shown(path.replace(b"\\", b"\\\\"))


def shown(path: bytes) -> str:
    """`path` for people, in one line: control characters and odd bytes as \\xNN."""
    text = path.decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
