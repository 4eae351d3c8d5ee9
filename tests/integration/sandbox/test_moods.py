"""The sandbox's moods, met over Ice while it runs."""

from __future__ import annotations

import time
from typing import Any

import Glacier2
import Ice
import pytest

import omero
from omero_fs_plugin.sandbox.moods import Fault, Moods, write


def test_its_database_goes_and_comes_behind_a_living_blitz(blitz: Any) -> None:
    data = blitz.sandbox.data_dir
    services = blitz.login("amy")
    query = services.getQueryService()
    write(data, Moods(database="away"))
    assert services.keepAlive(None)
    with pytest.raises(omero.InternalException, match="Cannot open connection"):
        query.projection("select i.id from Image i", None)
    with pytest.raises(omero.WrappedCreateSessionException):
        blitz.login("zak")
    write(data)
    assert query.projection("select i.id from Image i", None) == []
    blitz.login("zak")


def test_passwords_are_denied_without_it(blitz: Any) -> None:
    adapter = blitz.sandbox.adapter
    proxy = adapter.createDirectProxy(Ice.stringToIdentity("BlitzVerifier"))
    verifier = Glacier2.PermissionsVerifierPrx.uncheckedCast(blitz.here(proxy))
    assert verifier.checkPermissions("root", "omero")[0]
    write(blitz.sandbox.data_dir, Moods(database="away"))
    assert not verifier.checkPermissions("root", "omero")[0]


def test_a_login_may_be_null(blitz: Any) -> None:
    write(blitz.sandbox.data_dir, Moods(logins="null"))
    assert blitz.manager.create("amy", None, {}) is None


def test_a_command_fails_with_the_cause_in_its_trace_alone(blitz: Any) -> None:
    fault = Fault(r"Delete2\.begin", "DatabaseBusyException", "cannot get a connection")
    write(blitz.sandbox.data_dir, Moods(faults=(fault,)))
    handle = blitz.login("amy").submit(omero.cmd.Delete2(targetObjects={"Image": [1]}))
    until = time.monotonic() + 10
    while (answer := handle.getResponse()) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert isinstance(answer, omero.cmd.ERR)
    assert "DatabaseBusyException: cannot get" in answer.parameters["stacktrace"]
    assert "Busy" not in answer.parameters["message"]
