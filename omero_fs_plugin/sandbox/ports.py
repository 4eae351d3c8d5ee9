"""The ports of a sandbox: they are reserved when it is made, not when it is started.

A reservation is a file that names the sandbox.  It counts as long as that
sandbox exists, so nobody has to end it, and a kill leaves nothing to clean
up.  Every user of the machine can see the files.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError

# It outlives a restart of the machine, as sandboxes do; /tmp may not.
PLACE = Path("/var/tmp/omero-fs-sandboxes")
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOCK_LIMIT = 30.0  # s; a reservation takes milliseconds
_MOST = 65536  # bytes of a reservation that are read
_NAMED = 5  # holders of ports that an error names; the files name all


@dataclass(frozen=True)
class Ports:
    """The ports on which one grid listens.  The prefix goes before each of the other three."""

    prefix: int  # omero.ports.prefix
    registry: int = 4061  # omero.ports.registry, IceGrid's
    tcp: int = 4063  # omero.ports.tcp, the router's
    ssl: int = 4064  # omero.ports.ssl, the router's for clients

    @property
    def numbers(self) -> tuple[int, ...]:
        """The ports as the system knows them."""
        return tuple(int(f"{self.prefix}{port}") for port in (self.registry, self.tcp, self.ssl))

    @property
    def router(self) -> int:
        """The port that a client uses."""
        return self.numbers[-1]

    def properties(self) -> dict[str, str]:
        """The properties for OMERO's configuration, without those that are OMERO's default."""
        plain = Ports(self.prefix)
        names = [n for n in ("registry", "tcp", "ssl") if getattr(self, n) != getattr(plain, n)]
        return {f"omero.ports.{name}": str(getattr(self, name)) for name in ("prefix", *names)}


PREFIXES = tuple(range(1, 7))  # 64064 is a port; 74064 is too large
# 14064, 24064 ... 64064, 14074, 24074 ... 65054: so many that those of sandboxes which nobody will
# start again, as a killed run of the tests leaves them, do not use them up.
ALL = tuple(
    Ports(prefix, 4061 + more, 4063 + more, 4064 + more)
    for more in range(0, 1000, 10)
    for prefix in PREFIXES
)


def reserve(directory: Path, prefix: int | None = None, *, place: Path | None = None) -> Ports:
    """Reserves ports for the sandbox that will be in `directory`, an absolute path.

    If somebody asks for a `prefix`, it is given even if others have it.  None: the first
    ports that are free and not reserved.  `place` is the directory of the reservations;
    by default PLACE, for all users of the machine.

    Raises ConfigurationError if there are no such ports.
    """
    if prefix is not None and prefix not in PREFIXES:
        raise ConfigurationError(f"--prefix {prefix}: must be 1 to {max(PREFIXES)}")
    with _locked(place or PLACE) as place:
        _forget(place, directory)
        found = _first_free(place) if prefix is None else Ports(prefix)
        file = _file(place, found)
        _write(file, [*_living(file), str(directory)])
    return found


def release(directory: Path, *, place: Path | None = None) -> None:
    """Ends the reservation of a sandbox that was not made after all.

    Raises ConfigurationError if the directory of reservations cannot be used.
    """
    with _locked(place or PLACE) as place:
        _forget(place, directory)


def _first_free(place: Path) -> Ports:
    holders = _holders(place)
    in_turn = sorted(ALL, key=_given_to_clients)  # keeps the order of the others
    for ports in in_turn:
        if ports.router not in holders and all(_is_free(number) for number in ports.numbers):
            return ports
    some = ", ".join(
        f"{p.router}: {holders.get(p.router, 'another program')}" for p in in_turn[:_NAMED]
    )
    raise ConfigurationError(
        "no ports are free for a sandbox: remove one that is not used any more, or give a prefix "
        "with --prefix and run no other sandbox that has it at the same time; the first that are "
        f"taken are {some}; the files in {place} name all {len(holders)} sandboxes"
    )


def _given_to_clients(ports: Ports) -> bool:
    """Whether the kernel may give one of the ports to any program that opens a connection."""
    try:
        first, last = map(int, _EPHEMERAL.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        first, last = 32768, 60999  # Linux's default
    return any(first <= number <= last for number in ports.numbers)


def _file(place: Path, ports: Ports) -> Path:
    """The file of this user: in `place` a user may change only their own files."""
    return place / f"{ports.router}.{os.getuid()}"


def _holders(place: Path) -> dict[int, str]:
    """Each router's port that any user reserved -> a sandbox that has it."""
    holders = {}
    for file in sorted(place.iterdir()):
        router = file.name.partition(".")[0]
        living = _living(file) if router.isdecimal() else []
        if living:
            holders[int(router)] = living[0]
    return holders


def _living(file: Path) -> list[str]:
    """The sandboxes that a reservation names and that still exist."""
    try:
        # Anybody may put anything there, so follow no link and wait for no pipe.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        text = os.fsdecode(os.read(descriptor, _MOST))
    finally:
        os.close(descriptor)
    return [line for line in text.splitlines() if _may_be_there(line)]


def _may_be_there(directory: str) -> bool:
    if not directory.startswith("/"):
        return False
    try:
        os.stat(directory)  # noqa: PTH116 - Path.exists hides what it may not see
    except (FileNotFoundError, NotADirectoryError, ValueError):  # or cannot exist
        return False
    except OSError:
        return True  # another user's
    return True


def _forget(place: Path, directory: Path) -> None:
    """Ends the reservation of an earlier sandbox here: a sandbox has only one."""
    for file in place.glob(f"*.{os.getuid()}"):
        named = _living(file)
        if str(directory) in named:
            _write(file, [name for name in named if name != str(directory)])


def _write(file: Path, directories: list[str]) -> None:
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with part.open("xb") as out:  # "x" follows no link
        out.writelines(os.fsencode(f"{directory}\n") for directory in directories)
    part.chmod(0o644)
    part.replace(file)


@contextmanager
def _locked(place: Path) -> Iterator[Path]:
    """Lets only one process of any user make reservations in `place` at a time."""
    import fcntl  # here, so that the rest of the module can be imported anywhere

    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        _make(place)
        descriptor = os.open(place, flags)
    except OSError as error:
        raise _unusable(place, str(error.strerror)) from error
    try:
        end = time.monotonic() + _LOCK_LIMIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise _unusable(place, f"locked for {_LOCK_LIMIT:g} s") from error
                time.sleep(0.02)
        yield place
    except PermissionError as error:
        raise _unusable(place, str(error.strerror)) from error
    finally:
        os.close(descriptor)


def _make(place: Path) -> None:
    """Makes the directory for the files of all users.  A kill leaves it whole or absent."""
    before = os.umask(0)
    try:
        place.mkdir(mode=0o1777, exist_ok=True)
    finally:
        os.umask(before)


def _unusable(place: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place}, where sandboxes reserve their ports, cannot be used: {why}"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
