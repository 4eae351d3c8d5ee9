"""Imports with omero-py, through the ManagedRepository API.

The source for the order of the calls, and for what each of them refuses, is OMERO's
Slice documentation of ManagedRepository.  The Java importer makes the same calls.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

import omero.model
from omero.grid import ImportSettings
from omero.rtypes import rbool, rlong, rstring, unwrap

import omero
from omero_fs_plugin import __version__
from omero_fs_plugin.blitz.copies import TRANSFER, patience_ms
from omero_fs_plugin.blitz.sessions import DROPPED
from omero_fs_plugin.blitz.user_session import AGENT, UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import FsError, ImportRefused, ServerAwayError, UnclearError, UserError

from . import StillRunning, Stopped, client_path, sources
from .answers import delete_filesets, images_of, quietly, without_waiting
from .belonging import Belonging
from .checksums import agreed
from .in_place import InPlace
from .one import OneImport
from .proof import PROOFS
from .protocol import Figures, Imported, Outcome, Progress, Task
from .registering import Registration, registers
from .resume import FEWEST, mark, marked
from .sources import sha1_of
from .transfer import Transfer
from .upload import upload
from .waits import Waits

log = logging.getLogger(__name__)

ALIVE_S = 30.0  # between two checks that the session is still there to get the answer
# A question that was asked during the upload may be answered later than others.  Its answer is
# waited for so long, after all else has failed.
_ANSWER_S, _LOOK_S = 2.0, 0.01


@dataclass(frozen=True)
class NativeOptions:
    """The options for every fileset of an importer."""

    transfer: Transfer = Transfer.UPLOAD
    thumbnails: bool = True
    stats: bool = True  # minima and maxima of the pixels
    path_rules: str = ""  # the server's omero.fs.repo.path_rules; empty: the usual ones
    waits: Waits = field(default_factory=Waits)  # what former imports took; all share one


class NativeImport(OneImport):
    """One attempt to import one fileset in one session.

    The task's `verified` is called with the SHA1s when everything was uploaded, just before
    OMERO is told to import.
    """

    def __init__(
        self,
        session: UserSession,
        task: Task,
        *,
        stopping: Callable[[], bool],
        options: NativeOptions | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(session, task, stopping=stopping, progress=progress)
        self._first: int | None = None  # OriginalFile id of the first file, if it is known
        # The question for it, and whom it was sent to.
        self._asked_first: tuple[Any, Any] | None = None
        self._told = False  # OMERO was told to import, and may be importing
        self._options = options or NativeOptions()
        self._known, self._began = task.known, task.began
        self._there: Sequence[str | None] = ()  # SHA1s of what an earlier attempt uploaded
        self._in_place: InPlace | None = None
        self._belonging = Belonging(session, len(self._fileset.files))

    def run(self) -> tuple[int, ...]:
        """Imports, and returns the ids of the images.

        Raises FileChanged if a file is not, or is no longer, what was to be
        imported, ImportRefused with OMERO's reason, ServerAwayError, and
        Stopped if `stopping` before OMERO was told to import.  What it made in
        OMERO without images is then deleted, unless OMERO is away.  Raises
        StillRunning if OMERO imports but its answer cannot be got.
        """
        own = self._session
        try:
            return self._run()
        finally:
            if self._session is not own:  # that of an earlier attempt
                self._session.close()

    def _run(self) -> tuple[int, ...]:
        self._begin_progress()
        repository = self._session.managed_repository()
        if self._options.transfer.in_place:
            self._in_place = InPlace.of(self._session, repository, self._options.transfer)
            self._in_place.check(self._fileset)
            if self._options.transfer is Transfer.LN_S:
                PROOFS.check(self._fileset, repository, self._in_place.root)
        process = self._begin(repository)
        try:
            images = self._import(process)
        except (ServerAwayError, UserError, StillRunning):
            ours = self._ours()
            if ours and not self._told and (first := self._first_file(process)) is not None:
                self._over(first)
            if ours:
                quietly(process.close)
            raise
        except FsError:
            if self._ours():
                self._take_back(process)
                quietly(process.close)
            raise
        without_waiting(process)
        return images

    def _begin(self, repository: Any) -> Any:
        """Begins the upload, or goes on with that of an earlier attempt."""
        number = len(self._fileset.files)
        resumes = self._in_place is None and number >= FEWEST
        wanted = self._wanted() if resumes else []
        if resumes and (found := marked(self._session, repository, self._known, wanted, number)):
            self._there, self._first, self._session = found.sha1s, found.first, found.session
            log.info(
                "fileset %d: of its %d files, OMERO has %d from an earlier attempt",
                self._fileset.id,
                number,
                sum(map(bool, self._there)),
            )
            return found.process
        # OMERO makes a row for each file, and answers when it has them all.
        patient = repository.ice_invocationTimeout(patience_ms(0, number))
        with server_errors("importing", Step.BEGIN):
            process = patient.importFileset(self._description(), self._settings(repository))
        if resumes:
            self._began(mark(process, wanted))
        return process

    def _wanted(self) -> list[str]:
        """All that decides whether a later attempt may go on with this upload.

        The sizes are in it, so that no longer file has to be cut then.
        """
        wishes, target = self._wishes, self._wishes.target
        aimed = f"{target.ice_id()} {unwrap(target.id)}" if target is not None else ""
        told = (wishes.reader, wishes.name, wishes.description, aimed, self._session.user.group)
        options = self._options
        chosen = options.transfer, options.thumbnails, options.stats, options.path_rules
        files = hashlib.sha256()
        for met in self._fileset.files:
            said = f"{met.stat.size} {self._client_path(met)}\0"
            files.update(said.encode(errors="surrogateescape"))
        return [*told, repr(chosen), files.hexdigest()]

    def _client_path(self, met: Found) -> str:
        return client_path(met.path, self._options.path_rules)

    def _import(self, process: Any) -> tuple[int, ...]:
        self.sha1s.extend(self._streams.run(partial(self._upload, process)))
        if self._stopping():
            raise Stopped("stopped before the import began")
        self._verified(self.sha1s)
        handle = self._verify(process)
        try:
            return self._await(handle)
        finally:
            without_waiting(handle)

    def _description(self) -> Any:
        fileset = omero.model.FilesetI()
        for met in self._fileset.files:
            entry = omero.model.FilesetEntryI()
            entry.clientPath = rstring(self._client_path(met))
            fileset.addFilesetEntry(entry)
        upload_job = omero.model.UploadJobI()
        dropped = datetime.fromtimestamp(self._fileset.created, timezone.utc)
        upload_job.versionInfo = [
            omero.model.NamedValue("client", f"{AGENT} {__version__}"),
            omero.model.NamedValue(DROPPED, dropped.isoformat(timespec="seconds")),
        ]
        if self._wishes.reader:
            # With this OMERO keeps only those parent directories that the format needs.
            reader = omero.model.NamedValue("bioformats.reader", self._wishes.reader)
            upload_job.versionInfo.append(reader)
        fileset.linkJob(upload_job)
        if self._options.transfer.annotation:
            note = omero.model.CommentAnnotationI()
            note.ns = rstring(TRANSFER)
            note.textValue = rstring(self._options.transfer.annotation)
            fileset.linkAnnotation(note)
        return fileset

    def _settings(self, repository: Any) -> Any:
        settings = ImportSettings()
        settings.checksumAlgorithm = self._session.keep("checksum", lambda: agreed(repository))
        settings.doThumbnails = rbool(self._options.thumbnails)
        settings.noStatsInfo = rbool(not self._options.stats)
        if self._wishes.name:
            settings.userSpecifiedName = rstring(self._wishes.name)
        if self._wishes.description:
            settings.userSpecifiedDescription = rstring(self._wishes.description)
        if self._wishes.target is not None:
            settings.userSpecifiedTarget = self._wishes.target
        return settings

    def _upload(self, process: Any, position: int) -> str:
        """Brings one file to OMERO, and returns its SHA1."""
        if position < len(self._there) and (there := self._there[position]):
            met = self._fileset.files[position]
            if sha1_of(self._fileset.root, met, self._halting) == there:
                self._progress.more(met.stat.size)
                return there
        if position == 0:
            process = _Process(process, self._note_first)
        put = upload
        if self._in_place is not None:
            put = partial(
                self._in_place.put,
                belonging=self._belonging,
                client_path=self._client_path(self._fileset.files[position]),
            )
        return put(process, position, self._fileset, self._halting, self._progress.more)

    def _note_first(self, store: Any) -> None:
        # The upload need not wait for the answer, which is wanted only if it fails.
        self._asked_first = store, store.begin_getFileId()

    def _first_file(self, process: Any) -> int | None:
        """OriginalFile id of the first file; None if OMERO has not told it."""
        if self._asked_first is None:
            return self._first
        store, asked = self._asked_first
        until = time.monotonic() + _ANSWER_S
        while not asked.isCompleted():
            if self._stopping() or time.monotonic() > until:
                return None
            time.sleep(_LOOK_S)
        try:
            with server_errors("asking for the id of a file"):
                return int(unwrap(store.end_getFileId(asked)))
        except FsError as error:
            log.debug("fileset %d: %s", self._fileset.id, error)
        # OMERO answers calls in any order, and may have closed the file before it came to ours.
        try:
            with server_errors("asking for the id of a file once more"):
                soon = process.ice_invocationTimeout(int(_ANSWER_S * 1000))
                return _file_of(soon.getUploader(0))
        except FsError as error:
            log.debug("fileset %d: %s", self._fileset.id, error)
            return None

    def _verify(self, process: Any) -> Any:
        size = sum(met.stat.size for met in self._fileset.files)
        files = len(self._fileset.files)
        patient = process.ice_invocationTimeout(patience_ms(size, files))
        self._told = True
        try:
            with server_errors("verifying the upload", Step.VERIFY):
                try:
                    return patient.verifyUpload(self.sha1s)
                except omero.ServerError:  # OMERO itself says that it does not import
                    self._told = False
                    raise
        except ImportRefused as error:
            failing = getattr(error.__cause__, "failingChecksums", None)
            if failing:
                names = ", ".join(self._fileset.files[i].path for i in sorted(failing))
                raise ImportRefused(f"the upload does not match the file: {names}") from error
            raise

    def _await(self, handle: Any) -> tuple[int, ...]:
        """Waits until OMERO has made the images, and returns their ids.

        There is no time limit, because large filesets take hours.  The client keeps
        its session alive.  The wait ends if the server dies, or if the session ends:
        OMERO then imports but never answers.
        """
        waits, begun = self._options.waits, time.monotonic()
        ask = begun + ALIVE_S
        files, size = len(self._fileset.files), sum(met.stat.size for met in self._fileset.files)
        time.sleep(waits.first(files, size))
        while True:
            try:
                with server_errors("waiting for the import"):
                    response = handle.getResponse()
            except (ImportRefused, UnclearError, UserError) as error:
                # This is about our question, not about the import.
                raise StillRunning(f"{error}; OMERO may still be importing it") from error
            if response is not None:
                if isinstance(response, omero.cmd.ERR):
                    self._told = False
                else:
                    waits.took(files, size, time.monotonic() - begun)
                return images_of(response)
            if time.monotonic() > ask:
                if not self._session.alive():
                    raise ServerAwayError("waiting for the import: the session has ended")
                ask = time.monotonic() + ALIVE_S
            time.sleep(waits.pause(files, size, time.monotonic() - begun))

    def _take_back(self, process: Any) -> None:
        """Deletes the fileset without images that this attempt leaves.

        OMERO itself does not clean up after a failed import.  It does not matter if the
        deletion fails.
        """
        parameters = omero.sys.ParametersI()
        whose = "from Fileset f join f.usedFiles e join e.originalFile o {} where o.id = :id"
        try:
            with server_errors("looking for what is left of the import"):
                parameters.map = {"id": rlong(_file_of(process.getUploader(0)))}
                ask = self._session.query.projection
                if ask("select i.id " + whose.format("join f.images i"), parameters):
                    return
                ids = [unwrap(row[0]) for row in ask("select f.id " + whose.format(""), parameters)]
            delete_filesets(self._session, ids)
        except FsError as error:
            log.warning("fileset %d: %s", self._fileset.id, error)


def _file_of(store: Any) -> int:
    """The id of the OriginalFile that a RawFileStore has open.  Closes it."""
    try:
        return int(unwrap(store.getFileId()))
    finally:
        store.close()


class _Process:
    """The part of an import's process that an upload needs; `made` gets the first file's store."""

    def __init__(self, process: Any, made: Callable[[Any], None]) -> None:
        self._process = process
        self._made = made

    def getUploader(self, position: int) -> Any:
        store = self._process.getUploader(position)
        self._made(store)
        return store


class NativeImporter:
    """The protocol's Importer over NativeImport: one fileset after the other."""

    def __init__(self, session: UserSession, options: NativeOptions | None = None) -> None:
        self._session = session
        self._options = options or NativeOptions()
        self._progress = Progress()

    @property
    def options(self) -> NativeOptions:
        """Those of every fileset."""
        return self._options

    @property
    def most(self) -> int:
        """Each fileset is imported by itself, so there is nothing to gain with more."""
        return 1

    def run(
        self, tasks: Sequence[Task], stopping: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """As the protocol says."""
        for task in tasks:
            one = self._one(task, stopping)
            try:
                yield task, Imported(one.run(), tuple(one.sha1s))
            except (ServerAwayError, UserError):
                raise
            except FsError as error:
                yield task, error

    def _one(self, task: Task, stopping: Callable[[], bool]) -> NativeImport | Registration:
        if registers(task.fileset):
            return Registration(
                self._session,
                task,
                stopping=stopping,
                path_rules=self._options.path_rules,
                progress=self._progress,
            )
        return NativeImport(
            self._session,
            task,
            stopping=stopping,
            options=self._options,
            progress=self._progress,
        )

    def done(
        self, fileset: Fileset, sha1s: Sequence[str], stopping: Callable[[], bool] = lambda: False
    ) -> str:
        """As the protocol says.  A store that was registered is OMERO's data, and stays."""
        if registers(fileset) or not self._options.transfer.removes:
            return ""
        linked = self._options.transfer.links
        return sources.remove(fileset, sha1s, linked=linked, stopping=stopping)

    def progress(self) -> Figures:
        """As the protocol says."""
        return self._progress.figures()
