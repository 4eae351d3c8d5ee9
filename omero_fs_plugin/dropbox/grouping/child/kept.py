"""A child that is kept for many questions, and made anew when other directories are watched."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway

from .process import Child

_MORE_ROOTS = 100  # asked about beside the watched ones: users' directories that are links
_PATIENT_S = 30.0  # before a directory that did not answer is tried again

Roots = Callable[[], Sequence[str]]  # the watched directories, as they are now


class Kept:
    """At most one child, which may read the directories that are watched, and those asked about.

    Not thread-safe, but for `kill`.
    """

    def __init__(self, make: Callable[[tuple[str, ...]], Child], roots: Roots) -> None:
        """`make` starts a child that may read those directories, and raises ChildDied."""
        self._make = make
        self._roots = roots
        self._more: OrderedDict[str, None] = OrderedDict()
        self._begun = 0.0
        self.child: Child | None = None

    def of(self, root: str = "") -> Child:
        """A child that may read `root`; any one when it is empty.

        Raises ChildDied when it cannot be started, RootAway.
        """
        real = _real(root) if root else ""
        for _ in range(2):
            child = self._current()
            if not real or _covers(child.real_roots, real):
                return child
            if root in child.asked_roots:  # and did not answer then
                since = time.monotonic() - self._begun
                if since < _PATIENT_S:
                    raise RootAway(root, since)
                self.rest()
            self._more[root] = None
            self._more.move_to_end(root)
            if len(self._more) > _MORE_ROOTS:
                self._more.popitem(last=False)
        raise RootAway(root, time.monotonic() - self._begun)

    def _current(self) -> Child:
        """The child, that was asked to read what is to be read now."""
        wanted = tuple(dict.fromkeys((*self._roots(), *self._more)))
        child = self.child
        if child is None or not child.alive() or set(child.asked_roots) != set(wanted):
            self.rest()
            self._begun = time.monotonic()
            child = self.child = self._make(wanted)
        return child

    def rest(self) -> None:
        """Ends the child until it is needed again."""
        child, self.child = self.child, None
        if child is not None:
            child.close()

    def kill(self) -> None:
        """From any thread: who waits for an answer gets ChildDied."""
        child = self.child
        if child is not None:
            child.kill()


def _real(root: str) -> str:
    """Without links.  Raises RootAway."""
    with CALLS.at(root):
        return os.path.realpath(root)


def _covers(roots: Iterable[str], real: str) -> bool:
    return any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots)
