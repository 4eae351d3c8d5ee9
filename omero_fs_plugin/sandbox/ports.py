"""Which ports a sandbox has: it reserves them when it is made, not when it is started.

A reservation is a file that names the sandbox.  It holds as long as that
sandbox is there, so nobody has to give it back, and a kill leaves nothing to
tidy.  The files lie where every user of the machine sees them.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError

# 64064 is a port.  First those that the kernel does not give to clients of itself
# (net.ipv4.ip_local_port_range: 32768 to 60999 unless an admin says otherwise).
PREFIXES = (1, 2, 6, 3, 4, 5)
_PORTS = (4061, 4063, 4064)  # registry, router, router with ssl
_RESERVATIONS = "omero-fs-sandboxes"


def reserve(directory: Path, prefix: int | None = None, *, place: Path | None = None) -> int:
    """The prefix of the ports of the sandbox that will be in `directory`, absolute.

    `prefix` is what somebody wants, whether others have it or not; None is the
    first one whose ports are free and nobody's.  `place` is where reservations
    lie: for all users of the machine, unless given.

    Raises ConfigurationError when there is none, or none of that number.
    """
    if prefix is not None and prefix not in PREFIXES:
        raise ConfigurationError(f"--prefix {prefix}: must be 1 to {max(PREFIXES)}")
    place = place or Path(tempfile.gettempdir()) / _RESERVATIONS
    with _locked(place):
        if prefix is None:
            prefix = _first_free(place)
        _write(place / f"{prefix}.{os.getuid()}", directory)
    return prefix


def _first_free(place: Path) -> int:
    taken = {number: _holder(place, number) for number in PREFIXES}
    for number in PREFIXES:
        if not taken[number] and all(_is_free(int(f"{number}{port}")) for port in _PORTS):
            return number
    held = ", ".join(f"{n}: {taken[n] or 'another program'}" for n in sorted(PREFIXES))
    raise ConfigurationError(
        f"no prefix of ports is free ({held}): remove a sandbox that is not used any more, or "
        "give one with --prefix and run no other that has it at the same time"
    )


def _holder(place: Path, prefix: int) -> str:
    """The sandbox that has reserved it; empty: none, or one that is gone."""
    for file in sorted(place.glob(f"{prefix}.*")):
        with suppress(OSError):
            directory = file.read_text(encoding="utf-8").strip()
            if directory and _may_be_there(directory):
                return directory
    return ""


def _may_be_there(directory: str) -> bool:
    try:
        os.stat(directory)  # noqa: PTH116 - Path.exists hides what it may not see
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # another user's
    return True


def _write(file: Path, directory: Path) -> None:
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    part.write_text(f"{directory}\n", encoding="utf-8")
    part.chmod(0o644)
    part.replace(file)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One creator at a time, of whatever user."""
    import fcntl  # what else is here can be imported anywhere

    with suppress(FileExistsError):
        place.mkdir()
        place.chmod(0o1777)  # each its own files, as in the directory above
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(place, flags)
    except OSError as error:
        raise ConfigurationError(
            f"{place}, where sandboxes reserve their ports, cannot be used: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
