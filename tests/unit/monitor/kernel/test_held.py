"""One user with a hundred thousand directories leaves watches for the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import inotify, limits
from omero_fs_plugin.monitor.kernel.held import Held, Process
from omero_fs_plugin.monitor.kernel.limits import Limit

ROOT = b"/drop"


def process(most: int | None) -> Process:
    limit = None if most is None else Limit("fs.inotify.max_user_watches", most)
    return Process(lambda: limit)


def take(held: Held, user: str, number: int, first: int = 0) -> int:
    """How many directories of a user are watched, of `number` that want it."""
    taken = 0
    for one in range(first, first + number):
        path = f"/drop/{user}/{one}".encode()
        if held.may_have(path):
            held.has(hash(path), path)
            taken += 1
    return taken


def test_a_branch_has_half_at_the_most_and_who_comes_later_has_a_share() -> None:
    held = Held(process(100), ROOT)
    assert take(held, "amy", 1000) == 50
    assert held.kept_back
    assert take(held, "zak", 10) == 10
    assert take(held, "bob", 1000) == 20


def test_while_there_are_enough_nobody_is_refused() -> None:
    held = Held(process(1000), ROOT)
    assert [take(held, user, 200) for user in ("amy", "zak")] == [200, 200]
    assert not held.kept_back
    assert take(Held(process(None), ROOT), "amy", 1000) == 1000


def test_what_has_ended_is_free_again() -> None:
    shared = process(100)
    held, other = Held(shared, ROOT), Held(shared, b"/other")
    assert take(held, "amy", 1000) == 50
    assert take(other, "amy", 1000) == 25, "the limit is for all instances together"
    for one in range(50):
        held.gone(hash(f"/drop/amy/{one}".encode()))
        held.gone(hash(f"/drop/amy/{one}".encode()))
    assert shared.left() == 75
    other.clear()
    assert shared.left() == 100


def test_a_limit_that_was_raised_is_seen() -> None:
    now, most = [0.0], [10]
    held = Held(Process(lambda: Limit("x", most[0]), lambda: now[0]), ROOT)
    assert take(held, "amy", 100) == 5
    most[0], now[0] = 1000, 10.0
    assert take(held, "amy", 100, first=100) == 100


def test_the_kernels_watches_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = process(20)
    monkeypatch.setattr(inotify, "_PROCESS", shared)
    monkeypatch.setattr(limits, "watches", lambda *_: Limit("fs.inotify.max_user_watches", 20))
    for user in ("amy", "zak"):
        (tmp_path / user).mkdir()
        for number in range(30):
            (tmp_path / user / str(number)).mkdir()
    observer = inotify.Inotify(os.fsencode(tmp_path))
    try:
        assert observer.watch(os.fsencode(tmp_path)) is not None
        refused = 0
        for number in range(30):
            try:
                observer.watch(os.fsencode(tmp_path / "amy" / str(number)))
            except OSError:
                refused += 1
        assert refused == 20
        assert observer.watch(os.fsencode(tmp_path / "zak" / "0")) is not None
        left = shared.left()
        (tmp_path / "zak" / "0").rmdir()
        observer.drain()
        while observer.backlog:
            observer.events()
        assert shared.left() == (left or 0) + 1
        told = observer.limited(28, 20)
        assert told is not None and "20 more inotify watches are needed" in told
    finally:
        observer.close()
    assert shared.left() == 20
