"""What is on the disk where OMERO has a file, and whether it is what was imported.

Each function works on one disk, in the lane of its root, and gives words instead of errors.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Iterable
from dataclasses import dataclass

from omero_fs_plugin.blitz.inventory import Kept
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.seen import Met
from omero_fs_plugin.dropbox.receipts.proof import Digests, can_digest
from omero_fs_plugin.events import in_64_bits
from omero_fs_plugin.stores import MARKERS

from .findings import Kind

_BLOCK = 2**20  # bytes read at once
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True)
class Place:
    """What is at a place of the repository."""

    stat: os.stat_result | None = None  # None: nothing is there, or it could not be looked at
    leads_to: str = ""  # for a symbolic link, the path in it, absolute
    why: str = ""  # why it could not be looked at


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a file; no kind: nothing is, or it could not be looked at."""

    kind: Kind | None = None
    why: str = ""


FINE = Verdict()


@dataclass(frozen=True)
class Source:
    """The user's file to which a link of the repository leads, and what it was."""

    path: str
    kept: Kept
    met: Met | None  # None: the journal does not say how it was
    before: float  # s since the epoch: without `met`, an older file counts as unchanged


def places(call: Call, root: str, kept: Iterable[Kept]) -> list[Place]:
    """What is at the place of each of these files below the repository's directory."""
    return [_place(call, root, one) for one in kept]


def _place(call: Call, root: str, kept: Kept) -> Place:
    if ".." in kept.place.split("/"):
        return Place(why="its path in OMERO leads out of the repository")
    path = f"{root}/{kept.place}"
    call.pulse()
    try:
        found = os.lstat(path)
        if not stat_module.S_ISLNK(found.st_mode):
            return Place(found)
        leads_to = os.path.join(os.path.dirname(path), os.readlink(path))  # noqa: PTH115, PTH118, PTH120
        return Place(found, leads_to)
    except ValueError:  # a NUL in it
        return Place()
    except OSError as error:
        return Place(why="" if error.errno in _NOT_THERE else _why(error))


def source(call: Call, root: str, one: Source) -> Verdict:
    """Whether the file is what was imported.  It is read only if its time says it may not be."""
    call.pulse()
    try:
        found = os.stat(one.path)  # noqa: PTH116
    except OSError as error:
        if error.errno not in _NOT_THERE:
            return Verdict(None, _why(error))
        if not os.path.lexists(root):
            return Verdict(Kind.BROKEN_LINK, f"{root} is not there: is its share mounted?")
        return Verdict(Kind.BROKEN_LINK, f"the link leads to {one.path}, and nothing is there")
    if not stat_module.S_ISREG(found.st_mode):
        return Verdict(Kind.CHANGED_TARGET, f"the link leads to {one.path}, which is no file")
    return unchanged(call, one, found)


def stores(call: Call, root: str, paths: Iterable[str]) -> list[Verdict]:
    """Whether the registered store at each of these paths is still there."""
    return [_store(call, root, path) for path in paths]


def _store(call: Call, root: str, path: str) -> Verdict:
    for name in MARKERS:
        call.pulse()
        try:
            os.stat(path + name)  # noqa: PTH116
        except OSError as error:
            if error.errno not in _NOT_THERE:
                return Verdict(None, _why(error))
        else:
            return FINE
    if not os.path.lexists(root):
        return Verdict(Kind.BROKEN_LINK, f"{root} is not there: is its share mounted?")
    return Verdict(Kind.BROKEN_LINK, f"OMERO reads the store at {path}, and there is none any more")


def unchanged(call: Call, one: Source, found: os.stat_result) -> Verdict:
    """Whether the regular file that was found at `one.path` has the bytes that were imported."""
    if found.st_size != one.kept.size:
        sizes = f"it has {found.st_size:,} bytes, and {one.kept.size:,} were imported"
        return Verdict(Kind.CHANGED_TARGET, sizes)
    if one.met is not None and one.met.mtime_ns == in_64_bits(found.st_mtime_ns):
        return FINE
    if one.met is None and found.st_mtime < one.before:
        return FINE
    if not can_digest(one.kept.hasher) or not one.kept.hash:
        what = one.kept.hasher or "not known"
        return Verdict(None, f"its time has changed, and OMERO's checksum is {what}")
    try:
        same = _digest(call, one.path, one.kept.hasher) == one.kept.hash
    except OSError as error:
        return Verdict(None, _why(error))
    return FINE if same else Verdict(Kind.CHANGED_TARGET, "its content is not what was imported")


def _digest(call: Call, path: str, hasher: str) -> str:
    """The checksum of a regular file.  Raises OSError."""
    digests = Digests([hasher])
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:  # os.fdopen would raise for a directory, and leave it open
        if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no file any more")
        call.pulse()
        while block := os.read(descriptor, _BLOCK):
            digests.update(block)
            call.pulse()
    finally:
        os.close(descriptor)
    return digests.sums()[hasher]


def _why(error: OSError) -> str:
    return f"cannot be looked at: {error.strerror}"
