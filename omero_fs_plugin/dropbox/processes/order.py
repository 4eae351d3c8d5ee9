"""What is to be started, and the process that comes of it, whoever starts it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol


class Unanswered(OSError):
    """Nobody knows whether it was started.  If it was, it has ended again."""


@dataclass(frozen=True)
class Order:
    """What is to be started, in a process group of its own."""

    words: Sequence[str | int]  # a number is a descriptor; its number there takes its place
    environment: Mapping[str, str]
    at: str  # its working directory
    stdin: int | None = None  # descriptors; None: /dev/null
    stdout: int | None = None
    stderr: int | None = None
    # A function, as "module:name": the words have a new Python call it with the descriptors among
    # them.  A process that has imported it already does the same in a copy of itself.
    does: str = ""
    imports: Sequence[str] = ()  # the modules that it will import


class Process(Protocol):
    """A process that was started.  Its number stays its own until `close`."""

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""

    def ended(self) -> int | None:
        """Its exit code, negative: the signal; None while it runs."""

    def wait(self, limit: float) -> int | None:
        """The same, after at most `limit` seconds."""

    def send(self, number: int) -> None:
        """Sends a signal to its whole group; not after `close`.  From any thread."""

    def close(self) -> None:
        """Nobody needs it any more.  Once it has ended its number is free."""


def send(group: int, number: int) -> None:
    """Sends a signal to a process group, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
