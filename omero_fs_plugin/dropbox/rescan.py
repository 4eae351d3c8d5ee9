"""Looking at the whole tree: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from ..events import FileStat
from .records import Found

log = logging.getLogger(__name__)


def subdirectories(watch_dir: str) -> list[str]:
    """Names of the directories in `watch_dir`, links and dot directories left out.

    Raises OSError when it cannot be listed: it is unavailable, which is not
    the same as empty.
    """
    with os.scandir(watch_dir) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )


def walk(root: str) -> Iterator[Found]:
    """Every regular file below `root`, following no link.

    Places that cannot be listed are passed over, and told in the log: the next
    rescan looks again.  Dot files and directories are passed over, as OMERO's
    own importer does.
    """
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        try:
            entries = os.scandir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%r cannot be listed: %s", directory, error.strerror)
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield Found(entry.path, FileStat.of(entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue  # removed while we were looking
