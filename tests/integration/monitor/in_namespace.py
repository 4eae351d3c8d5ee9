"""Real mounts and real limits: run by test_mounts.py in namespaces of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin import filesystems
from omero_fs_plugin.monitor import watcher
from omero_fs_plugin.monitor.kernel import held, limits
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from tests.integration.hanging import share as hanging
from tests.integration.hanging.server import DEVICE

from .fsserver import until
from .test_contract import QUICK, Client, Watched, created


class Share:
    """A directory that others see at `back`, mounted at `point` now and then."""

    def __init__(self, top: Path, point: Path, kind: str) -> None:
        self.back = top / "back"
        self.point = point
        self.kind = kind
        self.server: hanging.Share | None = None
        self.back.mkdir()
        point.mkdir(parents=True, exist_ok=True)
        if kind != "fuse":
            subprocess.run(["mount", "-t", "tmpfs", "none", self.back], check=True)

    def mount(self) -> None:
        if self.kind == "fuse":
            self.server = hanging.Share(self.back, self.point)
        else:
            subprocess.run(["mount", "--bind", self.back, self.point], check=True)

    def unmount(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        else:
            subprocess.run(["umount", "-l", self.point], check=True)

    def close(self) -> None:
        if self.server is not None:
            self.unmount()


@pytest.fixture(params=["fuse", "polled", "watched"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "fuse" and not os.access(DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"{DEVICE} is not for everyone here")
    if request.param == "polled":
        monkeypatch.setattr(filesystems, "_SHARES", filesystems._SHARES | {"tmpfs"})
    return str(request.param)


@pytest.fixture
def timing() -> Timing:
    return QUICK


@pytest.fixture
def watched(tmp_path: Path, timing: Timing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    (tmp_path / "root").mkdir()
    found = Watched(tmp_path / "root", "auto", timing)
    found.act.are_moments(monkeypatch)
    yield found
    found.monitors.close()


@pytest.fixture
def below(watched: Watched, tmp_path: Path, kind: str) -> Iterator[Share]:
    share = Share(tmp_path, watched.root / "share", kind)
    yield share
    share.close()


@pytest.fixture
def whole(watched: Watched, tmp_path: Path, kind: str) -> Iterator[Share]:
    share = Share(tmp_path, watched.root, kind)
    yield share
    share.close()


def is_away(client: Client) -> bool:
    """Something is: of a server that goes, what is in the root may be told before the root is."""
    return client.notices().count("unreachable") > client.notices().count("reachable")


def come_back(client: Client) -> None:
    until(lambda: client.notices().count("reachable") == client.notices().count("unreachable"))


def fill(directory: Path) -> None:
    (directory / "d").mkdir()
    for name in ("old", "gone", "d/old", "d/gone", "d/changed"):
        (directory / name).write_text(name)


def change(watched: Watched, directory: Path) -> None:
    with watched.act.at_once():
        for name in ("gone", "d/gone"):
            (directory / name).unlink()
        for name in ("new", "d/new", "d/changed"):
            (directory / name).write_text("again")


def changes(prefix: str = "") -> Counter[tuple[str, str]]:
    return Counter(
        (kind, prefix + name)
        for kind, name in [
            *(("Create", name) for name in ("new", "d/new")),
            *(("Delete", name) for name in ("gone", "d/gone")),
            ("Modify", "d/changed"),
        ]
    )


def test_what_others_do_on_a_share_is_told(watched: Watched, whole: Share) -> None:
    fill(whole.back)
    whole.mount()
    client = watched.start()
    change(watched, whole.back)
    assert watched.told(client, whole.back) == changes()
    assert client.notices() == []
    (figures,) = watched.figures()
    assert (figures["watches"] == "0") == (whole.kind != "watched")


def test_a_root_that_is_unmounted_and_mounted_again(watched: Watched, whole: Share) -> None:
    fill(whole.back)
    whole.mount()
    client = watched.start()
    whole.unmount()
    until(lambda: is_away(client))
    change(watched, whole.back)
    whole.mount()
    come_back(client)
    assert watched.told(client, whole.back) == changes()
    whole.unmount()
    until(lambda: is_away(client))
    whole.mount()
    come_back(client)
    assert watched.told(client, whole.back) == changes()


def test_a_link_that_leads_from_a_share_elsewhere_is_followed(
    watched: Watched, whole: Share, tmp_path: Path
) -> None:
    fill(whole.back)
    whole.mount()
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(whole.point)
    client = watched.start(link)
    other.mkdir()
    (other / "new").write_text("new")
    (tmp_path / "next").symlink_to(other)
    (tmp_path / "next").rename(link)
    until(lambda: ("Create", "new") in client.changes())
    assert "unreachable" not in client.notices()


def test_a_root_that_is_mounted_after_the_start(watched: Watched, whole: Share) -> None:
    fill(whole.back)
    client = watched.start()
    whole.mount()
    until(lambda: ("Create", "d/changed") in client.changes())
    told = watched.told(client, whole.back)
    assert told == created("old", "gone", "d/old", "d/gone", "d/changed")


def test_a_share_below_the_root_goes_and_comes(watched: Watched, below: Share) -> None:
    fill(below.back)
    below.mount()
    client = watched.start()
    below.unmount()
    until(lambda: client.notices() == ["unreachable"])
    watched.act.write(watched.root / "beside", "one")
    assert watched.told(client) == created("beside")
    change(watched, below.back)
    below.mount()
    come_back(client)
    until(lambda: ("Modify", "share/d/changed") in client.changes())
    assert watched.told(client) == created("beside") + changes("share/")
    assert client.notices() == ["unreachable", "reachable"]
    watched.act.write(below.back / "d" / "late", "late")
    until(lambda: ("Create", "share/d/late") in client.changes())


def test_a_share_mounted_below_the_root_after_the_start(watched: Watched, below: Share) -> None:
    fill(below.back)
    client = watched.start()
    below.mount()
    until(lambda: ("Create", "share/d/changed") in client.changes())
    watched.act.write(below.back / "d" / "late", "late")
    until(lambda: ("Create", "share/d/late") in client.changes())
    assert watched.told(client)["Create", "share/d/old"] == 1
    assert client.notices() == []


@pytest.mark.parametrize("kind", ["fuse"], indirect=True)
@pytest.mark.parametrize("where", ["root", "below"])
def test_a_share_whose_server_dies(
    watched: Watched, tmp_path: Path, kind: str, where: str, request: pytest.FixtureRequest
) -> None:
    share: Share = request.getfixturevalue("whole" if where == "root" else "below")
    prefix = "" if where == "root" else "share/"
    fill(share.back)
    share.mount()
    client = watched.start()
    assert share.server is not None
    share.server.die()  # every call gives ENOTCONN from here on
    until(lambda: client.notices() == ["unreachable"])
    if where == "below":
        watched.act.write(watched.root / "beside", "one")
        assert watched.told(client) == created("beside")
    assert not any(kind == "Delete" for kind, _ in client.changes())
    change(watched, share.back)
    share.unmount()
    share.mount()
    until(lambda: ("Modify", f"{prefix}d/changed") in client.changes())
    assert not changes(prefix) - Counter(client.changes())
    assert (
        not Counter(client.changes())
        - changes(prefix)
        - Counter(one for one in client.changes() if "share" not in one[1] and where == "below")
    )


@pytest.mark.parametrize("kind", ["fuse"], indirect=True)
def test_a_share_that_does_not_answer(
    watched: Watched, whole: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "HANGS", 0.0)
    fill(whole.back)
    whole.mount()
    client = watched.start()
    assert whole.server is not None
    whole.server.hang()
    watched.outside.mkdir()
    beside = watched.start(watched.outside)
    stuck = watched.monitors.all()[client.identifier]
    until(lambda: (stuck.check_pulse(time.monotonic() - 1.0), client.notices())[1])
    assert client.notices() == ["unreachable"]
    assert stuck.figures()["reachable"] == "false"
    watched.act.write(watched.outside / "a", "one")
    assert watched.told(beside) == created("a")
    change(watched, whole.back)
    whole.server.answer()
    come_back(client)
    assert watched.told(client, whole.back) == changes()
    assert stuck.figures()["reachable"] == "true"


# Limits


@pytest.fixture
def limit_of_watches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # What a test before this one has set is known for two seconds.
    monkeypatch.setattr(held, "_KNOWN_S", 0.0)
    path = Path("/proc/sys/user/max_inotify_watches")
    before = path.read_text()
    yield path
    path.write_text(before)


def test_no_watches_left(watched: Watched, limit_of_watches: Path) -> None:
    for number in range(9):
        (watched.root / f"d{number}").mkdir()
    limit_of_watches.write_text("4")
    client = watched.start()
    until(lambda: client.notices() == ["limit"])
    (text,) = [one.path.decode() for one in client.heard]
    assert "6 directories cannot be watched and are polled" in text
    assert "6 more inotify watches are needed, and this user may have 4 in all" in text
    assert "user.max_inotify_watches=1024" in text
    (figures,) = watched.figures()
    assert (figures["watches"], figures["polled"]) == ("4", "6")
    for number in range(9):
        watched.act.write(watched.root / f"d{number}" / "a", "one")
    names = [f"d{number}/a" for number in range(9)]
    until(lambda: len(client.changes()) >= len(names))
    assert watched.told(client) == created(*names)
    limit_of_watches.write_text("1000")
    until(lambda: client.notices() == ["limit", "limit"])
    (figures,) = watched.figures()
    assert (figures["watches"], figures["polled"]) == ("10", "0")


def test_no_instances_left(watched: Watched) -> None:
    limit = Path("/proc/sys/user/max_inotify_instances")
    before = limit.read_text()
    limit.write_text("0")
    try:
        client = watched.start()
        until(lambda: client.notices() == ["limit"])
        (text,) = [one.path.decode() for one in client.heard]
        assert "1 more inotify instance is needed" in text
        assert "user.max_inotify_instances=512" in text
        watched.act.write(watched.root / "a", "one")
        assert watched.told(client) == created("a")
    finally:
        limit.write_text(before)
    until(lambda: client.notices() == ["limit", "limit"])
    assert watched.figures()[0]["watches"] == "1"


def test_the_limit_that_binds_is_named(limit_of_watches: Path) -> None:
    limit_of_watches.write_text("7")
    assert limits.watches() == limits.Limit("user.max_inotify_watches", 7)


@pytest.mark.parametrize("timing", [replace(QUICK, poll=3600.0)], ids=[""])
def test_one_users_directories_leave_watches_for_another(
    watched: Watched, limit_of_watches: Path
) -> None:
    for number in range(60):
        (watched.root / "amy" / f"d{number}").mkdir(parents=True)
    (watched.root / "zak").mkdir()
    limit_of_watches.write_text("20")
    client = watched.start()
    until(lambda: client.notices() == ["limit"])
    day = watched.root / "zak" / "day"
    day.mkdir()
    until(lambda: int(watched.figures()[0]["watches"]) > 11)
    watched.act.write(day / "a", "one")
    # Nobody polls within the time of this test.
    until(lambda: ("Create", "zak/day/a") in client.changes(), "it is not watched")
