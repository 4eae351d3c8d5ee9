"""How one directory is read: each name once, and of a regular file no more than is needed.

What this module does may be done by the thread of a Place.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat as stat_module
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .answers import Beat
from .below import Gathered
from .entries import Entry, Identity, Kind

# Names in one directory.  A share may list names without end, and each of them costs memory.
MOST_NAMES = 1_000_000

# A name in a directory; None: it cannot be looked at
Stat = tuple[bytes, "os.stat_result | None"]

LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
BY_DESCRIPTOR = os.scandir in os.supports_fd
UNSEEN = Entry(Kind.UNSEEN, (-1, -1, -1), 1, 0.0)
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_TYPE = 0o170000  # the bits of a mode that stat.S_IFMT leaves
_KINDS = {stat_module.S_IFREG: Kind.FILE, stat_module.S_IFDIR: Kind.DIRECTORY}


def opened(path: bytes, flags: int) -> Any:
    """The directory, as os.scandir takes it: a descriptor to close, or `path` itself.

    Raises OSError.
    """
    return os.open(path, flags) if BY_DESCRIPTOR else path


def stats(where: bytes | int, inner: frozenset[bytes]) -> Iterator[Stat]:
    """Each name in a directory; None for those `inner`, and for what cannot be looked at.

    Raises OSError if there are too many.
    """
    names_are_text = not isinstance(where, bytes)
    with os.scandir(where) as listing:
        some: Any = itertools.islice(listing, MOST_NAMES)  # of text or of bytes, as `where` is
        for one in some:
            # As os.fsencode, which takes four times as long.
            name = one.name
            if names_are_text:
                name = name.encode(_ENCODING, _ERRORS)
            if inner and name in inner:
                yield name, None
                continue
            try:
                yield name, one.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since: its event follows
            except OSError:  # as of a mount point whose file system is away
                yield name, None
        if next(listing, None) is not None:
            raise OSError(errno.EOVERFLOW, f"more than {MOST_NAMES:,} names in one directory")


def gathered(
    open_: Callable[[bytes, int], Any],
    path: bytes,
    flags: int,
    inner: frozenset[bytes],
    beat: Beat,
) -> Gathered:
    """The device of a directory, and all that is in it.  Raises OSError.  `open_`: as `opened`."""
    found = []
    where = open_(path, flags)
    try:
        beat()
        device = os.stat(where).st_dev  # noqa: PTH116
        beat()
        for one in stats(where, inner):
            beat()
            found.append(one)
    finally:
        if where is not path:
            os.close(where)
    return device, found


def sorted_out(
    found: Iterable[Stat],
    known: Mapping[bytes, Identity] | None,
    now: float,
    device: int | None,
) -> tuple[list[tuple[bytes, Entry]], dict[bytes, Identity], list[bytes]]:
    """What a directory holds; the files that need no Entry (see Disk.entries); what was not seen.

    `now` as for entry_of.  A directory counts as mounted if it is not on `device`, unless None.
    """
    names: list[tuple[bytes, Entry]] = []
    files: dict[bytes, Identity] = {}
    unseen: list[bytes] = []
    regular, file = stat_module.S_IFREG, Kind.FILE
    as_known = None if known is None else known.get
    for name, stat in found:
        if stat is None:
            unseen.append(name)
            continue
        if stat.st_mode & _TYPE == regular:
            # Without calls: nearly all are such files, and there may be a million.
            identity = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if as_known is None or as_known(name) == identity:
                files[name] = identity
            else:
                names.append((name, Entry(file, identity, stat.st_nlink, _quiet(stat, now))))
            continue
        entry = entry_of(stat, now)
        if device is not None and entry.kind is Kind.DIRECTORY and stat.st_dev != device:
            entry = entry._replace(mounted=True)
        names.append((name, entry))
    return names, files, unseen


def entry_of(found: os.stat_result, now: float) -> Entry:
    """The Entry of a stat.  `now` is 0 if the clock that stamped the file is not known."""
    kind = _KINDS.get(stat_module.S_IFMT(found.st_mode), Kind.OTHER)
    identity = (found.st_ino, found.st_size, found.st_mtime_ns)
    return Entry(kind, identity, found.st_nlink, _quiet(found, now))


def _quiet(found: os.stat_result, now: float) -> float:
    # Where the clock is not known, a time before 1970 is no silence either.
    return max(now - found.st_ctime, 0.0) if now else 0.0
