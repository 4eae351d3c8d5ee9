"""The program of a child: it gets its bounds, takes them, and serves its parent.

The first frame to it is `{"serve": module, "bounds": Bounds, "with": argument of the module}`.
It answers `{"bound": Bound, ...}`, with what `begin` gave; or `{"failed": why}`, and then the
process ends.  Each further frame to it is a request, and has one answer.  The module has

    prepare(given)              does what needs files that may not be read later: imports
    begin(given, pulse)         gives a function from a request to an answer, and what to report
"""

from __future__ import annotations

import importlib
import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict

from .bounds import Bounds, bind
from .frames import Frame, decode, encode
from .limits import allow_cpu
from .pulse import Pulse

Answer = Callable[[Frame], Frame]


def main(connected: int, page: int) -> None:
    """Serves the socket `connected` until its other end is closed.  `page` is that of the pulse."""
    connection = socket.socket(fileno=connected)
    pulse = Pulse(page)
    os.close(page)
    received = bytearray()
    first = _receive(connection, received)
    try:
        module = importlib.import_module(first["serve"])
        bounds = Bounds.of(first["bounds"])
        module.prepare(first["with"])
        bound = bind(bounds)
        if bounds.threads:
            _end_with_parent(connection)
        answer, told = module.begin(first["with"], pulse)
    except BaseException as error:  # whatever it is, the parent must know
        connection.sendall(encode({"failed": f"{type(error).__name__}: {error}"}))
        raise
    connection.sendall(encode({"bound": asdict(bound), **told}))
    while True:
        request = _receive(connection, received)
        allow_cpu(bounds.cpu)
        connection.sendall(encode(answer(request)))


def _end_with_parent(connection: socket.socket) -> None:
    """Ends the process when its parent has closed the other end, also while it answers."""

    def watch() -> None:
        hung_up = select.poll()
        hung_up.register(connection, 0)  # a request does not wake it: only the end does
        hung_up.poll()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _receive(connection: socket.socket, received: bytearray) -> Frame:
    """The next frame.  Ends the process if the parent has ended."""
    while (frame := decode(received)) is None:
        data = b""
        try:
            data = connection.recv(1 << 16)
        finally:
            if not data:
                os._exit(0)
        received += data
    return frame
