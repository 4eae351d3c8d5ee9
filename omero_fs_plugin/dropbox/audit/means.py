"""What every part of an audit works with: OMERO asked seldom, disks asked with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.disks.calls import Call, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes

from .record import Record
from .registered import Registered

_Result = TypeVar("_Result")

# What is younger (s) may be on its way: in OMERO, or between the disk and the journal.
YOUNG_S = 3600.0
_MOST_TOLD = 10_000  # paths that are remembered as told; of more, some may be told twice


@dataclass
class Pace:
    """Lets one query after the other pass, each at least `every` s after the one before began."""

    every: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    queries: int = 0
    _next: float = 0.0

    def wait(self) -> None:
        """Returns when the next query may begin."""
        now = self.clock()
        if self.queries and now < self._next:
            self.sleep(self._next - now)
            now = self.clock()
        self._next = now + self.every
        self.queries += 1


@dataclass
class Means:
    """Of one audit."""

    omero: Omero
    settings: Settings
    record: Record
    pace: Pace
    passed_over: Callable[[str], str]  # why DropBox leaves a file alone; empty: it does not
    now: Callable[[], float] = time.time  # s since the epoch
    lanes: Lanes = field(default_factory=Lanes)
    registered: Registered = field(default_factory=Registered)
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """An audit that goes on does not tell the same again."""
        self._told.update(one.path for one in islice(self.record.all_unseen(), _MOST_TOLD))

    def ask(self, what: str, question: Callable[..., _Result], *given: Any) -> _Result:
        """One query to OMERO, in its time: a function of `inventory`.  Raises ServerAwayError."""
        self.pace.wait()
        return self.omero.asked(what, lambda query: question(query, *given))

    def look(
        self, root: str, question: Callable[..., _Result], *given: Any, call: Call | None = None
    ) -> _Result | None:
        """What `question` gives, asked in the lane of `root`.

        It is given the call to the disk, and then `given`.  `call` is that of a walk which goes
        on with each question.

        None if the disk does not answer, or if `root` as a whole cannot be looked at.  Then the
        record has it, once for each root.
        """
        of_this = call or self.lanes.calls.at(root)

        def asked() -> _Result:
            with of_this:
                return question(of_this, *given)

        try:
            return self.lanes.ask(root, asked)
        except RootAway as error:
            self.not_seen(root, error.strerror or "its disk does not answer")
        except OSError as error:
            self.not_seen(root, f"cannot be looked at: {error.strerror}")
        return None

    def not_seen(self, path: str, why: str) -> None:
        """Notes, once, that this could not be looked at."""
        if path not in self._told:
            if len(self._told) < _MOST_TOLD:
                self._told.add(path)
            self.record.not_seen(path, why)
