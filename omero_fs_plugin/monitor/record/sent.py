"""What was about to be told when FSServer was killed: the client may have heard it.

Beside the record there is a plain file for each started monitor.  It is written
before each notification, with one system call and without waiting for the disk,
because written bytes outlive the process.  The record follows after the answer.
What the record has is ignored here.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.notices import Tell

log = logging.getLogger(__name__)

_HEAD = struct.Struct(">QI")  # the number of the entry, bytes that follow
_WRITTEN = (EventType.CREATE, EventType.DELETE)  # a Modify may come twice without harm
# Bytes at the front that the record shows already.  _ENOUGH of them are cut off if nothing
# else is there, _LARGEST also if something is.
_ENOUGH = 64 * 1024
_LARGEST = 4 * 1024 * 1024


class Doubt(NamedTuple):
    """A path that the client may or may not know."""

    path: bytes
    directory: bool


class Sent:
    """The file beside the record for one started monitor.

    Rule: if the client may have heard that a file came or went, and the record does not show
    this yet, it is here.  What is not here, this process has not sent.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1
        self._ends: deque[tuple[int, int]] = deque()  # of each entry: its number, where it ends
        self._begin = 0  # the record shows what is before this byte
        self._size = 0  # bytes

    def load(self, after: int) -> tuple[int, list[Doubt]]:
        """The number of the last entry (0: none), and the content of those above `after`.

        Raises OSError.
        """
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return 0, []
        last, at = 0, 0
        doubts: list[Doubt] = []
        while at + _HEAD.size <= len(content):
            number, size = _HEAD.unpack_from(content, at)
            end = at + _HEAD.size + size
            if end > len(content):
                break  # killed while it wrote, so it was not sent
            if number > after:
                for item in content[at + _HEAD.size : end].split(b"\0")[:-1]:
                    doubts.append(Doubt(item[1:], item[:1] == b"D"))
            last, at = number, end
        self._begin, self._size = 0, at
        self._ends = deque([(last, at)])
        return last, doubts

    def write(self, number: int, tells: Iterable[Tell], shown: int) -> None:
        """Writes what is about to be told.  The record shows the entries up to `shown`.

        If the disk is full, the log says so.  After a kill, more is then told twice, or a
        Delete may be missing.
        """
        some: list[bytes] = []  # joined once: bytes that grow are copied with each event
        for tell in tells:
            if tell.type in _WRITTEN:
                some.append((b"D" if tell.directory else b"F") + tell.path + b"\0")
        if not some:
            return
        items = b"".join(some)
        entry = _HEAD.pack(number, len(items)) + items
        try:
            self._make_room(shown)
            if os.write(self._descriptor, entry) < len(entry):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            log.error("%s cannot be written: %s", self._file, error.strerror)
            self.close()
            return
        self._size += len(entry)
        self._ends.append((number, self._size))

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make_room(self, shown: int) -> None:
        if self._descriptor < 0:
            self._descriptor = _open(self._file)
            os.ftruncate(self._descriptor, self._size)  # removes an entry that is not whole
        while self._ends and self._ends[0][0] <= shown:
            self._begin = self._ends.popleft()[1]
        if self._begin < _ENOUGH:
            return
        rest = b""
        if self._begin == self._size:
            os.ftruncate(self._descriptor, 0)
        elif self._begin >= _LARGEST:
            rest = os.pread(self._descriptor, self._size - self._begin, self._begin)
            self._replace(rest)
        else:
            return
        self._ends = deque((number, end - self._begin) for number, end in self._ends)
        self._begin, self._size = 0, len(rest)

    def _replace(self, content: bytes) -> None:
        beside = self._file.with_suffix(".new")
        beside.unlink(missing_ok=True)
        descriptor = _open(beside)
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            beside.rename(self._file)
        except BaseException:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor = descriptor


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
