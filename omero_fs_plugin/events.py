"""The words that both servers share: what happened to a file, and what a file is."""

from __future__ import annotations

import enum
import errno
import os
import stat as stat_module
from dataclasses import dataclass, field


class EventType(enum.Enum):
    """As omero.grid.monitors.EventType of the Slice interface."""

    CREATE = "Create"
    MODIFY = "Modify"
    DELETE = "Delete"
    SYSTEM = "System"

    __hash__ = object.__hash__  # enum's is Python, and this is asked for each event


UNKNOWN = -1  # in place of a uid: nobody has looked
SEVERAL = -2  # the files of a store belong to several accounts


_LARGEST = 2**63 - 1


def in_64_bits(ns: int) -> int:
    """A time (ns since the epoch) as a database takes it: in 64 bits, with a sign.

    Everybody may date a file (touch -d), and file systems take later times than the year 2262.
    Such a time counts on from the earliest one, so that two that differ go on differing.
    """
    return ns if -_LARGEST <= ns <= _LARGEST else (ns + 2**63) % 2**64 - 2**63


def size_in_64_bits(size: int) -> int:
    """Bytes as a database takes them: of many files, which may have holes, there may be more."""
    return min(size, _LARGEST)


@dataclass(frozen=True, slots=True)
class FileStat:
    """What identifies the content of a file without reading it.

    Rule: two equal FileStats are the same bytes, as long as the file was not
    deleted between them.  A rename, a chmod or a restart changes none of the
    fields compared.  A new file may get the inode of a deleted one, with the
    same size and, if it was copied from a camera's FAT card, the same mtime.
    If this matters, compare `ctime_ns` too.  Nobody can set it, so it shows
    whether the inode was touched since.
    """

    device: int
    inode: int
    size: int  # bytes
    mtime_ns: int  # nanoseconds since the epoch, as `in_64_bits` gives them; so too ctime_ns
    ctime_ns: int = field(default=0, compare=False)  # last change of the inode itself
    # The number (uid) of the account that it belongs to; UNKNOWN and SEVERAL are of none
    owner: int = field(default=UNKNOWN, compare=False)

    @classmethod
    def of(cls, found: os.stat_result) -> FileStat:
        """From what os.stat, os.lstat or os.fstat gave."""
        device = _NUMBER_THERE.get(found.st_dev, found.st_dev)
        mtime, ctime = in_64_bits(found.st_mtime_ns), in_64_bits(found.st_ctime_ns)
        return cls(
            _once(device),
            found.st_ino,
            found.st_size,
            mtime,
            mtime if ctime == mtime else ctime,
            _once(found.st_uid),
        )

    @staticmethod
    def untouched(before: FileStat | None, now: FileStat | None) -> bool:
        """Whether a file is there as it was, and nobody has touched it between.

        ctime counts, because a program may write and set mtime back.
        """
        if before is None or now is None:
            return False
        return (before, before.ctime_ns) == (now, now.ctime_ns)


# Numbers that very many FileStats have: one object is enough for all of them.
_SAME: dict[int, int] = {}
_MOST_SAME = 10_000


def _once(number: int) -> int:
    if len(_SAME) > _MOST_SAME:
        _SAME.clear()
    return _SAME.setdefault(number, number)


# Each machine numbers its devices itself.  So importers on another machine than DropBox's learn
# which number of theirs is which of DropBox's: st_dev here -> st_dev there.
_NUMBER_THERE: dict[int, int] = {}


def known_there_as(here: int, there: int) -> None:
    """From now on each FileStat of the device with number `here` says that it is `there`."""
    _NUMBER_THERE[here] = there


# A name that leads nowhere: it, or a directory on the way, is not there.
NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def regular_stat(path: str) -> FileStat | None:
    """The FileStat of `path` if it is a regular file itself, otherwise None.

    It does not follow a symbolic link at the last step.  Raises OSError if nobody
    knows, as on a share that does not answer, or below a directory that we may not
    enter.  This is not the same as gone.
    """
    try:
        found = os.lstat(path)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return None
        raise
    if not stat_module.S_ISREG(found.st_mode):
        return None
    return FileStat.of(found)
