"""What the kernel asks for, done on a real directory.

Each node is held by a descriptor, so that a rename behind the mount loses nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import wire
from .wire import Operation, Request

ROOT = 1  # the number of the node at the top

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# What the kernel has seen to itself before it asks.
_NOT_FOR_OPEN = os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_NOFOLLOW | os.O_APPEND | os.O_DIRECT

_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME = (1 << bit for bit in range(6))  # bits of SETATTR
_ATIME_NOW, _MTIME_NOW = 1 << 7, 1 << 8

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Node:
    """One inode that the kernel knows."""

    descriptor: int  # opened with O_PATH
    key: tuple[int, int]  # device, inode
    path: bytes  # where it was last met, from the top; for people and patterns
    lookups: int = 0  # that the kernel has not taken back by FORGET

    @property
    def real(self) -> bytes:
        """A path that leads to it wherever it is by now."""
        return b"/proc/self/fd/%d" % self.descriptor


class Passthrough:
    """Rule: nothing is kept, so that each question of the kernel's comes here."""

    def __init__(self, top: bytes, *, direct: bool) -> None:
        """`direct`: the kernel caches no content either."""
        descriptor = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._root = Node(descriptor, _key(os.fstat(descriptor)), b"", 1)
        self._nodes = {ROOT: self._root}
        self._numbers = {self._root.key: ROOT}
        self._last = ROOT
        self._flags = wire.DIRECT_IO if direct else 0
        self._listings: dict[int, list[tuple[bytes, int, int]]] = {}
        self._acts: dict[Operation, Callable[[Request], bytes]] = {
            operation: getattr(self, f"_{operation.name.lower()}")
            for operation in Operation
            if hasattr(self, f"_{operation.name.lower()}")
        }

    def path_of(self, request: Request) -> bytes:
        """What it is about, from the top of the share: a file, or the name to be found or made."""
        node = self._nodes.get(request.node)
        above = node.path if node is not None else b"?"
        if request.operation not in _NAMED:
            return above
        name = wire.names(request.body[_NAMED[request.operation] :])[0]
        return above + b"/" + name if above else name

    def act(self, request: Request) -> bytes:
        """The body of the answer.  Raises OSError for the kernel to pass on."""
        act = self._acts.get(request.operation)
        if act is None:
            raise OSError(errno.ENOSYS, f"{request.operation.name} is not done here")
        return act(request)

    # Nodes ------------------------------------------------------------------

    def _met(self, parent: Node, name: bytes) -> bytes:
        """The answer that names the node of `name`; the kernel has it once more."""
        descriptor = os.open(name, _PATH, dir_fd=parent.descriptor)
        found = os.fstat(descriptor)
        key = _key(found)
        path = parent.path + b"/" + name if parent.path else name
        number = self._numbers.get(key)
        if number is None:
            self._last = number = self._last + 1
            self._nodes[number] = Node(descriptor, key, path)
            self._numbers[key] = number
        else:
            os.close(descriptor)
        node = self._nodes[number]
        node.path = path
        node.lookups += 1
        return wire.ENTRY.pack(number, 0, 0, 0, 0, 0) + wire.attributes(found)

    def _taken_back(self, number: int, lookups: int) -> None:
        node = self._nodes.get(number)
        if node is None or node is self._root:
            return
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._nodes[number], self._numbers[node.key]
            os.close(node.descriptor)

    def _forget(self, request: Request) -> bytes:
        self._taken_back(request.node, *wire.FORGET.unpack_from(request.body))
        return b""

    def _batch_forget(self, request: Request) -> bytes:
        count, _ = wire.BATCH.unpack_from(request.body)
        end = wire.BATCH.size + count * wire.FORGET_ONE.size
        for number, lookups in wire.FORGET_ONE.iter_unpack(request.body[wire.BATCH.size : end]):
            self._taken_back(number, lookups)
        return b""

    def _interrupt(self, request: Request) -> bytes:
        return b""  # as a hard NFS mount: signals do not end a wait; see Server for SIGKILL

    # The file system itself -------------------------------------------------

    def _init(self, request: Request) -> bytes:
        return wire.INIT.pack(
            *wire.VERSION, wire.LARGEST, 0, 64, 48, wire.LARGEST, 1, 0, 0, *[0] * 8
        )

    def _destroy(self, request: Request) -> bytes:
        return b""

    def _statfs(self, request: Request) -> bytes:
        found = os.statvfs(self._nodes[request.node].descriptor)
        return wire.STATFS.pack(
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_bsize,
            found.f_namemax,
            found.f_frsize,
            *[0] * 7,
        )

    # Names ------------------------------------------------------------------

    def _lookup(self, request: Request) -> bytes:
        (name,) = wire.names(request.body)
        return self._met(self._nodes[request.node], name)

    def _getattr(self, request: Request) -> bytes:
        found = os.fstat(self._nodes[request.node].descriptor)
        return wire.KEPT.pack(0, 0, 0) + wire.attributes(found)

    def _setattr(self, request: Request) -> bytes:
        given = wire.SETATTR.unpack_from(request.body)
        valid, size, (atime, mtime) = given[0], given[3], given[5:7]
        atime_ns, mtime_ns = given[8:10]
        mode, uid, gid = given[11], given[13], given[14]
        node = self._nodes[request.node]
        if valid & _MODE:
            os.chmod(node.real, stat.S_IMODE(mode))  # noqa: PTH101 - bytes are no Path
        if valid & (_UID | _GID):
            os.chown(node.real, uid if valid & _UID else -1, gid if valid & _GID else -1)
        if valid & _SIZE:
            os.truncate(node.real, size)
        if valid & (_ATIME | _MTIME):
            now = os.fstat(node.descriptor)
            times = [now.st_atime_ns, now.st_mtime_ns]
            if valid & _ATIME:
                times[0] = _when(valid & _ATIME_NOW, atime, atime_ns)
            if valid & _MTIME:
                times[1] = _when(valid & _MTIME_NOW, mtime, mtime_ns)
            os.utime(node.real, ns=(times[0], times[1]))
        return self._getattr(request)

    def _readlink(self, request: Request) -> bytes:
        return os.readlink(b"", dir_fd=self._nodes[request.node].descriptor)

    def _symlink(self, request: Request) -> bytes:
        name, target = wire.names(request.body)
        return self._made(
            request,
            name,
            lambda at: os.symlink(target, name, dir_fd=at),
        )

    def _mknod(self, request: Request) -> bytes:
        mode, device, _, _ = wire.MKNOD.unpack_from(request.body)
        (name,) = wire.names(request.body[wire.MKNOD.size :])
        return self._made(request, name, lambda at: os.mknod(name, mode, device, dir_fd=at))

    def _mkdir(self, request: Request) -> bytes:
        mode, _ = wire.MKDIR.unpack_from(request.body)
        (name,) = wire.names(request.body[wire.MKDIR.size :])
        return self._made(
            request,
            name,
            lambda at: os.mkdir(name, mode, dir_fd=at),
        )

    def _link(self, request: Request) -> bytes:
        (number,) = wire.LINK.unpack_from(request.body)
        (name,) = wire.names(request.body[wire.LINK.size :])
        parent, node = self._nodes[request.node], self._nodes[number]
        os.link(node.real, name, dst_dir_fd=parent.descriptor)
        return self._met(parent, name)

    def _made(self, request: Request, name: bytes, make: Callable[[int], None]) -> bytes:
        parent = self._nodes[request.node]
        make(parent.descriptor)
        self._own(request, parent, name)
        return self._met(parent, name)

    @staticmethod
    def _own(request: Request, parent: Node, name: bytes) -> None:
        """What a user makes is the user's, not the server's."""
        if os.geteuid() == 0:
            os.chown(
                name, request.uid, request.gid, dir_fd=parent.descriptor, follow_symlinks=False
            )

    def _unlink(self, request: Request) -> bytes:
        (name,) = wire.names(request.body)
        os.unlink(name, dir_fd=self._nodes[request.node].descriptor)
        return b""

    def _rmdir(self, request: Request) -> bytes:
        (name,) = wire.names(request.body)
        os.rmdir(name, dir_fd=self._nodes[request.node].descriptor)
        return b""

    def _rename(self, request: Request) -> bytes:
        (number,) = wire.RENAME.unpack_from(request.body)
        return self._renamed(request, number, 0, wire.names(request.body[wire.RENAME.size :]))

    def _rename2(self, request: Request) -> bytes:
        number, flags, _ = wire.RENAME2.unpack_from(request.body)
        return self._renamed(request, number, flags, wire.names(request.body[wire.RENAME2.size :]))

    def _renamed(self, request: Request, number: int, flags: int, names: list[bytes]) -> bytes:
        before, after = names
        source, target = self._nodes[request.node], self._nodes[number]
        if _libc.renameat2(source.descriptor, before, target.descriptor, after, flags):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return b""

    # Content ----------------------------------------------------------------

    def _open(self, request: Request) -> bytes:
        flags, _ = wire.OPEN.unpack_from(request.body)
        node = self._nodes[request.node]
        descriptor = os.open(node.real, (flags & ~_NOT_FOR_OPEN) | os.O_CLOEXEC)
        return wire.OPENED.pack(descriptor, self._flags, 0)

    def _create(self, request: Request) -> bytes:
        flags, mode, _, _ = wire.CREATE.unpack_from(request.body)
        (name,) = wire.names(request.body[wire.CREATE.size :])
        parent = self._nodes[request.node]
        flags = (flags & ~(os.O_APPEND | os.O_DIRECT)) | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(name, flags, mode, dir_fd=parent.descriptor)
        self._own(request, parent, name)
        return self._met(parent, name) + wire.OPENED.pack(descriptor, self._flags, 0)

    def _read(self, request: Request) -> bytes:
        handle, offset, size, *_ = wire.TRANSFER.unpack_from(request.body)
        return os.pread(handle, size, offset)

    def _write(self, request: Request) -> bytes:
        handle, offset, size, *_ = wire.TRANSFER.unpack_from(request.body)
        start = wire.TRANSFER.size
        written = os.pwrite(handle, request.body[start : start + size], offset)
        return wire.WRITTEN.pack(written, 0)

    def _flush(self, request: Request) -> bytes:
        return b""

    def _fsync(self, request: Request) -> bytes:
        os.fsync(wire.HANDLE.unpack_from(request.body)[0])
        return b""

    def _release(self, request: Request) -> bytes:
        os.close(wire.HANDLE.unpack_from(request.body)[0])
        return b""

    # Directories ------------------------------------------------------------

    def _opendir(self, request: Request) -> bytes:
        node = self._nodes[request.node]
        descriptor = os.open(node.real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return wire.OPENED.pack(descriptor, 0, 0)

    def _readdir(self, request: Request) -> bytes:
        handle, offset, size, *_ = wire.TRANSFER.unpack_from(request.body)
        if offset == 0 or handle not in self._listings:
            self._listings[handle] = _listing(handle)
        body = b""
        for number, one in enumerate(self._listings[handle][offset:], offset + 1):
            record = wire.dirent(*one, number)
            if len(body) + len(record) > size:
                break
            body += record
        return body

    def _fsyncdir(self, request: Request) -> bytes:
        return self._fsync(request)

    def _releasedir(self, request: Request) -> bytes:
        (handle,) = wire.HANDLE.unpack_from(request.body)
        self._listings.pop(handle, None)
        os.close(handle)
        return b""

    def _access(self, request: Request) -> bytes:
        return b""  # the kernel looks at the mode itself: default_permissions


# Where the first name begins in the body, of those that have one.
_NAMED = {
    Operation.LOOKUP: 0,
    Operation.UNLINK: 0,
    Operation.RMDIR: 0,
    Operation.SYMLINK: 0,
    Operation.MKNOD: wire.MKNOD.size,
    Operation.MKDIR: wire.MKDIR.size,
    Operation.LINK: wire.LINK.size,
    Operation.CREATE: wire.CREATE.size,
    Operation.RENAME: wire.RENAME.size,
    Operation.RENAME2: wire.RENAME2.size,
}


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _when(at_once: int, seconds: int, nanoseconds: int) -> int:
    """In ns, from the two halves; `at_once`: by this machine's clock."""
    if at_once:
        return time.time_ns()
    (signed,) = struct.unpack("<q", struct.pack("<Q", seconds))
    return int(signed) * 10**9 + nanoseconds


def _listing(handle: int) -> list[tuple[bytes, int, int]]:
    """Name, inode and mode of each."""
    os.lseek(handle, 0, os.SEEK_SET)
    found = [(b".", 1, stat.S_IFDIR), (b"..", 1, stat.S_IFDIR)]
    with os.scandir(handle) as names:
        for one in names:
            mode = 0  # unknown: whoever wants it asks
            if one.is_symlink():
                mode = stat.S_IFLNK
            elif one.is_dir(follow_symlinks=False):
                mode = stat.S_IFDIR
            elif one.is_file(follow_symlinks=False):
                mode = stat.S_IFREG
            found.append((os.fsencode(one.name), one.inode(), mode))
    return found
