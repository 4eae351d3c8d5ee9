"""Telling OMERO being away from OMERO saying no: what each exception means."""

from __future__ import annotations

import Glacier2
import Ice
import omero.all
import pytest

import omero
from omero_fs_plugin.errors import FsError, ImportRefused, ServerAwayError, UserError
from omero_fs_plugin.sessions import server_errors

AWAY = [
    Ice.ConnectionRefusedException(),
    Ice.NoEndpointException("x"),
    Ice.InvocationTimeoutException(),
    Ice.ObjectNotExistException(),
    Ice.UnknownLocalException("::Ice::ConnectionLostException"),
    Glacier2.CannotCreateSessionException("no"),
    omero.RemovedSessionException("", "", "gone"),
    omero.SessionTimeoutException("", "", "gone"),
    omero.ConcurrencyException("", "", "later", 0),
    omero.ClientError("Obtained null object prox"),
]
ACCOUNT = [
    omero.SecurityViolation("", "", "amy is not a member of group lab and cannot login"),
    Ice.UnknownException("ome.conditions.SecurityViolation: amy cannot login"),
]
REFUSED = [
    omero.ValidationException("", "", "no\nsecond line"),
    omero.ApiUsageException("", "", "must specify checksum algorithm"),
    omero.ResourceError("", "", "a.tif (Permission denied)"),
    Ice.UnknownException("java.lang.NullPointerException"),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda e: type(e).__name__)
def test_the_server_is_away(error: Exception) -> None:
    with pytest.raises(ServerAwayError, match=r"^asking: "), server_errors("asking"):
        raise error


@pytest.mark.parametrize("error", REFUSED, ids=lambda e: type(e).__name__)
def test_the_server_refuses(error: Exception) -> None:
    with pytest.raises(ImportRefused, match=r"^asking: [^\n]+$") as told, server_errors("asking"):
        raise error
    assert isinstance(told.value.__cause__, type(error))


@pytest.mark.parametrize("error", ACCOUNT, ids=lambda e: type(e).__name__)
def test_the_account_is_at_fault(error: Exception) -> None:
    with pytest.raises(UserError, match="cannot login"), server_errors("asking"):
        raise error


def test_our_own_errors_pass() -> None:
    with pytest.raises(FsError, match=r"^own$"), server_errors("asking"):
        raise FsError("own")
