"""The calls to disks that are under way, by root: which roots do not answer.

A system call on a share that is away hangs, and nothing in the process can end
it.  So a thread says here that it makes such a call, and other threads can see
how long the call has taken.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType

from omero_fs_plugin.events import FileStat, regular_stat

HUNG_S = 2.0  # the disk of a call that takes longer counts as one that does not answer


class RootAway(TimeoutError):
    """The disk of `root` has not answered for `seconds`.  Try again when it answers."""

    def __init__(self, root: str, seconds: float) -> None:
        super().__init__(errno.ETIMEDOUT, _told(seconds), root)
        self.root = root

    def __str__(self) -> str:
        return f"{self.root}: {self.strerror}"


class Call:
    """One call, or several one after the other, to the disk of one root."""

    __slots__ = ("_calls", "outer", "root", "since", "thread")

    def __init__(self, calls: Calls, root: str) -> None:
        self._calls = calls
        self.root = root
        self.outer: Call | None = None  # of the same thread; it goes on after this one
        self.since: float | None = None  # s; None: nobody waits for the disk
        self.thread = 0  # as threading.get_ident has it

    def pulse(self) -> None:
        """The disk has answered, and the next question to it begins."""
        self.since = self._calls.clock()

    def rest(self) -> None:
        """The disk has answered, and nobody asks it until `pulse`."""
        self.since = None

    def __enter__(self) -> Call:
        self._calls.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._calls.end(self)


class Calls:
    """All calls that are under way in this process.  Thread-safe.

    `clock`: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._under_way: dict[str, set[Call]] = {}
        self._were_away: dict[str, float] = {}  # root -> when it was last seen not to answer, s

    def at(self, root: str) -> Call:
        """A context manager for a call to the disk of `root`.

        Entering it raises RootAway if another call to this disk has hung for HUNG_S.
        """
        return Call(self, root)

    def begin(self, call: Call) -> None:
        """Called when a thread enters the `with`."""
        call.thread = threading.get_ident()
        call.outer = getattr(self._mine, "call", None)
        if call.outer is not None:
            call.outer.rest()
        now = self.clock()
        with self._lock:
            others = self._under_way.setdefault(call.root, set())
            since = _oldest(others)
            away = since is not None and now - since >= HUNG_S
            if not away:
                call.since = now
                others.add(call)
        if away:
            self._were_away[call.root] = now
            if call.outer is not None:
                call.outer.pulse()
            raise RootAway(call.root, now - (since or now))
        self._mine.call = call

    def end(self, call: Call) -> None:
        """Called when the thread leaves the `with`."""
        with self._lock:
            others = self._under_way.get(call.root, set())
            others.discard(call)
            if not others:
                self._under_way.pop(call.root, None)
        self._mine.call = call.outer
        if call.outer is not None:
            call.outer.pulse()

    def answers(self, root: str) -> bool:
        """Whether no call to the disk of `root` hangs."""
        now = self.clock()
        with self._lock:
            since = _oldest(self._under_way.get(root, ()))
            return since is None or now - since < HUNG_S

    def away(self) -> dict[str, float]:
        """The roots that do not answer, and for how long (s)."""
        now = self.clock()
        with self._lock:
            oldest = {root: _oldest(calls) for root, calls in self._under_way.items()}
        away = {
            root: now - since
            for root, since in oldest.items()
            if since is not None and now - since >= HUNG_S
        }
        self._were_away.update(dict.fromkeys(away, now))
        return away

    def waited_for(self, seconds: float) -> tuple[set[str], dict[int, str]]:
        """Roots that have not answered for so long, and the threads that wait for them.

        A thread as threading.get_ident has it -> the root that it waits for.
        """
        now = self.clock()
        with self._lock:
            late = [
                call
                for calls in self._under_way.values()
                for call in calls
                if call.since is not None and now - call.since >= seconds
            ]
        return {call.root for call in late}, {call.thread: call.root for call in late}

    def were_away(self) -> dict[str, float]:
        """Root -> when (s) we last saw that it did not answer."""
        return dict(self._were_away)

    def told(self) -> dict[str, str]:
        """Root -> why nothing happens there, for people."""
        return {root: _told(seconds) for root, seconds in self.away().items()}

    def stat(self, root: str, path: str) -> FileStat | None:
        """What `regular_stat` gives for a file below `root`.  Raises RootAway too."""
        with self.at(root):
            return regular_stat(path)


def _oldest(calls: Collection[Call]) -> float | None:
    return min((call.since for call in calls if call.since is not None), default=None)


def _told(seconds: float) -> str:
    return f"its disk does not answer, since {seconds:.0f} s ago"


# Disks belong to the machine, so a process has one list of the calls to them.
CALLS = Calls()
