"""Large sets: the journal takes their files in parts, and nobody waits for all of them.

Pure, except for the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.records import PART, Formed
from omero_fs_plugin.errors import RecordRefused

from .around import Around
from .forming import Forming, Lock, Waits
from .lots import Lot

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal


def form_large(
    journal: Journal,
    forming: Forming,
    lock: Lock,
    asked: tuple[Lot, Grouping, Around, float],
) -> tuple[int, list[tuple[Candidate, Waits]]]:
    """Forms the large sets of an answer.  Returns how many, and what has to wait.

    Rule: the lock is held before the first part and for the last one.  If one of the files has
    changed between these, the set is not formed.  The lot stays out, so nobody else asks about
    its files.
    """
    lot, grouping, around, now = asked
    waits: list[tuple[Candidate, Waits]] = []
    formed = 0
    large = [one for one in grouping.candidates if len(one.files) > PART]
    for candidate in sorted(large, key=lambda one: -len(one.files)):
        try:
            with lock:
                together = forming.together(lot, candidate, around, now)
            if together is None:
                continue
            _form(journal, forming, lock, candidate, together)
            formed += 1
        except Waits as waiting:
            waits.append((candidate, waiting))
    return formed, waits


def _form(
    journal: Journal, forming: Forming, lock: Lock, candidate: Candidate, formed: Formed
) -> None:
    """Raises Waits."""
    try:
        gathered = journal.gather(formed)
        if gathered is None:
            raise forming.busy()
        with lock:
            changed = forming.changed(formed)
            if changed is None:
                forming.queued(candidate, journal.queue(gathered))
                return
        journal.release(gathered)
    except RecordRefused as error:
        raise forming.not_recorded(formed, error) from error
    raise changed
