"""One attempt to import one fileset: from the question what OMERO has, to the journal's entry.

Each fileset is imported exactly once because of the order here.  The journal says
`importing` before anything is done.  OMERO is asked what an earlier attempt has left
before anything is uploaded.  The journal says `imported` only if OMERO really has
the images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import eq
from typing import cast

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError, ImportRefused, JournalError
from omero_fs_plugin.packed import Sha1s, bag
from omero_fs_plugin.stores import digest_of_copies, is_store

from .activity import Watch, start_of
from .duplicates import Duplicates
from .earlier import Earlier
from .importers import (
    CutShort,
    DiskAway,
    Excluded,
    FileChanged,
    StillRunning,
    Stopped,
    UnderWay,
    client_path,
)
from .importers.protocol import Importer, Outcome, Task, Wishes
from .importers.sources import sha1_of
from .leftovers import note_leftover
from .refusals import refuse
from .slots import Slots
from .store_importer import content_of
from .stores import check_rests

log = logging.getLogger(__name__)

_UPLOAD = "upload:"  # before a fileset's id; the note's text is the mark of its upload


@dataclass(frozen=True)
class Attempt:
    """What an attempt needs, and its two steps; `run_together` takes them in order.

    Rule: each step leaves its end in the journal.  If it raises ServerAwayError or UserError, the
    fileset is still importing.  The caller gives it back after it is done with the session.  If it
    gave the fileset back earlier, another importer would take it and lose it again.
    """

    journal: Journal
    omero: Omero
    session: UserSession
    fileset: Fileset
    stopping: Callable[[], bool]
    watch: Watch  # of imports that OMERO may still be at; all attempts share it
    import_duplicates: bool = False  # omero.fs.duplicates
    wishes: Callable[[], Wishes] = Wishes  # called when nothing speaks against the import
    # Called with the images when the journal has them.  If we do not return, a later call of
    # `Importing.finish` does this.
    afterwards: Callable[[Sequence[int]], None] | None = None
    removes: bool = False  # the importer removes the sources when the journal has the images
    later: Callable[[], None] = lambda: None  # called when that could not be done yet
    exclude_imported_paths: bool = False  # `--exclude clientpath` of omero.fs.importArgs
    shared: bool = False  # the owner of a file says whose it is, so it may change its user
    slots: Slots | None = None  # None: OMERO is told to import at once
    # Called with a Fileset of OMERO that has the images, though this is the first attempt.
    beside: Callable[[int], None] = lambda fileset: None

    def prepare(self, importer: Importer, tasks: list[Task]) -> State | None:
        """Does what comes before the import.

        Returns the state if the attempt ends here.  Otherwise returns None, and adds a
        task to `tasks`.
        """
        earlier = self._earlier()
        if earlier is not None:
            log.info("fileset %d: found in OMERO as Fileset:%d", self.fileset.id, earlier.id)
            if self.fileset.attempts == 1:
                self.beside(earlier.id)
            return self._imported(importer, earlier.id, earlier.images, self._copied(earlier))
        if self.fileset.verified:
            self.journal.note_nothing_there(self.fileset.id)
        ended = self._duplicates.look(self._sha1s)
        if ended is None:
            tasks.append(
                Task(
                    self.fileset,
                    self._verified,
                    self.wishes(),
                    self.watch.over,
                    known=self._marks[-1],
                    began=self._began,
                    ours=self._ours,
                )
            )
        return ended

    @cached_property
    def _duplicates(self) -> Duplicates:
        return Duplicates(
            self.journal,
            self.omero,
            self.session.user,
            self.fileset,
            import_duplicates=self.import_duplicates,
            exclude_imported_paths=self.exclude_imported_paths,
            shared=self.shared,
        )

    @cached_property
    def _marks(self) -> list[str]:
        """The marks of its upload, the last one last; empty: there was none."""
        # A first attempt goes on with nothing.
        known = self.journal.noted(self._upload) if self.fileset.attempts > 1 else ""
        return [known]

    @property
    def _upload(self) -> str:
        """The key of the note that has the mark of its upload."""
        return f"{_UPLOAD}{self.fileset.id}"

    def _began(self, mark: str) -> None:
        self._marks.append(mark)
        self.journal.note(self._upload, mark)

    def _ours(self) -> bool:
        """Whether no other DropBox has taken over.  False if nobody can tell."""
        try:
            self.journal.make_sure()
        except JournalError as error:
            log.info("fileset %d: left to the next attempt: %s", self.fileset.id, error)
            return False
        return True

    def over(self, state: State) -> None:
        """Forgets the mark of its upload, unless a later attempt may go on with it."""
        if state is not State.QUEUED and self._marks[-1]:
            self.journal.note(self._upload, "")

    def end(self, importer: Importer, outcome: Outcome) -> State:
        """Records what the importer says, after OMERO has confirmed it."""
        # We have not seen the end of its last call, and the next attempt may come before that.
        if isinstance(outcome, CutShort | Stopped | StillRunning | DiskAway):
            note_leftover(self.journal, self.fileset.id)
        if isinstance(outcome, FsError):
            raise outcome
        made = self.omero.filesets_of_images(outcome.images)
        if len(made) != 1:
            raise ImportRefused(
                f"OMERO reported the images {list(outcome.images)}, "
                f"and has them in {len(made)} filesets"
            )
        ((server_fileset, there),) = made.items()
        images = tuple(sorted(there))
        return self._imported(importer, server_fileset, images, outcome.sha1s)

    def step(self, step: Callable[[], State | None]) -> State | None:
        """Takes a step.  If it fails, the fileset gets the state that belongs to the error.

        Raises ServerAwayError and UserError.
        """
        try:
            return step()
        except FileChanged as error:
            if self.fileset.origin == HANDED_OVER:  # such a fileset does not settle
                return self._leave(State.FAILED, str(error))
            self.journal.settle_anew(self.fileset.id, str(error))
            log.info("fileset %d: %s", self.fileset.id, error)
            return State.WAITING
        except Stopped as error:
            return self._leave(State.QUEUED, str(error))
        except (StillRunning, DiskAway) as error:
            return self._leave(State.QUEUED, str(error))
        except Excluded as error:
            return self._leave(State.SKIPPED, str(error))
        except UnderWay as error:
            self._clean_up()
            return self._leave(State.QUEUED, str(error))
        except ImportRefused as error:
            self.session.forget()  # what was kept may be why
            self._clean_up()
            return refuse(self.journal, self.fileset, error, final=error.final)

    def _imported(
        self, importer: Importer, server_fileset: int, images: tuple[int, ...], sha1s: Sequence[str]
    ) -> State:
        finished = self.afterwards is None and not self.removes
        self.journal.imported(self.fileset.id, server_fileset, images, sha1s, finished=finished)
        try:
            kept = importer.done(self.fileset, sha1s, self.stopping)
        except (DiskAway, Stopped) as error:
            log.warning("fileset %d: imported, and to be removed later: %s", self.fileset.id, error)
            self.later()
            return State.IMPORTED
        if self.afterwards is not None:
            try:
                self.afterwards(images)
            except FsError as error:
                log.warning("fileset %d: to be finished later: %s", self.fileset.id, error)
        elif not finished:
            self.journal.finished(self.fileset.id)
        if kept:
            self.journal.remark(self.fileset.id, f"imported, but {kept}")
        return State.IMPORTED

    def _verified(self, sha1s: Sequence[str]) -> None:
        check_rests(self.fileset)
        self._duplicates.make_sure(sha1s, start_of(self.session))

    def _earlier(self) -> ServerFileset | None:
        """The fileset with images that an earlier attempt made, whose end we did not see.

        Raises StillRunning while OMERO may still be at it.
        """
        mine = self._in_omero.unrecorded()
        whole = [f for f in mine if f.images]
        if whole:
            # The content that OMERO was told to import; the files may have changed or gone since.
            told = self.fileset.sha1s if self.fileset.verified else ()
            sha1s = told if told and all(told) else self._sha1s()
            wanted = bag(sha1s)
            for found in whole:
                if bag(self._content(found)) == wanted:
                    return found
        if self._in_omero.settle([f for f in mine if not f.images]):
            note_leftover(self.journal, self.fileset.id)
        return None

    @property
    def _in_omero(self) -> Earlier:
        return Earlier(self.journal, self.omero, self.session, self.fileset, self.watch)

    def _client_path(self, path: str) -> str:
        return client_path(path, self.omero.path_rules)

    def _clean_up(self) -> None:
        """Deletes what earlier attempts left in OMERO.  It does not matter if this fails."""
        try:
            if self._in_omero.clear():
                note_leftover(self.journal, self.fileset.id)
        except FsError as error:
            log.warning("fileset %d: %s", self.fileset.id, error)

    def _sha1s(self) -> tuple[str, ...]:
        """The SHA1 of each file's bytes, in the order of the files, lower-case hex; of a store its
        digest.

        Raises what `sha1_of` and `content_of` raise.
        """
        root = self.fileset.root
        if is_store(self.fileset.path):
            return (content_of(self.fileset, self.omero.path_rules, self.stopping),)
        return tuple(sha1_of(root, met, self.stopping) for met in self.fileset.files)

    def _content(self, found: ServerFileset) -> Sequence[str | None]:
        """The SHA1s of what OMERO has, in its order, as the journal would have them."""
        if is_store(self.fileset.path):
            return [digest_of_copies(found.paths, found.hashes)]
        return found.hashes

    def _copied(self, found: ServerFileset) -> Sequence[str]:
        """As `_content`, in the order of our files."""
        if is_store(self.fileset.path):
            return [sha1 or "" for sha1 in self._content(found)]
        ours = (self._client_path(met.path) for met in self.fileset.files)
        if len(found.paths) == len(self.fileset.files) and all(map(eq, found.paths, ours)):
            return cast("Sequence[str]", Sha1s(sha1 or "" for sha1 in found.hashes))
        hashes = dict(zip(found.paths, found.hashes, strict=True))
        return [hashes.get(self._client_path(met.path)) or "" for met in self.fileset.files]

    def _leave(self, state: State, reason: str) -> State:
        self.journal.move(self.fileset.id, State.IMPORTING, state, reason)
        return state
