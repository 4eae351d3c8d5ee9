"""What runs in a child: it is told its bounds, takes them, and serves its parent.

The first frame in is `{"serve": module, "bounds": Bounds, "with": whatever that module takes}`;
out comes `{"bound": Bound, ...}`, with what `begin` gave, or `{"failed": why}`, and then the
process ends.  Each further frame in is a request, and has one answer.  A module that is served has

    prepare(given)              what must be done while every file may still be read: imports
    begin(given, pulse)         gives a function from a request to an answer, and what to tell
"""

from __future__ import annotations

import importlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from queue import SimpleQueue

from .bounds import Bounds, bind
from .frames import Frame, decode, encode
from .limits import allow_cpu
from .pulse import Pulse

Answer = Callable[[Frame], Frame]


def main(connected: int, page: int) -> None:
    """Serves the socket `connected` until its other end is closed; `page`: of the pulse."""
    connection = socket.socket(fileno=connected)
    pulse = Pulse(page)
    os.close(page)
    received = bytearray()
    first = _receive(connection, received)
    try:
        module = importlib.import_module(first["serve"])
        bounds = Bounds.of(first["bounds"])
        module.prepare(first["with"])
        requests: SimpleQueue[Frame] | None = None
        if bounds.threads:
            requests = SimpleQueue()
        bound = bind(bounds)
        if requests is not None:
            _watch(connection, received, requests)
        answer, told = module.begin(first["with"], pulse)
    except BaseException as error:  # whatever it is, the parent has to be told
        connection.sendall(encode({"failed": f"{type(error).__name__}: {error}"}))
        raise
    connection.sendall(encode({"bound": asdict(bound), **told}))
    while True:
        request = _receive(connection, received) if requests is None else requests.get()
        allow_cpu(bounds.cpu)
        connection.sendall(encode(answer(request)))


def _watch(connection: socket.socket, received: bytearray, requests: SimpleQueue[Frame]) -> None:
    """Takes requests in a thread, so that the process ends with its parent at any moment."""

    def take() -> None:
        while True:
            requests.put(_receive(connection, received))

    threading.Thread(target=take, name="requests", daemon=True).start()


def _receive(connection: socket.socket, received: bytearray) -> Frame:
    """The next frame; the process ends with its parent."""
    while (frame := decode(received)) is None:
        data = b""
        try:
            data = connection.recv(1 << 16)
        finally:
            if not data:
                os._exit(0)
        received += data
    return frame
