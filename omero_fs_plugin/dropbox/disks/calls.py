"""The calls to disks that are under way, by root: which roots do not answer.

A system call on a share that is away hangs, and nothing in the process can end
it.  So a thread says here that it makes such a call, and other threads can see
how long the call has taken.

A call may also be lost: it never comes back, although the share answers again.  A
trial shows this: a later call to the same root that ends well.  The root is then used
again, and the thread of the lost call is given up.  If that call comes back after all,
it raises RootAway, because another thread may have taken over its work.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import TracebackType

from omero_fs_plugin.events import FileStat, regular_stat

HUNG_S = 2.0  # the disk of a call that takes longer counts as one that does not answer
LOST_S = 60.0  # a call that hung for so long before a trial began that ended well is lost
MOST_LOST = 8  # calls of one root; with more, the root is away until one comes back


class RootAway(TimeoutError):
    """The disk of `root` has not answered for `seconds`.  Try again when it answers."""

    def __init__(self, root: str, seconds: float) -> None:
        super().__init__(errno.ETIMEDOUT, _told(seconds), root)
        self.root = root

    def __str__(self) -> str:
        return f"{self.root}: {self.strerror}"


class Call:
    """One call, or several one after the other, to the disk of one root."""

    __slots__ = ("_calls", "lost", "outer", "root", "since", "thread", "trial")

    def __init__(self, calls: Calls, root: str, *, trial: bool = False) -> None:
        self._calls = calls
        self.root = root
        self.trial = trial  # it is made although the disk does not answer
        self.lost = False  # it, or one within it, was given up
        self.outer: Call | None = None  # of the same thread; it goes on after this one
        self.since: float | None = None  # s; None: nobody waits for the disk
        self.thread = 0  # as threading.get_ident has it

    def pulse(self) -> None:
        """The disk has answered, and the next question to it begins.

        Raises RootAway if the call was given up meanwhile.
        """
        if self.lost:
            raise RootAway(self.root, LOST_S)
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
        if self.lost and kind is None:
            raise RootAway(self.root, LOST_S)


class Calls:
    """All calls that are under way in this process.  Thread-safe.

    `clock`: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._under_way: dict[str, set[Call]] = {}
        self._lost: dict[str, set[Call]] = {}
        self._next: Callable[[], None] | None = None  # is told when the next call begins
        self._were_away: dict[str, float] = {}  # root -> when it was last seen not to answer, s

    def at(self, root: str) -> Call:
        """A context manager for a call to the disk of `root`.

        Entering it raises RootAway if another call to this disk has hung for HUNG_S.
        """
        return Call(self, root)

    def trial(self, root: str) -> Call:
        """As `at`, but it is made although the disk does not answer, and nobody waits for it."""
        return Call(self, root, trial=True)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Meanwhile this thread waits for something else than the disk of its call."""
        call: Call | None = getattr(self._mine, "call", None)
        if call is not None:
            call.rest()
        yield
        if call is not None:
            call.pulse()

    def begin(self, call: Call) -> None:
        """Called when a thread enters the `with`."""
        call.thread = threading.get_ident()
        call.outer = getattr(self._mine, "call", None)
        if call.outer is not None:
            if call.outer.lost:
                raise RootAway(call.root, LOST_S)
            call.outer.rest()
        now = self.clock()
        with self._lock:
            since = _oldest(self._under_way.get(call.root, ()))
            away = since is not None and now - since >= HUNG_S and not call.trial
            if not away and not call.trial:
                call.since = now
                self._under_way.setdefault(call.root, set()).add(call)
        if self._next is not None:
            self.stir()
        if away:
            self._were_away[call.root] = now
            if call.outer is not None:
                call.outer.pulse()
            raise RootAway(call.root, now - (since or now))
        self._mine.call = call

    def end(self, call: Call) -> None:
        """Called when the thread leaves the `with`."""
        with self._lock:
            for known in (self._under_way, self._lost):
                others = known.get(call.root, set())
                others.discard(call)
                if not others:
                    known.pop(call.root, None)
        self._mine.call = call.outer
        if call.outer is not None and not call.outer.lost:
            call.outer.pulse()

    def tell_of_next(self, told: Callable[[], None]) -> bool:
        """Whether no call is under way or lost.  If so, `told` is called when one begins.

        It is called once, in the thread of that call, so it must return at once.
        """
        with self._lock:
            if self._under_way or self._lost:
                return False
            self._next = told
            return True

    def stir(self) -> None:
        """Something begins that may lead to calls: who waits for the next call is told now."""
        with self._lock:
            told, self._next = self._next, None
        if told is not None:
            told()

    def give_up(self, root: str, began: float) -> set[int]:
        """A trial of `root` that began then (s, by the clock) has ended well.

        The calls to it that had hung for LOST_S are lost: nobody waits for them any more.
        Gives their threads, as threading.get_ident has it.  If too many would be lost, none is.
        """
        with self._lock:
            under_way = self._under_way.get(root, set())
            late = {
                call
                for call in under_way
                if (since := call.since) is not None and began - since >= LOST_S
            }
            if not late or len(late) + len(self._lost.get(root, ())) > MOST_LOST:
                return set()
            under_way -= late
            self._lost.setdefault(root, set()).update(late)
            for call in late:
                within: Call | None = call
                while within is not None:
                    within.lost = True
                    within = within.outer
        self._were_away[root] = self.clock()
        return {call.thread for call in late}

    def lost(self) -> dict[str, int]:
        """Root -> how many calls to it were given up, and have not come back."""
        with self._lock:
            return {root: len(calls) for root, calls in self._lost.items()}

    def lost_threads(self) -> set[int]:
        """The threads of these calls."""
        with self._lock:
            return {call.thread for calls in self._lost.values() for call in calls}

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
                for calls in (*self._under_way.values(), *self._lost.values())
                for call in calls
                if (since := call.since) is not None and now - since >= seconds
            ]
        roots = {call.root for call in late if not call.lost}
        return roots, {call.thread: call.root for call in late}

    def were_away(self) -> dict[str, float]:
        """Root -> when (s) we last saw that it did not answer."""
        return dict(self._were_away)

    def told(self) -> dict[str, str]:
        """Root -> why nothing happens there, for people."""
        away, lost = self.away(), self.lost()
        return {root: _told(seconds, lost.get(root, 0)) for root, seconds in away.items()}

    def told_of_lost(self) -> dict[str, str]:
        """Root that answers, but not to all calls -> what of it, for people."""
        lost, away = self.lost(), self.away()
        return {root: _told_of_lost(number) for root, number in lost.items() if root not in away}

    def stat(self, root: str, path: str) -> FileStat | None:
        """What `regular_stat` gives for a file below `root`.  Raises RootAway too."""
        with self.at(root):
            return regular_stat(path)


def _oldest(calls: Collection[Call]) -> float | None:
    # Each is read once: its own thread changes it, and holds no lock.
    return min((since for call in calls if (since := call.since) is not None), default=None)


def _told(seconds: float, lost: int = 0) -> str:
    told = f"its disk does not answer, since {seconds:.0f} s ago"
    return f"{told}; {_told_of_lost(lost)}" if lost else told


def _told_of_lost(number: int) -> str:
    what = "1 call to its disk has" if number == 1 else f"{number} calls to its disk have"
    return f"{what} never come back; an import that waits for it goes on after a restart"


# Disks belong to the machine, so a process has one list of the calls to them.
CALLS = Calls()
