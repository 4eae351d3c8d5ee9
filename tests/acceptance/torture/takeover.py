"""Two DropBoxes on one journal: the holder of the lease is stopped, the other takes over, the
first wakes.

It is stopped (SIGSTOP) on each side of every transition of the journal and of
every call to OMERO, for longer than the lease, and woken (SIGCONT) while the
other is at work, or when it has done.  What is judged in the end is what the
campaign of kills judges; and that whoever had lost the lease wrote nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import func, select

from omero_fs_plugin.dropbox.journal.file import sqlite_file
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.records import Held
from omero_fs_plugin.dropbox.journal.schema import event_log
from omero_fs_plugin.errors import JournalError

from .campaign import _PATIENCE_S, Campaign, Result
from .faults import BETWEEN, CALLS, SIDES, STOP, VERIFIED, point

LEASE_S = 3.0  # that a holder may stand still
# Stopped before a commit it holds the lock of a SQLite journal: nobody takes over.
_NO_TAKEOVER_S = 2.5 * LEASE_S
# Else the other does, once it is up: IceGrid may be starting it anew, on a busy machine.
_TAKEOVER_S = 60.0
_TRIES = 20  # at one point
_LOOKS = 10  # at the kernel's list of locks


class Takeovers(Campaign):
    """As a Campaign, in a grid with two DropBoxes; each point of `points` once."""

    def run_points(self, points: Sequence[str]) -> Result:
        """Stops the holder at each of `points`; closes the journal."""
        with closing(self._journal):
            return self._stop_at_all(points)

    def _stop_at_all(self, points: Sequence[str]) -> Result:
        begun = time.monotonic()
        self.takeovers = 0
        self.wrote_after: list[str] = []  # what a loser wrote after it had lost
        self._until(lambda: self._journal.lease().holder, "one of them has the lease")
        for name in points:
            self._stop_at(name)
        while len(self._plain()) < self._filesets:
            self._drop_one()
        self._wait_for_the_end()
        return self._judge(time.monotonic() - begun)

    def _stop_at(self, name: str) -> None:
        """Stops it there; once more if another of its threads was just writing then."""
        for _ in range(_TRIES):
            if not self._stop_once(name):
                return
        raise AssertionError(f"{name}: {_TRIES} times it was stopped with the journal locked")

    def _stop_once(self, name: str) -> bool:
        """Stops it there.  Returns whether it had locked the journal, though not for `name`."""
        faults, transition = self._grid.faults, name.partition(".")[2]
        provoke = self.provoked(transition)
        faults.arm(name, STOP)
        deadline = time.monotonic() + _PATIENCE_S
        while not faults.has_fired(name):
            assert time.monotonic() < deadline, (
                f"nothing came to the point {name}\n{self._grid.server.evidence()}"
            )
            provoke(self)
            self._until_fired(name, 12.0)
        stopped = faults.stopped(name)
        # Before the note that OMERO is told, nothing is begun yet.
        locked = name.startswith("before.") and transition not in (*CALLS, VERIFIED)
        if locked and sqlite_file(self._grid.journal_url) is not None:
            assert self._has_locked(stopped), (
                f"{name}: it is before a commit, without the lock\n{self._locks_of(stopped)}"
            )
        elif self._has_locked(stopped):
            with suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
            self._say(f"stopped {name}: another of its threads was writing; once more")
            return True
        lost = self._other_took_over(stopped, _NO_TAKEOVER_S if locked else _TAKEOVER_S)
        if lost and self._chance.random() < 0.5:
            time.sleep(self._chance.uniform(0, 3))  # the other has begun, or has done
        events = self._last_event() if lost else 0
        with suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)
        if lost:
            self.takeovers += 1
            self._until(lambda: not _runs(stopped), f"{stopped}, which lost the lease, ends")
            self.wrote_after += self._written_by(stopped, events)
        epoch = self._journal.lease().epoch
        self._say(f"stopped {name}: {'taken over' if lost else 'went on'} (epoch {epoch})")
        return False

    def _has_locked(self, pid: int) -> bool:
        """Whether the process holds SQLite's lock to write.  Nobody can take over then.

        A WAL's lock lies in the file -shm, see SQLite's description of the WAL-index.
        """
        file = sqlite_file(self._grid.journal_url)
        if file is None:
            return False
        beside = Path(f"{file}-shm")
        inodes = {one.stat().st_ino for one in (file, beside) if one.exists()}
        # The kernel gives a long list in pieces.  If others unlock something in between, one may be
        # missing from it; of a process that stands still it is there the next time.
        return any(_has_one_of(pid, inodes) for _ in range(_LOOKS))

    def _locks_of(self, pid: int) -> str:
        """What can be seen of them, for people."""
        file = sqlite_file(self._grid.journal_url)
        assert file is not None
        known = {str(path.stat().st_ino): path.name for path in file.parent.glob(f"{file.name}*")}
        locks = [
            f"{line} {known.get(line.split()[5].rpartition(':')[2], '')}"
            for line in Path("/proc/locks").read_text("ascii").splitlines()
            if f" {pid} " in line and "->" not in line
        ]
        opened = []
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if file.name in (to := str(one.readlink())):
                    opened.append(f"{one.name} {to} {one.stat().st_ino}")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return "\n".join([f"process {pid}: {state}", f"{known}", *locks, *opened])

    def _other_took_over(self, stopped: int, limit: float) -> bool:
        """Whether the lease passed from `stopped` to another within `limit` (s)."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            held = self._seen_lease()
            if held is not None and held.holder and Holder.parse(held.holder).pid != stopped:
                return True
            time.sleep(0.1)
        return False

    def _seen_lease(self) -> Held | None:
        """None: whoever was stopped has locked SQLite's file, for readers as well."""
        try:
            return self._journal.lease()
        except JournalError as error:
            self._say(f"the lease cannot be read: {error}")
            return None

    def _last_event(self) -> int:
        with self._journal._database.reading() as connection:
            return connection.scalar(select(func.max(event_log.c.id))) or 0

    def _written_by(self, pid: int, after: int) -> list[str]:
        """What that process has moved since event `after`."""
        log = event_log.c
        query = select(log.id, log.fileset, log.after, log.who).where(log.id > after)
        with self._journal._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            f"event {number}: fileset {fileset} {state} by {who}"
            for number, fileset, state, who in rows
            if f"process {pid} on " in who
        ]

    def _until(self, look: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not look():
            assert time.monotonic() < deadline, f"{what}\n{self._grid.server.evidence()}"
            time.sleep(0.1)


def _has_one_of(pid: int, inodes: set[int]) -> bool:
    """Whether the process holds a lock to write on one of these files."""
    # "1: POSIX  ADVISORY  WRITE 1234 fe:00:5678 120 120", see proc(5)
    locks = (line.split() for line in Path("/proc/locks").read_text("ascii").splitlines())
    return any(
        lock[3] == "WRITE" and lock[4] == str(pid) and int(lock[5].split(":")[2]) in inodes
        for lock in locks
        if lock[1] == "POSIX"
    )


def every_point() -> list[str]:
    """Each side of each transition and each call, and between the parts of a large set."""
    names = (*Campaign.PROVOKED, *CALLS)
    between = [point(BETWEEN, name) for name in Campaign.IN_PARTS]
    return between + [point(side, name) for name in names for side in SIDES]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
