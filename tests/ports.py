"""Ports that nobody else is given: no other test, and no connection of any process."""

from __future__ import annotations

import atexit
import socket

_kept: list[socket.socket] = []


def reserved(number: int = 1) -> int:
    """The first of so many ports in a row; each is ours until this process ends.

    Each is bound, and nobody listens there.  So the kernel gives it to nobody, and refuses whoever
    connects.  A server that sets SO_REUSEADDR, as usual, can listen there all the same.
    """
    while True:
        made: list[socket.socket] = []
        try:
            for offset in range(number):
                made.append(socket.socket())
                port = made[0].getsockname()[1] + offset if offset else 0
                made[-1].bind(("127.0.0.1", port))
                # Only now: with it, the bind would share a port that another test has so.
                made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        except OSError:
            for one in made:
                one.close()
            continue
        _kept.extend(made)
        return int(made[0].getsockname()[1])


@atexit.register
def _close() -> None:
    for one in _kept:
        one.close()
