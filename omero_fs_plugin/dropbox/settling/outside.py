"""What settling asks of the disk, of OMERO and of the configuration: functions handed in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from omero_fs_plugin.events import FileStat


@dataclass
class Outside:
    """What settling does not know by itself.

    `stat` gives what a path is now, None when it is no regular file or
    store (any more), and raises OSError when that cannot be told; `oddity` says why what
    is there is none.  `is_user` says whether a directory's name is an OMERO
    user's (True while OMERO is away, for then nobody knows), `is_there`
    whether a directory is there, and `written` which paths a process is known
    to hold open to write.  `may_read` opens a regular file, and says whether its rights allow that;
    it raises OSError when that cannot be told.

    Where a disk does not answer, each of them raises RootAway.
    """

    stat: Callable[[str], FileStat | None]
    is_user: Callable[[str], bool]
    may_read: Callable[[str], bool] = lambda path: True
    oddity: Callable[[str], str] = lambda path: ""
    is_there: Callable[[str], bool] = lambda directory: True
    written: Callable[[Collection[str]], Collection[str]] = lambda paths: ()
    # What is wrong with the sidecars of a directory: (root, directory) -> text, empty if nothing
    advice: Callable[[str, str], str] = lambda root, directory: ""
    is_advice: Callable[[str], bool] = lambda path: False  # whether a path is that of a sidecar
    # Why nothing may be done for a user until the configuration is mended
    held: Callable[[str], str] = lambda user: ""
    # Whether the disk of a root answers
    answers: Callable[[str], bool] = lambda root: True
    # The outermost store around a path that is called like a store's metadata; empty: none
    store_around: Callable[[str], str] = lambda path: ""
    # Which of these files are on their way home from quarantine: they are of that fileset
    coming: Callable[[Collection[str]], set[str]] = lambda paths: set()
    # Asks a question in the lane of a root, and gives the answer; raises RootAway
    ask: Callable[[str, Callable[[], Any]], Any] = lambda root, question: question()
