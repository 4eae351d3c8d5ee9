"""What lies around the files that are grouped: it is listed, however slow its disk is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls
from omero_fs_plugin.dropbox.settling import groupers
from tests.clocks import Ahead

Entries = Iterator[os.DirEntry[str]]


class Listed:
    """A listing whose names come as `how` says."""

    how: Callable[[Entries], Entries]
    real = staticmethod(os.scandir)

    def __init__(self, directory: int) -> None:
        self._entries = self.real(directory)

    def __enter__(self) -> Listed:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def __iter__(self) -> Entries:
        return type(self).how(self._entries)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    clock = Ahead()
    monkeypatch.setattr(groupers, "CALLS", Calls(clock))
    monkeypatch.setattr(os, "scandir", Listed)
    return clock


@pytest.fixture
def day(tmp_path: Path) -> Path:
    for name in ("a.tif", "b.tif", "c.tif", "d.companion.ome"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_slow_listing_is_no_disk_that_does_not_answer(
    day: Path, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the question is given up each time, and its files are never grouped."""
    answered: list[bool] = []

    def slow(entries: Entries) -> Entries:
        for entry in entries:
            clock.ahead += 0.75 * HUNG_S
            answered.append(groupers.CALLS.answers(str(day)))
            yield entry

    monkeypatch.setattr(Listed, "how", staticmethod(slow), raising=False)
    assert groupers._indexes(str(day), [f"{day}/a.tif"]) == [f"{day}/d.companion.ome"]
    assert answered == 4 * [True]


def test_a_listing_without_end_has_one(
    day: Path, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would be grouped by the thread that waits for it."""
    listed = 0

    def endless(entries: Entries) -> Entries:
        nonlocal listed
        every = list(entries)
        yield from every
        while True:
            listed += 1
            assert listed < 1_000, "it would be listed for ever"
            yield every[0]

    monkeypatch.setattr(Listed, "how", staticmethod(endless), raising=False)
    monkeypatch.setattr(groupers, "MOST_NAMES", 20)
    assert f"{day}/d.companion.ome" in groupers._indexes(str(day), [f"{day}/a.tif"])
