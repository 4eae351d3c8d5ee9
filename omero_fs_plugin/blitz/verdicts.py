"""Whose fault it is when OMERO does not do what we ask: one table.

A fileset fails only because of its bytes or its name.  A user stops only because of the account.
For every other error we wait: a file that can be imported tomorrow must not have failed tonight.
If no row knows an error, it is UNCLEAR, and we wait too.  If a fileset meets such errors again and
again, while OMERO imports others, it is refused in the end (see ``workers``).

Sources: the Slice documentation of ``omero/ServerErrors.ice`` and ``omero/cmd/API.ice`` says what
each class is for.  `seen` marks answers of a real OMERO.server 5.5 or 5.6.
"""

from __future__ import annotations

import enum
import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import Glacier2
import Ice
import omero.all  # every Slice type: the table names them
import omero.cmd

import omero
from omero_fs_plugin import room
from omero_fs_plugin.errors import (
    FsError,
    ImportRefused,
    ServerAwayError,
    ServerBusyError,
    ServerMisconfiguredError,
    UnclearError,
    UserError,
)
from omero_fs_plugin.unanswered import why_unanswered


class Step(enum.Enum):
    """The step in the sequence of calls where it happened."""

    LOGIN = enum.auto()  # opening or joining a session
    ASK = enum.auto()  # a question that changes nothing
    BEGIN = enum.auto()  # importFileset: names, and how to import
    UPLOAD = enum.auto()  # bytes sent to OMERO
    IN_PLACE = enum.auto()  # OMERO looks at a file that we put into its repository
    VERIFY = enum.auto()  # verifyUpload
    IMPORT = enum.auto()  # what the import answered
    DESCRIBE = enum.auto()  # targets and annotations, which people have named
    DELETE = enum.auto()


class Fault(enum.Enum):
    """Whose fault it is, with the error that we raise."""

    FILESET = ImportRefused
    USER = UserError
    AWAY = ServerAwayError
    BUSY = ServerBusyError
    MISCONFIGURED = ServerMisconfiguredError
    UNCLEAR = UnclearError


@dataclass(frozen=True)
class Row:
    """If an error fits all of a row, the fault is `fault`.  The first row that fits counts."""

    fault: Fault
    kinds: tuple[type, ...] = (object,)
    steps: tuple[Step, ...] = tuple(Step)
    # The name of a Java exception that a trace names at the beginning of a line.  So a file of
    # such a name is not taken for it.
    java: str = ""
    text: str = ""  # a regular expression, searched for in the message without its paths
    name: str = ""  # of an omero.cmd.ERR
    final: bool = False  # it cannot help to try again


_DISK = "|".join(
    re.escape(os.strerror(code))
    for code in (
        errno.EIO,
        errno.ESTALE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ENODEV,
        errno.ENXIO,
    )
)
_HOW = (Step.BEGIN, Step.VERIFY, Step.IMPORT, Step.DESCRIBE, Step.DELETE)
_ERR = omero.cmd.ERR

TABLE: tuple[Row, ...] = (
    # Names in a trace.  Seen in an import's ERR `update-log-file-size`, whose message did not say
    # this; all omero.db.poolsize connections of the pool were in use.
    Row(Fault.BUSY, java=r"DatabaseBusyException|LockTimeout|TryAgain"),
    Row(Fault.BUSY, java=r"OptimisticLockException|DeadlockLoserDataAccessException"),
    # From Hibernate, Spring and PostgreSQL's driver, if the database cannot be reached.  Seen as
    # InternalException "Cannot open connection".
    Row(
        Fault.AWAY,
        java=r"CannotCreateTransactionException|JDBCConnectionException"
        r"|CannotGetJdbcConnectionException|DataAccessResourceFailureException",
    ),
    # The importer's reader: the bytes are at fault.  `error-on-init` comes before anything is
    # stored.
    Row(Fault.FILESET, (_ERR,), name="error-on-init"),
    Row(Fault.FILESET, (_ERR,), java=r"loci\.[\w.$]+|\w*FormatException|EnumerationException"),
    # The name of a file, which becomes longer when it is made safe.
    Row(Fault.FILESET, text=re.escape(os.strerror(errno.ENAMETOOLONG)), final=True),
    # Texts of messages.
    Row(Fault.BUSY, text=r"pool error|[Tt]imeout waiting for idle object|too many clients"),
    Row(Fault.AWAY, text=r"Cannot open connection|Could not open (Hibernate|JDBC)"),
    Row(Fault.AWAY, text=r"database system is (starting up|shutting down)|Connection refused"),
    Row(Fault.AWAY, text=room.WORDS),  # seen as ResourceError from a full repository
    Row(Fault.AWAY, text=_DISK),
    Row(Fault.MISCONFIGURED, text=re.escape(os.strerror(errno.EROFS))),
    Row(Fault.MISCONFIGURED, text=r"unknown checksum algorithm"),
    # A session for a user who may not log in: repositories say this in an UnknownException (seen).
    Row(Fault.USER, text=r"cannot login|No matching roles found"),
    Row(Fault.USER, (omero.SecurityViolation,)),
    # Sessions.  `Obtained null object prox` and WrappedCreateSessionException were seen for a while
    # after a start.  PermissionDenied comes from the router, which asks the database for a session
    # that was opened a moment before.
    Row(Fault.AWAY, (omero.SessionException, omero.ClientError)),
    Row(Fault.AWAY, (Glacier2.CannotCreateSessionException, Glacier2.PermissionDeniedException)),
    # "Concurrency": the caller may try again, after `backOff` ms.
    Row(Fault.BUSY, (omero.ConcurrencyException,)),
    # "Too many objects", in the session or in the server.
    Row(Fault.BUSY, (omero.OverUsageException,)),
    # A call without an answer goes on at the server (seen for 90 s): the server is too busy.
    Row(Fault.BUSY, (Ice.InvocationTimeoutException, Ice.TimeoutException)),
    # If the server behind the router dies, the router says UnknownLocalException (seen).
    Row(Fault.AWAY, (Ice.UnknownLocalException,)),
    Row(Fault.UNCLEAR, (Ice.UnknownException,)),
    Row(Fault.AWAY, (Ice.LocalException,)),
    # The fileset: its name, its bytes, or how it is to be imported.
    Row(Fault.FILESET, (omero.FilePathNamingException,), final=True),
    Row(Fault.FILESET, (omero.ChecksumValidationException,), (Step.VERIFY,)),
    Row(Fault.FILESET, (omero.ApiUsageException,), _HOW),  # Validation and Query are kinds of it
    Row(
        Fault.FILESET,
        (_ERR,),
        (Step.IMPORT, Step.DELETE),
        java=r"ome\.conditions\.(ApiUsage|Validation)Exception",
    ),
    Row(Fault.FILESET, (omero.cmd.GraphException,), (Step.DELETE,)),
    # "Unreadable source": for a file imported in place, the user's file cannot be read (seen).
    # For a file that is sent, the repository may not be written to.
    Row(
        Fault.FILESET,
        (omero.ResourceError,),
        (Step.IN_PLACE,),
        text=re.escape(os.strerror(errno.EACCES)),
    ),
    Row(
        Fault.MISCONFIGURED,
        (omero.ResourceError,),
        (Step.BEGIN, Step.UPLOAD),
        text=re.escape(os.strerror(errno.EACCES)),
    ),
    Row(Fault.FILESET, (OSError,), (Step.IN_PLACE,)),
)

# A path, up to where the message goes on.  A user has chosen the words in it.
_PATH = re.compile(r"(?<![^\s(])(?!Input/output error)[^\s(]*/[^\n(:]*")
_WRAPPED = re.compile(r"^\s*Wrapped Exception: \([\w.$]+\):\s*")


def row_of(error: Any, step: Step) -> Row:
    """The row of the table for an exception or an omero.cmd.ERR; UNCLEAR if there is none."""
    said = _PATH.sub("", _all_said(error))
    for row in TABLE:
        if (
            isinstance(error, row.kinds)
            and step in row.steps
            and (not row.name or getattr(error, "name", "") == row.name)
            and (not row.java or _names(row.java, said))
            and (not row.text or re.search(row.text, said))
        ):
            return row
    return Row(Fault.UNCLEAR)


def told(error: Any, what: str, step: Step) -> FsError:
    """What to raise for an exception or an omero.cmd.ERR; `what` says what was tried."""
    row = row_of(error, step)
    text = f"{what}: {reason(error)}"
    if row.fault is Fault.FILESET:
        return ImportRefused(text, final=row.final)
    if row.fault is Fault.BUSY:
        return ServerBusyError(text, back_off=getattr(error, "backOff", 0) / 1000)
    if row.text == room.WORDS:
        return ServerAwayError(f"{what}: OMERO has no room: {reason(error)}")
    made: FsError = row.fault.value(text)
    return made


@contextmanager
def server_errors(what: str, step: Step = Step.ASK) -> Iterator[None]:
    """Turns errors of Ice and OMERO into ours, as the table says.

    Raises ServerAwayError or one of its kinds, UserError or ImportRefused.  `what` says what
    was tried.
    """
    try:
        yield
    except (Ice.Exception, omero.ClientError) as error:
        raise told(error, what, step) from error


def printed(text: str) -> Fault:
    """Whose fault it is, by what a program printed; FILESET if that does not say it.

    The program names the files that it got, so words in paths do not count.
    """
    said = _PATH.sub("", text)
    for row in TABLE:
        if row.kinds == (object,) and row.fault in (Fault.AWAY, Fault.BUSY):
            # The program has the words within lines of its own.
            pattern = row.text or rf"\b(?:{row.java})\b"
            if re.search(pattern, said):
                return row.fault
    return Fault.FILESET


def reason(error: Any) -> str:
    """The line of an exception or an omero.cmd.ERR that says most."""
    if isinstance(error, omero.cmd.ERR):
        parameters = error.parameters or {}
        text = parameters.get("message") or parameters.get("reason") or ""
        return _first_line(text) or _caused_by(parameters.get("stacktrace", "")) or error.name
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, Ice.UnknownLocalException):
        return "OMERO does not answer"
    if isinstance(error, (omero.RemovedSessionException, omero.SessionTimeoutException)):
        return "the session has ended"
    text = getattr(error, "message", "") or getattr(error, "unknown", "") or ""
    if not text and isinstance(error, omero.ServerError):
        return f"no reason given ({type(error).__name__})"
    return _first_line(text) or _first_line(getattr(error, "reason", "")) or why_unanswered(error)


def _all_said(error: Any) -> str:
    if isinstance(error, omero.cmd.ERR):
        return "\n".join([error.category, error.name, *(error.parameters or {}).values()])
    if isinstance(error, OSError):
        return error.strerror or str(error)
    parts = [
        getattr(error, name, "")
        for name in ("serverExceptionClass", "message", "serverStackTrace", "unknown", "reason")
    ]
    parts.append(getattr(error, "type", ""))
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def _names(java: str, said: str) -> bool:
    """Whether a line begins with such an exception, also if it is the cause of another."""
    before = r"^[ \t]*(?:Caused by: |Wrapped Exception: \(|nested exception is )?(?:[\w$]+\.)*"
    nested = r"nested exception is (?:[\w$]+\.)*"
    after = r"(?=[:;)\s]|$)"
    pattern = rf"(?:{before}|{nested})(?:{java}){after}"
    return re.search(pattern, said, re.MULTILINE) is not None


def _caused_by(trace: str) -> str:
    causes: Sequence[str] = re.findall(r"^Caused by: (.+)$", trace, re.MULTILINE)
    return causes[-1].strip() if causes else ""


def _first_line(text: str | None) -> str:
    lines = _WRAPPED.sub("", text or "").strip().splitlines()
    return lines[0].strip() if lines else ""
