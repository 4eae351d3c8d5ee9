"""Looks at many directories, each in its lane, a few at a time.  Waits for those that are quick."""

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
TURN_S = 5.0  # a look that takes longer is no reason for others to wait
LONGEST_S = 60.0  # a round ends without the looks that take longer


class Late:
    """The looks that take longer than their round, of all rounds.  Thread-safe.

    Each goes on by itself, and is not begun again meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}  # directory -> when its look began (s)
        self._again: set[str] = set()  # those that a later round was to look at

    def add(self, root: str, since: float) -> None:
        """A round ends without its look at `root`, which began then (s)."""
        with self._lock:
            self._since[root] = since

    def skips(self, root: str) -> bool:
        """Whether `root` is still looked at for an earlier round.  It is then asked for again."""
        with self._lock:
            if root in self._since:
                self._again.add(root)
                return True
            return False

    def ended(self, root: str, since: float | None) -> bool:
        """The look that began then has ended.  Whether a later round was to look at `root`."""
        with self._lock:
            if self._since.get(root) != since:
                return False  # it was not late, or it was given up, and another began
            self._since.pop(root, None)
            again = root in self._again
            self._again.discard(root)
            return again

    def told(self) -> dict[str, str]:
        """Directory -> how long it has been looked at, for people."""
        now = self.clock()
        with self._lock:
            return {
                root: f"is still looked at, since {now - since:.0f} s ago: its disk is slow, or "
                "there is very much in it"
                for root, since in self._since.items()
            }


class Round:
    """One look at many directories.  One thread calls `begin` and `wait`.

    Rule: no directory waits for another for longer than a moment.  If the disk of a directory
    does not answer, `away` names the directory, and its look goes on by itself when the disk
    answers.  If a look takes long, the next ones begin beside it.  If it takes longer than
    LONGEST_S, or than TURN_S when somebody waits for another round, the round ends without it,
    and `late` names it.  When it has ended, `caught_up` is called with the directory, the number
    of files (None: it has failed), and whether another round was to look at it.
    """

    def __init__(
        self,
        lanes: Lanes,
        stopping: threading.Event,
        *,
        late: Late | None = None,
        waited_for: Callable[[], bool] = lambda: False,
        caught_up: Callable[[str, int | None, bool], None] = lambda root, number, again: None,
    ) -> None:
        self._lanes = lanes
        self._stopping = stopping
        self._all_late = late or Late()
        self._clock = self._all_late.clock
        self._waited_for = waited_for  # whether somebody waits for another round
        self._caught_up = caught_up
        self._news = lanes.machine.condition()
        self._under_way: dict[str, float] = {}  # directory -> when its look began (s)
        self._began: dict[str, float] = {}  # the same, also of those that have ended
        self._error: FsError | None = None
        self.number = 0  # files seen
        self.away: dict[str, str] = {}  # root -> since when it does not answer, for people
        self.failed: dict[str, str] = {}  # directory -> why looking at it failed, for people
        self.late: set[str] = set()  # directories whose look goes on

    def begin(self, root: str, look: Callable[[], int]) -> None:
        """Looks at `root` as soon as fewer than _AT_ONCE looks are under way that are quick.

        `look` gives the number of files.  Raises what concerns all directories, such
        as a journal that cannot be written.
        """
        self._wait_until(lambda now: len(self._begun_since(now - TURN_S)) < _AT_ONCE)
        if self._stopping.is_set():
            return
        told = self._lanes.calls.told()
        if root in told:  # it is looked at when it answers
            self.away[root] = told[root]
            return
        if self._all_late.skips(root):
            self.late.add(root)
            return
        with self._news:
            self._under_way[root] = self._began[root] = self._clock()
        self._lanes.do(
            root,
            lambda: self._look(root, look),
            beside=LANE,
            lost=lambda: self._leave(root, "its disk does not answer"),
        )

    def wait(self) -> None:
        """Waits until all looks have ended, but for those on disks that do not answer and late
        ones.  Raises what `begin` raises.
        """
        self._wait_until(self._only_late_ones)
        with self._news:
            for root, since in self._under_way.items():
                self._all_late.add(root, since)
            self.late |= self._under_way.keys()
            self._under_way.clear()

    def _only_late_ones(self, now: float) -> bool:
        most = TURN_S if self._waited_for() else LONGEST_S
        return not self._begun_since(now - most)

    def _begun_since(self, then: float) -> list[str]:
        return [root for root, since in self._under_way.items() if since > then]

    def _wait_until(self, true: Callable[[float], bool]) -> None:
        with self._news:
            while not self._stopping.is_set() and self._error is None:
                told = self._lanes.calls.told()
                for root in self._under_way.keys() & told.keys():
                    self.away[root] = told[root]
                    del self._under_way[root]
                if true(self._clock()):
                    break
                self._news.wait(_LOOK_S)
            if self._error is not None:
                raise self._error

    def _leave(self, root: str, why: str) -> None:
        with self._news:
            self.away[root] = why
            self._under_way.pop(root, None)
            self._news.notify_all()
        # Last: before that a round that ends may still count it among the late ones.
        self._all_late.ended(root, self._began[root])

    def _look(self, root: str, look: Callable[[], int]) -> None:
        began = self._clock()
        number: int | None = None
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
                if root in self.away and self._clock() - began > _LOOK_S:
                    log.info("%s answers again, and DropBox has looked at it", root)
                late = root in self.late and root not in self.away
                self._under_way.pop(root, None)
                self._news.notify_all()
            if late:
                again = self._all_late.ended(root, self._began[root])
                self._caught_up(root, number, again)
