"""What an earlier attempt left in OMERO, or still does there.  We did not see how it ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.packed import bag
from omero_fs_plugin.stores import is_registered, is_store

from .activity import Look, Rest, Watch, late_s, limit_s, look
from .importers import StillRunning, client_path
from .importers.answers import delete_filesets
from .stores import first_paths

log = logging.getLogger(__name__)

# OMERO may refuse so often to delete a fileset without life.  Then it stays there, and no longer
# keeps us from importing.
_REFUSALS = 2


@dataclass(frozen=True)
class Earlier:
    """What OMERO has of a fileset, and the journal does not know.

    Rules: while OMERO may be importing it, nobody imports it again.  Something
    is deleted only if it is this user's, has exactly these paths and no images, and
    a DropBox has begun it, or it was begun after the journal knew the fileset.
    Also, its server has ended, or it has shown no sign of life for longer than an
    import of its size may.
    """

    journal: Journal
    omero: Omero
    session: UserSession
    fileset: Fileset
    watch: Watch

    def unrecorded(self) -> list[ServerFileset]:
        """Filesets that begin with the same client path and that the journal does not know."""
        found = []
        for path in first_paths(self.fileset, self.omero.path_rules):
            there = self.omero.filesets(self.session.user, path)
            # A fileset that has the file at another position is another set.
            found += [f for f in there if f.paths[0] == path]
        recorded = self.journal.recorded(f.id for f in found)
        return [f for f in found if f.id not in recorded]

    def settle(self, unfinished: Sequence[ServerFileset]) -> bool:
        """Makes sure that nothing is under way, and deletes unfinished filesets.

        Returns whether something is left to be looked at later.  Raises StillRunning
        while something is under way, what `look` raises, and JournalError.
        """
        if not unfinished:
            return False
        found = self._look(unfinished)
        rests = self._rests(unfinished, found)
        for one, rest in rests:
            limit = self._limit(one, rest)
            if self._may_import(rest) and not rest.over(limit):
                raise StillRunning(_waiting(one, rest, limit))
        strangers = any(not self._ours(one, rest) for one, rest in rests)
        return self._clear(rests, found, importing=True) or strangers

    def clear(self) -> bool:
        """Deletes unfinished filesets.  Returns whether something is left to look at later.

        Raises what `look` raises, and JournalError.
        """
        unfinished = [one for one in self.unrecorded() if not one.images]
        if not unfinished:
            return False
        found = self._look(unfinished)
        return self._clear(self._rests(unfinished, found), found)

    def strangers(self) -> dict[int, bool]:
        """Unfinished filesets of this path that DropBox may not delete: id -> whether it is dead.

        OMERO's own importer may have made them for a journal that was lost.
        """
        unfinished = [one for one in self.unrecorded() if not one.images]
        if not unfinished:
            return {}
        return {
            one.id: rest.over(limit_s(*_extent(self.fileset, one)))
            for one, rest in self._rests(unfinished, self._look(unfinished))
            if not self._ours(one, rest)
        }

    def _look(self, unfinished: Sequence[ServerFileset]) -> Look:
        return look(self.session, unfinished, self.journal.now)

    def _client_path(self, path: str) -> str:
        return client_path(path, self.omero.path_rules)

    def _rests(
        self, unfinished: Sequence[ServerFileset], found: Look
    ) -> list[tuple[ServerFileset, Rest]]:
        told_at = self.journal.told_at(self.fileset.id)
        rests = ((one, self.watch.rest(one.id, found, told_at)) for one in unfinished)
        told_for = self.journal.told_for(self.fileset.id)
        return [(one, self._capped(one, rest, told_for)) for one, rest in rests if rest is not None]

    def _capped(self, one: ServerFileset, rest: Rest, told_for: float | None) -> Rest:
        """It has not been quiet for longer than since OMERO was told to import it.

        Somebody may have set OMERO's clock before DropBox was started.  If nobody can tell since
        when that is, as after the journal was lost, then only what we have seen ourselves counts.
        """
        tried = self.fileset.state is not State.IMPORTED and self._may_import(rest)
        if told_for is None and (rest.told or tried):
            return replace(rest, quiet=min(rest.quiet, rest.watched))
        if told_for is None or not self._ours(one, rest):
            return rest
        return replace(rest, quiet=min(rest.quiet, told_for))

    def _limit(self, one: ServerFileset, rest: Rest) -> float:
        """How long (s) it may show no sign of life.

        If its import never began, this is as long as a late call may take.  After it is
        deleted, its import can no longer begin.
        """
        if is_registered(one.paths):
            return late_s(0)  # OMERO reads no byte of a store for that
        files, size = _extent(self.fileset, one)
        return limit_s(files, size) if rest.told else late_s(size)

    def _may_import(self, rest: Rest) -> bool:
        """Whether OMERO was told to import it, or a late call of ours may still tell it so."""
        return rest.told or self.fileset.verified

    def _clear(
        self,
        rests: Sequence[tuple[ServerFileset, Rest]],
        found: Look,
        *,
        importing: bool = False,
    ) -> bool:
        mine = [(one, rest) for one, rest in rests if self._ours(one, rest)]
        left = False
        for one, rest in mine:
            if not rest.over(self._limit(one, rest)):
                left = True
                continue
            if any(now.id == one.id and now.images for now in self.unrecorded()):
                if importing:  # a late call was carried out at this very moment
                    raise StillRunning(f"OMERO has just imported it as Fileset:{one.id}")
                continue
            self.journal.make_sure()  # after a takeover the winner may be at it
            log.info("fileset %d: deleting unfinished Fileset:%d", self.fileset.id, one.id)
            try:
                delete_filesets(self.session, [one.id])
            except ImportRefused as error:
                log.warning("fileset %d: %s", self.fileset.id, error)
                if self.watch.refused(one.id) < _REFUSALS:
                    left = True
                    if importing and self._may_import(rest):
                        raise StillRunning(
                            f"OMERO may still be importing it: {error}; waiting"
                        ) from error
            else:
                self.watch.forget([one.id])
        return left

    def _ours(self, one: ServerFileset, rest: Rest) -> bool:
        """Whether a DropBox made it: it says so, or it was made after we knew the file.

        OMERO's time and ours come from two clocks, which `Rest.begun` allows for.
        """
        if not self._has_our_paths(one):
            return False
        # A first attempt has left nothing.
        since = rest.begun >= self.fileset.created and self.fileset.attempts > 1
        return rest.ours or since

    def _has_our_paths(self, one: ServerFileset) -> bool:
        if is_store(self.fileset.path):  # it may have had other files then
            top = self._client_path(self.fileset.path) + "/"
            return all(path.startswith(top) for path in one.paths)
        return bag(one.paths) == bag(self._client_path(met.path) for met in self.fileset.files)


def _extent(fileset: Fileset, one: ServerFileset) -> tuple[int, int]:
    """Files and bytes.  OMERO knows the size of a file only when it has the file."""
    size = sum(met.stat.size for met in fileset.files)
    return max(len(fileset.files), len(one.paths)), max(size, sum(one.sizes))


def _waiting(one: ServerFileset, rest: Rest, limit: float) -> str:
    return (
        f"OMERO may still be importing it as Fileset:{one.id}, begun {_span(rest.age)} ago, "
        f"last sign of life {_span(rest.quiet)} ago: waiting, up to {_span(limit)} without one"
    )


def _span(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
