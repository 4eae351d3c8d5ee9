"""Whether a server of ours is being started, runs, or ends again and again.

IceGrid starts a server again whenever it has ended, and knows nothing of the times before.  So each
server notes in ``var/<server>.starts`` when it began, when it was ready, and when it was told to
stop.  A start that neither a stop nor an end of the machine follows has ended by itself.

Times are seconds since the machine was started, because nobody can set that clock.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# s.  IceGrid waits as long for a server, as grid/omero-fs.xml says (activation-timeout).
LIMIT_S = 60.0
# So many ends in so many seconds are no accident.
ENDS = 3
WINDOW_S = 120.0
# s after which a server that is ready has been found by whoever looks for it.
MEETING_S = 30.0
# s between a server's note that it is ready, and the moment at which IceGrid and Ice know.
_KNOWN_S = 5.0

BEGAN, READY, STOPPED = "began", "ready", "stopped"
_KEPT = 60  # lines; three for each start
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Life:
    """What is known of a server's present process, and of those before it.  Ages are in s."""

    # Since this process noted its start, or the first of those before it that were never ready;
    # None if this one has noted none.
    began: float | None = None
    ready: float | None = None  # since it noted that it is ready
    stopped: float | None = None  # since somebody stopped the last one; None if one began since
    grid: float | None = None  # age of the IceGrid node that starts it
    process: float | None = None  # age of this process, if it has noted nothing yet
    gone: bool = False  # the last one has ended by itself, and there is no other process yet
    ends: int = 0  # that nobody asked for, in the last WINDOW_S

    def starting(self) -> float | None:
        """For how long it has been starting; None if nothing proves that it is."""
        if self.ready is not None and self.ready > _KNOWN_S:
            return None
        known = [self.began]
        if self.began is None:
            known = [self.stopped, self.process, self.grid]
        young = [age for age in known if age is not None]
        if self.began is None:  # an old grid, and a stop of long ago, prove nothing
            young = [age for age in young if age <= LIMIT_S]
        return min(young, default=None)

    def is_new(self) -> bool:
        """Whether others may not have found it yet."""
        return self.starting() is not None or (self.ready is not None and self.ready <= MEETING_S)

    def again_and_again(self) -> bool:
        """Whether it ends by itself more often than by accident."""
        return self.ends >= ENDS


@dataclass(frozen=True)
class Condition:
    """What people are told of a server."""

    what: str = ""  # what is wrong, or that it is starting; empty if it runs
    remedy: str = ""  # empty while nobody has to do anything
    since: float | None = None  # s that it has been starting; None if it is not
    new: bool = False  # it runs or is starting, and others may not have found it yet

    @property
    def down(self) -> bool:
        return bool(self.what) and self.since is None

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what


def condition(server: str, state: str, life: Life, *, answers: bool) -> Condition:
    """The condition of a server in this state of `Grid.states`."""
    see = f"see var/log/{server}.log"
    if life.again_and_again() and state in _MAY_COME_UP:
        minutes = WINDOW_S / 60
        what = f"{server} ends again and again ({life.ends} times in {minutes:.0f} minutes)"
        return Condition(what, see)
    if answers and state in _MAY_COME_UP:  # it may have come up after its state was asked for
        return Condition(new=life.is_new())
    age = life.starting() if state in _MAY_COME_UP else None
    if age is None and life.gone and state == "activating":
        age = 0.0
    if age is not None and age <= LIMIT_S:
        return Condition(f"{server} is starting, for {age:.0f} s", since=age, new=True)
    if age is not None:
        return Condition(f"{server} does not come up: it has been starting for {age:.0f} s", see)
    if state == "active":
        return Condition(f"{server} does not answer", see)
    if state == "activationtimedout":
        what = f"{server} does not come up: IceGrid has waited {LIMIT_S:.0f} s for it"
        return Condition(what, see)
    return Condition(f"{server} is {state}", how_to_start(server, state))


_MAY_COME_UP = ("active", "activating", "inactive")


def how_to_start(server: str, state: str) -> str:
    """What to do about a server in this state of `Grid.states`, for people."""
    if state == "not deployed":
        return "run `omero fs install` and `omero admin restart`"
    start = f"`omero admin ice server start {server}`"
    if "disabled" in state:
        start = f"`omero admin ice server enable {server}`, then {start}"
    elif not state.startswith("inactive"):
        return f"see `omero admin ice server state {server}` and var/log/{server}.log"
    return f"start it with {start}; if it ends again, see var/log/{server}.log"


def note(server: str, word: str, directory: Path = Path("var")) -> None:
    """Notes this process's step.  Without a disk for it nothing is noted, and the server goes on.

    `server`: as IceGrid calls it; empty if it does not run under IceGrid.
    """
    if not server or not (boot := _boot()):
        return
    file = directory / f"{server}.starts"
    line = f"{boot} {_uptime():.2f} {word} {os.getpid()}"
    with suppress(OSError):
        if word == BEGAN:  # the only one that may be there twice: the last one was killed
            lines = [*_lines(file)[-_KEPT:], line]
            fresh = file.with_suffix(f".starts.{os.getpid()}")
            fresh.write_text("\n".join(lines) + "\n", encoding="latin-1")
            fresh.replace(file)
        else:
            with file.open("a", encoding="ascii") as opened:
                opened.write(f"{line}\n")


def life(server: str, var: Path, *, process: int, node: str) -> Life:
    """What is known of `server`, whose notes are in `var`.

    `process`: its number on this machine, 0 if it has none.  `node`: the name of the IceGrid node
    that starts it, which has its number in ``var/<node>.pid``; empty if it is another machine.
    """
    now, boot = _uptime(), _boot()
    began = ready = stopped = last = None
    first: float | None = None  # the start since which none was ready
    ends: list[float] = []
    for line in _lines(var / f"{server}.starts"):
        words = line.split()
        if len(words) != 4 or words[0] != boot:
            continue
        at, word, whose = _number(words[1]), words[2], words[3]
        if at is None:
            continue
        if word == BEGAN:
            if last is not None and stopped is None:
                ends.append(at)
            first = at if first is None or ready is not None or stopped is not None else first
            last, began, ready, stopped = whose, first, None, None
        elif word == READY and whose == last:
            ready = at
        elif word == STOPPED and whose == last:
            stopped = at
    if last is not None and stopped is None and process and last != str(process):
        ends.append(now)  # IceGrid has begun another one, which has noted nothing yet
    if last is None or last != str(process) or stopped is not None:
        began = ready = None

    silent = process if process and last != str(process) else 0
    left = not process and last is not None and stopped is None

    def age(at: float | None) -> float | None:
        return None if at is None else max(0.0, now - at)

    return Life(
        began=age(began),
        ready=age(ready),
        stopped=age(stopped),
        grid=age(_began_at(_pid_of(var / f"{node}.pid"))) if node else None,
        process=age(_began_at(silent)) if silent else None,
        gone=left and _began_at(int(last) if last and last.isdecimal() else 0) is None,
        ends=sum(1 for at in ends if now - at <= WINDOW_S),
    )


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="latin-1").splitlines()
    except OSError:
        return []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _boot() -> str:
    """Which start of the machine this is; empty where the system does not say it."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _uptime() -> float:
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _pid_of(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return 0


def _began_at(process: int) -> float | None:
    """When a process of this machine began, in s since the machine did: proc(5), starttime."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
