"""Whose fault it is: what each exception of OMERO, Ice and the router comes to."""

from __future__ import annotations

import os
from errno import EACCES, EDQUOT, EIO, ENAMETOOLONG, ENOSPC, EROFS
from typing import Any

import Glacier2
import Ice
import omero.all
import omero.cmd
import pytest

import omero
from omero_fs_plugin.blitz.verdicts import (
    TABLE,
    Fault,
    Step,
    printed,
    reason,
    row_of,
    server_errors,
)
from omero_fs_plugin.errors import (
    FsError,
    ImportRefused,
    ServerAwayError,
    ServerBusyError,
    ServerMisconfiguredError,
    UnclearError,
    UserError,
)
from omero_fs_plugin.sandbox import moods

_POOL = "cannot get a connection, pool error Timeout waiting for idle object"
_POSTGRES = "FATAL: the database system is starting up"
_NAMED = "Wrapped Exception: (org.hibernate.exception.JDBCConnectionException):\nx"


def _trace(*lines: str) -> str:
    return "\n".join(["java.lang.RuntimeException: Failure", *lines])


def err(name: str, message: str = "", trace: str = "") -> Any:
    """An import's ERR."""
    parameters = {"message": message, "stacktrace": trace}
    return omero.cmd.ERR("::omero::grid::ImportRequest", name, parameters)


def internal(text: str) -> Any:
    return omero.InternalException("", "ome.conditions.InternalException", text)


def resource(text: str) -> Any:
    return omero.ResourceError("", "", text)


CASES: list[tuple[Any, Step, Fault]] = [
    # a busy database, by class, by name in a trace, by words
    (omero.DatabaseBusyException("", "", "x", 0), Step.ASK, Fault.BUSY),
    (omero.LockTimeout("", "", "x", 0, 5), Step.VERIFY, Fault.BUSY),
    (omero.TryAgain("", "", "x", 0), Step.LOGIN, Fault.BUSY),
    (omero.OptimisticLockException("", "", "x", 0), Step.DESCRIBE, Fault.BUSY),
    (omero.ConcurrencyException("", "", "later", 0), Step.ASK, Fault.BUSY),
    (omero.OverUsageException("", "", "too many objects"), Step.BEGIN, Fault.BUSY),
    (internal(_POOL), Step.BEGIN, Fault.BUSY),
    (
        err("x", "", _trace("Caused by: org.spring.dao.DeadlockLoserDataAccessException: x")),
        Step.IMPORT,
        Fault.BUSY,
    ),
    (Ice.InvocationTimeoutException(), Step.VERIFY, Fault.BUSY),
    (
        err("update-log-file-size", "Failure", _trace("Caused by: ome.DatabaseBusyException: x")),
        Step.IMPORT,
        Fault.BUSY,
    ),
    (err("import-request-failure", _POOL), Step.IMPORT, Fault.BUSY),
    # a database that is away
    (internal(moods.NO_CONNECTION), Step.BEGIN, Fault.AWAY),
    (internal("Cannot open connection"), Step.UPLOAD, Fault.AWAY),
    (internal(_POSTGRES), Step.ASK, Fault.AWAY),
    (internal(_NAMED), Step.VERIFY, Fault.AWAY),
    (err("import-request-failure", "Cannot open connection"), Step.IMPORT, Fault.AWAY),
    (
        err("x", "", _trace("Caused by: org.spring.jdbc.CannotGetJdbcConnectionException: x")),
        Step.DELETE,
        Fault.AWAY,
    ),
    # disks
    (resource(f"/OMERO/x ({os.strerror(ENOSPC)})"), Step.UPLOAD, Fault.AWAY),
    (resource(os.strerror(EDQUOT)), Step.IN_PLACE, Fault.AWAY),
    (resource(os.strerror(EIO)), Step.VERIFY, Fault.AWAY),
    (err("import-request-failure", os.strerror(ENOSPC)), Step.IMPORT, Fault.AWAY),
    (OSError(ENOSPC, os.strerror(ENOSPC)), Step.IN_PLACE, Fault.AWAY),
    (OSError(EROFS, os.strerror(EROFS)), Step.IN_PLACE, Fault.MISCONFIGURED),
    (resource(f"/OMERO/x ({os.strerror(EACCES)})"), Step.UPLOAD, Fault.MISCONFIGURED),
    (resource(f"/OMERO/x ({os.strerror(EACCES)})"), Step.BEGIN, Fault.MISCONFIGURED),
    # sessions, logins and the router
    (omero.RemovedSessionException("", "", "gone"), Step.ASK, Fault.AWAY),
    (omero.SessionTimeoutException("", "", "gone"), Step.UPLOAD, Fault.AWAY),
    (omero.ShutdownInProgress("", "", "bye"), Step.BEGIN, Fault.AWAY),
    (omero.ClientError("Obtained null object prox"), Step.LOGIN, Fault.AWAY),
    (moods.refusal_of_login(), Step.LOGIN, Fault.AWAY),
    (
        omero.WrappedCreateSessionException("no", True, 0, "ome.DatabaseBusyException"),
        Step.LOGIN,
        Fault.BUSY,
    ),
    (Glacier2.CannotCreateSessionException("no"), Step.LOGIN, Fault.AWAY),
    (Glacier2.PermissionDeniedException("Password check failed"), Step.LOGIN, Fault.AWAY),
    (omero.AuthenticationException("Error creating session."), Step.LOGIN, Fault.AWAY),
    (Ice.ConnectionRefusedException(), Step.ASK, Fault.AWAY),
    (Ice.NoEndpointException("x"), Step.LOGIN, Fault.AWAY),
    (Ice.ObjectNotExistException(), Step.IMPORT, Fault.AWAY),
    (Ice.UnknownLocalException("::Ice::ConnectionLostException"), Step.IMPORT, Fault.AWAY),
    # the account
    (omero.SecurityViolation("", "", "amy cannot login"), Step.ASK, Fault.USER),
    (Ice.UnknownException("ome.SecurityViolation: amy cannot login"), Step.BEGIN, Fault.USER),
    (omero.ReadOnlyGroupSecurityViolation("", "", "no"), Step.DESCRIBE, Fault.USER),
    (err("x", "No matching roles found in [guest]"), Step.IMPORT, Fault.USER),
    # the fileset: its bytes, its name, what is wanted of it
    (err("error-on-init", "No suitable reader found"), Step.IMPORT, Fault.FILESET),
    (
        err("import-request-failure", "", _trace("Caused by: loci.formats.FormatException: x")),
        Step.IMPORT,
        Fault.FILESET,
    ),
    (omero.ChecksumValidationException("", "", "mismatch", {0: "ab"}), Step.VERIFY, Fault.FILESET),
    (omero.FilePathNamingException("", "", "illegal file path"), Step.BEGIN, Fault.FILESET),
    (omero.ValidationException("", "", "no\nsecond line"), Step.BEGIN, Fault.FILESET),
    (omero.ApiUsageException("", "", "Unable to handle target"), Step.DESCRIBE, Fault.FILESET),
    (resource(f"/data/a.tif ({os.strerror(EACCES)})"), Step.IN_PLACE, Fault.FILESET),
    (resource(f"/OMERO/x ({os.strerror(ENAMETOOLONG)})"), Step.UPLOAD, Fault.FILESET),
    (OSError(EACCES, os.strerror(EACCES)), Step.IN_PLACE, Fault.FILESET),
    (
        omero.cmd.GraphException("Delete2", "graph-fail", {"message": "split"}, "split"),
        Step.DELETE,
        Fault.FILESET,
    ),
    (
        err("import-request-failure", "no", "ome.conditions.ApiUsageException: no\n\tat x"),
        Step.IMPORT,
        Fault.FILESET,
    ),
    # a configuration
    (omero.ApiUsageException("", "", "unknown checksum algorithm: X"), Step.BEGIN,
     Fault.MISCONFIGURED),
    # what nobody knows
    (internal("java.lang.NullPointerException"), Step.BEGIN, Fault.UNCLEAR),
    (resource("something of the repository"), Step.UPLOAD, Fault.UNCLEAR),
    (omero.ValidationException("", "", "no"), Step.ASK, Fault.UNCLEAR),
    (Ice.UnknownException("java.lang.NullPointerException"), Step.BEGIN, Fault.UNCLEAR),
    (err("import-request-failure", "null"), Step.IMPORT, Fault.UNCLEAR),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "step", "fault"),
    CASES,
    ids=[f"{type(e).__name__}-{s.name}-{f.name}-{n}" for n, (e, s, f) in enumerate(CASES)],
)
def test_whose_fault_it_is(error: Any, step: Step, fault: Fault) -> None:
    assert row_of(error, step).fault is fault


def test_each_row_has_its_case() -> None:
    met = {id(row_of(error, step)) for error, step, _ in CASES}
    assert [row for row in TABLE if id(row) not in met] == []


@pytest.mark.parametrize("name", ["DatabaseBusyException", "Cannot open connection", "pool error"])
def test_the_name_of_a_file_is_no_excuse(name: str) -> None:
    """A user chose it; a file that is taken for a busy OMERO would hold up everybody's imports."""
    for path in (f"/OMERO/amy_2/{name}.tif", f"amy_2/{name}: x/b.tif"):
        failed = err(
            "import-request-failure",
            path,
            _trace(f"Caused by: loci.formats.FormatException: {path}"),
        )
        assert row_of(failed, Step.IMPORT).fault is Fault.FILESET
        assert row_of(err("error-on-init", f"{name}.tif"), Step.IMPORT).fault is Fault.FILESET
        assert printed(f"ERROR {path}: no reader") is Fault.FILESET


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.FILESET),
        ("ERROR o.f.i.Import - omero.DatabaseBusyException", Fault.BUSY),
        (f"ERROR: {_POOL}", Fault.BUSY),
        ("org.hibernate.exception.GenericJDBCException: Cannot open connection", Fault.AWAY),
        ("loci.formats.UnknownFormatException: Unknown file format", Fault.FILESET),
    ],
)
def test_what_a_program_printed(text: str, fault: Fault) -> None:
    assert printed(text) is fault


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            internal(moods.NO_CONNECTION),
            "Could not open Hibernate Session for transaction; nested exception is "
            "org.hibernate.exception.GenericJDBCException: Cannot open connection",
        ),
        (omero.ValidationException("", "", "no\nsecond line"), "no"),
        (internal(""), "no reason given (InternalException)"),
        (Ice.NoEndpointException("x"), "the grid knows no address of it"),
        (Glacier2.PermissionDeniedException("denied"), "denied"),
        (err("n", "", _trace("Caused by: a.B: why", "Caused by: c.D: deeper")), "c.D: deeper"),
        (err("some-name"), "some-name"),
    ],
)
def test_the_line_that_tells_most(error: Any, line: str) -> None:
    assert reason(error) == line


RAISED: list[tuple[Exception, type[FsError]]] = [
    (omero.SecurityViolation("", "", "no"), UserError),
    (omero.RemovedSessionException("", "", "gone"), ServerAwayError),
    (internal("null"), UnclearError),
    (omero.FilePathNamingException("", "", "illegal file path"), ImportRefused),
    (omero.ApiUsageException("", "", "unknown checksum algorithm"), ServerMisconfiguredError),
]


@pytest.mark.parametrize(("error", "kind"), RAISED, ids=lambda e: getattr(e, "__name__", ""))
def test_it_is_raised_as_such(error: Exception, kind: type[FsError]) -> None:
    with (
        pytest.raises(kind, match=r"^asking: [^\n]+$") as raised,
        server_errors("asking", Step.BEGIN),
    ):
        raise error
    assert raised.value.__cause__ is error


def test_what_a_name_is_refused_for_is_final() -> None:
    with pytest.raises(ImportRefused) as raised, server_errors("x", Step.BEGIN):
        raise omero.FilePathNamingException("", "", "illegal file path")
    assert raised.value.final


def test_a_busy_server_says_for_how_long() -> None:
    with pytest.raises(ServerBusyError) as raised, server_errors("asking"):
        raise omero.DatabaseBusyException("", "", "later", 2500)
    assert raised.value.back_off == 2.5


def test_our_own_errors_pass() -> None:
    with pytest.raises(FsError, match=r"^own$"), server_errors("asking"):
        raise FsError("own")
