"""One DropBox at a time works on a journal; any other waits until that one is gone.

The clocks of two machines may differ, so no clock is compared with another.  The
holder counts.  Whoever waits looks how long the count stands still, by its own
monotonic clock.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from .elapsed import boot
from .journal import Journal
from .records import Held

# A holder whose count has not moved for so long is gone, so a standby is at work within 30 s.  A
# machine that is lost within a write holds up the counts of the others for less than that: see
# `engines.LIMITS`.
EXPIRES = 25.0  # s
RENEW = 6.0  # s between two counts: each is a write to the disk, also while nothing happens
OLDER = "nobody: an older journal was put in the place of this one"
RENEW_AGAIN = 3.0  # s, after one that failed: a journal that is away is soon there again


@dataclass(frozen=True)
class Holder:
    """Names a process uniquely, also among those of the past, and finds out if it is dead."""

    host: str
    boot: str  # changes with each start of the machine
    pids: str  # namespace of `pid`: each container of a host may have its own
    pid: int
    started: str  # when the process began, in clock ticks since the boot: pids are used again
    token: str  # tells two holders in one process apart

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        pid, token = os.getpid(), secrets.token_hex(4)
        return cls(socket.gethostname(), boot(), _pids(), pid, _started(pid) or "", token)

    def is_dead(self, me: Holder) -> bool:
        """Whether the process has certainly ended.

        We know this only on the same machine since the same start, and in the same
        namespace.  Otherwise time decides.
        """
        here, there = (me.host, me.boot, me.pids), (self.host, self.boot, self.pids)
        if not all(there) or here != there:
            return False
        started = _started(self.pid)
        return started is not None and started != self.started

    def __str__(self) -> str:
        words = (self.host, self.boot, self.pids, str(self.pid), self.started, self.token)
        return " ".join(word or "-" for word in words)

    @classmethod
    def parse(cls, text: str) -> Holder:
        """From what str() gave, in this release or in an earlier one without namespaces."""
        words = ["" if word == "-" else word for word in text.split(" ")]
        if len(words) == 5:
            words.insert(2, "")
        host, boot, pids, pid, started, token = words
        return cls(host, boot, pids, int(pid), started, token)

    def name(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}"


def _pids() -> str:
    """The namespace of our pids; empty if /proc has the processes of another one, or of none."""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When the process began; empty if there is none, None if nobody knows."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # it is another user's process
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # /proc may hide processes of other users
    # The 22nd field.  Count after the name, which is in brackets and may hold anything.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended, even if its parent does not know it yet.
    return "" if fields[0] == "Z" else fields[19]


class Lease:
    """The right to work on `journal`.  Not thread-safe: one thread keeps it.

    Rule: `hold` says True to one holder at a time.  For this a holder stops at once
    when it gets False, or when it could not ask for EXPIRES.  A process that stood
    still cannot do so, and then the database refuses its writes: each holder has an
    epoch, and the database takes nothing from an older one.
    """

    def __init__(self, journal: Journal, holder: Holder | None = None) -> None:
        self._journal = journal
        self._me = holder or Holder.me()
        self._count = 0  # never begins anew: nobody may see the same count twice
        self._seen: Held | None = None  # the lease of another, as we last saw it
        self._seen_at = 0.0  # since when (s) it has not moved
        self.held_by = ""  # who has it while we do not, for people
        self.held = Held()  # our lease, as we last wrote it
        self.taken_from = ""  # who had it and did not release it when we took it, for people

    def hold(self, now: float) -> bool:
        """Takes the lease, or keeps it.  Returns whether it is ours.

        `now`: seconds of a clock that never goes back, read before this call.
        """
        there = self._journal.lease()
        mine = there.holder == str(self._me)
        if mine and there.count < self.held.count:
            self.held_by = OLDER
            return False  # what we know of this journal is not true of that one
        if there.holder and not mine:
            other = Holder.parse(there.holder)
            if there != self._seen:
                self._seen, self._seen_at = there, now
            if not other.is_dead(self._me) and now - self._seen_at < EXPIRES:
                self.held_by = other.name()
                return False
        held = Held(str(self._me), self._count + 1, there.epoch + (not mine))
        if not self._journal.set_lease(there, held):
            return False  # another was faster
        if there.holder and not mine:
            self.taken_from = Holder.parse(there.holder).name()
        self._count += 1
        self.held, self.held_by = held, ""
        return True

    def is_still_ours(self) -> bool:
        """Whether the journal has it as ours.  Nothing is written, so a lock does not delay this.

        Raises JournalError.
        """
        there = self._journal.lease()
        return (there.holder, there.epoch) == (str(self._me), self.held.epoch)

    def release(self) -> None:
        """Lets another DropBox have it at once."""
        there = self._journal.lease()
        if there.holder == str(self._me):
            self._journal.set_lease(there, replace(there, holder=""))
