"""When to look at the whole tree: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import math
import os
import random
import re
import stat as stat_module
import threading
import time
from collections.abc import Callable
from functools import partial

from omero_fs_plugin.accounts import NoAnswer, owner_name
from omero_fs_plugin.config.layout import OF_OWNER, OWNER
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.places import NOBODY
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.users import Users
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.stores import is_store

from .owners import Owners
from .rescan import Look, look_into, looks, of_the_share
from .rounds import LANE, Late, Round

log = logging.getLogger(__name__)

_FIRST_S = 30.0  # the first rescan waits so long for a monitor
_UNKNOWN_S = 60.0  # how often names of directories that are no user's are looked up again
_UNSEEN_S = (
    5.0  # ... and how often is looked whether the rights of what could not be seen are mended
)
_AGAIN_S = 2.5  # between a rescan that failed and the next
# How a byte that is not UTF-8 is shown: see `names`.
_ODD_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
# The keys of looks at what is left alone, and at what could not be seen.
_LEFT, _UNSEEN = "left alone", "unseen"
_WALKED = 2_000  # files handed to the pipeline at once
_PART = 20  # looks at a store that could not be seen take at most one in so many of the time


class Rescanner:
    """Rescans when asked to, and from time to time by itself, until it is stopped.

    It looks at each directory in the lane of that directory.  So a disk that does not
    answer, or is slow, holds up no other directory; its own is looked at when it answers.

    `interval` gives omero.fs.rescanInterval (s; 0: only when asked).  `beside` is called between
    two rescans, each time that names of nobody are looked up again.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        users: Users,
        lanes: Lanes,
        interval: Callable[[], float],
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipeline = pipeline
        self._users = users
        self._lanes = lanes
        self._interval = interval
        self.besides = [beside]  # called between two rescans
        self._asked = threading.Event()
        self._stopping = threading.Event()
        # A daemon: OMERO may not answer it.
        self._thread = threading.Thread(target=self._run, name="rescan", daemon=True)
        self.ended = 0  # rescans since the start
        self.last = 0.0  # s since the epoch, when the last of them ended; 0: none has
        self.trouble = ""  # why the last rescan failed; empty after one that succeeded
        self._late = Late()
        self._owners = Owners(pipeline, lanes, self._asked_unless_stopping)
        # Directories that the last rescan could not finish -> why
        self._failed: dict[str, str] = {}
        self._rests: dict[
            str, float
        ] = {}  # store -> until when (s) nobody sees whether it is mended

    @property
    def left(self) -> dict[str, str]:
        """Directories that the last rescan has not finished, and why."""
        return {**self._failed, **self._late.told()}

    @property
    def unavailable(self) -> str:
        """Watched directories that cannot be listed, and why; empty if all can be."""
        return "; ".join(dict.fromkeys(self._owners.away().values()))

    @property
    def away(self) -> list[str]:
        """The directories of rules that are not there, or do not answer."""
        return [str(rule.watch_dir) for rule in self._owners.away()]

    def start(self) -> None:
        """Starts the thread.  The monitor asks for the first rescan when it watches."""
        self._thread.start()

    def stop(self, until: float) -> bool:
        """Ends the thread.  True if it has ended by `until` (s, monotonic)."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """Tells the thread to begin no more work."""
        self._stopping.set()
        self._asked.set()

    def _asked_unless_stopping(self, why: str) -> None:
        if not self._stopping.is_set():
            self.ask(why)

    def ask(self, why: str = "") -> None:
        """Asks for a rescan as soon as possible."""
        if why and not self._asked.is_set():
            log.info("rescanning: %s", why)
        self._asked.set()

    def failed(self, trouble: str = "") -> None:
        """A step has dropped files: rescans find them again, until one succeeds."""
        if trouble:
            self.trouble = trouble
        self._asked.set()
        self._stopping.wait(_AGAIN_S)

    def look_at(self, root: str) -> None:
        """Rescans the directory `root` alone, as soon as its disk answers."""
        place = self._pipeline.places.place(f"{root}/any")
        if place is None or place.root != root:
            self._pipeline.files.unsure.discard(root)
            self.ask()  # all users' directories may lie in it
            return
        user = place.user
        self._owners.is_looked_at(root)
        self._lanes.do(root, lambda: self._look_at_one(user, root), key=LANE, beside=LANE)

    def look_below(self, rule: Rule) -> None:
        """Rescans the directories of one rule alone, as soon as their disk answers."""
        directory = str(rule.watch_dir)
        if rule.user != EVERYONE or rule.layout == OWNER:
            self.look_at(directory)
            return
        self._lanes.do(directory, partial(self._look_below, rule), key="below", beside=LANE)

    def _look_below(self, rule: Rule) -> None:
        """Runs in a lane of the rule's directory."""
        found: dict[Rule, list[str]] = {}
        self._owners.top(rule, found)
        for name in found.get(rule, []):
            directory = f"{rule.watch_dir}/{name}"
            if self._pipeline.places.enters(directory) and not self._stopping.is_set():
                self.look_at(directory)

    def _look_at_one(self, user: str, root: str) -> None:
        if self._stopping.is_set() or not self._users.is_user(user):
            return
        try:
            self._walk(user, root, hasty=True)
        except BaseException:
            self._pipeline.files.unsure.add(root)
            raise
        self._pipeline.ask_all(time.monotonic(), root)
        log.info("%s was looked at again", root)

    def _run(self) -> None:
        next_whole = time.monotonic() + _FIRST_S
        next_unknown = time.monotonic() + _UNKNOWN_S
        first = True
        while not self._stopping.is_set():
            now = time.monotonic()
            asked = self._asked.wait(min(_UNSEEN_S, max(0.0, next_whole - now)))
            if self._stopping.is_set():
                return
            if not asked and time.monotonic() < next_whole:
                unknown = time.monotonic() >= next_unknown
                if unknown:
                    next_unknown = time.monotonic() + _UNKNOWN_S
                self._look_between(unknown=unknown)
                continue
            self._asked.clear()
            try:
                self._rescan(hasty=asked or first)
                first = False
                self.trouble = ""
            except FsError as error:
                log.error("rescan: %s", error)
                self.failed(str(error))
            except Exception:
                log.exception("the rescan failed")
                self.failed()
            # Jittered, so that many servers on one share do not look together.
            jitter = random.uniform(0.9, 1.1)
            next_whole = time.monotonic() + (self._interval() or math.inf) * jitter

    def _look_between(self, *, unknown: bool) -> None:
        """Between two rescans.  Raises nothing: there would be no rescan any more."""
        try:
            self._look_at_unseen()
            if unknown:
                self._look_up_unknown()
        except FsError as error:
            log.warning("between two rescans: %s", error)
        except Exception:
            log.exception("between two rescans")

    def _look_up_unknown(self) -> None:
        for beside in self.besides:
            try:
                beside()
            except Exception:
                log.exception("between two rescans")
        for name in self._users.unknown():
            if self._users.look_up(name):
                log.info("%s is an OMERO user now", name)
                self._asked.set()
        files = self._pipeline.files
        if files.unrecorded or self._failed or any(map(_has_name, list(files.unowned))):
            self._asked.set()
        for root in list(files.unsure):
            if self._lanes.calls.answers(root):
                self.look_at(root)
        self._look_at_left_alone()

    def _look_at_left_alone(self) -> None:
        """No event says that one of these is gone: DropBox does not ask for such events."""
        self._in_their_lanes(list(self._pipeline.files.left_alone), self._forget_gone, _LEFT)

    def _look_at_unseen(self) -> None:
        """No event need tell of a chmod, and on a share none does."""
        self._in_their_lanes(self._pipeline.files.left_alone.unseen(), self._see_again, _UNSEEN)

    def _in_their_lanes(
        self, paths: list[str], look: Callable[[str, list[str]], None], key: str
    ) -> None:
        lies_in: dict[str, list[str]] = {}
        for path in paths:
            # Others are names of users, or have bytes that are shown in another way.
            if path.startswith("/") and not _ODD_BYTE.search(path):
                place = self._pipeline.places.place(path)
                root = place.root if place is not None else path.rpartition("/")[0]
                lies_in.setdefault(root, []).append(path)
        for root, theirs in lies_in.items():
            if self._lanes.calls.answers(root):
                self._lanes.do(root, partial(look, root, theirs), key=key, beside=LANE)

    def _see_again(self, root: str, paths: list[str]) -> None:
        """If one of these may be seen now, `root` is looked at: it says anew what may not."""
        mended: list[str] = []
        with self._lanes.calls.at(root) as call:
            for path in paths:
                if self._stopping.is_set():
                    return
                try:
                    if is_store(path):
                        if not self._see_store(path):
                            continue
                    elif stat_module.S_ISDIR(os.lstat(path).st_mode):
                        look_into(path)
                    mended.append(path)
                except ImportRefused as error:
                    log.info("%s: %s", path, error)
                except OSError as error:
                    if of_the_share(error):
                        return
                call.pulse()
        for path in mended:
            self._pipeline.files.no_longer_left(path)
        if mended:
            self.look_at(root)

    def _see_store(self, store: str) -> bool:
        """Whether it can be seen now: any directory in it may be shut.  Raises OSError.

        False if it was looked at lately: a look at all that is in it may take long.
        """
        clock = self._lanes.calls.clock
        begun = clock()
        if begun < self._rests.get(store, begun):
            return False
        try:
            self._pipeline.outside.stat(store)
        finally:
            rest = _PART * ((ended := clock()) - begun)
            self._rests[store] = ended + (rest if rest > _UNSEEN_S else 0.0)
        return True

    def _forget_gone(self, root: str, paths: list[str]) -> None:
        with self._lanes.calls.at(root) as call:
            for path in paths:
                if self._stopping.is_set():
                    return
                try:
                    os.lstat(path)
                except FileNotFoundError:
                    self._pipeline.files.no_longer_left(path)
                except OSError:
                    return  # nobody knows
                call.pulse()

    def _rescan(self, *, hasty: bool) -> None:
        """Looks at everything; unless `hasty`, no more than half of the time."""
        begun = time.monotonic()
        files = self._pipeline.files
        files.left_alone.clear()  # what is left still is met again below
        self._rests.clear()
        files.unowned.clear()
        files.unrecorded = False
        looked = self._round(self._caught_up)
        owners = self._owners.listed(self._round)
        self._users.keep([user for user, _ in owners])
        for user, directory in owners:
            if self._stopping.is_set():
                return
            if self._users.look_up(user):
                looked.begin(directory, partial(self._walk, user, directory, hasty=hasty))
        # What waits where nothing is watched any more, or of nobody any more.
        shared = {root for user, root in owners if user == OF_OWNER}
        for user, root in set(self._pipeline.journal.owners_waiting()) - set(owners):
            if root in shared:
                continue  # it was looked at
            looked.begin(root, partial(self._revisit, user, root))
        looked.wait()
        if self._stopping.is_set():
            return
        self._failed = looked.failed
        self.ended += 1
        self.last = time.time()
        self._pipeline.ask_all(time.monotonic())
        log.info(
            "rescan: %d files in %.1f s%s",
            looked.number,
            time.monotonic() - begun,
            f"; {len(looked.away)} directories do not answer" if looked.away else "",
        )
        for directory in looked.late:
            log.warning("%s takes long to look at; nothing else waits for it", directory)

    def _round(self, caught_up: Callable[[str, int | None, bool], None]) -> Round:
        return Round(
            self._lanes,
            self._stopping,
            late=self._late,
            waited_for=self._asked.is_set,
            caught_up=caught_up,
        )

    def _caught_up(self, root: str, number: int | None, again: bool) -> None:
        """A look that its round did not wait for has ended."""
        if self._stopping.is_set():
            return
        if number is None:
            self._pipeline.files.unsure.add(root)
            return
        log.info("%s was looked at, %d files", root, number)
        self._pipeline.ask_all(time.monotonic(), root)
        if again:
            self.look_at(root)

    def _revisit(self, user: str, root: str) -> int:
        self._pipeline.revisit(time.monotonic(), (user, root))
        return 0

    def _revisit_all(self, user: str, root: str) -> None:
        """What waits in `root`, of the user, or of everyone if the owners say whose it is."""
        owners = [(user, root)]
        if user == OF_OWNER:
            owners = [one for one in self._pipeline.journal.owners_waiting() if one[1] == root]
        for one in owners:
            self._pipeline.revisit(time.monotonic(), one)

    def _walk(self, user: str, directory: str, *, hasty: bool) -> int:
        """Hands on the files in `directory`, and looks at those that wait there.

        Gives the number of files.  Runs in the lane of the directory.
        """
        pipeline = self._pipeline
        pipeline.files.unsure.discard(directory)
        batch: list[Look] = []
        stores: list[Found] = []
        number = 0
        begun = time.monotonic()
        errors: list[OSError] = []
        with self._lanes.calls.at(directory) as call:
            for some in looks(
                directory,
                pipeline.files.leave_alone,
                pipeline.places.enters,
                call,
                failed=errors.append,
                unseen=pipeline.files.not_seen,
            ):
                if isinstance(some, Found):
                    stores.append(some)
                else:
                    batch += some
                if len(batch) + len(stores) >= _WALKED:
                    call.rest()
                    number += len(batch) + len(stores)
                    pipeline.looked_at(batch, stores, time.monotonic())
                    batch, stores = [], []
                    if self._stopping.wait(0.0 if hasty else time.monotonic() - begun):
                        return number
                    begun = time.monotonic()
                    call.pulse()
        pipeline.looked_at(batch, stores, time.monotonic())
        if not any(map(of_the_share, errors)):
            self._revisit_all(user, directory)
        if any(not isinstance(error, PermissionError) for error in errors):
            # It may pass, as on a share that is away for a moment: nobody knows what is there.
            pipeline.files.unsure.add(directory)
        return number + len(batch) + len(stores)


def _has_name(uid: int) -> bool:
    """Whether there is an account of this number by now, that is a person's."""
    try:
        return owner_name(uid) not in ("", *NOBODY)
    except NoAnswer:
        return False
