"""A filter of system calls: no sockets, no other programs, no looking into other processes.

Of sockets Landlock knows only TCP, and only newer kernels have it.  It also allows changes of the
modes, owners, times and attributes of files.  This filter (seccomp, Linux 3.5) forbids every kind
of socket, and these changes.  Source: the kernel's documentation, userspace-
api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF's words, of 32 bits
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER_AT, _PROCESSOR_AT = 0, 4  # offsets in seccomp_data
_X32 = 0x40000000  # in the numbers of x86-64's second table

# machine -> the kernel's name of it, and the numbers of: socket, execve, execveat, ptrace,
# process_vm_readv, process_vm_writev, io_uring_setup; then of chmod, chown, utime and their
# kind; then of setxattr and removexattr.
_REFUSED = {
    "x86_64": (
        0xC000003E,
        (
            *(41, 59, 322, 101, 310, 311, 425),
            *(90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280),
            *(188, 189, 190, 197, 198, 199),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(198, 221, 281, 117, 270, 271, 425),
            *(52, 53, 452, 54, 55, 88),
            *(5, 6, 7, 14, 15, 16),
        ),
    ),
}


def give_up_privileges() -> None:
    """From now on no program that this process starts gets more rights.  Raises OSError."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def refuse() -> bool:
    """From now on those calls fail with EACCES, in this thread and those that it starts.

    Gives whether this machine's numbers are known here.  New privileges must have been given
    up before.  Raises OSError.
    """
    known = _REFUSED.get(platform.machine()) if sys.platform == "linux" else None
    if known is None or struct.calcsize("P") != 8:
        return False
    program = _program(*known)
    lines = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(lines, len(lines))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(header, len(header)))
    return True


def _program(processor: int, numbers: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Lines of (operation, jump if true, jump if false, operand).  The last one refuses."""
    tests = [(_AT_LEAST, _X32), *((_EQUAL, number) for number in numbers)]
    lines = [(_LOAD, 0, 0, _PROCESSOR_AT), (_EQUAL, 0, len(tests) + 2, processor)]
    lines.append((_LOAD, 0, 0, _NUMBER_AT))
    lines += [(test, len(tests) - at, 0, value) for at, (test, value) in enumerate(tests)]
    return [*lines, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | errno.EACCES)]


def _prctl(option: int, first: int, second: object = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    given = second if not isinstance(second, int) else ctypes.c_ulong(second)
    if libc.prctl(option, ctypes.c_ulong(first), given, zero, zero) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
