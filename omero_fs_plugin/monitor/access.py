"""Who may watch and read what: FSServer lends nobody the rights of its own account.

Everybody on this machine can call its port, and it reads with the rights of its
account.  So for other accounts it watches and reads only the directories that an
admin has named: those that DropBox watches, `omero.fs.fileServerRoots` and
`omero.fs.monitorRoots`.  For its own account and root it watches and reads any
directory, because they can read it without FSServer.

Linux tells which account a connection of this machine belongs to (``/proc/net/tcp``,
see proc(5)).  If this is not known, as for a client on another machine, the client
counts as another account.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from omero_fs_plugin.links import Route, reach

from .kernel.answers import place_of
from .requests import UNKNOWN, MonitorError

T = TypeVar("T")

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
# How long a directory may take to answer.
_PATIENCE = 3.0  # s
_ESTABLISHED = "01"  # in any other state the kernel may show 0 for whose it is

Address = tuple[str, int]


class Access:
    """Rule: another account may see only what lies in a directory of `given`.

    No link that a user made may be on the way.  `given` is asked at each call, because
    it changes when DropBox's rules change.
    """

    def __init__(
        self,
        given: Callable[[], Iterable[str]],
        account_of: Callable[[Any], int | None] | None = None,
    ) -> None:
        """`account_of` gives the uid of a connection's account; None if it is not known."""
        self._given = given
        self._account_of = account_of or account_of_connection

    def is_ours(self, current: Any) -> bool:
        """Whether the server's own account or root calls.  `current` as Ice gives it."""
        return not self.guest(current)

    def guest(self, current: Any) -> str:
        """The other account that calls, in words; empty: the server's own, or root."""
        if current is None or current.con is None:
            return ""  # from this very process
        account = self._account_of(current.con)
        if account in (0, os.geteuid()):
            return ""
        return UNKNOWN if account is None else f"account {account}"

    def check(self, path: bytes, current: Any, *, missing_well: bool = False) -> None:
        """Raises MonitorError if the caller may not watch `path`.

        `missing_well`: a path that does not exist is judged by the directory it would be in.
        """
        if self.is_ours(current):
            return
        wanted = os.fsdecode(path)
        if missing_well:
            try:
                wanted = _asked(wanted, _first_there)
            except OSError as error:
                raise MonitorError(f"pathString {wanted!r}: {error.strerror}") from error
        if self._is_given(wanted):
            return
        raise MonitorError(
            f"pathString {os.fsdecode(path)!r}: not among the directories that clients of other "
            "accounts may watch: those that DropBox watches, and those of omero.fs.monitorRoots"
        )

    def _is_given(self, path: str) -> bool:
        wanted = _route(path)
        if wanted is None:
            return False
        roots = (_route(root) for root in self._given())
        return any(root is not None and root.identity in wanted.above for root in roots)


def _route(path: str) -> Route | None:
    """None also where its file system does not answer: one root's that hangs hurts no other."""
    try:
        return _asked(path, _reached)
    except OSError:
        return None


def _reached(path: str) -> Route:
    descriptor, route = reach(path)
    os.close(descriptor)
    return route


def _first_there(path: str) -> str:
    """It, or the first directory above it that there is."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def _asked(path: str, act: Callable[[str], T]) -> T:
    """What `act` gives.  Raises OSError, Unanswered when that takes longer than `_PATIENCE`."""
    place = place_of((act, path), _PATIENCE, idle=0.0)
    return place.call(lambda beat: act(path), os.fsencode(path))


def account_of_connection(connection: Any) -> int | None:
    """The uid of the account at the other end of an Ice connection.  None if it is not known."""
    info = connection.getInfo()
    try:
        ours = (_plain(info.localAddress), int(info.localPort))
        theirs = (_plain(info.remoteAddress), int(info.remotePort))
    except (AttributeError, ValueError):
        return None
    return account_of_socket(theirs, ours)


def account_of_socket(
    local: Address, remote: Address, tables: Iterable[str] = _TABLES
) -> int | None:
    """The uid of this machine's socket that is connected from `local` to `remote`."""
    for line in _lines(tables):
        fields = line.split()
        try:
            connected = _address(fields[1]) == local and _address(fields[2]) == remote
            state, uid, inode = fields[3], int(fields[7]), int(fields[9])
        except (IndexError, ValueError):
            continue  # the heading of the table
        if connected and state == _ESTABLISHED and inode:
            return uid
    return None


def _lines(tables: Iterable[str]) -> Iterator[str]:
    for table in tables:
        try:
            with open(table, encoding="ascii") as lines:  # noqa: PTH123
                yield from lines
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EACCES):  # no IPv6, or no /proc
                raise


def _address(field: str) -> Address:
    """Reads an address of the table: words of four bytes in the machine's order, and a port."""
    words, _, port = field.partition(":")
    packed = b"".join(
        int(words[n : n + 8], 16).to_bytes(4, sys.byteorder) for n in range(0, len(words), 8)
    )
    kind = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return _plain(socket.inet_ntop(kind, packed)), int(port, 16)


def _plain(address: str) -> str:
    """The IPv4 address in an IPv6 address that wraps one; any other as it is."""
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
