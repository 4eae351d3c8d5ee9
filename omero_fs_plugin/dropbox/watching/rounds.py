"""Looks at many directories, each in its lane, a few at a time.  Waits for those that answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.errors import FsError

log = logging.getLogger(__name__)

LANE = "rescan"  # a lane of its own, because a whole tree takes long
_AT_ONCE = 2  # if there were more, they would only take turns at one disk
_LOOK_S = 0.25  # how often we look which disks answer


class Round:
    """One look at many directories.  One thread calls `begin` and `wait`.

    If the disk of a directory does not answer, nobody waits for it: `away` names the directory,
    and its look goes on by itself when the disk answers.
    """

    def __init__(self, lanes: Lanes, stopping: threading.Event) -> None:
        self._lanes = lanes
        self._stopping = stopping
        self._news = threading.Condition()
        self._under_way: set[str] = set()
        self._error: FsError | None = None
        self.number = 0  # files seen
        self.away: dict[str, str] = {}  # root -> since when it does not answer, for people
        self.failed: dict[str, str] = {}  # directory -> why looking at it failed, for people

    def begin(self, root: str, look: Callable[[], int]) -> None:
        """Looks at `root` as soon as fewer than _AT_ONCE looks are under way on disks that answer.

        `look` gives the number of files.  Raises what concerns all directories, such
        as a journal that cannot be written.
        """
        self._wait_for_less_than(_AT_ONCE)
        if self._stopping.is_set():
            return
        told = self._lanes.calls.told()
        if root in told:  # it is looked at when it answers
            self.away[root] = told[root]
            return
        with self._news:
            self._under_way.add(root)
        self._lanes.do(
            root,
            lambda: self._look(root, look),
            beside=LANE,
            lost=lambda: self._leave(root, "its disk does not answer"),
        )

    def wait(self) -> None:
        """Waits until all looks on disks that answer have ended.  Raises what `begin` raises."""
        self._wait_for_less_than(1)

    def _wait_for_less_than(self, most: int) -> None:
        with self._news:
            while not self._stopping.is_set() and self._error is None:
                if len(self._under_way) < most:
                    break
                told = self._lanes.calls.told()
                for root in self._under_way & told.keys():
                    self.away[root] = told[root]
                    self._under_way.discard(root)
                if len(self._under_way) >= most:
                    self._news.wait(_LOOK_S)
            if self._error is not None:
                raise self._error

    def _leave(self, root: str, why: str) -> None:
        with self._news:
            self.away[root] = why
            self._under_way.discard(root)
            self._news.notify_all()

    def _look(self, root: str, look: Callable[[], int]) -> None:
        began = time.monotonic()
        try:
            number = 0 if self._stopping.is_set() else look()
            with self._news:
                self.number += number
        except RootAway as error:
            self._leave(root, str(error.strerror))
        except FsError as error:  # the journal, or another thing that concerns all directories
            with self._news:
                self._error = error
        except Exception as error:  # a defect of ours hurts one directory only
            log.exception("the rescan of %s failed", root)
            why = f"the rescan of it failed with {type(error).__name__}; see the log"
            with self._news:
                self.failed[root] = why
        finally:
            with self._news:
                if root in self.away and time.monotonic() - began > _LOOK_S:
                    log.info("%s answers again, and DropBox has looked at it", root)
                self._under_way.discard(root)
                self._news.notify_all()
