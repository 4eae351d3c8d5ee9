"""The moods of a sandbox: slow, busy, late, or without its database, as a real OMERO may be.

The server looks at the file `moods.json` in omero.data.dir at each call, so moods change while
it runs.  What the file does not name works well.  `write` writes the file; by hand::

    {"database": "away", "slow": 0.2,
     "faults": [{"calls": "RawFileStore\\\\.save", "raises": "ResourceError", "times": 2}]}

===========  =====================================================================================
database     `away`: calls that need it raise InternalException "Cannot open connection", and
             nobody can log in with a password.  Blitz itself still answers.
             `busy`: these calls raise DatabaseBusyException.
             `hung`: these calls wait until the mood changes; after HUNG_S they are "busy"
slow         each call that needs the database takes so many seconds longer
imports      each import takes so many seconds longer, like the price of one (`pace.Prices`)
disk         each block that a client writes into a file takes so many seconds longer
logins       `refused`: a login raises WrappedCreateSessionException.
             `null`: its session is null; clients then say "Obtained null object prox".
             `denied`: the router says that the password is wrong, even that of a session
late         for so many seconds after the start logins are `refused`, as by a real server
faults       exceptions for single calls: see Fault
===========  =====================================================================================

`needs_database` tells from a call's name whether it needs the database.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import Ice
import omero.all  # every Slice type: faults name exceptions

import omero

log = logging.getLogger(__name__)

FILE = "moods.json"  # in omero.data.dir
HUNG_S = 95.0  # so long a real server hung when its pool of connections was used up
WELL, AWAY, BUSY, HUNG = "", "away", "busy", "hung"
REFUSED, NULL, DENIED = "refused", "null", "denied"
_LOOK_S = 0.05  # how often a call that hangs looks at the moods

NO_CONNECTION = (
    " Wrapped Exception: (org.springframework.transaction.CannotCreateTransactionException):\n"
    "Could not open Hibernate Session for transaction; nested exception is "
    "org.hibernate.exception.GenericJDBCException: Cannot open connection"
)
NO_CONNECTION_FREE = "cannot get a connection, pool error Timeout waiting for idle object"

# The calls that Blitz answers from memory or from disk.  An import and a deletion are commands:
# the server accepts them without the database, but their work needs it.
_FROM_MEMORY = re.compile(
    r"ServiceFactory\.(?!getSecurityContexts|setSecurity).*|SharedResources\..*|Handle\..*"
    r"|RawFileStore\.(?:write|read|exists|size|truncate|getFileId)"
    r"|ImportProcess\.(?!verifyUpload).*|IConfig\.(?!getDatabase).*"
)


@dataclass(frozen=True)
class Fault:
    """An exception that calls with some name raise instead of answering.

    The work of a command has the name of its kind: `ImportRequest.begin`, `ImportRequest.end`,
    `Delete2.begin`.  An exception there becomes the command's ERR.  At `ImportRequest.end` the
    images exist nevertheless.
    """

    calls: str  # a regular expression: the whole of Interface.operation
    raises: str = "InternalException"  # a class of omero, or of Ice
    says: str = ""
    times: int = 0  # how often, counted since the moods changed; 0: always
    user: str = ""  # only in the sessions of this user; empty: in all sessions
    after: bool = False  # the call has been carried out then, and only its answer is lost


@dataclass(frozen=True)
class Moods:
    """What is in the file."""

    database: str = WELL
    slow: float = 0.0  # s
    imports: float = 0.0  # s
    disk: float = 0.0  # s
    logins: str = WELL
    late: float = 0.0  # s
    faults: tuple[Fault, ...] = field(default=())


def needs_database(call: str) -> bool:
    """Whether this call, `Interface.operation`, needs the database."""
    return not _FROM_MEMORY.fullmatch(call)


def write(data_dir: Path, moods: Moods | None = None) -> None:
    """Sets the moods of the sandbox with this omero.data.dir; None: all works well."""
    fresh = data_dir / f".{FILE}.{os.getpid()}.{threading.get_ident()}"
    fresh.write_text(json.dumps(asdict(moods or Moods())), encoding="utf-8")
    fresh.replace(data_dir / FILE)


def parse(text: str) -> Moods:
    """Reads moods from JSON.  Raises ValueError if it is not JSON, or for an unknown mood."""
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("an object is wanted")
    unknown = told.keys() - {one.name for one in fields(Moods)}
    if unknown:
        raise ValueError(f"no such mood: {', '.join(sorted(unknown))}")
    for name, known in (
        ("database", (WELL, AWAY, BUSY, HUNG)),
        ("logins", (WELL, REFUSED, NULL, DENIED)),
    ):
        if told.get(name, WELL) not in known:
            raise ValueError(f"{name}: {told[name]}: one of {', '.join(known[1:])} is wanted")
    try:
        faults = tuple(Fault(**fault) for fault in told.pop("faults", ()))
        moods = Moods(**told, faults=faults)
    except TypeError as error:
        raise ValueError(str(error)) from error
    for fault in faults:
        re.compile(fault.calls)
        exception(fault.raises, fault.says)
    return moods


def exception(name: str, says: str) -> Exception:
    """Makes an exception of omero or Ice with its text.  Raises ValueError for unknown names."""
    kind = getattr(omero, name, None) or getattr(Ice, name, None)
    if isinstance(kind, type) and issubclass(kind, omero.ServerError):
        trace = f"ome.conditions.{name}: {says}\n\tat ome.services.util.Executor.execute"
        made: Exception = kind(trace, f"ome.conditions.{name}", says)
    elif kind is Ice.UnknownException:
        made = kind(says)
    elif isinstance(kind, type) and issubclass(kind, Ice.LocalException):
        made = kind()
    else:
        raise ValueError(f"{name}: not an exception of omero or Ice")
    return made


class Mood:
    """The moods of one running server.  Thread-safe; `now` gives seconds, monotonic."""

    def __init__(self, data_dir: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._file = data_dir / FILE
        self._path = str(self._file)
        self._now, self._began = now, now()
        self._lock = threading.Lock()
        self._known: tuple[int, ...] | None = None  # the file as it was read
        self._moods = Moods()
        self._done: dict[Fault, int] = {}  # how often each fault was met

    def current(self) -> Moods:
        """The moods in the file.  If the file is wrong, that is logged and changes nothing."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - at each call: Path.stat takes longer
            key: tuple[int, ...] | None = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            key = None
        with self._lock:
            if key != self._known:
                self._known, self._done = key, {}
                try:
                    text = "{}" if key is None else self._file.read_text(encoding="utf-8")
                    self._moods = parse(text)
                except (OSError, ValueError, re.error) as error:
                    log.warning("%s: passed over: %s", self._file, error)
                else:
                    log.info("moods: %s", self._moods)
            return self._moods

    def meet(self, call: str, user: str = "") -> None:
        """Applies the moods to a call, `Interface.operation`: returns, waits or raises.

        `user` is the user of its session.
        """
        moods = self.current()
        self._raise_faults(moods, call, user, after=False)
        if moods.disk and call == "RawFileStore.write":
            time.sleep(moods.disk)
        if not needs_database(call):
            return
        if moods.slow:
            time.sleep(moods.slow)
        if moods.database == HUNG:
            self._hang()
            moods = self.current()
        if moods.database == AWAY:
            raise exception("InternalException", NO_CONNECTION)
        if moods.database in (BUSY, HUNG):
            raise exception("DatabaseBusyException", NO_CONNECTION_FREE)

    def answer(self, call: str, user: str = "") -> None:
        """Applies the faults that come after a call, `Interface.operation`: returns or raises."""
        self._raise_faults(self.current(), call, user, after=True)

    def login(self) -> str:
        """How a login ends now: WELL, REFUSED, NULL or DENIED."""
        moods = self.current()
        if moods.database == HUNG:
            self._hang()
            moods = self.current()
        if moods.logins:
            return moods.logins
        late = self._now() < self._began + moods.late
        return REFUSED if late or moods.database != WELL else WELL

    def knows_passwords(self) -> bool:
        """Whether the server can look up passwords now."""
        return self.current().database == WELL

    def _raise_faults(self, moods: Moods, call: str, user: str, *, after: bool) -> None:
        for fault in moods.faults:
            concerned = fault.after is after and fault.user in ("", user)
            if concerned and re.fullmatch(fault.calls, call) and self._once_more(fault):
                raise exception(fault.raises, fault.says)

    def _once_more(self, fault: Fault) -> bool:
        if not fault.times:
            return True
        with self._lock:
            self._done[fault] = self._done.get(fault, 0) + 1
            return self._done[fault] <= fault.times

    def _hang(self) -> None:
        until = time.monotonic() + HUNG_S
        while self.current().database == HUNG and time.monotonic() < until:
            time.sleep(_LOOK_S)


def refusal_of_login() -> Any:
    """The exception that the manager raises for a refused login."""
    return omero.WrappedCreateSessionException(
        "Error creating session", False, 0, "ome.conditions.InternalException"
    )
