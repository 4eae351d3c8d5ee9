"""The kernel's events: masks and structures of inotify(7), the same on every Linux."""

from __future__ import annotations

import struct
from typing import NamedTuple

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x01000000
IN_DONT_FOLLOW = 0x02000000
IN_EXCL_UNLINK = 0x04000000
IN_ISDIR = 0x40000000

# Not from the kernel: a hint of another observer.  `name` is a whole path.
LOOK = 0x80000000

GONE = IN_MOVED_FROM | IN_DELETE
LEFT = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED
CAME = IN_MOVED_TO | IN_CREATE

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
LARGEST = _HEADER.size + 256  # bytes


class Raw(NamedTuple):
    """One event."""

    descriptor: int  # of the watch; -1: it is about the queue itself
    mask: int
    cookie: int  # equal for the two halves of a rename; otherwise 0
    name: bytes  # in the directory; empty: the directory itself; for LOOK the path


OVERFLOW = Raw(-1, IN_Q_OVERFLOW, 0, b"")


def parse(buffer: bytes) -> list[Raw]:
    """The events of one read."""
    events: list[Raw] = []
    at, end, size, unpack = 0, len(buffer), _HEADER.size, _HEADER.unpack_from
    while at < end:
        descriptor, mask, cookie, length = unpack(buffer, at)
        at += size
        name = buffer[at : at + length].rstrip(b"\0") if length else b""
        at += length
        events.append(Raw(descriptor, mask, cookie, name))
    return events
