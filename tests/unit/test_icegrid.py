"""Ice as our servers use it: nobody who does not answer is waited for without end."""

from __future__ import annotations

import socket

import Ice
import pytest

from omero_fs_plugin.icegrid import INVOCATION_TIMEOUT_MS, server_properties


@pytest.fixture
def deaf() -> str:
    """The port of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


def test_every_call_of_a_server_has_a_limit(deaf: str) -> None:
    assert server_properties([]).getProperty("Ice.Default.InvocationTimeout") == str(
        INVOCATION_TIMEOUT_MS
    )
    initialization = Ice.InitializationData()
    initialization.properties = server_properties(
        ["--Ice.Default.InvocationTimeout=300", "--Ice.Override.ConnectTimeout=-1"]
    )
    communicator = Ice.initialize(initialization)
    try:
        proxy = communicator.stringToProxy(f"a:tcp -h 127.0.0.1 -p {deaf}")
        with pytest.raises(Ice.InvocationTimeoutException):
            proxy.ice_ping()
    finally:
        communicator.destroy()


def test_what_an_admin_says_counts() -> None:
    properties = server_properties(["--Ice.Default.InvocationTimeout=7000"])
    assert properties.getProperty("Ice.Default.InvocationTimeout") == "7000"
