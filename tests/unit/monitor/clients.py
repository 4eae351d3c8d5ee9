"""Clients of a monitor, for tests."""

from __future__ import annotations


class Nobody:
    """A client that never answers."""

    address = "client:tcp -h 127.0.0.1 -p 4061"

    def notify(self, identifier: str, tells: object, done: object, *, asked: bool = False) -> None:
        pass

    def probe(self, done: object) -> None:
        pass
