"""Whose turn it is: users come in turns, and a rule may ask for time between two starts.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from omero_fs_plugin.config.schedule import Priority
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.places import Places

STOPPED_S = 60.0  # how long a user's queue rests whose account is at fault


@dataclass(frozen=True)
class Turn:
    """The turn that a user has for now: it counts if something is taken."""

    user: str
    number: int
    entry: str  # of importUsers; empty: no rule is for the user
    served: int  # the user's last turn
    next_start: float | None  # of the entry, before this turn; s, monotonic
    apart: float = 0.0  # s between two starts of the entry


class Turns:
    """The users' turns.  Not thread-safe: whoever shares it holds a lock.

    Rule: the user who has waited longest is next, unless `priority` sets another one before.  Two
    imports of one rule of `places` begin at least its throttle apart, and only in its window.
    `held` says why nothing of a user is to be imported now; empty when it may.  `now` is in s,
    monotonic, and `date` in s since the epoch.
    """

    def __init__(self, places: Places, held: Callable[[str], str]) -> None:
        self._places = places
        self._held = held
        self.priority = Priority()
        # The time zone of DropBox's machine; None: it is that of this one.
        self.zone: Callable[[], tzinfo | None] = lambda: None
        self._served: dict[str, int] = {}  # user -> number of the user's last turn
        self._turn = 0
        self._next_start: dict[str, float] = {}  # entry of importUsers -> s
        self._next_of_all: dict[str, float] = {}  # the same, as the journal has it for all machines
        self._stopped: dict[str, tuple[float, str]] = {}  # user -> (until s; why)

    def next(
        self, users: Sequence[str], now: float, date: float, but: Collection[str] = ()
    ) -> Turn | None:
        """The turn of the user who comes first and may go on, of `users` without those of `but`."""
        may = [user for user in users if user not in but and self._may_go(user, now, date)]
        if not may:
            return None
        rank = self.priority.rank
        user = min(may, key=lambda name: (rank(name), self._served.get(name, 0)))
        rule = self._places.rule_for(user)
        entry = rule.user if rule is not None else ""
        served, next_start = self._served.get(user, 0), self._next_start.get(entry)
        apart = rule.throttle_import if rule is not None else 0.0
        turn = Turn(user, self._turn + 1, entry, served, next_start, apart)
        self._turn = self._served[user] = turn.number
        if rule is not None:
            self._next_start[entry] = now + rule.throttle_import
        return turn

    def hear_of_starts(self, started: Mapping[str, float], now: float) -> None:
        """Takes over when (s ago) imports of each entry began on other machines, too."""
        self._next_of_all = {
            rule.user: now + rule.throttle_import - started[rule.user]
            for rule in self._places.rules
            if started.get(rule.user, -1.0) >= 0  # else the clock was set back since
        }

    def hear(self, users: Sequence[str], given: Mapping[str, int]) -> None:
        """Takes over the turns that `users` were given by importers of other machines, too."""
        self._turn = max(self._turn, *given.values(), 0)
        for user in users:
            self._served[user] = max(self._served.get(user, 0), given.get(user, 0))

    def end(self, turn: Turn, taken: Fileset | None, now: float) -> None:
        """Something was `taken`, begun at `now`.  Without anything, the turn does not count."""
        if taken is not None:
            rule = self._places.rule_of(taken.path, turn.user)
            if rule is not None and turn.entry:
                self._next_start[turn.entry] = now + rule.throttle_import
            return
        if self._served.get(turn.user) == turn.number:
            self._served[turn.user] = turn.served
        if turn.next_start is None:
            self._next_start.pop(turn.entry, None)
        else:
            self._next_start[turn.entry] = turn.next_start

    def nothing_started(self, user: str) -> None:
        """What was taken for this user needed no import, so nobody waits for the next."""
        rule = self._places.rule_for(user)
        if rule is not None:
            self._next_start.pop(rule.user, None)

    def stop(self, user: str, why: str, now: float) -> None:
        """Nothing of this user is imported for STOPPED_S."""
        self._stopped[user] = (now + STOPPED_S, why)

    def go_on(self, user: str) -> None:
        """There is no reason any more to stop this user's queue."""
        self._stopped.pop(user, None)

    def stopped(self) -> dict[str, str]:
        """Users whose queue rests, and why."""
        return {user: why for user, (_, why) in self._stopped.items()}

    def closed(self, date: float) -> dict[str, str]:
        """Watched directories whose imports do not begin now, and why (omero.fs.window)."""
        rules, zone = self._places.rules, self.zone()
        told = {str(rule.watch_dir): rule.window.opens(date, zone) for rule in rules}
        return {path: f"imports begin at {at} (omero.fs.window)" for path, at in told.items() if at}

    def _may_go(self, user: str, now: float, date: float) -> bool:
        until, _ = self._stopped.get(user, (0.0, ""))
        if self._held(user):  # the configuration's problems say why
            return False
        rule = self._places.rule_for(user)
        if rule is not None:
            until = max(until, self._next_start.get(rule.user, 0.0))
            until = max(until, self._next_of_all.get(rule.user, 0.0))
            if rule.window.spans and rule.window.opens(date, self.zone()):
                return False
        return now >= until
