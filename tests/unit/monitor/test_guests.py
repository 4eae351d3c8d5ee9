"""What clients of other accounts may take of FSServer."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.monitor import guests
from omero_fs_plugin.monitor.access import Access
from omero_fs_plugin.monitor.guests import Counted, TooMuch
from omero_fs_plugin.monitor.kernel import limits
from omero_fs_plugin.monitor.kernel.limits import Limit
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.record.file import request_of, text_of
from omero_fs_plugin.monitor.requests import UNKNOWN, Request
from tests import requests

from .clients import Nobody

GUEST = "account 1000"


def of(guest: str, path: Path = Path("/in"), **changed: Any) -> Request:
    return requests.request_of(os.fsencode(path), guest=guest, **changed)


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux lets an account have as many inotify instances as it does by itself."""
    monkeypatch.setattr(limits, "instances", lambda: Limit("max_user_instances", 128))


def test_ten_thousand_monitors_of_one_account_leave_room_for_others(tmp_path: Path) -> None:
    monitors = Monitors()
    made = 0
    with pytest.raises(TooMuch, match="account 1000 has 32 monitors already"):
        for _ in range(10_000):
            monitors.create(of(GUEST, tmp_path), Nobody())
            made += 1
    assert made == guests.MOST_MONITORS
    monitors.create(of("account 1001", tmp_path), Nobody())
    for _ in range(2 * guests.MOST_OF_ALL):
        monitors.create(of("", tmp_path), Nobody())  # DropBox, and admins
    with pytest.raises(TooMuch, match="other accounts have 64 monitors together"):
        for number in range(guests.MOST_OF_ALL):
            monitors.create(of(f"account {number}", tmp_path), Nobody())


def test_who_destroys_a_monitor_may_have_another(tmp_path: Path) -> None:
    monitors = Monitors()
    for _ in range(3 * guests.MOST_MONITORS):
        monitors.destroy(monitors.create(of(GUEST, tmp_path), Nobody()))
    assert monitors.all() == {}


def test_a_monitor_that_is_refused_is_not_counted(tmp_path: Path) -> None:
    monitors = Monitors()
    for _ in range(2 * guests.MOST_MONITORS):
        with pytest.raises(TooMuch, match="1,001 items"):
            monitors.create(of(GUEST, tmp_path, whitelist=("a",) * 1_001), Nobody())
    monitors.create(of(GUEST, tmp_path), Nobody())


def test_a_dropbox_on_another_machine_may_have_many_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "instances", lambda: Limit("max_user_instances", 1_024))
    monitors = Monitors()
    for _ in range(250):
        monitors.create(of(UNKNOWN, tmp_path), Nobody())
    with pytest.raises(TooMuch, match="account 1000 has 256 monitors"):
        for _ in range(257):
            monitors.create(of(GUEST, tmp_path), Nobody())
    with pytest.raises(TooMuch, match="512 monitors together"):
        for _ in range(500):
            monitors.create(of(UNKNOWN, tmp_path), Nobody())


@pytest.mark.parametrize(
    ("changed", "address", "says"),
    [
        ({"whitelist": ("a",) * 1_001}, "", "whitelist has 1,001 items"),
        ({"blacklist": ("a",) * 1_001}, "", "blacklist has 1,001 items"),
        ({"blacklist": ("a" * 40_000,), "whitelist": ("a" * 40_000,)}, "", "65,536 characters"),
        ({}, "x" * 4_097, "proxy"),
    ],
    ids=["whitelist", "blacklist", "characters", "address"],
)
def test_arguments_of_a_guest_have_a_size(changed: dict[str, Any], address: str, says: str) -> None:
    guests.check(of("", **changed), address)  # our own account
    with pytest.raises(TooMuch, match=says):
        guests.check(of(GUEST, **changed), address)


def test_the_record_keeps_whose_a_monitor_is() -> None:
    kept = of(GUEST)
    assert request_of(kept.path, text_of(kept)) == kept
    before = text_of(kept).replace(f', "guest": "{GUEST}"', "")
    assert "guest" not in before
    assert request_of(kept.path, before) == of("")


def test_calls_are_counted_while_they_last() -> None:
    counted = Counted("calls", 2, 3)
    with counted.one(GUEST), counted.one(GUEST):
        with pytest.raises(TooMuch, match=f"{GUEST} has 2 calls already"), counted.one(GUEST):
            pytest.fail("one too many")
        with counted.one("another"), pytest.raises(TooMuch, match="together"):
            counted.take("a third")
        for _ in range(100):
            counted.take("")
    with counted.one(GUEST), counted.one(GUEST):
        pass


@pytest.mark.parametrize(
    ("uid", "guest"),
    [(0, ""), (os.geteuid(), ""), (54321, "account 54321"), (None, "an account that is not known")],
)
def test_who_is_a_guest(uid: int | None, guest: str) -> None:
    access = Access(list, lambda connection: uid)
    current = SimpleNamespace(con=object())
    assert access.guest(current) == guest
    assert access.is_ours(current) is (not guest)
    assert access.guest(None) == "" and access.guest(SimpleNamespace(con=None)) == ""
