"""When to look at the whole tree: events are hints, the disk is the truth."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable

from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.users import Users
from omero_fs_plugin.errors import FsError

from .rescan import top, walk

log = logging.getLogger(__name__)

_FIRST_S = 30.0  # how long a monitor is waited for before the first rescan
_UNKNOWN_S = 60.0  # how often a directory that was no user's is looked up again
_AGAIN_S = 2.5  # after a rescan that failed
_WALKED = 2_000  # files handed to the pipeline at once


class Rescanner:
    """Rescans when asked to, and from time to time by itself, until it is stopped.

    `interval` gives omero.fs.rescanInterval (s; 0: only when asked).
    """

    def __init__(self, pipeline: Pipeline, users: Users, interval: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._users = users
        self._interval = interval
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rescan")
        self._away: dict[Rule, str] = {}
        self.trouble = ""  # why the last one failed; one that succeeds ends it
        # Directories that the last one did not get through, and why.
        self.left: dict[str, str] = {}

    @property
    def unavailable(self) -> str:
        """Watched directories that cannot be listed, and why; empty when all can."""
        return "; ".join(dict.fromkeys(list(self._away.values())))

    def start(self) -> None:
        """Begins; the monitor, once it watches, asks for the first rescan."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; returns when it has ended."""
        self.ask_to_stop()
        self._thread.join()

    def ask_to_stop(self) -> None:
        """Begins nothing more."""
        self._stopping.set()
        self._asked.set()

    def ask(self, why: str = "") -> None:
        """A rescan as soon as possible."""
        if why and not self._asked.is_set():
            log.info("rescanning: %s", why)
        self._asked.set()

    def failed(self, trouble: str = "") -> None:
        """A step dropped something: looking at the disk again, until that succeeds, finds it."""
        if trouble:
            self.trouble = trouble
        self._asked.set()
        self._stopping.wait(_AGAIN_S)

    def _run(self) -> None:
        next_whole = time.monotonic() + _FIRST_S
        first = True
        while not self._stopping.is_set():
            now = time.monotonic()
            asked = self._asked.wait(min(_UNKNOWN_S, max(0.0, next_whole - now)))
            if self._stopping.is_set():
                return
            if not asked and time.monotonic() < next_whole:
                self._look_up_unknown()
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

    def _look_up_unknown(self) -> None:
        for name in self._users.unknown():
            if self._users.look_up(name):
                log.info("%s is an OMERO user now", name)
                self._asked.set()
        if self._pipeline.files.unsure or self._pipeline.files.unrecorded or self.left:
            self._asked.set()

    def _rescan(self, *, hasty: bool) -> None:
        """Looks at everything; unless `hasty`, no more than half of the time."""
        begun, number = time.monotonic(), 0
        self._pipeline.files.left_alone.clear()  # what is left still is met again below
        self._pipeline.files.unrecorded = False
        rules = self._pipeline.places.rules
        self._away = {rule: why for rule, why in self._away.items() if rule in rules}
        directories: list[tuple[str, str]] = []  # (whose, directory)
        for rule in rules:
            try:
                names, strays = top(str(rule.watch_dir))
            except OSError as error:
                self._away[rule] = f"{rule.watch_dir}: {error.strerror}"
                log.error("%s", self._away[rule])
                continue
            self._away.pop(rule, None)
            if rule.user != EVERYONE:
                directories.append((rule.user, str(rule.watch_dir)))
                continue
            self._pipeline.scanned(strays, time.monotonic())
            below = [(name, f"{rule.watch_dir}/{name}") for name in names]
            directories += [one for one in below if self._pipeline.places.enters(one[1])]
        self._users.keep([user for user, _ in directories])
        left: dict[str, str] = {}
        for user, directory in directories:
            if self._stopping.is_set():
                return
            if self._users.look_up(user):
                try:
                    number += self._walk(directory, hasty=hasty)
                except FsError:
                    raise  # the journal, or what else concerns everybody
                except Exception as error:  # a defect of ours hurts one directory, and no other
                    log.exception("the rescan of %s failed", directory)
                    why = f"the rescan of it failed with {type(error).__name__}; see the log"
                    left[directory] = why
        self.left = left
        self._pipeline.revisit(time.monotonic())
        log.info("rescan: %d files in %.1f s", number, time.monotonic() - begun)

    def _walk(self, directory: str, *, hasty: bool) -> int:
        """Hands on what lies below `directory`; the number of files."""
        pipeline = self._pipeline
        batch: list[Found] = []
        number = 0
        begun = time.monotonic()
        for met in walk(directory, pipeline.files.leave_alone, pipeline.places.enters):
            batch.append(met)
            if len(batch) == _WALKED:
                number += len(batch)
                pipeline.scanned(batch, time.monotonic())
                batch = []
                if self._stopping.wait(0.0 if hasty else time.monotonic() - begun):
                    return number
                begun = time.monotonic()
        pipeline.scanned(batch, time.monotonic())
        return number + len(batch)
