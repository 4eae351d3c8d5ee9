"""Files that the FSServer of a node tells of, and that DropBox's own machine does not show yet.

FSServer runs where the disk is, and hears of a file at once.  On DropBox's machine the same
directory is a share, and a client of NFS may keep for a minute that a name is not there (nfs(5):
acdirmax, lookupcache).  Nothing tells of the file again, so DropBox looks again.

Rule: what is told of is looked for until it is there, or FSServer no longer has it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import Ice

import omero
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.disks.lanes import Lanes

log = logging.getLogger(__name__)

_LOOK_S = 1.0  # between two looks at what is not there
_ASK_S = 10.0  # ... and between two questions to FSServer whether it still has it
_TOLD_S = 90.0  # people are told after this time; caches last a minute
_MOST = 10_000  # that are looked for; of what is beyond, the rule is looked through
_LANE = "unseen"


@dataclass
class _Missing:
    since: float  # s, monotonic
    asked: float  # s, monotonic: when FSServer was asked last, or it was told of
    sought: bool = False  # it was not there when it was looked for


class Unseen:
    """What one FSServer has told of.  Thread-safe.

    `root_of` gives the root of a path, empty for one of no rule.  `heard` takes paths that are
    there by now, and `too_many` is called if there are more than can be looked for.
    """

    def __init__(
        self,
        lanes: Lanes,
        *,
        root_of: Callable[[str], str],
        heard: Callable[[Sequence[str]], None],
        too_many: Callable[[str], None],
        file_server: Callable[[], Any],
        there: Callable[[str], str],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`file_server`: of FSServer `name`; `there`: its path.  `clock`: s, monotonic."""
        self._lanes, self._root_of, self._heard = lanes, root_of, heard
        self._too_many, self._file_server, self._there = too_many, file_server, there
        self._name, self._clock = name, clock
        self._lock = threading.Lock()
        self._missing: dict[str, _Missing] = {}  # also what was not looked for yet
        self._news = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="unseen", daemon=True)

    def told(self) -> dict[str, str]:
        """Files that are not here though FSServer has had them for long -> why, for people."""
        now = self._clock()
        why = (
            f"{self._name} has it, and DropBox's machine does not: is the same directory mounted "
            "there? It is imported when it is there"
        )
        with self._lock:
            return {path: why for path, one in self._missing.items() if now - one.since >= _TOLD_S}

    def tell(self, paths: Iterable[str]) -> None:
        """FSServer tells of these.  Returns at once."""
        now = self._clock()
        with self._lock:
            if self._stopping:
                return
            for path in paths:
                if len(self._missing) >= _MOST:
                    break
                self._missing.setdefault(path, _Missing(now, now))
            else:
                self._wake()
                return
            self._missing.clear()
        self._too_many(f"more than {_MOST} files of {self._name} are not seen here")

    def stop(self) -> None:
        """Looks for nothing more.  Waits for nobody."""
        with self._lock:
            self._stopping = True
            self._news.set()

    def _wake(self) -> None:
        """Called with the lock."""
        if not self._thread.is_alive() and self._missing:
            with suppress(RuntimeError):  # no more threads: a rescan finds them
                self._thread.start()
        self._news.set()

    def _run(self) -> None:
        while not self._stopping:
            self._news.wait()
            self._news.clear()
            while self._missing and not self._stopping:
                time.sleep(_LOOK_S)
                try:
                    self.look()
                except Exception:
                    log.exception("looking for files that are not seen here failed")

    def look(self) -> None:
        """Looks for all of them once, each in the lane of its root."""
        by_root: dict[str, list[str]] = {}
        with self._lock:
            paths = list(self._missing)
        for path in paths:
            by_root.setdefault(self._root_of(path), []).append(path)
        with self._lock:
            for path in by_root.pop("", []):  # no rule has it any more
                self._missing.pop(path, None)
        for root, some in by_root.items():
            if self._lanes.calls.answers(root):
                self._lanes.do(root, partial(self._look_in, root, some), key=_LANE, beside=_LANE)

    def _look_in(self, root: str, paths: Sequence[str]) -> None:
        """Runs in a lane of `root`."""
        now = self._clock()
        came: list[str] = []
        ask = True  # until FSServer does not answer
        for path in paths:
            try:
                with CALLS.at(root):
                    os.lstat(path)
            except FileNotFoundError:
                lasts = self._lasts(path, now) if ask else True
                ask = ask and lasts is not None
                if lasts is not False:
                    continue
            except OSError:
                pass  # what cannot be asked now is found by a rescan
            else:
                with self._lock:
                    one = self._missing.get(path)
                if one is not None and one.sought:
                    came.append(path)
            with self._lock:
                self._missing.pop(path, None)
        if came:
            self._heard(came)

    def _lasts(self, path: str, now: float) -> bool | None:
        """Whether it is to be looked for again, as FSServer has it.  None: it has not answered."""
        with self._lock:
            one = self._missing.get(path)
            if one is None:
                return False
            one.sought = True
            if now - one.asked < _ASK_S:
                return True
            one.asked = now
        try:
            return bool(self._file_server().fileExists(self._there(path)))
        except omero.OmeroFSError:  # nobody watches there any more
            return False
        except (Ice.Exception, omero.ServerError):
            return None
