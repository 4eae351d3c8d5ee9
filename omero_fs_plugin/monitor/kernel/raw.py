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
WRITTEN = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE
_BEGINS = (IN_CREATE, IN_MODIFY)
_BEGUN = IN_CREATE | IN_MODIFY
_GOES_ON = IN_MODIFY | IN_CLOSE_WRITE

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
LARGEST = _HEADER.size + 256  # bytes


class Raw(NamedTuple):
    """One event."""

    descriptor: int  # of the watch; -1: it is about the queue itself
    mask: int  # several in the order of IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, see `parse`
    cookie: int  # equal for the two halves of a rename; otherwise 0
    name: bytes  # in the directory; empty: the directory itself; for LOOK the path


OVERFLOW = Raw(-1, IN_Q_OVERFLOW, 0, b"")


def is_one(buffer: bytes) -> bool:
    """Whether this read has given one event alone."""
    return _HEADER.size + int(_HEADER.unpack_from(buffer)[3]) == len(buffer)


def parse(buffer: bytes) -> list[Raw]:
    """The events of one read.

    One event is made of those by which one file comes, is written and is closed, if nothing is
    between them: most are of that kind, and each costs as much as all of them.  Left out is that a
    file got other times or rights, which matters for directories alone.
    """
    events: list[Raw] = []
    at, end, size, unpack = 0, len(buffer), _HEADER.size, _HEADER.unpack_from
    begun, watch, file = 0, -1, b""  # the mask so far of a file that may be written on; 0: of none
    while at < end:
        descriptor, mask, cookie, length = unpack(buffer, at)
        at += size
        name = buffer[at : at + length]
        at += length
        if mask == IN_ATTRIB and length:
            continue
        if begun:
            goes_on = descriptor == watch and mask & _GOES_ON and name == file
            if goes_on:
                begun |= mask
            if mask & IN_CLOSE_WRITE or not goes_on:
                events.append(Raw(watch, begun, 0, file.rstrip(b"\0")))
                begun = 0
            if goes_on:
                continue
        if length and mask in _BEGINS:
            begun, watch, file = mask, descriptor, name
        else:
            events.append(Raw(descriptor, mask, cookie, name.rstrip(b"\0") if length else b""))
    if begun:
        events.append(Raw(watch, begun, 0, file.rstrip(b"\0")))
    return events


def joined(events: list[Raw], more: list[Raw]) -> list[Raw]:
    """As `parse` has those of two reads, if the first ended while a file was written."""
    if events and more:
        begun, next_ = events[-1], more[0]
        same = begun.name and (begun.descriptor, begun.name) == (next_.descriptor, next_.name)
        if same and not begun.mask & ~_BEGUN and not next_.mask & ~_GOES_ON:
            events[-1] = begun._replace(mask=begun.mask | next_.mask)
            return events + more[1:]
    return events + more
