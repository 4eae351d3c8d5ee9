"""How many imports OMERO works on at once.  Others have uploaded their files, and wait.

While OMERO makes the images of one fileset, the files of another are on their way.  So OMERO never
waits for an upload.  A slot is taken just before OMERO is told to import, and given back when its
answer is there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection

from .importers import Stopped

LOOK_S = 1.0  # how often one that waits looks whether an import has come to take long


class Slot:
    """The slot of one importer, if it has taken one.  A context manager that gives it back."""

    def __init__(self, slots: Slots, stopping: Callable[[], bool]) -> None:
        self._slots, self._stopping = slots, stopping
        self._thread = 0  # that has it, as threading.get_ident has it; 0: none

    def take(self) -> None:
        """Waits for the slot, and takes it unless it has it.  Raises Stopped when `stopping`."""
        if not self._thread:
            self._thread = self._slots._take(self._stopping)

    def give(self) -> None:
        """Gives it back, if it has it."""
        if self._thread:
            self._slots._give(self._thread)
            self._thread = 0

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *error: object) -> None:
        self.give()


class Slots:
    """The slots, given in the order in which they were asked for.  Thread-safe.

    `number` says how many there are now.  Those of the threads in `parked` do not count: an
    import that waits for a disk, or takes very long, stops nobody else.
    """

    def __init__(
        self, number: Callable[[], int], parked: Callable[[], Collection[int]] = lambda: ()
    ) -> None:
        self._number = number
        self._parked = parked
        self._changed = threading.Condition()
        self._held: list[int] = []  # by threads, as threading.get_ident has them
        self._waiting: deque[object] = deque()

    def slot(self, stopping: Callable[[], bool]) -> Slot:
        """The slot of the import that this thread makes next; it is not taken yet."""
        return Slot(self, stopping)

    def stir(self) -> None:
        """Lets those that wait look again: at the stop, or if there are more slots now."""
        with self._changed:
            self._changed.notify_all()

    def _take(self, stopping: Callable[[], bool]) -> int:
        ticket, me = object(), threading.get_ident()
        with self._changed:
            self._waiting.append(ticket)
        try:
            while True:
                # Outside of the lock: whoever tells them has locks of his own.
                number, parked = self._number(), self._parked()
                with self._changed:
                    if stopping():
                        raise Stopped("stopped before the import began")
                    held = sum(thread not in parked for thread in self._held)
                    if self._waiting[0] is ticket and held < number:
                        self._held.append(me)
                        return me
                    self._changed.wait(LOOK_S)
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _give(self, thread: int) -> None:
        with self._changed:
            self._held.remove(thread)
            self._changed.notify_all()


def ahead_of(number: int) -> int:
    """How many filesets may be on their way to OMERO while it is at `number` others.

    An upload takes less time than an import, so half as many keep OMERO busy.
    """
    return (number + 1) // 2
