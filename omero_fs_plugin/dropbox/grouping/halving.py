"""Finds, among many files, the one for which there is no answer.

A question about many files may get no answer: the process that reads them ends, or a defect of
ours raises something.  If it is not known which file is at fault, we ask again about each half of
the files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from omero_fs_plugin.dropbox.confine.roots import RootChanged
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.errors import FsError

from .filesets import Candidate, Grouping

log = logging.getLogger(__name__)


class Unanswered(Exception):
    """A question got no answer, and the file at fault is not known.  Its text says why."""


def halved(group: Callable[[Sequence[str]], Grouping], files: Sequence[str]) -> Grouping:
    """What `group` gives for `files`.  If it raises on a file, only that file fails.

    FsError, RootAway and RootChanged are raised on: then there is no answer for any file.
    """
    try:
        return group(files)
    except (FsError, RootAway, RootChanged):
        raise
    except Exception as error:
        why = str(error) if isinstance(error, Unanswered) else _defect(error)
        if not files:
            raise
        if len(files) == 1:
            log.error("%s: nothing can be said of it: %s", files[0], why)
            refused = f"{files[0]}: nothing can be said of it: {why}"
            return Grouping((Candidate((files[0],), refused=refused),))
        log.warning("of %d files nothing can be said: %s; asking about halves", len(files), why)
        ordered = sorted(files)  # so that files that belong together, by name, stay together
        middle = len(ordered) // 2
        return together(halved(group, ordered[:middle]), halved(group, ordered[middle:]))


def together(one: Grouping, other: Grouping) -> Grouping:
    """Joins both answers, by the rules of Grouping."""
    by_first: dict[str, Candidate] = {}
    for candidate in (*one.candidates, *other.candidates):
        known = by_first.get(candidate.files[0])
        # If both halves know a set, the half that saw more of it is right.
        if known is None or (known.refused == "", len(known.files)) < (
            candidate.refused == "",
            len(candidate.files),
        ):
            by_first[candidate.files[0]] = candidate
    covered = {path for candidate in by_first.values() for path in candidate.files}
    unreadable = {**one.unreadable, **other.unreadable}
    return Grouping(
        tuple(by_first.values()),
        {path: why for path, why in unreadable.items() if path not in covered},
        (one.unread | other.unread) - covered,
        (one.parts | other.parts) - covered,
    )


def _defect(error: Exception) -> str:
    log.debug("a defect", exc_info=error)
    return f"{type(error).__name__}: {error}"
