"""What a client asks for: the arguments of createMonitor, and their checks."""

from __future__ import annotations

import enum
import math
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import EventType

from .kernel.answers import place_of

# In the context of a call of createMonitor: s that its client may be away before the monitor is
# given up.  The signature of the Slice interface has no place for it.
CLIENT_TIMEOUT = "omero.fs.clientTimeout"
# How long the directory that a client names may take to answer.  An automounter may first
# have to mount it.
# The guest that stands for all clients of other machines.  A DropBox may be among them.
UNKNOWN = "an account that is not known"
_PATIENCE = 3.0  # s


class MonitorError(FsError):
    """A monitor that cannot be made.  The text is the reason that a client reads."""


class PathMode(enum.Enum):
    """As omero.grid.monitors.PathMode."""

    FLAT = "Flat"  # only the directory itself
    RECURSE = "Recurse"  # also the subdirectories that are there at the start
    FOLLOW = "Follow"  # also those that come later


class MonitorType(enum.Enum):
    """As omero.grid.monitors.MonitorType."""

    PERSISTENT = "Persistent"  # until it is stopped
    ONE_SHOT = "OneShot"  # until its first notification, or `timeout`
    INACTIVITY = "Inactivity"  # tells when nothing has happened for `timeout`


@dataclass(frozen=True)
class Request:
    """The arguments of createMonitor, checked."""

    path: bytes  # absolute, normalised, a directory
    type: MonitorType
    events: frozenset[EventType]
    mode: PathMode
    whitelist: tuple[str, ...]
    blacklist: tuple[str, ...]
    timeout: float  # s; 0: none
    block_size: int  # 0: as many as fit
    ignore_sys_files: bool
    ignore_dir_events: bool
    # s that the client may be away; 0: as omero.fs.clientTimeout says, which is the most
    client_timeout: float = 0.0
    # The other account that asks, in words; empty: the server's own, or root
    guest: str = ""

    def __post_init__(self) -> None:
        if not self.events:
            raise MonitorError("eTypes is empty: name at least one event type")
        if not 0 <= self.timeout < 1e9:
            raise MonitorError(f"timeout = {self.timeout}: must be 0 or more seconds")
        if self.type is MonitorType.INACTIVITY and not self.timeout:
            raise MonitorError("timeout = 0: an Inactivity monitor needs a time in seconds")
        if not 0 <= self.client_timeout < 1e9:
            raise MonitorError(
                f"{CLIENT_TIMEOUT} = {self.client_timeout}: must be more than 0 seconds"
            )
        if self.block_size < 0:
            raise MonitorError(f"blockSize = {self.block_size}: must be 0 (all) or more")


def client_timeout(context: Mapping[str, str]) -> float:
    """What a client has chosen in the context of its call, s; 0: nothing.

    Raises MonitorError if it is not a number of seconds.
    """
    text = context.get(CLIENT_TIMEOUT, "")
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise MonitorError(f"{CLIENT_TIMEOUT} = {text!r} in the context: must be a time in seconds")
    return seconds


def name_of(path: str) -> bytes:
    """The absolute path that a client gives, normalised; asks the disk nothing.

    Raises MonitorError when it is none.
    """
    if not path:
        raise MonitorError("pathString is empty: give the absolute path of a directory")
    if "\0" in path:
        raise MonitorError(f"pathString {path!r} holds a null character")
    return _normalised(path).encode("utf-8", "surrogateescape")


def directory_named(path: str) -> bytes:
    """The directory that a client wants to watch, normalised.

    Raises MonitorError if it is missing, not a directory, or not readable, or if its file
    system does not answer within `_PATIENCE`.
    """
    name = name_of(path)
    try:
        # By its path, for that of its file system may lead over one that does not answer.
        place = place_of(("named", name), _PATIENCE, idle=0.0)
        wrong = place.call(lambda beat: _wrong_with(name), name)
    except OSError as error:
        raise MonitorError(f"pathString {path!r}: {error.strerror}") from error
    if wrong:
        raise MonitorError(f"pathString {path!r} {wrong}")
    return name


def _wrong_with(name: bytes) -> str:
    """Why it cannot be watched; empty when it can.  Raises OSError."""
    if not os.path.isdir(name):  # noqa: PTH112 - bytes are no Path
        os.stat(name)  # noqa: PTH116 - says why
        return "is not a directory"
    if not os.access(name, os.R_OK | os.X_OK):
        return "is not readable for the user of FSServer"
    return ""


def _normalised(path: str, flavour: ModuleType = os.path) -> str:
    """The path with ``/`` between the names, on Windows too.

    Raises MonitorError if it is not absolute.
    """
    if flavour is posixpath:
        if path.startswith("/"):
            return posixpath.normpath("/" + path.lstrip("/"))
    elif flavour.splitdrive(path)[0] and flavour.isabs(path):
        return str(flavour.normpath(path)).replace(flavour.sep, "/")
    raise MonitorError(f"pathString {path!r} is not absolute")
