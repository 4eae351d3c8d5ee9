"""One DropBox at a time works on a journal; another waits until it has gone.

No clock is trusted, for two machines may have two: the holder counts, and who
waits watches the count stand still by its own monotonic clock.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from .journal import Journal
from .records import Held

# A holder whose count has not moved for so long has gone.  Longer than any
# transaction of ours is waited for.
EXPIRES = 60.0  # s
RENEW = 5.0  # s between two counts


@dataclass(frozen=True)
class Holder:
    """A process, told from any other that ever was, and recognised when it is dead."""

    host: str
    boot: str  # changes with each start of the machine
    pids: str  # namespace that `pid` is a number of: containers of one host have their own
    pid: int
    started: str  # of the process, in clock ticks since the boot: pids are given again
    token: str  # for two holders in one process

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        pid, token = os.getpid(), secrets.token_hex(4)
        return cls(socket.gethostname(), _boot(), _pids(), pid, _started(pid) or "", token)

    def is_dead(self, me: Holder) -> bool:
        """Whether it certainly runs no more.

        Only who counts processes as it does can tell: on the same machine since
        the same start, in the same namespace.  Without certainty time decides.
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
        """From what str() gave, of this release or an earlier one, which had no namespace."""
        words = ["" if word == "-" else word for word in text.split(" ")]
        if len(words) == 5:
            words.insert(2, "")
        host, boot, pids, pid, started, token = words
        return cls(host, boot, pids, int(pid), started, token)

    def name(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no Linux: a dead holder is known by its count alone


def _pids() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When the process began; empty when there is none, None when that cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass  # another user's
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # /proc may hide what is another user's
    # After the name, which is in brackets and may hold anything; 22nd field.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended, whoever has not yet been told.
    return "" if fields[0] == "Z" else fields[19]


class Lease:
    """The right to work on `journal`.  Not thread-safe: one thread keeps it.

    Rule: `hold` says True to one holder at a time, as long as a holder who was
    told False, or was not able to ask for EXPIRES, stops at once.  One that
    does not, for it stood still itself, has its writes refused: each holder has
    an epoch of its own, and the database takes none of an older one.
    """

    def __init__(self, journal: Journal, holder: Holder | None = None) -> None:
        self._journal = journal
        self._me = holder or Holder.me()
        self._count = 0  # never begins anew: who saw a count must not see it again
        self._seen: Held | None = None  # another's lease, as last seen
        self._seen_at = 0.0  # s: since when it has not moved
        self.held_by = ""  # who has it while we do not, for people
        self.held = Held()  # ours, as last written

    def hold(self, now: float) -> bool:
        """Takes the lease, or keeps it; whether it is ours.

        `now`: s of a clock that never goes back, from before this call.
        """
        there = self._journal.lease()
        mine = there.holder == str(self._me)
        if there.holder and not mine:
            other = Holder.parse(there.holder)
            if there != self._seen:
                self._seen, self._seen_at = there, now
            if not other.is_dead(self._me) and now - self._seen_at < EXPIRES:
                self.held_by = other.name()
                return False
        held = Held(str(self._me), self._count + 1, there.epoch + (not mine))
        if not self._journal.set_lease(there, held):
            return False  # somebody was faster
        self._count += 1
        self.held, self.held_by = held, ""
        return True

    def release(self) -> None:
        """Lets the next one have it at once."""
        there = self._journal.lease()
        if there.holder == str(self._me):
            self._journal.set_lease(there, replace(there, holder=""))
