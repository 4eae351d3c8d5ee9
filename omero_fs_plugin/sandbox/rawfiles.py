"""Files of the repositories: clients write and read them over the RawFileStore interface."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import omero
from omero_fs_plugin.events import FileStat

from .servants import Servant
from .sessions import Call, Sandbox, Session, security
from .store import Store

CHECKSUMS_SUPPORTED = "omero.checksum.supported"  # in descending order of preference
# OMERO's name -> hashlib's name, for those that give plain hex.  By default the first is preferred.
CHECKSUMS = {"SHA1-160": "sha1", "MD5-128": "md5"}


class StoredFile:
    """The file on disk of one OriginalFile.  Thread-safe.

    The database has the size and hash that the file had at the last `save`.  As in
    OMERO.server, a file that no client wrote to is hashed again only if its size has changed.
    So a file that was replaced by one of the same length keeps the old hash, and fails.
    """

    def __init__(self, store: Store, file_id: int, path: Path, checksum: str = "SHA1-160") -> None:
        self.file_id = file_id
        self.path = path
        self._store = store
        self._checksum = CHECKSUMS[checksum]
        self._lock = threading.RLock()
        self._saved: tuple[str, FileStat] | None = None  # the hash, and the file it is of
        self._written = False  # since the last save
        # While the file grows from its beginning: the hash so far, how many bytes it is of, and
        # the file at that time.
        self._growing: tuple[Any, int, FileStat | None] | None = None

    @contextmanager
    def _open(self, flags: int) -> Iterator[int]:
        # A FIFO must not stop us; links may only be read.
        with self._lock, _resource_errors(self.path):
            descriptor = os.open(self.path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def size(self) -> int:
        """The size in bytes; 0 while there is no file."""
        with _resource_errors(self.path):
            return self.path.stat().st_size if self.exists() else 0

    def exists(self) -> bool:
        """Whether there is anything at its path, even a dangling link."""
        return os.path.lexists(self.path)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer at the end of the file."""
        with self._open(os.O_RDONLY) as descriptor:
            left = max(os.fstat(descriptor).st_size - offset, 0)
            return os.pread(descriptor, min(length, left), offset)

    def write(self, data: bytes, offset: int) -> None:
        """Writes all of `data`, but never through a link: that leads to somebody's source."""
        with _resource_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open(os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW) as descriptor:
            growing = (hashlib.new(self._checksum), 0, None) if offset == 0 else self._growing
            before = FileStat.of(os.fstat(descriptor))
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, data[done:], offset + done)
            self._written, self._growing = True, None
            if growing and growing[1] == offset and growing[2] in (None, before):
                growing[0].update(data)
                after = FileStat.of(os.fstat(descriptor))
                self._growing = (growing[0], offset + len(data), after)

    def truncate(self, length: int) -> bool:
        """Cuts the file to `length` bytes.  False if it is not longer than that."""
        with self._open(os.O_RDWR | os.O_NOFOLLOW) as descriptor:
            if os.fstat(descriptor).st_size <= length:
                return False
            os.ftruncate(descriptor, length)
            self._written, self._growing = True, None
            return True

    def save(self) -> None:
        """Records the size and hash of the file on disk.  Makes an empty file if there is none."""
        with self._lock:
            if not self.exists():
                self.write(b"", 0)
            with self._open(os.O_RDONLY) as descriptor:
                found = os.fstat(descriptor)
                now = FileStat.of(found)
                if self._saved and not self._written and self._saved[1].size == now.size:
                    return
                if self._growing and self._growing[1:] == (now.size, now):
                    digest = self._growing[0].hexdigest()
                else:
                    digest = _hash(descriptor, self._checksum)
                self._saved, self._written, self._growing = (digest, now), False, None
            with self._store.begin() as db:
                self._store.update(
                    db,
                    "OriginalFile",
                    self.file_id,
                    size=now.size,
                    hash=digest,
                    mtime=now.mtime_ns // 1_000_000,
                )

    def is_damaged(self) -> bool:
        """Whether the bytes on disk do not give the hash in the database.

        A row without a hash says nothing.  Raises ResourceError if there is no file.
        """
        with self._store.read() as db:
            row = self._store.row(db, "OriginalFile", self.file_id)
        if row is None or not row["hash"]:
            return False
        with self._open(os.O_RDONLY) as descriptor:
            digest: str = _hash(descriptor, self._checksum)
        return digest != str(row["hash"])

    def differs_from(self, wanted: str) -> str | None:
        """The recorded hash or that on disk, if it is not `wanted`.  None if both are.

        Raises ResourceError if there is no file.
        """
        with self._open(os.O_RDONLY) as descriptor:
            now = FileStat.of(os.fstat(descriptor))
            if self._saved is None or self._saved[1].size != now.size:
                self.save()
            assert self._saved is not None
            digest, then = self._saved
            if digest == wanted and then != now:  # touched since then: what is on disk counts
                digest = _hash(descriptor, self._checksum)
        return None if digest == wanted else digest


def _hash(descriptor: int, name: str) -> str:
    digest = hashlib.new(name)
    offset = 0
    while block := os.pread(descriptor, 1 << 20, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


@contextmanager
def _resource_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise omero.ResourceError("", "", f"{path} ({failure.strerror})") from failure


class RawFile(Servant, omero.api.RawFileStore):  # type: ignore[misc]
    """A StoredFile that a client has open.  Only calls in `group` may use it; None: all may."""

    def __init__(
        self,
        sandbox: Sandbox,
        session: Session,
        file: StoredFile | None = None,
        *,
        writable: bool = False,
        group: int | None = None,
    ) -> None:
        super().__init__(sandbox, session)
        self.proxy = sandbox.serve(session, self)
        self._file = file
        self._writable = writable
        self._group = group

    def _opened(self, call: Call, *, write: bool = False) -> StoredFile:
        if self._file is None:
            raise omero.ApiUsageException("", "", "Use RawFileStore.setFileId() first")
        if write and not self._writable:
            raise security(f"OriginalFile:{self._file.file_id} was opened for reading")
        same_group(call, self._group)
        return self._file

    def do_setFileId(self, call: Call, file_id: int) -> None:
        call.require_client()
        self._file = self.sandbox.repositories.stored_file(call, file_id)

    def do_getFileId(self, call: Call) -> Any:
        return omero.rtypes.rlong(self._opened(call).file_id)

    def do_exists(self, call: Call) -> bool:
        return self._opened(call).exists()

    def do_size(self, call: Call) -> int:
        return self._opened(call).size()

    def do_read(self, call: Call, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0:
            raise omero.ApiUsageException("", "", "offset and length cannot be negative")
        return self._opened(call).read(offset, length)

    def do_write(self, call: Call, data: bytes, offset: int, length: int) -> None:
        if offset < 0 or not 0 <= length <= len(data):
            raise omero.ApiUsageException("", "", f"no {length} bytes to write at {offset}")
        file = self._opened(call, write=True)
        self.sandbox.pace.upload(self.session.uuid, length)
        file.write(data[:length], offset)

    def do_truncate(self, call: Call, length: int) -> bool:
        return self._opened(call, write=True).truncate(length)

    def do_save(self, call: Call) -> Any:
        file = self._opened(call)
        if self._writable:
            file.save()
        return self.sandbox.repositories.original_file(call, file.file_id)

    def do_close(self, call: Call) -> None:
        try:
            if self._file is not None and self._writable:
                self._opened(call).save()
        finally:
            self.sandbox.withdraw(self.session, self.proxy.ice_getIdentity())


def same_group(call: Call, group: int | None) -> None:
    """Raises SecurityViolation if a call is in another group than its import."""
    if group is not None and call.write_group != group:
        raise security(f"this import is of group {group}, and the call of group {call.write_group}")
