"""A child for many questions.  It is started anew if other directories are watched."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway

from .bounds import identity_of
from .process import Child

_MOST_MORE = 100  # directories that somebody handed over, beside the watched ones
_PATIENT_S = 30.0  # after this time a child is started anew for a directory that did not answer

Roots = Callable[[], Sequence[str]]  # the watched directories, as they are now
# Starts a child that may read the watched directories, and others; raises ChildDied.
Make = Callable[[tuple[str, ...], tuple[str, ...]], Child]


class Kept:
    """At most one child.  It may read the watched directories, and those it is asked about.

    Rule: it reads the same directories that this process has taken.  If one is taken or mounted
    anew, the child is started anew.

    Only `kill` is thread-safe.
    """

    def __init__(self, make: Make, roots: Roots) -> None:
        """Starts no child yet."""
        self._make = make
        self._roots = roots
        self._more: OrderedDict[str, None] = OrderedDict()
        self._made_for: OrderedDict[str, float] = OrderedDict()  # root -> when, s
        self.child: Child | None = None

    def of(self, root: str = "") -> Child:
        """A child that may read `root`; if it is empty, any child.

        Raises ChildDied if it cannot be started, and RootAway and RootChanged as confine does.
        """
        watched = tuple(self._roots())
        if root and _around(watched, root) is None:
            self._more[root] = None
            self._more.move_to_end(root)
            if len(self._more) > _MOST_MORE:
                self._more.popitem(last=False)
        child = self._current(watched)
        around = _around(child.asked_roots, root) if root else None
        if around is None:
            return child
        with CALLS.at(root):
            identity = _identity(around)
        if child.roots.get(around) == identity:
            return child
        since = time.monotonic() - self._made_for.get(around, -_PATIENT_S)
        if since < _PATIENT_S:
            raise RootAway(root, since)
        self.rest()
        child = self._current(watched)
        if child.roots.get(around) != identity:
            self._made_for[around] = time.monotonic()
            raise RootAway(root, 0.0)
        return child

    def _current(self, watched: tuple[str, ...]) -> Child:
        """The child, if it was started for the directories that must be read now."""
        child = self.child
        wanted = {*watched, *self._more}
        if child is None or not child.alive() or set(child.asked_roots) != wanted:
            self.rest()
            more = tuple(path for path in self._more if path not in watched)
            child = self.child = self._make(watched, more)
        return child

    def rest(self) -> None:
        """Ends the child until it is needed again."""
        child, self.child = self.child, None
        if child is not None:
            child.close()

    def kill(self) -> None:
        """Ends the child, from any thread.  A thread that waits for an answer gets ChildDied."""
        child = self.child
        if child is not None:
            child.kill()


def _around(roots: Iterable[str], path: str) -> str | None:
    """The nearest of `roots` that is `path`, or above it."""
    found = (root for root in roots if path == root or path.startswith(root.rstrip("/") + "/"))
    return max(found, key=len, default=None)


def _identity(root: str) -> tuple[int, int]:
    descriptor = ROOTS.open(root)
    try:
        return identity_of(descriptor)
    finally:
        os.close(descriptor)
