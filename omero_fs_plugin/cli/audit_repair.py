"""What an audit can mend without risk, and how.

Rule: it deletes nothing itself.  A fileset without images is noted in the journal for DropBox,
which deletes it by its own rules: it is the user's, has exactly these files and no images, a
DropBox began it, and nobody is at it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from omero_fs_plugin.dropbox.audit.findings import Finding, Kind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.journal.glance import Glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import OPEN
from omero_fs_plugin.names import printable


@dataclass(frozen=True)
class Repair:
    """One repair."""

    fileset: int  # its id in the journal
    server_fileset: int  # its id in OMERO
    path: str

    def words(self) -> str:
        """What is done, in a line."""
        return (
            f"fileset {self.fileset}: DropBox looks at Fileset:{self.server_fileset} of "
            f"{printable(self.path)} in OMERO, and deletes it if nobody is at it"
        )


def repairs(look: Glance, record: Record) -> list[Repair]:
    """What can be done about the findings: one for each fileset of the journal."""
    found: dict[int, Repair] = {}
    for one in _ghosts(record.findings(Kind.GHOST)):
        assert one.fileset is not None and one.server_fileset is not None
        found.setdefault(one.fileset, Repair(one.fileset, one.server_fileset, one.path))
    ended = {seen.id for seen in look.load(found) if seen.state not in OPEN}
    return [one for one in found.values() if one.fileset in ended]


def _ghosts(found: Iterable[Finding]) -> Iterable[Finding]:
    return (one for one in found if one.fileset is not None and one.server_fileset is not None)


def repair(journal: Journal, one: Repair) -> str:
    """Does it.  Returns what was done, in a line."""
    from omero_fs_plugin.dropbox.importing.leftovers import note_leftover

    fileset = journal.get(one.fileset)
    if fileset is None or fileset.state in OPEN:
        return f"fileset {one.fileset}: left alone, it is on its way again"
    note_leftover(journal, fileset.id)
    return f"fileset {one.fileset}: noted for DropBox, which looks within minutes"
