"""Imports with OMERO's own Java importer, which omero-py's `omero import` starts.

Filesets of one user with the same wishes go together in one run, because most of a
short run is the start of Java.  What Java prints is only a claim.  A fileset is
imported if OMERO has images from these paths, with these bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omero.model import Screen
from omero.rtypes import unwrap

from omero_fs_plugin.blitz import verdicts
from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import (
    FsError,
    ImportRefused,
    ServerAwayError,
    ServerBusyError,
    UserError,
)

from . import (
    CutShort,
    DiskAway,
    Excluded,
    FileChanged,
    StillRunning,
    Stopped,
    client_path,
    printed,
    sources,
)
from .answers import delete_filesets
from .checksums import CHECKSUM, agreed
from .in_place import InPlace
from .java_process import Ended, run_java
from .proof import PROOFS
from .protocol import Figures, Imported, Outcome, Progress, Task, Wishes
from .transfer import Transfer

log = logging.getLogger(__name__)

# A run may take at most _START_S, and more for each fileset and byte.
_START_S, _FILESET_S, _BYTES_PER_S = 600.0, 300.0, 1_000_000


@dataclass(frozen=True)
class JavaOptions:
    """The options for every fileset of an importer."""

    client_dir: Path  # where its jars are
    host: str  # of the router
    port: int
    transfer: Transfer = Transfer.UPLOAD
    thumbnails: bool = True
    stats: bool = True  # minima and maxima of the pixels
    target: str = ""  # as `-T` takes it, for filesets without a target of their own
    arguments: tuple[str, ...] = ()  # further ones: Arguments.for_java
    most: int = 30  # filesets of one run
    time_limit: float = 0  # s for one run; 0: the limit follows from the files


@dataclass(frozen=True)
class _Ready:
    task: Task
    sha1s: tuple[str, ...]
    before: frozenset[int]  # filesets from that path that OMERO had before


class JavaImporter:
    """The protocol's Importer over the Java importer.

    Java opens files by their names, so it may read other files than we looked at.
    Afterwards OMERO's hashes are compared with ours, and its files with those of the
    fileset.  A fileset that differs is deleted again.
    """

    def __init__(self, session: UserSession, omero: Omero, options: JavaOptions) -> None:
        self._session = session
        self._omero = omero
        self._options = options
        self._progress = Progress()

    @property
    def most(self) -> int:
        """How many filesets one run has at most."""
        return self._options.most

    def run(
        self, tasks: Sequence[Task], stopping: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """As the protocol says."""
        self._progress.begin(sum(_size(task.fileset) for task in tasks))
        # Otherwise Java would use any algorithm that the server has, and we would find nothing.
        agreed(self._session.managed_repository())
        alike: list[list[_Ready]] = []
        for task in tasks:
            try:
                ready = self._ready(task, stopping)
            except (ServerAwayError, UserError):
                raise
            except FsError as error:
                yield task, error
                continue
            for runs in alike:
                if len(runs) < self.most and _wanted_alike(runs[0].task, task):
                    runs.append(ready)
                    break
            else:
                alike.append([ready])
        for runs in alike:
            for ready, outcome in self._run(runs, stopping):
                self._progress.more(_size(ready.task.fileset))
                yield ready.task, outcome

    def done(
        self, fileset: Fileset, sha1s: Sequence[str], stopping: Callable[[], bool] = lambda: False
    ) -> str:
        """As the protocol says."""
        if not self._options.transfer.removes:
            return ""
        linked = self._options.transfer.links
        return sources.remove(fileset, sha1s, linked=linked, stopping=stopping)

    def progress(self) -> Figures:
        """As the protocol says.  The files of a run count as done when the run has ended."""
        return self._progress.figures()

    def _ready(self, task: Task, stopping: Callable[[], bool]) -> _Ready:
        fileset = task.fileset
        if self._options.transfer is Transfer.LN_S:
            repository = self._session.managed_repository()
            in_place = InPlace.of(self._session, repository, Transfer.LN_S)
            PROOFS.check(fileset, repository, in_place.root)
        sha1s = tuple(sources.sha1_of(fileset.root, met, stopping) for met in fileset.files)
        before = self._omero.filesets(self._session.user, self._client_path(fileset.path))
        if stopping():
            raise Stopped("stopped before the import began")
        task.verified(sha1s)
        return _Ready(task, sha1s, frozenset(there.id for there in before))

    def _run(
        self, runs: Sequence[_Ready], stopping: Callable[[], bool]
    ) -> Iterator[tuple[_Ready, Outcome]]:
        if stopping():
            yield from ((ready, Stopped("stopped before the import began")) for ready in runs)
            return
        try:
            ended = run_java(
                self._arguments(runs),
                host=self._options.host,
                port=self._options.port,
                key=self._session.key,
                limit=self._limit(runs),
                stopping=stopping,
            )
        except (Stopped, DiskAway) as error:
            yield from ((ready, error) for ready in runs)
            return
        claimed = printed.ids(ended.output)
        of_images = self._omero.filesets_of_images(claimed.images) if claimed.images else {}
        ours = claimed.filesets | of_images.keys()
        astray = claimed.images - {image for images in of_images.values() for image in images}
        for ready in runs:
            try:
                yield ready, self._found(ready, ours, ended) or self._nothing(ready, ended, astray)
            except (ServerAwayError, UserError):
                raise
            except FsError as error:
                yield ready, error

    def _found(self, ready: _Ready, ours: frozenset[int], ended: Ended) -> Imported | None:
        """What OMERO has of it now; None if there are no images.

        Raises FileChanged and ImportRefused if that is not what was to be imported,
        and StillRunning if Java ended before OMERO did.
        """
        fileset = ready.task.fileset
        path = self._client_path(fileset.path)
        there = self._omero.filesets(self._session.user, path)
        new = [f for f in there if f.paths[0] == path and f.id not in ready.before]
        made = [f for f in new if f.images]
        paths = sorted(self._client_path(met.path) for met in fileset.files)
        names = (self._client_path(met.path) for met in fileset.files)
        wanted = sorted(zip(names, ready.sha1s, strict=True))
        for one in made:
            if sorted(zip(one.paths, one.hashes, strict=True)) == wanted:
                return Imported(one.images, ready.sha1s)
        for one in made:
            if one.id in ours:  # not made by another client of the user
                if not ready.task.ours():
                    # The winner may have found it, and noted it as imported.
                    raise StillRunning(f"Fileset:{one.id} is left to another DropBox")
                self._undo(fileset, one)
                if sorted(one.paths) != paths:
                    astray = sorted(set(one.paths) ^ set(paths))
                    raise ImportRefused(
                        f"the Java importer took other files than those of the set: {astray[0]}"
                        f"{f' and {len(astray) - 1} more' if len(astray) > 1 else ''}",
                        final=True,
                    )
                raise FileChanged(f"{fileset.path}: changed while it was imported")
        if new and not made:
            if not ended.answered:
                raise StillRunning(
                    f"the Java importer {ended.how}, and OMERO may still be importing it "
                    f"as Fileset:{new[-1].id}"
                )
            if ready.task.ours():
                # OMERO cleans nothing up after a failure.
                delete_filesets(self._session, [f.id for f in new if sorted(f.paths) == paths])
        return None

    def _client_path(self, path: str) -> str:
        return client_path(path, self._omero.path_rules)

    def _undo(self, fileset: Fileset, made: ServerFileset) -> None:
        log.warning(
            "fileset %d: Fileset:%d is not what was to be imported, and is deleted",
            fileset.id,
            made.id,
        )
        delete_filesets(self._session, [made.id])

    def _nothing(self, ready: _Ready, ended: Ended, astray: frozenset[int]) -> FsError:
        """Why there are no images."""
        told = printed.reason(ended.errors, ready.task.fileset.path, self._session.key)
        fault = verdicts.printed(ended.errors.replace(self._session.key, "***"))
        if fault is verdicts.Fault.BUSY:
            raise ServerBusyError(f"the Java importer: {told}")
        if fault is verdicts.Fault.AWAY:
            raise ServerAwayError(f"the Java importer: {told}")
        if ended.short_of:
            return DiskAway(f"the Java importer had no room for temporary files: {ended.short_of}")
        if ended.how:
            why = f"the Java importer {ended.how}{f': {told}' if told else ''}"
            return ImportRefused(why) if ended.answered else CutShort(why)
        if astray:
            return ImportRefused(
                f"the Java importer reported Image:{min(astray)}, which OMERO does not have"
            )
        if any(word.startswith("--exclude") for word in self._options.arguments):
            return Excluded("the Java importer passed over it, as --exclude tells it to")
        return ImportRefused(
            "the Java importer ended well, and OMERO has no images"
            f"{f'; its last word: {told}' if told else ''}"
        )

    def _arguments(self, runs: Sequence[_Ready]) -> list[str]:
        options, wishes = self._options, runs[0].task.wishes
        arguments = [
            *("--clientdir", str(options.client_dir), "--output", "yaml"),
            f"--checksum-algorithm={CHECKSUM}",  # otherwise the server chooses
            *("-c", "--skip", "upgrade"),  # go on after a fileset that fails; do not call home
        ]
        if not options.thumbnails:
            arguments += ["--skip", "thumbnails"]
        if not options.stats:
            arguments += ["--skip", "minmax"]
        if options.transfer is not Transfer.UPLOAD:
            # We remove the sources ourselves, when the images are there.
            arguments.append(f"--transfer={options.transfer.keeping.value}")
        if wishes.target is not None:
            letter = "-r" if isinstance(wishes.target, Screen) else "-d"
            arguments += [letter, str(unwrap(wishes.target.id))]
        elif options.target:
            arguments.append(f"--target={options.target}")
        if wishes.name:
            arguments.append(f"--name={wishes.name}")
        if wishes.description:
            arguments.append(f"--description={wishes.description}")
        return [*arguments, *options.arguments, *(ready.task.fileset.path for ready in runs)]

    def _limit(self, runs: Sequence[_Ready]) -> float:
        size = sum(_size(ready.task.fileset) for ready in runs)
        return self._options.time_limit or (_START_S + _FILESET_S * len(runs) + size / _BYTES_PER_S)


def _size(fileset: Fileset) -> int:
    return sum(met.stat.size for met in fileset.files)


def _wanted_alike(one: Task, other: Task) -> bool:
    return _key_of(one.wishes) == _key_of(other.wishes)


def _key_of(wishes: Wishes) -> tuple[str, str, str, int | None]:
    target = wishes.target
    where = ("", None) if target is None else (target.ice_id(), unwrap(target.id))
    return (wishes.name, wishes.description, *where)
