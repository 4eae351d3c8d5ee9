"""Kills of machines, DropBox and FSServer, and cuts to the database, at random."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.acceptance.torture.grid import STANDBY

from .machines import MASTER, Machine, Site

_LOOK_S = 0.1
_CUT_S = 40.0  # longer than the lease of DropBox


class Blows:
    """`run` strikes for some time.  All is whole again after it."""

    def __init__(self, site: Site, seed: int, drop: Callable[[], None]) -> None:
        """`drop` drops some files; it is called before each blow."""
        self._site, self._drop = site, drop
        self._chance = random.Random(seed)
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._struck: set[str] = set()  # machines that are down or cut off
        self._since: tuple[float, int] | None = None  # DropBox was struck then, with this epoch
        self._count: Counter[str] = Counter()
        self.takeovers: list[float] = []  # s until a DropBox had the lease again

    @property
    def told(self) -> dict[str, int]:
        """How many of each kind."""
        return dict(sorted(self._count.items()))

    def run(self, seconds: float) -> None:
        """Strikes for so long."""
        end = time.monotonic() + seconds
        kinds = (self._node, self._node_cut, self._dropbox, self._dropbox_cut, self._fsserver)
        while time.monotonic() < end:
            self._drop()
            self._chance.choice(kinds)()
            self._wait(min(end, time.monotonic() + self._chance.uniform(0.5, 6.0)))
        while self._due or self._since:
            self._wait(time.monotonic() + 1.0)

    def _wait(self, until: float) -> None:
        while (now := time.monotonic()) < until:
            for one in [one for one in self._due if one[0] <= now]:
                self._due.remove(one)
                one[1]()
            if self._since is not None:
                lease = self._site.journal.lease()
                if lease.holder and lease.epoch > self._since[1]:
                    self.takeovers.append(now - self._since[0])
                    self._since = None
            time.sleep(_LOOK_S)

    def _some(self) -> Machine | None:
        whole = [
            machine
            for name, machine in self._site.machines.items()
            if name.startswith("node") and machine.running and name not in self._struck
        ]
        return self._chance.choice(whole) if whole else None

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, action))

    def _node(self) -> None:
        machine = self._some()
        if machine is not None:
            self._count["machine killed"] += 1
            machine.kill()
            self._later(self._chance.uniform(0.0, 15.0), machine.start)

    def _node_cut(self) -> None:
        machine = self._some()
        if machine is not None:
            self._cut(machine.name, "machine cut off", self._chance.uniform(2.0, 75.0))

    def _dropbox(self) -> None:
        if self._struck_dropbox():
            self._count["DropBox killed"] += 1
            name = "DropBox" if self._site.active() == MASTER else STANDBY
            with suppress(ProcessLookupError):
                os.kill(self._site.server.pid(name), signal.SIGKILL)

    def _dropbox_cut(self) -> None:
        active = self._site.active()
        if not self._struck & {MASTER, "standby"} and self._struck_dropbox():
            self._cut(active, "DropBox cut off", _CUT_S)

    def _struck_dropbox(self) -> bool:
        """Whether it may be: one at a time, because the time until the next is taken."""
        if self._since is not None or not self._site.active():
            return False
        self._since = (time.monotonic(), self._site.journal.lease().epoch)
        return True

    def _fsserver(self) -> None:
        self._count["FSServer killed"] += 1
        with suppress(ProcessLookupError):
            os.kill(self._site.server.pid("FSServer"), signal.SIGKILL)

    def _cut(self, machine: str, what: str, seconds: float) -> None:
        self._count[what] += 1
        self._struck.add(machine)
        self._site.network.cut(machine)

        def heal() -> None:
            self._site.network.heal(machine)
            self._struck.discard(machine)

        self._later(seconds, heal)
