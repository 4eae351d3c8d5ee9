"""One attempt to import one fileset, from asking OMERO what it has to the journal.

Exactly once rests on the order here: the journal says `importing` before
anything is done; OMERO is asked for what an earlier attempt may have left
before anything is uploaded; the journal says `imported` only for images that
OMERO really has.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import FsError, ImportRefused
from ..events import FileStat, regular_stat
from ..sessions import Omero, ServerFileset, UserSession
from .confine import open_beneath
from .importers import FileChanged, Stopped, UnderWay, client_path
from .importers.native import NativeImport, delete_filesets
from .journal import Journal
from .records import HANDED_OVER, Fileset
from .states import State

log = logging.getLogger(__name__)

# How often OMERO may refuse a fileset before it has failed, and the time (s)
# before each further try: a refusal may come from a server short of something.
TRIES = 3
TRY_AGAIN_S = (1.0, 5.0)

_GRACE_S = 30.0  # an import we lost sight of may still be under way in OMERO


@dataclass(frozen=True)
class Attempt:
    """What an attempt needs; `run` makes it and leaves its end in the journal.

    `pause` waits some seconds and returns early when we are told to stop.
    """

    journal: Journal
    omero: Omero
    session: UserSession
    fileset: Fileset
    stopping: Callable[[], bool]
    pause: Callable[[float], object]
    import_duplicates: bool = False  # omero.fs.duplicates

    def run(self) -> State:
        """The state the fileset was left in.

        Raises ServerAwayError and UserError with the fileset still importing, for
        the caller to give back when it is done with the session: given back any
        earlier, another importer takes it, and has it taken away again.
        """
        try:
            return self._import()
        except FileChanged as error:
            if self.fileset.origin == HANDED_OVER:  # nobody watches it settle
                return self._leave(State.FAILED, str(error))
            return self._leave(State.WAITING, str(error))
        except Stopped as error:
            return self._give_back(str(error))
        except UnderWay as error:
            self._clean_up()
            return self._give_back(str(error))
        except ImportRefused as error:
            self._clean_up()
            return self._refused(error)

    def _import(self) -> State:
        earlier = self._earlier()
        if earlier is not None:
            log.info("fileset %d: found in OMERO as Fileset:%d", self.fileset.id, earlier.id)
            return self._imported(earlier.id, earlier.images, [h or "" for h in earlier.hashes])
        if self.fileset.verified:
            self.journal.note_nothing_there(self.fileset.id)
        skipped = self._same_content()
        if skipped is not None:
            return skipped
        importer = NativeImport(
            self.session,
            self.fileset,
            verified=self._verified,
            stopping=self.stopping,
        )
        images = importer.run()
        made = self.omero.filesets_of_images(images)
        if len(made) != 1:
            raise ImportRefused(
                f"OMERO reported the images {list(images)}, and has them in {len(made)} filesets"
            )
        ((server_fileset, there),) = made.items()
        return self._imported(server_fileset, tuple(sorted(there)), importer.sha1s)

    def _imported(self, server_fileset: int, images: tuple[int, ...], sha1s: list[str]) -> State:
        self.journal.imported(self.fileset.id, server_fileset, images, sha1s)
        log.info(
            "fileset %d: %s imported for %s as Fileset:%d, Image:%s",
            self.fileset.id,
            self.fileset.path,
            self.fileset.user,
            server_fileset,
            ",".join(map(str, images)),
        )
        return State.IMPORTED

    def _verified(self, sha1s: Sequence[str]) -> None:
        _unless(self.journal.note_verified(self.fileset, sha1s))

    def _same_content(self) -> State | None:
        """Skips a file whose bytes are in OMERO for this user already; None when they are not.

        A file under the same path, in the same inode, or from a path where
        nothing is any more, was renamed, touched or chmod-ed since; any other
        is a copy.
        """
        met = self.fileset.files[0]
        if not self.journal.has_twin(self.fileset):
            return None
        sha1 = self._sha1()
        _unless(self.journal.under_way(self.fileset, sha1))
        twins = self.journal.twins(self.fileset.user, sha1)
        for twin in twins:
            was = twin.files[0]
            same_inode = (was.stat.device, was.stat.inode) == (met.stat.device, met.stat.inode)
            if was.path == met.path or same_inode or _is_gone(was.path):
                self.journal.moved(twin.id, 0, met)
                return self._leave(
                    State.SKIPPED, f"the same file as {was.path}, imported as {_in_omero(twin)}"
                )
        if not twins or self.import_duplicates:
            return None
        first = twins[-1]
        reason = f"the same content as {first.path}, imported as {_in_omero(first)}"
        self.journal.duplicate(self.fileset.id, first.id, reason)
        log.info("fileset %d: %s", self.fileset.id, reason)
        return State.SKIPPED

    def _earlier(self) -> ServerFileset | None:
        """What an attempt whose end we did not see has left in OMERO, with images.

        Anything it left without images is deleted.
        """
        path = client_path(self.fileset.path)
        deadline = time.monotonic() + _GRACE_S
        while True:
            mine = self._unrecorded(path)
            whole = [f for f in mine if f.images]
            if whole:
                # What OMERO was told to import then; the file may have changed or gone since.
                told = self.fileset.sha1s[0] if self.fileset.verified else None
                sha1 = told or self._sha1()
                for found in whole:
                    if found.hashes[0] == sha1:
                        return found
            partial = [f.id for f in mine if not f.images]
            if not partial or self.fileset.attempts <= 1:
                # A first attempt has left nothing: this is another client's work.
                return None
            if not self.fileset.verified or time.monotonic() > deadline:
                # Deleting takes images along that appear at this very moment,
                # so the next attempt makes the only ones.
                log.info("fileset %d: deleting unfinished %s", self.fileset.id, partial)
                delete_filesets(self.session, partial)
                return None
            if self.stopping():
                raise Stopped("stopped while an earlier attempt was looked up")
            self.pause(1.0)

    def _unrecorded(self, path: str) -> list[ServerFileset]:
        found = self.omero.filesets(self.session.user, path)
        recorded = self.journal.recorded(f.id for f in found)
        return [f for f in found if f.id not in recorded]

    def _clean_up(self) -> None:
        """Deletes what the refused attempt left in OMERO; failing at that changes nothing."""
        try:
            left = [f.id for f in self._unrecorded(client_path(self.fileset.path)) if not f.images]
            if left:
                delete_filesets(self.session, left)
        except FsError as error:
            log.warning("fileset %d: %s", self.fileset.id, error)

    def _sha1(self) -> str:
        """Of the file's bytes, lower-case hex."""
        met = self.fileset.files[0]
        try:
            descriptor = open_beneath(self.fileset.root, met.path)
        except FileNotFoundError as error:
            raise FileChanged(f"{met.path}: gone before it was imported") from error
        except OSError as error:
            raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as source:
            if FileStat.of(os.fstat(source.fileno())) != met.stat:
                raise FileChanged(f"{met.path}: changed after it had come to rest")
            digest = hashlib.sha1(usedforsecurity=False)
            try:
                while block := source.read(2**20):
                    digest.update(block)
            except OSError as error:
                raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
        return digest.hexdigest()

    def _refused(self, error: ImportRefused) -> State:
        tries = self.fileset.refusals + 1
        reason = str(error)
        if error.final or tries >= TRIES:
            after = State.FAILED
        else:
            after, reason = State.QUEUED, f"refused {tries} of {TRIES} times: {reason}"
        self.journal.refused(self.fileset.id, after, reason)
        log.warning("fileset %d: %s: %s", self.fileset.id, after, reason)
        return after

    def _give_back(self, reason: str) -> State:
        return self._leave(State.QUEUED, reason)

    def _leave(self, state: State, reason: str) -> State:
        self.journal.move(self.fileset.id, State.IMPORTING, state, reason)
        log.info("fileset %d: %s: %s", self.fileset.id, state, reason)
        return state


def _is_gone(path: str) -> bool:
    try:
        return regular_stat(path) is None
    except OSError:
        return False  # it cannot be told, so it is taken for a copy


def _unless(other: int | None) -> None:
    if other is not None:
        raise UnderWay(f"the same content is being imported as fileset {other}")


def _in_omero(fileset: Fileset) -> str:
    images = ",".join(map(str, fileset.images))
    return f"Fileset:{fileset.server_fileset}, Image:{images}"
