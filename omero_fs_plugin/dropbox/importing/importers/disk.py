"""What an error of a disk says about a file: the one place that decides it for importing.

Rule: a file has failed only through what it is itself.  ``confine.open_beneath`` finds that out
when it opens the file, and raises ImportRefused.  Nothing else that a disk says is a verdict: a
file is gone, or its disk is away or ill, and then the file waits.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from omero_fs_plugin.dropbox.confine import MAY_READ
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import NOTHING_THERE

from . import DiskAway, FileGone


def meaning(error: OSError, path: str) -> FsError:
    """FileGone if there is nothing at `path` any more, otherwise DiskAway."""
    if isinstance(error, RootAway):
        return DiskAway(str(error))
    if error.errno in NOTHING_THERE:
        return FileGone(f"{path}: gone before it was imported")
    why = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):  # a directory above it, or the share's server
        why += f": unless its disk is ill, {MAY_READ}"
    return DiskAway(f"{path}: cannot be read now: {why}")


@contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Raises FileGone or DiskAway for an OSError of the disk that has the file `path`."""
    try:
        yield
    except OSError as error:
        raise meaning(error, path) from error
