"""Connections to SQLite that nobody closes, found on every Python.

Python 3.13 warns when such a connection is collected, and warnings are errors here.  Older ones say
nothing.  This says it everywhere, and names the test that opened the connection: it is collected
whenever the collector runs, often in the middle of another test.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import warnings
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakSet


class Watched(sqlite3.Connection):
    """A connection that warns if it is collected while it is open."""

    _open = False
    _where = ""
    _number = 0  # of all that this process opens

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._where = os.environ.get("PYTEST_CURRENT_TEST", "no test")
        self._open = threading.current_thread() not in _ended
        self._number = next(_numbers)
        _all.add(self)

    def close(self) -> None:
        super().close()
        self._open = False

    def __del__(self) -> None:
        if self._open:
            with suppress(sqlite3.Error):  # of another thread: then Python closes it
                self.close()
            message = f"a connection to SQLite was left open by {self._where}"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)


_all: WeakSet[Watched] = WeakSet()
_numbers = itertools.count(1)
_ended: WeakSet[threading.Thread] = WeakSet()  # threads that would have ended with their process


class Process:
    """A server that runs in this process, from now on."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._before = WeakSet(threading.enumerate())

    def ended(self) -> None:
        """It has stopped, and would have ended with its process.

        So what its threads hold that still wait, for a disk or for OMERO, nobody has to close; nor
        what they open when they go on.
        """
        _ended.update(one for one in threading.enumerate() if one not in self._before)
        for connection in list(_all):
            if connection._number > self._number:
                connection._open = False


def watch() -> None:
    """From now on, each connection that this process opens is watched."""
    sqlite3.connect = partial(sqlite3.connect, factory=Watched)  # type: ignore[assignment]
    sqlite3.dbapi2.connect = sqlite3.connect  # SQLAlchemy calls it by this name
