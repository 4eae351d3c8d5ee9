"""Importers that are parked have their places taken, and give them back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls
from omero_fs_plugin.dropbox.importing import crew as crew_module
from omero_fs_plugin.dropbox.importing.crew import LONG_S, Crew
from tests.clocks import Ahead

NUMBER = 2


def fileset(user: str) -> Any:
    """As much of one as counts here."""
    return SimpleNamespace(user=user, root=f"/{user}", path=f"/{user}/a.tif")


class Imports:
    """What the importers are at: the next user's fileset, until they are let go."""

    def __init__(self, calls: Calls, users: list[str]) -> None:
        self.disk_of: Callable[[str], str] = lambda root: root
        self.crew = Crew(NUMBER, self._work, calls=calls, disk_of=lambda root: self.disk_of(root))
        self._calls = calls
        self._users = users
        self._lock = threading.Lock()
        self.at_work: list[str] = []
        self._go = {user: threading.Event() for user in users}
        self.spare = 0
        self.started = False
        self.root_of: Callable[[str], str] = lambda user: f"/{user}"
        self.stopping = threading.Event()

    def _work(self) -> None:
        while not self.stopping.is_set():
            if self.crew.is_spare():
                with self._lock:
                    self.spare += 1
                return
            with self._lock:
                user = self._users.pop(0) if self._users else None
            if user is None:
                self.stopping.wait(0.005)
                continue
            with self.crew.at([fileset(user)]), self._calls.at(self.root_of(user)):
                with self._lock:
                    self.at_work.append(user)
                assert self._go[user].wait(20)
                with self._lock:
                    self.at_work.remove(user)

    def until_at_work(self, *users: str) -> None:
        if not self.started:
            self.started = True
            self.crew.start()
        until(lambda: sorted(self.at_work) == sorted(users))

    def let_go(self, user: str) -> None:
        self._go[user].set()

    def end(self) -> None:
        self.stopping.set()
        for go in self._go.values():
            go.set()
        assert self.crew.stop(time.monotonic() + 20)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def make(clock: Ahead) -> Iterator[Callable[..., Imports]]:
    made: list[Imports] = []

    def make_one(*users: str) -> Imports:
        made.append(Imports(Calls(clock), list(users)))
        return made[-1]

    yield make_one
    for one in made:
        one.end()


def test_at_a_disk_that_does_not_answer(make: Callable[..., Imports], clock: Ahead) -> None:
    imports = make("zak", "zoe", "amy", "bob")
    imports.until_at_work("zak", "zoe")
    imports.crew.relieve()
    imports.until_at_work("zak", "zoe")
    clock.ahead += HUNG_S
    assert {work.user for work in imports.crew.parked()} == {"zak", "zoe"}
    imports.crew.relieve()
    imports.until_at_work("zak", "zoe", "amy", "bob")
    imports.let_go("zak")
    imports.let_go("zoe")
    imports.let_go("amy")
    imports.let_go("bob")
    until(lambda: imports.spare == NUMBER)
    assert imports.crew.parked() == []


def test_at_another_disk_than_that_of_its_root(make: Callable[..., Imports], clock: Ahead) -> None:
    """As where a file of the same content lay before."""
    imports = make("zak", "zoe", "amy")
    imports.root_of = lambda user: "/elsewhere" if user == "zak" else f"/{user}"
    imports.until_at_work("zak", "zoe")
    imports.let_go("zoe")
    imports.until_at_work("zak", "amy")
    imports.let_go("amy")
    imports.until_at_work("zak")
    clock.ahead += HUNG_S
    assert {work.user for work in imports.crew.parked()} == {"zak"}


def test_at_an_omero_that_takes_long(
    make: Callable[..., Imports], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "LONG_S", 0.0)
    imports = make("zak", "zoe", "amy")
    imports.until_at_work("zak", "zoe")
    imports.crew.relieve()
    imports.until_at_work("zak", "zoe", "amy")
    assert LONG_S > 0


def test_there_are_never_more_than_may_be(
    make: Callable[..., Imports], clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "_MOST", 5)
    imports = make(*(f"u{n}" for n in range(9)))
    imports.until_at_work("u0", "u1")
    for number in (4, 5, 5):
        clock.ahead += HUNG_S
        imports.crew.relieve()
        until(lambda number=number: len(imports.at_work) == number)  # type: ignore[misc]
    imports.crew.relieve()
    assert len(imports.crew._threads) == 5
    assert len(imports.at_work) == 5


def test_what_is_read_for_long_is_told(make: Callable[..., Imports]) -> None:
    imports = make("zak")
    imports.until_at_work("zak")
    assert imports.crew.reading() == []


def test_nobody_is_added_after_the_stop(clock: Ahead) -> None:
    imports = Imports(Calls(clock), ["zak"])
    imports.end()
    imports.crew.relieve()
    assert imports.at_work == []
    assert imports.crew.stop(time.monotonic())


def test_enough_of_them_wait_for_one_disk(make: Callable[..., Imports], clock: Ahead) -> None:
    """The roots of all users may lie on one share.  It must not get every importer."""
    imports = make("zak", "zoe", "zed", "amy")
    imports.disk_of = lambda root: "/usb" if root in ("/amy", "/bob") else "nas"
    roots = ["/zak", "/zoe", "/zed", "/zia", "/amy", "/bob"]
    imports.until_at_work("zak", "zoe")
    clock.ahead += HUNG_S
    assert imports.crew.crowded(lambda: roots) == set()
    imports.crew.relieve()
    imports.until_at_work("zak", "zoe", "zed", "amy")
    crowded = {"/zak", "/zoe", "/zed", "/zia"}
    assert imports.crew.crowded(lambda: roots) == crowded, "zed's may be the next to wait"
    clock.ahead += HUNG_S
    assert imports.crew.crowded(lambda: roots) == crowded
    imports.let_go("zoe")
    until(lambda: "zoe" not in imports.at_work)
    assert imports.crew.crowded(lambda: roots) == set()


def test_long_imports_make_no_disk_crowded(
    make: Callable[..., Imports], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "LONG_S", 0.0)
    imports = make("zak", "zoe", "zed")
    imports.disk_of = lambda root: "nas"
    imports.until_at_work("zak", "zoe")
    imports.crew.relieve()
    imports.until_at_work("zak", "zoe", "zed")
    assert len(imports.crew.parked()) == 3
    assert imports.crew.crowded(lambda: ["/amy"]) == set()
