"""A read-only file system by FUSE, for tests: another view of a directory.

It stands for a network share: what is done to the directory behind it is done
by others, of which the kernel says nothing; killed, it is a share that is away.
Spoken is the kernel's own protocol, linux/fuse.h, version 7.31.

    python tinyfuse.py DIRECTORY DESCRIPTOR
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 26, 27, 28, 29, 36, 42

_IN = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, 0, 0
_OUT = struct.Struct("<IiQ")  # length, -errno, unique
_ATTR = struct.Struct("<6Q10I")
_READ = struct.Struct("<QQI")  # handle, offset, size


class Server:
    """Rule: nothing is cached, so each question of the kernel's comes here."""

    def __init__(self, top: str, descriptor: int) -> None:
        self._descriptor = descriptor
        self._paths = {1: top}
        self._nodes = {top: 1}

    def serve(self) -> None:
        """Until it is unmounted."""
        while True:
            try:
                request = os.read(self._descriptor, 1 << 17)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                raise
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            number, answer = 0, b""
            try:
                answer = self._answer(opcode, node, request[_IN.size :])
            except OSError as error:
                number = error.errno or errno.EIO
            os.write(self._descriptor, _OUT.pack(_OUT.size + len(answer), -number, unique) + answer)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == INIT:
            return struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 1, 1, 4096, 1, 0, 0, *[0] * 8)
        path = self._paths[node]
        if opcode == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(path, node)
        if opcode == LOOKUP:
            return self._entry(f"{path}/{os.fsdecode(body.rstrip(bytes(1)))}")
        if opcode == READLINK:
            return bytes(Path(path).readlink())
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if opcode == READDIR:
            return self._listing(path, *_READ.unpack_from(body))
        if opcode == READ:
            _, offset, size = _READ.unpack_from(body)
            return Path(path).read_bytes()[offset : offset + size]
        if opcode == STATFS:
            return struct.pack("<5Q10I", *[0] * 5, 4096, 255, 4096, *[0] * 7)
        if opcode in (RELEASE, RELEASEDIR):
            return b""
        raise OSError(errno.ENOSYS, "not in a file system so tiny")

    def _node(self, path: str) -> int:
        if path not in self._nodes:
            self._nodes[path] = len(self._paths) + 1
            self._paths[self._nodes[path]] = path
        return self._nodes[path]

    def _entry(self, path: str) -> bytes:
        attributes = self._attributes(path, self._node(path))
        return struct.pack("<4Q2I", self._node(path), 0, 0, 0, 0, 0) + attributes

    def _attributes(self, path: str, node: int) -> bytes:
        found = os.lstat(path)
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return _ATTR.pack(
            found.st_ino,
            found.st_size,
            found.st_blocks,
            *(time // 10**9 for time in times),
            *(time % 10**9 for time in times),
            found.st_mode,
            found.st_nlink,
            found.st_uid,
            found.st_gid,
            0,
            4096,
            0,
        )

    def _listing(self, path: str, handle: int, offset: int, size: int) -> bytes:
        answer = b""
        for number, name in list(enumerate(sorted(Path(path).iterdir()), 1))[offset:]:
            bare = os.fsencode(name.name)
            kind = stat.S_IFMT(name.lstat().st_mode) >> 12
            one = struct.pack("<QQII", number, number, len(bare), kind) + bare
            one += b"\0" * (-len(one) % 8)
            if len(answer) + len(one) > size:
                break
            answer += one
        return answer


def mount(directory: Path, point: Path) -> subprocess.Popen[bytes]:
    """Shows `directory` at `point`; the process that does.  Raises OSError."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        flags = 2 | 4  # MS_NOSUID | MS_NODEV
        if libc.mount(b"tiny", os.fsencode(point), b"fuse.tiny", flags, options.encode()):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(point))
        return subprocess.Popen(
            [sys.executable, __file__, str(directory), str(descriptor)], pass_fds=[descriptor]
        )
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    Server(sys.argv[1], int(sys.argv[2])).serve()
