"""The kernel's FUSE protocol, version 7.31: its structures, as linux/fuse.h has them."""

from __future__ import annotations

import enum
import os
import stat
import struct
from typing import NamedTuple

VERSION = (7, 31)
LARGEST = 1 << 17  # bytes that one WRITE carries
BUFFER = LARGEST + 4096  # bytes; a request of the kernel's fits

REQUEST = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, 0, 0
ANSWER = struct.Struct("<IiQ")  # length, -errno, unique

INIT = struct.Struct("<4I2H2I2H8I")
ATTRIBUTES = struct.Struct("<6Q10I")
ENTRY = struct.Struct("<4Q2I")  # node, generation, and how long both may be kept: 0
KEPT = struct.Struct("<QII")  # how long attributes may be kept: 0
OPENED = struct.Struct("<QII")  # handle, flags, 0
WRITTEN = struct.Struct("<II")
DIRENT = struct.Struct("<QQII")  # inode, offset of the next, length, type

SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
MKNOD = struct.Struct("<4I")
MKDIR = struct.Struct("<II")
OPEN = struct.Struct("<II")
CREATE = struct.Struct("<4I")
RENAME = struct.Struct("<Q")
RENAME2 = struct.Struct("<QII")
LINK = struct.Struct("<Q")
TRANSFER = struct.Struct("<QQIIQII")  # READ, READDIR and WRITE: handle, offset, size, ...
HANDLE = struct.Struct("<Q")  # the first field of RELEASE, FLUSH, FSYNC, GETATTR's is the second
FORGET = struct.Struct("<Q")
BATCH = struct.Struct("<II")
FORGET_ONE = struct.Struct("<QQ")
STATFS = struct.Struct("<5Q10I")

_UNSIGNED = (1 << 64) - 1

DIRECT_IO = 1  # of OPENED: the kernel keeps no page, each read comes here


class Operation(enum.IntEnum):
    """What the kernel asks for; those that it does not name here get ENOSYS."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    RENAME2 = 45
    OTHER = 0  # any that this file system does not have


# The kernel waits for no answer to these.
UNANSWERED = frozenset({Operation.FORGET, Operation.BATCH_FORGET, Operation.INTERRUPT})
# Part of mounting and unmounting, never kept waiting.
HOUSEKEEPING = UNANSWERED | {Operation.INIT, Operation.DESTROY}


class Request(NamedTuple):
    """One request of the kernel's."""

    operation: Operation
    unique: int  # its number, for the answer
    node: int
    uid: int
    gid: int
    pid: int  # the thread that waits for the answer
    body: bytes


def parse(buffer: bytes) -> Request:
    """The request that one read of the device gives."""
    _, opcode, unique, node, uid, gid, pid, _, _ = REQUEST.unpack_from(buffer)
    known = opcode in Operation.__members__.values()
    operation = Operation(opcode) if known else Operation.OTHER
    return Request(operation, unique, node, uid, gid, pid, buffer[REQUEST.size :])


def answer(unique: int, body: bytes = b"", error: int = 0) -> bytes:
    """The answer to request `unique`; `error` is an errno, 0 for none."""
    return ANSWER.pack(ANSWER.size + len(body), -error, unique) + body


def attributes(found: os.stat_result) -> bytes:
    """As the kernel wants them."""
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    return ATTRIBUTES.pack(
        found.st_ino,
        found.st_size,
        found.st_blocks,
        *(time // 10**9 & _UNSIGNED for time in times),  # before 1970 there were some, too
        *(time % 10**9 for time in times),
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_rdev & 0xFFFFFFFF,
        4096,
        0,
    )


def dirent(name: bytes, inode: int, mode: int, following: int) -> bytes:
    """One name of a listing; `following` is the offset of what comes after it."""
    one = DIRENT.pack(inode, following, len(name), stat.S_IFMT(mode) >> 12) + name
    return one + bytes(-len(one) % 8)


def offset_of(request: Request) -> int:
    """Where a READ or a WRITE begins, in bytes."""
    return int(TRANSFER.unpack_from(request.body)[1])


def names(body: bytes) -> list[bytes]:
    """The null-terminated names at the end of a request."""
    return body.split(b"\0")[:-1]
