"""Looking at the whole tree: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress

from ..events import FileStat
from .records import Found

log = logging.getLogger(__name__)


def top(watch_dir: str) -> tuple[list[str], list[Found]]:
    """What lies in `watch_dir` itself: names of directories, and stray files.

    Links and what begins with a dot are left out.  Raises OSError when it
    cannot be listed: it is unavailable, which is not the same as empty.
    """
    directories: list[str] = []
    strays: list[Found] = []
    with os.scandir(watch_dir) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # removed while we were looking
                    stat = entry.stat(follow_symlinks=False)
                    strays.append(Found(entry.path, FileStat.of(stat)))
    return sorted(directories), strays


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
