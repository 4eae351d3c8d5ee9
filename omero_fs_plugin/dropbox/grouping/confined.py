"""Our own parsers, in a process of their own: a hostile file hurts no other file.

How to use it, one object for each thread::

    parsers = Confined(roots=watched_directories)
    grouping = parsers.group(root, files)       # by signatures: a Grouper
    findings = parsers.check(root, sets)        # whether sets are whole, as `completeness`
    parsers.close()                             # from any thread

The first call starts the process; this takes a fifth of a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from omero_fs_plugin.dropbox.confine import NOT_NOW
from omero_fs_plugin.dropbox.confine.roots import RootChanged
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.errors import FsError

from .child.bounds import Bounds
from .child.frames import Frame
from .child.kept import Kept, Roots
from .child.process import Child, ChildDied
from .completeness import Findings
from .filesets import Candidate, Grouping
from .halving import Unanswered, halved
from .wire import findings_of, grouping_of

log = logging.getLogger(__name__)

LIMIT_S = 60.0  # for one file; the largest slides take ten
IDLE_S = 10.0  # if the process does nothing for so long, the disk is at fault, and no file
MEMORY = 512  # MiB; the largest metadata that is read takes half of it
TRIES = 2  # a file that has ended so many processes is not read again
_MOST_DEATHS = 40  # of processes in one question; after these we ask about halves
_VERDICT_S = 3600.0  # after this time a file may be read again: the machine may have been at fault
_MOST_VERDICTS = 10_000
_CLOSE_S = 15.0
_Answer = TypeVar("_Answer")
_SERVED = "omero_fs_plugin.dropbox.grouping.served"


class ConfinedError(FsError):
    """Our own parsers cannot be asked at all."""


class Confined:
    """A Grouper, by signatures.  Thread-safe.  Calls wait for each other, except `close`.

    Rule: a file is refused, with the reason, until it changes, if it ends the process twice (by
    time, memory or a crash) or raises something unexpected.  All other files get an answer.
    """

    def __init__(
        self,
        *,
        roots: Roots = tuple,
        time_limit: float = LIMIT_S,
        memory: int = MEMORY,
        way: Callable[[Candidate], Candidate] = lambda store: store,
    ) -> None:
        """Starts no process yet.

        `roots` gives the watched directories; `time_limit`: s for one file; `memory`: MiB.
        `way` gives a complete store with what reads it in OMERO, or with why it waits.
        """
        self._way = way
        self._time_limit = time_limit
        self._memory = memory
        self._kept = Kept(self._make, roots)
        self._closed = False
        self._in_use = threading.RLock()
        self._deaths: Counter[str] = Counter()
        # path -> until when it is avoided, its stat then, and why
        self._avoided: dict[str, tuple[float, list[Any]]] = {}

    @property
    def pid(self) -> int | None:
        """The process id.  None while there is no process."""
        child = self._kept.child  # read once: another thread may let it rest
        return None if child is None else child.pid

    def ready(self) -> None:
        """Starts the process if it does not run.  Raises ConfinedError."""
        with self._in_use:
            self._running("")

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        """See Grouper.  Raises ConfinedError, and RootAway if the disk does not answer."""
        chosen = None if readers is None else list(readers)

        def group(part: Sequence[str]) -> Grouping:
            request = {"do": "group", "root": root, "files": list(part), "readers": chosen}
            return self._ask(root, request, grouping_of)

        with self._in_use:
            try:
                return halved(group, files)
            except RootChanged as changed:
                return waiting(files, str(changed.strerror))

    def stores(self, root: str, stores: Sequence[str]) -> Grouping:
        """What is known of each of `stores`: a candidate for each.

        Raises ConfinedError, and RootAway if the disk does not answer.
        """

        def look(part: Sequence[str]) -> Grouping:
            request = {"do": "stores", "root": root, "stores": list(part)}
            return self._ask(root, request, grouping_of)

        with self._in_use:
            try:
                found = halved(look, stores)
            except RootChanged as changed:
                return waiting(stores, str(changed.strerror))
        return Grouping(
            tuple(self._way(c) if c.complete else c for c in found.candidates),
            found.unreadable,
        )

    def check(self, root: str, sets: Sequence[Sequence[str]]) -> list[Findings]:
        """What completeness.check gives for each of `sets`.  A set without an answer is refused.

        Raises ConfinedError, and RootAway if the disk does not answer.
        """
        if not sets:
            return []

        def understand(answer: Frame) -> list[Findings]:
            found = findings_of(answer)
            if len(found) != len(sets):
                raise ValueError("an answer about other sets")
            return found

        with self._in_use:
            try:
                request = {"do": "check", "root": root, "sets": [list(files) for files in sets]}
                return self._ask(root, request, understand)
            except RootChanged as changed:
                return [_not_now(str(changed.strerror))] * len(sets)
            except Unanswered as error:
                if len(sets) > 1:
                    return [found for one in sets for found in self.check(root, [one])]
                refused = f"{sets[0][0]}: nothing can be said of its set: {error}"
                return [Findings(refused=refused)]

    def rest(self) -> None:
        """Ends the process until it is needed again."""
        with self._in_use:
            self._kept.rest()

    def close(self) -> None:
        """Ends everything.  A call under way in another thread raises ConfinedError."""
        self._closed = True
        self._kept.kill()
        if self._in_use.acquire(timeout=_CLOSE_S):
            try:
                self._kept.rest()
            finally:
                self._in_use.release()

    def __enter__(self) -> Confined:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, roots: tuple[str, ...], more: tuple[str, ...]) -> Child:
        # For one file, or between two.  The time limit ends a process that hangs before this.
        cpu = int(self._time_limit) + 10
        return Child(_SERVED, Bounds(roots, more, memory=self._memory, cpu=cpu), {"cpu": cpu})

    def _running(self, root: str) -> Child:
        if self._closed:
            raise ConfinedError("our own parsers were closed")
        try:
            child = self._kept.of(root)
        except (RootAway, RootChanged):
            raise
        except (ChildDied, OSError) as error:
            raise ConfinedError(f"the process that reads files: {error}") from error
        if self._closed:  # meanwhile, and `close` has not seen it
            self._kept.rest()
            raise ConfinedError("our own parsers were closed")
        return child

    def _ask(self, root: str, request: Frame, understand: Callable[[Frame], _Answer]) -> _Answer:
        """Asks the process.  Raises Unanswered, RootAway, ConfinedError."""
        why = ""
        for _ in range(_MOST_DEATHS):
            request["avoid"] = self._avoid(root)
            child = self._running(root)
            try:
                answer = child.ask(
                    request,
                    self._time_limit,
                    idle=IDLE_S,
                    given_up=lambda: not CALLS.answers(root),
                )
                if "raised" not in answer:
                    return understand(answer)
                at, why, tries = str(answer.get("at", "")), str(answer["raised"]), 1
            except ValueError as error:  # from `understand`: do not ask this process again
                at, why, tries = "", f"its answer is not understood: {error}", 1
                self._kept.rest()
            except ChildDied as died:
                at, why, tries = died.reading, str(died), TRIES
                self._kept.rest()
                if self._closed:
                    raise ConfinedError("our own parsers were closed") from died
                if died.idle or not CALLS.answers(root):
                    raise RootAway(root, IDLE_S) from died
            if not at:
                raise Unanswered(why)
            log.warning("reading %s: %s", at, why)
            self._deaths[at] += 1
            if self._deaths[at] >= tries:
                del self._deaths[at]
                self._condemn(root, at, why)
        raise Unanswered(why)

    def _avoid(self, root: str) -> dict[str, list[Any]]:
        """The files below `root` that must not be read, as they are sent."""
        now, above = time.monotonic(), root.rstrip("/") + "/"
        return {
            path: content
            for path, (until, content) in self._avoided.items()
            if until > now and path.startswith(above)
        }

    def _condemn(self, root: str, path: str, why: str) -> None:
        try:
            with CALLS.at(root):
                found = os.lstat(path)
        except RootAway:
            raise
        except OSError:
            return  # gone: there is nothing to avoid
        self._avoided.pop(path, None)
        words = f"the process that reads files fails on it: {why}"
        content = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, words]
        self._avoided[path] = (time.monotonic() + _VERDICT_S, content)
        if len(self._avoided) > _MOST_VERDICTS:
            del self._avoided[next(iter(self._avoided))]


def waiting(files: Sequence[str], why: str) -> Grouping:
    """The answer if there is none for any of the files now."""
    words = f"{NOT_NOW}: {why}"
    each = (Candidate((path,), incomplete=words, not_now=True) for path in dict.fromkeys(files))
    return Grouping(tuple(each))


def _not_now(why: str) -> Findings:
    return Findings(incomplete=f"{NOT_NOW}: {why}", not_now=True)
