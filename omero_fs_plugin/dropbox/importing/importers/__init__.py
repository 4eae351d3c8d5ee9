"""Ways of importing a fileset.

``protocol`` says what each way is given and what it answers.  There are two: ``native``, with
``upload``, ``in_place``, ``proof`` (whether OMERO sees a directory as we do) and ``belonging``
(where OMERO wants its files), ``one`` (an attempt at one fileset), ``streams`` (how many files at
once), ``resume`` (an upload that a kill cut off) and ``waits`` (when to ask for the end), and
``java``, with ``java_process``, ``java_child`` and ``printed``.
For a server that reads stores only where they lie, ``native`` has ``registering`` do it:
``store_images`` says what a store holds, ``registered`` what OMERO gets of it.
``choice`` says which one imports, by ``arguments`` and ``transfer``, and ``factory`` makes it.
Both use ``names``, ``sources``, ``checksums`` and ``answers``.  ``disk`` says what an error of a
disk means.
"""

from __future__ import annotations

from omero_fs_plugin.errors import FsError, ImportRefused

from .names import Rules, safe


class FileChanged(FsError):
    """A file is no longer as it was at rest; it settles anew."""


class FileGone(FileChanged):
    """A file is not there any more."""


class Stopped(FsError):
    """We were told to stop; the fileset is given back."""


class UnderWay(FsError):
    """The same content is being imported at this moment; the fileset waits for the outcome."""


class StillRunning(FsError):
    """OMERO may still be importing it for an earlier attempt; the fileset waits for the end."""


class CutShort(ImportRefused):
    """An importer's process ended in the middle; OMERO may still carry out a call of it."""


class DiskAway(FsError):
    """A disk does not answer, is full or ill; the fileset waits in the queue.

    It is the disk with its files, or that for temporary files.
    """


class Excluded(FsError):
    """The importer was told to pass over such a fileset; it is skipped."""


def client_path(path: str, rules: str = "") -> str:
    """The client path that OMERO records for the absolute `path`: no leading slash, safe names.

    `rules` are the server's omero.fs.repo.path_rules, as `Omero.path_rules` has them.

    Raises ImportRefused for a path that is not absolute, or leads upwards:
    OMERO would notice only after the whole upload.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts or ".." in parts or "." in parts:
        raise ImportRefused(f"{path!r}: not an absolute path of a file")
    return "/".join(safe(part, Rules.of(rules)) for part in parts)
