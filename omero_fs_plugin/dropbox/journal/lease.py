"""One DropBox at a time works on a journal; another waits until it has gone.

No clock is trusted, for two machines may have two: the holder counts, and who
waits watches the count stand still by its own monotonic clock.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from .journal import Journal

# A holder whose count has not moved for so long has gone.  Longer than any
# transaction of ours is waited for.
EXPIRES = 60.0  # s
RENEW = 5.0  # s between two counts


@dataclass(frozen=True)
class Holder:
    """A process, told from any other that ever was, and recognised when it is dead."""

    host: str
    boot: str  # changes with each start of the machine
    pid: int
    started: str  # of the process, in clock ticks since the boot: pids are given again
    token: str  # for two holders in one process

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        return cls(
            socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()), secrets.token_hex(4)
        )

    def is_dead(self, me: Holder) -> bool:
        """Whether it certainly runs no more; only its own machine can tell."""
        if not self.boot or (self.host, self.boot) != (me.host, me.boot):
            return False
        return _started(self.pid) != self.started

    def __str__(self) -> str:
        return " ".join((self.host, self.boot or "-", str(self.pid), self.started, self.token))

    @classmethod
    def parse(cls, text: str) -> Holder:
        """From what str() gave."""
        host, boot, pid, started, token = text.split(" ")
        return cls(host, "" if boot == "-" else boot, int(pid), started, token)

    def name(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no Linux: a dead holder is known by its count alone


def _started(pid: int) -> str:
    """Empty when there is no such process (or no /proc to ask)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # After the name, which is in brackets and may hold anything; 22nd field.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended, whoever has not yet been told.
    return "" if fields[0] == "Z" else fields[19]


class Lease:
    """The right to work on `journal`.  Not thread-safe: one thread keeps it.

    Rule: `hold` says True to one holder at a time, as long as a holder who was
    told False, or was not able to ask for EXPIRES, stops at once.
    """

    def __init__(self, journal: Journal, holder: Holder | None = None) -> None:
        self._journal = journal
        self._me = holder or Holder.me()
        self._count = 0  # never begins anew: who saw a count must not see it again
        self._seen: tuple[str, int] | None = None  # another's lease, as last seen
        self._seen_at = 0.0  # s, monotonic: since when it has not moved
        self.held_by = ""  # who has it while we do not, for people

    def hold(self, now: float) -> bool:
        """Takes the lease, or keeps it; whether it is ours.  `now`: s, monotonic."""
        there = self._journal.lease()
        if there is not None and there[0] != str(self._me):
            other = Holder.parse(there[0])
            if there != self._seen:
                self._seen, self._seen_at = there, now
            if not other.is_dead(self._me) and now - self._seen_at < EXPIRES:
                self.held_by = other.name()
                return False
        if not self._journal.set_lease(there, (str(self._me), self._count + 1)):
            return False  # somebody was faster
        self._count += 1
        self.held_by = ""
        return True

    def release(self) -> None:
        """Lets the next one have it at once."""
        there = self._journal.lease()
        if there is not None and there[0] == str(self._me):
            self._journal.set_lease(there, None)
