"""Grouping files into filesets with Bio-Formats, as OMERO's own importer does.

How to use it, one object for each thread::

    installation = jars.find(settings.bioformats_jars, os.environ.get("OMERODIR"))
    grouper = BioFormats(installation, time_limit=300, memory=512)
    grouping = grouper.group(root, files)
    grouper.rest()      # when idle: gives back some 150 MB; the next call starts anew
    grouper.close()     # at the end; from any thread, also in the midst of a call

`jars.find` raises ConfigurationError if there is no Java, no Bio-Formats or no JPype; its
text says which one.  The first call starts the worker process, in about a second.  A call
then takes some milliseconds for each fileset.

The rules are those of OMERO's importer.  It takes files in the order of their names.  It
passes over a file that an earlier fileset uses.  It does not import a file by itself if more
filesets use it than it has files.  So give all files of a directory in one call.  If not, the
parts of a set that is recognised later (a `.vms` after its `.jpg`) are imported one by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Sequence

from omero_fs_plugin.config.readers import KNOWN, PACKAGE
from omero_fs_plugin.dropbox.confine.roots import RootChanged
from omero_fs_plugin.dropbox.disks.calls import CALLS, HUNG_S, RootAway
from omero_fs_plugin.dropbox.grouping.child.frames import Frame
from omero_fs_plugin.dropbox.grouping.child.kept import Kept, Roots
from omero_fs_plugin.dropbox.grouping.child.process import Child, ChildDied
from omero_fs_plugin.dropbox.grouping.confined import LIMIT_S, Confined, ConfinedError, waiting
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.grouping.halving import halved
from omero_fs_plugin.errors import ConfigurationError, FsError
from omero_fs_plugin.room import FULL, no_room, temporary

from .jars import Installation
from .process import start
from .walk import Content, Walk, in_order

log = logging.getLogger(__name__)

TRIES = 2  # a file that ended so many workers is not read again
_VERDICT_S = 3600.0  # after that it is read again: perhaps the machine was at fault
_MOST_VERDICTS = 10_000
_CLOSE_S = 15.0


class BioFormatsError(FsError):
    """Bio-Formats cannot be asked at all."""


class BioFormats:
    """A Grouper.  Thread-safe, but calls wait for each other; only `close` does not.

    Rule: a file is unreadable if no reader takes it, or if it ended a worker (crash, time,
    memory) twice.  The other files of the call are grouped.  If a reader takes a file and then
    fails on it, the file waits: it may not be whole, or another file may not be there yet.  While
    the disk of temporary files is full, no file is at fault.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        time_limit: float = 300.0,
        memory: int = 512,
        roots: Roots = tuple,
        parsers: Confined | None = None,
    ) -> None:
        """Starts nothing yet.

        `time_limit`: how long (s) Bio-Formats may take for one file.  `memory`: MiB of Java
        heap.  `roots` gives the watched directories.  `parsers` say whether sets are whole.
        """
        self._installation = installation
        self._time_limit = time_limit
        self._memory = memory
        self._kept = Kept(self._start, roots)
        self._parsers = parsers or Confined(roots=roots, time_limit=min(LIMIT_S, time_limit))
        self._closed = False
        self._in_use = threading.RLock()
        self._readers: dict[str, bool] = {}  # name -> whether there is such a reader
        self._verdicts: dict[Content, tuple[float, str]] = {}  # until when, and why

    @property
    def pid(self) -> int | None:
        """The id of the worker process; None while there is none."""
        child = self._kept.child  # read once: another thread may let it rest
        return None if child is None else child.pid

    def version(self) -> str:
        """The version of Bio-Formats.  Raises BioFormatsError.  All that is needed runs then."""
        with self._in_use:
            try:
                self._parsers.ready()
            except ConfinedError as error:
                raise BioFormatsError(str(error)) from error
            return str(self._running().ready["version"])

    def unknown_readers(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of `names`, simple or canonical, for which this Bio-Formats has no reader.

        Raises BioFormatsError.
        """
        asked = tuple(dict.fromkeys(names))
        with self._in_use:
            new = [name for name in asked if name not in self._readers]
            if new:
                answer = self._ask("", {"check": new})
                if "killed" in answer:
                    why = answer["killed"]
                    raise BioFormatsError(f"Bio-Formats does not say what readers it has: {why}")
                self._readers |= {name: name not in answer["absent"] for name in new}
            return tuple(name for name in asked if not self._readers[name])

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        """As Grouper.group.

        If another Bio-Formats has a reader and this one does not, the reader is passed over.
        Bio-Formats does the same, and its readers.txt names such readers.  Raises
        BioFormatsError, and ConfigurationError for a reader that no Bio-Formats has.
        """
        with self._in_use:
            try:
                return halved(lambda part: self._group(root, part, readers), files)
            except RootChanged as changed:
                return waiting(files, str(changed.strerror))
            except ConfinedError as error:
                raise BioFormatsError(str(error)) from error

    def stores(self, root: str, stores: Sequence[str]) -> Grouping:
        """As Confined.stores.  Raises BioFormatsError."""
        with self._in_use:
            try:
                return self._parsers.stores(root, stores)
            except ConfinedError as error:
                raise BioFormatsError(str(error)) from error

    def _group(self, root: str, files: Sequence[str], readers: Collection[str] | None) -> Grouping:
        if readers is not None:
            unknown = [name for name in self.unknown_readers(readers) if not is_known(name)]
            if unknown:
                raise ConfigurationError(f"omero.fs.readers: no such reader: {', '.join(unknown)}")
        walk = Walk(root, self._parsers.check)
        anew = True  # forget the lists of directories from the last call
        for path in in_order(files):
            if path in walk.users or path.rpartition("/")[2].startswith("."):
                continue
            content = walk.fit(path)
            if content is None:
                continue
            verdict = self._verdict(content)
            if verdict is None:
                answer = self._ask(
                    root,
                    {
                        "path": walk.inside(path),
                        "readers": None if readers is None else list(readers),
                        "anew": anew,
                    },
                )
                anew = False
                self._blame(answer)
                walk.take(path, answer)
                if "killed" in answer:
                    self._remember(content, walk.unreadable[path])
                answer.clear()
            else:
                walk.unreadable[path] = verdict
        return walk.grouping(files)

    def rest(self) -> None:
        """Ends the worker until it is needed again."""
        with self._in_use:
            self._kept.rest()
            self._parsers.rest()

    def close(self) -> None:
        """Ends everything: a call under way in another thread raises BioFormatsError."""
        self._closed = True
        self._kept.kill()
        self._parsers.close()
        # That call ends now, unless a dead share holds the process.
        if self._in_use.acquire(timeout=_CLOSE_S):
            try:
                self.rest()
            finally:
                self._in_use.release()

    def __enter__(self) -> BioFormats:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, roots: tuple[str, ...], more: tuple[str, ...]) -> Child:
        child = start(
            self._installation, roots, more, memory=self._memory, time_limit=self._time_limit
        )
        source, version = self._installation.source, child.ready["version"]
        log.info("Bio-Formats %s of %s runs in process %d", version, source, child.pid)
        return child

    def _running(self, root: str = "") -> Child:
        child = self._kept.child
        if child is not None and not child.alive():
            log.warning("Bio-Formats' process %d has ended by itself", child.pid)
        if self._closed:
            raise BioFormatsError("Bio-Formats was closed")
        try:
            child = self._kept.of(root)
        except (RootAway, RootChanged):
            raise
        except (ChildDied, OSError) as error:
            raise BioFormatsError(f"Bio-Formats ({self._installation.source}): {error}") from error
        if self._closed:  # `close` was called meanwhile, and has not seen the child
            self._kept.rest()
            raise BioFormatsError("Bio-Formats was closed")
        return child

    def _ask(self, root: str, request: Frame) -> Frame:
        """The child's answer; `{"killed": why}` if the request ended every child."""
        why = ""
        for attempt in range(1, TRIES + 1):
            try:
                child = self._running(root)
                gone = (lambda: not CALLS.answers(root)) if root else lambda: False
                return _understood(child.ask(request, self._time_limit, given_up=gone))
            except (ChildDied, ValueError) as died:
                why = str(died)
                self._kept.rest()
                if self._closed:
                    raise BioFormatsError("Bio-Formats was closed") from died
                if root and not CALLS.answers(root):
                    raise RootAway(root, HUNG_S) from died
                log.warning(
                    "Bio-Formats, asked for %s (%d of %d): %s",
                    request.get("path", "its readers"),
                    attempt,
                    TRIES,
                    why,
                )
        return {"killed": why}

    def _blame(self, answer: Frame) -> None:
        """Raises BioFormatsError if not the file is at fault, but the disk of temporary files.

        Readers write there, and Java does.  What an error says may come from the file, so the disk
        itself is asked.
        """
        if "killed" in answer or FULL.search(str(answer.get("error", ""))):
            place = temporary()
            if why := no_room(place):
                source = self._installation.source
                raise BioFormatsError(f"Bio-Formats ({source}): {place}: {why}")

    def _verdict(self, content: Content) -> str | None:
        until, why = self._verdicts.get(content, (0.0, ""))
        return why if until > time.monotonic() else None

    def _remember(self, content: Content, why: str) -> None:
        self._verdicts.pop(content, None)
        self._verdicts[content] = (time.monotonic() + _VERDICT_S, why)
        if len(self._verdicts) > _MOST_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]


def is_known(name: str) -> bool:
    """Whether any Bio-Formats has a reader of this name, simple or canonical."""
    return (name if "." in name else PACKAGE + name) in KNOWN


def _understood(answer: Frame) -> Frame:
    """`answer`, as `worker` says.  Raises ValueError for any other: who gives it is not trusted."""
    lists = [answer[key] for key in ("files", "absent") if key in answer]
    texts = [answer[key] for key in ("reader", "unknown", "error") if key in answer]
    texts += [text for one in lists if isinstance(one, list) for text in one]
    right = all(isinstance(one, list) for one in lists)
    right = right and all(isinstance(text, str) for text in texts)
    if "files" in answer:
        right = right and "reader" in answer and isinstance(answer.get("plate"), bool)
    if not right or not (lists or texts) or "killed" in answer:
        raise ValueError("an answer that is not understood")
    return answer
