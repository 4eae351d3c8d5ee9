"""How many files of a fileset are on their way to OMERO at once.

A small file costs OMERO's answers, three of them one after the other, and hardly any bytes.  So
with a network that needs some ms for an answer, the time of a set of many small files is that of
waiting, and more files at once shorten it.  A large file costs bytes: for these, three at once
are as fast as more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from . import Stopped
from .sources import BLOCK

AT_ONCE = 3  # files of a fileset; each has some blocks of `sources.BLOCK` in memory
# More small files at once, in all imports of this process together.  OMERO needs a connection to
# its database for each call, and by default it has ten.
MORE_AT_ONCE = 5
SMALL = BLOCK  # bytes: such a file is in memory as a whole


class Further:
    """The streams beyond AT_ONCE that are free.  Thread-safe."""

    def __init__(self) -> None:
        self.are(MORE_AT_ONCE)

    def are(self, number: int) -> None:
        """There are so many.  Called in a process of its own, before it imports."""
        self._free = threading.BoundedSemaphore(number) if number else None

    def take(self) -> bool:
        """Takes one.  Whether there was one."""
        return self._free is not None and self._free.acquire(blocking=False)

    def give(self, number: int) -> None:
        """Gives back so many."""
        for _ in range(number):
            assert self._free is not None
            self._free.release()

    @contextmanager
    def lent(self) -> Iterator[int]:
        """All that are free are those of another process meanwhile: their number."""
        number = 0
        try:
            while number < MORE_AT_ONCE and self.take():
                number += 1
            yield number
        finally:
            self.give(number)


FURTHER = Further()  # of this process


class Streams:
    """The files of one import, by their sizes (bytes).

    Rule: if a file fails, no further file is begun.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._large = threading.BoundedSemaphore(AT_ONCE)
        self.failed = False  # one of several files has failed; the others need not go on

    def run(self, put: Callable[[int], str]) -> list[str]:
        """Calls `put` with the position of each file, and returns what it gave for each.

        Raises what it raised.
        """
        number = len(self._sizes)
        if number == 1:
            return [put(0)]
        results = [""] * number
        failures: list[BaseException] = []
        positions = iter(range(number))
        lock = threading.Lock()

        def work() -> None:
            while not self.failed:
                with lock:
                    position = next(positions, None)
                if position is None:
                    return
                try:
                    results[position] = self._one(position, put)
                except BaseException as error:
                    self.failed = True
                    failures.append(error)

        with self._workers() as workers:
            threads = [
                # Daemons: a thread that waits for OMERO must not keep us from ending.
                threading.Thread(target=work, name=f"upload-{n + 1}", daemon=True)
                for n in range(workers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            # A file that was only stopped because another failed does not say why.
            raise next((e for e in failures if not isinstance(e, Stopped)), failures[0])
        return results

    def _one(self, position: int, put: Callable[[int], str]) -> str:
        if self._sizes[position] <= SMALL:
            return put(position)
        with self._large:
            if self.failed:
                raise Stopped("another file of the set has failed")
            return put(position)

    @contextmanager
    def _workers(self) -> Iterator[int]:
        """The number of threads: AT_ONCE, and more if there are small files and some are free."""
        small = sum(size <= SMALL for size in self._sizes)
        more = 0
        try:
            while more < min(MORE_AT_ONCE, small - AT_ONCE) and FURTHER.take():
                more += 1
            yield min(AT_ONCE + more, len(self._sizes))
        finally:
            FURTHER.give(more)
