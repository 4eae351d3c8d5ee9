"""Ways of importing a fileset; each a module, all after one protocol."""

from __future__ import annotations

from omero_fs_plugin.errors import FsError, ImportRefused

from .names import Rules, safe


class FileChanged(FsError):
    """A file is no longer what had come to rest; it settles anew."""


class Stopped(FsError):
    """We were told to stop; the fileset is given back."""


class UnderWay(FsError):
    """The same content is being imported at this moment; the fileset waits for the outcome."""


class StillRunning(FsError):
    """OMERO may still be at an import of it begun before; the fileset waits for its end."""


class DiskAway(FsError):
    """The disk with its files does not answer; the fileset is given back."""


class Excluded(FsError):
    """The importer was told to pass over such a fileset; it is skipped."""


def client_path(path: str, rules: str = "") -> str:
    """The client path OMERO records for the absolute `path`: no leading slash, names made safe.

    `rules` are the server's omero.fs.repo.path_rules, as `Omero.path_rules` has them.

    Raises ImportRefused for a path that is not absolute, or leads upwards:
    OMERO would notice only after the whole upload.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts or ".." in parts or "." in parts:
        raise ImportRefused(f"{path!r}: not an absolute path of a file")
    return "/".join(safe(part, Rules.of(rules)) for part in parts)
