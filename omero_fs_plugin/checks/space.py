"""Free space where OMERO and DropBox write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.config.settings import DATA_DIR, MANAGED_DIR, MANAGED_DIR_DEFAULT, Settings
from omero_fs_plugin.names import in_shell

from . import Line, Subject, error, ok, warning
from .directories import existing

GIB = 1 << 30
NONE = GIB  # less: imports fail soon
LITTLE = 10 * GIB
_FEW = 0.02  # of a file system's inodes


@dataclass(frozen=True)
class Free:
    """The space of a file system that an ordinary user may still use."""

    bytes: int
    inodes: float  # a share of all; 1 if the file system does not count them


def free(path: Path) -> Free:
    """The free space of the file system that `path` lies on."""
    found = os.statvfs(path)
    inodes = found.f_favail / found.f_files if found.f_files else 1.0
    return Free(found.f_bavail * found.f_frsize, inodes)


def repository(subject: Subject, look: Callable[[Path], Free] = free) -> Iterator[Line]:
    """The managed repository, where imported files are copied to."""
    yield from _room("managed repository", managed(subject), look)


def journal(subject: Subject, look: Callable[[Path], Free] = free) -> Iterator[Line]:
    """The journal, if it is a file."""
    file = _journal_file(subject.settings)
    if file is not None:
        yield from _room("space for the journal", file.parent, look)


def managed(subject: Subject) -> Path:
    """Where OMERO keeps imported files."""
    data_dir = subject.settings.data_dir
    given = subject.sources.properties.get(MANAGED_DIR, "").strip()
    given = given.replace(f"${{{DATA_DIR}}}", str(data_dir))
    return Path(given) if given else data_dir / MANAGED_DIR_DEFAULT


def _journal_file(settings: Settings) -> Path | None:
    from omero_fs_plugin.dropbox.journal.file import sqlite_file

    return sqlite_file(settings.journal_url)


def _room(about: str, directory: Path, look: Callable[[Path], Free]) -> Iterator[Line]:
    there = existing(directory)
    found = look(there)
    told = f"{found.bytes / GIB:.1f} GiB are free for {directory}"
    remedy = f"make room on the file system of {there}: `df {in_shell(there)}`"
    if found.bytes < NONE:
        yield error(about, told, remedy)
    elif found.bytes < LITTLE:
        yield warning(about, told, remedy)
    elif found.inodes < _FEW:
        yield warning(
            about,
            f"{found.inodes:.1%} of the inodes are free for {directory}",
            f"remove files on the file system of {there}: `df -i {in_shell(there)}`",
        )
    else:
        yield ok(about, told)
