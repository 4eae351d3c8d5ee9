"""The time that a letter may take is over at any moment, and then it ends."""

from __future__ import annotations

import socket
import threading

import pytest

from omero_fs_plugin.dropbox.letters.outgoing import OverTime, within


def test_a_connection_that_is_made_too_late_ends_too() -> None:
    """As after a slow name service: the other side may say a byte now and then, for ever."""
    ours, theirs = socket.socketpair()
    looked = threading.Event()

    def sock() -> socket.socket | None:
        if looked.is_set():
            return ours
        looked.set()
        return None

    heard = b"not ended"
    with ours, theirs:
        ours.settimeout(60)
        with pytest.raises(OverTime), within(0.0, sock):
            assert looked.wait(60)
            heard = ours.recv(1)
    assert heard == b""
