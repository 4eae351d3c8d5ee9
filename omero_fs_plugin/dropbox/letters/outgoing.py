"""What is sent, and what may come of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from omero_fs_plugin.errors import FsError

_AGAIN_S = 0.5  # between two looks for a connection that is to end


@dataclass(frozen=True)
class Outgoing:
    """A letter as it is sent."""

    name: str  # the same each time it is sent, and no other letter's
    to: tuple[str, ...]  # e-mail addresses
    subject: str
    text: str
    content: str  # JSON


class NotSent(FsError):
    """It has certainly not arrived.

    `final`: it cannot help to try again.  `all_wait`: no other letter would arrive now.
    """

    def __init__(self, text: str, *, final: bool = False, all_wait: bool = False) -> None:
        super().__init__(text)
        self.final = final
        self.all_wait = all_wait


class InDoubt(FsError):
    """It may have arrived: the other side did not say."""


class OverTime(TimeoutError):
    """The other side answers, and too slowly."""


@contextmanager
def within(limit: float, sock: Callable[[], socket.socket | None]) -> Iterator[None]:
    """After `limit` (s) the connection ends, also if the other side says a byte now and then.

    Raises OverTime then, whatever was made of what it had said by then: half an answer is none.
    """
    over, done = threading.Event(), threading.Event()

    def end() -> None:
        if done.is_set():
            return
        over.set()
        while True:
            there = sock()
            if there is not None:
                with suppress(OSError):
                    there.shutdown(socket.SHUT_RDWR)
            if done.wait(_AGAIN_S):  # until then there may be a connection, or another for TLS
                return

    timer = threading.Timer(limit, end)
    timer.name, timer.daemon = "letters limit", True
    timer.start()
    try:
        yield
    finally:
        done.set()
        timer.cancel()
        timer.join()
        if over.is_set():
            raise OverTime(f"it takes longer than {limit:g} s")
