"""Listings below a root: nobody waits for their end, and many mounts that hang cost one wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.filesystems import Mount
from omero_fs_plugin.monitor.kernel import answers, disk
from omero_fs_plugin.monitor.kernel.below import Below
from omero_fs_plugin.monitor.kernel.disk import LocalDisk
from omero_fs_plugin.monitor.kernel.entries import Kind, Unanswered, Unfinished

PATIENCE = 20.0  # s
LONG = 2 * answers.LONGEST  # s; longer than anybody waits for one that shows no life
MOUNT = Mount(7, b"/top/zak", "nfs4", "0:7", "nas:/zak")


class Clock:
    """By which a mount is late.  It passes when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Listing:
    """A listing that shows life, and ends, when told to."""

    def __init__(self) -> None:
        self.end, self.mute = threading.Event(), threading.Event()
        self.beats = 0

    def __call__(self, beat: Any) -> Any:
        until = time.monotonic() + PATIENCE
        while not self.end.wait(0.01) and time.monotonic() < until:
            if not self.mute.is_set():
                beat()
                self.beats += 1
        return 7, [(b"a", None)]

    def shows_life(self) -> None:
        """Once more from now on."""
        before, until = self.beats, time.monotonic() + PATIENCE
        while self.beats == before:
            assert time.monotonic() < until
            time.sleep(0.005)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(answers, "time", clock)
    return clock


@pytest.fixture
def listing() -> Iterator[Listing]:
    made = Listing()
    yield made
    made.end.set()


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def below(woken: threading.Event) -> Below:
    return Below(lambda: [MOUNT], lambda mount: mount.point, woken.set)


def test_a_long_listing_goes_on_and_is_there_later(
    below: Below, listing: Listing, woken: threading.Event, clock: Clock
) -> None:
    for path in (b"/top/zak", b"/top/zak", b"/top/zak/deep"):
        with pytest.raises(Unfinished) as caught:
            below.list(MOUNT, path, listing)
        assert caught.value.args == (b"/top/zak",)
    assert below.ask(MOUNT, b"/top/zak/a", lambda beat: "seen") == "seen"
    for _ in range(3):
        clock.now += LONG
        listing.shows_life()
        assert below.listing() == [b"/top/zak"] and not below.late()
    listing.end.set()
    assert woken.wait(PATIENCE)
    assert below.listing() == []
    assert below.list(MOUNT, b"/top/zak", listing) == (7, [(b"a", None)])


def test_one_that_shows_no_life_any_more_is_late_until_it_does(
    below: Below, listing: Listing, woken: threading.Event, clock: Clock
) -> None:
    with pytest.raises(Unfinished):
        below.list(MOUNT, b"/top/zak", listing)
    listing.shows_life()
    listing.mute.set()
    until = time.monotonic() + PATIENCE
    while below.listing():
        assert time.monotonic() < until
        clock.now += LONG
        time.sleep(0.05)
    assert list(below.late()) == [b"/top/zak"]
    with pytest.raises(Unanswered):
        below.list(MOUNT, b"/top/zak", listing)
    assert not woken.is_set()
    listing.mute.clear()
    assert woken.wait(PATIENCE)
    assert not below.late()


def test_many_mounts_in_one_directory_that_hang_cost_one_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    names = [f"user {number}" for number in range(40)]
    mounts = {}
    for number, name in enumerate(names):
        (tmp_path / name).mkdir()
        point = os.fsencode(tmp_path / name)
        mounts[point] = Mount(1000 + number, point, "nfs4", f"0:{number}", f"nas:/{number}")
    looked = disk._looked
    asked: list[bytes] = []

    def hanging(path: bytes) -> Any:
        if path in mounts:
            asked.append(path)
            answer.wait(PATIENCE)
        return looked(path)

    monkeypatch.setattr(disk, "_looked", hanging)
    mine = LocalDisk(os.fsencode(tmp_path))
    monkeypatch.setattr(mine.mounts, "below", lambda path, within=0.0: mounts)
    monkeypatch.setattr(mine.mounts, "is_point", mounts.__contains__)
    try:
        found = mine.entries(os.fsencode(tmp_path), {})
        assert len(asked) == 1
        assert len(found.names) == len(names)
        assert all(entry.kind is Kind.UNSEEN and entry.mounted for _, entry in found.names)
    finally:
        answer.set()
        mine.close()
