"""Importing over omero-py, through the ManagedRepository API.

The order of the calls, and what each refuses, is OMERO's ManagedRepository
Slice documentation; the Java importer goes the same way.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import omero.cmd
import omero.model
from omero.grid import ImportResponse, ImportSettings
from omero.rtypes import rbool, rstring, unwrap

import omero

from ... import __version__
from ...errors import ImportRefused, ServerAwayError
from ...events import FileStat
from ...sessions import AGENT, UserSession, refusal, server_errors
from ..confine import open_beneath
from ..records import Fileset
from . import FileChanged, Stopped, client_path

log = logging.getLogger(__name__)

BLOCK = 4 * 2**20  # bytes in one write: memory stays bounded whatever the file's size
CHECKSUM = "SHA1-160"
_POLL_FIRST_S, _POLL_LAST_S = 0.02, 1.0
_VERIFY_BYTES_PER_S = 5_000_000  # slower than any disk: how long the server may take to hash


class NativeImport:
    """One attempt to import one fileset in one session.

    `verified` is called with the SHA1s when everything was uploaded, just
    before OMERO is told to import; `stopping` is asked while waiting.
    """

    def __init__(
        self,
        session: UserSession,
        fileset: Fileset,
        *,
        verified: Callable[[Sequence[str]], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._session = session
        self._fileset = fileset
        self._verified = verified
        self._stopping = stopping
        self.sha1s: list[str] = []  # of the files uploaded so far, lower-case hex

    def run(self) -> tuple[int, ...]:
        """Imports; the ids of the images.

        Raises FileChanged when a file is not, or is no longer, what was to be
        imported, ImportRefused with OMERO's reason, ServerAwayError, and
        Stopped when `stopping` before OMERO was told to import.
        """
        repository = self._session.managed_repository()
        with server_errors("importing"):
            process = repository.importFileset(self._description(), self._settings(repository))
        try:
            for position in range(len(self._fileset.files)):
                self.sha1s.append(self._upload(process, position))
            if self._stopping():
                raise Stopped("stopped before the import began")
            self._verified(self.sha1s)
            handle = self._verify(process)
            try:
                return self._await(handle)
            finally:
                _quietly(handle.close)
        finally:
            _quietly(process.close)

    def _description(self) -> Any:
        fileset = omero.model.FilesetI()
        for met in self._fileset.files:
            entry = omero.model.FilesetEntryI()
            entry.clientPath = rstring(client_path(met.path))
            fileset.addFilesetEntry(entry)
        upload = omero.model.UploadJobI()
        upload.versionInfo = [omero.model.NamedValue("client", f"{AGENT} {__version__}")]
        fileset.linkJob(upload)
        return fileset

    def _settings(self, repository: Any) -> Any:
        with server_errors("choosing a checksum algorithm"):
            wanted = omero.model.ChecksumAlgorithmI()
            wanted.value = rstring(CHECKSUM)
            algorithm = repository.suggestChecksumAlgorithm([wanted])
        if algorithm is None:
            raise ImportRefused(f"OMERO does not offer the checksum algorithm {CHECKSUM}")
        settings = ImportSettings()
        settings.checksumAlgorithm = algorithm
        settings.doThumbnails = rbool(True)
        settings.noStatsInfo = rbool(False)
        return settings

    def _upload(self, process: Any, position: int) -> str:
        """Uploads one file; its SHA1."""
        met = self._fileset.files[position]
        try:
            descriptor = open_beneath(self._fileset.root, met.path)
        except FileNotFoundError as error:
            raise FileChanged(f"{met.path}: gone before it was imported") from error
        except OSError as error:
            raise FileChanged(f"{met.path}: cannot be read now: {error.strerror}") from error
        digest = hashlib.sha1(usedforsecurity=False)
        with os.fdopen(descriptor, "rb", buffering=0) as source:
            _unchanged(source.fileno(), met.path, met.stat)
            with server_errors(f"uploading {met.path}"):
                store = process.getUploader(position)
                try:
                    offset = 0
                    while block := _read(source, met.path):
                        if self._stopping():
                            raise Stopped("stopped during the upload")
                        digest.update(block)
                        store.write(block, offset, len(block))
                        offset += len(block)
                finally:
                    store.close()
            # A file exchanged or written to while it was read is not what was promised.
            _unchanged(source.fileno(), met.path, met.stat)
        return digest.hexdigest()

    def _verify(self, process: Any) -> Any:
        size = sum(met.stat.size for met in self._fileset.files)
        patient = process.ice_invocationTimeout(60_000 + size * 1000 // _VERIFY_BYTES_PER_S)
        try:
            with server_errors("verifying the upload"):
                return patient.verifyUpload(self.sha1s)
        except ImportRefused as error:
            failing = getattr(error.__cause__, "failingChecksums", None)
            if failing:
                names = ", ".join(self._fileset.files[i].path for i in sorted(failing))
                raise ImportRefused(f"the upload does not match the file: {names}") from error
            raise

    def _await(self, handle: Any) -> tuple[int, ...]:
        """The images, once OMERO has made them.

        Not bounded in time: large filesets take hours.  The session is kept
        alive by its client, and a server that dies ends the wait.
        """
        pause = _POLL_FIRST_S
        while True:
            with server_errors("waiting for the import"):
                response = handle.getResponse()
            if response is not None:
                return _images(response)
            if self._stopping():
                raise Stopped("stopped while OMERO was importing")
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_LAST_S)


def delete_filesets(session: UserSession, ids: Sequence[int]) -> None:
    """Deletes filesets that an import left without images, as their owner.

    OMERO cleans nothing up after a failed import.  Raises ImportRefused when
    it will not delete, ServerAwayError.
    """
    request = omero.cmd.Delete2(targetObjects={"Fileset": list(ids)})
    with server_errors(f"deleting unfinished filesets {list(ids)}"):
        handle = session.services.submit(request)
        try:
            pause = _POLL_FIRST_S
            while (response := handle.getResponse()) is None:
                time.sleep(pause)
                pause = min(pause * 1.5, _POLL_LAST_S)
        finally:
            _quietly(handle.close)
    if isinstance(response, omero.cmd.ERR):
        name, why = _reason(response)
        raise refusal(f"deleting unfinished filesets {list(ids)}: {name}", why)


def _read(source: BinaryIO, path: str) -> bytes:
    try:
        return source.read(BLOCK)
    except OSError as error:
        raise FileChanged(f"{path}: cannot be read now: {error.strerror}") from error


def _unchanged(descriptor: int, path: str, stat: FileStat) -> None:
    if FileStat.of(os.fstat(descriptor)) != stat:
        raise FileChanged(f"{path}: changed after it had come to rest")


def _images(response: Any) -> tuple[int, ...]:
    if isinstance(response, omero.cmd.ERR):
        raise refusal(*_reason(response))
    if not isinstance(response, ImportResponse):
        raise ImportRefused(f"OMERO answered the import with a {type(response).__name__}")
    # For a plate `objects` holds the plate; its images stand behind the pixels.
    found = {unwrap(p.image.id) for p in response.pixels if p is not None and p.image is not None}
    found.update(
        unwrap(o.id) for o in response.objects if o is not None and isinstance(o, omero.model.Image)
    )
    return tuple(sorted(found))


def _reason(error: Any) -> tuple[str, str]:
    """Name and first line of a cmd.ERR."""
    told = error.parameters or {}
    text = told.get("message") or told.get("reason") or ""
    lines = text.strip().splitlines()
    return (error.name, lines[0]) if lines else (error.category, error.name)


def _quietly(call: Callable[[], Any]) -> None:
    """For closing what the server drops by itself when we cannot."""
    try:
        with server_errors("closing"):
            call()
    except (ServerAwayError, ImportRefused) as error:
        log.debug("%s", error)
