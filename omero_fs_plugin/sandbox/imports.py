"""One import: from the fileset that a client describes to its images.

After a failure nothing is cleaned up or resumed: the Fileset and its
OriginalFiles stay, with their hashes, as in OMERO.server.

While an import runs its rows say little, as in OMERO.server.  The UploadJob is
Finished when the upload was found whole and the import begins.  The row of the
import's log changes after each step.  No other job changes, and only the answer
and the log tell the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from omero.model import (
    DatasetI,
    DatasetImageLinkI,
    ImageI,
    JobStatusI,
    OriginalFileI,
    PlateI,
    ScreenI,
    ScreenPlateLinkI,
)
from omero.rtypes import rstring, unwrap

import omero

from .handles import Handle, error
from .objects import Builder, check_name, save
from .pace import FINISH, READ, SAVE, Pace
from .paths import (
    PATH_RULES,
    PATH_RULES_DEFAULT,
    check_names,
    leads_elsewhere,
    new_directory,
    trimmed,
)
from .pixels import Series, UnreadableImage, read_series
from .plates import insert_plates
from .rawfiles import CHECKSUMS, RawFile, StoredFile, same_group
from .servants import Servant
from .sessions import Call, Sandbox, Session
from .store import PIXEL_TYPES

log = logging.getLogger(__name__)

LOG_MIMETYPE = "application/omero-log-file"


def checked(fileset: Any, settings: Any) -> str:
    """Checks a request, and gives the name of its checksum algorithm.

    Raises ApiUsageException or ValidationException in OMERO.server's words.
    """
    chosen = settings.checksumAlgorithm if settings is not None else None
    if chosen is None or chosen.value is None:
        raise omero.ApiUsageException("", "", "must specify checksum algorithm")
    checksum = str(unwrap(chosen.value))
    if checksum not in CHECKSUMS:
        raise omero.ApiUsageException("", "", f"unknown checksum algorithm: {checksum}")
    for name in ("userSpecifiedAnnotationList", "userSpecifiedPixels"):
        if getattr(settings, name):
            raise omero.ApiUsageException("", "", f"{name} is not part of the sandbox server")
    entries = fileset.copyUsedFiles() if fileset is not None and fileset.loaded else []
    if fileset is None or fileset.id is not None or not entries:
        raise omero.ApiUsageException("", "", "a new fileset with at least one entry is needed")
    if any(e is None or e.id is not None or e.clientPath is None for e in entries):
        raise omero.ApiUsageException("", "", "every entry must be new and have a clientPath")
    links = fileset.copyJobLinks()
    if len(links) != 1:
        raise omero.ValidationException(
            "", "", "Found more than one job link. Link only updateJob on creation!"
        )
    job = links[0].child
    if not isinstance(job, omero.model.UploadJob) or job.id is not None:
        raise omero.ValidationException("", "", "Found non-UploadJob on creation")
    return checksum


def _insert_files(
    sandbox: Sandbox, db: sa.Connection, call: Call, places: Sequence[str], hasher: int
) -> list[int]:
    """Adds the rows of a fileset's files, all at once.  Gives their ids.

    Raises ValidationException for a name that is too long.
    """
    rows = []
    for place in places:
        parent, slash, name = place.rpartition("/")
        check_name("OriginalFile", {"name": name})
        rows.append(
            {
                "path": parent + slash,
                "name": name,
                "mimetype": "application/octet-stream",
                "hasher": hasher,
                "repo": sandbox.repositories.uuid,
            }
        )
    owned = {"owner": call.user, "group": call.write_group}
    return sandbox.store.insert_many(db, "OriginalFile", rows, **owned)


class ImportProcess(Servant, omero.grid.ImportProcess):  # type: ignore[misc]
    """The upload of one fileset, and the call that starts its import.

    All its calls must be in the group in which it began.
    """

    @classmethod
    def begin(
        cls, sandbox: Sandbox, session: Session, call: Call, fileset: Any, settings: Any
    ) -> ImportProcess:
        """Makes the fileset's directory and its rows.  Raises what `checked` raises."""
        call.require_role()
        checksum = checked(fileset, settings)
        links, entries = fileset.copyJobLinks(), fileset.copyUsedFiles()
        versions = {v.name: v.value for v in links[0].child.versionInfo or [] if v is not None}
        client_paths = [str(unwrap(entry.clientPath)) for entry in entries]
        for path in client_paths:
            check_names(path, sandbox.properties.get(PATH_RULES) or PATH_RULES_DEFAULT)
        paths = trimmed(client_paths, reader=versions.get("bioformats.reader", ""))
        if len(set(paths)) < len(paths):
            raise omero.ApiUsageException("", "", "two entries of the fileset have the same path")
        repositories = sandbox.repositories
        prefix = new_directory(repositories.root, session.user_name, call.user, datetime.now())

        def original(path: str, mimetype: str) -> Any:
            parent, slash, name = path.rpartition("/")
            file = OriginalFileI()
            file.path, file.name = rstring(parent + slash), rstring(name)
            file.mimetype, file.hasher = rstring(mimetype), settings.checksumAlgorithm
            return file

        fileset.templatePrefix = rstring(prefix)
        fileset.unloadImages()
        upload = links[0].child
        following = [omero.model.MetadataImportJobI(), omero.model.PixelDataJobI()]
        if unwrap(settings.doThumbnails):
            following.append(omero.model.ThumbnailGenerationJobI())
        following.append(omero.model.IndexingJobI())
        for job in (upload, *following):
            job.username, job.type = rstring(session.user_name), rstring("Import")
            job.status = JobStatusI()
            job.status.value = rstring("Waiting")
        logged = original(prefix.rstrip("/") + ".log", LOG_MIMETYPE)
        upload.linkOriginalFile(logged)
        for job in following:
            fileset.linkJob(job)
        fileset.clearUsedFiles()
        with sandbox.store.begin() as db:
            save(sandbox.store, db, call, fileset)
            kind = sandbox.store.enum(db, "ChecksumAlgorithm", checksum)
            places = [f"{prefix}{path}" for path in paths]
            ids = _insert_files(sandbox, db, call, places, kind)
            owned = {"owner": call.user, "group": call.write_group}
            rows = [
                {"fileset": fileset.id.val, "clientPath": path, "originalFile": row_id}
                for path, row_id in zip(client_paths, ids, strict=True)
            ]
            sandbox.store.insert_many(db, "FilesetEntry", rows, **owned)
            # Nowhere else does a file become a file of the repository.
            sandbox.store.update(db, "OriginalFile", logged.id.val, repo=repositories.uuid)
        fileset.copyJobLinks()[1].parent = fileset  # the request carries it loaded

        def stored(row_id: int, place: str) -> StoredFile:
            return StoredFile(sandbox.store, row_id, repositories.root / place, checksum)

        files = [stored(row_id, place) for row_id, place in zip(ids, places, strict=True)]
        log_file = stored(logged.id.val, unwrap(logged.path) + unwrap(logged.name))
        return cls(sandbox, session, call, fileset, settings, files, log_file, client_paths)

    def __init__(
        self,
        sandbox: Sandbox,
        session: Session,
        call: Call,
        fileset: Any,
        settings: Any,
        files: Sequence[StoredFile],
        log_file: StoredFile,
        client_paths: Sequence[str],
    ) -> None:
        super().__init__(sandbox, session)
        self._client_paths = client_paths
        self._group = call.write_group
        self._fileset = fileset
        self._settings = settings
        self._files = files
        self._log_file = log_file
        self._lock = threading.Lock()
        self._uploaders: list[RawFile] = []
        self._handle: Handle | None = None
        self.proxy = sandbox.serve(session, self)

    def may_resume(self, call: Call) -> bool:
        """Whether the caller may write to the fileset, and the process is still served."""
        mine = call.user == self.session.user and call.write_group == self._group
        return mine and self.sandbox.adapter.find(self.proxy.ice_getIdentity()) is not None

    def _at(self, call: Call, index: int) -> StoredFile:
        same_group(call, self._group)
        if not 0 <= index < len(self._files):
            raise omero.ApiUsageException("", "", f"no file {index} of {len(self._files)}")
        return self._files[index]

    def do_getUploader(self, call: Call, index: int) -> Any:
        call.require_client()
        file = self._at(call, index)
        servant = RawFile(self.sandbox, self.session, file, writable=True, group=self._group)
        self._uploaders.append(servant)
        return omero.api.RawFileStorePrx.uncheckedCast(servant.proxy)

    def do_getUploadOffset(self, call: Call, index: int) -> int:
        return self._at(call, index).size()

    def do_getImportSettings(self, call: Call) -> Any:
        return self._settings

    def do_getHandle(self, call: Call) -> Any:
        handle = self._handle
        return omero.cmd.HandlePrx.uncheckedCast(handle.proxy) if handle else None

    def do_verifyUpload(self, call: Call, hashes: Any) -> Any:
        same_group(call, self._group)
        if len(hashes) != len(self._files):
            raise omero.ApiUsageException(
                "", "", f"{len(hashes)} hashes for {len(self._files)} files"
            )
        for path in self._client_paths:
            if leads_elsewhere(path):
                raise omero.FilePathNamingException("", "", f"illegal file path: {path}", path)
        with self._lock:
            if self._handle is None:
                found = [f.differs_from(h) for f, h in zip(self._files, hashes, strict=True)]
                failing = {index: digest for index, digest in enumerate(found) if digest}
                if failing:
                    raise omero.ChecksumValidationException(
                        "", "", "A checksum mismatch has occurred.", failing
                    )
                with self.sandbox.store.begin() as db:
                    self._begun(db)
                request = self._request()
                self._handle = Handle(self.sandbox, self.session, request)
                run = Import(call, request, self._files[0].path, self._log_file, self.sandbox.pace)
                self._handle.start(self.sandbox.repositories.workers, run)
        return self.do_getHandle(call)

    def _begun(self, db: sa.Connection) -> None:
        store = self.sandbox.store
        upload = unwrap(self._fileset.copyJobLinks()[0].child.id)
        store.update(
            db, "Job", upload, status=store.enum(db, "JobStatus", "Finished"), message="Finished"
        )

    def _request(self) -> Any:
        return omero.grid.ImportRequest(
            clientUuid=self.session.uuid,
            repoUuid=self.sandbox.repositories.uuid,
            activity=self._fileset.copyJobLinks()[1],
            settings=self._settings,
            logFile=OriginalFileI(self._log_file.file_id, False),
        )

    def do_close(self, call: Call) -> None:
        """Ends the upload.  An import that has begun goes on."""
        for proxy in (*(uploader.proxy for uploader in self._uploaders), self.proxy):
            self.sandbox.withdraw(self.session, proxy.ice_getIdentity())


class Import:
    """The work of a handle: reads the first file and makes all images, or none.

    It goes on even if the client goes away, until it ends or the server does.
    """

    def __init__(
        self, call: Call, request: Any, first: Path, log_file: StoredFile, pace: Pace
    ) -> None:
        self._store = call.store
        self._call = call
        self._request = request
        self._first = first
        self._log_file = log_file
        self._fileset = request.activity.parent
        self._pace = pace
        self._logged = 0  # bytes in the import's log

    def __call__(self) -> Any:
        """Imports, and gives an ImportResponse or an ERR."""
        number = unwrap(self._fileset.id)
        try:
            response = self._import()
        except Exception as failure:
            response = self._refusal(failure)
            self._step(f"fileset {number}: {response.parameters['message']}")
        else:
            images = [unwrap(pixels.image.id) for pixels in response.pixels]
            self._step(f"fileset {number}: imported as images {images}")
        return response

    def _refusal(self, failure: Exception) -> Any:
        if isinstance(failure, UnreadableImage):
            return error(self._request, "error-on-init", str(failure))
        text = getattr(failure, "message", "") or str(failure)
        if isinstance(failure, omero.ServerError):
            trace = f"ome.conditions.{type(failure).__name__}: {text}"
        else:
            log.error("import failed", exc_info=failure)
            trace = f"java.lang.RuntimeException: {text}"
        return error(self._request, "import-request-failure", text, trace)

    def _import(self) -> Any:
        self._reach(READ)
        found = read_series(self._first)
        self._log(f"read {self._first.name}: {len(found)} images")
        self._reach(SAVE)
        response = self._save(found)
        self._step("saved")
        self._reach(FINISH)
        return response

    def _save(self, found: Sequence[Series]) -> Any:
        target = self._request.settings.userSpecifiedTarget
        if target is not None and not (isinstance(target, (DatasetI, ScreenI)) and target.id):
            kind = target.ice_id().rpartition("::")[2]
            raise omero.ApiUsageException("", "", f"Unable to handle target: {kind}")
        with self._store.begin() as db:
            if self._store.row(db, "Fileset", unwrap(self._fileset.id)) is None:
                raise omero.ValidationException("", "", "the fileset was deleted meanwhile")
            pairs = [self._insert(db, n, one, len(found)) for n, one in enumerate(found)]
            ids = [image for image, _ in pairs]
            name = unwrap(self._request.settings.userSpecifiedName) or ""
            plates = insert_plates(
                self._store, db, self._owned, found, ids, name=name, otherwise=self._first.name
            )
            if isinstance(target, DatasetI) and not plates:
                for image in ids:
                    self._link(db, DatasetImageLinkI(), target, ImageI(image, False))
            elif isinstance(target, ScreenI):  # images stay outside it, and no error says so
                for plate in plates:
                    self._link(db, ScreenPlateLinkI(), target, PlateI(plate, False))
            build = Builder(self._store, db)
            pixels = [build.load("Pixels", row_id) for _, row_id in pairs]
            images = [build.attach("Pixels", row_id, "image")[0] for _, row_id in pairs]
            objects = [build.load("Plate", plate) for plate in plates] or images
        return omero.grid.ImportResponse(pixels, objects)

    def _link(self, db: sa.Connection, link: Any, target: Any, child: Any) -> None:
        link.parent, link.child = type(target)(target.id, False), child
        save(self._store, db, self._call, link)

    def _insert(self, db: sa.Connection, number: int, one: Series, total: int) -> tuple[int, int]:
        """Adds an Image and its Pixels, and gives their ids."""
        settings, owned = self._request.settings, self._owned
        name = unwrap(settings.userSpecifiedName) or self._first.name
        image = self._store.insert(
            db,
            "Image",
            name=f"{name} [{one.name or number + 1}]" if total > 1 else name,
            description=unwrap(settings.userSpecifiedDescription),
            series=number,
            acquisitionDate=int(time.time() * 1000),
            archived=False,
            partial=False,
            fileset=unwrap(self._fileset.id),
            **owned,
        )
        sizes = {f"size{axis}": getattr(one, f"size_{axis.lower()}") for axis in "XYZCT"}
        pixels = self._store.insert(
            db,
            "Pixels",
            image=image,
            **sizes,
            significantBits=PIXEL_TYPES[one.pixel_type],
            sha1="Pending...",  # as OMERO writes it for files that it reads in place
            dimensionOrder=self._store.enum(db, "DimensionOrder", "XYZCT"),
            pixelsType=self._store.enum(db, "PixelsType", one.pixel_type),
            **owned,
        )
        for channel in range(one.size_c):
            self._store.insert(db, "Channel", pixels=pixels, _position=channel, **owned)
        return image, pixels

    @property
    def _owned(self) -> dict[str, Any]:
        return {"owner": self._call.user, "group": self._call.write_group}

    def _reach(self, point: str) -> None:
        self._pace.reach(point, lambda: self._log(point))

    def _step(self, text: str) -> None:
        """Ends a step.  Only now does the row of the log change."""
        log.info("%s", text)
        self._log(text)
        self._log_file.save()

    def _log(self, text: str) -> None:
        """Adds a line to the import's own log."""
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n".encode()
        self._log_file.write(line, self._logged)
        self._logged += len(line)
