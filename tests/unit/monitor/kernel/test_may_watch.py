"""Guests may have some of inotify's watches; what is beyond is polled."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor import guests
from omero_fs_plugin.monitor.kernel import limits
from omero_fs_plugin.monitor.kernel.inotify import Inotify
from omero_fs_plugin.monitor.kernel.limits import Limit
from omero_fs_plugin.monitor.monitors import Monitors
from tests.requests import request_of
from tests.unit.monitor.clients import Nobody


@pytest.fixture
def monitors() -> Iterator[Monitors]:
    monitors = Monitors()
    yield monitors
    monitors.close()


def test_the_kernel_is_not_asked_for_more(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    may = [True]
    observer = Inotify(os.fsencode(tmp_path), may_watch=lambda: may[0])
    try:
        assert observer.watch(os.fsencode(tmp_path / "a")) is not None
        may[0] = False
        assert observer.watch(os.fsencode(tmp_path)) is not None, "the root always is"
        with pytest.raises(OSError) as told:
            observer.watch(os.fsencode(tmp_path / "a"))
        assert told.value.errno == errno.ENOSPC
    finally:
        observer.close()


def test_guests_have_half_of_the_watches_together(
    tmp_path: Path, monitors: Monitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "watches", lambda *_: Limit("fs.inotify.max_user_watches", 20))
    for number in range(8):
        (tmp_path / str(number)).mkdir()
    made = {}
    for name in ("account 1", "account 2", ""):
        made[name] = monitors.create(request_of(os.fsencode(tmp_path), guest=name), Nobody())
        monitors.get(made[name]).start()
    watched = {name: monitors.get(one).watches for name, one in made.items()}
    assert watched == {"account 1": 9, "account 2": 1, "": 9}
    assert guests.most_watches() == 10
    assert monitors.get(made["account 2"]).figures()["polled"] == "8"
