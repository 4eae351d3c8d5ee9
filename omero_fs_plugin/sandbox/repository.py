"""The repositories of the sandbox: scripts, ManagedRepository and data, as OMERO lists them.

Only the managed repository has files.  They are below <omero.data.dir>/ManagedRepository.
An OriginalFile row with the repository's uuid says where, with its `path` and `name`.
"""

from __future__ import annotations

import logging
import uuid
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from omero.rtypes import unwrap

import omero

from . import deletes
from .accounts import ROOT, USER_GROUP
from .handles import Handle
from .imports import ImportProcess
from .objects import Builder
from .paths import below, components
from .rawfiles import CHECKSUMS, CHECKSUMS_SUPPORTED, RawFile, StoredFile
from .servants import Servant
from .sessions import Call, Sandbox, Session, security

log = logging.getLogger(__name__)

MANAGED = "ManagedRepository"
WORKERS = 4  # commands under way at a time; more than these wait
WORKERS_KEY = "omero.sandbox.workers"  # another number of them


def sees(place: Path) -> bool:
    """Whether there is something on the server's disk; of a link, at its end."""
    return place.exists()


class Repositories:
    """The things that a server has once: the repositories' rows, the root, the workers.

    Close it when the server stops.  An import that runs is then finished; one that waits in
    a queue or at a point of its pace is not.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root = sandbox.data_dir / MANAGED
        self.root.mkdir(parents=True, exist_ok=True)
        workers = int(sandbox.properties.get(WORKERS_KEY) or WORKERS)
        self.workers = ThreadPoolExecutor(workers, thread_name_prefix="command")
        # Those that nobody refers to any more were closed, or their session has ended.
        self.uploads: weakref.WeakSet[ImportProcess] = weakref.WeakSet()
        data = sandbox.data_dir
        self._scripts = self._describe("scripts", data.parent / "lib", "ScriptRepo")
        self._managed = self._describe(MANAGED, data, "")
        self._data = self._describe(data.name, data.parent, "")
        with sandbox.store.read() as db:
            row = sandbox.store.row(db, "OriginalFile", self._managed)
        self.uuid = str(row["hash"]) if row else ""

    def _describe(self, name: str, parent: Path, hashed: str) -> int:
        """The id of a repository's row.  Makes the row at the first start, and updates its path."""
        store, key = self.sandbox.store, {"name": name, "mimetype": "Repository"}
        with store.begin() as db:
            row = store.first(db, "OriginalFile", **key)
            if row is None:
                values = {**key, "path": f"{parent}/", "hash": hashed or str(uuid.uuid4())}
                return store.insert(db, "OriginalFile", owner=ROOT, group=USER_GROUP, **values)
            store.update(db, "OriginalFile", row["id"], path=f"{parent}/")
            return int(row["id"])

    def close(self) -> None:
        """Stops the workers."""
        self.sandbox.pace.stop()
        self.workers.shutdown(cancel_futures=True)

    def map(self, session: Session) -> Any:
        """The RepositoryMap.  As in OMERO, some repositories in it cannot be called."""
        scripts = self.sandbox.serve(session, Repository(self.sandbox, session), "scripts")
        managed = self.sandbox.serve(session, Managed(self.sandbox, session), "managed")
        with self.sandbox.store.read() as db:
            build = Builder(self.sandbox.store, db)
            ids = (self._scripts, self._managed, self._data)
            descriptions = [build.load("OriginalFile", row_id) for row_id in ids]
        casts = [omero.grid.RepositoryPrx.uncheckedCast(proxy) for proxy in (scripts, managed)]
        return omero.grid.RepositoryMap(descriptions, [*casts, None])

    def raw_file_store(self, session: Session) -> Any:
        """A RawFileStore; it reads the file that its user sets."""
        return _store_proxy(RawFile(self.sandbox, session))

    def submit(self, session: Session, call: Call, request: Any) -> Any:
        """Starts a request, and gives its handle.  If it fails its answer is an omero.cmd.ERR."""
        handle = Handle(self.sandbox, session, request)
        handle.start(
            self.workers, lambda: deletes.respond(self.sandbox.store, self.place, call, request)
        )
        return omero.cmd.HandlePrx.uncheckedCast(handle.proxy)

    def place(self, row: Mapping[str, Any]) -> Path | None:
        """The path of the file of an OriginalFile's row.  None for a row without a file."""
        if row["repo"] == self.uuid:
            return below(self.root, f"{row['path']}/{row['name']}")
        return None

    def row(self, call: Call, file_id: int) -> Mapping[str, Any]:
        """The row of a file, if the caller may see it.  Otherwise raises ValidationException."""
        with self.sandbox.store.read() as db:
            row = self.sandbox.store.row(db, "OriginalFile", file_id)
        if row is None or not call.may_see(row):
            raise omero.ValidationException("", "", f"No OriginalFile:{file_id} for this user")
        return row

    def stored_file(self, call: Call, file_id: int) -> StoredFile:
        """The file of an OriginalFile.  Raises ValidationException."""
        row = self.row(call, file_id)
        place = self.place(row)
        if place is None:
            raise omero.ValidationException("", "", f"OriginalFile:{file_id} has no file here")
        return StoredFile(self.sandbox.store, file_id, place, self._hasher(row))

    def _hasher(self, row: Mapping[str, Any]) -> str:
        """The name of the checksum algorithm of a file's row; the usual one if it has none."""
        with self.sandbox.store.read() as db:
            kind = row["hasher"] and self.sandbox.store.row(db, "ChecksumAlgorithm", row["hasher"])
        return str(kind["value"]) if kind else next(iter(CHECKSUMS))

    def original_file(self, call: Call, file_id: int) -> Any:
        """The OriginalFile as it is now.  Raises ValidationException."""
        with self.sandbox.store.read() as db:
            return Builder(self.sandbox.store, db).build("OriginalFile", self.row(call, file_id))


def _store_proxy(servant: RawFile) -> Any:
    return omero.api.RawFileStorePrx.uncheckedCast(servant.proxy)


class Repository(Servant, omero.grid.Repository):  # type: ignore[misc]
    """A repository that is listed, but has no files."""


class Managed(Servant, omero.grid.ManagedRepository):  # type: ignore[misc]
    """The managed repository as one session sees it."""

    hides_refusal = True

    def _files(self, call: Call, path: str) -> list[Mapping[str, Any]]:
        """The rows of files directly in a directory, as far as the caller may see them."""
        store, whole = self.sandbox.store, "/".join(components(path))
        key = {"repo": self.sandbox.repositories.uuid, "path": f"{whole}/" if whole else ""}
        with store.read() as db:
            rows = store.rows(db, "OriginalFile", **key)
        return [row for row in rows if call.may_see(row)]

    def _file(self, call: Call, path: str) -> Mapping[str, Any] | None:
        parent, _, name = "/".join(components(path)).rpartition("/")
        return next((row for row in self._files(call, parent) if row["name"] == name), None)

    def do_root(self, call: Call) -> Any:
        return self.sandbox.repositories.map(self.session).descriptions[1]

    def do_fileExists(self, call: Call, path: str) -> bool:
        place = below(self.sandbox.repositories.root, "/".join(components(path)))
        return self._file(call, path) is not None or place.is_dir()

    def do_mimetype(self, call: Call, path: str) -> str:
        """As in OMERO, it looks at the disk alone, and needs no row."""
        place = below(self.sandbox.repositories.root, "/".join(components(path)))
        if not sees(place):
            raise omero.ValidationException("", "", f"{path} does not exist")
        return "application/octet-stream"

    def do_list(self, call: Call, path: str) -> Any:
        return [f"{row['path']}{row['name']}" for row in self._files(call, path)]

    def do_listFiles(self, call: Call, path: str) -> Any:
        rows = self._files(call, path)
        with self.sandbox.store.read() as db:
            build = Builder(self.sandbox.store, db)
            return [build.build("OriginalFile", row) for row in rows]

    def do_makeDir(self, call: Call, path: str, parents: bool) -> None:
        directory = "/".join(components(path))
        own = f"{self.session.user_name}_{call.user}"
        if not call.is_admin and directory.partition("/")[0] != own:
            raise security(f"{path}: only directories below {own} are yours to make")
        place = below(self.sandbox.repositories.root, directory)
        try:
            place.mkdir(parents=parents, exist_ok=parents)
        except OSError as failure:
            raise omero.ResourceError("", "", f"{path} ({failure.strerror})") from failure

    def do_file(self, call: Call, path: str, mode: str) -> Any:
        row = self._file(call, path)
        if mode != "r" or row is None:
            raise omero.ApiUsageException("", "", f"the sandbox opens no {path} in mode {mode}")
        return self.do_fileById(call, row["id"])

    def do_fileById(self, call: Call, file_id: int) -> Any:
        call.require_client()
        file = self.sandbox.repositories.stored_file(call, file_id)
        return _store_proxy(RawFile(self.sandbox, self.session, file))

    def do_listChecksumAlgorithms(self, call: Call) -> Any:
        told = self.sandbox.properties.get(CHECKSUMS_SUPPORTED, "").split(",")
        names = [name.strip() for name in told if name.strip()] or CHECKSUMS
        with self.sandbox.store.begin() as db:
            build = Builder(self.sandbox.store, db)
            ids = [self.sandbox.store.enum(db, "ChecksumAlgorithm", name) for name in names]
            return [build.load("ChecksumAlgorithm", row_id) for row_id in ids]

    def do_suggestChecksumAlgorithm(self, call: Call, supported: Any) -> Any:
        known = {unwrap(algorithm.value) for algorithm in supported if algorithm is not None}
        offered = self.do_listChecksumAlgorithms(call)
        return next((found for found in offered if unwrap(found.value) in known), None)

    def do_verifyChecksums(self, call: Call, ids: Sequence[int]) -> list[int]:
        call.require_client()
        files = [self.sandbox.repositories.stored_file(call, file_id) for file_id in ids]
        return [file.file_id for file in files if file.is_damaged()]

    def do_importFileset(self, call: Call, fileset: Any, settings: Any) -> Any:
        call.require_client()
        process = ImportProcess.begin(self.sandbox, self.session, call, fileset, settings)
        self.sandbox.repositories.uploads.add(process)
        return omero.grid.ImportProcessPrx.uncheckedCast(process.proxy)

    def do_listImports(self, call: Call) -> Any:
        """The uploads of the caller in the call's group that were not closed, of any session."""
        call.require_client()
        self.sandbox.sessions.live()  # ends those that have expired
        uploads = list(self.sandbox.repositories.uploads)
        proxies = [upload.proxy for upload in uploads if upload.may_resume(call)]
        return [omero.grid.ImportProcessPrx.uncheckedCast(proxy) for proxy in proxies]
