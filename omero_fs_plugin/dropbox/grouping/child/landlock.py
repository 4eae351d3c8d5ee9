"""Landlock: a Linux process gives up rights for good, to open files and to use TCP.

Source: the kernel's documentation, userspace-api/landlock.rst.  Linux 5.13 brought it (ABI 1,
files), 6.7 added TCP (ABI 4), 6.12 signals and abstract sockets (ABI 6).  It needs no privilege.  A
kernel refuses rights that it does not know, so only the rights of its own ABI are used.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable
from functools import cache

# Every processor has these numbers, unless it is named below.
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_OTHER_NUMBERS = ("mips", "alpha")
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # not only of directories
_MAKE_DEVICES = 1 << 6 | 1 << 11  # character and block
# ABI -> rights about files, about TCP (bind, connect), and scopes (abstract sockets, signals)
_HANDLED = {
    1: ((1 << 13) - 1, 0, 0),
    2: ((1 << 14) - 1, 0, 0),
    3: ((1 << 15) - 1, 0, 0),
    4: ((1 << 15) - 1, 3, 0),
    5: ((1 << 16) - 1, 3, 0),
    6: ((1 << 16) - 1, 3, 3),
}


@cache
def abi() -> int:
    """The version of this kernel's Landlock.  0: it has none, or it is switched off."""
    return max(0, _ask_abi())


def missing() -> int:
    """The kernel's error number if it has no Landlock; 0 if it has it."""
    return -min(0, _ask_abi())


def _ask_abi() -> int:
    """The version, or an error number below 0."""
    if sys.platform != "linux" or platform.machine().startswith(_OTHER_NUMBERS):
        return -errno.ENOSYS
    asked = None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)
    found = int(_libc().syscall(ctypes.c_long(_CREATE), *asked))
    return found if found >= 0 else -ctypes.get_errno()


def restrict(read: Iterable[int], write: Iterable[int], version: int) -> None:
    """From now on this thread, and every thread that it starts, may open only these files.

    `read`, `write`: descriptors (O_PATH) of files and directories.  Below those of `read` it may
    read, below those of `write` also change; it may execute nothing.  `version`: as from `abi`.
    The thread must have given up new privileges before.  Raises OSError.
    """
    files, tcp, scopes = _HANDLED[min(version, max(_HANDLED))]
    attributes = struct.pack("QQQ", files, tcp, scopes)[: 8 if version < 4 else 16]
    if version >= 6:
        attributes = struct.pack("QQQ", files, tcp, scopes)
    ruleset = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        reading = _READ_FILE | _READ_DIR
        for descriptor in read:
            _allow(ruleset, descriptor, reading)
        for descriptor in write:
            _allow(ruleset, descriptor, files & ~(_EXECUTE | _IOCTL_DEV | _MAKE_DEVICES))
        _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, descriptor: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _OF_FILES
    rule = struct.pack("=Qi", rights, descriptor)
    _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    found = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}", errno.errorcode.get(code, ""))
    return found
