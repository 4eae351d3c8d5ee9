"""FSServer over Ice, and a share below a watched directory that stops answering.

test_hanging.py runs each of these in a mount namespace and a process of its own.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from omero.grid import monitors as slice_

import omero
from omero_fs_plugin.monitor import monitors, server, watcher
from omero_fs_plugin.monitor.server import FSServer
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from tests.integration.hanging.share import Share

from .fsserver import Client, address_of, create, initialize, serve, start, state, until

SOON = 1.0  # s; how late others may be told
POLL = 0.3  # s
# A new file on a share is told after this time: nobody sees there that its writer has closed it.
SILENCE = 2.0  # s


class Site:
    """A directory with amy's on a disk and zak's on a share, and FSServer beside it."""

    def __init__(self, place: Path, observer: str) -> None:
        self.top = place / "top"
        self.amy = self.top / "amy"
        self.zak = self.top / "zak"
        self.amy.mkdir(parents=True)
        self.share = Share(place / "behind", self.zak)
        (self.share.behind / "deep").mkdir()
        for name in ("old", "gone", "deep/old", "deep/gone", "deep/changed"):
            (self.share.behind / name).write_text(name)
        self.servers = initialize(
            {"omero.fs.observer": observer, "omero.fs.pollInterval": str(POLL)}
        )
        self.service = FSServer(self.servers)
        self.clients = initialize()
        self.client = serve(self.clients, "client", Client())
        address = address_of(self.service, "MonitorServer")
        self.server = slice_.MonitorServerPrx.checkedCast(self.clients.stringToProxy(address))
        self._number = 0

    def close(self) -> None:
        self.share.close()
        self.service.stop()
        # A monitor that the share held goes on now, and may still tell its client.  A real server
        # ends its process then; here Ice must not be destroyed under it.
        for thread in threading.enumerate():
            if thread.name.startswith("monitor-"):
                thread.join(30.0)
        self.servers.destroy()
        self.clients.destroy()

    def change(self) -> None:
        """Others change zak's share."""
        for name in ("gone", "deep/gone"):
            (self.share.behind / name).unlink()
        for name in ("new", "deep/new", "deep/changed"):
            (self.share.behind / name).write_text("again")
        (self.share.behind / "made").mkdir()
        (self.share.behind / "made" / "new").write_text("new")

    def changes_told(self) -> bool:
        """Whether all of that was."""
        told = {
            (kind, os.path.relpath(path, self.zak))
            for kind, path in self.client.changes()
            if path.startswith(f"{self.zak}/")
        }
        return told >= {
            *(("Create", name) for name in ("new", "deep/new", "made/new")),
            *(("Delete", name) for name in ("gone", "deep/gone")),
            ("Modify", "deep/changed"),
        }

    def amy_writes(self) -> float:
        """How long it takes until the client is told, in s."""
        self._number += 1
        path = self.amy / f"file {self._number}"
        began = time.monotonic()
        path.write_text("one")
        until(lambda: ("Create", str(path)) in self.client.changes())
        return time.monotonic() - began

    def measure(self, what: str, times: int = 5) -> float:
        took = [self.amy_writes() for _ in range(times)]
        sys.stdout.write(f"measured: {what}, told after {max(took):.2f} s at most\n")
        return max(took)

    def notices(self, word: str) -> list[str]:
        return [
            text for kind, text in self.client.heard if kind == "System" and text.startswith(word)
        ]


@pytest.fixture
def make_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    monkeypatch.setattr(server, "Timing", partial(Timing, silence=SILENCE))
    made: list[Site] = []

    def make(observer: str = "auto") -> Site:
        made.append(Site(tmp_path, observer))
        return made[-1]

    yield make
    for site in made:
        site.close()


def hung(site: Site) -> None:
    """The share hangs, and the client has heard of it."""
    site.share.hang()
    until(lambda: site.notices("unreachable"))
    (text,) = site.notices("unreachable")
    assert text == f"unreachable: {site.zak}: the file system does not answer"


MODES = [slice_.PathMode.Follow, slice_.PathMode.Recurse]


def begin_to_hang(site: Site) -> None:
    """It hangs as FSServer has to look there, by itself or because something has just happened."""

    def begun() -> bool:
        site.share.answer()
        (site.zak / "late").write_text("one")
        site.share.hang()
        time.sleep(0.2)
        return bool(site.share.waiting())

    until(begun)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("observer", ["auto", "inotify"])
def test_below(make_site: Callable[..., Site], observer: str, mode: Any) -> None:
    site = make_site(observer)
    identifier = start(site.server, site.top, site.client, pMode=mode)
    before = site.measure("before it hangs")
    begin_to_hang(site)
    first = site.measure("as it begins to hang")
    assert first < before + SOON + 2 * POLL, (before, first)
    until(lambda: site.notices("unreachable"))
    while_it_hangs = site.measure("while it hangs")
    assert while_it_hangs < before + SOON, (before, while_it_hangs)
    assert site.notices("unreachable") == [
        f"unreachable: {site.zak}: the file system does not answer"
    ]
    assert state(site.server, identifier) == "Started"
    figures = site.service.monitors.figures()
    assert figures[f"monitor.{identifier}.unanswered"] == str(site.zak)
    site.change()
    site.share.answer()
    began = time.monotonic()
    until(lambda: site.notices("reachable"))
    if mode is not slice_.PathMode.Recurse:
        until(site.changes_told)
        sys.stdout.write(f"measured: after {time.monotonic() - began:.2f} s all is told\n")
    else:
        until(lambda: ("Create", str(site.zak / "deep" / "new")) in site.client.changes())
    assert not [one for one in site.client.changes() if one[1].endswith("/old")]
    assert site.service.monitors.figures()[f"monitor.{identifier}.unanswered"] == ""
    assert len(site.notices("reachable")) == len(site.notices("unreachable")) == 1
    site.server.destroyMonitor(identifier)
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("monitor-")])


def test_it_hangs_at_the_start(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.share.hang()
    began = time.monotonic()
    start(site.server, site.top, site.client)
    took = time.monotonic() - began
    sys.stdout.write(f"measured: the start takes {took:.2f} s\n")
    assert took < 5.0
    until(lambda: site.notices("unreachable"))
    assert site.measure("while it hangs") < SOON + 1.0
    site.share.answer()
    until(lambda: site.notices("reachable"))
    until(lambda: ("Create", str(site.zak / "deep" / "old")) in site.client.changes())


def test_a_short_hang_is_no_news_and_nothing_is_lost(make_site: Callable[..., Site]) -> None:
    site = make_site()
    start(site.server, site.top, site.client)
    site.share.hang()
    site.share.until_waiting()
    site.change()
    time.sleep(1.0)
    site.share.answer()
    until(site.changes_told)
    assert not site.notices("unreachable") and not site.notices("reachable")


def test_a_share_that_is_slow_is_followed(make_site: Callable[..., Site]) -> None:
    site = make_site()
    start(site.server, site.top, site.client)
    site.share.slow(0.1)
    site.change()
    assert site.measure("beside a slow share") < 20.0
    until(site.changes_told)


MANY = 15


def test_a_slow_share_keeps_nobody_waiting(make_site: Callable[..., Site]) -> None:
    """To list it takes many seconds, and to look at each of its new files as long again."""
    site = make_site()
    for number in range(MANY):
        (site.share.behind / f"known {number}").touch()
    start(site.server, site.top, site.client)
    before = site.measure("before it is slow")
    site.share.slow(0.1)
    for number in range(MANY):
        (site.share.behind / f"new {number}").touch()
    (site.share.behind / "known 1").unlink()
    slowest, began = 0.0, time.monotonic()

    def told() -> bool:
        names = {Path(path).name for kind, path in site.client.changes() if kind == "Create"}
        return names >= {f"new {number}" for number in range(MANY)}

    while not told() and time.monotonic() - began < 120.0:
        slowest = max(slowest, site.amy_writes())
        made = site.amy / f"made {time.monotonic()}"
        made.mkdir()
        (made / "inside").touch()
        since = time.monotonic()
        until(lambda path=made / "inside": ("Create", str(path)) in site.client.changes())
        slowest = max(slowest, time.monotonic() - since)
    took = time.monotonic() - began
    sys.stdout.write(f"measured: beside a slow share, told after {slowest:.2f} s at most\n")
    sys.stdout.write(f"measured: the slow share itself, told after {took:.0f} s\n")
    assert slowest < before + SOON, (before, slowest)
    assert told()
    until(lambda: ("Delete", str(site.zak / "known 1")) in site.client.changes())
    assert not site.notices("unreachable")
    assert len(site.client.changes()) == len(set(site.client.changes()))


def test_it_dies_while_it_hangs(make_site: Callable[..., Site]) -> None:
    site = make_site()
    start(site.server, site.top, site.client)
    hung(site)
    site.share.die()
    assert site.measure("while it is dead") < SOON + 1.0
    assert not any(kind == "Delete" for kind, _ in site.client.changes())


def test_two_monitors_park_no_more_than_one_thread_each(make_site: Callable[..., Site]) -> None:
    site = make_site()
    others = [start(site.server, site.top, site.client) for _ in range(3)]
    hung_before = len(site.share.waiting())
    assert not hung_before
    site.share.hang()
    until(lambda: len(site.notices("unreachable")) == len(others))
    time.sleep(5 * POLL)
    assert 1 <= len(site.share.waiting()) <= len(others)
    site.share.answer()
    until(lambda: len(site.notices("reachable")) == len(others))


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """What it gives, within so long."""
    began = time.monotonic()
    try:
        return call()
    finally:
        took = time.monotonic() - began
        sys.stdout.write(f"measured: a call took {took:.2f} s\n")
        assert took < seconds


def test_a_monitor_of_what_hangs(make_site: Callable[..., Site]) -> None:
    site = make_site()
    before = start(site.server, site.top, site.client)
    site.share.hang()
    stuck = [
        threading.Thread(target=lambda: refused(site, site.zak), daemon=True) for _ in range(20)
    ]
    for thread in stuck:
        thread.start()
    site.share.until_waiting()
    other = within(2.0, lambda: start(site.server, site.amy, site.client))
    assert state(site.server, other) == "Started"
    within(2.0, lambda: site.server.destroyMonitor(other))
    within(2.0, lambda: site.server.destroyMonitor(before))
    for thread in stuck:
        thread.join(20.0)
        assert not thread.is_alive()
    within(1.0, lambda: refused(site, site.zak))  # somebody waits for it already
    within(5.0, lambda: refused(site, site.zak / "deep"))
    site.share.answer()

    def watched() -> bool:
        try:
            start(site.server, site.zak, site.client)
        except omero.OmeroFSError:
            return False  # the threads of the calls before come back one after the other
        return True

    until(watched)


def refused(site: Site, path: Path) -> None:
    with pytest.raises(omero.OmeroFSError) as caught:
        create(site.server, path, site.client)
    assert "does not answer" in caught.value.reason


def test_a_start_on_a_root_that_hangs(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "START_HANGS", 3.0)
    site = make_site()
    made = create(site.server, site.zak, site.client)
    destroyed = create(site.server, site.zak, site.client)
    site.share.hang()

    def start_it() -> None:
        with pytest.raises(omero.OmeroFSError):
            site.server.startMonitor(destroyed)

    starting = threading.Thread(target=start_it, daemon=True)
    starting.start()
    until(lambda: any(one.operation for one in site.share.waiting()))
    within(6.0, lambda: site.server.destroyMonitor(destroyed))
    starting.join(10.0)
    assert not starting.is_alive()
    with pytest.raises(omero.OmeroFSError) as caught:
        within(8.0, lambda: site.server.startMonitor(made))
    assert "does not answer" in caught.value.reason
    assert state(site.server, made) == "Stopped"
    site.share.answer()
    site.server.startMonitor(made)
    (site.share.behind / "later").write_text("one")
    until(lambda: ("Create", str(site.zak / "later")) in site.client.changes())


def test_fileserver_refuses_at_once_what_does_not_answer(make_site: Callable[..., Site]) -> None:
    site = make_site()
    start(site.server, site.top, site.client)
    address = address_of(site.service, "FileServer")
    files = slice_.FileServerPrx.checkedCast(site.clients.stringToProxy(address))
    assert files.getSize(str(site.zak / "old")) == 3
    hung(site)
    with pytest.raises(omero.OmeroFSError) as caught:
        within(1.0, lambda: files.getSize(str(site.zak / "old")))
    assert "does not answer" in caught.value.reason
    (site.amy / "a").write_text("four")
    assert files.getSize(str(site.amy / "a")) == 4


def test_the_server_ends_while_roots_hang(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "HANGS", 1.0)
    # It waits for all of this time, and a busy machine needs some beside it.
    monkeypatch.setattr(monitors, "CLOSE_TIMEOUT", 4.0)
    site = make_site()
    for _ in range(3):
        start(site.server, site.zak, site.client)
    start(site.server, site.top, site.client)
    site.share.hang()
    until(lambda: len(site.share.waiting()) >= 3)
    began = time.monotonic()
    site.service.stop()
    took = time.monotonic() - began
    sys.stdout.write(f"measured: the server ends in {took:.2f} s\n")
    assert took < 10.0
    site.share.fail(errno.EIO)
