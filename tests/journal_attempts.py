"""What an importer does with one fileset, as `dropbox.importing.attempts` does, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import (
    FOUND_IN_OMERO,
    HANDED_OVER,
    Fileset,
    Found,
)
from omero_fs_plugin.dropbox.journal.states import State

from .journal_world import Disk, Omero, Side


def paths_of(fileset: Fileset) -> list[str]:
    return [met.path for met in fileset.files]


class Attempts:
    """Attempts of any DropBox, on one disk and one OMERO."""

    def __init__(self) -> None:
        self.disk, self.omero = Disk(), Omero()
        self.met: set[str] = set()  # paths that are recorded
        self.one_now: dict[int, int] = {}  # fileset -> the one that it turned out to be

    def attempt(self, side: Side, fileset: Fileset) -> None:
        """From asking what there is already to OMERO being told, as `importing.attempts` does."""
        journal, now = side.journal, self.disk.sha1s(fileset)
        told = fileset.sha1s if fileset.verified and all(fileset.sha1s) else now
        for there in self.omero.unrecorded(journal, fileset.user):
            same = sorted(there.sha1s) == sorted(map(str, told or ()))
            if there.paths[0] == fileset.path and same:
                journal.imported(fileset.id, there.id, [there.id], list(there.sha1s))
                self._end_of(side, fileset)
                return
        if fileset.verified:
            journal.note_nothing_there(fileset.id)
        if now is None:
            if fileset.origin == HANDED_OVER:
                journal.move(fileset.id, State.IMPORTING, State.FAILED, "it changed")
            else:
                journal.settle_anew(fileset.id, "it changed")
        elif not self._is_known(journal, fileset, now, known := set()):
            apart = {one.id for one in journal.of_others(fileset)}  # there are no mounts here
            if journal.note_verified(fileset, now, known, apart) is None:
                side.told[fileset.id] = self.omero.import_(fileset, now)
                return
            journal.move(fileset.id, State.IMPORTING, State.QUEUED, "under way elsewhere")
        self._end_of(side, fileset)

    def _is_known(
        self, journal: Journal, fileset: Fileset, sha1s: list[str], known: set[int]
    ) -> bool:
        """Whether the same content was imported, and OMERO has it still.

        The ids of those filesets are added to `known`.
        """
        if not journal.has_twin(fileset) or journal.under_way(fileset, sha1s[0]) is not None:
            return False
        twins = journal.same_content(fileset.user, sha1s)
        known.update(twin.id for twin in twins)
        there = [twin for twin in twins if twin.server_fileset in self.omero.imports]
        for twin in twins:
            pairs = list(zip(twin.files, fileset.files, strict=True))
            deleted = not there and fileset.origin != HANDED_OVER
            if twin in there and all(self._is_one_file(was, met) for was, met in pairs):
                self._is_twin(journal, fileset, twin)
                return True
            if deleted and all(was.stat == met.stat for was, met in pairs):
                self._is_twin(journal, fileset, twin, deleted=True)
                return True
        if there:
            journal.duplicate(fileset.id, there[-1].id, "the same content")
        return bool(there)

    def _is_one_file(self, was: Found, met: Found) -> bool:
        ids = [(one.stat.device, one.stat.inode) for one in (was, met)]
        return was.path == met.path or ids[0] == ids[1] or was.path not in self.disk.files

    def _is_twin(
        self, journal: Journal, fileset: Fileset, twin: Fileset, *, deleted: bool = False
    ) -> None:
        itself = twin.origin == FOUND_IN_OMERO or paths_of(twin) == paths_of(fileset)
        self.met.difference_update(paths_of(twin))
        self.met.update(paths_of(fileset))
        if itself and not deleted and fileset.origin != HANDED_OVER:
            journal.met(fileset.id, twin.id, fileset.files)
            self.one_now[fileset.id] = twin.id
            return
        found = twin.origin == FOUND_IN_OMERO and twin.server_fileset is not None
        if found and not deleted and paths_of(twin) == paths_of(fileset):
            number = twin.server_fileset
            assert number is not None
            journal.imported(fileset.id, number, [number], [str(sha1) for sha1 in twin.sha1s])
            self.one_now[twin.id] = fileset.id
            return
        for position, met in enumerate(fileset.files):
            journal.moved(twin.id, position, met)
        journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "the same file")

    def end(self, side: Side, fileset: Fileset, end: str) -> None:
        made = side.told.get(fileset.id)
        if made is not None and end.startswith("refused"):
            if side.journal.recorded([made.id]):
                return  # another has seen that it could
            self.omero.imports.pop(made.id, None)  # it was told, and could not
        if end == "refused":
            side.journal.refused(fileset.id, State.QUEUED, "OMERO refuses it")
        elif end == "refused for good":
            side.journal.refused(fileset.id, State.FAILED, "OMERO refuses it")
        elif end == "given back" or (end == "skipped" and made is not None):
            side.journal.move(fileset.id, State.IMPORTING, State.QUEUED, "OMERO is away")
        elif made is not None:
            side.journal.imported(fileset.id, made.id, [made.id], list(made.sha1s))
        elif end == "skipped":
            side.journal.move(fileset.id, State.IMPORTING, State.SKIPPED, "it is excluded")
        else:
            return
        self._end_of(side, fileset)

    def _end_of(self, side: Side, fileset: Fileset) -> None:
        side.taken.pop(fileset.id)
        side.told.pop(fileset.id, None)

    def import_all(self, side: Side, user: str) -> Iterator[Fileset]:
        """Once each, what is queued of a user."""
        tried: list[int] = []
        while (fileset := side.journal.take(user, tried)) is not None:
            tried.append(fileset.id)
            side.taken[fileset.id] = fileset
            self.attempt(side, fileset)
            if fileset.id in side.told:
                self.end(side, fileset, "imported")
            yield fileset
