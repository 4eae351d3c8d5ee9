"""The groupers: threads that find out which files at rest belong together."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import PurePath

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.confine import MOST_NAMES, listing
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.bioformats.jars import find
from omero_fs_plugin.dropbox.grouping.bioformats.jars import readers_there as readers_there
from omero_fs_plugin.dropbox.grouping.bioformats.serving import ServerJars
from omero_fs_plugin.dropbox.grouping.child.kept import Roots
from omero_fs_plugin.dropbox.grouping.child.kernel import kept
from omero_fs_plugin.dropbox.grouping.confined import LIMIT_S, Confined
from omero_fs_plugin.dropbox.grouping.filesets import Grouper, Grouping, without
from omero_fs_plugin.dropbox.grouping.folders import in_folders
from omero_fs_plugin.dropbox.grouping.halving import together
from omero_fs_plugin.dropbox.grouping.native.neighbours import may_be_index
from omero_fs_plugin.dropbox.grouping.promises.table import depth_below
from omero_fs_plugin.dropbox.grouping.zarr import READER
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import ConfigurationError, FsError
from omero_fs_plugin.stores import is_store
from omero_fs_plugin.system_names import is_no_member

from .looks import Looks
from .lots import Lot
from .pipeline import Pipeline
from .rights import Rights
from .warmth import Warmth

log = logging.getLogger(__name__)

SIGNATURES = "file signatures"  # the name that people see, without Bio-Formats
NUMBER = 2  # so that slow files of one user do not hold up other users
_STEP_S = 0.5  # the longest time between two looks for a lot
_IDLE_S = 30.0  # ... while no file is at rest; `wake` ends the wait
_AGAIN_S = 10.0  # when a question without an answer is asked again
_REST_S = 300.0  # after this time without work a grouper gives back its memory
_UNREAD_S = 5.0  # how often files are looked at that could not be read
_EXPIRE_S = 60.0  # how often we look for filesets that were incomplete for too long
_LEVELS = 2  # directories above a file in which any index of it may lie; some lie further above


@dataclass(frozen=True)
class Choice:
    """How files are grouped, and why so."""

    name: str  # for people
    why: str
    make: Callable[[], Grouper]
    reading: str = field(default_factory=kept)  # what the processes that read files cannot do
    # What seem to be readers in Bio-Formats' jars: their canonical names.
    classes: Callable[[], Collection[str]] = tuple


def choose(
    bioformats_jars: Sequence[str],
    omerodir: str | None,
    *,
    time_limit: float,
    memory: int,
    roots: Roots = tuple,
) -> Choice:
    """Bio-Formats, if there are its jars and a Java; otherwise signatures.

    `bioformats_jars` is omero.fs.bioformatsJars, or ``("none",)`` to do without;
    `time_limit` (s), `memory` (MiB) and `roots` as BioFormats takes them.
    """

    way = ServerJars(bioformats_jars, omerodir).way

    def parsers() -> Confined:
        return Confined(roots=roots, time_limit=min(LIMIT_S, time_limit), way=way)

    def by_signatures() -> Grouper:
        return parsers()

    if tuple(bioformats_jars) == ("none",):
        return Choice(SIGNATURES, "omero.fs.bioformatsJars says so", by_signatures)
    try:
        installation = find(bioformats_jars, omerodir)
    except ConfigurationError as error:
        return Choice(SIGNATURES, str(error), by_signatures)
    return Choice(
        "Bio-Formats",
        f"found in {installation.source}",
        lambda: BioFormats(
            installation,
            time_limit=time_limit,
            memory=memory,
            roots=roots,
            parsers=parsers(),
        ),
        classes=partial(readers_there, bioformats_jars, omerodir),
    )


class Groupers:
    """Groups the files that the pipeline has at rest.  Each thread has a grouper of its own.

    `readers` gives the reader classes of a rule, None for all.  `queued` is
    called when filesets were formed, `failed` with one that cannot be imported.
    `complete_timeout` gives how long (s) an incomplete fileset waits.
    `lacking` is called with a user and files that came, or that a set lacks; it
    brings back the sets that were given up because of them, and gives their paths.

    Disks are asked in the lanes: a grouper does not wait for a disk that does not answer.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        make: Callable[[], Grouper],
        *,
        lanes: Lanes,
        readers: Callable[[Rule | None], Sequence[str] | None],
        queued: Callable[[], None],
        failed: Callable[[Fileset], None],
        complete_timeout: Callable[[], float],
        lacking: Callable[[str, Collection[str]], Collection[str]] = lambda user, paths: (),
        number: int = NUMBER,
    ) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._readers = readers
        self._asking: dict[str, Lot] = {}  # name of a thread -> what it asks about
        self._queued = queued
        self._failed = failed
        self._complete_timeout = complete_timeout
        self._lacking = lacking
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._groupers = [make() for _ in range(number)]
        self._expired = time.monotonic()
        self._looked = -math.inf  # s: when files that could not be read were looked at
        self._rights = Rights(pipeline, lanes, lambda: time.monotonic())
        self._looks = Looks(pipeline, lanes)
        self.trouble = ""  # why nothing can be grouped; empty while files can be
        self._warmth = Warmth(number)
        self._threads = [
            # Daemons: a thread that a share holds must not keep the process from ending.
            threading.Thread(target=self._work, args=[one], name=f"grouper-{n}", daemon=True)
            for n, one in enumerate(self._groupers, 1)
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Tells the threads that there are files at rest."""
        with self._news:
            self._news.notify_all()

    def ask_to_stop(self) -> None:
        """Begins no more work."""
        self._stopping.set()
        self.wake()

    def stop(self, until: float) -> bool:
        """Ends the work under way.  True if all has ended by `until` (s, monotonic).

        The next start asks the same questions again.
        """
        self.ask_to_stop()
        # In parallel: each waits a while for a process that a dead disk holds.
        closing = [
            threading.Thread(target=grouper.close, name="grouper-close", daemon=True)
            for grouper in self._groupers
        ]
        for thread in closing:
            thread.start()
        every = [*closing, *(thread for thread in self._threads if thread.ident is not None)]
        for thread in every:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in every)

    def reading(self) -> list[tuple[str, str]]:
        """(root, a file in it) of the files that the groupers read now."""
        return [(lot.root, lot.files[0]) for lot in list(self._asking.values())]

    def _work(self, grouper: Grouper) -> None:
        self._warm(grouper)
        me, busy = self._groupers.index(grouper), time.monotonic()
        while not self._stopping.is_set():
            try:
                now = time.monotonic()
                self._expire(now)
                self._look(now)
                lot = self._pipeline.next_lot(now) if self._warmth.may_take(me) else None
                if lot is not None:
                    with self._warmth.at_work(me):
                        self.wake()  # one that is not warm may be needed for the next lot
                        self._ask(grouper, lot)
                    busy = time.monotonic()
                    continue
                # The first grouper stays warm for the file that comes next.
                spare = grouper is not self._groupers[0]
                if isinstance(grouper, BioFormats) and spare and now - busy > _REST_S:
                    grouper.rest()
                    self._warmth.rests(me)
                    busy = math.inf
            except Exception:
                log.exception("grouping failed")
                with self._warmth.at_work(me, warms=False):
                    self._stopping.wait(_AGAIN_S)
            with self._news:
                if not self._stopping.is_set():
                    # `wake` comes after a file is at rest, so it finds us waiting or we find it.
                    if len(self._pipeline.lots):
                        wait = _STEP_S
                    else:
                        wait = _UNREAD_S if self._rights.awaited else _IDLE_S
                    self._news.wait(wait)

    def _warm(self, grouper: Grouper) -> None:
        """Starts its process, so that the first file need not wait for it.

        Also, while a file on a share that hangs is open, none can be started.
        """
        if isinstance(grouper, (BioFormats, Confined)):
            try:
                if isinstance(grouper, BioFormats):
                    grouper.version()
                else:
                    grouper.ready()
            except FsError as error:  # the first files wait then, with the same reason
                if not self._stopping.is_set():
                    log.error("%s", error)
            except Exception:
                log.exception("a grouper cannot be made ready")

    def _ask(self, grouper: Grouper, lot: Lot) -> None:
        self._bring(lot, lot.files)
        begun = time.monotonic()
        me = threading.current_thread().name
        self._asking[me] = lot
        try:
            grouping = self._answer(grouper, lot)
        except RootAway as error:
            self._pipeline.not_grouped(lot, f"waits: {error}", time.monotonic(), _AGAIN_S)
            return
        except FsError as error:
            if not self._stopping.is_set():
                log.error("%s", error)
                self.trouble = str(error)
                why = f"waits until it can be grouped: {error}"
                self._pipeline.not_grouped(lot, why, time.monotonic(), _AGAIN_S)
            return
        except Exception as error:
            why = f"waits: grouping it failed with {type(error).__name__}; see the log"
            self._pipeline.not_grouped(lot, why, time.monotonic(), 6 * _AGAIN_S)
            raise
        finally:
            del self._asking[me]
        if self._stopping.is_set():
            return  # another DropBox may be at work by now
        self.trouble = ""
        now = time.monotonic()
        self._rights.answered(lot, grouping)
        try:
            if self._pipeline.grouped(lot, grouping, now, now - begun):
                self._queued()
        except RootAway as error:  # the lot is asked about again
            log.info("%s", error)
        self._bring(lot, [path for one in grouping.candidates for path in one.missing])
        self._tell_failed()

    def _answer(self, grouper: Grouper, lot: Lot) -> Grouping:
        readers = self._readers(lot.rule)
        if isinstance(grouper, (BioFormats, Confined)):  # its process reads
            return group_whole(grouper, lot.root, lot.files, readers, ask=self._lanes.ask)
        return self._lanes.ask(lot.root, lambda: group_whole(grouper, lot.root, lot.files, readers))

    def _bring(self, lot: Lot, paths: Sequence[str]) -> None:
        """Lets the files settle again that were given up because these were missing."""
        if paths:
            bring = partial(self._bring_back, lot.user, tuple(paths))
            self._lanes.do(lot.root, bring, beside="quarantine")

    def _bring_back(self, user: str, paths: Sequence[str]) -> None:
        back = self._lacking(user, paths)
        if back:
            self._pipeline.heard(back, time.monotonic())

    def could_not_import(self, fileset: Fileset) -> None:
        """It has failed in an import.  If a file could not be read, it is tried again."""
        self._rights.failed(fileset.id)
        self.wake()

    def _look(self, now: float) -> None:
        """Looks at stores, and lets files settle again whose rights have changed."""
        with self._news:  # each of the threads does this
            if now - self._looked < _UNREAD_S:
                return
            self._looked = now
        self._looks.look()
        self._rights.look()

    def _expire(self, now: float) -> None:
        """Counts at most two intervals at once: if more time passed, the process stood still."""
        with self._news:  # each of the threads does this
            passed = min(now - self._expired, 2 * _EXPIRE_S)
            if passed > _EXPIRE_S:
                self._expired = now
        if passed > _EXPIRE_S:
            self._pipeline.expire(passed, self._complete_timeout())
            self._tell_failed()

    def _tell_failed(self) -> None:
        for fileset in self._pipeline.take_failed():
            self._failed(fileset)


def group_whole(
    grouper: Grouper,
    root: str,
    paths: Sequence[str],
    readers: Sequence[str] | None,
    *,
    ask: Callable[[str, Callable[[], list[str]]], list[str]] = lambda root, question: question(),
) -> Grouping:
    """What `grouper.group` gives for the whole sets of `paths`, with files not asked about.

    A reader may take all files of a directory for its own: those that are no data of anybody are
    left out, unless they were asked about.  `ask` asks the disk of `root` a question.
    """
    stores = [path for path in paths if is_store(path)]
    if stores:
        rest = [path for path in paths if not is_store(path)]
        mine = _stores(grouper, root, stores, readers)
        return together(mine, group_whole(grouper, root, rest, readers, ask=ask)) if rest else mine
    given = frozenset(paths)

    def left_out(path: str) -> bool:
        return is_no_member(path.rpartition("/")[2]) and path not in given

    files = [*paths, *ask(root, lambda: _indexes(root, paths))]
    grouping = grouper.group(root, files, readers)
    more = [path for path in _used_besides(files, grouping) if not left_out(path)]
    if more:
        # Which file of a set comes first depends on which files are asked about.  So all of
        # them are: the first is then the same, whichever of its files came last.
        grouping = grouper.group(root, [*files, *more], readers)
    return without(in_folders(grouping, [*files, *more]), left_out)


def _stores(
    grouper: Grouper, root: str, stores: Sequence[str], readers: Sequence[str] | None
) -> Grouping:
    if readers is not None and not {READER, READER.rpartition(".")[2]}.intersection(readers):
        return Grouping((), dict.fromkeys(stores, "no reader of omero.fs.readers takes it"))
    return grouper.stores(root, stores)


def _used_besides(files: Sequence[str], grouping: Grouping) -> list[str]:
    """The files of complete sets that were not asked about."""
    asked = set(files)
    return [
        path
        for candidate in grouping.candidates
        if candidate.complete and not candidate.refused
        for path in candidate.files
        if path not in asked
    ]


def _indexes(root: str, paths: Sequence[str]) -> list[str]:
    """Files around `paths` that may name them as parts of their set, at rest or not.

    An index in its quiet period holds back the files that it names.  This shows only
    if both are asked about.
    """
    asked = set(paths)
    levels: dict[str, int] = {}  # directory -> how far it is above one of the files, at least
    for name in dict.fromkeys(path.rpartition("/")[0] for path in paths):
        directory = PurePath(name)
        for level, above in enumerate((directory, *directory.parents)):
            if not above.is_relative_to(root):
                break
            levels[str(above)] = min(level, levels.get(str(above), level))
    found = []
    for name, level in levels.items():
        try:
            with (
                CALLS.at(root) as call,
                listing(root, name) as opened,
                os.scandir(opened) as entries,
            ):
                for entry in islice(entries, MOST_NAMES):
                    call.pulse()  # a slow share lists a few names at a time
                    if (
                        _may_name(entry.name, level)
                        and f"{name}/{entry.name}" not in asked
                        and entry.is_file(follow_symlinks=False)
                    ):
                        found.append(f"{name}/{entry.name}")
        except RootAway:
            raise
        except OSError:
            continue  # gone, or away: the files asked about will show it
    return found


def _may_name(name: str, level: int) -> bool:
    """Whether a file `name` may be the index of files so many directories below its own."""
    may = depth_below(name) >= level or (level < _LEVELS and may_be_index(name))
    return may and not is_no_member(name)
