"""What clients of other accounts may take of FSServer: enough for them, and never all there is.

A *guest* is a client of another account than the server's own and root.  Every account of this
machine can call FSServer, and whoever may watch a directory may ask for it ten thousand times.
DropBox hears of files from the same process, with the same threads, and the kernel counts inotify's
instances and watches for the whole account.  So guests have bounds, one by one and together.  Our
own account has none: it could stop FSServer as well.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .kernel import limits
from .requests import UNKNOWN, MonitorError, Request

# Linux lets an account have 128 inotify instances unless told otherwise, and each monitor has one.
# Who raises that limit for more rules raises these as well.
MOST_MONITORS, MOST_OF_ALL = 32, 64  # of one account, and of all guests
# Calls at the same time.  FSServer has 64 threads for calls.
MOST_CALLS, MOST_CALLS_OF_ALL = 8, 24
MOST_ITEMS = 1_000  # of a whitelist and of a blacklist
LONGEST_LISTS = 64 * 1024  # characters of both together
LONGEST_ADDRESS = 4 * 1024  # characters of a proxy
CAPACITY = 20_000  # events that wait for one client, as telling.outbox.CAPACITY
_SHARE = 2  # of inotify's watches and instances guests have the half; what is beyond is polled


class TooMuch(MonitorError):
    """A guest has asked for more than it may have."""


def check(request: Request, address: str) -> None:
    """Raises TooMuch if a guest's monitor has lists, or a client's `address`, that are too long."""
    if not request.guest:
        return
    lists = {"whitelist": request.whitelist, "blacklist": request.blacklist}
    for name, items in lists.items():
        if len(items) > MOST_ITEMS:
            raise TooMuch(f"{name} has {len(items):,} items: at most {MOST_ITEMS:,} are allowed")
    if sum(map(len, (*request.whitelist, *request.blacklist))) > LONGEST_LISTS:
        raise TooMuch(f"whitelist and blacklist: more than {LONGEST_LISTS:,} characters")
    if len(address) > LONGEST_ADDRESS:
        raise TooMuch(f"proxy: its address has more than {LONGEST_ADDRESS:,} characters")


def most_watches() -> int | None:
    """How many of inotify's watches all guests together may have; None: nobody knows the limit."""
    limit = limits.watches()
    return None if limit is None else limit.most // _SHARE


class Counted:
    """How much of one thing each guest has.  Thread-safe.

    Rule: no guest has more than `each`, and all of them together no more than `of_all`.
    UNKNOWN may have all of that, because it is many, and a DropBox on another machine has a
    monitor for each of its rules.
    """

    def __init__(self, what: str, each: int, of_all: int) -> None:
        """`what`: the thing, in the plural."""
        self._what, self._each, self._of_all = what, each, of_all
        self._lock = threading.Lock()
        self._has: Counter[str] = Counter()

    def take(self, guest: str) -> None:
        """One more for `guest`; empty: our own account, which may have any number.

        Raises TooMuch.
        """
        if not guest:
            return
        with self._lock:
            if guest != UNKNOWN and self._has[guest] >= self._each:
                raise TooMuch(
                    f"{guest} has {self._each} {self._what} already, and may have no more"
                )
            if self._has.total() >= self._of_all:
                raise TooMuch(
                    f"other accounts have {self._of_all} {self._what} together, and get no more"
                )
            self._has[guest] += 1

    def keep(self, guest: str) -> None:
        """As `take`, for what was given before: it counts, and is never refused."""
        if guest:
            with self._lock:
                self._has[guest] += 1

    def give_back(self, guest: str) -> None:
        """One less."""
        if guest:
            with self._lock:
                self._has[guest] -= 1

    @contextmanager
    def one(self, guest: str) -> Iterator[None]:
        """One more while the `with` lasts.  Raises TooMuch."""
        self.take(guest)
        try:
            yield
        finally:
            self.give_back(guest)


def of_monitors() -> Counted:
    """Counts the monitors of guests: they have half of inotify's instances, one guest a quarter."""
    limit = limits.instances()
    of_all = MOST_OF_ALL if limit is None else max(MOST_OF_ALL, limit.most // _SHARE)
    return Counted("monitors", of_all * MOST_MONITORS // MOST_OF_ALL, of_all)


def of_calls() -> Counted:
    """Counts the calls of guests that are under way."""
    return Counted("calls under way", MOST_CALLS, MOST_CALLS_OF_ALL)
